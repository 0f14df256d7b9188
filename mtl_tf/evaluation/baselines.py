"""Input-independent baselines, and a gradient detector for boundaries.

Classes: the most frequent one at each pixel position. Distances, directions and other values: the
mean at each position. Regions (saliency): the share of their pixels. Boundaries (edges): a gradient
magnitude detector on the image, its smoothing and threshold tuned on training images.
"""

import itertools
from collections.abc import Iterable
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf

from mtl_tf.autotuning import without_autotuning
from mtl_tf.evaluation.evaluate import checked_mask, checked_target, entry, evaluate_predictor
from mtl_tf.graph_errors import as_python_errors
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task, TasksLike, as_tasks

_SMOOTHING_PIXELS = (0.5, 1.0, 1.5, 2.0)
_EDGE_SHARES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3)
_CERTAIN = 20.0


@as_python_errors()
def trivial_baseline(
    train: Iterable[Any], test: Iterable[Any], tasks: TasksLike, tuning: Iterable[Any] | None = None
) -> dict[str, dict[str, float]]:
    """Evaluate per-pixel training statistics, and a tuned gradient detector for edges.

    Args:
        train: training batches `(image, targets, masks)` at one size, without augmentation.
        test: batches to evaluate on, as for `evaluate`.
        tasks: `{task: channels}`, names, or `mtl_tf.Task` objects.
        tuning: training batches whose targets have the size of those in `test`, for the gradient
            detector; needed where a task predicts boundaries (`edges`).

    Returns:
        `{task: {metric: value}}`, as `evaluate` returns it.

    Raises:
        ValueError: if a task predicts boundaries and there are no `tuning` batches.
    """
    resolved = as_tasks(tasks)
    boundaries = [task.name for task in resolved if task.kind is TargetKind.BOUNDARY]
    constants = _constant_predictions(train, [t for t in resolved if t.name not in boundaries])
    if boundaries and tuning is None:
        raise ValueError(f"The baseline of {boundaries} needs tuning batches")
    detectors = {t.name: _tuned_detector(tuning or (), t) for t in resolved if t.name in boundaries}

    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = {
            name: tf.repeat(constant[None], tf.shape(image)[0], axis=0)
            for name, constant in constants.items()
        }
        for name, detector in detectors.items():
            outputs[name] = _gradient_logits(image.numpy(), *detector)
        return outputs

    return evaluate_predictor(predict, test, resolved).results()


def _constant_predictions(train: Iterable[Any], tasks: list[Task]) -> dict[str, tf.Tensor]:
    """Return raw predictions `{task: [H, W, C]}` that are the same for every image."""
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    for batch in without_autotuning(train):
        for task in tasks:
            target, mask = _target_and_mask(batch, task)
            if task.kind is TargetKind.CLASSES:
                target = target == np.arange(task.channels)
            target = np.where(mask[..., None], target, 0)  # invalid values may be NaN
            sums[task.name] = sums.get(task.name, 0) + target.sum(0)
            counts[task.name] = counts.get(task.name, 0) + mask[..., None].sum(0)
    predictions = {}
    for task in tasks:
        mean = sums[task.name] / np.maximum(counts[task.name], 1)
        if task.kind is TargetKind.BINARY:
            mean = np.clip(mean, 1e-6, 1 - 1e-6)
            mean = np.log(mean / (1 - mean))
        predictions[task.name] = tf.constant(mean, tf.float32)
    return predictions


def _target_and_mask(batch: tuple[Any, ...], task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return target `[B, H, W, C]` and bool mask `[B, H, W]`; of images `[B, C]` and `[B]`."""
    _, targets, masks = keras.utils.unpack_x_y_sample_weight(batch)
    target = entry(targets, task, "targets")
    target = checked_target(target, task, 4 if np.ndim(target) > 2 else 2)
    mask = None if masks is None else entry(masks, task, "masks")
    return target, checked_mask(mask, target, task)


def _gradients(image: np.ndarray, smoothing: float) -> np.ndarray:
    """Return the maximum over the channels of the gradients of a smoothed image `[H, W, 3]`."""
    smooth = cv2.GaussianBlur(image, (0, 0), smoothing)
    return np.hypot(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1)).max(-1)


def _steepest(gradients: np.ndarray, share: float) -> np.ndarray:
    """Return the mask `[H, W]` of the pixels with the `share` of largest gradients."""
    return (gradients >= np.quantile(gradients, 1 - share)) & (gradients > 0)


def _gradient_logits(images: np.ndarray, smoothing: float, share: float) -> tf.Tensor:
    """Return logits `[B, H, W, 1]`: edges at the `share` of largest gradients."""
    is_edge = np.stack([_steepest(_gradients(image, smoothing), share) for image in images])
    return tf.constant(np.where(is_edge, _CERTAIN, -_CERTAIN)[..., None], tf.float32)


def _tuned_detector(tuning: Iterable[Any], task: Task) -> tuple[float, float]:
    """Return the smoothing and the share of edge pixels with the largest F."""
    settings = list(itertools.product(_SMOOTHING_PIXELS, _EDGE_SHARES))
    counts = {setting: np.zeros(3) for setting in settings}  # hits, predicted, true
    for batch in tuning:
        targets, masks = _target_and_mask(batch, task)
        for image, target, mask in zip(np.asarray(batch[0]), targets[..., 0], masks, strict=True):
            truth = (target >= 0.5) & mask
            for smoothing in _SMOOTHING_PIXELS:
                gradients = _gradients(image, smoothing)
                for share in _EDGE_SHARES:
                    steepest = _steepest(gradients, share).astype(np.float32)
                    edges = (cv2.resize(steepest, truth.shape[::-1]) >= 0.5) & mask
                    counts[smoothing, share] += (edges & truth).sum(), edges.sum(), truth.sum()

    def f(setting: tuple[float, float]) -> float:
        hits, predicted, true = counts[setting]
        return 2 * hits / max(predicted + true, 1)

    return max(settings, key=f)
