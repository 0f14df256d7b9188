"""Coloured maps of photographs, folders and videos, written to files."""

import collections
import errno
import io
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from PIL import Image

from mtl_tf import data
from mtl_tf.atomic_files import write_atomically
from mtl_tf.data.files import read_image
from mtl_tf.deployment.predictor import Predictor
from mtl_tf.deployment.video import write_video
from mtl_tf.text import shown

PHOTOS = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")
_MAX_COLUMNS = 3  # of pictures side by side


def side_by_side(photo: np.ndarray, pictures: dict[str, np.ndarray]) -> np.ndarray:
    """Return a photograph and its maps, with their names, in one picture of up to 3 columns.

    Args:
        photo: RGB `[H, W, 3]` uint8.
        pictures: `{name: RGB [H, W, 3] uint8}`.
    """
    tiles = []
    for name, picture in {"": photo, **pictures}.items():
        tile = np.array(picture)  # a copy to write on
        size = max(0.4, tile.shape[1] / 800)
        origin, font = (8, int(8 + 24 * size)), cv2.FONT_HERSHEY_SIMPLEX
        for grey, line_width in ((0, 4), (255, 1)):
            thickness = max(1, round(line_width * size))
            cv2.putText(tile, name, origin, font, size, (grey,) * 3, thickness, cv2.LINE_AA)
        tiles.append(tile)
    columns = min(len(tiles), _MAX_COLUMNS)
    tiles += [np.zeros_like(photo)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def photographs(
    paths: Iterable[str | os.PathLike[str]],
    tasks: Iterable[str],
    out: str | os.PathLike[str] | None = None,
) -> list[pathlib.Path]:
    """Return the photographs and videos of files and folders; their maps must not collide.

    Args:
        paths: image and video files, and folders of them.
        tasks: tasks of the network; files that `predict_files` wrote for them are skipped.
        out: folder to write maps to; by default beside each file.

    Raises:
        DataError: if a folder holds no photograph, or two files have one name.
    """
    endings = tuple(f"_{as_file_name(task)}" for task in (*tasks, "all"))
    files: list[pathlib.Path] = []
    for path in map(pathlib.Path, paths):
        of_path = [path]
        if path.is_dir():
            suffixes = PHOTOS + VIDEOS
            inputs = (p for p in sorted(path.iterdir()) if p.suffix.lower() in suffixes)
            of_path = [p for p in inputs if not p.stem.endswith(endings) and not p.is_dir()]
        if not of_path:
            raise data.DataError(
                f"{shown(path)} holds no photograph or video ({', '.join(PHOTOS + VIDEOS)})"
            )
        files += of_path
    destinations = [(out or file.parent, file.stem) for file in files]
    counts = collections.Counter(destinations)
    for destination, file in zip(destinations, files, strict=True):
        if counts[destination] > 1:
            raise data.DataError(
                f"{shown(file)} and another have one name: their maps would collide in "
                f"{shown(destination[0])}"
            )
    return files


def predict_files(
    predictor: Predictor,
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    together: bool = False,
) -> Iterator[pathlib.Path]:
    """Predict a photograph, all photographs in a folder, or a video.

    Writes `STEM_TASK.png` at the size of the photograph, or `STEM_all.png` with all maps side by
    side; of a video `STEM_all.mp4`, side by side, scaled down to at most 4096 pixels a side.

    Source: this library.

    Args:
        predictor: the model.
        path: an image file, a folder, or a video file that OpenCV reads.
        out: folder of the pictures, created if missing; by default that of the photograph.
        together: one picture with all maps side by side instead of one for each task.

    Yields:
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
        video = folder / f"{path.stem}_all.mp4"
        write_video(path, video, lambda frame: side_by_side(frame, predictor(frame)))
        yield video
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
    """Predict many files; a damaged one does not stop the others.

    Args:
        predictor: as for `predict_files`.
        files: from `photographs`.
        out: as for `predict_files`.
        together: as for `predict_files`.

    Yields:
        Paths of the files, as they are written.

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
    """Return a text as part of a file name, without anything that leads to another folder."""
    return re.sub(r"[^\w.-]|^\.+", "_", text)
