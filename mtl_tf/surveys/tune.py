"""Search for the learning rate and the loss weights: a strong baseline of loss balancing.

The study is a journal file, which several machines with a common folder can share: each runs
`mtl-tf tune` with the same options.
"""

import json
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mtl_tf.atomic_files import read_summary, write_atomically
from mtl_tf.evaluation.reporting.tables import markdown_table
from mtl_tf.experiments import run_folder
from mtl_tf.experiments.best_epoch import single_task_results
from mtl_tf.experiments.config import Config, make_config
from mtl_tf.experiments.from_config import load_tasks
from mtl_tf.experiments.terminal import say
from mtl_tf.optional_packages import optional_import
from mtl_tf.surveys.grid import Cell
from mtl_tf.surveys.processes import run_cells
from mtl_tf.typing import Results

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

SEARCHED = ("learning_rate", "loss_weights")
_WIDTH = 10.0  # the range is from value / width to value * width


def tune(
    config: Config,
    out: str | pathlib.Path,
    trials: int,
    search: Iterable[str] = SEARCHED,
    baseline: Sequence[pathlib.Path] = (),
    time_limit_s: float = 6 * 3600,
    memory_limit_mib: float = 16_384,
    tell: Callable[[str], None] = say,
) -> Config:
    """Search for the options with the best validation score, one process per trial.

    The score is that by which a run chooses its best epoch (`best_by`): Delta-m, or a task's gain.
    The first trial has the given values; the others are drawn from a tenth to ten times of them.
    The weight of the first task is fixed: besides the learning rate, only the ratios of weights
    matter. A repeated call continues the study up to `trials`; a killed trial is resumed.

    Source: Vandenhende et al., TPAMI 2021, section 5.3 (weights from a grid search); Akiba et
    al., KDD 2019 (Optuna), with its tree-structured Parzen estimator.

    Args:
        config: starting point of the search, and all other options.
        out: folder of the study: `study.log`, the runs in `cells/`, `best.json`, `trials.md`.
        trials: number of finished trials in the study, failed ones included.
        search: some of `learning_rate` and `loss_weights`.
        baseline: folders of single-task runs that Delta-m is relative to; the trivial baseline if
            one of the tasks has none.
        time_limit_s: maximum time of one trial.
        memory_limit_mib: maximum resident memory of one trial.
        tell: callback that receives a line for every event.

    Returns:
        The best configuration, also written to `out/best.json` for `mtl-tf train --config`.

    Raises:
        ImportError: if Optuna is not installed.
        ValueError: if there is nothing to search, or no trial has finished.
    """
    optuna = optional_import("optuna", "The search")
    journal = optuna.storages.journal
    searched = tuple(search)
    if not searched or set(searched) - set(SEARCHED) or trials < 1:
        raise ValueError(
            f"search must be some of {SEARCHED} and trials positive. Received: {searched}, {trials}"
        )
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    config = config.model_copy(update={"best_of": max(2, config.best_of)})  # 1 has no score
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    log = str(folder / "study.log")  # not every disk has the symbolic links of the default lock
    backend = journal.JournalFileBackend(log, journal.JournalFileOpenLock(log))
    storage = journal.JournalStorage(backend)
    study = optuna.create_study(
        storage=storage,
        study_name="tune",
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(),  # unseeded: machines must draw different numbers
    )
    _check_same(study, config, single_task_results(baseline))
    space = _space(config, searched)
    study.enqueue_trial(space, skip_if_exists=True)
    for drawn in _interrupted(study, folder):
        study.enqueue_trial(drawn)

    def objective(trial: "Trial") -> float:
        drawn = {
            name: trial.suggest_float(name, value / _WIDTH, value * _WIDTH, log=True)
            for name, value in space.items()
        }
        cell = Cell(("tune", f"trial {trial.number}"), _with(config, drawn))
        trial.set_user_attr("key", cell.key)
        (outcome,) = run_cells(
            [cell], folder, 1, time_limit_s, memory_limit_mib, lambda _: None, baseline
        )
        problem, score = outcome.problem, None
        if not problem:
            score = read_summary(outcome.folder).get("kept", {}).get("score")
        if score is None:
            problem = problem or "no epoch had a score"
            trial.set_user_attr("problem", problem)
            tell(f"trial {trial.number} failed: {problem}")
            raise _TrialError(problem)
        tell(f"trial {trial.number}: {100 * score:+.2f} % with {_text(drawn)}")
        return score

    while sum(map(_is_finished, study.trials)) < trials:
        study.optimize(objective, n_trials=1, catch=(_TrialError,))
    done = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if not done:
        raise ValueError(f"No trial of {folder} has finished: see the logs in {folder / 'cells'}")
    best = _with(config, study.best_params)
    write_atomically(folder / "best.json", best.to_json())
    write_atomically(folder / "trials.md", _table(done, list(space)))
    tell(f"best: {100 * study.best_value:+.2f} % with {_text(study.best_params)}")
    return best


