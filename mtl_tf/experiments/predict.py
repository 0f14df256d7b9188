"""Predictions for photographs, folders of them and videos, written as coloured maps."""

import dataclasses
import io
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from mtl_tf import data, evaluation
from mtl_tf.data.files import read_image
from mtl_tf.evaluation.colours import names_of
from mtl_tf.evaluation.files import write_atomically
from mtl_tf.tasks import TASKS, as_tasks

PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
_LARGEST_ROW = 3  # pictures side by side before another row begins
_LARGEST_FRAME = 4096  # pixels a side of a video; codecs end not far above


class Predictor:
    """Coloured maps of all tasks of a photograph, in one pass of the network.

    Source: this library.

    Args:
        model_path: a saved model of `mtl_tf.architectures`; class names for the colours come from
            `classes.json` beside it, where a run puts it.

    Raises:
        FileNotFoundError: if the model is missing.
    """

    def __init__(self, model_path: str | os.PathLike[str]) -> None:
        path = pathlib.Path(model_path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: give the model.keras of a finished run")
        self.model = keras.saving.load_model(path)
        names = path.with_name("classes.json")
        self.class_names = json.loads(names.read_text()) if names.is_file() else ()
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
        for task in as_tasks([name for name in outputs if name in TASKS]):
            full = tf.image.resize(outputs[task.name], photo.shape[:2])[0]
            task = dataclasses.replace(task, channels=full.shape[-1])
            names = names_of(task, self.class_names)
            pictures[task.name] = evaluation.colourise(task, task.activation(full).numpy(), names)
        return pictures


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
        paths: image and video files, and folders of photographs.
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
            files = [p for p in sorted(path.iterdir()) if p.suffix.lower() in PHOTOS
                     and not p.stem.endswith(written)]  # fmt: skip
        if not files:
            raise data.DataError(f"{path} holds no photograph ({', '.join(PHOTOS)})")
        found += files
    places = [(out or file.parent, file.stem) for file in found]
    for place, file in zip(places, found, strict=True):
        if places.count(place) > 1:
            raise data.DataError(
                f"{file} and another have one name: their maps would collide in {place[0]}"
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
        RuntimeError: if this OpenCV cannot write videos.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        files = photographs([path], predictor.model.output, out)
        yield from predict_all(predictor, files, out, together)
        return
    folder = path.parent if out is None else pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in VIDEOS:
        yield _predict_video(predictor, path, folder / f"{path.stem}_all.mp4")
        return
    photo = read_image(path)
    pictures = predictor(photo)
    if together:
        pictures = {"all": side_by_side(photo, pictures)}
    for name, picture in pictures.items():
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        written = folder / f"{path.stem}_{as_file_name(name)}.png"
        write_atomically(written, buffer.getvalue())
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


def _predict_video(predictor: Predictor, path: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    if not path.is_file():
        raise data.DataError(f"{path} is missing")
    video, writer, unfinished = cv2.VideoCapture(str(path)), None, out.with_suffix(".part.mp4")
    try:
        while True:
            is_there, frame = video.read()
            if not is_there:
                break
            photo = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            shown = _within_limits(side_by_side(photo, predictor(photo)))
            if writer is None:
                rate = video.get(cv2.CAP_PROP_FPS) or 25.0
                writer = _video_writer(unfinished, rate, shown.shape[1], shown.shape[0])
            writer.write(cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))
        if writer is None:
            raise data.DataError(f"{path} is damaged or no video: it has no frame that can be read")
        writer.release()
        unfinished.replace(out)
    finally:
        video.release()
        if writer is not None:
            writer.release()
        unfinished.unlink(missing_ok=True)
    return out


def _video_writer(path: pathlib.Path, rate: float, width: int, height: int) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    if not writer.isOpened():
        raise RuntimeError(
            f"{path} cannot be written as a video of {width}x{height} pixels: this OpenCV has no "
            "MPEG-4 encoder for it, or the folder cannot be written. Predict single frames instead"
        )
    return writer


def _within_limits(frame: np.ndarray) -> np.ndarray:
    """A frame scaled down to what codecs take."""
    scale = _LARGEST_FRAME / max(frame.shape[:2])
    if scale >= 1:
        return frame
    size = [2 * round(scale * side / 2) for side in frame.shape[1::-1]]  # codecs want even sides
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
