"""Writing files so that a reader never sees half of one."""

import os
import pathlib


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes a file beside `path` and renames it: `path` holds the old content or all the new.

    Args:
        path: of the file; its folder must exist.
        content: text (written as UTF-8) or bytes.
    """
    path = pathlib.Path(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
    unfinished.replace(path)
