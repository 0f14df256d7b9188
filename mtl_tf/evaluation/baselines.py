"""What can be had without a network: the bar every task of a trained model has to clear.

Semantic classes and body parts: the most frequent class at each pixel position. Depth: the mean at
each position. Normals: the mean direction. Saliency: the share of salient pixels. Edges: a gradient
magnitude detector on the image, its smoothing and threshold tuned on training images.
"""

import itertools
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from mtl_tf.evaluation.evaluate import evaluate_predictor
from mtl_tf.tasks import Task, as_tasks

_SMOOTHING_PIXELS = (0.5, 1.0, 1.5, 2.0)
_EDGE_SHARES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3)
_CERTAIN = 20.0


def trivial_baseline(
    train: Iterable[Any], test: Iterable[Any], tasks: Any, tuning: Iterable[Any] | None = None
) -> dict[str, dict[str, float]]:
    """Results of per-pixel training statistics, and of a tuned gradient detector for edges.

    Args:
        train: training batches `(image, targets, masks)` at one size, without augmentation.
        test: batches to judge, as for `evaluate`.
        tasks: `{task: channels}`, names, or `mtl_tf.Task` objects.
        tuning: training batches whose targets have the size of those in `test`, for the gradient
            detector; needed where `edges` is a task.

    Returns:
        `{task: {metric: value}}`, as `evaluate` returns it.

    Raises:
        ValueError: if `edges` is a task and there are no `tuning` batches.
    """
    resolved = as_tasks(tasks)
    constants = _constant_predictions(train, [t for t in resolved if t.name != "edges"])
    edge_task = next((t for t in resolved if t.name == "edges"), None)
    detector: tuple[float, float] | None = None
    if edge_task is not None:
        if tuning is None:
            raise ValueError("The baseline of edges needs tuning batches")
        detector = _tuned_detector(list(tuning), edge_task)

    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = {
            name: tf.repeat(constant[None], tf.shape(image)[0], axis=0)
            for name, constant in constants.items()
        }
        if detector is not None:
            outputs["edges"] = _gradient_logits(image.numpy(), *detector)
        return outputs

    return evaluate_predictor(predict, test, resolved)


def _constant_predictions(train: Iterable[Any], tasks: list[Task]) -> dict[str, tf.Tensor]:
    """`{task: [H, W, C]}` raw predictions that are the same for every image."""
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    for _, targets, masks in train:
        for task in tasks:
            target, mask = targets[task.name].numpy(), masks[task.name].numpy()[..., None]
            if task.name in ("semseg", "human_parts"):
                target = target == np.arange(task.channels)
            sums[task.name] = sums.get(task.name, 0) + (target * mask).sum(0)
            counts[task.name] = counts.get(task.name, 0) + mask.sum(0)
    predictions = {}
    for task in tasks:
        mean = sums[task.name] / np.maximum(counts[task.name], 1)
        if task.name == "saliency":
            mean = np.clip(mean, 1e-6, 1 - 1e-6)
            mean = np.log(mean / (1 - mean))
        predictions[task.name] = tf.constant(mean, tf.float32)
    return predictions


def _gradient_logits(images: np.ndarray, smoothing: float, share: float) -> tf.Tensor:
    """Logits `[B, H, W, 1]`: certain edges where the gradient is among the largest `share`."""
    logits = []
    for image in images:
        smooth = cv2.GaussianBlur(image, (0, 0), smoothing)
        gradient = np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)).max(-1)
        is_edge = (gradient >= np.quantile(gradient, 1 - share)) & (gradient > 0)
        logits.append(np.where(is_edge, _CERTAIN, -_CERTAIN))
    return tf.constant(np.stack(logits)[..., None], tf.float32)


def _tuned_detector(tuning: list[Any], task: Task) -> tuple[float, float]:
    """Smoothing and share of edge pixels with the largest F."""

    def f(parameters: tuple[float, float]) -> float:
        def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"edges": _gradient_logits(image.numpy(), *parameters)}

        return evaluate_predictor(predict, tuning, (task,))["edges"]["f"]

    return max(itertools.product(_SMOOTHING_PIXELS, _EDGE_SHARES), key=f)
