"""A run, stage by stage: data, model, training, evaluation, report. This is the main job."""

import inspect
import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from mtl_tf import architectures, backbones, data, evaluation, training
from mtl_tf.atomic_files import write_atomically
from mtl_tf.experiments import best_epoch, run_folder
from mtl_tf.experiments.config import Config
from mtl_tf.experiments.environment import environment
from mtl_tf.experiments.published import published_beside
from mtl_tf.graph_errors import as_python_errors

_BACKUP_MINUTES = 5.0  # within an epoch
_TUNING_IMAGES = 50
_PICTURES = 6


def load_data(config: Config) -> data.DenseDataset:
    """The data set of a configuration; `ValueError` if its folder does not hold it."""
    arguments: dict[str, Any] = {
        "tasks": config.tasks,
        "input_shape": (config.height, config.width, 3),
        "batch_size": config.batch_size,
        "augmentation": data.Augmentation(
            zoom=config.zoom,
            zoom_between=config.zoom_between,
            rotation_deg=config.rotation_deg,
            random_position=config.random_position,
            brightness=config.brightness,
        ),
        "seed": config.seed,
        "cache": config.cache,
    }
    if config.root is not None and data.TABLE[config.data].needs_root:
        return data.open_folder(
            config.data, config.root, num_classes=config.num_classes, **arguments
        )
    return data.RenderedRooms(train_size=config.train_size, val_size=config.val_size, **arguments)


def build_trainer(config: Config, tasks: dict[str, int], steps: int) -> training.MultiTaskTrainer:
    """The compiled trainer of a configuration, with `steps` optimizer steps in an epoch."""
    architecture: Any = architectures.TABLE[config.architecture].cls
    options = dict(config.architecture_options)
    if "head" in inspect.signature(architecture).parameters:
        options["head"] = config.head
    if config.auxiliary_tasks:
        options["auxiliary_tasks"] = tasks
    final = {task: n for task, n in tasks.items() if task not in config.auxiliary_tasks}
    try:
        model = architecture(
            config.backbone,
            final,
            (config.height, config.width, 3),
            output_stride=config.output_stride,
            **options,
        )
    except TypeError as error:
        raise ValueError(f"architecture_options of {config.architecture}: {error}") from error
    rate: Any = config.learning_rate
    if config.schedule == "poly":
        rate = training.Poly(rate, config.epochs, steps)
    optimizer = (
        keras.optimizers.Adam(rate)
        if config.optimizer == "adam"
        else keras.optimizers.SGD(rate, momentum=0.9)
    )
    if config.pretrained is not None:
        backbones.load_pretrained(model, config.pretrained)
    trainer = training.MultiTaskTrainer(model, tasks)
    weights = {str(task): weight for task, weight in config.loss_weights.items()}
    trainer.compile(
        optimizer,
        balancing=config.balancing,
        level=config.level,
        loss_weights=weights,
        initial_weight=config.initial_weight,
        weight_decay=config.weight_decay,
        diagnostics=config.diagnostics,
    )
    return trainer


@as_python_errors()
def run(
    config: Config,
    out: str | os.PathLike[str],
    resume: bool = False,
    tensorboard: bool = False,
    verbose: str | int = "auto",
    baseline: Iterable[str | os.PathLike[str]] = (),
) -> dict[str, Any]:
    """Trains, evaluates and reports.

    Writes `config.json`, `backup/`, `best/`, `model.keras`, `classes.json`, `results.json`,
    `images.npz`, `report.md` and `report.html`; each file appears whole or not at all.

    Args:
        config: what to run.
        out: folder of the run; made if missing.
        resume: go on from the backup in `out`; a finished run is evaluated and reported again.
        tensorboard: write TensorBoard logs to `out/tensorboard`.
        verbose: Keras' verbosity of training.
        baseline: folders of finished single-task runs, which the Delta-m that chooses the best
            epoch is relative to; without one for every task, the trivial baseline is.

    Returns:
        What `results.json` holds: `results`, `baseline`, `history`, `config`, `environment`,
        `kept` (the epoch, counted from 1, its validation score, what Delta-m was relative to), and
        `published` where there is a like row.

    Raises:
        ValueError: if `out` holds a run and `resume` is not given, or one of another configuration
            or other data, or another process runs there.
    """
    folder = pathlib.Path(out)
    run_folder.check(folder, config, resume)
    reference = best_epoch.single_task_results(map(pathlib.Path, baseline))
    keras.utils.set_random_seed(config.seed)
    dataset = load_data(config)
    fingerprint = dataset.fingerprint()
    trainer = build_trainer(config, dataset.tasks, len(dataset.train()))
    with run_folder.held(folder, config, fingerprint):
        trivial = trivial_results(config, dataset)
        is_compared = set(trivial) <= set(reference)
        best = best_epoch.keep_best(config, folder, dataset, reference if is_compared else trivial)
        history = train(config, folder, trainer, dataset, [best], tensorboard, verbose)
        best.restore(trainer.network)
        kept = {
            "epoch": config.epochs if best.epoch is None else best.epoch + 1,
            "relative_to": "single_task" if is_compared else "trivial_baseline",
            "score": None if best.epoch is None else best.score(best.results),
        }
        write_atomically(folder / "classes.json", json.dumps(dataset.class_names))
        _save_model(trainer.network, folder / "model.keras")
        workers = os.cpu_count() or 1
        summary = {
            "results": judge(folder, trainer.network, dataset, config.edge_tolerance, workers),
            "baseline": trivial,
            "kept": kept,
            **({"published": published} if (published := published_beside(config)) else {}),
            "history": history,
            "config": json.loads(config.to_json()),
            "environment": environment(trainer.network, fingerprint, history),
        }
        pictures = _pictures(trainer.network, dataset)
        evaluation.write_report(folder, summary, pictures, dataset.class_names, dataset.tasks)
    return summary


