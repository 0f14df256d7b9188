"""Predictions for photographs, folders of them and videos, written as coloured maps."""

import collections
import errno
import io
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
import tensorflow as tf
from PIL import Image

from mtl_tf import data, evaluation
from mtl_tf.atomic_files import read_json, write_atomically
from mtl_tf.data.files import read_image, shown
from mtl_tf.deployment.saved_models import load_saved
from mtl_tf.deployment.video import write_video
from mtl_tf.evaluation.reporting.colours import names_of
from mtl_tf.tasks import TASKS

PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
_LARGEST_MAP = 1 << 29  # numbers in the raw prediction of a task at the photograph's size
_LARGEST_ROW = 3  # pictures side by side before another row begins


class Predictor:
    """Coloured maps of all tasks of a photograph, in one pass of the network.

    Source: this library.

    Args:
        model_path: a saved model of `mtl_tf.architectures`; class names for the colours come from
            `classes.json` beside it, where a run puts it.

    Raises:
        FileNotFoundError: if the model is missing.
        ValueError: if it holds code, or it or the class names are damaged.
    """

    def __init__(self, model_path: str | os.PathLike[str]) -> None:
        self.model, tasks = load_saved(model_path)
        outputs = self.model.output
        self.tasks = [t for t in tasks if t.name in outputs and len(outputs[t.name].shape) == 4]
        if not self.tasks:
            raise ValueError(
                f"{shown(model_path)} has no map of a known task ({', '.join(TASKS)}). "
                f"It has {list(outputs)}. Tasks of your own are known if the MultiTaskTrainer is "
                "saved, not the network alone"
            )
        names = pathlib.Path(model_path).with_name("classes.json")
        self.class_names = _class_names(names) if names.is_file() else []
        self._forward = tf.function(lambda image: self.model(image, training=False))

    def __call__(self, photo: np.ndarray) -> dict[str, np.ndarray]:
        """Maps of a photograph.

        Args:
            photo: RGB `[H, W, 3]` uint8 of any size; it is resized to the model's input, maps are
                resized back bilinearly.

        Returns:
            `{task: RGB picture [H, W, 3] uint8}`.
        """
        _, height, width, _ = self.model.input_shape
        image = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
        outputs = self._forward(data.normalise(image)[None])
        pictures = {}
        for task in self.tasks:
            names = names_of(task, self.class_names)
            full = tf.image.resize(outputs[task.name], _map_size(photo, task.channels))[0]
            picture = evaluation.colourise(task, task.activation(full).numpy(), names)
            if picture.shape != photo.shape:
                picture = cv2.resize(picture, photo.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            pictures[task.name] = picture
        return pictures


def _class_names(path: pathlib.Path) -> list[str]:
    names = read_json(path, "the class names of a run", list)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{shown(path)} must hold a list of texts")
    return names


def _map_size(photo: np.ndarray, channels: int) -> tuple[int, int]:
    """Height and width of a map in memory: the photograph's, smaller if that is enormous."""
    height, width = photo.shape[:2]
    scale = min(1.0, (_LARGEST_MAP / (height * width * channels)) ** 0.5)
    return max(1, int(scale * height)), max(1, int(scale * width))


def side_by_side(photo: np.ndarray, pictures: dict[str, np.ndarray]) -> np.ndarray:
    """A photograph and its maps in one picture, rows of three at most, with their names."""
    tiles = []
    for name, picture in {"": photo, **pictures}.items():
        tile = np.array(picture)  # a copy to write on
        size = max(0.4, tile.shape[1] / 800)
        for colour, thickness in ((0, 4), (255, 1)):
            cv2.putText(
                tile, name, (8, int(8 + 24 * size)), cv2.FONT_HERSHEY_SIMPLEX, size,
                (colour,) * 3, max(1, round(thickness * size)), cv2.LINE_AA,
            )  # fmt: skip
        tiles.append(tile)
    columns = min(len(tiles), _LARGEST_ROW)
    tiles += [np.zeros_like(photo)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def photographs(
    paths: Iterable[str | os.PathLike[str]],
    tasks: Iterable[str],
    out: str | os.PathLike[str] | None = None,
) -> list[pathlib.Path]:
    """The files that some paths mean, of which no two would be written to one place.

    Args:
        paths: image and video files, and folders of them.
        tasks: of the network: what `predict_files` wrote into a folder is no photograph.
        out: folder of what will be written; beside each file without it.

    Raises:
        DataError: if a folder holds no photograph, or two files have one name.
    """
    written = tuple(f"_{as_file_name(task)}" for task in (*tasks, "all"))
    found: list[pathlib.Path] = []
    for path in map(pathlib.Path, paths):
        files = [path]
        if path.is_dir():
            files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in PHOTOS + VIDEOS
                     and not p.stem.endswith(written) and not p.is_dir()]  # fmt: skip
        if not files:
            raise data.DataError(
                f"{shown(path)} holds no photograph or video ({', '.join(PHOTOS + VIDEOS)})"
            )
        found += files
    places = [(out or file.parent, file.stem) for file in found]
    counts = collections.Counter(places)
    for place, file in zip(places, found, strict=True):
        if counts[place] > 1:
            raise data.DataError(
                f"{shown(file)} and another have one name: their maps would collide in "
                f"{shown(place[0])}"
            )
    return found


def predict_files(
    predictor: Predictor,
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    together: bool = False,
) -> Iterator[pathlib.Path]:
    """Predicts a photograph, all photographs in a folder, or a video.

    Writes `STEM_TASK.png` at the size of the photograph, or `STEM_all.png` with everything side by
    side; of a video `STEM_all.mp4`, side by side, scaled down to at most 4096 pixels a side.

    Source: this library.

    Args:
        predictor: the model.
        path: an image file, a folder, or a video file that OpenCV reads.
        out: folder of the pictures, made if missing; beside the photograph without it.
        together: one picture side by side in place of one for each task.

    Returns:
        Paths of the files, as they are written.

    Raises:
        DataError: if a file is missing or damaged (of a folder: after all others are predicted), or
            the folder holds no photograph.
        ValueError: if `out` is a file.
        RuntimeError: if this OpenCV cannot write videos.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        files = photographs([path], predictor.model.output, out)
        yield from predict_all(predictor, files, out, together)
        return
    folder = path.parent if out is None else pathlib.Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"{shown(folder)} is not a folder: choose another (--out)") from error
    if path.suffix.lower() in VIDEOS:
        film = folder / f"{path.stem}_all.mp4"
        write_video(path, film, lambda frame: side_by_side(frame, predictor(frame)))
        yield film
        return
    photo = read_image(path)
    pictures = predictor(photo)
    if together:
        pictures = {"all": side_by_side(photo, pictures)}
    for name, picture in pictures.items():
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        written = folder / f"{path.stem}_{as_file_name(name)}.png"
        try:
            write_atomically(written, buffer.getvalue())
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise data.DataError(f"{shown(path)} has too long a name: rename it") from error
        yield written


def predict_all(
    predictor: Predictor,
    files: Sequence[pathlib.Path],
    out: str | os.PathLike[str] | None = None,
    together: bool = False,
) -> Iterator[pathlib.Path]:
    """`predict_files` of many files; a damaged one does not stop the others.

    Args:
        predictor: as for `predict_files`.
        files: from `photographs`.
        out: as for `predict_files`.
        together: as for `predict_files`.

    Raises:
        DataError: after all others are predicted, naming and counting the damaged files.
    """
    damaged = []
    for file in files:
        try:
            yield from predict_files(predictor, file, out, together)
        except data.DataError as error:
            damaged.append(str(error))
    if damaged:
        count = f"{len(damaged)} of {len(files)} files cannot be read:\n" if len(files) > 1 else ""
        raise data.DataError(count + "\n".join(damaged))


def as_file_name(text: str) -> str:
    """A name as part of a file name: nothing in it leads to another folder."""
    return re.sub(r"[^\w.-]|^\.+", "_", text)
