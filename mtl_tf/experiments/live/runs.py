"""Runs in a folder, finished or not, as a view needs them."""

import contextlib
import dataclasses
import pathlib
from typing import Any

from mtl_tf.atomic_files import read_json
from mtl_tf.experiments.outputs.epoch_pictures import FOLDER
from mtl_tf.file_locks import try_lock
from mtl_tf.training.callbacks import epoch_folders

_DEPTH = 4  # of folders below the root, those of surveys included


@dataclasses.dataclass(frozen=True)
class LiveRun:
    """A run as it is now.

    Attributes:
        name: path relative to the root.
        folder: of the run.
        config: options, as stored.
        history: logs of the finished epochs.
        state: `"running"`, `"finished"` or `"stopped"`.

    Examples:
        >>> LiveRun("a", pathlib.Path("a"), {"epochs": 9}, [{}, {}], "running").progress
        'epoch 2 of 9'
    """

    name: str
    folder: pathlib.Path
    config: dict[str, Any]
    history: list[dict[str, float]]
    state: str

    @property
    def progress(self) -> str:
        """Finished epochs of those planned."""
        return f"epoch {len(self.history)} of {self.config.get('epochs', '?')}"

    @property
    def title(self) -> str:
        """Architecture, backbone and method."""
        parts = (self.config.get(name) for name in ("architecture", "backbone", "balancing"))
        return ", ".join(str(part) for part in parts if part)

    @property
    def pictures(self) -> list[str]:
        """Names of the pictures of the epochs, the last one first."""
        return sorted((path.name for path in (self.folder / FOLDER).glob("*.webp")), reverse=True)


def read_runs(root: pathlib.Path) -> list[LiveRun]:
    """Return the runs below a folder, the latest first; damaged ones are left out.

    Args:
        root: folder of the runs, or of one run.
    """
    patterns = ["/".join(["*"] * depth + ["config.json"]) for depth in range(_DEPTH)]
    paths = [path for pattern in patterns for path in root.glob(pattern)]
    runs = []
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(ValueError, OSError):  # a run that is being written or removed
            runs.append(_read_run(root, path.parent))
    return runs


def _read_run(root: pathlib.Path, folder: pathlib.Path) -> LiveRun:
    config = read_json(folder / "config.json", "the options of a run")
    if (folder / "results.json").is_file():
        stored, state = read_json(folder / "results.json", "the results of a run"), "finished"
    else:
        latest = epoch_folders.latest(folder / "backup")
        stored = read_json(latest / "metadata.json", "a backup") if latest else {}
        state = "running" if _is_locked(folder / ".lock") else "stopped"
    history = [entry for entry in stored.get("history", ()) if isinstance(entry, dict)]
    name = folder.relative_to(root).as_posix()
    return LiveRun(folder.name if name == "." else name, folder, config, history, state)


def _is_locked(path: pathlib.Path) -> bool:
    """Return whether a process holds the lock of a run."""
    if not path.is_file():
        return False
    with path.open() as file:
        return not try_lock(file)
