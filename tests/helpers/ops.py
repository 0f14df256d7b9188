"""Truths of the ops in float64 NumPy, written from their definitions, and random inputs.

Without TensorFlow, so that tests can use it where only the NumPy bindings are loaded.
"""

# ruff: noqa: N803 (J and G as in the papers)

import itertools

import ml_dtypes
import numpy as np
import scipy.optimize

from tests.helpers.dtypes import DTYPES

# Around the widths of vectors, and empty and scalar tensors.
SMALL_SHAPES = [
    (),
    (0,),
    (1,),
    (3,),
    (4,),
    (7,),
    (8,),
    (15,),
    (16,),
    (17,),
    (31,),
    (32,),
    (33,),
    (63,),
    (64,),
    (65,),
    (2, 3, 5),
    (4, 0, 2),
    (1023,),
    (1025,),
]
LARGE_SHAPES = [(65_535,), (65_536,), (65_537,), (131_073,)]  # around the size of a slice

# === Task gradients ===


def random_gradients(num_tasks, shapes, dtype="float32", seed=0, none=0.0):
    """K lists of V arrays; a share `none` of them is `None`."""
    r = np.random.default_rng(seed)

    def draw(shape):
        return np.asarray(r.standard_normal(shape), np.float32).astype(DTYPES[dtype])

    return [[None if r.random() < none else draw(s) for s in shapes] for _ in range(num_tasks)]


def random_uniform(task_gradients, seed=0):
    """V float32 arrays in [0, 1), `None` where no task has a gradient."""
    r = np.random.default_rng(seed)
    shapes = _shapes(task_gradients)
    return [None if s is None else np.asarray(r.random(s, np.float32)) for s in shapes]


def random_order(num_tasks, seed=0):
    r = np.random.default_rng(seed)
    others = [[j for j in range(num_tasks) if j != i] for i in range(num_tasks)]
    order = [r.permutation(np.int32(row)) for row in others]
    return np.array(order, np.int32).reshape(num_tasks, num_tasks - 1)


def _shapes(task_gradients):
    columns = zip(*task_gradients, strict=True)
    return [next((np.shape(g) for g in column if g is not None), None) for column in columns]


def dense(task_gradients):
    """The gradients as float64 arrays, zero for `None`."""
    shapes = [() if s is None else s for s in _shapes(task_gradients)]
    return [
        [
            np.zeros(s) if g is None else np.asarray(g).astype(np.float64)
            for g, s in zip(row, shapes, strict=True)
        ]
        for row in task_gradients
    ]


def jacobian(task_gradients):
    """`[K, P]` float64."""
    rows = [np.concatenate([[], *[g.ravel() for g in row]]) for row in dense(task_gradients)]
    return np.stack(rows)


def split(direction, task_gradients):
    """A vector `[P]` cut into the V tensors; `None` where no task has a gradient."""
    parts, start = [], 0
    for shape in _shapes(task_gradients):
        size = 1 if shape is None else int(np.prod(shape))
        own = direction[start : start + size]
        parts.append(None if shape is None else own.reshape(shape))
        start += size
    return parts


def gramian(task_gradients):
    return jacobian(task_gradients) @ jacobian(task_gradients).T


def weighted_sum(task_gradients, weights):
    return split(np.float64(weights) @ jacobian(task_gradients), task_gradients)


def gradient_projection(task_gradients, order):
    return split(pcgrad(jacobian(task_gradients), order), task_gradients)


def grad_drop_shares(task_gradients, uniform, leak):
    """K lists of V arrays: what is kept of each gradient; and V arrays: how sure the choice is."""
    gradients = dense(task_gradients)
    shares, margins = [[None] * len(gradients[0]) for _ in gradients], []
    for v, column in enumerate(zip(*gradients, strict=True)):
        total, magnitude = sum(column), sum(np.abs(g) for g in column)
        some = magnitude > 0
        purity = np.where(some, (1 + total / np.where(some, magnitude, 1)) / 2, 0.5)
        number = 0.5 if uniform[v] is None else np.float64(uniform[v])
        margins.append(np.where(some, np.abs(purity - number), 1.0))
        for k, g in enumerate(column):
            keep = ((g > 0) & (purity > number)) | ((g < 0) & (purity < number))
            shares[k][v] = np.float64(leak[k]) + (1 - np.float64(leak[k])) * keep
    return shares, margins


def grad_drop(task_gradients, uniform, leak):
    shares, _ = grad_drop_shares(task_gradients, uniform, leak)
    gradients = dense(task_gradients)
    return [
        None if shape is None else sum(s[v] * g[v] for s, g in zip(shares, gradients, strict=True))
        for v, shape in enumerate(_shapes(task_gradients))
    ]


