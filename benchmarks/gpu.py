"""Claim: the CUDA kernels are right, and as fast as the memory of the GPU.

Command: `python3 -m benchmarks.gpu [--kernels PATH] [--out FILE]` on a machine with an NVIDIA GPU
and any of PyTorch, CuPy or JAX; neither TensorFlow nor an installed `mtl_tf` is needed.
`benchmarks/README.md`, "On a GPU", says how to build the kernels. For NVIDIA's compute-sanitizer:
`compute-sanitizer python3 -m benchmarks.gpu --sanitize --libraries torch`.
False if: an error is above its bound (exit code 1), or in the printed table a kernel moves its
bytes at less than 80 % of the bandwidth of a copy, or another library's form is faster.
"""

import argparse
import ctypes
import datetime
import importlib.util
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.support.gpu_arrays import LIBRARIES, JaxArrays, is_installed
from benchmarks.support.gpu_forms import LibraryForms
from tests.gpu.correctness import METHODS, PARAMETERS, check_all, random_gramian, random_order
from tests.gpu.features import OnDevice, check_features, feature_speeds, feature_table

ROOT = pathlib.Path(__file__).resolve().parent.parent
NUM_TENSORS = 88
Forms = dict[str, Callable[[], Any]]


# === What there is: a GPU, the kernels, array libraries ===


