"""Reference solvers that are quadratic problems: MGDA, UPGrad, DualProj, CAGrad."""

from typing import NamedTuple

import tensorflow as tf

from mtl_tf.ops.reference._unit_gramian import UnitGramian, solve, times

Solution = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # weights [K], residual, has a solution


class _State(NamedTuple):
    x: tf.Tensor
    support: tf.Tensor
    blocked: tf.Tensor
    is_bounded: tf.Tensor
    step: tf.Tensor


def nonnegative_quadratic(
    matrix: tf.Tensor, vector: tf.Tensor, allowed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`argmin 1/2 x'Ax + b'x` over `x >= 0`, zero where not `allowed` (Lawson & Hanson 1974).

    Args:
        matrix: A `[K, K]` positive semidefinite with a diagonal near 1.
        vector: b `[K]`.
        allowed: bool `[K]`.

    Returns:
        `(x, is_bounded)`: `[K]`, and whether there is a minimum.
    """
    largest = tf.reduce_max(tf.abs(vector))
    tolerance = 16 * 2.2e-16 * tf.cast(tf.size(vector), tf.float64) * largest
    infinity = tf.constant(float("inf"), tf.float64)

    def slopes(state: _State) -> tf.Tensor:
        free = allowed & ~state.support & ~state.blocked
        gradient = times(matrix, state.x) + vector
        return tf.where(free & (gradient < -tolerance), gradient, infinity)

    def unfinished(*values: tf.Tensor) -> tf.Tensor:
        state = _State(*values)
        limit = 20 * tf.size(vector) + 20
        return (state.step < limit) & (tf.reduce_min(slopes(state)) < infinity)

    def enter(*values: tf.Tensor) -> _State:
        state = _State(*values)
        slope = slopes(state)
        index = tf.argmin(slope)
        entering = tf.one_hot(index, tf.size(vector), True, False, dtype=tf.bool)
        # Along (1 for the entering index, -z on the support) the curvature is the pivot.
        column = tf.gather(matrix, index, axis=1)
        z = on_support(matrix, column, state.support)
        is_dependent = tf.gather(column, index) - tf.reduce_sum(column * z) <= 1e-13
        share = tf.where(
            state.support & (z > 1e-9), state.x / tf.where(z > 1e-9, z, 1e300), infinity
        )
        step = tf.reduce_min(share)
        falls = tf.reduce_min(slope) < -1e-7 * largest
        exchanges = is_dependent & falls & (step < infinity)
        exchanged = tf.where(
            entering, step, tf.maximum(state.x - tf.where(exchanges, step, 0.0) * z, 0)
        )
        leaving = exchanges & (share <= step)
        x, support = _minimum(
            matrix,
            vector,
            tf.where(exchanges & ~leaving, exchanged, tf.where(leaving, 0.0 * z, state.x)),
            (state.support & ~leaving) | entering,
        )
        moves = exchanges | (~is_dependent & tf.reduce_any(entering & (x > 0)))
        return _State(
            tf.where(moves, x, state.x),
            tf.where(moves, support, state.support),
            tf.where(moves, tf.zeros_like(state.blocked), state.blocked | entering),
            state.is_bounded & ~(is_dependent & falls & ~(step < infinity)),
            state.step + 1,
        )

    nobody = tf.zeros_like(allowed)
    start = _State(tf.zeros_like(vector), nobody, nobody, tf.constant(True), tf.constant(0))
    final = _State(*tf.while_loop(unfinished, enter, start))
    return final.x, final.is_bounded


def _minimum(
    matrix: tf.Tensor, vector: tf.Tensor, x: tf.Tensor, support: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Move `x` to the minimum over the support, dropping what becomes zero on the way."""
    infinity = tf.constant(float("inf"), tf.float64)

    def body(
        x: tf.Tensor, support: tf.Tensor, _: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        trial = on_support(matrix, -vector, support)
        falling = support & (trial <= 0)
        share = tf.where(falling, tf.where(x > 0, x / tf.maximum(x - trial, 1e-300), 0.0), infinity)
        step = tf.reduce_min(share)
        is_done = ~tf.reduce_any(falling)
        moved = tf.where(
            is_done, trial, x + tf.where(is_done, tf.zeros_like(step), step) * (trial - x)
        )
        support &= ~(falling & (share <= step))
        return tf.where(support, tf.maximum(moved, 0), 0.0), support, is_done

    x, support, _ = tf.while_loop(
        lambda _x, _support, is_done: ~is_done, body, (x, support, tf.constant(False))
    )
    return x, support


def on_support(matrix: tf.Tensor, vector: tf.Tensor, support: tf.Tensor) -> tf.Tensor:
    """Solution of the support's rows and columns, zero elsewhere."""
    inside = tf.cast(support, tf.float64)
    system = matrix * inside[:, None] * inside[None, :] + tf.linalg.diag(1 - inside)
    return solve(system, vector * inside) * inside


def _off_optimum(gradient: tf.Tensor, x: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """Return the violation of `x >= 0, gradient >= 0, gradient = 0 where x > 0`."""
    off = tf.where(x > 0, tf.abs(gradient), tf.maximum(-gradient, 0))
    return tf.reduce_max(tf.where(present, off, 0.0))


def min_norm(unit: UnitGramian) -> Solution:
    """MGDA: the shortest convex combination of the gradients (Desideri 2012)."""
    shortest = tf.reduce_min(tf.where(unit.present, unit.norms, 1.0))
    d = tf.where(unit.present, shortest / unit.norms, 0.0)
    y, _ = nonnegative_quadratic(unit.cosines + d[:, None] * d[None, :], -d, unit.present)
    y /= tf.maximum(tf.reduce_sum(d * y), 1e-300)
    pull = times(unit.cosines, y)
    residual = _off_optimum(pull - d * tf.reduce_sum(y * pull), y, unit.present)
    return d * y, residual, tf.constant(True)


def dual_projection(unit: UnitGramian, preference: tf.Tensor) -> Solution:
    """DualProj: `argmin v'Gv, v >= p` (Lopez-Paz & Ranzato 2017)."""
    bound = tf.where(unit.present, preference * unit.norms, 0.0)
    largest = tf.maximum(tf.reduce_max(tf.abs(bound)), 1e-300)
    bound /= largest
    vector = times(unit.cosines, bound)
    x, _ = nonnegative_quadratic(unit.cosines, vector, unit.present)
    residual = _off_optimum(times(unit.cosines, x) + vector, x, unit.present)
    return (bound + x) * largest / unit.norms, residual, tf.constant(True)


def upgrad(unit: UnitGramian, preference: tf.Tensor) -> Solution:
    """UPGrad: the sum of every task's own projection (Quinton & Rey 2024)."""
    size = tf.size(preference)

    def add(i: tf.Tensor, total: tf.Tensor, residual: tf.Tensor) -> tuple:
        alone = preference * tf.one_hot(i, size, dtype=tf.float64)
        weights, own_residual, _ = dual_projection(unit, alone)
        return i + 1, total + weights, tf.maximum(residual, own_residual)

    _, total, residual = tf.while_loop(
        lambda i, *_: i < size,
        add,
        (tf.constant(0), tf.zeros_like(preference), tf.zeros([], tf.float64)),
    )
    return total, residual, tf.constant(True)


def cagrad(unit: UnitGramian, c: tf.Tensor) -> Solution:
    """CAGrad: `max_d min_i <g_i, d>` for `|d - g_0| <= c |g_0|` (Liu et al. 2021).

    For a level t, the direction nearest to the mean with `<g_i, d> >= t` is a non-negative
    quadratic problem; the level whose distance is `c |g_0|` is searched inside a bracket.
    """
    present, norms, average = unit.present, unit.norms, unit.mean_of_present()
    level_slope = tf.where(present, 1 / norms, 0.0)
    own = average * norms
    mean = times(unit.cosines, own)
    square = tf.reduce_sum(own * mean)
    is_rounding = square <= 4 * 2.2e-16 * tf.reduce_sum(own) ** 2  # nowhere to go
    radius = tf.where(is_rounding, tf.zeros_like(square), c * tf.sqrt(tf.maximum(square, 0)))

    def lowest(length: tf.Tensor) -> tf.Tensor:
        return tf.reduce_min(tf.where(present, norms * (mean + length), float("inf")))

    def at(level: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        x, is_bounded = nonnegative_quadratic(unit.cosines, mean - level * level_slope, present)
        distance = tf.sqrt(tf.maximum(tf.reduce_sum(x * times(unit.cosines, x)), 0))
        return x, distance, is_bounded

    low, high = lowest(tf.zeros([], tf.float64)), lowest(radius)
    width = high - low

    def unfinished(low: tf.Tensor, high: tf.Tensor, _: tf.Tensor, is_found: tf.Tensor) -> tf.Tensor:
        closed = high - low <= 1e-15 * (tf.abs(high) + tf.abs(low)) + 1e-22 * width
        return ~is_found & ~closed

    def narrow(low: tf.Tensor, high: tf.Tensor, level: tf.Tensor, _: tf.Tensor) -> tuple:
        x, distance, is_bounded = at(level)
        is_found = is_bounded & (tf.abs(distance - radius) <= 1e-14 * radius)
        is_high = ~is_bounded | (distance > radius)
        low, high = tf.where(is_high, low, level), tf.where(is_high, level, high)
        # On one support the squared distance is level^2 aa - 2 level ab + bb.
        from_mean = on_support(unit.cosines, mean, x > 0)
        from_level = on_support(unit.cosines, level_slope, x > 0)
        aa = tf.reduce_sum(level_slope * from_level)
        ab = tf.reduce_sum(level_slope * from_mean)
        root = ab * ab - aa * (tf.reduce_sum(mean * from_mean) - radius * radius)
        step = (ab + tf.sqrt(tf.maximum(root, 0))) / tf.maximum(aa, 1e-300)
        is_inside = (root >= 0) & (step > low) & (step < high)
        chosen = tf.where(is_inside, step, low + (high - low) / 2)
        return low, high, tf.where(is_found, level, chosen), is_found

    low, high, level, is_found = tf.while_loop(
        unfinished, narrow, (low, high, high, tf.constant(False)), maximum_iterations=300
    )
    level = tf.where(is_found, level, low)
    x, distance, _ = at(level)
    gradient = times(unit.cosines, x) + mean - level * level_slope
    residual = _off_optimum(gradient, x, present) * c / tf.maximum(radius, 1e-300)
    is_trivial = radius <= 0
    has_solution = is_trivial | (tf.abs(distance - radius) <= 1e-5 * radius)
    weights = average + tf.where(is_trivial, tf.zeros_like(x), x * level_slope)
    return weights, tf.where(is_trivial, tf.zeros_like(residual), residual), has_solution
