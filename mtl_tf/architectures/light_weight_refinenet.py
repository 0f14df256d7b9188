"""Light-weight RefineNet: a shared decoder of chained pooling, two small convolutions per task."""

import functools

import keras
from keras import layers
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, Blueprint, ModelOptions, Tasks
from mtl_tf.layers import conv, resize_to

_POOLINGS = 4
_POOL_SIZE = 5


@keras.saving.register_keras_serializable(package="mtl_tf")
class LightWeightRefineNet(Architecture):
    """One backbone and one decoder for all tasks, for real-time inference on a mobile backbone.

    The decoder goes from coarse to fine: the features of a stage are projected, added to those of
    the coarser ones, and pass chained residual pooling, in which 5x5 maxima and 1x1 convolutions
    spread context. A task adds a scale of each channel and a 3x3 convolution.

    Source: Nekrasov et al., "Real-Time Joint Semantic Segmentation and Depth Estimation Using
    Asymmetric Annotations", ICRA 2019, section III; the decoder of Nekrasov et al., BMVC 2018.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied. The paper uses a MobileNet-v2.
        tasks: `{task: channels}` or a list of `mtl_tf.Task`.
        input_shape: `(H, W, 3)`, any height and width.
        channels: channels of the decoder.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage: 8, 16
            or 32.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}`.

    Raises:
        ValueError: for an unknown backbone or stride, or an invalid input shape.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.LightWeightRefineNet("efficientnet_lite0", tasks, (32, 32, 3))
        >>> sorted(model.output)
        ['heat', 'parts']
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        channels: int = 256,
        output_stride: int = 32,
        name: str = "light_weight_refinenet",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = Blueprint(backbone, tasks, input_shape, None, output_stride, kwargs)
        project = functools.partial(conv, filters=channels)

        # === Functional model ===
        pyramid = blueprint.features()
        x = None
        for s in reversed(range(len(pyramid))):
            stage = pyramid[s]
            lateral = project(stage, name=f"decoder.{s}.lateral")
            if x is not None:
                x = project(x, name=f"decoder.{s}.adapt")
                lateral = layers.Add()([lateral, resize_to(x, stage.shape[1], stage.shape[2])])
            x = _chained_pooling(_relu6(lateral), s == 0, f"decoder.{s}.pooling")
        outputs = {}
        for task, num_channels in blueprint.channels.items():
            y = _relu6(_scaled(x, f"heads.{task}.scale"))
            y = conv(y, num_channels, 3, use_bias=True, name=f"heads.{task}.predict")
            outputs[task] = blueprint.output(y, task)

        # === Config ===
        super().__init__(blueprint, outputs, name, channels=channels)


def _chained_pooling(x: keras.KerasTensor, is_depthwise: bool, name: str) -> keras.KerasTensor:
    """Apply chained residual pooling: each pooling continues the one before, and all are added."""
    total = branch = x
    for i in range(_POOLINGS):
        branch = layers.MaxPooling2D(_POOL_SIZE, 1, padding="same")(branch)
        if is_depthwise:
            branch = _scaled(branch, f"{name}.{i}")
        else:
            branch = conv(branch, x.shape[-1], name=f"{name}.{i}")
        total = layers.Add()([total, branch])
    return total


def _scaled(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Apply a depthwise 1x1 convolution: a scale of each channel."""
    init = keras.initializers.RandomUniform(-1.0, 1.0)  # PyTorch's, as in `conv`
    return layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer=init, name=name)(x)


def _relu6(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU(max_value=6.0)(x)
