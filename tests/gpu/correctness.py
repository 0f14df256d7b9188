"""Claim: every CUDA kernel computes what float64 NumPy computes, for any valid gradients.

Command: `python -m benchmarks.gpu --parts correctness` (needs an NVIDIA GPU).
False if: an error printed as a share of its bound is above 1. The bounds are those of rounding:
products in float32 inside chains, sums in float64, results rounded to the gradients' dtype.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

TASKS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 20, 32, 64)
CHUNK = 4096  # elements that a block of threads takes at a time
SIZES = (1, 2, 3, 0, 5, 17, 31, 33, 63, 129, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 70_001)
TINY_TASKS = (1, 2, 3, 8, 9, 64)
TINY_SIZES = (1, 7, 0, 33, 130, CHUNK + 5)
UNIT_ROUNDING = {"float32": 2.0**-24, "bfloat16": 2.0**-8, "float16": 2.0**-11}
SMALLEST = {"float32": 1e-38, "bfloat16": 1e-38, "float16": 2.0**-25}
PARAMETERS = {"cagrad": 0.4, "gradvac": 0.5}
KINDS = ("plain", "scales", "tiny", "agreeing", "one without a gradient", "all zero", "twins")
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


@dataclasses.dataclass(frozen=True)
class Case:
    """Which gradients to draw."""

    num_tasks: int
    sizes: tuple[int, ...]
    dtype: str
    is_aligned: bool = True
    share_missing: float = 0.0

    def __str__(self) -> str:
        return (
            f"K={self.num_tasks}, {len(self.sizes)} tensors, {self.dtype}, "
            f"{'aligned' if self.is_aligned else 'unaligned'}, {self.share_missing:.0%} None"
        )


@dataclasses.dataclass
class Finding:
    """The worst of all checks of one kernel with one dtype."""

    checks: int = 0
    worst: float = 0.0
    where: str = ""
    failures: list[str] = dataclasses.field(default_factory=list)


class Findings:
    """Errors as shares of their bounds, by kernel and dtype."""

    def __init__(self) -> None:
        self.by_kernel: dict[tuple[str, str], Finding] = {}

    def add(self, kernel: str, dtype: str, where: str, error: Any, bound: Any) -> None:
        """Records `error <= bound`, elementwise; a NaN is a failure."""
        error, bound = np.broadcast_arrays(np.abs(error), bound)
        share = float(np.max(error / bound)) if error.size else 0.0
        finding = self.by_kernel.setdefault((kernel, dtype), Finding())
        finding.checks += 1
        if not share <= 1:
            finding.failures.append(f"{where}: {share:.3g} times the bound")
        if not share <= finding.worst:
            finding.worst, finding.where = share, where

    @property
    def failures(self) -> list[str]:
        """One line for each check that failed."""
        return [
            f"{kernel}, {dtype}: {failure}"
            for (kernel, dtype), finding in self.by_kernel.items()
            for failure in finding.failures
        ]

    @contextlib.contextmanager
    def kept(self, what: str) -> Iterator[None]:
        """Inside, an exception is a failure of `what`; what was found before stays."""
        try:
            yield
        except Exception as error:
            text = str(error).strip().splitlines() or [type(error).__name__]
            self.by_kernel.setdefault((what, "any"), Finding()).failures.append(text[0])

    def table(self) -> str:
        """A Markdown table."""
        lines = [
            "| kernel | dtype | checks | failed | worst error / bound | where |",
            "|---|---|---|---|---|---|",
        ]
        for (kernel, dtype), finding in self.by_kernel.items():
            lines.append(
                f"| {kernel} | {dtype} | {finding.checks} | {len(finding.failures)} | "
                f"{finding.worst:.3f} | {finding.where} |"
            )
        return "\n".join(lines)

    def rows(self) -> list[dict[str, Any]]:
        """The table for a JSON file."""
        return [
            {"kernel": kernel, "dtype": dtype, **dataclasses.asdict(finding)}
            for (kernel, dtype), finding in self.by_kernel.items()
        ]


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Random gradients on the device, and the same numbers on the host."""

    tasks: list[list[Any]]  # K lists of V device arrays or None
    jacobian: np.ndarray  # [K, P] float64, zero where None
    present: np.ndarray  # [K, V] whether there is an array
    bounds: np.ndarray  # [V + 1] where the tensors begin in P


def all_cases(dtypes: tuple[str, ...], is_tiny: bool) -> Iterator[Case]:
    """The cases of one run."""
    for dtype in dtypes:
        for num_tasks in TINY_TASKS if is_tiny else TASKS:
            sizes = TINY_SIZES if is_tiny else SIZES
            yield Case(num_tasks, sizes, dtype)
            yield Case(num_tasks, sizes, dtype, is_aligned=False)
            yield Case(num_tasks, sizes, dtype, share_missing=0.3)
            yield Case(num_tasks, sizes, dtype, is_aligned=False, share_missing=0.7)
        for num_tasks in (3,) if is_tiny else (1, 3, 20, 64):
            many = tuple(1 + v % 5 for v in range(600)) if is_tiny else _many_sizes()
            yield Case(num_tasks, many, dtype, share_missing=0.1)


