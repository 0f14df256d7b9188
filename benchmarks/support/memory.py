"""How much memory a call needs beside what it was given, measured in a process of its own.

Claim: none of its own. Command: imported by `benchmarks/test_*.py`.
False if: a call that allocates and touches an array of 200 MiB is told less than 195 or more than
215 (`python -m benchmarks.support.memory benchmarks.support.memory:touches 200` prints it).
"""

import importlib
import pathlib
import subprocess
import sys
from collections.abc import Callable

MIB = 1 << 20


def peak_extra_mib(maker: str, *arguments: object) -> float:
    """Peak of the resident memory over its level before the call, MiB.

    Args:
        maker: `"module:function"`; the function gives, for `arguments` as text, the call to measure
            and a smaller one that loads what the first call of its kind loads.
        arguments: of the maker.
    """
    command = [sys.executable, "-m", "benchmarks.support.memory", maker, *map(str, arguments)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.splitlines()[-1])


def touches(mib: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return an example of a maker."""
    return lambda: bytearray(b"1") * (int(mib) * MIB), lambda: None


def _resident(name: str) -> float:
    """`VmRSS` or `VmHWM`, its peak, in MiB."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


def main() -> None:
    module, function = sys.argv[1].split(":")
    large, small = getattr(importlib.import_module(module), function)(*sys.argv[2:])
    small()
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
    before = _resident("VmRSS")
    large()
    print(_resident("VmHWM") - before)


if __name__ == "__main__":
    main()
