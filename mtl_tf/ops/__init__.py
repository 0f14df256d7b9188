"""Native ops of `mtl_tf`, each with a pure-TensorFlow reference of the same signature.

============ ================================================= ======================
op           computes                                          reference
============ ================================================= ======================
`gramian`    `G[i, j] = <g_i, g_j>` of K tasks' gradients       `reference.gramian`
============ ================================================= ======================

`native_status()` says whether the compiled ops are in use and why not. The environment variable
`MTL_TF_NATIVE` chooses: `auto` (default; falls back to the reference with one warning), `on` (fails
loudly if the compiled ops cannot be loaded) or `off` (always the reference).
"""

from mtl_tf.ops import reference
from mtl_tf.ops._library import NativeStatus, native_status
from mtl_tf.ops.gramian import gramian

__all__ = ["NativeStatus", "gramian", "native_status", "reference"]
