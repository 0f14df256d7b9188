"""Methods, checked parameters and the report of `balance` and its reference."""

import enum
import sys
from typing import Any, NamedTuple

import tensorflow as tf

from mtl_tf.ops._gradients import as_float, check_order, check_range
from mtl_tf.typing import TensorLike

# Parameters of each method, with the value that stands for "not given"; methods and scales in the
# order of the enumerations of `ops/kernels/solvers/balance.h`.
METHODS: dict[str, dict[str, Any]] = {
    "mgda": {},
    "upgrad": {"preference": None},
    "dualproj": {"preference": None},
    "pcgrad": {"order": None},
    "gradvac": {"beta": 0.5, "order": None, "targets": None},
    "cagrad": {"c": 0.4},
    "nash_mtl": {},
    "fairgrad": {"alpha": 1.0},
    "imtl_g": {},
    "aligned_mtl": {"scale": "min", "preference": None},
}
SCALES = ("min", "median", "mean")
_RANGES = {"c": (0.0, 1e6), "alpha": (0.05, 100.0), "beta": (0.0, 1.0)}


class BalanceStatus(enum.IntEnum):
    """Status of a call of `balance`.

    Attributes:
        CONVERGED: the weights are exact: `residual <= 1e-8`.
        FALLBACK: the method has no solution for this Gramian, and its fallback was returned.
        NOT_CONVERGED: `residual > 1e-8`; the best weights so far were returned.
        NOT_FINITE: the Gramian has a NaN or an infinity; the weights are NaN.
    """

    CONVERGED = 0
    FALLBACK = 1
    NOT_CONVERGED = 2
    NOT_FINITE = 3


class BalanceReport(NamedTuple):
    """Weights, status and residual of one call of `balance`.

    Attributes:
        weights: `[K]`.
        status: int32 scalar, a `BalanceStatus`.
        residual: float64 scalar: how far the method's optimality conditions are off, in units in
            which the longest gradient (CAGrad: the mean gradient) has length 1.
        targets: `[K, K]` float64, the target cosines for the next call of GradVac; for the other
            methods those given, or zero.
    """

    weights: tf.Tensor
    status: tf.Tensor
    residual: tf.Tensor
    targets: tf.Tensor


def prepare(gramian: TensorLike, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the checked arguments of a solver: `gramian`, `method`, `scale`, and four tensors.

    A parameter that was not given, or that the method does not have, is `None`; the number among
    them (c, alpha or beta) is called `parameter`.
    """
    name = _method_name(method)
    values = _check_parameters(name, parameters)
    gramian = tf.convert_to_tensor(gramian)
    if not gramian.dtype.is_floating:
        raise ValueError(f"gramian must be floating point. Received: {gramian.dtype.name}")
    if gramian.shape.rank not in (2, None) or not gramian.shape[:1].is_compatible_with(
        gramian.shape[1:]
    ):
        raise ValueError(f"gramian must have shape [K, K]. Received: {gramian.shape}")
    num_tasks = gramian.shape[0] if gramian.shape.rank else None
    if num_tasks == 0:
        raise ValueError("gramian must be of at least one task. Received: shape [0, 0]")
    order = values.get("order")
    number = next((values[key] for key in _RANGES if key in values), 1.0)
    return {
        "gramian": tf.cast(gramian, tf.float64),
        "method": name,
        "scale": values.get("scale", "min"),
        "preference": _optional(values.get("preference"), "preference", [num_tasks]),
        "order": None if order is None else check_order(order, num_tasks),
        "targets": _optional(values.get("targets"), "targets", [num_tasks, num_tasks]),
        "parameter": as_float(number, tf.float64),
    }


def _method_name(method: str) -> str:
    """Return the key of `METHODS` for a name: `"FairGrad"` and `"fair-grad"` give `"fairgrad"`."""
    squeezed = str(method).lower().replace("_", "").replace("-", "")
    for name in METHODS:
        if name.replace("_", "") == squeezed:
            return name
    raise ValueError(f"method must be one of {', '.join(METHODS)}. Received: {method!r}")


def _check_parameters(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(parameters) - set(METHODS[name]))
    if unknown:
        raise ValueError(
            f"{name} takes the parameters {sorted(METHODS[name])}. Received also: {unknown}"
        )
    values = {**METHODS[name], **parameters}
    if "scale" in values and values["scale"] not in SCALES:
        raise ValueError(f"scale must be one of {SCALES}. Received: {values['scale']!r}")
    for key, (least, most) in _RANGES.items():
        if key in values:
            check_range(values[key], key, least, most)
    if values.get("targets") is not None:
        check_range(values["targets"], "targets", -1.0, 1.0)
    if values.get("preference") is not None:
        check_range(values["preference"], "preference", -sys.float_info.max, sys.float_info.max)
    return values


def _optional(value: "TensorLike | None", name: str, shape: list[int | None]) -> tf.Tensor | None:
    if value is None:
        return None
    tensor = as_float(value, tf.float64)
    if not tensor.shape.is_compatible_with(shape):
        raise ValueError(f"{name} must have shape {shape}. Received: {tensor.shape}")
    return tensor
