"""Diagnostics of all tasks, gathered image by image while a network is evaluated."""

from typing import Any, Protocol

import numpy as np

from mtl_tf.evaluation.diagnostics.angles import Angles
from mtl_tf.evaluation.diagnostics.classes import class_scores, confusion_shares
from mtl_tf.evaluation.diagnostics.depth_ranges import DepthRanges
from mtl_tf.evaluation.diagnostics.image_scores import CONFUSION, image_scores
from mtl_tf.evaluation.diagnostics.reliability import Reliability
from mtl_tf.evaluation.diagnostics.thresholds import Thresholds
from mtl_tf.evaluation.image_states import ImageStates
from mtl_tf.metrics import EdgeMetrics
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task
from mtl_tf.typing import TensorLike

_NAMES = {
    TargetKind.CLASSES: "reliability",
    TargetKind.DISTANCE: "depth_ranges",
    TargetKind.DIRECTION: "angles",
    TargetKind.BINARY: "thresholds",
    TargetKind.BOUNDARY: "thresholds",
}


class _Diagnostic(Protocol):
    def add(self, target: np.ndarray, prediction: np.ndarray, valid: np.ndarray) -> None: ...
    def result(self) -> dict[str, Any]: ...


class Diagnostics:
    """Gathers the diagnostics of all tasks; call it for each task of each image.

    Source: this library.

    Examples:
        >>> from mtl_tf.tasks import TASKS
        >>> diagnostics = Diagnostics()
        >>> diagnostics(TASKS["depth"], np.ones((2, 2, 1)), np.ones((2, 2, 1)), np.ones((2, 2)) > 0)
        >>> list(diagnostics.result()["depth"])
        ['depth_ranges']
    """

    def __init__(self) -> None:
        self._of_tasks: dict[str, tuple[Task, _Diagnostic | None]] = {}

    def __call__(
        self, task: Task, target: np.ndarray, prediction: TensorLike, mask: np.ndarray
    ) -> None:
        """Add a task of an image; tasks of whole images and of other values have no diagnostics.

        Args:
            task: the task.
            target: `[H, W, C]`.
            prediction: raw, `[H, W, C]`.
            mask: bool `[H, W]`.
        """
        if target.ndim != 3 or task.kind not in _NAMES:
            return
        activated = np.asarray(task.activation(prediction))
        if task.name not in self._of_tasks:
            self._of_tasks[task.name] = (task, _new(task, activated))
        _, diagnostic = self._of_tasks[task.name]
        if diagnostic is not None and not (_skips_background(task) and not target[mask].any()):
            diagnostic.add(target, activated, mask)

    def result(self, states: ImageStates | None = None) -> dict[str, dict[str, Any]]:
        """Return all diagnostics as JSON.

        Args:
            states: of the same evaluation, for the scores of classes and images.

        Returns:
            `{task: {name: diagnostic}}` with the names of the modules of this package.
        """
        results: dict[str, dict[str, Any]] = {
            name: {} if diagnostic is None else {_NAMES[task.kind]: diagnostic.result()}
            for name, (task, diagnostic) in self._of_tasks.items()
        }
        if states is None:
            return results
        for name, scores in image_scores(states).items():
            of_task = results.setdefault(name, {})
            of_task["image_scores"] = [float(s) if np.isfinite(s) else None for s in scores]
        for name, task in states.tasks.items():
            if task.kind is TargetKind.CLASSES and CONFUSION in states.sums[name]:
                confusion = states.sums[name][CONFUSION].sum(0)
                results[name]["classes"] = class_scores(confusion, task.class_names)
                results[name]["confusion"] = confusion_shares(confusion).round(4).tolist()
        return results


def _new(task: Task, activated: np.ndarray) -> _Diagnostic | None:
    """Return an empty diagnostic that follows the rules of the task's metric, if one fits."""
    if task.kind is TargetKind.CLASSES:
        is_probability = np.allclose(activated.sum(-1), 1.0, atol=1e-3)
        return Reliability() if is_probability else None
    if task.kind is TargetKind.DIRECTION:
        return Angles()
    if task.channels > 1:
        return None
    if task.kind is TargetKind.DISTANCE:
        return DepthRanges()
    if task.kind is TargetKind.BINARY:
        return Thresholds()
    edges = [metric for metric in task.new_metrics() if isinstance(metric, EdgeMetrics)]
    return Thresholds((edges or [EdgeMetrics()])[0].tolerance)


def _skips_background(task: Task) -> bool:
    """Return whether images without any class above 0 do not count."""
    if task.kind is not TargetKind.CLASSES:
        return False
    return any(getattr(m, "skip_background_images", False) for m in task.new_metrics())
