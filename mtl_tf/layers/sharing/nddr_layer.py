"""NDDR layer: each task's features become a 1x1 convolution of all tasks' features."""

from typing import Any

import keras
import numpy as np
from keras import layers

from mtl_tf.layers.conv_block import EPSILON
from mtl_tf.layers.sharing.cross_stitch_unit import identity_like

_MOMENTUM = 0.95


@keras.saving.register_keras_serializable(package="mtl_tf")
class BlockIdentity(keras.initializers.Initializer):
    """A 1x1 kernel that mixes K blocks of channels: multiples of the identity, one per block.

    Source: Gao et al., CVPR 2019, section 3.4.

    Args:
        index: the block that is the task's own.
        num: number of blocks.
        own: factor of the own block; the others share `1 - own`.
    """

    def __init__(self, index: int, num: int, own: float) -> None:
        self.index, self.num, self.own = index, num, own

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """The kernel `[1, 1, num * C, C]`."""
        factors = identity_like(self.num, self.own)[self.index]
        blocks = [factor * np.eye(shape[-1]) for factor in factors]
        return keras.ops.convert_to_tensor(np.concatenate(blocks)[None, None], dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """Keras configuration."""
        return {"index": self.index, "num": self.num, "own": self.own}


def nddr_layer(
    features: dict[str, Any],
    name: str,
    own: float = 0.9,
    learning_rate_multiplier: float = 1.0,
) -> dict[str, Any]:
    """Neural discriminative dimensionality reduction: 1x1 convolution, batch norm, ReLU per task.

    Source: Gao et al., "NDDR-CNN: Layerwise Feature Fusing in Multi-Task CNNs by Neural
    Discriminative Dimensionality Reduction", CVPR 2019.

    Args:
        features: `{task: [B, h, w, C]}`; their order is that of the concatenation.
        name: prefix of the layers' names.
        own: weight of a task's own features at first; the others share `1 - own`.
        learning_rate_multiplier: how many times faster than the rest the layer learns.

    Returns:
        `{task: [B, h, w, C]}`.
    """
    together = layers.Concatenate()(list(features.values()))
    outputs = {}
    for index, (task, x) in enumerate(features.items()):
        mixing = layers.Conv2D(
            x.shape[-1],
            1,
            use_bias=False,
            kernel_initializer=BlockIdentity(index, len(features), own),
            name=f"{name}.{task}.0",
        )
        norm = layers.BatchNormalization(
            momentum=_MOMENTUM, epsilon=EPSILON, name=f"{name}.{task}.1"
        )
        outputs[task] = layers.ReLU()(norm(mixing(together)))
        for variable in (*mixing.trainable_variables, *norm.trainable_variables):
            variable.learning_rate_multiplier = learning_rate_multiplier
    return outputs
