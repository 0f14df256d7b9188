"""Pure-TensorFlow references: same signatures and results as the native ops, any device.

They are what runs where the compiled ops are not available, and what the compiled ops are compared
with. Nothing here needs more than TensorFlow's own ops, inside `tf.function` and XLA as well.
"""

from mtl_tf.ops.reference.balance import balance, balance_report
from mtl_tf.ops.reference.features import (
    affinity_diffusion,
    attention_distillation,
    cross_stitch,
    upsample_cross_entropy,
    upsample_l1,
)
from mtl_tf.ops.reference.gradients import (
    grad_drop,
    grad_drop_shares,
    gradient_projection,
    gramian,
    weighted_sum,
)

__all__ = [
    "affinity_diffusion",
    "attention_distillation",
    "balance",
    "balance_report",
    "cross_stitch",
    "grad_drop",
    "grad_drop_shares",
    "gradient_projection",
    "gramian",
    "upsample_cross_entropy",
    "upsample_l1",
    "weighted_sum",
]
