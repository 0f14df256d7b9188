"""Search of learning rate and loss weights: searched fixed weights are a strong baseline.

The study is a journal file, which several machines that see one folder can share: each runs
`mtl-tf tune` with the same options.
"""

import json
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mtl_tf.atomic_files import read_summary, write_atomically
from mtl_tf.experiments import run_folder
from mtl_tf.experiments.best_epoch import single_task_results
from mtl_tf.experiments.config import Config, make_config
from mtl_tf.experiments.terminal import say
from mtl_tf.optional_packages import optional_import
from mtl_tf.surveys.grid import Cell
from mtl_tf.surveys.processes import run_cells

SEARCHED = ("learning_rate", "loss_weights")
_WIDTH = 10.0  # from the given value divided by this to the given value times this


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
    """Searches for the options with the best validation score, one process a trial.

    The score is that by which the best epoch of a run is chosen (`best_by`): Delta-m, or a task's
    gain. The first trial has the given values; each other draws from a tenth to ten times of them.
    The weight of the first task stays as it is, for only ratios matter beside the learning rate.
    Run again, it goes on to the number of trials asked for; a trial that was killed is resumed.

    Source: Vandenhende et al., TPAMI 2021, section 5.3 (weights found by grid search); Akiba et
    al., KDD 2019 (Optuna), with its tree-structured Parzen estimator.

    Args:
        config: where the search begins; all else is as it says.
        out: folder of the study: `study.log`, the runs in `cells/`, `best.json`, `trials.md`.
        trials: finished trials in the study, in which failed ones count.
        search: some of `learning_rate` and `loss_weights`.
        baseline: folders of single-task runs that Delta-m is relative to; without one for every
            task, the trivial baseline is.
        time_limit_s: of one trial.
        memory_limit_mib: of one trial, resident.
        tell: takes a line for every event.

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
    config = config.model_copy(update={"best_of": max(2, config.best_of)})  # or nothing is judged
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    log = str(folder / "study.log")  # its default lock is a symbolic link: not every disk has them
    backend = journal.JournalFileBackend(log, journal.JournalFileOpenLock(log))
    storage = journal.JournalStorage(backend)
    study = optuna.create_study(
        storage=storage, study_name="tune", direction="maximize", load_if_exists=True,
        sampler=optuna.samplers.TPESampler(),  # several machines must not draw the same numbers
    )  # fmt: skip
    _check_same(study, config, single_task_results(baseline))
    space = _space(config, searched)
    study.enqueue_trial(space, skip_if_exists=True)
    for drawn in _interrupted(study, folder):
        study.enqueue_trial(drawn)

    def objective(trial: Any) -> float:
        drawn = {
            name: trial.suggest_float(name, value / _WIDTH, value * _WIDTH, log=True)
            for name, value in space.items()
        }
        cell = Cell(("tune", f"trial {trial.number}"), _with(config, drawn))
        trial.set_user_attr("key", cell.key)
        (outcome,) = run_cells(
            [cell], folder, 1, time_limit_s, memory_limit_mib, lambda line: None, baseline
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
    """A trial that failed; the study goes on."""


def _is_finished(trial: Any) -> bool:
    """Return whether a trial has a score or failed by itself; an interrupted one has neither."""
    return trial.state.name == "COMPLETE" or "problem" in trial.user_attrs


def _interrupted(study: Any, folder: pathlib.Path) -> list[dict[str, float]]:
    """Values of trials that were begun, are not running now, and that none has taken up since."""
    known = [t.params for t in study.trials if _is_finished(t) or t.state.name == "WAITING"]
    found: list[dict[str, float]] = []
    for trial in study.trials:
        key = trial.user_attrs.get("key")
        is_over = key is not None and not run_folder.is_held(folder / "cells" / key)
        if is_over and trial.params not in [*known, *found]:
            found.append(trial.params)
    return found


def _check_same(study: Any, config: Config, reference: Any) -> None:
    """One study is of one configuration, and its scores are relative to the same results."""
    ours = {"config": config.identity(), "reference": reference}
    theirs = study.user_attrs.get("of")
    if theirs is None:
        study.set_user_attr("of", ours)
    elif theirs != json.loads(json.dumps(ours)):
        raise ValueError(
            "The study in that folder began with another configuration or baseline: use the same "
            "options, or another folder (--out)"
        )


def _space(config: Config, searched: Sequence[str]) -> dict[str, float]:
    """Return the search space and its starting point."""
    found: dict[str, float] = {}
    if "learning_rate" in searched:
        found["learning_rate"] = config.learning_rate
    if "loss_weights" in searched:
        for task in config.tasks[1:]:
            found[f"{task}_weight"] = config.loss_weights.get(task, 1.0)
    if not found:
        raise ValueError("There is nothing to search: a single task has no loss weights")
    return found


def _with(config: Config, drawn: dict[str, float]) -> Config:
    weights = {str(task): weight for task, weight in config.loss_weights.items()}
    weights |= {n.removesuffix("_weight"): v for n, v in drawn.items() if n.endswith("_weight")}
    values = config.model_dump()
    values["loss_weights"] = weights
    values["learning_rate"] = drawn.get("learning_rate", config.learning_rate)
    return make_config(**values)


def _text(drawn: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in drawn.items())


def _table(trials: Sequence[Any], names: Sequence[str]) -> str:
    """All finished trials as Markdown, the best first."""
    lines = [f"| trial | score, % | {' | '.join(names)} |", "|---:|---:|" + "---:|" * len(names)]
    for trial in sorted(trials, key=lambda trial: -trial.value):
        values = " | ".join(f"{trial.params[name]:.3g}" for name in names)
        lines.append(f"| {trial.number} | {100 * trial.value:+.2f} | {values} |")
    return "\n".join(lines) + "\n"
