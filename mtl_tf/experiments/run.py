"""A run: prepare, train, evaluate, collect, report."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import keras

from mtl_tf import architectures, data, evaluation, training
from mtl_tf.atomic_files import write_atomically
from mtl_tf.class_names import class_names_config
from mtl_tf.experiments import best_epoch, run_folder
from mtl_tf.experiments.config import Config
from mtl_tf.experiments.environment import environment
from mtl_tf.experiments.from_config import (
    build_trainer,
    load_class_weights,
    load_data,
    predicted_tasks,
)
from mtl_tf.experiments.outputs.card import card_of_run, command_of
from mtl_tf.experiments.outputs.epoch_pictures import EpochPictures
from mtl_tf.experiments.outputs.report import write_run_report
from mtl_tf.experiments.progress import Progress, Rows
from mtl_tf.experiments.published import published_beside
from mtl_tf.graph_errors import as_python_errors
from mtl_tf.optional_packages import optional_import
from mtl_tf.tasks import as_tasks, num_classes
from mtl_tf.training.preset import CARD_FILE, CLASSES_FILE, MODEL_FILE, model_card, save_network
from mtl_tf.typing import Results

_BACKUP_MINUTES = 5.0  # within an epoch
_TUNING_IMAGES = 50


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Everything a run needs before it trains.

    Attributes:
        config: of the run.
        folder: of the run.
        dataset: its data set.
        fingerprint: of the data set.
        trainer: compiled.
        single_task: results of the single-task runs that Delta-m is relative to.
    """

    config: Config
    folder: pathlib.Path
    dataset: data.DenseDataset
    fingerprint: str
    trainer: training.MultiTaskTrainer
    single_task: Results


@dataclasses.dataclass(frozen=True)
class Trained:
    """Outcome of training.

    Attributes:
        network: with the weights of the epoch that was kept.
        history: logs of each epoch.
        kept: `epoch` (counted from 1), its validation `score`, and `relative_to`.
        baseline: results of the trivial baseline.
    """

    network: keras.Model
    history: list[dict[str, float]]
    kept: dict[str, Any]
    baseline: Results


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """Outcome of the evaluation.

    Attributes:
        results: `{task: {metric: value}}`.
        diagnostics: of `mtl_tf.evaluation.Diagnostics`.
    """

    results: Results
    diagnostics: dict[str, Any]


@as_python_errors()
def run(
    config: Config,
    out: str | os.PathLike[str],
    resume: bool = False,
    tensorboard: bool = False,
    progress: Progress | None = None,
    baseline: Iterable[str | os.PathLike[str]] = (),
) -> dict[str, Any]:
    """Train, evaluate and report.

    Writes `config.json`, `backup/`, `best/`, `model.keras`, `classes.json`, `results.json`,
    `images.npz`, `diagnostics.json`, `results.csv`, `results.tex`, `report.md`, `report.html`,
    `MODEL_CARD.md` and `epochs/`, pictures of each epoch; each file appears whole or not at
    all. The folder is a preset: see `mtl_tf.from_preset`.

    Args:
        config: of the run. Loading its custom tasks and data sets runs their code.
        out: folder of the run; created if missing.
        resume: continue from the backup in `out`; a finished run is evaluated and reported again.
        tensorboard: write TensorBoard logs to `out/tensorboard`.
        progress: what is reported meanwhile: `mtl_tf.experiments.Rows()` (the default), `Silent()`
            or `JsonLines()`.
        baseline: folders of finished single-task runs, the reference of the Delta-m that selects
            the best epoch; unless there is one for every task, the trivial baseline is.

    Returns:
        The content of `results.json`: `results`, `baseline`, `history`, `config`, `environment`,
        `kept` (the epoch, counted from 1, its validation score, the reference of Delta-m), and
        `published` where published numbers belong to this configuration.

    Raises:
        ValueError: if `out` holds a run and `resume` is not given, or one of another configuration
            or other data, or another process runs there.
    """
    progress = progress or Rows()
    with progress.stage("Preparing data and network"):
        prepared = prepare(config, pathlib.Path(out), resume, baseline)
    with run_folder.lock_folder(prepared.folder, config, prepared.fingerprint):
        trained = train(prepared, tensorboard, progress)
        with progress.stage("Evaluating"):
            evaluated = evaluate(
                prepared.folder, trained.network, prepared.dataset, config.edge_tolerance
            )
        with progress.stage("Writing the report"):
            summary = collect(prepared, trained, evaluated.results)
            write_atomically(prepared.folder / "results.json", json.dumps(summary, indent=2))
            _write_card(prepared, trained.network, summary)
            write_run_report(
                prepared.folder, trained.network, prepared.dataset, summary, evaluated.diagnostics
            )
    return summary


def prepare(
    config: Config, folder: pathlib.Path, resume: bool, baseline: Iterable[str | os.PathLike[str]]
) -> Prepared:
    """Check the folder and build data set and trainer; nothing is written."""
    run_folder.check(folder, config, resume)
    single_task = best_epoch.single_task_results(map(pathlib.Path, baseline))
    keras.utils.set_random_seed(config.seed)
    dataset = load_data(config)
    fingerprint = dataset.fingerprint()
    class_weights = load_class_weights(config, dataset)
    trainer = build_trainer(config, dataset.tasks, len(dataset.train()), class_weights)
    return Prepared(config, folder, dataset, fingerprint, trainer, single_task)


