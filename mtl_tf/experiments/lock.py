"""Locks on open files, which one process at a time can hold, where the file system has them."""

import errno
import warnings
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HELD_BY_ANOTHER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)


def take(file: IO[str]) -> bool:
    """Locks an open file until it is closed.

    Without locks, on a platform or a file system that has none (some network file systems), there
    is one warning, and the file counts as locked.

    Args:
        file: open for writing.

    Returns:
        Whether it is locked now; `False` if another process holds it.
    """
    if fcntl is None:
        _warn("this platform")
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER:
            return False
        _warn(f"this file system ({error.strerror})")
    return True


def _warn(where: str) -> None:
    warnings.warn(
        f"There are no file locks on {where}: make sure that no second process writes to the "
        "folder of a run",
        RuntimeWarning,
        stacklevel=5,
    )
