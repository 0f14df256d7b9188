"""Metrics of a model on a data set, computed at the size of the targets."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.autotuning import without_autotuning
from mtl_tf.evaluation.image_states import EDGE_COUNTS, ImageStates, fingerprint
from mtl_tf.evaluation.task_judge import TaskJudge
from mtl_tf.graph_errors import as_python_errors
from mtl_tf.metrics import count_in_processes, resized
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task, as_tasks

Predictor = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def evaluate(
    model: Any,
    dataset: Iterable[Any],
    tasks: Any,
    edge_tolerance: float | None = None,
    num_workers: int = 1,
) -> dict[str, dict[str, float]]:
    """Judges a model as the survey does.

    Predictions are resized bilinearly to the size of the targets: with `data.test()` that is the
    original size of the data set, with `data.val()` the model's input size.

    Source: Vandenhende et al., TPAMI 2021, section 4.

    Args:
        model: from images `[B, H, W, 3]` to `{task: raw prediction [B, h, w, C]}`; a Keras model or
            a `MultiTaskTrainer`.
        dataset: batches `(image, targets, masks)`.
        tasks: `{task: channels}`, names, or `mtl_tf.Task` objects; tasks without an output of the
            model (auxiliary ones) are left out.
        edge_tolerance: judge edges by the boundary benchmark too (`ods_f`, `ois_f`, `ap`; a quarter
            of a second and more an image), with this largest distance of matched pixels as a
            fraction of the diagonal: 0.011 for NYUD, 0.0075 for others.
        num_workers: processes of the boundary benchmark.

    Returns:
        `{task: {metric: value}}`: shares as fractions, depth in metres, angles in degrees.

    Raises:
        ValueError: if the data set is empty, the model has an output for none of the tasks, a
            valid target has a value that cannot be, or a metric is no function of sums over images.
    """
    return evaluate_images(model, dataset, tasks, edge_tolerance, num_workers).results()


def evaluate_images(
    model: Any,
    dataset: Iterable[Any],
    tasks: Any,
    edge_tolerance: float | None = None,
    num_workers: int = 1,
) -> ImageStates:
    """Evaluate a model and keep the sums of each image, for `compare`.

    Source: as `evaluate`.

    Args:
        model: as for `evaluate`.
        dataset: as for `evaluate`.
        tasks: as for `evaluate`.
        edge_tolerance: as for `evaluate`.
        num_workers: as for `evaluate`.

    Returns:
        The sums of each image; `.results()` is what `evaluate` returns.

    Raises:
        ValueError: as `evaluate` does.
    """

    @tf.function(reduce_retracing=True)
    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return model(image, training=False)

    return judged_images(predict, dataset, as_tasks(tasks), edge_tolerance, num_workers)


def judged_images(
    predict: Predictor,
    dataset: Iterable[Any],
    tasks: tuple[Task, ...],
    edge_tolerance: float | None = None,
    num_workers: int = 1,
) -> ImageStates:
    """`evaluate_images` for any function from images to raw predictions."""
    judges: dict[str, TaskJudge] = {}
    fingerprints: list[int] = []
    benchmarked: list[str] = []  # the task of each item of the edge benchmark

    def boundaries() -> Iterator[Any]:
        """Judges one image after the other, and hands on what the edge benchmark needs."""
        for prediction, target, mask in _images(predict, dataset, tasks):
            fingerprints.append(fingerprint(target))
            for task in tasks:
                if task.name not in prediction:
                    continue
                one = target[task.name], prediction[task.name], mask[task.name]
                if task.name not in judges:
                    judges[task.name] = TaskJudge(task)
                judges[task.name].add(*one)
                if edge_tolerance is not None and task.kind is TargetKind.BOUNDARY:
                    benchmarked.append(task.name)
                    score = np.asarray(task.activation(one[1]))[..., 0]
                    yield score, [one[0][..., 0] >= 0.5], one[2]

    with as_python_errors():
        counts = list(count_in_processes(boundaries(), edge_tolerance or 1.0, num_workers))
    if not fingerprints:
        raise ValueError("The data set is empty: there is nothing to evaluate")
    sums = {name: judge.sums() for name, judge in judges.items()}
    for name in dict.fromkeys(benchmarked):
        of_task = [c for c, task in zip(counts, benchmarked, strict=True) if task == name]
        sums[name][EDGE_COUNTS] = np.stack(of_task)
    return ImageStates(
        {task.name: task for task in tasks if task.name in sums},
        sums,
        np.array(fingerprints, np.uint32),
    )


def _images(predict: Predictor, dataset: Iterable[Any], tasks: tuple[Task, ...]) -> Iterator[Any]:
    """Raw predictions at the size of the targets, targets and masks of one image at a time."""
    for batch in without_autotuning(dataset):
        image, targets, masks = keras.utils.unpack_x_y_sample_weight(batch)
        outputs = predict(image)
        judged = [task for task in tasks if task.name in outputs]
        if not judged:
            raise ValueError(
                f"The model predicts none of {[t.name for t in tasks]}. It has {sorted(outputs)}"
            )
        truth, valid, enlarged = {}, {}, {}
        for task in judged:
            found = entry(targets, task, "targets")
            truth[task.name] = checked_target(found, task, len(outputs[task.name].shape))
            mask = None if masks is None else entry(masks, task, "masks")
            valid[task.name] = checked_mask(mask, truth[task.name], task)
            problem = task.kind.problem(truth[task.name], valid[task.name], task.channels)
            if problem is not None:
                raise ValueError(f"Task {task.name!r} {problem}")
            like = tf.convert_to_tensor(truth[task.name])
            enlarged[task.name] = resized(tf.convert_to_tensor(outputs[task.name]), like)
        for i in range(len(image)):
            yield tuple({name: x[i] for name, x in y.items()} for y in (enlarged, truth, valid))


def entry(batch: Any, task: Task, what: str) -> Any:
    """Return the entry of a task in targets or masks; `ValueError` if there is none."""
    if not isinstance(batch, Mapping) or task.name not in batch:
        received = sorted(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise ValueError(
            f"A batch must be (image, {{task: target}}, {{task: mask}}). Its {what} have none for "
            f"{task.name!r}. Received: {received}"
        )
    return batch[task.name]


def checked_target(target: Any, task: Task, rank: int) -> np.ndarray:
    """A target `[B, H, W, C]` (of whole images `[B, C]`), whose one channel may be left out."""
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


def checked_mask(mask: Any, target: np.ndarray, task: Task) -> np.ndarray:
    """Return the valid pixels `[B, H, W]` of a target `[B, H, W, C]`: bool; all without a mask."""
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
