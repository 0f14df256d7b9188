"""Files and ids of a data set: those that exist, and those that lead out of its folder.

Pipes and devices, whose reads may never end, are refused. Links are followed, since data sets often
consist of them.
"""

import os
import pathlib
from collections.abc import Iterable

from mtl_tf.data.sample import DataError
from mtl_tf.text import shown


def require_file(path: pathlib.Path) -> None:
    """Raise `DataError` if a path is missing or not a regular file."""
    if _is_file(path):
        return
    if os.path.exists(path):  # noqa: PTH110 (pathlib's raises for names that are too long)
        raise DataError(f"{shown(path)} is not a file, but a folder, pipe or device: remove it")
    raise DataError(f"{shown(path)} is missing" + " (a link to nothing)" * os.path.lexists(path))


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def first_existing(*paths: pathlib.Path) -> pathlib.Path:
    """Return the first of `paths` that is a file, or the first path if there is none."""
    return next(filter(_is_file, paths), paths[0])


def require(paths: Iterable[pathlib.Path]) -> None:
    """Raise `DataError` with the first paths that are not files and the number of others."""
    missing = [path for path in paths if not _is_file(path)]
    if missing:
        more = f" and {len(missing) - 3} more files" if len(missing) > 3 else ""
        named = ", ".join(map(shown, missing[:3]))
        raise DataError(f"{named}{more}: missing, but the images they belong to are listed")


def read_lines(path: pathlib.Path) -> list[str]:
    """Read the non-empty lines of a text file, stripped; raise `DataError` if there are none."""
    require_file(path)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(f"{path} is empty: it must hold one image id per line")
    return lines


def read_ids(path: pathlib.Path) -> list[str]:
    """Read the image ids of a text file, one per line.

    Raises:
        DataError: if there are none, one is repeated, or one leads out of the data folder.
    """
    ids = read_lines(path)
    check_ids(ids, path)
    return ids


def check_ids(ids: list[str], path: pathlib.Path) -> None:
    """Raise `DataError` with `path` if an id is repeated or leads out of the data folder."""
    seen: set[str] = set()
    for image_id in ids:
        if leads_out(image_id):
            raise DataError(
                f"{shown(path)} lists {image_id!r}: an id must not lead out of the folder"
            )
        if image_id in seen:
            raise DataError(f"{shown(path)} lists {image_id!r} more than once")
        seen.add(image_id)


def leads_out(name: object) -> bool:
    """Return whether a name is not a plain relative path: absolute, `..`, control characters."""
    if not isinstance(name, str) or name.startswith("/") or "\\" in name:
        return True
    parts = pathlib.PurePosixPath(name).parts
    return not parts or ".." in parts or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name)