def num_gpus() -> int:
    """Return the number of GPUs that NVIDIA's driver shows, 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def load_kernels(path: pathlib.Path | None) -> ModuleType:
    """Return the newest module `_kernels` with CUDA kernels; `SystemExit` if there is none."""
    found = [path] if path else [*ROOT.glob("build*/**/_kernels*.so")]
    if not path:
        found += (ROOT / "mtl_tf" / "ops").glob("_kernels*.so")
    reasons = []
    for candidate in sorted(set(found), key=_age):
        try:
            spec = importlib.util.spec_from_file_location("_kernels", candidate)
            kernels = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(kernels)
        except (ImportError, OSError, AttributeError) as error:
            reasons.append(f"{candidate}: {error}")
            continue
        if hasattr(kernels, "cuda"):
            return kernels
        reasons.append(f"{candidate}: built without CUDA")
    stop("No CUDA kernels were found: " + ("; ".join(reasons) or "no file _kernels*.so") + ".")
    raise AssertionError


def _age(path: pathlib.Path) -> float:
    return -path.stat().st_mtime if path.exists() else 0.0


def stop(sentence: str) -> None:
    """End the program, as nothing can be measured here."""
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def array_libraries(names: list[str]) -> list[Any]:
    """Return the libraries that are installed and work, of those named."""
    found = []
    for library in LIBRARIES:
        if library.package not in names:
            continue
        if not is_installed(library.package):
            print(f"{library.name} is not installed: skipped.")
            continue
        try:
            arrays = library()
            arrays.host(arrays.array(np.ones(2), "float64"))
        except Exception as error:
            print(f"{library.name} cannot use the GPU: skipped ({error}).")
            continue
        found.append(arrays)
    return found


# === What is measured: the kernels, and the same work in other libraries ===


def tensor_sizes(num_params: int) -> list[int]:
    """Sizes of 88 tensors, half of them small, as those of a ResNet encoder."""
    small = [64, 128, 256, 512] * (NUM_TENSORS // 8)
    large = NUM_TENSORS - len(small)
    parts = np.cumsum(np.linspace(1, 8, large) ** 2)
    edges = np.concatenate([[0], parts / parts[-1] * (num_params - sum(small))]).astype(int)
    return [*np.diff(edges).tolist(), *small]


class Work:
    """Random gradients of one size on the device, and the calls of the kernels on them."""

    def __init__(self, kernels: Any, arrays: Any, num_tasks: int, num_params: int, dtype: str):
        generator = np.random.default_rng(0)
        self.arrays, self.dtype = arrays, dtype
        self.num_tasks, self.num_params = num_tasks, num_params
        self.sizes = tensor_sizes(num_params)
        # Every tensor at a multiple of 16 bytes, like those a framework allocates.
        ends = np.cumsum([-(-size // 64) * 64 for size in self.sizes])
        self.starts = [0, *ends[:-1].tolist()]
        self.tasks = [
            self._pieces(generator.standard_normal(ends[-1], np.float32), dtype)
            for _ in range(num_tasks)
        ]
        self.uniform = self._pieces(generator.random(ends[-1], np.float32), "float32")
        self.weights = arrays.array(generator.random(num_tasks), "float64")
        self.order = random_order(generator, num_tasks)
        self.leak = arrays.array(np.zeros(num_tasks, np.float32), "float32")
        self._device_order = arrays.array(self.order, "int32")
        self._cuda = kernels.cuda

    def _pieces(self, values: np.ndarray, dtype: str) -> list[Any]:
        return self.arrays.pieces(values, self.starts, self.sizes, dtype)

    def num_bytes(self, op: str) -> int:
        """Return the fewest bytes that have to move."""
        element = 4 if self.dtype == "float32" else 2
        rows = {
            "gramian": self.num_tasks,
            "weighted_sum": self.num_tasks + 1,
            "gradient_projection": 2 * self.num_tasks + 1,
            "grad_drop": self.num_tasks + 1,
        }[op]
        return self.num_params * (rows * element + (4 if op == "grad_drop" else 0))

    def native(self) -> Forms:
        """Return the kernels."""
        stream = self.arrays.stream
        return {
            "gramian": lambda: self._cuda.gramian(self.tasks, stream=stream),
            "weighted_sum": lambda: self._cuda.weighted_sum(
                self.tasks, self.weights, stream=stream
            ),
            "gradient_projection": lambda: self._cuda.gradient_projection(
                self.tasks, self._device_order, stream=stream
            ),
            "grad_drop": lambda: self._cuda.grad_drop(
                self.tasks, self.uniform, self.leak, stream=stream
            ),
        }


def competitors(
    work: Work, arrays: Any, with_lists: bool
) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """(op, name, call) of the forms that `arrays`' library compiles; made when asked for."""
    is_jax = isinstance(arrays, JaxArrays)
    xp = arrays.library.numpy if is_jax else arrays.library
    forms = LibraryForms(xp, work.order)
    tasks, uniform, leak = work.tasks, work.uniform, work.leak
    weights = arrays.array(arrays.host(work.weights), "float32")
    compiler = "jax.jit" if is_jax else "torch.compile"

    def compiled(function: Callable, *arguments: Any) -> Callable[[], Any]:
        if is_jax:
            jitted = arrays.library.jit(function)
        else:
            arrays.library.compiler.reset()
            jitted = arrays.library.compile(function, dynamic=False)
        jitted(*arguments)
        arrays.synchronize()
        return lambda: jitted(*arguments)

    jacobian = xp.stack([forms.flat(task) for task in tasks])
    numbers = forms.flat(uniform)
    ready = f"{compiler}, ready matrix"
    yield "gramian", ready, compiled(forms.gramian_of_matrix, jacobian)
    yield "weighted_sum", ready, compiled(forms.weighted_sum_of_matrix, jacobian, weights)
    yield "gradient_projection", ready, compiled(forms.projection_of_matrix, jacobian)
    yield "grad_drop", ready, compiled(forms.grad_drop_of_matrix, jacobian, numbers, leak)
    if not with_lists:
        return
    yield "gramian", f"{compiler}, stack", compiled(forms.gramian_stack, tasks)
    yield "gramian", f"{compiler}, by tensor", compiled(forms.gramian_by_tensor, tasks)
    yield "weighted_sum", compiler, compiled(forms.weighted_sum, tasks, weights)
    yield "gradient_projection", f"{compiler}, stack", compiled(forms.projection_stack, tasks)
    yield (
        "gradient_projection",
        f"{compiler}, by tensor",
        compiled(forms.projection_by_tensor, tasks),
    )
    yield "grad_drop", compiler, compiled(forms.grad_drop, tasks, uniform, leak)


def measured_competitors(work: Work, arrays: Any, with_lists: bool) -> Iterator[dict[str, Any]]:
    """Rows of the table; a form that fails ends its library's list with a line that says why."""
    try:
        for op, name, call in competitors(work, arrays, with_lists):
            yield row(work, op, name, arrays.milliseconds(call))
    except Exception as error:
        text = str(error).strip().splitlines() or [type(error).__name__]
        print(f"{arrays.name}: the remaining forms were skipped ({text[0]}).")


# === Tables ===


