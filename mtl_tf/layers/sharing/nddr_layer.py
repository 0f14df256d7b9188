"""NDDR layer: 1x1 convolutions of the concatenated features of all tasks."""

from typing import Any

import keras
import numpy as np
from keras import layers

from mtl_tf.layers.batch_normalization import BatchNormalization
from mtl_tf.layers.conv_block import EPSILON
from mtl_tf.layers.sharing.cross_stitch_unit import identity_like
from mtl_tf.typing import Tensor

_MOMENTUM = 0.95


@keras.saving.register_keras_serializable(package="mtl_tf")
class BlockIdentity(keras.initializers.Initializer):
    """Initializer of a 1x1 kernel on K blocks of channels: a multiple of the identity per block.

    Source: Gao et al., CVPR 2019, section 3.4.

    Args:
        index: index of the task's own block.
        num: number of blocks.
        own: factor of the own block; the others share `1 - own`.

    Examples:
        >>> import mtl_tf as mtl
        >>> mtl.layers.BlockIdentity(index=0, num=2, own=0.9)((1, 1, 8, 4)).shape
        TensorShape([1, 1, 8, 4])
    """

    def __init__(self, index: int, num: int, own: float) -> None:
        self.index, self.num, self.own = index, num, own

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        """Return the kernel `[1, 1, num * C, C]`."""
        factors = identity_like(self.num, self.own)[self.index]
        blocks = [factor * np.eye(shape[-1]) for factor in factors]
        return keras.ops.convert_to_tensor(np.concatenate(blocks)[None, None], dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        config = {"index": self.index, "num": self.num, "own": self.own}
        return {**super().get_config(), **config}


def nddr_layer(
    features: dict[str, keras.KerasTensor],
    name: str,
    *,
    own: float = 0.9,
    learning_rate_multiplier: float = 1.0,
) -> dict[str, keras.KerasTensor]:
    """Apply neural discriminative dimensionality reduction to the features of all tasks.

    For each task, a 1x1 convolution of the concatenated features, batch normalisation and ReLU.

    Source: Gao et al., "NDDR-CNN: Layerwise Feature Fusing in Multi-Task CNNs by Neural
    Discriminative Dimensionality Reduction", CVPR 2019.

    Args:
        features: `{task: [B, h, w, C]}`, concatenated in this order.
        name: prefix of the layers' names.
        own: initial weight of a task's own features; the others share `1 - own`.
        learning_rate_multiplier: multiplier of the learning rate of the layer.

    Returns:
        `{task: [B, h, w, C]}`.
    """
    concatenated = layers.Concatenate()(list(features.values()))
    outputs = {}
    for index, (task, x) in enumerate(features.items()):
        mixing = layers.Conv2D(
            x.shape[-1],
            1,
            use_bias=False,
            kernel_initializer=BlockIdentity(index, len(features), own),
            name=f"{name}.{task}.0",
        )
        norm = BatchNormalization(momentum=_MOMENTUM, epsilon=EPSILON, name=f"{name}.{task}.1")
        outputs[task] = layers.ReLU()(norm(mixing(concatenated)))
        for variable in (*mixing.trainable_variables, *norm.trainable_variables):
            variable.learning_rate_multiplier = learning_rate_multiplier
    return outputs
