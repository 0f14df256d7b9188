"""JTRL: two tasks that refine each other alternately, from coarse to fine."""

import keras
from keras import layers
from typing_extensions import Unpack

from mtl_tf.architectures.base import Architecture, ModelOptions, Tasks
from mtl_tf.architectures.deep_supervision import DecoderBlueprint
from mtl_tf.layers import basic_block, conv, conv_block, resize_to


@keras.saving.register_keras_serializable(package="mtl_tf")
class JTRL(Architecture):
    """Alternating states of two tasks, from the coarsest scale of the backbone to the finest.

    Each new state is computed from the previous states of both tasks, through task attention, the
    encoder's features at that scale and the task's coarser state; each makes an initial prediction.

    Source: Zhang et al., "Joint Task-Recursive Learning for Semantic Segmentation and Depth
    Estimation", ECCV 2018; channel sizes are choices of this library.

    Args:
        backbone: a name from `mtl_tf.backbones.TABLE`, or a Keras model from images to a list of
            stage features, finest first, which is copied; sizes halve from each to the next.
        tasks: exactly two, `{task: channels}` or a list of `mtl_tf.Task`, in order of their states.
        input_shape: `(H, W, 3)`, any height and width.
        channels: channels of the states.
        output_stride: down-sampling factor of a named ResNet's or EfficientNet's last stage; 32
            keeps four scales.
        name: name of the model.
        **kwargs: `weights`, `include_preprocessing`, `freeze_backbone` and `trainable`, see
            `mtl_tf.architectures.base.ModelOptions`.

    Call arguments: normalised RGB images `[B, H, W, 3]` float32. Returns
    `{task: raw prediction [B, H, W, channels] float32}` and, for every scale s,
    `{"task/initial/s": raw prediction [B, h_s, w_s, channels] float32}`.

    Raises:
        ValueError: unless there are two tasks; for an unknown backbone or stride, or an
            invalid input shape.

    Examples:
        >>> import mtl_tf as mtl
        >>> tasks = {"parts": 5, "heat": 1}
        >>> model = mtl.architectures.JTRL("resnet18", tasks, (32, 32, 3))
        >>> model.output["parts"].shape, model.output["parts/initial/3"].shape
        ((None, 32, 32, 5), (None, 1, 1, 5))
    """

    def __init__(
        self,
        backbone: str | keras.Model,
        tasks: Tasks,
        input_shape: tuple[int, int, int],
        *,
        channels: int = 128,
        output_stride: int = 32,
        name: str = "jtrl",
        **kwargs: Unpack[ModelOptions],
    ) -> None:
        # === Layers ===
        blueprint = DecoderBlueprint(backbone, tasks, input_shape, None, output_stride, kwargs)
        if len(blueprint.channels) != 2:
            raise ValueError(
                "JTRL lets two tasks refine each other: give exactly two. Received: "
                f"{list(blueprint.channels)}"
            )

        # === Functional model ===
        states: dict[str, keras.KerasTensor] = {}
        pyramid = blueprint.features()
        for s in reversed(range(len(pyramid))):
            for task in blueprint.channels:
                prefix = f"scale_{s}.{task}"
                size = pyramid[s].shape[1:3]
                previous = [resize_to(x, *size) for x in states.values()]
                inputs = [pyramid[s]]
                if len(previous) == 2:
                    inputs.append(_attended(previous, channels, f"{prefix}.attention"))
                if task in states:
                    inputs.append(resize_to(states[task], *size))
                elif previous:
                    inputs.append(previous[0])  # of the other task, at the coarsest scale
                x = layers.Concatenate()(inputs) if len(inputs) > 1 else inputs[0]
                states[task] = basic_block(x, channels, name=f"{prefix}.state")
                blueprint.initial(states[task], task, f"{prefix}.predict", f"/{s}")
        outputs = {}
        for task, num_channels in blueprint.channels.items():
            x = basic_block(states[task], channels, name=f"heads.{task}.0")
            prediction = conv(x, num_channels, use_bias=True, name=f"heads.{task}.1")
            outputs[task] = blueprint.output(prediction, task)

        # === Config ===
        outputs = {**outputs, **dict(sorted(blueprint.predictions.items()))}
        super().__init__(blueprint, outputs, name, channels=channels)


def _attended(states: list[keras.KerasTensor], channels: int, name: str) -> keras.KerasTensor:
    """Apply the task-attention module: a balance between two states, and attention to both."""
    first, second = states
    both = layers.Concatenate()(states)
    balance = keras.ops.sigmoid(conv(both, channels, 3, use_bias=True, name=f"{name}.balance"))
    balanced = layers.Concatenate()([balance * first, (1.0 - balance) * second])
    x = conv_block(balanced, channels, 3, names=(f"{name}.mix", f"{name}.mix_bn"))
    height, width = x.shape[1:3]
    x = conv_block(x, channels, 3, 2, names=(f"{name}.down", f"{name}.down_bn"))
    x = basic_block(x, channels, name=f"{name}.residual")
    attention = keras.ops.sigmoid(resize_to(x, height, width))
    attended = layers.Concatenate()([(1.0 + attention) * first, (1.0 + attention) * second])
    return conv_block(attended, channels, 3, names=(f"{name}.out", f"{name}.out_bn"))