def row(work: Work, op: str, name: str, milliseconds: float) -> dict[str, Any]:
    """One line of the table of speeds."""
    return {
        "op": op,
        "tasks": work.num_tasks,
        "params": work.num_params,
        "dtype": work.dtype,
        "form": name,
        "milliseconds": milliseconds,
        "gigabytes_per_second": work.num_bytes(op) / milliseconds / 1e6,
    }


def memory_bandwidth(arrays: Any) -> dict[str, float]:
    """GB/s of a copy on the device (bytes read and written) and of a sum."""
    source = arrays.array(np.random.default_rng(0).standard_normal(2**28, np.float32), "float32")
    num_bytes = 4 * 2**28
    if arrays.package == "torch":
        target = arrays.library.empty_like(source)
        copy = lambda: target.copy_(source)  # noqa: E731
    elif arrays.package == "cupy":
        target = arrays.library.empty_like(source)
        copy = lambda: arrays.library.copyto(target, source)  # noqa: E731
    else:
        jitted = arrays.library.jit(lambda x: x + 1)
        copy = lambda: jitted(source)  # noqa: E731
    return {
        "copy": 2 * num_bytes / arrays.milliseconds(copy) / 1e6,
        "read": num_bytes / arrays.milliseconds(lambda: source.sum()) / 1e6,
    }


