"""A program that checks the bindings at its first argument, without TensorFlow.

Run with `MTL_TF_CPU_ISA` set, by test_instruction_sets.py; prints the instruction set in use.
"""

import importlib.util
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.helpers import dtypes
from tests.helpers import ops as truth


def load(path):
    spec = importlib.util.spec_from_file_location("_kernels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sized(num_tasks, dtype, shapes):
    return truth.random_gradients(num_tasks, shapes, dtype, seed=num_tasks)


def same(result, expected, what):
    """Equal to the last bit; any NaN equals any NaN, and zeros equal each other."""
    assert result.dtype == expected.dtype, what
    np.testing.assert_array_equal(
        result.astype(np.float32), expected.astype(np.float32), err_msg=what
    )


def check_all_ops(kernels, dtype):
    for num_tasks in (1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 64):
        shapes = [*truth.SMALL_SHAPES, (65_537,)] if num_tasks < 6 else [(), (7,), (33,), (1039,)]
        case = sized(num_tasks, dtype, shapes)
        what = f"{dtype} {num_tasks}"
        gramian = kernels.gramian(case, num_threads=2)
        assert truth.relative_error(gramian, truth.gramian(case)) < 1e-6, what
        assert np.array_equal(gramian, kernels.gramian(case)), what
        assert np.array_equal(gramian, gramian.T), what

        bound = dtypes.epsilon(dtypes.DTYPES[dtype]) / 2 + (num_tasks + 2) * 6e-8
        weights = np.random.default_rng(0).standard_normal(num_tasks)
        scale = truth.magnitudes(case, weights)
        sums = kernels.weighted_sum(case, weights)
        off = truth.direction_error(sums, truth.weighted_sum(case, weights), scale)
        assert off <= bound, (what, off)

        order = truth.random_order(num_tasks)
        directions, own = kernels.gradient_projection(case, order)
        scale = [np.max(m, initial=0) for m in truth.magnitudes(case, own)]
        expected = truth.gradient_projection(case, order)
        off = truth.direction_error(directions, expected, scale)
        assert off <= bound + 1e-6, (what, off)

        uniform = truth.random_uniform(case)
        leak = np.random.default_rng(1).random(num_tasks, np.float32)
        _, margins = truth.grad_drop_shares(case, uniform, leak)
        sure = [margin > 1e-5 for margin in margins]
        scale = truth.magnitudes(case, np.ones(num_tasks))
        dropped = kernels.grad_drop(case, uniform, leak)
        expected = truth.grad_drop(case, uniform, leak)
        off = truth.direction_error(dropped, expected, scale, sure)
        assert off <= bound, (what, off)


def check_rounding(kernels, dtype):
    """Every 16-bit number times a float32, rounded once as NumPy and ml_dtypes round."""
    every = np.arange(65_536, dtype=np.uint16).view(dtypes.DTYPES[dtype])
    wide = every.astype(np.float32)
    factors = [
        1,
        -1,
        1 / 3,
        1.5,
        2.0**-10,
        2.0**-14 * 1.25,
        1 + 2.0**-12,
        1 - 2.0**-9,
        3e4,
        2.0**-130,
    ]
    for factor in map(np.float32, factors):
        if abs(factor) < 1e-37 and dtype == "float16":
            continue
        with np.errstate(all="ignore"):
            expected = (wide * factor).astype(every.dtype)
        (result,) = kernels.weighted_sum([[every]], np.float64([factor]))
        same(result, expected, f"{dtype} {factor}")
        # The last elements of a row take another path.
        (result,) = kernels.weighted_sum([[every[-5:].copy()]], np.float64([factor]))
        same(result, expected[-5:], f"{dtype} {factor} tail")
    check_float32_rounding(kernels, dtype)


def check_float32_rounding(kernels, dtype):
    """Any float32, as the weight of a one: ties, subnormal numbers, overflow."""
    target = dtypes.DTYPES[dtype]
    half = np.arange(65_536, dtype=np.uint16).view(target).astype(np.float32)
    half = half[np.isfinite(half) & (half >= 0)]
    half.sort()
    middle = (half[:-1].astype(np.float64) + half[1:]) / 2
    chosen = np.random.default_rng(0).choice(len(middle), 700, replace=False)
    chosen = np.concatenate([chosen, np.arange(20), len(middle) - 1 - np.arange(20)])
    ties = middle[chosen].astype(np.float32)
    values = [
        ties,
        np.nextafter(ties, np.float32(0)),
        np.nextafter(ties, np.float32(np.inf)),
        -ties,
    ]
    values.append(np.float32([65519.996, 65520, 65536, 3.3e38, 3.4e38, np.inf, np.nan, 0]))
    ones = np.ones(17, target)
    for value in np.concatenate(values):
        with np.errstate(all="ignore"):
            expected = np.full(17, value, np.float32).astype(target)
        (result,) = kernels.weighted_sum([[ones]], np.float64([value]))
        same(result, expected, f"{dtype} {value!r}")


def check_float16_is_read_right(kernels):
    every = np.arange(65_536, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    squares = np.array(
        [kernels.gramian([[finite[i : i + 1].copy()]])[0, 0] for i in range(0, len(finite), 97)]
    )
    np.testing.assert_allclose(squares, finite[::97].astype(np.float64) ** 2, rtol=1e-7)


def main():
    kernels = load(sys.argv[1])
    for dtype in ("float32", "bfloat16", "float16"):
        check_all_ops(kernels, dtype)
    for dtype in ("bfloat16", "float16"):
        check_rounding(kernels, dtype)
    check_float16_is_read_right(kernels)
    assert "tensorflow" not in sys.modules
    sys.stdout.write(kernels.cpu_isa())


main()
