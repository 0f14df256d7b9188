"""Metrics of a model on a data set, computed at the size of the targets."""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.autotuning import without_autotuning
from mtl_tf.evaluation.image_states import EDGE_COUNTS, ImageStates, fingerprint
from mtl_tf.evaluation.task_metrics import ImageSums
from mtl_tf.graph_errors import as_python_errors
from mtl_tf.metrics import resized
from mtl_tf.metrics.edge_benchmark import EdgeQueue
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task, TasksLike, as_tasks
from mtl_tf.typing import Predictions, TensorLike

Predictor = Callable[[tf.Tensor], Predictions]
_LARGEST_TOLERANCE = 0.2  # beyond it every pixel matches
Observer = Callable[[Task, np.ndarray, TensorLike, np.ndarray], None]
"""Called with a task, its target, its raw prediction and its mask, of one image."""


def evaluate(
    model: Callable[..., Predictions],
    dataset: Iterable[Any],
    tasks: TasksLike,
    edge_tolerance: float | None = None,
    num_workers: int = 1,
) -> dict[str, dict[str, float]]:
    """Evaluate a model by the protocol of the survey.

    Predictions are resized bilinearly to the size of the targets: with `data.test()` that is the
    original size of the data set, with `data.val()` the model's input size.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Args:
        model: from images `[B, H, W, 3]` to `{task: raw prediction [B, h, w, C]}`; a Keras model or
            a `MultiTaskTrainer`.
        dataset: batches `(image, targets, masks)`.
        tasks: `{task: channels}`, names, or `mtl_tf.Task` objects; tasks without an output of the
            model (auxiliary ones) are left out.
        edge_tolerance: if set, edges are also evaluated by the boundary benchmark (`ods_f`,
            `ois_f`, `ap`; 0.25 s or more per image) with this maximum distance of matched pixels,
            as a fraction of the diagonal: 0.011 for NYUD, 0.0075 for others.
        num_workers: processes of the boundary benchmark.

    Returns:
        `{task: {metric: value}}`: shares as fractions, depth in metres, angles in degrees.

    Raises:
        ValueError: if the data set is empty, the model has an output for none of the tasks, a
            valid target has an impossible value, or a metric is no function of sums over images.
    """
    return evaluate_images(model, dataset, tasks, edge_tolerance, num_workers).results()


def evaluate_images(
    model: Callable[..., Predictions],
    dataset: Iterable[Any],
    tasks: TasksLike,
    edge_tolerance: float | None = None,
    num_workers: int = 1,
    observe: Observer | None = None,
) -> ImageStates:
    """Evaluate a model and keep the sums of each image, for `compare`.

    Source: as `evaluate`.

    Args:
        model: as for `evaluate`.
        dataset: as for `evaluate`.
        tasks: as for `evaluate`.
        edge_tolerance: as for `evaluate`.
        num_workers: as for `evaluate`.
        observe: called for each image and task with the task, the target `[H, W, C]`, the raw
            prediction `[H, W, C]` at its size, and the validity mask, bool `[H, W]`.

    Returns:
        The sums of each image; `.results()` is what `evaluate` returns.

    Raises:
        ValueError: as `evaluate` does.
    """

    @tf.function(reduce_retracing=True)
    def predict(image: tf.Tensor) -> Predictions:
        return model(image, training=False)

    return evaluate_predictor(
        predict, dataset, as_tasks(tasks), edge_tolerance, num_workers, observe
    )


def evaluate_predictor(
    predict: Predictor,
    dataset: Iterable[Any],
    tasks: tuple[Task, ...],
    edge_tolerance: float | None = None,
    num_workers: int = 1,
    observe: Observer | None = None,
) -> ImageStates:
    """Evaluate any function from images to raw predictions, as `evaluate_images`."""
    if edge_tolerance is not None and not 0 < edge_tolerance <= _LARGEST_TOLERANCE:
        raise ValueError(
            f"edge_tolerance must be a share of the diagonal, above 0 and at most "
            f"{_LARGEST_TOLERANCE}: 0.011 for NYUD, 0.0075 for others. Received: {edge_tolerance}"
        )
    sums: dict[str, ImageSums] = {}
    fingerprints: list[int] = []
    in_queue: list[str] = []  # task of each item of the edge queue
    labelled: set[str] = set()
    with as_python_errors(), contextlib.ExitStack() as stack:
        edges = None
        if edge_tolerance is not None:
            edges = stack.enter_context(EdgeQueue(edge_tolerance, num_workers))
        for image in _images(predict, dataset, tasks):
            fingerprints.append(fingerprint(image.targets))
            for task in tasks:
                if task.name not in image.predictions:
                    continue
                target, mask = image.targets[task.name], image.masks[task.name]
                if mask.any():
                    labelled.add(task.name)
                prediction = image.predictions[task.name]
                if task.name not in sums:
                    sums[task.name] = ImageSums(task)
                sums[task.name].add(target, prediction, mask)
                if observe is not None:
                    observe(task, target, prediction, mask)
                if edges is not None and task.kind is TargetKind.BOUNDARY:
                    scores = np.asarray(task.activation(prediction))[..., 0]
                    edges.put(scores, [target[..., 0] >= 0.5], mask)
                    in_queue.append(task.name)
        edge_counts = [] if edges is None else edges.remaining()
    if not fingerprints:
        raise ValueError("The data set is empty: there is nothing to evaluate")
    unlabelled = [name for name in sums if name not in labelled]
    if unlabelled:
        _raise_or_warn(unlabelled, len(fingerprints), is_all=not labelled)
    stacked = {name: of_task.stacked() for name, of_task in sums.items() if name in labelled}
    for name in dict.fromkeys(task for task in in_queue if task in labelled):
        of_task = [c for c, task in zip(edge_counts, in_queue, strict=True) if task == name]
        stacked[name][EDGE_COUNTS] = np.stack(of_task)
    evaluated = {task.name: task for task in tasks if task.name in stacked}
    return ImageStates(evaluated, stacked, np.array(fingerprints, np.uint32))


