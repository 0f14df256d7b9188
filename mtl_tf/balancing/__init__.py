"""Task balancing: how K task losses become one update.

Scalarizers turn the losses `[K]` into one scalar: 1 backward pass a step.

=================== ================== ============================ ====
name                class              paper                        year
=================== ================== ============================ ====
`fixed_weights`     `FixedWeights`     Vandenhende et al., TPAMI    2021
`inverse_magnitude` `InverseMagnitude` Vandenhende et al., TPAMI    2021
`uncertainty`       `Uncertainty`      Kendall et al., CVPR         2018
`dwa`               `DWA`              Liu et al., CVPR             2019
`dtp`               `DTP`              Guo et al., ECCV             2018
`rlw`               `RLW`              Lin et al., TMLR             2022
`geometric_mean`    `GeometricMean`    Chennupati et al., CVPRW     2019
`scale_invariant`   `ScaleInvariant`   Navon et al., ICML           2022
`imtl_l`            `IMTLL`            Liu et al., ICLR             2021
`stch`              `STCH`             Lin et al., ICML             2024
`famo`              `FAMO`             Liu et al., NeurIPS          2023
=================== ================== ============================ ====

Weightings turn the Gramian `[K, K]` of the task gradients into weights `[K]`: K backward passes
through what is shared, or, with `level="features"`, K through the heads and 1 through the rest.

=================== ================== ============================ ====
name                class              paper                        year
=================== ================== ============================ ====
`sum`               `Sum`              Vandenhende et al., TPAMI    2021
`mean`              `Mean`             Vandenhende et al., TPAMI    2021
`gradnorm`          `GradNorm`         Chen et al., ICML            2018
`mgda`              `MGDA`             Sener & Koltun, NeurIPS      2018
`pcgrad`            `PCGrad`           Yu et al., NeurIPS           2020
`gradvac`           `GradVac`          Wang et al., ICLR            2021
`cagrad`            `CAGrad`           Liu et al., NeurIPS          2021
`imtl_g`            `IMTLG`            Liu et al., ICLR             2021
`nash_mtl`          `NashMTL`          Navon et al., ICML           2022
`fairgrad`          `FairGrad`         Ban & Ji, ICML               2024
`aligned_mtl`       `AlignedMTL`       Senushkin et al., CVPR       2023
`upgrad`            `UPGrad`           Quinton & Rey                2024
`dualproj`          `DualProj`         Lopez-Paz & Ranzato, NeurIPS 2017
`config`            `ConFIG`           Liu et al., ICLR             2025
=================== ================== ============================ ====

Aggregators turn the task gradients `[K, P]` into a direction `[P]`, for the same passes.

=================== ================== ============================ ====
name                class              paper                        year
=================== ================== ============================ ====
`graddrop`          `GradDrop`         Chen et al., NeurIPS         2020
=================== ================== ============================ ====

Every method is a pure function and a thin class that holds hyper-parameters and state.
"""

import dataclasses

