"""Data set, network and trainer of a configuration."""

import contextlib
import inspect
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from mtl_tf import architectures, data, losses, training, weights
from mtl_tf.experiments import plugins
from mtl_tf.experiments.config import Config
from mtl_tf.targets import TargetKind
from mtl_tf.task_config import task_config
from mtl_tf.tasks import TASKS, Task, as_tasks


def load_tasks(config: Config) -> dict[str, Task]:
    """Load the tasks of a configuration; loading a custom one runs its code.

    Args:
        config: of a run.

    Returns:
        `{name: task}` in the order of the configuration; known tasks with their default channels.

    Raises:
        ValueError: if a task cannot be loaded, or another option names a task that is not there.
    """
    of_data = {}
    if config.data in ("folder", "packed") and any(":" not in text for text in config.tasks):
        of_data = data.tasks_of_folder(config.data, str(config.root))
    tasks = plugins.load_tasks(config.tasks, of_data)
    config.check_task_names(list(tasks))
    return tasks


def load_data(config: Config) -> data.DenseDataset:
    """Load the data set of a configuration; loading a custom one runs its code.

    Args:
        config: of a run.

    Returns:
        The data set; its `tasks` include the custom `mtl_tf.Task` objects of the configuration.

    Raises:
        ValueError: if the folder does not hold the data set, or a custom task or data set cannot
            be loaded, does not fit the other, or cannot be stored.
    """
    tasks = load_tasks(config)
    dataset = _open(config, tuple(tasks))
    for text, task in zip(config.tasks, tasks.values(), strict=True):
        if text not in TASKS and text not in dataset.tasks.own:
            task_config(task)  # raises an error now if the results could not be stored later
            _check_fits(task, dataset)
            dataset.tasks.own[task.name] = task
    return dataset


def _open(config: Config, tasks: tuple[str, ...]) -> data.DenseDataset:
    arguments: dict[str, Any] = {
        "tasks": tasks,
        "input_shape": (config.height, config.width, 3),
        "batch_size": config.batch_size,
        "augmentation": data.Augmentation(
            zoom=config.zoom,
            zoom_between=config.zoom_between,
            rotation_deg=config.rotation_deg,
            random_position=config.random_position,
            brightness=config.brightness,
            contrast=config.contrast,
            saturation=config.saturation,
        ),
        "seed": config.seed,
        "cache": config.cache,
    }
    if config.data not in data.TABLE:
        root = {} if config.root is None else {"root": config.root}
        return plugins.load_dataset(config.data, **arguments, **root)
    if config.root is not None and data.TABLE[config.data].needs_root:
        return data.open_folder(
            config.data, config.root, num_classes=config.num_classes, **arguments
        )
    return data.RenderedRooms(train_size=config.train_size, val_size=config.val_size, **arguments)


def _check_fits(task: Task, dataset: data.DenseDataset) -> None:
    """Raise `ValueError` if the targets of a data set are not what the custom task expects."""
    spec = dataset.specs.get(task.name)
    if spec is None:
        raise ValueError(
            f"{type(dataset).__name__} must pass its argument tasks on to DenseDataset: "
            f"{task.name!r} is missing in {list(dataset.tasks)}"
        )
    if (spec.kind, spec.channels) != (task.kind, task.channels):
        raise ValueError(
            f"Task {task.name!r} has {task.channels} channels and {task.kind}, but its targets in "
            f"{type(dataset).__name__} have {spec.channels} and {spec.kind}. Give the Task object "
            "to the data set too: DenseDataset(available=[task, ...])"
        )


def load_class_weights(config: Config, dataset: data.DenseDataset) -> dict[str, list[float]]:
    """Return the weights of the classes by task, from the training images; empty for none.

    Args:
        config: of a run.
        dataset: its data set.

    Raises:
        ValueError: if no training image has a valid pixel of such a task.
    """
    if config.class_weights == "none":
        return {}
    return {
        task.name: losses.class_weights(dataset, task.name, config.class_weights)
        for task in as_tasks(dataset.tasks)
        if task.kind is TargetKind.CLASSES
    }