def _raise_or_warn(tasks: list[str], images: int, is_all: bool) -> None:
    """Say that tasks have no label in any image; raise `ValueError` if none is left."""
    text = (
        f"{', '.join(tasks)}: none of the {images} evaluated images has a valid label, so there "
        "are no results. Give labels to some (in a data.yaml: other splits)"
    )
    if is_all:
        raise ValueError(text)
    warnings.warn(text, RuntimeWarning, stacklevel=4)


class _Image(NamedTuple):
    """Raw predictions at the size of the targets, targets and masks of an image, by task."""

    predictions: dict[str, tf.Tensor]
    targets: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]


def _images(
    predict: Predictor, dataset: Iterable[Any], tasks: tuple[Task, ...]
) -> Iterator[_Image]:
    """Yield the predictions and the checked targets of one image at a time."""
    for batch in without_autotuning(dataset):
        image, targets, masks = keras.utils.unpack_x_y_sample_weight(batch)
        outputs = predict(image)
        predicted = [task for task in tasks if task.name in outputs]
        if not predicted:
            raise ValueError(
                f"The model predicts none of {[t.name for t in tasks]}. It has {sorted(outputs)}"
            )
        of_batch = _Image({}, {}, {})
        for task in predicted:
            rank = len(outputs[task.name].shape)
            target = checked_target(entry(targets, task, "targets"), task, rank)
            mask = None if masks is None else entry(masks, task, "masks")
            mask = checked_mask(mask, target, task)
            problem = task.kind.problem(target, mask, task.channels)
            if problem is not None:
                raise ValueError(f"Task {task.name!r} {problem}")
            raw = tf.convert_to_tensor(outputs[task.name])
            of_batch.predictions[task.name] = resized(raw, tf.convert_to_tensor(target))
            of_batch.targets[task.name] = target
            of_batch.masks[task.name] = mask
        for i in range(len(image)):
            yield _Image(*({name: x[i] for name, x in part.items()} for part in of_batch))


def entry(batch: object, task: Task, part: str) -> TensorLike:
    """Return the entry of a task in the targets or masks of a batch.

    Args:
        batch: targets or masks by task.
        task: the task.
        part: `"targets"` or `"masks"`, for the error message.

    Raises:
        ValueError: if there is none.
    """
    if not isinstance(batch, Mapping) or task.name not in batch:
        received = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise ValueError(
            f"A batch must be (image, {{task: target}}, {{task: mask}}). Its {part} have none for "
            f"{task.name!r}. Received: {received}"
        )
    return batch[task.name]


def checked_target(target: TensorLike, task: Task, rank: int) -> np.ndarray:
    """Return a target as `[B, H, W, C]`, of whole images `[B, C]`.

    Args:
        target: the target; the axis of a single channel may be missing.
        task: the task.
        rank: 4, of whole images 2.

    Raises:
        ValueError: for another shape.
    """
    target = np.asarray(target)
    channels = task.kind.target_channels(task.channels)
    if target.ndim == rank - 1 and channels == 1:
        target = target[..., None]
    if target.ndim != rank or target.shape[-1] != channels:
        names = "[B, " if rank == 2 else "[B, H, W, "
        raise ValueError(
            f"The target of task {task.name!r} must be {names}{channels}]. Received: {target.shape}"
        )
    return target.astype(np.float32) if target.dtype == bool else target


def checked_mask(mask: "TensorLike | None", target: np.ndarray, task: Task) -> np.ndarray:
    """Return the valid pixels `[B, H, W]` of a target `[B, H, W, C]` as bool; all without a mask.

    Args:
        mask: `[B, H, W]`, bool or numbers from 0 to 1; or `None`.
        target: from `checked_target`.
        task: the task.

    Raises:
        ValueError: for another shape or other values.
    """
    size = target.shape[:-1]
    if mask is None:
        return np.ones(size, bool)
    mask = np.asarray(mask)
    if mask.shape != size or not ((mask >= 0) & (mask <= 1)).all():
        limits = f" with values from {mask.min()} to {mask.max()}" if mask.size else ""
        raise ValueError(
            f"The validity mask of task {task.name!r} must be {list(size)}, bool or 0 to 1: one "
            f"number per pixel, masks of 0 and 255 divided by 255. Received: {list(mask.shape)} "
            f"{mask.dtype}{limits}"
        )
    return mask > 0
