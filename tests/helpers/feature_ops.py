"""Truths of the ops on feature maps in float64 NumPy, and how each op is called.

`OPS` is the table that the tests loop over. A case is a list of arrays; `call` gives a list of
results from tensors, `truth` from float64 arrays, `gradients` the gradients of all arrays.
`binding` and `binding_gradients` name the kernels and order their arrays.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

import mtl_tf as mtl
from tests.helpers.ops import DTYPES


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

    def draw(self, dtype="float32", seed=0):
        """Random arrays, rounded to the dtype."""
        r = np.random.default_rng(seed)
        types = ["float32" if i in self.float32 else dtype for i in range(len(self.shapes))]
        return [rounded(r, s, t) for s, t in zip(self.shapes, types, strict=True)]


def rounded(r, shape, dtype):
    return np.asarray(1.5 * r.standard_normal(shape), np.float32).astype(DTYPES[dtype])


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
            *u, *kernels.attention_distillation_grad([*u, *x[1:]], numbers, t)
        ],
    )  # fmt: skip


def packed_distillation(num_tasks, shape=(2, 3, 4, 5)):
    """All of K tasks send to each other; a source packs, for each target, a gate and a value."""
    k, channels = num_tasks, shape[-1]
    tasks = range(k)
    wide = (*shape[:-1], 2 * (k - 1) * channels)
    # The place among the source's targets, each a gate and a value.
    place = {(t, s): 2 * channels * [x for x in tasks if x != s].index(t)
             for t in tasks for s in tasks if s != t}  # fmt: skip
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
            *u, *kernels.attention_distillation_grad([*u, *x[k:]], numbers, t)
        ],
    )  # fmt: skip


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
        binding=lambda kernels, x, t: kernels.cross_stitch(
            [*x[:k], whole(x[k])], num_threads=t
        ),
        binding_gradients=binding_gradients,
        float32=(k,),
        has_kernel=k <= 6,
    )  # fmt: skip


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
}  # fmt: skip
