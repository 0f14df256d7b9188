"""Native ops of `mtl_tf`, each with a pure-TensorFlow reference of the same signature.

======================== =====================================================================
op                       computes
======================== =====================================================================
`gramian`                `G[i, j] = <g_i, g_j>` of K tasks' gradients
`weighted_sum`           `d = Σ_k w_k g_k`
`balance`                the weights `w` of a Gramian: MGDA, UPGrad, CAGrad, Nash-MTL, ...
`balance_report`         the same with the solver's status and residual
`gradient_projection`    PCGrad end to end: Gramian, projections, weighted sum
`grad_drop`              the sum of the gradients of one sign per element
`attention_distillation` features plus messages of other tasks through gates
`cross_stitch`           mixtures of the features of K tasks
`affinity_diffusion`     values mixed by the affinities of positions, which are never stored
`upsample_cross_entropy` cross-entropy of upsampled logits, which are never stored
`upsample_l1`            absolute error of upsampled predictions, which are never stored
`thin_edges`             lines one pixel wide of many maps at once (NumPy, not TensorFlow)
`match_edges`            pixels matched one to one with true ones nearby (NumPy as well)
======================== =====================================================================

The reference of an op is `reference.<op>` (of the last two `reference.edges.<op>`).
`native_status()` says whether the compiled ops are in use and why not. The environment variable
`MTL_TF_NATIVE` chooses: `auto` (default; falls back to the reference with one warning), `on` (fails
loudly if the compiled ops cannot be loaded) or `off` (always the reference). Inside
`with portable():` it is the reference as well, for models that are to run without `mtl_tf`.
"""

from mtl_tf.ops import reference
from mtl_tf.ops._balance import BalanceReport, BalanceStatus
from mtl_tf.ops._library import NativeStatus, native_status, portable
from mtl_tf.ops.affinity_diffusion import affinity_diffusion
from mtl_tf.ops.attention_distillation import ChannelSlice, attention_distillation
from mtl_tf.ops.balance import balance, balance_report
from mtl_tf.ops.cross_stitch import cross_stitch
from mtl_tf.ops.edges import match_edges, thin_edges
from mtl_tf.ops.grad_drop import grad_drop
from mtl_tf.ops.gradient_projection import gradient_projection
from mtl_tf.ops.gramian import gramian
from mtl_tf.ops.reference.bilinear import bilinear
from mtl_tf.ops.upsample_loss import upsample_cross_entropy, upsample_l1
from mtl_tf.ops.weighted_sum import weighted_sum

__all__ = [
    "BalanceReport",
    "BalanceStatus",
    "ChannelSlice",
    "NativeStatus",
    "affinity_diffusion",
    "attention_distillation",
    "balance",
    "balance_report",
    "bilinear",
    "cross_stitch",
    "grad_drop",
    "gradient_projection",
    "gramian",
    "match_edges",
    "native_status",
    "portable",
    "reference",
    "thin_edges",
    "upsample_cross_entropy",
    "upsample_l1",
    "weighted_sum",
]