def build_trainer(
    config: Config,
    tasks: Mapping[str, int],
    steps: int,
    class_weights: Mapping[str, list[float]] | None = None,
) -> training.MultiTaskTrainer:
    """Build and compile the trainer of a configuration.

    Args:
        config: of a run.
        tasks: `{task: channels}`, the `tasks` of its data set.
        steps: optimizer steps in an epoch.
        class_weights: of `load_class_weights`.

    Raises:
        ValueError: for `architecture_options` that the architecture does not take.
    """
    with _precision(config.precision):
        network = _build_network(config, tasks)
        if config.freeze_epochs:
            if config.weights is None:
                warnings.warn(
                    f"freeze_epochs={config.freeze_epochs} freezes a backbone of random weights: "
                    "give weights=imagenet, or leave it out",
                    stacklevel=2,
                )
            network.backbone.trainable = False
        network.backbone.set_learning_rate(config.backbone_learning_rate, config.layer_decay)
        trainer = training.MultiTaskTrainer(network, tasks)
        trainer.compile(
            _build_optimizer(config, steps),
            balancing=config.balancing,
            level=config.level,
            loss=_losses(config, tasks, class_weights or {}),
            loss_weights={t: w for t, w in config.loss_weights.items() if t in tasks},
            initial_weight=config.initial_weight,
            weight_decay=0.0 if config.optimizer == "adamw" else config.weight_decay,
            ema_momentum=config.ema_momentum,
            diagnostics=config.diagnostics,
        )
    return trainer


@contextlib.contextmanager
def _precision(policy: str) -> Iterator[None]:
    """Set Keras' dtype policy in a `with` block."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _build_network(config: Config, tasks: Mapping[str, int]) -> architectures.Architecture:
    architecture: Any = architectures.TABLE[config.architecture].cls
    options = dict(config.architecture_options)
    if options.get("include_preprocessing"):
        raise ValueError(
            "architecture_options: a run trains on normalised images. Leave include_preprocessing "
            "out; network.with_preprocessing() adds it to the trained network, and so does "
            "mtl-tf export --with-preprocessing"
        )
    if "head" in inspect.signature(architecture).parameters:
        options["head"] = config.head
    if config.auxiliary_tasks:
        options["auxiliary_tasks"] = tasks
    predicted = {name: n for name, n in tasks.items() if name not in config.auxiliary_tasks}
    try:
        network = architecture(
            config.backbone,
            predicted,
            (config.height, config.width, 3),
            output_stride=config.output_stride,
            **options,
        )
    except TypeError as error:
        raise ValueError(f"architecture_options of {config.architecture}: {error}") from error
    if config.weights is not None:
        weights.load_pretrained(network, config.weights)
    return network


def _losses(
    config: Config, tasks: Mapping[str, int], class_weights: Mapping[str, list[float]]
) -> dict[str, keras.losses.Loss]:
    """Return the losses that options change, of tasks that have the usual one."""
    of_tasks: dict[str, keras.losses.Loss] = {}
    if config.class_weights != "none" or config.label_smoothing:
        entropy = losses.SegmentationCrossEntropy
        of_tasks |= {
            name: entropy(class_weights.get(name), config.label_smoothing)
            for name in _tasks_with(
                TargetKind.CLASSES,
                entropy,
                tasks,
                "class_weights and label_smoothing need a task of class ids",
            )
        }
    if config.edge_positive_weight is not None:
        balanced = losses.BalancedBinaryCrossEntropy
        of_tasks |= {
            name: balanced(config.edge_positive_weight)
            for name in _tasks_with(
                TargetKind.BOUNDARY, balanced, tasks, "edge_positive_weight needs a task of edges"
            )
        }
    return of_tasks


def _tasks_with(
    kind: TargetKind, usual: type[keras.losses.Loss], tasks: Mapping[str, int], needed: str
) -> list[str]:
    """Return the names of the tasks of a kind that have its usual loss; at least one."""
    names = [t.name for t in as_tasks(tasks) if t.kind is kind and type(t.loss()) is usual]
    if not names:
        raise ValueError(f"{needed} with the usual loss. Received: tasks {', '.join(tasks)}")
    return names


def _build_optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    options = {"learning_rate": _schedule(config, steps), "global_clipnorm": config.clip_norm}
    if config.optimizer == "adam":
        return keras.optimizers.Adam(**options)
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=0.9, **options)
    optimizer = keras.optimizers.AdamW(weight_decay=config.weight_decay, **options)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer


def _schedule(
    config: Config, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the learning rate, or its schedule by optimizer step."""
    rate: Any = config.learning_rate
    if config.schedule == "poly":
        rate = training.Poly(rate, config.epochs, steps)
    elif config.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, config.epochs * steps)
    if not config.warmup_epochs:
        return rate
    if config.schedule == "constant":
        rate = keras.optimizers.schedules.PolynomialDecay(rate, 1, rate)
    return training.WarmUp(rate, max(1, round(config.warmup_epochs * steps)))


def predicted_tasks(config: Config, dataset: data.DenseDataset) -> list[Task]:
    """Return the tasks with a final prediction: all but the auxiliary ones."""
    return [task for task in as_tasks(dataset.tasks) if task.name not in config.auxiliary_tasks]
