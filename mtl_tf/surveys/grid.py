"""Cells of a survey: architectures, balancing methods and seeds, and single-task baselines."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from mtl_tf.balancing import TABLE, Scalarizer, canonical_name
from mtl_tf.experiments.config import Config, make_config
from mtl_tf.experiments.from_config import load_tasks
from mtl_tf.targets import TargetKind

SINGLE_TASK = "single_task"

Row = tuple[str, str] | tuple[str, str, dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a survey.

    Attributes:
        row: `(architecture, balancing)`; of a single-task network `("single_task", task)`.
        config: configuration of the run.
        baselines: keys of the single-task cells to compare with, which run before this one.

    Examples:
        >>> Cell(("mtan", "dwa"), make_config(architecture="mtan", balancing="dwa")).name
        'mtan, dwa, seed 0'
    """

    row: tuple[str, str]
    config: Config
    baselines: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Hash of the configuration."""
        text = json.dumps(self.config.identity(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Readable name of the run."""
        return f"{self.row[0]}, {self.row[1]}, seed {self.config.seed}"


def make_cells(
    rows: Iterable[Row],
    seeds: Sequence[int],
    base: dict[str, Any],
    alone: dict[str, Any] | None = None,
    always: dict[str, Any] | None = None,
) -> list[Cell]:
    """Return the cells of a survey: for each seed the single-task networks, then the rows.

    Args:
        rows: `(architecture, balancing)`, or `(label, balancing, options)` with options of the row.
        seeds: seeds; every cell runs once for each.
        base: options of all cells, see `Config`.
        alone: options of the single-task cells.
        always: options of all cells that override those of single-task cells and rows.

    Raises:
        ValueError: for an unknown option, architecture or method, or if there is no row or seed.
    """
    base, always = base | (always or {}), always or {}
    named = {(label, canonical_name(method)): rest for label, method, *rest in rows}
    if not named or not seeds:
        raise ValueError(f"A survey needs rows and seeds. Received: {list(named)}, {list(seeds)}")
    whole = make_config(**base)
    predicted = [
        (task, text)
        for task, text in zip(load_tasks(whole).values(), whole.tasks, strict=True)
        if task.name not in whole.auxiliary_tasks
    ]
    cells = []
    for seed in dict.fromkeys(seeds):
        options_alone = base | (alone or {}) | always
        networks = [
            Cell(
                (SINGLE_TASK, task.name), _single_task_config(options_alone, text, task.kind, seed)
            )
            for task, text in predicted
        ]
        cells += networks
        for (label, method), options in named.items():
            chosen = {
                "architecture": label,
                # These methods compute the task gradients anyway: logging them is free.
                "diagnostics": not issubclass(TABLE[method].cls, Scalarizer),
                **(options[0] if options else {}),
                **always,
                "balancing": method,
                "seed": seed,
            }
            keys = tuple(cell.key for cell in networks)
            cells.append(Cell((label, method), make_config(**{**base, **chosen}), keys))
    return cells


_OPTIONS_OF_KINDS = {
    "label_smoothing": TargetKind.CLASSES,
    "class_weights": TargetKind.CLASSES,
    "edge_positive_weight": TargetKind.BOUNDARY,
}


def _single_task_config(options: dict[str, Any], task: str, kind: TargetKind, seed: int) -> Config:
    """Return the configuration of a single-task network, without options of other tasks."""
    overrides = {
        "tasks": (task,),
        "auxiliary_tasks": (),
        "loss_weights": {},
        "architecture": SINGLE_TASK,
        "architecture_options": {},
        "balancing": "fixed_weights",
        "level": "parameters",
        "best_by": "delta_m",
        "seed": seed,
    }
    unused = {n: Config.model_fields[n].default for n, k in _OPTIONS_OF_KINDS.items() if k != kind}
    return make_config(**{**options, **overrides, **unused})
