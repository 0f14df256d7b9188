"""Pictures of reports: images and coloured maps as data URIs, and legends of their colours."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from mtl_tf.evaluation.reporting.colours import class_colours, colourise
from mtl_tf.evaluation.reporting.error_maps import error_map
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task

_MAX_WIDTH = 320
_DEFAULT_DEPTHS_M = (0.0, 10.0)
_LARGEST_ERROR = 0.1  # of the largest depth


class MapPictures:
    """Coloured maps of several tasks as data URIs, with the same colour scale in all of them.

    Args:
        tasks: the tasks.
        examples: pictures of a report, with `targets` and `masks` by task; their distances
            determine the colour scale of all distances.

    Attributes:
        depth_range_m: metres of the first and the last colour.
        largest_error_m: metres of the last colour of errors of depth.
    """

    def __init__(self, tasks: Sequence[Task], examples: Sequence[Mapping[str, Any]]) -> None:
        self._tasks = {task.name: task for task in tasks}
        distances = [task.name for task in tasks if task.kind is TargetKind.DISTANCE]
        self.depth_range_m = _depth_range(examples, distances) if distances else _DEFAULT_DEPTHS_M
        self.largest_error_m = _LARGEST_ERROR * self.depth_range_m[1]

    def prediction(self, task: str, raw: np.ndarray) -> str:
        """Draw a raw prediction `[H, W, C]`."""
        activated = np.asarray(self._tasks[task].activation(raw))
        return embedded(colourise(self._tasks[task], activated, self.depth_range_m))

    def target(self, task: str, target: np.ndarray, mask: np.ndarray) -> str:
        """Draw a target `[H, W, C]`, invalid pixels of the mask `[H, W]` in black."""
        return embedded(colourise(self._tasks[task], target, self.depth_range_m, mask))

    def error(
        self,
        task: str,
        raw: np.ndarray,
        target: np.ndarray,
        mask: np.ndarray,
        threshold: float = 0.5,
    ) -> str:
        """Draw the error of a raw prediction, see `error_map`."""
        of_task = self._tasks[task]
        activated = np.asarray(of_task.activation(raw))
        return embedded(
            error_map(of_task, activated, target, mask, self.largest_error_m, threshold)
        )


def _depth_range(
    examples: Sequence[Mapping[str, Any]], tasks: Sequence[str]
) -> tuple[float, float]:
    """Return 0 and a bound of 99 % of the valid distances, in whole metres."""
    valid = [e["targets"][task][e["masks"][task] > 0] for e in examples for task in tasks]
    depths = np.concatenate(valid) if valid else np.zeros(0)
    return (0.0, float(np.ceil(np.percentile(depths, 99)))) if depths.size else _DEFAULT_DEPTHS_M


def legends(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Return the legend of each list of class names.

    Args:
        tasks: the tasks; those with the same class names and colours share a legend.

    Returns:
        Dictionaries of `tasks` (names) and `classes` (pairs of name and CSS colour).
    """
    by_classes: dict[tuple[Any, ...], list[str]] = {}
    for task in tasks:
        if task.class_names:
            key = (task.class_names, task.class_colours)
            by_classes.setdefault(key, []).append(task.name)
    return [
        {
            "tasks": of_tasks,
            "classes": [
                (name, "rgb({},{},{})".format(*colour))
                for name, colour in zip(names, colours or class_colours(names), strict=True)
            ],
        }
        for (names, colours), of_tasks in by_classes.items()
    ]


def embedded(picture: np.ndarray) -> str:
    """Encode a picture as a data URI, at most 320 pixels wide.

    Args:
        picture: RGB `[H, W, 3]` uint8.
    """
    image = Image.fromarray(picture)
    if image.width > _MAX_WIDTH:
        height = round(image.height * _MAX_WIDTH / image.width)
        image = image.resize((_MAX_WIDTH, height), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
