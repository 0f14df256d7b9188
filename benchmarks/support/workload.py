"""What all benchmarks of gradient ops share: task gradients, TensorFlow graphs, bars.

Claim: none of its own; 20 million parameters in 88 tensors are those of a ResNet encoder with its
many small tensors.
Command: imported by `benchmarks/test_*.py`; `MTL_TF_BENCH_PARAMS` sets the number of parameters.
False if: the sizes do not add up to `PARAMS`.
"""

import os
import random
import statistics
from collections.abc import Callable

import tensorflow as tf
import torch

from benchmarks.support.interleaved import THREADS, Times

PARAMS = int(os.environ.get("MTL_TF_BENCH_PARAMS", "20_000_000"))
BARS_APPLY = PARAMS >= 10_000_000  # smaller gradients fit in caches: nothing to see

_KERNELS = (
    [9_408]
    + [36_864] * 7
    + [73_728]
    + [147_456] * 7
    + [8_192, 32_768, 131_072]
    + [294_912]
    + [589_824] * 4
    + [1_179_648]
    + [2_359_296] * 6
)
_VECTORS = [64, 128, 256, 512] * 14  # scales and offsets of the normalisation layers

TaskGradients = list[list[tf.Tensor]]


def tensor_sizes(num_params: int = PARAMS) -> list[int]:
    """Sizes of 88 tensors with `num_params` elements in all; the last one takes up the rest."""
    sizes = [*_KERNELS, *_VECTORS]
    random.Random(0).shuffle(sizes)
    scaled = [max(1, round(size * num_params / 20_000_000)) for size in sizes]
    return [*scaled, num_params - sum(scaled)]


def task_gradients(num_tasks: int, num_params: int = PARAMS) -> TaskGradients:
    """`num_tasks` lists of float32 tensors of `tensor_sizes`, normally distributed."""
    return [
        [tf.random.stateless_normal([size], [task, v]) for v, size in enumerate(sizes)]
        for task, sizes in enumerate([tensor_sizes(num_params)] * num_tasks)
    ]


def torch_jacobian(gradients: TaskGradients) -> torch.Tensor:
    """Return the ready matrix `[K, P]` that peers in PyTorch start from."""
    torch.set_num_threads(THREADS)
    return torch.from_numpy(tf.stack([tf.concat(task, 0) for task in gradients]).numpy())


def graph(function: Callable, *arguments: object, xla: bool = False) -> Callable[[], object]:
    """Return a compiled call of `function(*arguments)` that returns when its result is there."""
    call = tf.function(lambda: function(*arguments), jit_compile=xla).get_concrete_function()

    def run() -> object:
        results = call()
        smallest = min(tf.nest.flatten(results), key=lambda result: result.shape.num_elements())
        smallest.numpy()
        return results

    return run


def both_graphs(name: str, function: Callable, *arguments: object) -> dict[str, Callable]:
    """Return `function` in a graph and in one compiled by XLA."""
    return {
        name: graph(function, *arguments),
        f"{name}, XLA": graph(function, *arguments, xla=True),
    }


class Bars:
    """Measured numbers beside the bounds they must keep; one that is not kept fails the test."""

    def __init__(self, benchmark: object, title: str) -> None:
        self._benchmark = benchmark
        self._title = title
        self._texts: list[str] = []
        self._broken: list[str] = []

    def note(self, name: str, value: object) -> None:
        """Record a number that has no bound."""
        self._benchmark.extra_info[name] = value
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        self._texts.append(f"{name} {text}")

    def at_least(
        self, name: str, value: float, bound: float, share_of_ceiling: float = 0.0
    ) -> None:
        """Record `value >= bound`, out of reach for what runs at 0.9 of memory's speed already."""
        is_kept = value >= bound
        if not is_kept and share_of_ceiling >= 0.9:
            note = f"at {share_of_ceiling:.2f} of memory's speed: {bound:g} is out of reach"
            self.note(f"{name} ({note})", value)
        else:
            self._add(name, value, bound, is_kept, "≥")

    def at_most(self, name: str, value: float, bound: float) -> None:
        """Record `value <= bound`."""
        self._add(name, value, bound, value <= bound, "≤")

    def _add(self, name: str, value: float, bound: float, is_kept: bool, sign: str) -> None:
        self._benchmark.extra_info[name] = value
        text = f"{name} {value:.3g} (bar {sign} {bound:g})"
        self._texts.append(text if is_kept else f"{text} FAILS")
        if not is_kept:
            self._broken.append(text)

    def settle(self, times: Times | None = None) -> None:
        """Print one line; fails if a bound is not kept and the gradients are large enough."""
        print(f"\n{self._title}: " + "; ".join(self._texts))
        if times is not None:
            milliseconds = {name: 1e3 * statistics.median(values) for name, values in times.items()}
            self._benchmark.extra_info["milliseconds"] = milliseconds
            print("  ms: " + ", ".join(f"{n} {ms:.2f}" for n, ms in milliseconds.items()))
        if BARS_APPLY:
            assert not self._broken, f"{self._title}: {'; '.join(self._broken)}"
        elif self._broken:
            print(f"  bars do not apply to {PARAMS} parameters")
