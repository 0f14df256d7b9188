"""Truths of the ops on feature maps in float64 NumPy, and how each op is called.

`OPS` is the table that the tests loop over. A case is a list of arrays; `call` gives a list of
results from tensors, `truth` from float64 arrays, `gradients` the gradients of all arrays.
`binding` and `binding_gradients` name the kernels and order their arrays. TensorFlow is imported by
`call` alone: `benchmarks.gpu` checks CUDA kernels against these truths where there is none.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.helpers.dtypes import DTYPES


@dataclasses.dataclass(frozen=True)
class FeatureOp:
    """An op with fixed options."""

    shapes: list[tuple[int, ...]]
    call: Callable[..., Any]  # (module of ops, tensors) -> results
    truth: Callable[..., Any]  # arrays -> results
    gradients: Callable[..., Any]  # (arrays, upstream) -> gradients
    binding: Callable[..., Any]  # (kernels, arrays, num_threads) -> results
    binding_gradients: Callable[..., Any]  # (kernels, arrays, upstream, num_threads) -> gradients
    float32: tuple[int, ...] = ()  # numbers of the arrays that stay float32
    has_kernel: bool = True  # whether the kernels take this size
    is_loss: bool = False  # whether the result is a float32 scalar

    def draw(self, dtype="float32", seed=0):
        """Random arrays, rounded to the dtype."""
        r = np.random.default_rng(seed)
        types = ["float32" if i in self.float32 else dtype for i in range(len(self.shapes))]
        return [rounded(r, s, t) for s, t in zip(self.shapes, types, strict=True)]


def rounded(r, shape, dtype):
    return np.asarray(1.5 * r.standard_normal(shape), np.float32).astype(DTYPES[dtype])


def exact(arrays):
    return [a.astype(np.float64) for a in arrays]


def upstream_of(op, arrays, dtype):
    """Random gradients of the results."""
    r = np.random.default_rng(99)
    if op.is_loss:
        dtype = "float64" if dtype == "float64" else "float32"
    return [rounded(r, y.shape, dtype) for y in op.truth(exact(arrays))]


def error(results, expected):
    """Largest error in units of the largest number of a result."""
    worst = 0.0
    for result, truth in zip(results, expected, strict=True):
        assert np.shape(result) == np.shape(truth)
        off = np.abs(np.asarray(result).astype(np.float64) - truth)
        worst = max(worst, np.max(off, initial=0.0) / max(np.max(np.abs(truth), initial=0), 1e-30))
    return worst


def sigmoid(x):
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))


# === Attention-guided distillation ===


def distill(feature, gates, values):
    return feature + sum(sigmoid(g) * v for g, v in zip(gates, values, strict=True))


def distill_gradients(upstream, gates, values):
    of_gates = [upstream * v * sigmoid(g) * sigmoid(-g) for g, v in zip(gates, values, strict=True)]
    return of_gates, [upstream * sigmoid(g) for g in gates]


def distillation(num_sources, shape=(2, 3, 5, 7)):
    """One target; arrays: features, gates, values."""
    n = num_sources
    numbers = [1, *(x for s in range(n) for x in (0, s, 0, n + s, 0))]

    def gradients(arrays, upstream):
        of_gates, of_values = distill_gradients(upstream[0], arrays[1 : n + 1], arrays[n + 1 :])
        return [upstream[0], *of_gates, *of_values]

    return FeatureOp(
        shapes=[shape] * (2 * n + 1),
        call=lambda ops, x: [ops.attention_distillation(x[0], x[1 : n + 1], x[n + 1 :])],
        truth=lambda x: [distill(x[0], x[1 : n + 1], x[n + 1 :])],
        gradients=gradients,
        binding=lambda kernels, x, t: kernels.attention_distillation(x, numbers, t),
        binding_gradients=lambda kernels, x, u, t: [
            *u,
            *kernels.attention_distillation_grad([*u, *x[1:]], numbers, t),
        ],
    )


def packed_distillation(num_tasks, shape=(2, 3, 4, 5)):
    """All of K tasks send to each other; a source packs, for each target, a gate and a value."""
    k, channels = num_tasks, shape[-1]
    tasks = range(k)
    wide = (*shape[:-1], 2 * (k - 1) * channels)
    # The place among the source's targets, each a gate and a value.
    place = {
        (t, s): 2 * channels * [x for x in tasks if x != s].index(t)
        for t in tasks
        for s in tasks
        if s != t
    }
    numbers = [k]
    for t in tasks:
        for s in tasks:
            if s != t:
                numbers += [t, s, place[t, s], s, place[t, s] + channels]

    def parts(x, t, offset, make):
        return [make(x[k + s], place[t, s] + offset) for s in tasks if s != t]

    def cut(array, first):
        return array[..., first : first + channels]

    def call(ops, x):
        import mtl_tf as mtl

        gates = [parts(x, t, 0, mtl.ops.ChannelSlice) for t in tasks]
        values = [parts(x, t, channels, mtl.ops.ChannelSlice) for t in tasks]
        return ops.attention_distillation(list(x[:k]), gates, values)

    def gradients(arrays, upstream):
        found = [np.zeros_like(x) for x in arrays[k:]]
        for t in tasks:
            gates, values = parts(arrays, t, 0, cut), parts(arrays, t, channels, cut)
            of_gates, of_values = distill_gradients(upstream[t], gates, values)
            for s, g, v in zip([s for s in tasks if s != t], of_gates, of_values, strict=True):
                cut(found[s], place[t, s])[...] = g
                cut(found[s], place[t, s] + channels)[...] = v
        return [*upstream, *found]

    return FeatureOp(
        shapes=[shape] * k + [wide] * k,
        call=call,
        truth=lambda x: [
            distill(x[t], parts(x, t, 0, cut), parts(x, t, channels, cut)) for t in tasks
        ],
        gradients=gradients,
        binding=lambda kernels, x, t: kernels.attention_distillation(x, numbers, t),
        binding_gradients=lambda kernels, x, u, t: [
            *u,
            *kernels.attention_distillation_grad([*u, *x[k:]], numbers, t),
        ],
    )


# === Cross-stitch ===


def cross_stitch(num_tasks, shape=(2, 3, 5, 4), is_scalar=False):
    """Arrays: features, weights."""
    k, channels = num_tasks, shape[-1]

    def whole(weights):
        return np.ascontiguousarray(np.broadcast_to(weights, (k, k, channels)))

    def gradients(arrays, upstream):
        x, w, g = np.stack(arrays[:k]), whole(arrays[k]), np.stack(upstream)
        of_weights = np.einsum("inc,jnc->ijc", *(a.reshape(k, -1, channels) for a in (g, x)))
        if is_scalar:
            of_weights = of_weights.sum(axis=-1, keepdims=True)
        return [*np.einsum("ijc,i...c->j...c", w, g), of_weights]

    def binding_gradients(kernels, x, u, threads):
        found = kernels.cross_stitch_grad([*x[:k], *u, whole(x[k])], num_threads=threads)
        if is_scalar:
            found[-1] = found[-1].sum(axis=-1, keepdims=True)
        return found

    return FeatureOp(
        shapes=[shape] * k + [(k, k, 1 if is_scalar else channels)],
        call=lambda ops, x: ops.cross_stitch(x[:k], x[k]),
        truth=lambda x: list(np.einsum("ijc,j...c->i...c", whole(x[k]), np.stack(x[:k]))),
        gradients=gradients,
        binding=lambda kernels, x, t: kernels.cross_stitch([*x[:k], whole(x[k])], num_threads=t),
        binding_gradients=binding_gradients,
        float32=(k,),
        has_kernel=k <= 6,
    )


# === Affinity diffusion ===


def affinity_diffusion(num_sources, shape=(2, 3, 4), width=5, channels=6, scale=1.0):
    """Arrays: queries, keys, values, mix."""
    s = num_sources

    def flat(x):
        return x.reshape(len(x), int(np.prod(x.shape[1:-1])), x.shape[-1])

    def affinities(x):
        found = []
        for query, key in zip(x[:s], x[s : 2 * s], strict=True):
            scores = scale * np.einsum("bqd,bkd->bqk", flat(query), flat(key))
            shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
            found.append(shifted / shifted.sum(axis=-1, keepdims=True))
        return found

    def truth(x):
        total = sum(m * p for m, p in zip(x[-1], affinities(x), strict=True))
        return [np.einsum("bqk,bkc->bqc", total, flat(x[2 * s])).reshape(x[2 * s].shape)]

    def gradients(x, upstream):
        given, found = flat(upstream[0]), affinities(x)
        slopes = np.einsum("bqc,bkc->bqk", given, flat(x[2 * s]))
        of_queries, of_keys, of_mix = [], [], []
        for m, p, query, key in zip(x[-1], found, x[:s], x[s : 2 * s], strict=True):
            mean = np.sum(p * slopes, axis=-1, keepdims=True)
            of_scores = scale * m * p * (slopes - mean)
            of_queries.append(np.einsum("bqk,bkd->bqd", of_scores, flat(key)).reshape(query.shape))
            of_keys.append(np.einsum("bqk,bqd->bkd", of_scores, flat(query)).reshape(key.shape))
            of_mix.append(mean.sum())
        total = sum(m * p for m, p in zip(x[-1], found, strict=True))
        of_values = np.einsum("bqk,bqc->bkc", total, given).reshape(x[2 * s].shape)
        return [*of_queries, *of_keys, of_values, np.array(of_mix)]

    def scaled(x):
        return [*((scale * q).astype(q.dtype) for q in x[:s]), *x[s:]]

    def call(ops, x):
        x = [*(scale * q for q in x[:s]), *x[s:]]
        return [ops.affinity_diffusion(x[:s], x[s : 2 * s], x[2 * s], x[-1])]

    def binding_gradients(kernels, x, u, threads):
        x = scaled(x)
        _, softmax = kernels.affinity_diffusion(x, num_threads=threads)
        found = kernels.affinity_diffusion_grad([*x, softmax, *u], num_threads=threads)
        return scaled(found)

    return FeatureOp(
        shapes=[(*shape, width)] * (2 * s) + [(*shape, channels), (s,)],
        call=call,
        truth=truth,
        gradients=gradients,
        binding=lambda kernels, x, t: kernels.affinity_diffusion(scaled(x), num_threads=t)[:1],
        binding_gradients=binding_gradients,
        float32=(2 * s + 1,),
    )


# === Losses of enlarged predictions ===


def interpolation(small, large):
    """`[large, small]`: the shares of small positions in large ones, half-pixel centres."""
    place = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    return np.maximum(1 - np.abs(place[:, None] - np.arange(small)), 0)


def upsample_loss(name, shape, size, kind="some", seed=0):
    """Arrays: predictions. Targets and weights are fixed; `kind` says which weights are zero."""
    r = np.random.default_rng(seed)
    batch, height, width, channels = shape
    large = (batch, *size)
    if name == "upsample_l1":
        targets = np.float32(r.standard_normal((*large, channels)))
    else:
        targets = r.integers(0, channels, large).astype(np.int32)
    weights = {
        "some": np.float32(r.integers(0, 2, large)),
        "all": np.ones(large, np.float32),
        "none": np.zeros(large, np.float32),
        "fractions": np.float32(r.uniform(0, 2, large)),
    }[kind]
    if name != "upsample_l1":
        targets = np.where(weights > 0, targets, 255).astype(np.int32)
    rows, columns = interpolation(height, size[0]), interpolation(width, size[1])

    def parts(x):
        """Losses of the pixels and their slopes."""
        z = np.einsum("Yy,byxc,Xx->bYXc", rows, x, columns)
        if name == "upsample_l1":
            difference = z - targets[: len(x)]
            return np.abs(difference).mean(axis=-1), np.sign(difference) / channels
        chosen = np.eye(channels)[np.minimum(targets[: len(x)], channels - 1)]
        shifted = z - z.max(axis=-1, keepdims=True)
        sums = np.exp(shifted).sum(axis=-1, keepdims=True)
        values = np.log(sums[..., 0]) - np.sum(shifted * chosen, axis=-1)
        return values, np.exp(shifted) / sums - chosen

    def truth(x):
        used = weights[: len(x[0])].astype(np.float64)
        total = used.sum()
        return [np.sum(parts(x[0])[0] * used) / total if total else np.float64(0)]

    def gradients(x, upstream):
        used = weights[: len(x[0])].astype(np.float64)
        slopes = parts(x[0])[1] * used[..., None] / max(used.sum(), 1e-30)
        return [upstream[0] * np.einsum("Yy,bYXc,Xx->byxc", rows, slopes, columns)]

    def call(ops, x):
        import tensorflow as tf

        count = tf.shape(x[0])[0]
        fixed = [tf.constant(array)[:count] for array in (targets, weights)]
        if x[0].shape[0] is not None:
            fixed = [tf.ensure_shape(a, [x[0].shape[0], *a.shape[1:]]) for a in fixed]
        return [getattr(ops, name)(x[0], *fixed)]

    def binding(kernels, x, threads):
        return getattr(kernels, name)(
            [np.float32(x[0]), targets[: len(x[0])], weights[: len(x[0])]], num_threads=threads
        )

    return FeatureOp(
        shapes=[shape],
        call=call,
        truth=truth,
        gradients=gradients,
        binding=lambda *a: binding(*a)[:1],
        binding_gradients=lambda kernels, x, u, t: [u[0] * binding(kernels, x, t)[1]],
        is_loss=True,
    )


CROSS_ENTROPY, L1 = "upsample_cross_entropy", "upsample_l1"
OPS = {
    "attention_distillation, 1 source": distillation(1),
    "attention_distillation, 4 sources": distillation(4, (2, 4, 4, 32)),
    "attention_distillation, 16 sources": distillation(16, (1, 2, 3, 9)),
    "attention_distillation, wide": distillation(2, (2, 40, 40, 48)),
    "attention_distillation, one number": distillation(1, (1,)),
    "attention_distillation, packed, 2 tasks": packed_distillation(2),
    "attention_distillation, packed, 5 tasks": packed_distillation(5, (2, 3, 4, 18)),
    "attention_distillation, packed, aligned": packed_distillation(3, (1, 30, 40, 64)),
    **{f"cross_stitch, {k} tasks": cross_stitch(k) for k in range(1, 8)},
    "cross_stitch, scalar": cross_stitch(3, is_scalar=True),
    "cross_stitch, wide": cross_stitch(2, (3, 50, 41, 35)),
    "cross_stitch, flat": cross_stitch(3, (5, 64)),
    "cross_stitch, one position": cross_stitch(2, (1, 1, 1, 300)),
    "affinity_diffusion, 1 source": affinity_diffusion(1),
    "affinity_diffusion, 3 sources": affinity_diffusion(3, (2, 6, 7), 8, 17),
    "affinity_diffusion, many positions": affinity_diffusion(2, (1, 15, 20), 33, 40, 0.25),
    "affinity_diffusion, whole panels": affinity_diffusion(2, (2, 8, 8), 32, 64, 0.25),
    "affinity_diffusion, one position": affinity_diffusion(2, (2, 1), 3, 2),
    "affinity_diffusion, one image row": affinity_diffusion(1, (1, 129), 4, 1, 0.5),
    "upsample_cross_entropy, twice": upsample_loss(CROSS_ENTROPY, (2, 3, 4, 5), (6, 8)),
    "upsample_cross_entropy, 40 classes": upsample_loss(CROSS_ENTROPY, (2, 5, 6, 40), (40, 48)),
    "upsample_cross_entropy, many rows": upsample_loss(CROSS_ENTROPY, (2, 20, 5, 17), (160, 10)),
    "upsample_cross_entropy, no multiple": upsample_loss(
        CROSS_ENTROPY, (1, 5, 7, 33), (13, 17), "fractions"
    ),
    "upsample_cross_entropy, smaller": upsample_loss(CROSS_ENTROPY, (2, 8, 9, 3), (4, 5), "all"),
    "upsample_cross_entropy, one place": upsample_loss(CROSS_ENTROPY, (2, 1, 1, 7), (5, 6)),
    "upsample_cross_entropy, same size": upsample_loss(CROSS_ENTROPY, (2, 6, 5, 2), (6, 5)),
    "upsample_cross_entropy, nothing valid": upsample_loss(
        CROSS_ENTROPY, (2, 3, 4, 5), (6, 8), "none"
    ),
    "upsample_l1, one channel": upsample_loss(L1, (2, 5, 6, 1), (40, 48)),
    "upsample_l1, three channels": upsample_loss(L1, (2, 20, 3, 3), (170, 11), "fractions"),
    "upsample_l1, seventeen channels": upsample_loss(L1, (1, 4, 3, 17), (9, 7), "all"),
    "upsample_l1, nothing valid": upsample_loss(L1, (2, 3, 4, 2), (6, 8), "none"),
}
