"""Predictions of a network for images of any size, and for videos."""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias, get_args, overload

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.deployment.inputs import as_photo, network_input
from mtl_tf.deployment.prediction import Prediction
from mtl_tf.deployment.presets import model_file
from mtl_tf.deployment.saved_models import (
    Saved,
    load_saved,
    saved_of,
    with_given_tasks,
    with_names_beside,
)
from mtl_tf.deployment.video import video_frames
from mtl_tf.deployment.windows import Box, blending_weight, letterboxed, resized, tile_corners
from mtl_tf.tasks import TASKS, Task
from mtl_tf.text import shown

Fit = Literal["letterbox", "stretch", "tiles"]
Photo: TypeAlias = np.ndarray | str | os.PathLike[str]
Photos: TypeAlias = list[Photo] | tuple[Photo, ...]
_MAX_BATCH = 8  # images in a pass of the network
_MAX_MAP_SIZE = 1 << 29  # numbers in the raw prediction of a task at the photograph's size


class Predictor:
    """All tasks of an image, a folder or a video, by one pass of a network.

    Source: this library.

    Args:
        model: a folder of a run or preset, its name (see `from_preset`), a `.keras` file, or a
            network or trainer in memory. Class names come from its tasks, else from `classes.json`
            beside the file.
        tasks: `mtl_tf.Task` objects of outputs that neither the file nor the library knows; they
            also replace known tasks of the same names.
        fit: how an image of another size is fitted to the network: `"letterbox"` keeps its aspect
            and fills the borders, `"stretch"` does not keep it, `"tiles"` predicts a larger image
            in overlapping parts at its own resolution.
        overlap: smallest part of a tile that its neighbour covers too, from 0 to below 1.

    Attributes:
        model: the network.
        tasks: the tasks that have maps.

    Raises:
        FileNotFoundError: if the model is missing.
        ValueError: if it holds code, if it or the class names are damaged, if an output has no
            task, if a task has no output with its number of channels, or for another `fit`.

    Examples:
        >>> import mtl_tf, pathlib, tempfile
        >>> path = pathlib.Path(tempfile.mkdtemp(), "model.keras")
        >>> tasks, size = {"depth": 1}, (64, 96, 3)
        >>> mtl_tf.architectures.SharedTrunk("resnet18", tasks, size, head="conv").save(path)
        >>> prediction = Predictor(path)(np.zeros((48, 64, 3), np.uint8))
        >>> prediction.depth.shape, prediction.picture("depth").shape
        ((48, 64), (48, 64, 3))
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | keras.Model,
        tasks: Iterable[Task] | None = None,
        fit: Fit = "letterbox",
        overlap: float = 0.25,
    ) -> None:
        if fit not in get_args(Fit) or not 0 <= overlap < 1:
            raise ValueError(
                f"fit must be one of {get_args(Fit)} and overlap in [0, 1). Received: {fit!r}, "
                f"{overlap!r}"
            )
        self.fit, self.overlap = fit, overlap
        path = None
        if isinstance(model, keras.Model):
            saved, source = saved_of(model), type(model).__name__
        else:
            path = model_file(model)
            saved, source = load_saved(path), str(path)
        self.model: keras.Model = saved.network
        saved = with_given_tasks(saved, tasks, shown(source))
        _check_outputs(source, saved)
        maps = [name for name, raw in self.model.output.items() if len(raw.shape) == 4]
        self.tasks = tuple(task for task in saved.tasks if task.name in maps)
        if path is not None:
            self.tasks = with_names_beside(path, self.tasks)
        # One graph for every number of images.
        images = tf.TensorSpec((None, *self.model.input_shape[1:]), tf.float32)
        self._forward = tf.function(
            lambda batch: self.model(batch, training=False), input_signature=[images]
        )

    @overload
    def __call__(self, photo: Photo) -> Prediction: ...
    @overload
    def __call__(self, photo: Photos) -> list[Prediction]: ...
    def __call__(self, photo: Photo | Photos) -> Prediction | list[Prediction]:
        """Predict all tasks of an image, or of several in passes of up to eight.

        Args:
            photo: RGB `[H, W, 3]` uint8 of any size, or an image file; or a list of them, of any
                sizes.

        Returns:
            The prediction, at the size of the image; a list of them for a list.

        Raises:
            ValueError: for an array that is no such image.
            DataError: for a file that is missing or damaged.
        """
        if isinstance(photo, list | tuple):
            return self._predictions([as_photo(one) for one in photo])
        return self._predictions([as_photo(photo)])[0]

    def frames(self, source: str | os.PathLike[str] | int) -> Iterator[Prediction]:
        """Predict the frames of a video, one after the other.

        Args:
            source: a video file, the address of a stream, or the number of a camera.

        Yields:
            The prediction of each frame.

        Raises:
            DataError: if there is no frame that can be read.
        """
        return map(self, video_frames(source))

    def _predictions(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        raw = map(self._raw_of_tiles, images) if self.fit == "tiles" else self._raw(images)
        predictions = []
        for image, of_image in zip(images, raw, strict=True):
            maps = {
                task.name: np.asarray(task.activation(tf.constant(of_image[task.name])))
                for task in self.tasks
            }
            predictions.append(Prediction(image, self.tasks, maps))
        return predictions

    def _raw(self, images: Sequence[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """Yield the raw predictions `[h, w, C]` of whole images, up to their sizes."""
        height, width = self.model.input_shape[1:3]
        if self.fit == "stretch":
            whole = Box(0, 0, height, width)
            fitted = [(resized(image, height, width), whole) for image in images]
        else:
            fitted = [letterboxed(image, height, width) for image in images]
        outputs = self._outputs([canvas for canvas, _ in fitted])
        for image, (_, box), of_image in zip(images, fitted, outputs, strict=True):
            raw = {}
            for task in self.tasks:
                size = _map_size(image, task.channels)
                inner = box.of(of_image[task.name])
                raw[task.name] = np.asarray(tf.image.resize(inner[None], size))[0]
            yield raw

    def _raw_of_tiles(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Return the raw predictions `[h, w, C]` of an image, blended where tiles overlap."""
        tile = self.model.input_shape[1:3]
        scale = max(1.0, *(n / m for n, m in zip(tile, image.shape, strict=False)))
        height, width = (max(round(scale * n), m) for n, m in zip(image.shape, tile, strict=False))
        if max(task.channels for task in self.tasks) * height * width > _MAX_MAP_SIZE:
            raise ValueError(
                f"An image of {image.shape[0]}x{image.shape[1]} is too large for tiles: scale it "
                "down, or use fit='letterbox'"
            )
        enlarged = resized(image, height, width)
        weight = blending_weight(*tile)
        total = np.zeros((height, width, 1), np.float32)
        raw = {t.name: np.zeros((height, width, t.channels), np.float32) for t in self.tasks}
        boxes = [Box(*corner, *tile) for corner in tile_corners(height, width, tile, self.overlap)]
        for box, outputs in zip(boxes, self._outputs([b.of(enlarged) for b in boxes]), strict=True):
            box.of(total)[...] += weight
            for name, values in raw.items():
                box.of(values)[...] += weight * outputs[name]
        return {n: resized(values / total, *image.shape[:2]) for n, values in raw.items()}

    def _outputs(self, canvases: Sequence[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """Yield the raw predictions `[H, W, C]` of images of the network's size, in order."""
        for start in range(0, len(canvases), _MAX_BATCH):
            batch = canvases[start : start + _MAX_BATCH]
            inputs = np.concatenate([network_input(self.model, canvas) for canvas in batch])
            outputs = self._forward(inputs)
            size = batch[0].shape[:2]
            full = {
                task.name: np.asarray(tf.image.resize(outputs[task.name], size))
                for task in self.tasks
            }
            for i in range(len(batch)):
                yield {name: values[i] for name, values in full.items()}


def _check_outputs(model_path: str | os.PathLike[str], saved: Saved) -> None:
    """Raise `ValueError` for outputs without a task."""
    outputs = saved.network.output
    names = {task.name for task in saved.tasks}
    maps = [name for name, raw in outputs.items() if len(raw.shape) == 4]
    # "task/..." are deeply supervised predictions.
    unknown = [name for name in maps if name not in names and "/" not in name]
    if (unknown and not saved.has_tasks) or not names & set(maps):
        raise ValueError(
            f"{shown(model_path)} has no map of a known task, or maps of unknown tasks: "
            f"{unknown or list(outputs)}. Known: "
            f"{', '.join(TASKS)}. Pass tasks=[mtl_tf.Task(...), ...] for your own, or save the "
            "MultiTaskTrainer, not the network only"
        )


def _map_size(photo: np.ndarray, channels: int) -> tuple[int, int]:
    """Return height and width of a map: those of the photograph, up to a limit of memory."""
    height, width = photo.shape[:2]
    scale = min(1.0, (_MAX_MAP_SIZE / (height * width * channels)) ** 0.5)
    return max(1, int(scale * height)), max(1, int(scale * width))