def speeds(kernels: Any, found: list[Any], options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Measure the kernels and their competitors."""
    first = found[0]
    for num_params, num_tasks, dtype in itertools.product(
        options.params, options.tasks, options.dtypes
    ):
        if dtype not in first.dtypes:
            print(f"{first.name} has no {dtype}: skipped.")
            continue
        work = Work(kernels, first, num_tasks, num_params, dtype)
        for op, call in work.native().items():
            yield row(work, op, "native", first.milliseconds(call))
        if dtype != "float32" or options.forms == "native":
            continue
        for arrays in found:
            if arrays.package == "cupy":
                continue  # has no compiler of whole functions
            is_first = arrays is first
            theirs = work if is_first else Work(kernels, arrays, num_tasks, num_params, dtype)
            yield from measured_competitors(theirs, arrays, options.forms == "all")


def add_ratios(rows: list[dict[str, Any]], copy: float) -> None:
    """Add bandwidths as shares of a copy's, and times as multiples of the kernel's."""
    native = {key(r): r["milliseconds"] for r in rows if r["form"] == "native"}
    for r in rows:
        r["share_of_copy"] = r["gigabytes_per_second"] / copy
        r["times_native"] = r["milliseconds"] / native[key(r)]


def key(r: dict[str, Any]) -> tuple:
    """Return the part of a row that rows to be compared share."""
    return r["op"], r["tasks"], r["params"], r["dtype"]


def speed_table(rows: list[dict[str, Any]]) -> str:
    """Return a Markdown table of `speeds`."""
    lines = [
        "| op | K | P | dtype | form | ms | GB/s | share of copy | time / native |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['op']} | {r['tasks']} | {r['params']:.0e} | {r['dtype']} | {r['form']} | "
        f"{r['milliseconds']:.3f} | {r['gigabytes_per_second']:.0f} | "
        f"{r['share_of_copy']:.0%} | {r['times_native']:.2f} |"
        for r in sorted(rows, key=lambda r: (*key(r), r["form"] != "native"))
    ]
    return "\n".join(lines)


def solver_times(kernels: Any, arrays: Any) -> dict[str, dict[int, float]]:
    """Microseconds on the device of every solver, by method and number of tasks."""
    generator = np.random.default_rng(0)
    times: dict[str, dict[int, float]] = {method: {} for method in METHODS}
    for num_tasks in (2, 3, 5, 8, 20, 64):
        gramian = arrays.array(random_gramian(generator, num_tasks, "plain"), "float64")
        for method in METHODS:

            def call(method: str = method, gramian: Any = gramian) -> Any:
                parameter = PARAMETERS.get(method, 1.0)
                return kernels.cuda.balance(gramian, method, parameter, stream=arrays.stream)

            times[method][num_tasks] = 1e3 * arrays.milliseconds(call)
    return times


def solver_table(times: dict[str, dict[int, float]]) -> str:
    """Return a Markdown table of `solver_times`."""
    tasks = list(next(iter(times.values())))
    lines = [
        "| balance, µs on the device | " + " | ".join(f"K = {k}" for k in tasks) + " |",
        "|---" * (len(tasks) + 1) + "|",
    ]
    for method, by_tasks in times.items():
        cells = " | ".join(f"{by_tasks[k]:.0f}" for k in tasks)
        lines.append(f"| {method} | {cells} |")
    return "\n".join(lines)


# === Command line ===


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description="Correctness and speed of the CUDA kernels, without TensorFlow.",
    )
    parser.add_argument(
        "--kernels", type=pathlib.Path, help="module _kernels*.so (default: build*/, mtl_tf/ops/)"
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=["correctness", "features", "speed", "solvers"],
        default=["correctness", "features", "speed", "solvers"],
    )
    parser.add_argument(
        "--sanitize", action="store_true", help="only tiny checks, for compute-sanitizer"
    )
    parser.add_argument("--seed", type=int, help="of the random inputs (default: from the clock)")
    parser.add_argument(
        "--libraries",
        nargs="+",
        choices=["torch", "cupy", "jax"],
        default=["torch", "cupy", "jax"],
        help="the first one installed makes the arrays",
    )
    parser.add_argument("--params", nargs="+", type=int, default=[20_000_000, 100_000_000])
    parser.add_argument("--tasks", nargs="+", type=int, default=[3, 5])
    parser.add_argument(
        "--dtypes",
        nargs="+",
        choices=["float32", "bfloat16", "float16"],
        default=["float32", "bfloat16"],
    )
    parser.add_argument(
        "--forms",
        choices=["native", "matrix", "all"],
        default="matrix",
        help="competitors: none, on a ready matrix, or on lists too, which take long to compile",
    )
    parser.add_argument("--out", type=pathlib.Path, help="JSON file with all numbers")
    return parser.parse_args()


def save(report: dict[str, Any], path: pathlib.Path | None) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report, indent=1))


def main() -> int:
    options = parse()
    if num_gpus() == 0:
        stop("No NVIDIA GPU is visible here (no driver, or no device): nothing can be measured.")
    kernels = load_kernels(options.kernels)
    if kernels.cuda.num_devices() == 0:
        stop("The CUDA runtime that the kernels were built with sees no GPU: update the driver.")
    found = array_libraries(options.libraries)
    if not found:
        stop("None of PyTorch, CuPy and JAX works on the GPU: install one of them.")
    seed = int(time.time()) if options.seed is None else options.seed
    print(f"Kernels {kernels.__file__}\nSeed {seed}", flush=True)
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "kernels": kernels.__file__,
        "architectures": kernels.CUDA_ARCHITECTURES,
        "seed": seed,
        "libraries": {arrays.name: arrays.library.__version__ for arrays in found},
    }
    if found[0].package == "torch":
        report["device"] = found[0].library.cuda.get_device_name()
    parts = ["correctness"] if options.sanitize else options.parts
    failures: list[str] = []
    try:
        if "correctness" in parts:
            findings = check_all(kernels, found, seed, options.sanitize)
            first = found[0]
            with findings.kept("ops on feature maps"):
                check_features(OnDevice(kernels, first), first.dtypes, seed, findings)
            failures = findings.failures
            report["correctness"] = findings.rows()
            print(f"\n{findings.table()}\n", flush=True)
            print("\n".join(failures) or "All kernels are right.", flush=True)
        if "solvers" in parts:
            report["solvers"] = solver_times(kernels, found[0])
            print(f"\n{solver_table(report['solvers'])}", flush=True)
        if "features" in parts:
            bandwidth = memory_bandwidth(found[0])
            report["features"] = rows = []
            for found_row in feature_speeds(kernels, found, options.dtypes, seed):
                rows.append(found_row)
                save(report, options.out)
            print(f"\n{feature_table(rows, bandwidth['copy'])}", flush=True)
        if "speed" in parts:
            bandwidth = memory_bandwidth(found[0])
            report["bandwidth"] = bandwidth
            print(f"\nCopy {bandwidth['copy']:.0f} GB/s, read {bandwidth['read']:.0f} GB/s")
            report["speed"] = rows = []
            for found_row in speeds(kernels, found, options):
                rows.append(found_row)
                add_ratios(rows, bandwidth["copy"])
                save(report, options.out)  # compilers may take longer than there is time for
                print(f"  {found_row['op']}, {found_row['form']}", flush=True)
            print(f"\n{speed_table(report['speed'])}")
    finally:
        save(report, options.out)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