def relative_error(gramian, expected):
    """Largest error of a cosine."""
    norms = np.sqrt(np.diag(expected))
    scale = np.maximum(np.outer(norms, norms), 1e-300)
    return np.max(np.abs(np.asarray(gramian) - expected) / scale, initial=0.0)


def direction_error(directions, expected, scale, checked=None):
    """Largest error of V tensors in units of `scale`, V tensors; only where `checked`.

    Below the least normal number of the dtype, rounding no longer depends on the size.
    """
    worst = 0.0
    for v, truth in enumerate(expected):
        assert (truth is None) == (directions[v] is None)
        if truth is None:
            continue
        result = np.asarray(directions[v])
        assert result.shape == truth.shape
        least = float(ml_dtypes.finfo(result.dtype).tiny)
        off = np.abs(result.astype(np.float64) - truth) / np.maximum(scale[v], least)
        worst = max(worst, np.max(off, initial=0.0, where=True if checked is None else checked[v]))
    return worst


def magnitudes(task_gradients, weights):
    """V arrays: `Σ_k |w_k g_kv|`, the scale of rounding errors."""
    absolute = [[np.abs(g) for g in row] for row in dense(task_gradients)]
    return [
        sum(abs(w) * row[v] for w, row in zip(weights, absolute, strict=True))
        for v in range(len(absolute[0]))
    ]


# === Jacobians for `balance` ===


def random_jacobian(num_tasks, seed, kind="plain"):
    """Well-posed `[K, K + 3]`: `plain`, with much `conflict`, or rows of lengths 1e-3 to 1e3."""
    r = np.random.default_rng([seed, num_tasks])
    J = r.standard_normal((num_tasks, num_tasks + 3))
    if kind == "conflict":
        J -= 0.8 * J.mean(axis=0)
    if kind == "lengths":
        J *= 10.0 ** r.uniform(-3, 3, (num_tasks, 1))
    return J


KINDS = ("plain", "conflict", "lengths")

J2 = np.array([[-4.0, 1, 1], [6, 1, 1]])
J3 = np.array([[1, 2, 0, -1], [-2, 0.5, 1, 0], [0.5, -1, 3, 2]])


def hard_jacobians():
    """Name and `[K, P]`: what solvers stumble over."""
    r = np.random.default_rng(7)
    a, b, c, e = r.standard_normal((4, 6))
    lengths = 10.0 ** np.array([-6.0, -3, 0, 3, 6])
    return {
        "one task": np.array([a]),
        "opposite": np.array([a, -a]),
        "opposite, other length": np.array([a, -3 * a]),
        "near-opposite": np.array([a, -a + 1e-6 * b]),
        "near-opposite and a third": np.array([a, -a + 1e-4 * b, c]),
        "opposite and a third": np.array([a, -a, b]),
        "parallel": np.array([a, 2 * a]),
        "near-parallel": np.array([a, a + 1e-6 * b, a + 1e-6 * c]),
        "duplicates": np.array([a, a, b]),
        "all the same": np.array([a, a, a, a]),
        "rank 2 of 4": np.array([a, b, a + b, a - 2 * b]),
        "sum is zero": np.array([a, b, -a - b]),
        "a zero row": np.array([a, 0 * a, b, c]),
        "two zero rows": np.array([0 * a, a, -a + b, 0 * a]),
        "all zero": np.zeros((3, 6)),
        "lengths 1e-6 to 1e6": r.standard_normal((5, 6)) * lengths[:, None],
        "lengths 1e6 to 1e-6, conflict": np.array([1e6 * a, 1e-6 * (b - a), c - a]),
        "one dimension": np.array([[1.0], [2.0], [5.0]]),
        "wide": np.vstack([r.standard_normal((20, 8)), e[:1] * np.ones((1, 8))]),
    }


# === What `balance` should give: residuals, 0 for exact weights ===


def _lengths(G):
    return np.sqrt(np.diag(G))


def mgda_residual(G, w):
    """`w` on the simplex; every gradient at least as far along the shortest point as it is long."""
    norms, pull = _lengths(G), G @ w
    slack = (pull - w @ pull) / (norms * norms.min())
    off = np.where(w > 0, np.abs(slack), -slack)
    return max(abs(w.sum() - 1), -w.min(), off.max())


def dualproj_residual(G, w, preference):
    """`v >= p`, `Gv >= 0`, and `(Gv)_i = 0` where `v_i > p_i`."""
    norms = _lengths(G)
    unit = np.max(preference * norms)
    pull = (G @ w) / (norms * unit)
    above = (w - preference) * norms / unit
    off = np.where(above > 1e-12, np.abs(pull), -pull)
    return max(-above.min(), off.max())


