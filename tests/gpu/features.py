"""Claim: the CUDA kernels on feature maps are right, and faster than compiled PyTorch and JAX.

Command: `python -m benchmarks.gpu --parts features` (needs an NVIDIA GPU).
False if: an error is above its bound, or a row of the printed table has a time below the kernel's.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.gpu.correctness import Findings
from tests.helpers.feature_ops import OPS, FeatureOp, exact, upstream_of

# Errors as shares of a result's largest number: in roundings of its dtype, and of products that are
# rounded to it on their way (scores and affinities of 16 bits). Besides those of float32, as shares
# of the largest sum of magnitudes: a result may be one sum that cancels.
ROUNDINGS = {"values": 3, "gradients": 6}
ROUNDING = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
OF_FLOAT32 = 1e-5
# How many of an op's arrays, from the last on, its results are sums of products of.
FACTORS = {"cross_stitch": 99, "affinity_diffusion": 2}
Forms = dict[str, Callable[[], Any]]


class OnDevice:
    """The CUDA kernels as the NumPy bindings: arrays of the host in and out."""

    def __init__(self, kernels: Any, arrays: Any) -> None:
        self._cuda, self._arrays = kernels.cuda, arrays

    def __getattr__(self, name: str) -> Callable[..., list[np.ndarray]]:
        kernel = getattr(self._cuda, name)

        def call(values: Any, numbers: Any = (), num_threads: int = 1) -> list[np.ndarray]:
            on_device = [self._to_device(np.asarray(value)) for value in values]
            results = kernel(on_device, list(numbers), stream=self._arrays.stream)
            return [np.float32(self._arrays.host(result)) for result in results]

        return call

    def _to_device(self, value: np.ndarray) -> Any:
        dtype = str(value.dtype)
        return self._arrays.array(value if dtype == "int32" else np.float32(value), dtype)


def check_features(kernels: Any, dtypes: tuple[str, ...], seed: int, findings: Findings) -> None:
    """Every op of the table against float64 NumPy; `kernels` as the NumPy bindings."""
    for name, op in OPS.items():
        if not op.has_kernel:
            continue
        for dtype in dtypes:
            arrays = op.draw(dtype, seed)
            upstream = upstream_of(op, arrays, dtype)
            kernel, _, where = name.partition(", ")
            sizes = magnitudes(kernel, op, exact(arrays), exact(upstream))
            found = {
                "values": (op.binding(kernels, arrays, 2), op.truth(exact(arrays))),
                "gradients": (
                    op.binding_gradients(kernels, arrays, upstream, 2),
                    op.gradients(exact(arrays), exact(upstream)),
                ),
            }
            for part, (results, truth) in found.items():
                shares = [
                    _share(result, right, size, ROUNDINGS[part] * ROUNDING[dtype])
                    for result, right, size in zip(results, truth, sizes[part], strict=True)
                ]
                findings.add(f"{kernel}, {part}", dtype, where, np.array(shares), 1.0)


def magnitudes(
    kernel: str, op: FeatureOp, arrays: list[np.ndarray], upstream: list[np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """The op's values and gradients with the magnitudes of what it adds products of."""
    kept = max(0, len(arrays) - FACTORS.get(kernel, 0))
    factors = [*arrays[:kept], *(np.abs(x) for x in arrays[kept:])]
    gradients = op.gradients(factors, [np.abs(u) for u in upstream])
    return {"values": op.truth(factors), "gradients": gradients}


def _share(result: np.ndarray, truth: np.ndarray, size: np.ndarray, rounding: float) -> float:
    """The largest error of a result, as a share of its bound."""
    assert np.shape(result) == np.shape(truth)
    largest, sum_of = (np.max(np.abs(x), initial=1e-30) for x in (truth, size))
    bound = rounding * largest + OF_FLOAT32 * max(largest, sum_of)
    return np.max(np.abs(np.asarray(result).astype(np.float64) - truth), initial=0.0) / bound


# === Speed ===


