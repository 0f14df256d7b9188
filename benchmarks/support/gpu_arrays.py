"""Device arrays by PyTorch, CuPy or JAX: what `benchmarks.gpu` needs of each of them.

Claim: none of its own; the kernels take arrays of any of the three.
Command: imported by `benchmarks.gpu`.
False if: a kernel cannot read an array made here, or a library cannot read a kernel's result.
"""

import ctypes
import importlib.util
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

REPEATS = 50
SPIN_HZ = 2.0e9  # above the clock of the device, so that a spin lasts at least as long as asked for


def is_installed(package: str) -> bool:
    """Whether `package` can be imported."""
    return importlib.util.find_spec(package) is not None


class TorchArrays:
    """PyTorch's tensors."""

    name = "PyTorch"
    package = "torch"
    dtypes = ("float32", "bfloat16", "float16")

    def __init__(self, device: str = "cuda") -> None:
        import torch

        self.library = torch
        self.device = device

    @property
    def stream(self) -> int:
        """The address of the stream that everything here runs on."""
        return self.library.cuda.current_stream().cuda_stream

    def array(self, values: np.ndarray, dtype: str) -> Any:
        """`values` on the device."""
        tensor = self.library.from_numpy(np.ascontiguousarray(values))
        return tensor.to(self.device, getattr(self.library, dtype))

    def pieces(self, values: np.ndarray, starts: list[int], sizes: list[int], dtype: str) -> list:
        """Arrays of `sizes` that start at `starts` of one block of memory."""
        block = self.array(values, dtype)
        return [block[start : start + size] for start, size in zip(starts, sizes, strict=True)]

    def host(self, array: Any) -> np.ndarray:
        """Return an array of the device, this library's or a kernel's, as float64."""
        if not isinstance(array, self.library.Tensor):
            array = self.library.from_dlpack(array)
        return array.double().cpu().numpy()

    def synchronize(self) -> None:
        """Wait for the device."""
        self.library.cuda.synchronize()

    def milliseconds(self, call: Callable[[], Any], repeats: int = REPEATS) -> float:
        """Median device time of `call`."""
        cuda = self.library.cuda
        start, stop = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)

        def spin(seconds: float) -> None:
            cuda._sleep(int(seconds * SPIN_HZ))

        return _median_milliseconds(
            call,
            repeats,
            self.synchronize,
            spin,
            start.record,
            stop.record,
            lambda: start.elapsed_time(stop),
        )


class CupyArrays:
    """CuPy's arrays; without bfloat16."""

    name = "CuPy"
    package = "cupy"
    dtypes = ("float32", "float16")

    def __init__(self) -> None:
        import cupy

        self.library = cupy
        self._spin = cupy.RawKernel(
            'extern "C" __global__ void spin(long long cycles) {'
            " const long long begin = clock64();"
            " while (clock64() - begin < cycles) {} }",
            "spin",
        )

    @property
    def stream(self) -> int:
        """The address of the stream that everything here runs on."""
        return self.library.cuda.get_current_stream().ptr

    def array(self, values: np.ndarray, dtype: str) -> Any:
        """`values` on the device."""
        return self.library.asarray(values).astype(dtype)

    def pieces(self, values: np.ndarray, starts: list[int], sizes: list[int], dtype: str) -> list:
        """Arrays of `sizes` that start at `starts` of one block of memory."""
        block = self.array(values, dtype)
        return [block[start : start + size] for start, size in zip(starts, sizes, strict=True)]

    def host(self, array: Any) -> np.ndarray:
        """Return an array of the device, this library's or a kernel's, as float64."""
        return self.library.asnumpy(self.library.asarray(array)).astype(np.float64)

    def synchronize(self) -> None:
        """Wait for the device."""
        self.library.cuda.runtime.deviceSynchronize()

    def milliseconds(self, call: Callable[[], Any], repeats: int = REPEATS) -> float:
        """Median device time of `call`."""
        cuda = self.library.cuda
        start, stop = cuda.Event(), cuda.Event()

        def spin(seconds: float) -> None:
            self._spin((1,), (1,), (np.int64(seconds * SPIN_HZ),))

        return _median_milliseconds(
            call,
            repeats,
            self.synchronize,
            spin,
            start.record,
            stop.record,
            lambda: cuda.get_elapsed_time(start, stop),
        )


class JaxArrays:
    """JAX's arrays. A slice is a new array, so its addresses are always aligned."""

    name = "JAX"
    package = "jax"
    dtypes = ("float32", "bfloat16", "float16")
    stream = 0

    def __init__(self) -> None:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax

        if jax.default_backend() != "gpu":
            raise RuntimeError(
                f"it runs on the {jax.default_backend()}: its CUDA plugin is missing"
            )
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_default_matmul_precision", "float32")  # as in PyTorch
        self._driver = ctypes.CDLL("libcuda.so.1")
        self.library = jax

    def array(self, values: np.ndarray, dtype: str) -> Any:
        """`values` on the device."""
        return self.library.numpy.asarray(values).astype(dtype).block_until_ready()

    def pieces(self, values: np.ndarray, starts: list[int], sizes: list[int], dtype: str) -> list:
        """Arrays of `sizes`, from `starts` of `values`."""
        return [
            self.array(values[start : start + size], dtype)
            for start, size in zip(starts, sizes, strict=True)
        ]

    def host(self, array: Any) -> np.ndarray:
        """Return an array of the device, this library's or a kernel's, as float64."""
        if not isinstance(array, self.library.Array):
            self._driver.cuCtxSynchronize()  # the kernels run on another stream than JAX
            array = self.library.dlpack.from_dlpack(array)
        return np.asarray(array.astype("float64"))

    def synchronize(self) -> None:
        """Wait for the device."""
        self.library.block_until_ready(self.library.numpy.zeros(1) + 1)

    def milliseconds(self, call: Callable[[], Any], repeats: int = REPEATS) -> float:
        """Median time of one of many calls in a row, by the clock of the host.

        JAX has no events: where a call takes the host longer than the device, this is the host.
        """

        def seconds(calls: int) -> float:
            begin = time.perf_counter()
            results = [call() for _ in range(calls)]
            self.library.block_until_ready(results[-1])
            self._driver.cuCtxSynchronize()  # results of a kernel are not JAX's to wait for
            return time.perf_counter() - begin

        seconds(3)
        few, many = 2, 7  # results stay alive meanwhile
        differences = [seconds(many) - seconds(few) for _ in range(max(3, repeats // many))]
        return 1e3 * statistics.median(differences) / (many - few)


def _median_milliseconds(
    call: Callable[[], Any],
    repeats: int,
    synchronize: Callable[[], None],
    spin: Callable[[float], None],
    start: Callable[[], None],
    stop: Callable[[], None],
    elapsed: Callable[[], float],
) -> float:
    """Median time between two events around `call`.

    The device spins while the host prepares the call, so that what the host does (hundreds of
    addresses through DLPack, the guards of a compiled function) is not in the time between the
    events, unless `call` itself waits for the device.
    """
    for _ in range(3):
        call()
    synchronize()
    begin = time.perf_counter()
    call()
    on_host = time.perf_counter() - begin
    synchronize()
    times = []
    for _ in range(repeats):
        spin(2 * on_host + 2e-4)
        start()
        result = call()
        stop()
        synchronize()
        times.append(elapsed())
        del result
    return statistics.median(times)


LIBRARIES = (TorchArrays, CupyArrays, JaxArrays)
