"""Coloured maps of photographs, folders and videos, written to files."""

import collections
import dataclasses
import errno
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from mtl_tf import data
from mtl_tf.deployment.inputs import PHOTOS
from mtl_tf.deployment.prediction import as_file_name
from mtl_tf.deployment.predictor import Predictor
from mtl_tf.deployment.video import frame_rate, write_video
from mtl_tf.targets import TargetKind
from mtl_tf.text import shown

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


@dataclasses.dataclass(frozen=True)
class Output:
    """Choice of the files that are written of a prediction.

    Attributes:
        folder: to write to; `None` for that of each file.
        raw: write the numbers of each task too, as `.npy`.
        overlay: draw the maps on the image.
        panel: write one picture with all maps in place of one for each task.
        depth_range_m: distances of the first and the last colour; `None` for those of each image.
    """

    folder: str | os.PathLike[str] | None = None
    raw: bool = False
    overlay: bool = False
    panel: bool = False
    depth_range_m: tuple[float, float] | None = None


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
    predictor: Predictor, path: str | os.PathLike[str], output: Output | None = None
) -> Iterator[pathlib.Path]:
    """Predict an image, all images in a folder, or a video.

    Writes `STEM_TASK.png` at the size of the image, or `STEM_all.png` with all maps; of a video
    `STEM_all.mp4`, scaled down to at most 4096 pixels a side.

    Source: this library.

    Args:
        predictor: the model.
        path: an image file, a folder, or a video file that OpenCV reads.
        output: what to write, and where; by default a picture of each task beside the image.

    Yields:
        Paths of the files, as they are written.

    Raises:
        DataError: if a file is missing or damaged (of a folder: after all others are predicted), or
            the folder holds no image.
        ValueError: if the folder to write to is a file.
        RuntimeError: if this OpenCV cannot write videos.
    """
    path, output = pathlib.Path(path), output or Output()
    if path.is_dir():
        files = photographs([path], predictor.model.output, output.folder)
        yield from predict_all(predictor, files, output)
        return
    folder = path.parent if output.folder is None else pathlib.Path(output.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"{shown(folder)} is not a folder: choose another (--out)") from error
    if path.suffix.lower() in VIDEOS:
        yield _predict_video(predictor, path, folder, output)
        return
    prediction = predictor(path)
    try:
        yield from prediction.save(
            folder, path.stem, output.raw, output.overlay, output.panel, output.depth_range_m
        )
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise data.DataError(f"{shown(path)} has too long a name: rename it") from error


def _predict_video(
    predictor: Predictor, path: pathlib.Path, folder: pathlib.Path, output: Output
) -> pathlib.Path:
    """Write the panels of the frames of a video, with the distances of the first frame."""
    out = folder / f"{path.stem}_all.mp4"
    scale = output.depth_range_m

    def panels() -> Iterator[np.ndarray]:
        nonlocal scale
        for prediction in predictor.frames(path):
            distances = [n for n, t in prediction.tasks.items() if t.kind is TargetKind.DISTANCE]
            if scale is None and distances:
                scale = prediction.depth_range_m(distances[0])
            yield prediction.panel(scale, has_legend=False)

    write_video(panels(), out, frame_rate(path))
    return out


def predict_all(
    predictor: Predictor, files: Sequence[pathlib.Path], output: Output | None = None
) -> Iterator[pathlib.Path]:
    """Predict many files; a damaged one does not stop the others.

    Args:
        predictor: as for `predict_files`.
        files: from `photographs`.
        output: as for `predict_files`.

    Yields:
        Paths of the files, as they are written.

    Raises:
        DataError: after all others are predicted, naming and counting the damaged files.
    """
    damaged = []
    for file in files:
        try:
            yield from predict_files(predictor, file, output)
        except data.DataError as error:
            damaged.append(str(error))
    if damaged:
        count = f"{len(damaged)} of {len(files)} files cannot be read:\n" if len(files) > 1 else ""
        raise data.DataError(count + "\n".join(damaged))