from mtl_tf.balancing.aggregators import GradDrop
from mtl_tf.balancing.base import Aggregator, Balancing, Scalarizer, Tasks, Weighting, exact
from mtl_tf.balancing.scalarizers import (
    DTP,
    DWA,
    FAMO,
    IMTLL,
    RLW,
    STCH,
    FixedWeights,
    GeometricMean,
    InverseMagnitude,
    ScaleInvariant,
    Uncertainty,
)
from mtl_tf.balancing.weightings import (
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    GradNorm,
    GradVac,
    Mean,
    NashMTL,
    PCGrad,
    Sum,
    UPGrad,
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of `TABLE`.

    Attributes:
        cls: the class.
        paper: where it comes from.
        year: when that was published.
    """

    cls: type[Balancing]
    paper: str
    year: int

    @property
    def kind(self) -> str:
        """`"scalarizer"`, `"weighting"` or `"aggregator"`."""
        return next(kind for kind, base in _KINDS.items() if issubclass(self.cls, base))

    @property
    def cost(self) -> str:
        """Passes over the network in one step."""
        passes = "1 backward" if self.kind == "scalarizer" else "K backward"
        return passes + (", 2 forward" if self.cls.sees_losses_after_update else "")


_KINDS: dict[str, type[Balancing]] = {
    "scalarizer": Scalarizer,
    "weighting": Weighting,
    "aggregator": Aggregator,
}

TABLE: dict[str, Row] = {
    "fixed_weights": Row(FixedWeights, "Vandenhende et al., TPAMI", 2021),
    "inverse_magnitude": Row(InverseMagnitude, "Vandenhende et al., TPAMI", 2021),
    "uncertainty": Row(Uncertainty, "Kendall et al., CVPR", 2018),
    "dwa": Row(DWA, "Liu et al., CVPR", 2019),
    "dtp": Row(DTP, "Guo et al., ECCV", 2018),
    "rlw": Row(RLW, "Lin et al., TMLR", 2022),
    "geometric_mean": Row(GeometricMean, "Chennupati et al., CVPRW", 2019),
    "scale_invariant": Row(ScaleInvariant, "Navon et al., ICML", 2022),
    "imtl_l": Row(IMTLL, "Liu et al., ICLR", 2021),
    "stch": Row(STCH, "Lin et al., ICML", 2024),
    "famo": Row(FAMO, "Liu et al., NeurIPS", 2023),
    "sum": Row(Sum, "Vandenhende et al., TPAMI", 2021),
    "mean": Row(Mean, "Vandenhende et al., TPAMI", 2021),
    "gradnorm": Row(GradNorm, "Chen et al., ICML", 2018),
    "mgda": Row(MGDA, "Sener & Koltun, NeurIPS", 2018),
    "pcgrad": Row(PCGrad, "Yu et al., NeurIPS", 2020),
    "gradvac": Row(GradVac, "Wang et al., ICLR", 2021),
    "cagrad": Row(CAGrad, "Liu et al., NeurIPS", 2021),
    "imtl_g": Row(IMTLG, "Liu et al., ICLR", 2021),
    "nash_mtl": Row(NashMTL, "Navon et al., ICML", 2022),
    "fairgrad": Row(FairGrad, "Ban & Ji, ICML", 2024),
    "aligned_mtl": Row(AlignedMTL, "Senushkin et al., CVPR", 2023),
    "upgrad": Row(UPGrad, "Quinton & Rey", 2024),
    "dualproj": Row(DualProj, "Lopez-Paz & Ranzato, NeurIPS", 2017),
    "config": Row(ConFIG, "Liu et al., ICLR", 2025),
    "graddrop": Row(GradDrop, "Chen et al., NeurIPS", 2020),
}
"""The methods by name."""


def canonical_name(name: str) -> str:
    """The name in `TABLE` that is meant: `"NashMTL"`, `"nash-mtl"` and `"nash_mtl"` are one method.

    Args:
        name: of a method, in any spelling.

    Returns:
        A key of `TABLE`.

    Raises:
        ValueError: for an unknown name.
    """
    squeezed = _squeezed(name)
    for known in TABLE:
        if _squeezed(known) == squeezed:
            return known
    raise ValueError(f"balancing must be one of {', '.join(TABLE)}. Received: {name!r}")


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
    if isinstance(balancing, str):
        return TABLE[canonical_name(balancing)].cls()
    raise ValueError(
        f"balancing must be one of {', '.join(TABLE)}, or an object of mtl_tf.balancing. "
        f"Received: {balancing!r}"
    )


def _squeezed(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


__all__ = [
    "DTP",
    "DWA",
    "FAMO",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "RLW",
    "STCH",
    "TABLE",
    "Aggregator",
    "AlignedMTL",
    "Balancing",
    "CAGrad",
    "ConFIG",
    "DualProj",
    "FairGrad",
    "FixedWeights",
    "GeometricMean",
    "GradDrop",
    "GradNorm",
    "GradVac",
    "InverseMagnitude",
    "Mean",
    "NashMTL",
    "PCGrad",
    "Scalarizer",
    "ScaleInvariant",
    "Sum",
    "Tasks",
    "UPGrad",
    "Uncertainty",
    "Weighting",
    "canonical_name",
    "exact",
    "get",
]
