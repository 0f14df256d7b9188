"""Task balancing: how K task losses become one update.

A `Scalarizer` maps the losses `[K]` to one scalar: 1 backward pass per step. A `Weighting` maps the
Gramian `[K, K]` of the task gradients to weights `[K]`: K backward passes through the shared layers
or, with `level="features"`, K through the heads and 1 through the rest. An `Aggregator` maps the
task gradients `[K, P]` to a direction `[P]`, for the same passes.

Every method is a pure function and a thin class with hyperparameters and state. To add one, write a
file and a row of `TABLE`: this table, `__all__` and the docs follow.
"""

import dataclasses

from mtl_tf.balancing.aggregators.graddrop import GradDrop
from mtl_tf.balancing.base import (
    Aggregator,
    Balancing,
    Scalarizer,
    StepStatistics,
    Weighting,
    exact,
)
from mtl_tf.balancing.scalarizers.dtp import DTP
from mtl_tf.balancing.scalarizers.dwa import DWA
from mtl_tf.balancing.scalarizers.famo import FAMO
from mtl_tf.balancing.scalarizers.fixed_weights import FixedWeights
from mtl_tf.balancing.scalarizers.geometric_mean import GeometricMean
from mtl_tf.balancing.scalarizers.imtl_l import IMTLL
from mtl_tf.balancing.scalarizers.inverse_magnitude import InverseMagnitude
from mtl_tf.balancing.scalarizers.rlw import RLW
from mtl_tf.balancing.scalarizers.scale_invariant import ScaleInvariant
from mtl_tf.balancing.scalarizers.stch import STCH
from mtl_tf.balancing.scalarizers.uncertainty import Uncertainty
from mtl_tf.balancing.weightings.aligned_mtl import AlignedMTL
from mtl_tf.balancing.weightings.cagrad import CAGrad
from mtl_tf.balancing.weightings.con_fig import ConFIG
from mtl_tf.balancing.weightings.dualproj import DualProj
from mtl_tf.balancing.weightings.fairgrad import FairGrad
from mtl_tf.balancing.weightings.gradnorm import GradNorm
from mtl_tf.balancing.weightings.gradvac import GradVac
from mtl_tf.balancing.weightings.imtl_g import IMTLG
from mtl_tf.balancing.weightings.mgda import MGDA
from mtl_tf.balancing.weightings.nash_mtl import NashMTL
from mtl_tf.balancing.weightings.pcgrad import PCGrad
from mtl_tf.balancing.weightings.sums import Mean, Sum
from mtl_tf.balancing.weightings.upgrad import UPGrad


@dataclasses.dataclass(frozen=True)
class MethodInfo:
    """A row of `TABLE`.

    Source: this library.

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

TABLE: dict[str, MethodInfo] = {
    "fixed_weights": MethodInfo(FixedWeights, "Vandenhende et al., TPAMI", 2021),
    "inverse_magnitude": MethodInfo(InverseMagnitude, "Vandenhende et al., TPAMI", 2021),
    "uncertainty": MethodInfo(Uncertainty, "Kendall et al., CVPR", 2018),
    "dwa": MethodInfo(DWA, "Liu et al., CVPR", 2019),
    "dtp": MethodInfo(DTP, "Guo et al., ECCV", 2018),
    "rlw": MethodInfo(RLW, "Lin et al., TMLR", 2022),
    "geometric_mean": MethodInfo(GeometricMean, "Chennupati et al., CVPRW", 2019),
    "scale_invariant": MethodInfo(ScaleInvariant, "Navon et al., ICML", 2022),
    "imtl_l": MethodInfo(IMTLL, "Liu et al., ICLR", 2021),
    "stch": MethodInfo(STCH, "Lin et al., ICML", 2024),
    "famo": MethodInfo(FAMO, "Liu et al., NeurIPS", 2023),
    "sum": MethodInfo(Sum, "Vandenhende et al., TPAMI", 2021),
    "mean": MethodInfo(Mean, "Vandenhende et al., TPAMI", 2021),
    "gradnorm": MethodInfo(GradNorm, "Chen et al., ICML", 2018),
    "mgda": MethodInfo(MGDA, "Sener & Koltun, NeurIPS", 2018),
    "pcgrad": MethodInfo(PCGrad, "Yu et al., NeurIPS", 2020),
    "gradvac": MethodInfo(GradVac, "Wang et al., ICLR", 2021),
    "cagrad": MethodInfo(CAGrad, "Liu et al., NeurIPS", 2021),
    "imtl_g": MethodInfo(IMTLG, "Liu et al., ICLR", 2021),
    "nash_mtl": MethodInfo(NashMTL, "Navon et al., ICML", 2022),
    "fairgrad": MethodInfo(FairGrad, "Ban & Ji, ICML", 2024),
    "aligned_mtl": MethodInfo(AlignedMTL, "Senushkin et al., CVPR", 2023),
    "upgrad": MethodInfo(UPGrad, "Quinton & Rey", 2024),
    "dualproj": MethodInfo(DualProj, "Lopez-Paz & Ranzato, NeurIPS", 2017),
    "config": MethodInfo(ConFIG, "Liu et al., ICLR", 2025),
    "graddrop": MethodInfo(GradDrop, "Chen et al., NeurIPS", 2020),
}
"""The methods by name."""


def canonical_name(name: str) -> str:
    """Return the key of `TABLE` for a name: `"GradNorm"` and `"grad-norm"` give `"gradnorm"`.

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
    """Return the balancing method for a name or an object.

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


def _contents() -> str:
    """Return the table of contents of this module's docstring."""
    line = "=" * 19 + " " + "=" * 18 + " " + "=" * 40
    rows = [
        f"{f'`{name}`':19} {f'`{info.cls.__name__}`':18} {info.paper} {info.year}"
        for name, info in TABLE.items()
    ]
    return "\n".join([line, f"{'name':19} {'class':18} source", line, *rows, line])


__doc__ = f"{__doc__}\n{_contents()}\n"

__all__ = [
    "TABLE", "Aggregator", "Balancing", "MethodInfo", "Scalarizer", "StepStatistics", "Weighting",
    "canonical_name", "exact", "get",
]  # fmt: skip
__all__ += [info.cls.__name__ for info in TABLE.values()]
__all__.sort(key=lambda name: (not name.isupper(), not name[0].isupper(), name))