def train(prepared: Prepared, tensorboard: bool, progress: Progress) -> Trained:
    """Train from the backup in the folder, if there is one, and write the network.

    The weights are those of the best epoch.
    """
    config, folder, dataset = prepared.config, prepared.folder, prepared.dataset
    network = prepared.trainer.network
    with progress.stage("Trivial baseline"):
        baseline = trivial_results(config, dataset)
    has_single_task = set(baseline) <= set(prepared.single_task)
    reference = prepared.single_task if has_single_task else baseline
    best = best_epoch.keep_best(config, folder, dataset, reference)
    history = _fit(prepared, best, tensorboard, progress)
    best.restore(network)
    kept = {
        "epoch": config.epochs if best.epoch is None else best.epoch + 1,
        "relative_to": "single_task" if has_single_task else "trivial_baseline",
        "score": None if best.results is None else best.score(best.results),
    }
    classes = class_names_config(dataset.tasks.class_names, num_classes(as_tasks(dataset.tasks)))
    write_atomically(folder / CLASSES_FILE, json.dumps(classes))
    save_network(network, folder / MODEL_FILE)
    return Trained(network, history, kept, baseline)


def evaluate(
    folder: pathlib.Path,
    network: keras.Model,
    dataset: data.DenseDataset,
    edge_tolerance: float | None,
    num_workers: int = os.cpu_count() or 1,
) -> Evaluated:
    """Evaluate on the test images; write `images.npz` and `diagnostics.json`."""
    diagnostics = evaluation.Diagnostics()
    images = evaluation.evaluate_images(
        network, dataset.test(), dataset.tasks, edge_tolerance, num_workers, diagnostics
    )
    images.save(folder / "images.npz")
    evaluated = Evaluated(images.results(), diagnostics.result(images))
    write_atomically(folder / "diagnostics.json", json.dumps(evaluated.diagnostics))
    return evaluated


def collect(prepared: Prepared, trained: Trained, results: Results) -> dict[str, Any]:
    """Return the content of `results.json`."""
    published = published_beside(prepared.config)
    dataset = prepared.dataset
    images = {f"{split}_images": len(dataset.ids(split)) for split in ("train", "val", "test")}
    return {
        "results": results,
        "baseline": trained.baseline,
        "kept": trained.kept,
        **({"published": published} if published else {}),
        "history": trained.history,
        "config": json.loads(prepared.config.to_json()),
        "command": command_of(prepared.config),
        "environment": {
            **environment(trained.network, prepared.fingerprint, trained.history),
            **images,
        },
    }


def _write_card(prepared: Prepared, network: keras.Model, summary: dict[str, Any]) -> None:
    """Write `MODEL_CARD.md`."""
    tasks = predicted_tasks(prepared.config, prepared.dataset)
    card = model_card(network, tasks, prepared.folder, card_of_run(summary, tasks))
    write_atomically(prepared.folder / CARD_FILE, card)


def trivial_results(config: Config, dataset: data.DenseDataset) -> Results:
    """Return the trivial baseline of the tasks with a final prediction."""
    return evaluation.trivial_baseline(
        dataset.batches("train"),
        dataset.test(),
        predicted_tasks(config, dataset),
        tuning=dataset.batches("train", original_size=True).take(_TUNING_IMAGES),
    )


def _fit(
    prepared: Prepared, best: training.KeepBest, tensorboard: bool, progress: Progress
) -> list[dict[str, float]]:
    """Train and return the logs of all epochs, with those of the backup."""
    config, folder, trainer = prepared.config, prepared.folder, prepared.trainer
    dataset = prepared.dataset
    backup = training.Backup(folder / "backup", every_minutes=_BACKUP_MINUTES)
    pictures = EpochPictures(folder, dataset)
    callbacks = [best, backup, keras.callbacks.TerminateOnNaN(), pictures]
    if isinstance(trainer.network, architectures.LearnedBranching):
        callbacks.append(training.AnnealBranching(config.epochs))
    if config.freeze_epochs:  # before the backup, which restores the logs of an epoch
        callbacks.insert(0, training.UnfreezeBackbone(config.freeze_epochs))
    if tensorboard:
        optional_import("tensorboard", "Writing TensorBoard logs")
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
    rows = progress.callback(trainer.tasks, config.epochs, config.batch_size, backup)
    with training.stop_on_signals(backup) as stop:
        try:
            trainer.fit(
                dataset.train(),
                validation_data=dataset.val(),
                epochs=config.epochs,
                initial_epoch=backup.epoch,
                callbacks=[*callbacks, rows, stop],
                verbose=0,
            )
        finally:
            rows.on_train_end()
    if backup.epoch < config.epochs:
        raise ValueError(
            f"The loss became NaN or infinite in epoch {backup.epoch + 1}: start again in another "
            f"folder (--out) with a lower learning_rate (now {config.learning_rate:g})"
        )
    return backup.history
