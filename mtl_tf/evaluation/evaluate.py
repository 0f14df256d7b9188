"""Metrics of a model on a data set, computed at the size of the targets."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.evaluation.image_states import EDGE_COUNTS, ImageStates, compact, fingerprint
from mtl_tf.metrics import count_in_processes, resized
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
        ValueError: if the data set is empty, or the model has an output for none of the tasks.
    """
    return evaluate_images(model, dataset, tasks, edge_tolerance, num_workers).results()


def evaluate_images(
    model: Any,
    dataset: Iterable[Any],
    tasks: Any,
    edge_tolerance: float | None = None,
    num_workers: int = 1,
) -> ImageStates:
    """What each image adds to what `evaluate` returns: for `compare`.

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
    sums: dict[str, dict[str, list[np.ndarray]]] = {}
    fingerprints: list[int] = []
    metric_of = functools.cache(lambda task: task.metrics(task.channels)[0])

    def edges() -> Iterator[Any]:
        """Adds all else to the sums on the way, and hands on what the benchmark needs."""
        for prediction, target, mask in _images(predict, dataset, tasks):
            fingerprints.append(fingerprint(target))
            for task in tasks:
                if task.name not in prediction:
                    continue
                metric = metric_of(task)
                metric.reset_state()
                one = (x[task.name][None] for x in (target, prediction, mask))
                metric.update_state(*one)
                found = sums.setdefault(task.name, {v.name: [] for v in metric.variables})
                for variable in metric.variables:
                    found[variable.name].append(compact(np.asarray(variable)))
            if edge_tolerance is not None and "edges" in prediction:
                score = tf.sigmoid(prediction["edges"][..., 0]).numpy()
                yield score, [target["edges"][..., 0] >= 0.5], np.asarray(mask["edges"]) > 0

    counts = list(count_in_processes(edges(), edge_tolerance or 1.0, num_workers))
    if not fingerprints:
        raise ValueError("The data set is empty: there is nothing to evaluate")
    if counts:
        sums["edges"][EDGE_COUNTS] = counts
    return ImageStates(
        {task.name: task.channels for task in tasks if task.name in sums},
        {task: {name: np.stack(x) for name, x in found.items()} for task, found in sums.items()},
        np.array(fingerprints, np.uint32),
    )


def _images(predict: Predictor, dataset: Iterable[Any], tasks: tuple[Task, ...]) -> Iterator[Any]:
    """Raw predictions at the size of the targets, targets and masks of one image at a time."""
    for batch in dataset:
        image, targets, masks = keras.utils.unpack_x_y_sample_weight(batch)
        outputs = predict(image)
        judged = [task.name for task in tasks if task.name in outputs]
        if not judged:
            raise ValueError(
                f"The model predicts none of {[t.name for t in tasks]}. It has {sorted(outputs)}"
            )
        targets = {task: np.asarray(targets[task]) for task in judged}
        enlarged = {task: resized(outputs[task], tf.convert_to_tensor(targets[task]))
                    for task in judged}  # fmt: skip
        for i in range(len(image)):
            yield (
                {task: enlarged[task][i] for task in judged},
                {task: targets[task][i] for task in judged},
                {
                    task: np.ones(targets[task].shape[1:3]) if masks is None else masks[task][i]
                    for task in judged
                },
            )
