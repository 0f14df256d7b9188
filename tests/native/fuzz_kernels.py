"""Random calls of the kernels through their NumPy bindings, right and wrong, no TensorFlow.

`make sanitize` runs it on a build with AddressSanitizer and UndefinedBehaviorSanitizer, which end
the process at the first fault: python tests/native/fuzz_kernels.py --kernels FILE --seconds 60
"""

import argparse
import importlib.util
import time

import ml_dtypes
import numpy as np

DTYPES = (np.float32, np.float16, ml_dtypes.bfloat16)
METHODS = (
    "mgda",
    "upgrad",
    "dualproj",
    "pcgrad",
    "gradvac",
    "cagrad",
    "nash_mtl",
    "fairgrad",
    "imtl_g",
    "aligned_mtl",
)


def load(path):
    spec = importlib.util.spec_from_file_location("_kernels", path)
    kernels = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(kernels)
    return kernels


def random_gradients(r, most_tasks=12):
    num_tasks = int(r.integers(1, most_tasks + 1))
    num_tensors = int(r.integers(1, 6))
    dtype = DTYPES[r.integers(3)]
    large = r.random() < 0.05
    sizes = [int(r.integers(0, 200_000 if large else 1000)) for _ in range(num_tensors)]
    gradients = [
        [None if r.random() < 0.2 else unaligned(r, size, dtype) for size in sizes]
        for _ in range(num_tasks)
    ]
    if r.random() < 0.1:
        gradients[r.integers(num_tasks)][r.integers(num_tensors)] = np.full(5, np.nan, dtype)
    return gradients, sizes


def unaligned(r, size, dtype):
    """An array whose address is a multiple of the item size alone."""
    offset = int(r.integers(0, 9))
    return (r.standard_normal(size + offset) * 10.0 ** r.integers(-6, 6)).astype(dtype)[offset:]


def random_gramian(r):
    num_tasks = int(r.integers(1, 24))
    rank = int(r.integers(1, 2 * num_tasks + 1))
    jacobian = r.standard_normal((num_tasks, rank)) * 10.0 ** r.uniform(-9, 9, (num_tasks, 1))
    jacobian[r.random(num_tasks) < 0.1] = 0
    if num_tasks > 1 and r.random() < 0.3:
        jacobian[1] = -jacobian[0] * r.choice([1, 1 + 1e-9, -1])
    gramian = jacobian @ jacobian.T
    if r.random() < 0.05:
        gramian[0, 0] = r.choice([np.nan, np.inf])
    if r.random() < 0.05:
        gramian = r.standard_normal(gramian.shape)  # not even symmetric
    return gramian


def random_order(r, num_tasks):
    rows = [r.permutation([j for j in range(num_tasks) if j != i]) for i in range(num_tasks)]
    order = np.array(rows, np.int32).reshape(num_tasks, num_tasks - 1)
    if order.size and r.random() < 0.1:
        order[0, 0] = r.integers(-5, 100)
    return order


