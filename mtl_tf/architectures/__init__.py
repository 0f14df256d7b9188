"""Multi-task architectures as Keras functional models.

================== ================ ================ ===================================== =====
name               class            focus            paper                                 year
================== ================ ================ ===================================== =====
`single_task`      `SingleTask`     baseline         Vandenhende et al., TPAMI             2021
`shared_trunk`     `SharedTrunk`    encoder          Caruana, Machine Learning             1997
================== ================ ================ ===================================== =====

Every class takes `(backbone, tasks, input_shape, ...)` and is a `keras.Model` from normalised RGB
images `[B, H, W, 3]` to `{task: raw prediction [B, H, W, channels]}`. It knows nothing of losses,
balancing or training.
"""

import dataclasses

from mtl_tf.architectures.base import Architecture
from mtl_tf.architectures.shared_trunk import SharedTrunk
from mtl_tf.architectures.single_task import SingleTask


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of `TABLE`.

    Attributes:
        cls: the class.
        focus: `"baseline"`, `"encoder"` or `"decoder"`.
        paper: where it comes from.
        year: when that was published.
        cost: parameters and computation against one network.
    """

    cls: type[Architecture]
    focus: str
    paper: str
    year: int
    cost: str


TABLE: dict[str, Row] = {
    "single_task": Row(
        SingleTask, "baseline", "Vandenhende et al., TPAMI", 2021, "one network per task"
    ),
    "shared_trunk": Row(
        SharedTrunk, "encoder", "Caruana, Machine Learning", 1997, "one backbone, K heads"
    ),
}
"""The architectures by name."""

__all__ = ["TABLE", "Architecture", "SharedTrunk", "SingleTask"]
