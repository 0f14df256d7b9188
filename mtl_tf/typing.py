"""Types shared by several packages.

TensorFlow and Keras do not type their tensors, so a checker sees `Any` behind some of these; a
reader sees what a value is.

================ ==========================================================================
`Tensor`         a TensorFlow tensor, symbolic or not; shape and dtype are in the docstring
`TensorLike`     what `tf.convert_to_tensor` accepts: tensors, variables, arrays, numbers
`FeatureMaps`    features of stages, finest first: a list of tensors `[B, H, W, C]`
`TaskGradients`  gradients of K tasks by V tensors: K lists of V tensors, `None` for zero
`Predictions`    `{output: raw prediction}` of a network
`Results`        `{task: {metric: value}}` of an evaluation
================ ==========================================================================
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

Tensor: TypeAlias = tf.Tensor
TensorLike: TypeAlias = tf.Tensor | tf.Variable | np.ndarray | Sequence[Any] | float
FeatureMaps: TypeAlias = Sequence[tf.Tensor]
TaskGradients: TypeAlias = Sequence[Sequence[tf.Tensor | tf.IndexedSlices | None]]
Predictions: TypeAlias = Mapping[str, tf.Tensor]
Results: TypeAlias = Mapping[str, Mapping[str, float]]

__all__ = ["FeatureMaps", "Predictions", "Results", "TaskGradients", "Tensor", "TensorLike"]