def train(
    config: Config,
    folder: pathlib.Path,
    trainer: training.MultiTaskTrainer,
    dataset: data.DenseDataset,
    callbacks: Sequence[Any],
    tensorboard: bool,
    verbose: str | int,
) -> list[dict[str, float]]:
    """Trains from the backup in the folder, if there is one; returns the logs of all epochs."""
    backup = training.Backup(folder / "backup", every_minutes=_BACKUP_MINUTES)
    callbacks = [*callbacks, backup, keras.callbacks.TerminateOnNaN()]
    if isinstance(trainer.network, architectures.LearnedBranching):
        callbacks.append(training.AnnealBranching(config.epochs))
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
    trainer.fit(
        dataset.train(),
        validation_data=dataset.val(),
        epochs=config.epochs,
        initial_epoch=backup.epoch,
        callbacks=callbacks,
        verbose=verbose,
    )
    if backup.epoch < config.epochs:
        raise ValueError(
            f"The loss became NaN or infinite in epoch {backup.epoch + 1}: start afresh in another "
            f"folder (--out) with a lower learning_rate (now {config.learning_rate:g})"
        )
    return backup.history


def judge(
    folder: pathlib.Path,
    model: keras.Model,
    dataset: data.DenseDataset,
    edge_tolerance: float | None,
    num_workers: int,
) -> dict[str, dict[str, float]]:
    """Evaluates on the test images and writes what each adds to the results, `images.npz`."""
    images = evaluation.evaluate_images(
        model, dataset.test(), dataset.tasks, edge_tolerance, num_workers
    )
    images.save(folder / "images.npz")
    return images.results()


def trivial_results(config: Config, dataset: data.DenseDataset) -> dict[str, dict[str, float]]:
    """Return the trivial baseline for the tasks that the run's network predicts."""
    return evaluation.trivial_baseline(
        dataset.batches("train"),
        dataset.test(),
        {task: n for task, n in dataset.tasks.items() if task not in config.auxiliary_tasks},
        tuning=dataset.batches("train", original_size=True).take(_TUNING_IMAGES),
    )


def _pictures(model: keras.Model, dataset: data.DenseDataset) -> list[dict[str, Any]]:
    """Some test images, evenly spread, with what the model makes of them."""
    step = max(1, len(dataset.ids("test")) // _PICTURES)
    return [
        _picture(model, batch)
        for i, batch in enumerate(dataset.test())
        if i % step == 0 and i // step < _PICTURES
    ]


def _picture(model: keras.Model, batch: Any) -> dict[str, Any]:
    image, targets, masks = batch
    outputs = model(image, training=False)
    return {
        "image": data.denormalise(image[0].numpy()),
        **{
            name: {task: x[task][0].numpy() for task in targets if task in outputs}
            for name, x in (("outputs", outputs), ("targets", targets), ("masks", masks))
        },
    }


def _save_model(model: keras.Model, path: pathlib.Path) -> None:
    unfinished = path.with_name("unfinished.keras")
    unfinished.unlink(missing_ok=True)  # it could be a link that leads elsewhere
    model.save(unfinished)
    unfinished.replace(path)
