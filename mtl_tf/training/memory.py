"""Memory of processes; platforms that do not tell it give `None`, and the number is left out."""

import pathlib
import sys

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_KIB_A_UNIT = 1 / 1024 if sys.platform == "darwin" else 1.0  # macOS counts bytes, Linux KiB


def peak_memory_mib() -> float | None:
    """Return the peak resident memory of this process, MiB; `None` if unknown."""
    if resource is None:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB_A_UNIT / 1024


def resident_mib(pid: int) -> float | None:
    """Return the current resident memory of a process, MiB; `None` if it is unknown.

    Args:
        pid: of the process.
    """
    return _of_status(pid, "VmRSS")


def peak_resident_mib(pid: int) -> float | None:
    """Return the peak resident memory of a process without its parent's, MiB; `None` if unknown.

    Args:
        pid: of the process.
    """
    return _of_status(pid, "VmHWM")


def _of_status(pid: int, entry: str) -> float | None:
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    values = [line.split()[1] for line in status.splitlines() if line.startswith(entry)]
    return int(values[0]) / 1024 if values else None