class LibraryForms:
    """The ops in PyTorch or JAX (`xp`); only what the two write differently is asked for."""

    def __init__(self, arrays: Any) -> None:
        self.is_jax = arrays.package == "jax"
        self.library = arrays.library
        self.xp = arrays.library.numpy if self.is_jax else arrays.library

    def _like(self, x: Any, other: Any) -> Any:
        return x.astype(other.dtype) if self.is_jax else x.to(other.dtype)

    def distill(self, features: Any, gates: list[Any], values: list[Any]) -> Any:
        sigmoid = self.library.nn.sigmoid if self.is_jax else self.library.sigmoid
        for gate, value in zip(gates, values, strict=True):
            features = features + sigmoid(gate) * value
        return features

    def stitch(self, features: list[Any], weights: Any) -> Any:
        tasks, weights = range(len(features)), self._like(weights, features[0])
        return [sum(weights[i, j] * features[j] for j in tasks) for i in tasks]

    def diffuse(self, queries: list[Any], keys: list[Any], values: Any, mix: Any) -> Any:
        softmax = functools.partial(
            self.library.nn.softmax if self.is_jax else self.library.softmax,
            **({"axis": -1} if self.is_jax else {"dim": -1}),
        )
        total, mix = 0.0, self._like(mix, values)
        for n, (query, key) in enumerate(zip(queries, keys, strict=True)):
            total = total + mix[n] * softmax(query @ self.xp.swapaxes(key, 1, 2))
        return total @ values

    def cross_entropy(self, logits: Any, labels: Any, weights: Any) -> Any:
        height, width = labels.shape[1:]
        if self.is_jax:
            size = (*labels.shape, logits.shape[-1])
            large = self.library.image.resize(logits, size, "bilinear", antialias=False)
            chosen = self.xp.take_along_axis(
                self.library.nn.log_softmax(large), labels[..., None], axis=-1
            )[..., 0]
            return -(chosen * weights).sum() / weights.sum()
        functional = self.library.nn.functional
        large = functional.interpolate(
            logits.permute(0, 3, 1, 2), (height, width), mode="bilinear", align_corners=False
        )
        losses = functional.cross_entropy(large, labels.long(), reduction="none")
        return (losses * weights).sum() / weights.sum()

    def compiled(self, function: Callable, inputs: list[Any], upstream: list[Any]) -> Forms:
        """Forward, and forward with the gradients of all inputs."""
        if self.is_jax:
            jax = self.library

            def both(inputs: list[Any], upstream: list[Any]) -> Any:
                results, pull = jax.vjp(lambda *x: function(x), *inputs)
                return results, pull(results if upstream is None else upstream)

            forward = jax.jit(lambda x: function(x))
            whole = jax.jit(both)
            return {
                "forward": lambda: forward(inputs),
                "forward and backward": lambda: whole(inputs, upstream),
            }
        torch = self.library
        torch.compiler.reset()
        forward = torch.compile(lambda x: function(x), dynamic=False)
        needing = [x.detach().clone().requires_grad_() for x in inputs]

        def gradients() -> Any:
            results = forward(needing)
            return torch.autograd.grad(results, needing, upstream)

        return {"forward": lambda: forward(inputs), "forward and backward": gradients}