def _many_sizes() -> tuple[int, ...]:
    return tuple(1 + (v * 7) % 41 for v in range(3000))


def draw(arrays: Any, generator: np.random.Generator, case: Case) -> Drawn:
    """Normally distributed gradients, of another length for every task."""
    num_tasks, sizes = case.num_tasks, list(case.sizes)
    starts, end = [], 0
    for size in sizes:
        start = -(-end // 64) * 64 if case.is_aligned else end + 1 + end % 2
        starts.append(start)
        end = start + size
    present = generator.random([num_tasks, len(sizes)]) >= case.share_missing
    if case.share_missing > 0.5:
        present[:, 1] = False  # a tensor that no task has
        present[num_tasks // 2] = False  # a task without any gradient
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    jacobian = np.zeros([num_tasks, bounds[-1]])
    tasks = []
    for k in range(num_tasks):
        scale = 10.0 ** generator.uniform(-1, 1)
        values = (scale * generator.standard_normal(end)).astype(np.float32)
        pieces = arrays.pieces(values, starts, sizes, case.dtype)
        rounded = arrays.host(arrays.array(values, case.dtype))
        for v, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            if present[k, v]:
                jacobian[k, bounds[v] : bounds[v + 1]] = rounded[start : start + size]
        tasks.append([piece if present[k, v] else None for v, piece in enumerate(pieces)])
    return Drawn(tasks, jacobian, present, bounds)


def random_order(generator: np.random.Generator, num_tasks: int) -> np.ndarray:
    """`[K, K-1]` int32."""
    rows = [
        generator.permutation([j for j in range(num_tasks) if j != i]) for i in range(num_tasks)
    ]
    return np.array(rows, np.int32).reshape(num_tasks, num_tasks - 1)


def projected_weights(gramian: np.ndarray, order: np.ndarray) -> np.ndarray:
    """PCGrad's weights by its definition, in float64."""
    num_tasks = len(gramian)
    total = np.zeros(num_tasks)
    for i in range(num_tasks):
        if gramian[i, i] == 0:
            continue
        weights = np.eye(num_tasks)[i]
        for j in order[i]:
            product = gramian[j] @ weights
            if gramian[j, j] > 0 and product < 0:
                weights[j] -= product / gramian[j, j]
        total += weights
    return total


class Checks:
    """All checks of gradient kernels with the arrays of one library."""

    def __init__(self, kernels: Any, arrays: Any, seed: int, findings: Findings) -> None:
        self._cuda = kernels.cuda
        self._arrays = arrays
        self._generator = np.random.default_rng(seed)
        self._findings = findings

    def run(self, case: Case) -> None:
        """All kernels on gradients of one kind."""
        drawn = draw(self._arrays, self._generator, case)
        self._gramian(case, drawn)
        self._weighted_sum(case, drawn)
        if case.num_tasks > 1:
            self._gradient_projection(case, drawn)
        self._grad_drop(case, drawn)

    def _add(self, kernel: str, case: Case, error: Any, bound: Any) -> None:
        self._findings.add(kernel, case.dtype, f"{case} ({self._arrays.name})", error, bound)

    def _gramian(self, case: Case, drawn: Drawn) -> None:
        stream = self._arrays.stream
        first = self._arrays.host(self._cuda.gramian(drawn.tasks, stream=stream))
        again = self._arrays.host(self._cuda.gramian(drawn.tasks, stream=stream))
        expected = drawn.jacobian @ drawn.jacobian.T
        lengths = np.sqrt(np.diag(expected))
        chain = 32 if case.num_tasks <= 8 else 128
        bound = (chain + 2) * 2.0**-24 * np.outer(lengths, lengths) + 1e-30
        self._add("gramian", case, first - expected, bound)
        self._add("gramian twice", case, first - again, 1e-300)
        self._add("gramian symmetric", case, first - first.T, 1e-300)

    def none_and_infinity(self, num_tasks: int, dtype: str) -> None:
        """A task without a gradient takes no part: its products are zero, with infinity too."""
        values = self._generator.standard_normal([num_tasks, CHUNK + 5]).astype(np.float32)
        values[0, 7] = np.inf
        tasks = [[self._arrays.array(row, dtype)] for row in values]
        tasks[num_tasks // 2] = [None]
        found = self._arrays.host(self._cuda.gramian(tasks, stream=self._arrays.stream))
        rows = [k for k in range(num_tasks) if tasks[k][0] is not None]
        is_right = (found[num_tasks // 2] == 0).all() and not np.isfinite(found[0, rows]).any()
        is_right &= bool(np.isfinite(found[1:, 1:]).all())
        self._findings.add(
            "gramian: None and infinity", dtype, f"K={num_tasks}", 0.0 if is_right else 2.0, 1.0
        )

    def another_shape(self) -> None:
        """Gradients of one size and different shapes are refused."""
        ones = np.ones(12, np.float32)
        tasks = [[self._arrays.array(ones.reshape(s), "float32")] for s in ((2, 6), (3, 4))]
        try:
            self._cuda.gramian(tasks, stream=self._arrays.stream)
        except ValueError:
            error = 0.0
        else:
            error = 2.0
        self._findings.add("another shape is refused", "float32", "(2, 6), (3, 4)", error, 1.0)

    def _poison(self, drawn: Drawn) -> None:
        """Leaves NaN in the memory that the next results are likely to get."""
        nan = self._arrays.array(np.full(len(drawn.tasks), np.nan), "float64")
        self._cuda.weighted_sum(drawn.tasks, nan, stream=self._arrays.stream)

    def _compare(
        self, kernel: str, case: Case, drawn: Drawn, results: list, expected: Any, bound: Any
    ) -> None:
        """Compares V results with `expected [P]`; there is one wherever a task has a gradient."""
        has_result = np.array([result is not None for result in results])
        num_wrong = np.sum(has_result != drawn.present.any(0))
        self._add(f"{kernel}: which are None", case, num_wrong, 0.5)
        actual = np.zeros(drawn.bounds[-1])
        for v, result in enumerate(results):
            if result is not None:
                actual[drawn.bounds[v] : drawn.bounds[v + 1]] = self._arrays.host(result)
        self._add(kernel, case, actual - expected, bound)

    def _bound(self, case: Case, drawn: Drawn, weights: np.ndarray, sums: np.ndarray) -> np.ndarray:
        """Rounding of a weighted sum in float32, and of its result."""
        magnitude = np.abs(weights) @ np.abs(drawn.jacobian)
        in_sum = (case.num_tasks + 2) * 2.0**-24 * magnitude
        in_result = UNIT_ROUNDING[case.dtype] * (np.abs(sums) + in_sum)
        return in_sum + in_result + SMALLEST[case.dtype]

    def _weighted_sum(self, case: Case, drawn: Drawn) -> None:
        weights = self._generator.standard_normal(case.num_tasks)
        expected = weights @ drawn.jacobian
        self._poison(drawn)
        on_device = self._arrays.array(weights, "float64")
        results = self._cuda.weighted_sum(drawn.tasks, on_device, stream=self._arrays.stream)
        bound = self._bound(case, drawn, weights, expected)
        self._compare("weighted_sum", case, drawn, results, expected, bound)

    def _gradient_projection(self, case: Case, drawn: Drawn) -> None:
        order = random_order(self._generator, case.num_tasks)
        self._poison(drawn)
        results, weights = self._cuda.gradient_projection(
            drawn.tasks, self._arrays.array(order, "int32"), stream=self._arrays.stream
        )
        weights = self._arrays.host(weights)
        expected = projected_weights(drawn.jacobian @ drawn.jacobian.T, order)
        # In units of gradients: a short gradient may have a large weight.
        lengths = np.sqrt((drawn.jacobian**2).sum(1))
        scale = 1e-4 * np.max(np.abs(expected) * lengths, initial=1e-30)
        self._add("projection weights", case, (weights - expected) * lengths, scale)
        sums = weights @ drawn.jacobian
        bound = self._bound(case, drawn, weights, sums)
        self._compare("gradient_projection", case, drawn, results, sums, bound)

    def _grad_drop(self, case: Case, drawn: Drawn) -> None:
        sizes = np.diff(drawn.bounds)
        numbers = self._generator.random(drawn.bounds[-1]).astype(np.float32)
        uniform = self._arrays.pieces(
            numbers, drawn.bounds[:-1].tolist(), sizes.tolist(), "float32"
        )
        leak = np.where(
            self._generator.random(case.num_tasks) < 0.5, 0, self._generator.random(case.num_tasks)
        ).astype(np.float32)
        self._poison(drawn)
        results = self._cuda.grad_drop(
            drawn.tasks, uniform, self._arrays.array(leak, "float32"), stream=self._arrays.stream
        )
        jacobian = drawn.jacobian
        total, magnitude = jacobian.sum(0), np.abs(jacobian).sum(0)
        excess = total - (2.0 * numbers - 1.0) * magnitude
        keep = ((excess > 0) & (jacobian > 0)) | ((excess < 0) & (jacobian < 0))
        shares = np.where(keep, 1.0, leak[:, None].astype(np.float64))
        expected = (shares * jacobian).sum(0)
        in_sum = (case.num_tasks + 2) * 2.0**-24 * magnitude
        bound = in_sum + UNIT_ROUNDING[case.dtype] * (np.abs(expected) + in_sum)
        # Where rounding decides which sign is kept, either is right.
        is_tie = np.abs(excess) <= 2 * in_sum + 1e-30
        bound = np.where(is_tie, 2 * magnitude, bound) + SMALLEST[case.dtype]
        self._compare("grad_drop", case, drawn, results, expected, bound)


def random_gramian(generator: np.random.Generator, num_tasks: int, kind: str) -> np.ndarray:
    """A Gramian of one kind of gradients."""
    jacobian = generator.standard_normal([num_tasks, 3 * num_tasks + 5])
    if kind == "scales":
        jacobian *= 10.0 ** generator.uniform(-2, 2, [num_tasks, 1])
    elif kind == "tiny":
        jacobian *= 1e-10
    elif kind == "agreeing":
        jacobian += 2 * generator.standard_normal([1, jacobian.shape[1]])
    elif kind == "one without a gradient":
        jacobian[num_tasks // 2] = 0
    elif kind == "all zero":
        jacobian[:] = 0
    elif kind == "twins":
        jacobian[-1] = jacobian[0]
    gramian = jacobian @ jacobian.T
    return (gramian + gramian.T) / 2


def check_balance(
    kernels: Any, arrays: Any, generator: np.random.Generator, findings: Findings, is_tiny: bool
) -> None:
    """All solvers against those on the CPU."""
    for num_tasks in TINY_TASKS[:-1] if is_tiny else TASKS:
        for kind in KINDS:
            gramian = random_gramian(generator, num_tasks, kind)
            for method in METHODS:
                errors = _balance_errors(kernels, arrays, gramian, method)
                for what, (error, bound) in errors.items():
                    where = f"K={num_tasks}, {kind}"
                    findings.add(f"balance {method}: {what}", "float64", where, error, bound)
    not_finite = arrays.array(np.array([[1.0, np.nan], [np.nan, 1.0]]), "float64")
    for method in METHODS:
        weights, status, *_ = kernels.cuda.balance(
            not_finite, method, PARAMETERS.get(method, 1.0), stream=arrays.stream
        )
        is_right = np.isnan(arrays.host(weights)).all() and arrays.host(status) == 3
        findings.add(f"balance {method}: NaN", "float64", "K=2", 0.0 if is_right else 2.0, 1.0)


def _balance_errors(
    kernels: Any, arrays: Any, gramian: np.ndarray, method: str
) -> dict[str, tuple[Any, float]]:
    """(error, bound) of what a solver returns, by name, against the same solver on the CPU."""
    parameter = PARAMETERS.get(method, 1.0)
    expected, status, _, _ = kernels.balance(gramian, method, parameter)
    results = kernels.cuda.balance(
        arrays.array(gramian, "float64"), method, parameter, stream=arrays.stream
    )
    weights, own_status, residual = (arrays.host(result) for result in results[:3])
    # Twins have no single solution: what counts is the direction that the weights give.
    error = np.linalg.norm(_root(gramian) @ (weights - expected))
    length = np.max(np.abs(expected) * np.sqrt(np.diag(gramian)), initial=0)
    errors = {"status": (own_status - status, 0.5), "direction": (error, 1e-6 * length + 1e-30)}
    if status == 0:
        errors["residual"] = (residual, 1e-8)
    return errors


def _root(gramian: np.ndarray) -> np.ndarray:
    """A matrix R with R'R = G."""
    values, vectors = np.linalg.eigh(gramian)
    return np.sqrt(np.maximum(values, 0))[:, None] * vectors.T


def check_all(kernels: Any, found: list[Any], seed: int, is_tiny: bool) -> Findings:
    """Every check with the first library of `found`, and a few with the others."""
    findings = Findings()
    first, *others = found
    with findings.kept(f"arrays of {first.name}"):
        checks = Checks(kernels, first, seed, findings)
        for case in all_cases(first.dtypes, is_tiny):
            checks.run(case)
        for dtype in first.dtypes:
            for num_tasks in (3, 8, 9, 20):
                checks.none_and_infinity(num_tasks, dtype)
        checks.another_shape()
        check_balance(kernels, first, np.random.default_rng(seed), findings, is_tiny)
    for number, arrays in enumerate(others, 1):
        with findings.kept(f"arrays of {arrays.name}"):
            checks = Checks(kernels, arrays, seed + number, findings)
            for dtype in arrays.dtypes:
                checks.run(Case(3, TINY_SIZES, dtype, share_missing=0.3))
    return findings
