"""Videos, processed frame by frame."""

import pathlib
from collections.abc import Callable

import cv2
import numpy as np

from mtl_tf.data import DataError
from mtl_tf.data.files import require_file
from mtl_tf.text import shown

_MAX_SIDE = 4096  # pixels; most codecs support little more


def write_video(
    path: pathlib.Path, out: pathlib.Path, draw: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Write a video of a picture of each frame, atomically.

    Args:
        path: a video file that OpenCV reads.
        out: the MPEG-4 file to write; its folder must exist.
        draw: function from a frame `[H, W, 3]` uint8 RGB to a picture.

    Raises:
        DataError: if the file is missing or has no frame that can be read.
        RuntimeError: if this OpenCV cannot write videos.
    """
    require_file(path)
    video, writer = cv2.VideoCapture(str(path.absolute())), None  # "concat:..." is no protocol
    unfinished = out.with_suffix(".part.mp4")
    unfinished.unlink(missing_ok=True)  # it could be a link that leads elsewhere
    try:
        while True:
            has_frame, frame = video.read()
            if not has_frame:
                break
            picture = _within_limits(draw(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)))
            if writer is None:
                rate = video.get(cv2.CAP_PROP_FPS) or 25.0
                writer = _video_writer(unfinished, rate, picture.shape[1], picture.shape[0])
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if writer is None:
            raise DataError(
                f"{shown(path)} is damaged or no video: it has no frame that can be read"
            )
        writer.release()
        unfinished.replace(out)
    finally:
        video.release()
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
    scale = _MAX_SIDE / max(frame.shape[:2])
    if scale >= 1:
        return frame
    size = [2 * round(scale * side / 2) for side in frame.shape[1::-1]]  # codecs need even sides
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
