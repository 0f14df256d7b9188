"""What `balance` and its reference share: methods, parameters and their checks, the report."""

import enum
from typing import Any, NamedTuple

import tensorflow as tf

from mtl_tf.ops._gradients import check_order

# Parameters of each method, with the value that stands for "not given".
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
_RANGES = {"c": (0.0, 1e6), "alpha": (1e-6, 1e6), "beta": (0.0, 1.0)}


class BalanceStatus(enum.IntEnum):
    """How a call of `balance` ended.

    Attributes:
        CONVERGED: the weights are exact: `residual <= 1e-8`.
        FALLBACK: the method has no solution for this Gramian, and its fallback was returned.
        NOT_CONVERGED: `residual > 1e-8`; the best weights found were returned.
        NOT_FINITE: the Gramian has a NaN or an infinity; the weights are NaN.
    """

    CONVERGED = 0
    FALLBACK = 1
    NOT_CONVERGED = 2
    NOT_FINITE = 3


class BalanceReport(NamedTuple):
    """What `balance` knows of one call.

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


def prepare(gramian: Any, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The checked arguments of a solver: `gramian`, `method`, `scale`, and four tensors.

    A tensor of a parameter that was not given has no elements.
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
    num_tasks = gramian.shape[0]
    if num_tasks == 0:
        raise ValueError("gramian must be of at least one task. Received: shape [0, 0]")
    order = values.get("order")
    return {
        "gramian": tf.cast(gramian, tf.float64),
        "method": name,
        "scale": values.get("scale", "min"),
        "preference": _optional(values.get("preference"), "preference", [num_tasks], [0]),
        "order": tf.zeros([0, 0], tf.int32) if order is None else check_order(order, num_tasks),
        "targets": _optional(values.get("targets"), "targets", [num_tasks, num_tasks], [0, 0]),
        "parameter": tf.cast(
            next((values[key] for key in _RANGES if key in values), 1.0), tf.float64
        ),
    }


def _method_name(method: str) -> str:
    """The canonical name: `"NashMTL"`, `"nash-mtl"` and `"nash_mtl"` are one method."""
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
        if isinstance(values.get(key), int | float) and not least <= values[key] <= most:
            raise ValueError(f"{key} must be from {least} to {most}. Received: {values[key]}")
    return values


def _optional(value: Any, name: str, shape: list, absent: list) -> tf.Tensor:
    if value is None:
        return tf.zeros(absent, tf.float64)
    tensor = tf.cast(tf.convert_to_tensor(value), tf.float64)
    if not tensor.shape.is_compatible_with(shape):
        raise ValueError(f"{name} must have shape {shape}. Received: {tensor.shape}")
    return tensor
