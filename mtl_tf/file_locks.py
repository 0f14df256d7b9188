"""Locks on open files, each held by one process at a time, where the file system supports them."""

import errno
import warnings
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_IS_LOCKED = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)


def try_lock(file: IO[str]) -> bool:
    """Lock an open file until it is closed.

    Without locks, on a platform or a file system that does not support them (some network file
    systems), there is one warning, and the file counts as locked.

    Args:
        file: open for writing.

    Returns:
        Whether this process has the lock; `False` if another process has it.
    """
    if fcntl is None:
        _warn("this platform")
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _IS_LOCKED:
            return False
        _warn(f"this file system ({error.strerror})")
    return True


def _warn(where: str) -> None:
    warnings.warn(
        f"There are no file locks on {where}: make sure that no second process writes there",
        RuntimeWarning,
        stacklevel=5,
    )
