"""Videos, processed frame by frame."""

import os
import pathlib
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from mtl_tf.data import DataError
from mtl_tf.data.files import require_file
from mtl_tf.text import shown

_MAX_SIDE = 4096  # pixels; most codecs support little more


def video_frames(source: str | os.PathLike[str] | int) -> Iterator[np.ndarray]:
    """Read the frames of a video.

    Args:
        source: a video file, the address of a stream, or the number of a camera.

    Yields:
        RGB `[H, W, 3]` uint8.

    Raises:
        DataError: if the file is missing or has no frame that can be read.
    """
    if isinstance(source, int) or "://" in str(source):
        video = cv2.VideoCapture(source)
    else:
        path = pathlib.Path(source)
        require_file(path)
        video = cv2.VideoCapture(str(path.absolute()))  # "concat:..." is no protocol
    try:
        is_empty = True
        while True:
            has_frame, frame = video.read()
            if not has_frame:
                break
            is_empty = False
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if is_empty:
            raise DataError(
                f"{shown(source)} is damaged or no video: it has no frame that can be read"
            )
    finally:
        video.release()


def frame_rate(path: pathlib.Path) -> float:
    """Return the frames a second of a video file, 25 where it does not say.

    Raises:
        DataError: if the file is missing or not a regular file.
    """
    require_file(path)
    video = cv2.VideoCapture(str(path.absolute()))
    try:
        return video.get(cv2.CAP_PROP_FPS) or 25.0
    finally:
        video.release()


def write_video(pictures: Iterable[np.ndarray], out: pathlib.Path, rate: float) -> None:
    """Write a video of pictures, atomically.

    Args:
        pictures: RGB `[H, W, 3]` uint8, of one size.
        out: the MPEG-4 file to write; its folder must exist.
        rate: pictures a second.

    Raises:
        RuntimeError: if this OpenCV cannot write videos.
    """
    writer = None
    unfinished = out.with_suffix(".part.mp4")
    unfinished.unlink(missing_ok=True)  # it could be a link that leads elsewhere
    try:
        for picture in map(_within_limits, pictures):
            if writer is None:
                writer = _video_writer(unfinished, rate, picture.shape[1], picture.shape[0])
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if writer is not None:
            writer.release()
            unfinished.replace(out)
    finally:
        if writer is not None:
            writer.release()
        unfinished.unlink(missing_ok=True)


def _video_writer(path: pathlib.Path, rate: float, width: int, height: int) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
    if not writer.isOpened():
        raise RuntimeError(
            f"{shown(path)} cannot be written as a video of {width}x{height} pixels: this OpenCV "
            "has no MPEG-4 encoder for it, or the folder cannot be written. Predict single frames "
            "instead"
        )
    return writer


def _within_limits(frame: np.ndarray) -> np.ndarray:
    """Return a frame scaled down to a size that codecs support."""
    scale = min(1.0, _MAX_SIDE / max(frame.shape[:2]))
    if scale == 1 and not any(side % 2 for side in frame.shape[:2]):
        return frame
    size = [2 * round(scale * side / 2) for side in frame.shape[1::-1]]  # codecs need even sides
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