def random_feature_calls(kernels, r, threads):
    """Calls of the ops on feature maps; some do not fit together."""
    dtype = DTYPES[r.integers(3)]
    channels, positions = int(r.integers(1, 70)), int(r.integers(0, 300))
    wrong = r.random() < 0.1

    def draw(width, count=positions):
        rows = count + int(wrong and r.random() < 0.3)
        return unaligned(r, rows * width, dtype).reshape(rows, width)

    # === Distillation: each source packs a gate and a value for some targets ===
    targets, sources = int(r.integers(1, 5)), int(r.integers(1, 5))
    numbers, packed = [targets], [[] for _ in range(sources)]
    for target in range(targets):
        for source in range(sources):
            if r.random() < 0.7:
                numbers += [
                    target,
                    source,
                    len(packed[source]) * channels,
                    source,
                    (len(packed[source]) + 1) * channels,
                ]
                packed[source] += [target, target]
    if wrong and len(numbers) > 1:
        numbers[r.integers(1, len(numbers))] += int(r.integers(-100, 100))
    arrays = [draw(channels) for _ in range(targets)]
    arrays += [draw(max(1, len(parts)) * channels) for parts in packed]
    yield lambda: kernels.attention_distillation(arrays, numbers, threads)
    yield lambda: kernels.attention_distillation_grad(arrays, numbers, threads)

    # === Cross-stitch ===
    tasks = int(r.integers(1, 8))
    maps = [draw(channels) for _ in range(2 * tasks)]
    weights = r.standard_normal((tasks, tasks, channels + int(wrong))).astype("f")
    yield lambda: kernels.cross_stitch([*maps[:tasks], weights], num_threads=threads)
    yield lambda: kernels.cross_stitch_grad([*maps, weights], num_threads=threads)

    # === Affinity diffusion ===
    sources, width = int(r.integers(1, 4)), int(r.integers(1, 40))
    looks = [draw(width)[None] for _ in range(2 * sources)]
    values = draw(channels)[None]
    mix = r.standard_normal(sources + int(wrong)).astype("f")
    yield lambda: kernels.affinity_diffusion([*looks, values, mix], num_threads=threads)
    softmax = np.ones((2, sources, 1, positions), "f")
    yield lambda: kernels.affinity_diffusion_grad(
        [*looks, values, mix, softmax, values], num_threads=threads
    )

    # === Losses of enlarged predictions ===
    small = [int(n) for n in (r.integers(1, 4), r.integers(1, 12), r.integers(1, 12), channels)]
    large = [small[0], int(r.integers(0, 150)), int(r.integers(0, 40))]
    predictions = r.standard_normal(small).astype("f") * np.float32(10.0 ** r.integers(-3, 6))
    labels = r.integers(-2 * wrong, channels + 2 * wrong, large).astype(np.int32)
    shares = r.choice(np.array([0, 0.5, 1], "f"), large)
    goal = r.standard_normal([*large, channels]).astype("f")
    yield lambda: kernels.upsample_cross_entropy([predictions, labels, shares], num_threads=threads)
    yield lambda: kernels.upsample_l1([predictions, goal, shares], num_threads=threads)
    numbers_of_all_sizes = (r.standard_normal(int(r.integers(0, 100))) * 50).astype("f")
    yield lambda: kernels.vector_exp(numbers_of_all_sizes)
    yield lambda: kernels.vector_log(numbers_of_all_sizes)


def random_edge_calls(kernels, r):
    """Calls of the parts of the boundary benchmark; some maps do not fit the truth."""
    number, height, width = (int(n) for n in r.integers(0, (130, 40, 40)))
    maps = r.random((number, height, width)) < r.random()
    truth = r.random((height, width + int(r.random() < 0.1))) < r.random()
    radius = float(r.choice([-1.0, 0.0, 1.0, 2.5, 7.0, 60.0, np.nan, np.inf]))
    yield lambda: kernels.thin_edges(maps)
    yield lambda: kernels.match_edges(maps[:5], truth, radius)


def call_all(kernels, r):
    threads = int(r.integers(1, 4))
    gradients, sizes = random_gradients(r)
    num_tasks = len(gradients)
    uniform = [r.random(size, dtype=np.float32) for size in sizes]
    yield lambda: kernels.gramian(gradients, threads)
    yield lambda: kernels.weighted_sum(gradients, r.standard_normal(num_tasks), threads)
    yield lambda: kernels.gradient_projection(gradients, random_order(r, num_tasks), threads)
    yield lambda: kernels.grad_drop(gradients, uniform, np.full(num_tasks, 0.3, "f"), threads)
    yield from random_feature_calls(kernels, r, threads)
    yield from random_edge_calls(kernels, r)
    gramian = random_gramian(r)
    size = len(gramian)
    for method in METHODS:
        parameter = {"cagrad": r.uniform(0, 2), "gradvac": r.random()}.get(
            method, r.uniform(0.1, 9)
        )
        yield lambda method=method, parameter=parameter: kernels.balance(
            gramian,
            method,
            parameter,
            scale=str(r.choice(["min", "median", "mean"])),
            preference=None if r.random() < 0.5 else r.standard_normal(size),
            order=None if r.random() < 0.5 else random_order(r, size),
            targets=None if r.random() < 0.5 else r.uniform(-1, 1, (size, size)),
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    kernels = load(arguments.kernels)
    end = time.monotonic() + arguments.seconds
    calls = refused = 0
    seed = arguments.seed
    while time.monotonic() < end:
        for call in call_all(kernels, np.random.default_rng(seed)):
            calls += 1
            try:
                call()
            except ValueError:  # wrong input is refused, never a crash
                refused += 1
        seed += 1
    print(f"{calls} calls without a fault ({refused} of them refused), {kernels.cpu_isa()}")


if __name__ == "__main__":
    main()
