"""Competitors take turns, so that a machine whose speed changes is the same for all of them.

Claim: the median over rounds of the ratio inside each round is right to 5 % on a quiet machine.
Command: `python -m benchmarks.support.interleaved` (prints memory bandwidths, and the ratio of a
function to itself).
False if: that ratio is below 0.95 or above 1.05.
"""

import concurrent.futures
import random
import statistics
import time
from collections.abc import Callable, Iterable

import numpy as np

Candidates = dict[str, Callable[[], object]]
Times = dict[str, list[float]]

THREADS = 2
PAUSE = 0.002  # seconds between calls, in which the threads of the last competitor go to sleep


def interleave(candidates: Candidates, rounds: int = 9, warmup: int = 2) -> Times:
    """Seconds of each call of each candidate; in every round each is called once.

    The order is drawn anew for each round, so that nobody always follows the same other.
    """
    names = list(candidates)
    generator = random.Random(0)
    times: Times = {name: [] for name in names}
    for turn in range(warmup + rounds):
        for name in generator.sample(names, len(names)):
            time.sleep(PAUSE)
            begin = time.perf_counter()
            result = candidates[name]()
            seconds = time.perf_counter() - begin
            del result
            if turn >= warmup:
                times[name].append(seconds)
    return times


def ratio(times: Times, a: str, b: str) -> float:
    """How many times as long as `b` takes `a`: the median of the ratios inside each round."""
    return statistics.median(x / y for x, y in zip(times[a], times[b], strict=True))


def fastest(times: Times, names: Iterable[str]) -> str:
    """Return the one of `names` with the shortest median."""
    return min(names, key=lambda name: statistics.median(times[name]))


def readers(num_bytes: int) -> Candidates:
    """Plain reads of `num_bytes` of float32 with two threads, by three libraries.

    The fastest is the measured read bandwidth. `"read: gramian of one task"` is for comparison and
    no ceiling: it is the code under test.
    """
    import tensorflow as tf
    import torch

    from mtl_tf import ops

    torch.set_num_threads(THREADS)
    size = num_bytes // 4
    numbers = np.random.default_rng(0).standard_normal(size, np.float32)
    torch_numbers = torch.from_numpy(numbers)
    tf_numbers = tf.constant(numbers)
    half = size // 2
    pool = concurrent.futures.ThreadPoolExecutor(THREADS)
    list(pool.map(np.add.reduce, [numbers[:2], numbers[2:4]]))
    tf_sum = tf.function(lambda: tf.reduce_sum(tf_numbers)).get_concrete_function()
    one_task = tf.function(lambda: ops.gramian([[tf_numbers]])).get_concrete_function()
    return {
        "read: torch.sum": lambda: torch_numbers.sum().item(),
        "read: numpy in threads": lambda: sum(
            pool.map(np.add.reduce, [numbers[:half], numbers[half:]])
        ),
        "read: tf.reduce_sum": lambda: tf_sum().numpy(),
        "read: gramian of one task": lambda: one_task().numpy(),
    }


def read_ceiling(times: Times) -> str:
    """Return the name of the fastest plain read among `times`."""
    plain = ["read: torch.sum", "read: numpy in threads", "read: tf.reduce_sum"]
    return fastest(times, plain)


def writers(num_bytes: int) -> Candidates:
    """Write of `num_bytes` with two threads: to memory in use, and to memory just allocated.

    A new result is memory just allocated, and the system may hand it out page by page.
    """
    import torch

    torch.set_num_threads(THREADS)
    ready = torch.zeros(num_bytes // 4)
    return {
        "write": lambda: ready.fill_(1.0),
        "write to new memory": lambda: torch.empty(num_bytes // 4).fill_(1.0),
    }


def copier(num_bytes: int) -> Candidates:
    """Return a copy of `num_bytes` (so twice as many move) with two threads."""
    import torch

    torch.set_num_threads(THREADS)
    source, target = torch.ones(num_bytes // 4), torch.zeros(num_bytes // 4)
    return {"copy": lambda: target.copy_(source)}


def main(num_bytes: int = 400_000_000) -> None:
    candidates = {**readers(num_bytes), **writers(num_bytes), **copier(num_bytes)}
    name = "read: torch.sum"
    times = interleave({**candidates, "itself": candidates[name]}, rounds=15)
    for candidate, seconds in times.items():
        moved = num_bytes * (2 if candidate == "copy" else 1)
        print(f"{candidate:28} {moved / statistics.median(seconds) / 1e9:6.1f} GB/s")
    print(f"read ceiling: {read_ceiling(times)}")
    print(f"a function against itself: {ratio(times, name, 'itself'):.3f}")


if __name__ == "__main__":
    main()
