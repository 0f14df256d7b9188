"""Reference solvers without a quadratic problem: FairGrad, IMTL-G, Aligned-MTL, PCGrad, GradVac."""

import tensorflow as tf

from mtl_tf.ops.reference._quadratic import Solution, min_norm
from mtl_tf.ops.reference._unit_gramian import UnitGramian, solve, times

_EPSILON = 2.220446049250313e-16


def fair_gains(unit: UnitGramian, alpha: tf.Tensor) -> Solution:
    """FairGrad, `G w = w^(-1/alpha)` (Ban & Ji 2024), by Newton's method; Nash-MTL is alpha = 1.

    Where some convex combination of the gradients is zero there is no solution: MGDA's weights.
    """
    power = 1 / alpha
    h = unit.norms ** (power - 1)
    damping = tf.maximum((1 + power) / 2, 1.0)

    def shares(y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        curvature = h * y ** (1 - power)
        return times(unit.cosines, y) * y / curvature, curvature

    def off(share: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(tf.where(unit.present, tf.abs(share - 1), 0.0))

    start = h ** (1 / (1 + power))
    # Beyond, an eigenvalue of the cosines is below 1e-12: some combination of gradients is zero.
    most = 1e12 ** (1 / (1 + power)) * tf.reduce_max(start)

    def unfinished(y: tf.Tensor, residual: tf.Tensor, previous: tf.Tensor) -> tf.Tensor:
        is_done = (residual <= 1e-14) | ((residual <= 1e-11) & (residual >= previous))
        return ~is_done & (tf.reduce_max(y) < most)

    def newton(y: tf.Tensor, residual: tf.Tensor, _: tf.Tensor) -> tuple:
        share, curvature = shares(y)
        system = y[:, None] * unit.cosines * y[None, :] + tf.linalg.diag(power * curvature)
        # Unit diagonal first: the entries differ by as much as the gradients do.
        root = tf.sqrt(tf.linalg.diag_part(system))
        change = (
            solve(system / root[:, None] / root[None, :], curvature * (1 - share) / root) / root
        )
        change = tf.where(unit.present, change, 0.0)
        largest = tf.reduce_max(tf.abs(change))
        step = tf.where(largest >= 0.1, 1 / (1 + damping * largest), 1.0)
        y *= 1 + step * change
        return y, off(shares(y)[0]), residual

    infinity = tf.constant(float("inf"), tf.float64)
    y, residual, _ = tf.while_loop(
        unfinished, newton, (start, off(shares(start)[0]), infinity), maximum_iterations=200
    )
    weights = y / unit.norms * unit.scale ** (-2 / (1 + power))
    has_solution = (residual <= 1e-3) & (tf.reduce_max(y) < most)
    fallback, own_residual, _ = min_norm(unit)
    return (
        tf.where(has_solution, weights, fallback),
        tf.where(has_solution, residual, own_residual),
        has_solution,
    )


def equal_projections(unit: UnitGramian) -> Solution:
    """IMTL-G: equal projections on the unit gradients, weights of sum 1 (Liu et al. 2021)."""
    inside = tf.cast(unit.present, tf.float64)
    y = solve(unit.cosines * inside[:, None] * inside[None, :], inside)
    shortest = tf.reduce_min(tf.where(unit.present, unit.norms, 1.0))
    weights = tf.where(unit.present, y * shortest / unit.norms, 0.0)
    total = tf.reduce_sum(weights)
    can_sum = tf.abs(total) > 1e-12 * tf.reduce_sum(tf.abs(weights))
    weights = tf.where(can_sum, weights / tf.where(can_sum, total, 1.0), tf.zeros_like(weights))
    projection = times(unit.cosines, weights * unit.norms)
    spread = tf.abs(projection - tf.reduce_sum(inside * projection) / unit.count)
    length = tf.maximum(tf.reduce_sum(tf.abs(weights) * unit.norms), 1e-300)
    residual = tf.reduce_max(tf.where(unit.present, spread, 0.0)) / length
    residual = tf.where(can_sum, residual, 0.0)
    return weights, residual, can_sum & (residual <= 1e-8)


def aligned_components(unit: UnitGramian, scale: str, preference: tf.Tensor) -> Solution:
    """Aligned-MTL: principal components scaled to one length (Senushkin et al. 2023)."""
    lengths = tf.where(unit.present, unit.norms, 0.0)
    values, vectors, kept = _spectrum(unit.cosines * lengths[:, None] * lengths[None, :], unit)
    rank = tf.reduce_sum(tf.cast(kept, tf.int32))
    if scale == "mean":
        reference = tf.reduce_sum(tf.where(kept, values, 0.0)) / tf.cast(rank, tf.float64)
    else:
        ordered = tf.sort(tf.where(kept, values, float("inf")))
        reference = ordered[0 if scale == "min" else tf.maximum(rank - 1, 0) // 2]
    sums = tf.linalg.matvec(vectors, tf.where(unit.present, preference, 0.0), transpose_a=True)
    weights = times(vectors, tf.where(kept, tf.sqrt(reference / values) * sums, 0.0))
    return tf.where(unit.present, weights, 0.0), tf.zeros([], tf.float64), tf.constant(True)


def _spectrum(matrix: tf.Tensor, unit: UnitGramian) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Eigenvalues (1 where left out), eigenvectors, and which eigenvalues are not zero."""
    values, vectors = tf.linalg.eigh(matrix)
    kept = values > unit.count * _EPSILON * tf.reduce_max(values)
    return tf.where(kept, values, tf.ones_like(values)), vectors, kept


def surgery(
    unit: UnitGramian, order: tf.Tensor, targets: tf.Tensor | None, beta: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """PCGrad (`targets` is `None`) and GradVac in Gramian space; `order` is `[K, K-1]`.

    Returns:
        `(weights [K], new targets [K, K] or None)`.
    """
    size = tf.size(unit.norms)
    lengths = tf.where(unit.present, unit.norms, 0.0)
    rho = tf.zeros_like(unit.cosines) if targets is None else targets

    def meet(step: tf.Tensor, y: tf.Tensor, rho: tf.Tensor) -> tuple:
        other = order[:, step]
        meets = unit.present & tf.gather(unit.present, other)
        projection = tf.reduce_sum(tf.gather(unit.cosines, other) * y, axis=1)
        if targets is None:
            amount = tf.where(projection < 0, -projection, 0.0)
        else:
            squares = tf.reduce_sum(y * tf.matmul(y, unit.cosines), axis=1)
            length = tf.sqrt(tf.maximum(squares, 0))
            cosine = tf.where(length > 0, projection / tf.maximum(length, 1e-300), 0.0)
            cosine = tf.clip_by_value(cosine, -1.0, 1.0)
            target = tf.gather(rho, other, axis=1, batch_dims=1)
            off_target = tf.sqrt(tf.maximum(1 - target**2, 0))
            turn = target * tf.sqrt(1 - cosine**2) - cosine * off_target
            turns = (cosine < target) & (off_target > 0)
            amount = tf.where(turns, length * turn / tf.maximum(off_target, 1e-300), 0.0)
        hit = tf.one_hot(other, size, dtype=tf.float64)
        hit = tf.where(meets[:, None], hit, tf.zeros_like(hit))
        if targets is not None:
            rho += hit * (beta * (cosine - target))[:, None]
        moved = y + hit * amount[:, None]
        return step + 1, tf.ensure_shape(moved, y.shape), tf.ensure_shape(rho, y.shape)

    _, y, rho = tf.while_loop(
        lambda step, *_: step < size - 1, meet, (tf.constant(0), tf.linalg.diag(lengths), rho)
    )
    weights = tf.reduce_sum(y, axis=0) / unit.norms
    return tf.where(unit.present, weights, 0.0), None if targets is None else rho
