"""Folders of one epoch or step each, of which a reader sees the last one, whole, or none."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterator


def latest(folder: pathlib.Path) -> pathlib.Path | None:
    """Return the finished folder of the highest epoch and step in `folder`, if there is one."""
    return max(folder.glob("epoch_*"), default=None)


@contextlib.contextmanager
def new(folder: pathlib.Path, epoch: int, step: int = 0) -> Iterator[pathlib.Path]:
    """Give a folder to write into; when it is left, it takes the place of all others.

    Args:
        folder: where the folders are; made if missing.
        epoch: number in the name.
        step: of an unfinished epoch: second number in the name.
    """
    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    yield unfinished
    finished = folder / f"epoch_{epoch:06d}{f'_step_{step:09d}' if step else ''}"
    while finished.exists():  # a resumed run came to this epoch again: the old one goes afterwards
        finished = finished.with_name(f"{finished.name}_again")
    unfinished.rename(finished)
    for other in folder.glob("epoch_*"):
        if other != finished:
            shutil.rmtree(other)