class Work:
    """One op at a size of use: its inputs on the device, kernels and forms."""

    def __init__(self, name: str, arrays: Any, dtype: str, seed: int) -> None:
        self.name, self.dtype, self._arrays = name, dtype, arrays
        self._draw = np.random.default_rng(seed)
        getattr(self, "_make_" + name)()

    def _maps(self, count: int, *shape: int, dtype: str = "") -> list[Any]:
        return [
            self._arrays.array(self._draw.standard_normal(shape, np.float32), dtype or self.dtype)
            for _ in range(count)
        ]

    def _make_attention_distillation(self) -> None:
        maps, (upstream,) = self._maps(9, 8, 96, 96, 256), self._maps(1, 8, 96, 96, 256)
        numbers = [1, *(x for s in range(4) for x in (0, s, 0, 4 + s, 0))]
        self.inputs, self.upstream = maps, upstream
        self.function = lambda forms, x: forms.distill(x[0], x[1:5], x[5:])
        self.kernel = lambda cuda, **on: cuda.attention_distillation(maps, numbers, **on)
        self.gradient = lambda cuda, _, **on: cuda.attention_distillation_grad(
            [upstream, *maps[1:]], numbers, **on
        )
        self.moved = (10, 10 + 9 + 8)  # maps, forward alone and with the gradients
        self.elements = 8 * 96 * 96 * 256

    def _make_cross_stitch(self) -> None:
        maps, upstream = self._maps(3, 8, 96, 96, 256), self._maps(3, 8, 96, 96, 256)
        (weights,) = self._maps(1, 3, 3, 256, dtype="float32")
        self.inputs, self.upstream = [*maps, weights], upstream
        self.function = lambda forms, x: forms.stitch(x[:3], x[3])
        self.kernel = lambda cuda, **on: cuda.cross_stitch([*maps, weights], **on)
        self.gradient = lambda cuda, _, **on: cuda.cross_stitch_grad(
            [*maps, *upstream, weights], **on
        )
        self.moved = (6, 15)
        self.elements = 8 * 96 * 96 * 256

    def _make_affinity_diffusion(self) -> None:
        queries, keys = self._maps(3, 2, 4800, 64), self._maps(3, 2, 4800, 64)
        (values,), (upstream,) = self._maps(1, 2, 4800, 128), self._maps(1, 2, 4800, 128)
        (mix,) = self._maps(1, 3, dtype="float32")
        inputs = [*queries, *keys, values, mix]
        self.inputs, self.upstream = inputs, upstream
        self.function = lambda forms, x: forms.diffuse(x[:3], x[3:6], x[6], x[7])
        self.kernel = lambda cuda, **on: cuda.affinity_diffusion(inputs, **on)
        self.gradient = lambda cuda, results, **on: cuda.affinity_diffusion_grad(
            [*inputs, results[1], upstream], **on
        )
        self.moved = (8, 24)
        self.elements = 2 * 4800 * 64

    def _make_upsample_cross_entropy(self) -> None:
        self.dtype = "float32"
        (logits,) = self._maps(1, 8, 60, 80, 40)
        labels = self._arrays.array(self._draw.integers(0, 40, (8, 480, 640)), "int32")
        weights = self._arrays.array(np.ones((8, 480, 640), np.float32), "float32")
        self.inputs = [logits]
        self.upstream = self._arrays.array(np.ones((), np.float32), "float32")
        self.function = lambda forms, x: forms.cross_entropy(x[0], labels, weights)
        self.kernel = lambda cuda, **on: cuda.upsample_cross_entropy(
            [logits, labels, weights], **on
        )
        self.gradient = lambda cuda, results, **on: results  # made with the loss
        self.moved = (4, 5)
        self.elements = 8 * 480 * 640 // 2

    def native(self, kernels: Any) -> Forms:
        """The kernels."""
        on = {"stream": self._arrays.stream}
        return {
            "forward": lambda: self.kernel(kernels.cuda, **on),
            "forward and backward": lambda: self.gradient(
                kernels.cuda, self.kernel(kernels.cuda, **on), **on
            ),
        }

    def rows(self, form: str, calls: Forms) -> Iterator[dict[str, Any]]:
        """A row for the forward pass, and one for both."""
        for maps, (part, call) in zip(self.moved, calls.items(), strict=True):
            milliseconds = self._arrays.milliseconds(call)
            num_bytes = maps * self.elements * (4 if self.dtype == "float32" else 2)
            yield {
                "op": self.name,
                "part": part,
                "dtype": self.dtype,
                "form": form,
                "milliseconds": milliseconds,
                "gigabytes_per_second": num_bytes / milliseconds / 1e6,
            }


FEATURE_OPS = (
    "attention_distillation",
    "cross_stitch",
    "affinity_diffusion",
    "upsample_cross_entropy",
)


def feature_speeds(
    kernels: Any, found: list[Any], dtypes: list[str], seed: int
) -> Iterator[dict[str, Any]]:
    """Times of the kernels and of what PyTorch and JAX compile."""
    for name in FEATURE_OPS:
        for dtype in dtypes:
            if name == "upsample_cross_entropy" and dtype != "float32":
                continue
            able = [arrays for arrays in found if dtype in arrays.dtypes]
            for arrays in able:
                work = Work(name, arrays, dtype, seed)
                if arrays is able[0]:
                    yield from work.rows("native", work.native(kernels))
                if arrays.package == "cupy":
                    continue  # has no compiler of whole functions
                forms = LibraryForms(arrays)
                function = functools.partial(work.function, forms)
                compiler = "jax.jit" if forms.is_jax else "torch.compile"
                try:
                    calls = forms.compiled(function, work.inputs, work.upstream)
                    yield from work.rows(compiler, calls)
                except Exception as failed:
                    text = str(failed).strip().splitlines() or [type(failed).__name__]
                    print(f"{name}, {dtype}: {compiler} was skipped ({text[0]}).")


def feature_table(rows: list[dict[str, Any]], copy: float) -> str:
    """A Markdown table of `feature_speeds`."""
    native = {
        (r["op"], r["part"], r["dtype"]): r["milliseconds"] for r in rows if r["form"] == "native"
    }
    lines = [
        "| op | part | dtype | form | ms | GB/s | share of copy | time / native |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        own = native.get((r["op"], r["part"], r["dtype"]))  # None: no library had arrays for it
        ratio = f"{r['milliseconds'] / own:.2f}" if own else "-"
        lines.append(
            f"| {r['op']} | {r['part']} | {r['dtype']} | {r['form']} | {r['milliseconds']:.3f} | "
            f"{r['gigabytes_per_second']:.0f} | {r['gigabytes_per_second'] / copy:.0%} | "
            f"{ratio} |"
        )
    return "\n".join(lines)