class _TrialError(RuntimeError):
    """A trial failed; the study continues."""


def _is_finished(trial: "FrozenTrial") -> bool:
    """Return whether a trial has a score or failed; an interrupted one has neither."""
    return trial.state.name == "COMPLETE" or "problem" in trial.user_attrs


def _interrupted(study: "Study", folder: pathlib.Path) -> list[dict[str, float]]:
    """Return the values of interrupted trials that no later trial has resumed."""
    known = [t.params for t in study.trials if _is_finished(t) or t.state.name == "WAITING"]
    interrupted: list[dict[str, float]] = []
    for trial in study.trials:
        key = trial.user_attrs.get("key")
        is_over = key is not None and not run_folder.is_locked(folder / "cells" / key)
        if is_over and trial.params not in [*known, *interrupted]:
            interrupted.append(trial.params)
    return interrupted


def _check_same(study: "Study", config: Config, reference: Results) -> None:
    """Check that the study has this configuration and reference; a new one stores them."""
    requested = {"config": config.identity(), "reference": reference}
    stored = study.user_attrs.get("of")
    if stored is None:
        study.set_user_attr("of", requested)
    elif stored != json.loads(json.dumps(requested)):
        raise ValueError(
            "The study in that folder began with another configuration or baseline: use the same "
            "options, or another folder (--out)"
        )


def _space(config: Config, searched: Sequence[str]) -> dict[str, float]:
    """Return the starting point of the search: `{name: value}`."""
    space: dict[str, float] = {}
    if "learning_rate" in searched:
        space["learning_rate"] = config.learning_rate
    if "loss_weights" in searched:
        tasks = list(load_tasks(config))
        space |= {f"{task}_weight": config.loss_weights.get(task, 1.0) for task in tasks[1:]}
    if not space:
        raise ValueError("There is nothing to search: a single task has no loss weights")
    return space


def _with(config: Config, drawn: dict[str, float]) -> Config:
    """Return a configuration with the values of a trial."""
    weights = {str(task): weight for task, weight in config.loss_weights.items()}
    weights |= {n.removesuffix("_weight"): v for n, v in drawn.items() if n.endswith("_weight")}
    values = config.model_dump()
    values["loss_weights"] = weights
    values["learning_rate"] = drawn.get("learning_rate", config.learning_rate)
    return make_config(**values)


def _text(drawn: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in drawn.items())


def _table(trials: Sequence[Any], names: Sequence[str]) -> str:
    """Return a Markdown table of all finished trials, the best first."""
    rows = [
        [str(t.number), f"{100 * t.value:+.2f}", *(f"{t.params[name]:.3g}" for name in names)]
        for t in sorted(trials, key=lambda trial: -trial.value)
    ]
    return markdown_table(["trial", "score, %", *names], rows, num_text_columns=0)