def cagrad_gap(G, w, c):
    """Primal: how far `|d - g_0| <= c |g_0|` is broken, and the gap to the dual bound

    `min_i <g_i, d> <= <g_x, g_0> + c |g_0| |g_x|` for every convex combination `g_x`. The simplex
    solution of the method's own problem is the `x` where it is tight.
    """
    num_tasks = len(G)
    mean = np.full(num_tasks, 1 / num_tasks)
    x = w - mean
    length = np.sqrt(mean @ G @ mean)
    assert x.min() >= -1e-12
    moved = np.sqrt(max(x @ G @ x, 0))
    broken = moved / (c * length) - 1
    gained = np.min(G @ w)
    total = x.sum()
    bound = (x @ G @ mean + c * length * moved) / total
    return max(broken, abs(bound - gained) / (_lengths(G).min() * length * (1 + c)))


def cagrad_simplex(w):
    """The method's own variable: the convex combination that is added to the mean."""
    x = w - 1 / len(w)
    return x / x.sum()


def fairgrad_residual(G, w, alpha=1.0):
    """`G w = w^(-1 / alpha)`, `w > 0`."""
    assert np.all(w > 0)
    return np.max(np.abs((G @ w) * w ** (1 / alpha) - 1))


def imtl_g_residual(G, w):
    """Weights of sum 1, equal projections on the unit gradients."""
    norms = _lengths(G)
    projections = (G @ w) / norms
    spread = np.ptp(projections) / (np.abs(w) @ norms)
    return max(spread, abs(w.sum() - 1) / np.abs(w).sum())


# === What `balance` should give: exact weights or directions ===


def _nonnegative_step(J, start):
    """`argmin |J' x + start|` over `x >= 0`, by SciPy on unit rows."""
    norms = np.linalg.norm(J, axis=1)
    scale = max(np.linalg.norm(start), 1e-300)
    x, _ = scipy.optimize.nnls((J / norms[:, None]).T, -start / scale, maxiter=100 * len(J) + 100)
    return x * scale / norms


def mgda_direction(J):
    """Shortest point of the convex hull: SciPy's NNLS on `[J; 1]`, which ends up along it."""
    shortest = np.linalg.norm(J, axis=1).min()
    system = np.vstack([J.T / shortest, np.ones(len(J))])
    x, _ = scipy.optimize.nnls(system, np.append(np.zeros(J.shape[1]), 1.0), maxiter=10_000)
    return J.T @ (x / x.sum())


def dualproj_direction(J, preference):
    start = preference @ J
    return start + _nonnegative_step(J, start) @ J


def upgrad_direction(J, preference):
    alone = [preference * (np.arange(len(J)) == i) for i in range(len(J))]
    return sum(dualproj_direction(J, p) for p in alone)


def aligned_mtl(J, preference, scale="min"):
    """By the singular values of `J`."""
    U, s, _ = np.linalg.svd(J, full_matrices=False)
    kept = s > np.sqrt(len(J) * 2.2e-16) * s.max()
    U, s = U[:, kept], s[kept]
    ascending = np.sort(s**2)
    chosen = {
        "min": ascending[0],
        "median": ascending[(len(ascending) - 1) // 2],
        "mean": ascending.mean(),
    }[scale]
    return U @ (np.sqrt(chosen) / s * (U.T @ preference))


def ascending_order(num_tasks):
    others = [[j for j in range(num_tasks) if j != i] for i in range(num_tasks)]
    return np.array(others, np.int32).reshape(num_tasks, num_tasks - 1)


def pcgrad(J, order):
    """The textbook loop on vectors."""
    total = np.zeros(J.shape[1])
    for i, others in enumerate(order):
        v = J[i].copy()
        for j in others:
            square = J[j] @ J[j]
            if square > 0 and v @ J[j] < 0:
                v -= (v @ J[j]) / square * J[j]
        total += v
    return total


def gradvac(J, order, targets, beta):
    """The textbook loop on vectors: the direction and the new targets."""
    total, new_targets = np.zeros(J.shape[1]), np.array(targets, np.float64)
    for i, others in enumerate(order):
        v, own = J[i].copy(), np.linalg.norm(J[i])
        for j in others:
            other = np.linalg.norm(J[j])
            if own == 0 or other == 0:
                continue
            length = np.linalg.norm(v)
            cosine = np.clip(v @ J[j] / (length * other), -1, 1) if length > 0 else 0.0
            target = targets[i][j]
            if cosine < target:
                turn = target * np.sqrt(1 - cosine**2) - cosine * np.sqrt(1 - target**2)
                v += length * turn / (other * np.sqrt(1 - target**2)) * J[j]
            new_targets[i, j] = (1 - beta) * target + beta * cosine
        total += v
    return total, new_targets


def orders(num_tasks):
    """All orders of projections for a few tasks."""
    own = [list(itertools.permutations(row)) for row in ascending_order(num_tasks)]
    return [np.array(o, np.int32) for o in itertools.product(*own)]
