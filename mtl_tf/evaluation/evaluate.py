"""Metrics of a model on a data set, computed at the size of the targets."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.metrics import resized
from mtl_tf.tasks import Task, as_tasks

Predictor = Callable[[tf.Tensor], dict[str, tf.Tensor]]


def evaluate(model: Any, dataset: Iterable[Any], tasks: Any) -> dict[str, dict[str, float]]:
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

    Returns:
        `{task: {metric: value}}`: shares as fractions, depth in metres, angles in degrees.

    Raises:
        ValueError: if the data set is empty, or the model has an output for none of the tasks.
    """

    @tf.function(reduce_retracing=True)
    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return model(image, training=False)

    return evaluate_predictor(predict, dataset, as_tasks(tasks))


def evaluate_predictor(
    predict: Predictor, dataset: Iterable[Any], tasks: tuple[Task, ...]
) -> dict[str, dict[str, float]]:
    """`evaluate` for any function from images to raw predictions."""
    metrics: dict[str, Any] = {}
    for batch in dataset:
        image, targets, masks = keras.utils.unpack_x_y_sample_weight(batch)
        outputs = predict(image)
        judged = [task for task in tasks if task.name in outputs]
        if not judged:
            raise ValueError(
                f"The model predicts none of {[t.name for t in tasks]}. It has {sorted(outputs)}"
            )
        for task in judged:
            target = targets[task.name]
            prediction = resized(outputs[task.name], target)
            if task.name not in metrics:
                metrics[task.name] = task.metrics(task.channels)[0]
            mask = None if masks is None else masks[task.name]
            metrics[task.name].update_state(target, prediction, mask)
    if not metrics:
        raise ValueError("The data set is empty: there is nothing to evaluate")
    return {
        name: {key: float(value) for key, value in metric.result().items()}
        for name, metric in metrics.items()
    }
