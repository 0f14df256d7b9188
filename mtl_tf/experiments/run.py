"""A run, stage by stage: data, model, training, evaluation, report. This is the main job."""

import dataclasses
import inspect
import json
import os
import pathlib
import platform
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf import architectures, data, evaluation, ops, training
from mtl_tf.evaluation.files import write_atomically
from mtl_tf.experiments.config import Config, read_config

_TUNING_IMAGES = 50
_PICTURES = 6


def load_data(config: Config) -> data.DenseDataset:
    """The data set of a configuration."""
    row: Any = data.TABLE[config.data]
    arguments: dict[str, Any] = {
        "tasks": config.tasks,
        "input_shape": (config.height, config.width, 3),
        "batch_size": config.batch_size,
        "augmentation": data.Augmentation(
            zoom=config.zoom,
            random_position=config.random_position,
            brightness=config.brightness,
        ),
        "seed": config.seed,
        "cache": True,
    }
    if row.needs_root:
        return row.cls(config.root, num_classes=config.num_classes, **arguments)
    return row.cls(train_size=config.train_size, val_size=config.val_size, **arguments)


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
    trainer = training.MultiTaskTrainer(model, tasks)
    weights = {str(task): weight for task, weight in config.loss_weights.items()}
    trainer.compile(
        optimizer,
        balancing=config.balancing,
        level=config.level,
        loss_weights=weights,
        initial_weight=config.initial_weight,
        diagnostics=config.diagnostics,
    )
    return trainer


def run(
    config: Config,
    out: str | os.PathLike[str],
    resume: bool = False,
    tensorboard: bool = False,
    verbose: str | int = "auto",
) -> dict[str, Any]:
    """Trains, evaluates and reports.

    Writes `config.json`, `backup/`, `model.keras`, `classes.json`, `results.json`, `report.md` and
    `report.html`; each file appears whole or not at all.

    Args:
        config: what to run.
        out: folder of the run; made if missing.
        resume: go on from the backup in `out`; a finished run is evaluated and reported again.
        tensorboard: write TensorBoard logs to `out/tensorboard`.
        verbose: Keras' verbosity of training.

    Returns:
        What `results.json` holds: `results`, `baseline`, `history`, `config`, `environment`.

    Raises:
        ValueError: if `out` holds a run and `resume` is not given, or one of another configuration.
    """
    folder = pathlib.Path(out)
    _check_claim(folder, config, resume)
    keras.utils.set_random_seed(config.seed)
    dataset = load_data(config)
    train = dataset.train()
    trainer = build_trainer(config, dataset.tasks, int(train.cardinality()))
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.json", config.to_json())
    backup = training.Backup(folder / "backup")
    callbacks: list[Any] = [backup, keras.callbacks.TerminateOnNaN()]
    if isinstance(trainer.model, architectures.LearnedBranching):
        callbacks.append(training.AnnealBranching(config.epochs))
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard"))
    trainer.fit(
        train,
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
    write_atomically(folder / "classes.json", json.dumps(dataset.class_names))
    _save_model(trainer.model, folder / "model.keras")
    return judge(config, folder, trainer.model, dataset, backup.history)


def judge(
    config: Config,
    folder: pathlib.Path,
    model: keras.Model,
    dataset: data.DenseDataset,
    history: list[dict[str, float]],
) -> dict[str, Any]:
    """Evaluates a trained model beside the trivial baseline and writes the report."""
    results = evaluation.evaluate(model, dataset.test(), dataset.tasks)
    baseline = evaluation.trivial_baseline(
        dataset.batches("train"),
        dataset.test(),
        {task: n for task, n in dataset.tasks.items() if task not in config.auxiliary_tasks},
        tuning=dataset.batches("train", native_targets=True).take(_TUNING_IMAGES),
    )
    summary = {
        "results": results,
        "baseline": baseline,
        "history": history,
        "config": json.loads(config.to_json()),
        "environment": _environment(model, sum(epoch["epoch_s"] for epoch in history)),
    }
    step = max(1, len(dataset.ids("test")) // _PICTURES)
    pictures = [
        _picture(model, batch)
        for i, batch in enumerate(dataset.test())
        if i % step == 0 and i // step < _PICTURES
    ]
    evaluation.write_report(folder, summary, pictures, dataset.class_names)
    return summary


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


def _check_claim(folder: pathlib.Path, config: Config, resume: bool) -> None:
    stored = folder / "config.json"
    if stored.exists():
        if not resume:
            raise ValueError(
                f"{folder} already holds a run: resume it (--resume) or choose another (--out)"
            )
        if read_config(stored) != config:
            raise ValueError(
                f"{folder} holds a run with another configuration (see {stored}): resume with the "
                "same options or choose another folder (--out)"
            )


def _save_model(model: keras.Model, path: pathlib.Path) -> None:
    unfinished = path.with_name("unfinished.keras")
    model.save(unfinished)
    unfinished.replace(path)


def _environment(model: keras.Model, seconds: float) -> dict[str, Any]:
    return {
        "training_s": round(seconds, 1),
        "parameters": int(sum(np.prod(v.shape) for v in model.trainable_variables)),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "processors": os.cpu_count(),
        "native_ops": dataclasses.asdict(ops.native_status()),
    }
