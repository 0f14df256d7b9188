"""Task balancing: how K task losses become one update.

Scalarizers turn the losses `[K]` into one scalar, so a step costs one backward pass.

================ ================ ======================================== ==== ==================
name             class            paper                                    year cost of a step
================ ================ ======================================== ==== ==================
`fixed_weights`  `FixedWeights`   Vandenhende et al., TPAMI                2021 1 backward
`uncertainty`    `Uncertainty`    Kendall et al., CVPR                     2018 1 backward
================ ================ ======================================== ==== ==================

Every method is a pure function and a thin class that holds hyper-parameters and state.
"""

import dataclasses

from mtl_tf.balancing.base import Balancing, Scalarizer
from mtl_tf.balancing.scalarizers import FixedWeights, Uncertainty


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of `TABLE`.

    Attributes:
        cls: the class.
        kind: `"scalarizer"`, `"weighting"` or `"aggregator"`.
        paper: where it comes from.
        year: when that was published.
        cost: passes over the network in one step.
    """

    cls: type[Balancing]
    kind: str
    paper: str
    year: int
    cost: str


TABLE: dict[str, Row] = {
    "fixed_weights": Row(
        FixedWeights, "scalarizer", "Vandenhende et al., TPAMI", 2021, "1 backward"
    ),
    "uncertainty": Row(Uncertainty, "scalarizer", "Kendall et al., CVPR", 2018, "1 backward"),
}
"""The methods by name."""


def get(balancing: "str | Balancing | None") -> Balancing:
    """The balancing method meant by a name or an object.

    Args:
        balancing: a name from `TABLE`, an object, or `None` for equal fixed weights.

    Returns:
        The method.

    Raises:
        ValueError: for an unknown name, or anything else.
    """
    if balancing is None:
        return FixedWeights()
    if isinstance(balancing, Balancing):
        return balancing
    if isinstance(balancing, str) and balancing in TABLE:
        return TABLE[balancing].cls()
    raise ValueError(
        f"balancing must be one of {sorted(TABLE)}, or an object of mtl_tf.balancing. "
        f"Received: {balancing!r}"
    )


__all__ = ["TABLE", "Balancing", "FixedWeights", "Scalarizer", "Uncertainty", "get"]
