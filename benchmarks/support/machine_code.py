"""Machine code of the CUDA kernels: compiled for one architecture, and read.

`compiled` needs nvcc, and `cuobjdump` and `nvdisasm` (on the PATH, or the packages
`nvidia-cuda-cuobjdump` and `nvidia-cuda-nvdisasm`).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).parents[2]
# A multiprocessor of an H200: 4.3 TB/s over 132 of them, and what it issues in the long run.
BYTES_A_CLOCK = 17.5
INSTRUCTIONS_A_CLOCK = 3
BYTES_ON_THE_WAY = 33_000  # hide a latency of a microsecond
_LINE = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+ )?\s*(\S+)\s*(.*?)\s*;")
_RESOURCES = re.compile(
    r"Function (.+?):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+)", re.MULTILINE | re.DOTALL
)


@dataclasses.dataclass(frozen=True)
class Kernel:
    """The code of one kernel.

    Attributes:
        name: with its template arguments, without namespaces.
        registers: of a thread.
        stack: bytes of local memory of a thread: spilled registers, arrays.
        shared: bytes of static shared memory of a block.
        code: `(address, operation, operands)` of each instruction.
    """

    name: str
    registers: int
    stack: int
    shared: int
    code: tuple[tuple[int, str, str], ...]

    def count(self, operation: str) -> int:
        """Return the number of instructions whose operation matches a regular expression."""
        return sum(re.match(operation, name) is not None for _, name, _ in self.code)

    def bytes_moved(self, operation: str) -> int:
        """Return the bytes that a thread moves with `LDG` or `STG`."""
        return sum(_width(name) for _, name, _ in self.code if name.startswith(operation))

    def bytes_in_flight(self) -> int:
        """Return the largest number of bytes a thread has asked for before it uses some."""
        most, pending = 0, {}
        for _, name, operands in self.code:
            used = {int(r) for r in re.findall(r"\bR(\d+)", operands)}
            if name.startswith("LDG"):
                target = re.match(r"R(\d+)", operands)
                assert target is not None, operands
                first, width = int(target[1]), _width(name)
                pending[first] = (set(range(first, first + max(1, width // 4))), width)
                most = max(most, sum(bytes_ for _, bytes_ in pending.values()))
            else:
                pending = {r: entry for r, entry in pending.items() if not entry[0] & used}
        return most

    def loops(self) -> list[Kernel]:
        """Return the bodies of loops, from a target to the branch back to it."""
        found = []
        for address, name, operands in self.code:
            target = re.search(r"0x([0-9a-f]+)", operands) if name.startswith("BRA") else None
            if target is not None and int(target[1], 16) < address:
                begin = int(target[1], 16)
                body = tuple(x for x in self.code if begin <= x[0] <= address)
                found.append(dataclasses.replace(self, code=body))
        return found

    def main_loop(self) -> Kernel:
        """Return the loop with the widest loads that loads the most bytes for its size."""
        loops = [loop for loop in self.loops() if loop.bytes_moved("LDG")]
        if not loops:
            raise ValueError(f"{self.name} has no loop with loads")

        def rank(loop: Kernel) -> tuple[int, float]:
            widest = max(_width(name) for _, name, _ in loop.code if name.startswith("LDG"))
            return widest, loop.bytes_moved("LDG") / len(loop.code)

        return max(loops, key=rank)

    def threads_at_once(self, threads: int = 256, shared_bytes: int = 0) -> int:
        """Return the threads of a multiprocessor of an H200 that run blocks of this kernel."""
        registers = -(-self.registers // 8) * 8
        by_registers = 65536 // (registers * threads)
        by_memory = 227 * 1024 // max(1, self.shared + shared_bytes + 1024)
        return threads * min(by_registers, by_memory, 2048 // threads)

    def expected_share(self, threads: int = 256, shared_bytes: int = 0) -> float:
        """Return the share of a device copy that the main loop allows on an H200: an estimate.

        The least of what instructions and latency allow.
        """
        loop = self.main_loop()
        moved = 32 * (loop.bytes_moved("LDG") + loop.bytes_moved("STG"))
        by_instructions = moved / BYTES_A_CLOCK * INSTRUCTIONS_A_CLOCK / len(loop.code)
        waiting = loop.bytes_in_flight() * self.threads_at_once(threads, shared_bytes)
        return min(1.0, by_instructions, waiting / BYTES_ON_THE_WAY)


def _width(name: str) -> int:
    parts = name.split(".")
    widths = {"128": 16, "64": 8, "U16": 2, "S16": 2, "U8": 1, "S8": 1}
    return next((widths[part] for part in parts if part in widths), 4)


def tool(name: str) -> str | None:
    """Return the path of one of NVIDIA's tools, or `None`."""
    found = shutil.which(name)
    if found is not None:
        return found
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        for path in pathlib.Path(folder).glob(f"*/bin/{name}"):
            return str(path)
    return None


def compiled(source: str, folder: pathlib.Path, architecture: str = "sm_90") -> dict[str, Kernel]:
    """Compile a file of `ops/kernels` and return its kernels by name."""
    cubin = folder / f"{pathlib.Path(source).stem}.cubin"
    flags = ["-std=c++17", "-O3", f"-arch={architecture}", "-DMTL_WITH_CUDA", f"-I{ROOT / 'ops'}"]
    file = str(ROOT / "ops" / "kernels" / source)
    _run("nvcc", *flags, "-cubin", "-o", str(cubin), file)
    code: dict[str, list[tuple[int, str, str]]] = {}
    for line in _run("cuobjdump", "-sass", str(cubin)).splitlines():
        if "Function :" in line:
            current = code.setdefault(line.split(" : ")[1].strip(), [])
        elif match := _LINE.match(line):
            current.append((int(match[1], 16), match[3], match[4]))
    kernels = {}
    for name, *numbers in _RESOURCES.findall(_run("cuobjdump", "-res-usage", str(cubin))):
        if name in code:
            plain = _plain(name)
            kernels[plain] = Kernel(plain, *map(int, numbers), tuple(code[name]))
    return kernels


def _plain(mangled: str) -> str:
    name = subprocess.run(["c++filt", mangled], capture_output=True, text=True, check=True).stdout
    name = re.sub(r"mtl::|\(anonymous namespace\)::|^void ", "", name.strip())
    return re.sub(r"\(.*", "", re.sub(r"\((?:int|unsigned|bool)\)", "", name)).strip()


def _run(name: str, *arguments: str) -> str:
    path = tool(name)
    if path is None:
        raise FileNotFoundError(name)
    nvdisasm = tool("nvdisasm")  # which cuobjdump looks for on the PATH
    beside = [] if nvdisasm is None else [str(pathlib.Path(nvdisasm).parent)]
    path_variable = os.pathsep.join([*beside, os.environ["PATH"]])
    done = subprocess.run(
        [path, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path_variable},
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    return done.stdout
