"""Score of each image for each task, to show where a network is at its best and at its worst."""

from collections.abc import Mapping

import numpy as np

from mtl_tf.evaluation.diagnostics.classes import class_scores
from mtl_tf.evaluation.image_states import ImageStates
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task

CONFUSION = "confusion"
"""Name of the confusion matrices among the sums of a task of class ids."""


def image_scores(states: ImageStates) -> dict[str, np.ndarray]:
    """Return the main metric of each image.

    A mean IoU is that over the classes that the image or its prediction holds.

    Args:
        states: of an evaluation.

    Returns:
        `{task: [N]}`; NaN for images without a valid pixel of the task.
    """
    of_each = list(states.of_each_image())
    scores = {}
    for name, task in states.tasks.items():
        sums = states.sums[name]
        if _is_of_present_classes(task) and CONFUSION in sums:
            values = [_present_iou(confusion) for confusion in sums[CONFUSION]]
        else:
            values = [results[name].get(task.main_metric, np.nan) for results in of_each]
        has_label = sum(np.abs(x.reshape(len(states), -1)).sum(1) for x in sums.values())
        scores[name] = np.where(has_label == 0, np.nan, np.array(values, np.float64))
    return scores


def best_median_worst(scores: np.ndarray, task: Task) -> Mapping[str, int]:
    """Return the positions of the `best`, `median` and `worst` image; fewer if there are fewer.

    Args:
        scores: `[N]`, NaN for images without a label.
        task: says which direction is better; without one there is nothing to rank.

    Examples:
        >>> from mtl_tf.tasks import TASKS
        >>> best_median_worst(np.array([0.5, 0.1, np.nan, 0.9]), TASKS["depth"])
        {'best': 1, 'median': 0, 'worst': 3}
    """
    if task.higher_is_better is None:
        return {}
    known = np.flatnonzero(np.isfinite(scores))
    order = known[np.argsort(-scores[known] if task.higher_is_better else scores[known])]
    if not len(order):
        return {}
    places = {"best": 0, "median": (len(order) - 1) // 2, "worst": len(order) - 1}
    chosen: dict[str, int] = {}
    for name, place in places.items():
        if int(order[place]) not in chosen.values():
            chosen[name] = int(order[place])
    return chosen


def score_label(task: Task) -> str:
    """Return the name of the scores of `image_scores`."""
    label = task.label_of(task.main_metric)
    return f"{label} of the classes in the image" if _is_of_present_classes(task) else label


def _is_of_present_classes(task: Task) -> bool:
    return task.kind is TargetKind.CLASSES and task.main_metric == "miou"


def _present_iou(confusion: np.ndarray) -> float:
    known = [row["iou"] for row in class_scores(confusion, ()) if row["iou"] is not None]
    return float(np.mean(known)) if known else np.nan
