"""Reference of `balance`: every solver in pure TensorFlow."""

from typing import Any

import tensorflow as tf

from mtl_tf.ops._balance import BalanceReport, BalanceStatus, prepare
from mtl_tf.ops._gradients import check_order_values
from mtl_tf.ops.reference._closed_form import (
    aligned_components,
    equal_projections,
    fair_gains,
    surgery,
)
from mtl_tf.ops.reference._quadratic import Solution, cagrad, dual_projection, min_norm, upgrad
from mtl_tf.ops.reference._unit_gramian import UnitGramian, unit_gramian
from mtl_tf.typing import TensorLike


def balance(gramian: TensorLike, method: str, **parameters: Any) -> tf.Tensor:
    """Solve for the weights `[K]` of K tasks in pure TensorFlow; see `mtl_tf.ops.balance`."""
    return balance_report(gramian, method, **parameters).weights


def balance_report(gramian: TensorLike, method: str, **parameters: Any) -> BalanceReport:
    """Solve as `balance` does, and return the solver's status with the weights.

    Args:
        gramian: `[K, K]` symmetric floating point.
        method: see `mtl_tf.ops.balance`.
        **parameters: of the method, see `mtl_tf.ops.balance`.

    Returns:
        Weights, status, residual and target cosines; the weights in the dtype of `gramian`.

    Raises:
        ValueError: if the method or a parameter is unknown, or a shape or value is wrong.
        tf.errors.InvalidArgumentError: if a row of `order` does not list each other task once.
    """
    dtype = tf.convert_to_tensor(gramian).dtype
    arguments = prepare(gramian, method, parameters)
    if arguments["order"] is not None:
        arguments["order"] = check_order_values(arguments["order"])
    report = BalanceReport(*_solve(**arguments))
    report = BalanceReport(*(tf.stop_gradient(part) for part in report))
    return report._replace(weights=tf.cast(report.weights, dtype))


@tf.function(autograph=False)
def _solve(
    gramian: tf.Tensor,
    method: str,
    scale: str,
    preference: tf.Tensor | None,
    order: tf.Tensor | None,
    targets: tf.Tensor | None,
    parameter: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Weights, status, residual and targets, as the native op gives them."""
    is_finite = tf.reduce_all(tf.math.is_finite(gramian))
    unit = unit_gramian(
        tf.where(is_finite, gramian, tf.eye(tf.shape(gramian)[0], dtype=tf.float64))
    )
    if targets is None:
        targets = tf.zeros_like(gramian)
    if method in ("pcgrad", "gradvac"):
        if order is None:
            order = _ascending(tf.shape(gramian)[0])
        weights, moved = surgery(unit, order, targets if method == "gradvac" else None, parameter)
        solution: Solution = weights, tf.zeros([], tf.float64), tf.constant(True)
        targets = targets if moved is None else tf.where(is_finite, moved, targets)
    else:
        if preference is None:
            preference = unit.mean_of_present()
        solution = _solve_without_order(unit, method, scale, preference, parameter)
    weights, residual, has_solution = solution
    status = tf.where(
        has_solution | ~tf.reduce_any(unit.present),
        tf.where(residual <= 1e-8, BalanceStatus.CONVERGED, BalanceStatus.NOT_CONVERGED),
        BalanceStatus.FALLBACK,
    )
    nan = tf.constant(float("nan"), tf.float64)
    return (
        tf.where(is_finite, tf.where(unit.present, weights, 0.0), nan),
        tf.where(is_finite, status, BalanceStatus.NOT_FINITE),
        tf.where(is_finite & tf.reduce_any(unit.present), residual, 0.0),
        targets,
    )


def _solve_without_order(
    unit: UnitGramian, method: str, scale: str, preference: tf.Tensor, parameter: tf.Tensor
) -> Solution:
    if method == "mgda":
        return min_norm(unit)
    if method == "upgrad":
        return upgrad(unit, preference)
    if method == "dualproj":
        return dual_projection(unit, preference)
    if method == "cagrad":
        return cagrad(unit, parameter)
    if method in ("nash_mtl", "fairgrad"):
        return fair_gains(unit, parameter)
    if method == "imtl_g":
        return equal_projections(unit)
    return aligned_components(unit, scale, preference)


def _ascending(num_tasks: tf.Tensor) -> tf.Tensor:
    """`[K, K-1]`: the other tasks in ascending order."""
    steps = tf.range(num_tasks - 1)[None, :]
    own = tf.range(num_tasks)[:, None]
    return steps + tf.cast(steps >= own, tf.int32)
