"""Diagnostics of all tasks, gathered image by image while a network is evaluated."""

from collections.abc import Callable
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


class _Diagnostic(Protocol):
    def add(self, target: np.ndarray, prediction: np.ndarray, valid: np.ndarray) -> None: ...
    def result(self) -> dict[str, Any]: ...


_BY_KIND: dict[TargetKind, tuple[str, Callable[[], _Diagnostic]]] = {
    TargetKind.CLASSES: ("reliability", Reliability),
    TargetKind.DISTANCE: ("depth_ranges", DepthRanges),
    TargetKind.DIRECTION: ("angles", Angles),
    TargetKind.BINARY: ("thresholds", Thresholds),
    TargetKind.BOUNDARY: ("thresholds", lambda: Thresholds(EdgeMetrics().tolerance)),
}


class Diagnostics:
    """Gathers the diagnostics of all tasks; call it for each task of each image.

    Examples:
        >>> from mtl_tf.tasks import TASKS
        >>> diagnostics = Diagnostics()
        >>> diagnostics(TASKS["depth"], np.ones((2, 2, 1)), np.ones((2, 2, 1)), np.ones((2, 2)) > 0)
        >>> list(diagnostics.result()["depth"])
        ['depth_ranges']
    """

    def __init__(self) -> None:
        self._of_tasks: dict[str, _Diagnostic] = {}
        self._names: dict[str, str] = {}

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
        if target.ndim != 3 or task.kind not in _BY_KIND:
            return
        if task.name not in self._of_tasks:
            self._names[task.name], make = _BY_KIND[task.kind]
            self._of_tasks[task.name] = make()
        self._of_tasks[task.name].add(target, np.asarray(task.activation(prediction)), mask)

    def result(self, states: ImageStates | None = None) -> dict[str, dict[str, Any]]:
        """Return all diagnostics as JSON.

        Args:
            states: of the same evaluation, for the scores of classes and images.

        Returns:
            `{task: {name: diagnostic}}` with the names of the modules of this package.
        """
        results: dict[str, dict[str, Any]] = {
            t: {self._names[t]: d.result()} for t, d in self._of_tasks.items()
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
