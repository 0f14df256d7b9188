"""Presets: trained networks with their tasks, by name or folder."""

import os
import pathlib

from mtl_tf.deployment.saved_models import load_saved
from mtl_tf.training import MultiTaskTrainer
from mtl_tf.training.preset import MODEL_FILE

FOLDER_VARIABLE = "MTL_TF_PRESETS"
_RUNS = "runs"
_SHIPPED = pathlib.Path(__file__).parents[1] / "trained"


def from_preset(preset: str | os.PathLike[str]) -> MultiTaskTrainer:
    """Return a trained network with its tasks.

    Args:
        preset: a folder of a run, of `MultiTaskTrainer.save_to_preset`, or a `.keras` file; or a
            name: a folder of that name in the one that the environment variable `MTL_TF_PRESETS`
            names, in `runs`, or in this package (see `shipped_presets`).

    Returns:
        A trainer that is not compiled, with the network (`network`) and its tasks with their class
        names (`tasks`).

    Raises:
        FileNotFoundError: if there is no such preset.
        ValueError: if its network is damaged or its tasks are unknown.
    """
    saved = load_saved(model_file(preset))
    maps = {name: raw for name, raw in saved.network.output.items() if "/" not in name}
    unknown = sorted(maps.keys() - {task.name for task in saved.tasks})
    if unknown:
        raise ValueError(
            f"The tasks {unknown} of {preset} are unknown: import the module that defines them, or "
            "build MultiTaskTrainer(load_network(path), tasks) with your own Task objects"
        )
    return MultiTaskTrainer(saved.network, saved.tasks)


def model_file(preset: str | os.PathLike[str]) -> pathlib.Path:
    """Return the file of the network of a preset.

    Args:
        preset: as for `from_preset`.

    Raises:
        FileNotFoundError: if there is no such preset.
    """
    path = pathlib.Path(preset).expanduser()
    named = os.environ.get(FOLDER_VARIABLE)
    folders = [pathlib.Path(named).expanduser() / path] if named else []
    shipped = [_SHIPPED / path] if str(path) in shipped_presets() else []
    candidates = [path, *folders, pathlib.Path(_RUNS) / path, *shipped]
    for candidate in candidates:
        file = candidate / MODEL_FILE if candidate.is_dir() else candidate
        if file.is_file():
            return file
    raise FileNotFoundError(
        f"There is no preset {str(preset)!r}: give the folder of a finished run or of "
        f"save_to_preset, or a name in {FOLDER_VARIABLE} or {_RUNS}, or one of this package: "
        f"{shipped_presets()}. Looked for: "
        f"{', '.join(str(c / MODEL_FILE) for c in candidates)}"
    )


def shipped_presets() -> list[str]:
    """Return the names of the trained networks in this package.

    Examples:
        >>> "quick" in shipped_presets()
        True
    """
    return sorted(file.parent.name for file in _SHIPPED.glob(f"*/{MODEL_FILE}"))
