"""Runs in a folder, finished or not, as a view needs them."""

import contextlib
import dataclasses
import pathlib
from typing import Any

from mtl_tf.atomic_files import read_json
from mtl_tf.experiments import run_folder
from mtl_tf.experiments.outputs.epoch_pictures import FOLDER
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
    runs: list[tuple[float, LiveRun]] = []
    for path in (path for pattern in patterns for path in root.glob(pattern)):
        with contextlib.suppress(ValueError, OSError):  # a run that is being written or removed
            runs.append((path.stat().st_mtime, _read_run(root, path.parent)))
    runs.sort(key=lambda item: item[0], reverse=True)
    return [run for _, run in runs]


def folder_of(root: pathlib.Path, name: str) -> pathlib.Path | None:
    """Return the folder of a run by its name; `None` if it is no run below the root.

    Args:
        root: folder of the runs, or of one run.
        name: of a `LiveRun`.
    """
    if ".." in pathlib.PurePath(name).parts:
        return None
    is_root = name == root.name and (root / "config.json").is_file()
    folder = root if is_root else root / name
    is_inside = folder.resolve().is_relative_to(root.resolve())
    return folder if is_inside and (folder / "config.json").is_file() else None


def _read_run(root: pathlib.Path, folder: pathlib.Path) -> LiveRun:
    config = read_json(folder / "config.json", "the options of a run")
    if not isinstance(config.get("tasks"), list) or "architecture" not in config:
        raise ValueError(f"{folder} is no run")
    if (folder / "results.json").is_file():
        stored, state = read_json(folder / "results.json", "the results of a run"), "finished"
    else:
        latest = epoch_folders.latest(folder / "backup")
        stored = read_json(latest / "metadata.json", "a backup") if latest else {}
        state = "running" if run_folder.is_locked(folder) else "stopped"
    history = [entry for entry in stored.get("history", ()) if isinstance(entry, dict)]
    name = root.name if folder == root else folder.relative_to(root).as_posix()
    return LiveRun(name, folder, config, history, state)
