"""Prediction of all tasks of an image: numbers, pictures and files."""

import io
import os
import pathlib
import re
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

from mtl_tf import evaluation
from mtl_tf.atomic_files import write_atomically
from mtl_tf.deployment.panel import Tile, draw_panel
from mtl_tf.evaluation.reporting.colours import DEPTH_COLOURS, task_colours
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task

_DEFAULT_DEPTHS_M = (0.0, 10.0)
_PERCENTILES = (2, 98)
_MIN_SHARE = 0.002  # of the pixels, of a class in the legend
_THRESHOLD = 0.5
_MARKED = np.array((255, 40, 40), np.uint8)


class Prediction:
    """All tasks of an image, at the size of the image.

    Source: this library.

    Args:
        image: RGB `[H, W, 3]` uint8.
        tasks: the tasks.
        maps: `{task: [h, w, C]}` float32: probabilities, metres, unit vectors or numbers.

    Attributes:
        image: the image.
        tasks: the tasks by name.
        maps: as given.

    Examples:
        >>> tasks = mtl.tasks.as_tasks({"depth": 1})
        >>> maps = {"depth": np.full((4, 6, 1), 2.5, np.float32)}
        >>> prediction = Prediction(np.zeros((8, 12, 3), np.uint8), tasks, maps)
        >>> prediction.depth.shape, float(prediction["depth"][0, 0])
        ((8, 12), 2.5)
    """

    def __init__(
        self, image: np.ndarray, tasks: Sequence[Task], maps: Mapping[str, np.ndarray]
    ) -> None:
        self.image = image
        self.tasks = {task.name: task for task in tasks}
        self.maps = dict(maps)

    # === Numbers ===

    def __getitem__(self, task: str) -> np.ndarray:
        """Return the result of a task.

        Args:
            task: its name.

        Returns:
            Class ids `[H, W]` int32; metres, numbers, or the probability of a region or boundary
            `[H, W]` float32; unit vectors or several numbers `[H, W, C]` float32.

        Raises:
            KeyError: for an unknown task.
        """
        if task not in self.maps:
            raise KeyError(f"{task!r} is not among the tasks {list(self.maps)}")
        values, kind = self.maps[task], self.tasks[task].kind
        size = self.image.shape[1::-1]
        if kind is TargetKind.CLASSES:
            ids = values.argmax(-1).astype(np.int32)
            return cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT)
        full = self._at_full_size(values)
        return full[..., 0] if full.shape[-1] == 1 else full

    def __getattr__(self, name: str) -> np.ndarray:
        """Return the result of the task of that name."""
        if name in self.__dict__.get("maps", {}):
            return self[name]
        raise AttributeError(f"{type(self).__name__} has no attribute or task {name!r}")

    def __dir__(self) -> list[str]:
        """List the tasks too."""
        return sorted({*super().__dir__(), *self.maps})

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        """`{task: [H, W, C] float32}` of the tasks of classes, regions and boundaries."""
        kinds = (TargetKind.CLASSES, TargetKind.BINARY, TargetKind.BOUNDARY)
        return {
            name: self._at_full_size(values)
            for name, values in self.maps.items()
            if self.tasks[name].kind in kinds
        }

    def _at_full_size(self, values: np.ndarray) -> np.ndarray:
        height, width = self.image.shape[:2]
        if values.shape[:2] == (height, width):
            return values
        full = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
        return full.reshape(height, width, -1)

    # === Pictures ===

    def depth_range_m(self, task: str) -> tuple[float, float]:
        """Return the range of the distances of a task in this image, without outliers.

        Args:
            task: a task of distances.
        """
        near, far = (float(x) for x in np.percentile(self.maps[task], _PERCENTILES))
        return (near, far) if far > near else _DEFAULT_DEPTHS_M

    def picture(self, task: str, depth_range_m: tuple[float, float] | None = None) -> np.ndarray:
        """Return the coloured map of a task.

        Args:
            task: its name.
            depth_range_m: distances of the first and the last colour; by default those of this
                image.

        Returns:
            RGB `[H, W, 3]` uint8.
        """
        self[task]  # names the tasks if it is unknown
        of_task = self.tasks[task]
        if of_task.kind is TargetKind.DISTANCE and depth_range_m is None:
            depth_range_m = self.depth_range_m(task)
        values = self.maps[task]
        picture = evaluation.colourise(of_task, values, depth_range_m or _DEFAULT_DEPTHS_M)
        if picture.shape != self.image.shape:
            size = self.image.shape[1::-1]
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST_EXACT)
        return picture

    def pictures(self, depth_range_m: tuple[float, float] | None = None) -> dict[str, np.ndarray]:
        """Return `{task: coloured map [H, W, 3] uint8}`.

        Args:
            depth_range_m: as for `picture`.
        """
        return {name: self.picture(name, depth_range_m) for name in self.maps}

    def overlay(
        self, task: str, alpha: float = 0.5, depth_range_m: tuple[float, float] | None = None
    ) -> np.ndarray:
        """Return the coloured map of a task on the image.

        Args:
            task: its name. Of regions and boundaries only what is marked is coloured.
            alpha: opacity of the map, from 0 to 1.
            depth_range_m: as for `picture`.

        Returns:
            RGB `[H, W, 3]` uint8.
        """
        colours = self.picture(task, depth_range_m)
        if self.tasks[task].kind in (TargetKind.BINARY, TargetKind.BOUNDARY):
            is_marked = (self[task] > _THRESHOLD)[..., None]
            colours = np.where(is_marked, _MARKED, self.image)
        return cv2.addWeighted(self.image, 1 - alpha, colours, alpha, 0)

    def panel(
        self, depth_range_m: tuple[float, float] | None = None, has_legend: bool = True
    ) -> np.ndarray:
        """Return the image and all maps in one picture, with names, classes and depths.

        Args:
            depth_range_m: as for `picture`.
            has_legend: whether the classes in the image are listed below; their number decides the
                height.

        Returns:
            RGB uint8.
        """
        tiles = [Tile("image", self.image)]
        legend: dict[str, tuple[int, ...]] = {}
        for name, task in self.tasks.items():
            scale = None
            if task.kind is TargetKind.DISTANCE:
                scale = depth_range_m or self.depth_range_m(name)
            tiles.append(Tile(name, self.picture(name, scale), scale))
            if task.kind is TargetKind.CLASSES and has_legend:
                legend |= self._classes(task)
        return draw_panel(tiles, legend, DEPTH_COLOURS)

    def _classes(self, task: Task) -> dict[str, tuple[int, ...]]:
        """Return names and colours of the classes in the image, the most frequent first."""
        counts = np.bincount(self.maps[task.name].argmax(-1).ravel(), minlength=task.channels)
        names = task.class_names or tuple(f"class {i}" for i in range(task.channels))
        colours = task_colours(task)
        order = [i for i in np.argsort(-counts) if counts[i] > _MIN_SHARE * counts.sum()]
        return {names[i]: tuple(int(c) for c in colours[i]) for i in order}

    # === Files ===

    def save(
        self,
        folder: str | os.PathLike[str],
        name: str,
        raw: bool = False,
        overlay: bool = False,
        panel: bool = False,
        depth_range_m: tuple[float, float] | None = None,
    ) -> list[pathlib.Path]:
        """Write pictures, and the numbers if asked for.

        Args:
            folder: to write to; created if missing.
            name: first part of the files' names: `NAME_TASK.png`, `NAME_TASK.npy`.
            raw: write the numbers too, `prediction[task]`.
            overlay: draw the maps on the image.
            panel: write one picture, `NAME_all.png`, in place of one for each task.
            depth_range_m: as for `picture`.

        Returns:
            The paths of the files.

        Raises:
            ValueError: for a name with folders.
        """
        folder = pathlib.Path(folder)
        if pathlib.Path(name).name != name:
            raise ValueError(f"name must be a file name without folders. Received: {name!r}")
        folder.mkdir(parents=True, exist_ok=True)
        if panel:
            pictures = {"all": self.panel(depth_range_m)}
        elif overlay:
            pictures = {n: self.overlay(n, depth_range_m=depth_range_m) for n in self.maps}
        else:
            pictures = self.pictures(depth_range_m)
        contents = {f"{task}.png": _png(picture) for task, picture in pictures.items()}
        if raw:
            contents |= {f"{task}.npy": _npy(self[task]) for task in self.maps}
        paths = []
        for ending, content in contents.items():
            paths.append(folder / f"{name}_{as_file_name(ending)}")
            write_atomically(paths[-1], content)
        return paths


def as_file_name(text: str) -> str:
    """Return a text as part of a file name, without anything that leads to another folder."""
    return re.sub(r"[^\w.-]|^\.+", "_", text)


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def _npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()
