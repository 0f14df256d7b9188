"""Videos of any size: written within the codec's limits, or an error at the first frame."""

import pathlib

import cv2
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf import cli
from mtl_tf.deployment.predict import Output, Predictor, predict_files
from tests.helpers.inputs import tiny_backbone


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    tasks = {"semseg": 13, "depth": 1, "normals": 3}
    mtl.architectures.SharedTrunk(tiny_backbone(32, 64, seed=0), tasks, (32, 64, 3)).save(path)
    return path


@pytest.fixture(scope="module")
def predictor(model_path):
    return Predictor(model_path)


def film(path, width, height, frames=2):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (width, height))
    for i in range(frames):
        writer.write(np.full((height, width, 3), 40 + 20 * i, np.uint8))
    writer.release()
    return path


def frames_of(path):
    video, frames = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        frames.append(read[1])
    return frames


@pytest.mark.parametrize(
    ("width", "height", "frames"),
    [
        pytest.param(3840, 2160, 2, id="4K", marks=pytest.mark.slow),
        pytest.param(7680, 4320, 1, id="8K", marks=pytest.mark.slow),
        pytest.param(2160, 3840, 1, id="4K upright", marks=pytest.mark.slow),
        pytest.param(1080, 1920, 1, id="upright"),
        pytest.param(4000, 64, 1, id="wide"),
        pytest.param(64, 4000, 1, id="tall"),
        pytest.param(64, 48, 1, id="one frame"),
        pytest.param(62, 34, 3, id="small"),
    ],
)
def test_sizes(width, height, frames, predictor, tmp_path):
    path = film(tmp_path / "film.avi", width, height, frames)
    (out,) = predict_files(predictor, path, Output(tmp_path / "out"))
    found = frames_of(out)
    assert len(found) == frames
    tall, wide = found[0].shape[:2]
    assert max(tall, wide) <= 4096 and not (tall % 2 or wide % 2)
    frame = np.full((height, width, 3), 40, np.uint8)
    panel = predictor(frame).panel(has_legend=False)
    assert wide / tall == pytest.approx(panel.shape[1] / panel.shape[0], rel=0.1)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["film_all.mp4"]


@pytest.mark.parametrize(("width", "height"), [(63, 33), (101, 75)])
def test_odd_sizes(width, height, predictor, tmp_path, monkeypatch):
    """MPEG-4 wants even sides; a camera's frames may be cut."""
    frames = [np.full((height, width, 3), 100, np.uint8)] * 2

    class Film:
        def __init__(self, *_):
            self.left = list(frames)

        def read(self):
            return (True, self.left.pop()) if self.left else (False, None)

        def get(self, _):
            return 12.0

        def release(self):
            pass

    path = tmp_path / "film.avi"
    path.write_bytes(b"film")
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", Film)
        (out,) = predict_files(predictor, path, Output(tmp_path / "out"))
    assert len(frames_of(out)) == 2


@pytest.mark.parametrize("fault", ["is not opened", "raises"])
def test_a_writer_that_fails_is_noticed_at_the_first_frame(fault, predictor, tmp_path, monkeypatch):
    path, calls = film(tmp_path / "film.avi", 64, 48, 9), []

    class Writer:
        fourcc = staticmethod(cv2.VideoWriter.fourcc)

        def __init__(self, name, *_):
            pathlib.Path(name).write_bytes(b"a partial file")

        def isOpened(self):
            return fault != "is not opened"

        def write(self, frame):
            raise cv2.error("no space left")

        def release(self):
            pass

    class Counting:
        model = predictor.model

        def frames(self, source):
            for prediction in predictor.frames(source):
                calls.append(prediction)
                yield prediction

    monkeypatch.setattr(cv2, "VideoWriter", Writer)
    with pytest.raises(RuntimeError if fault == "is not opened" else cv2.error):
        list(predict_files(Counting(), path, Output(tmp_path / "out")))
    assert len(calls) == 1 and not list((tmp_path / "out").iterdir())


def test_a_damaged_film_does_not_stop_the_others(model_path, tmp_path, capsys):
    good, cut, empty = (film(tmp_path / f"{n}.avi", 64, 48) for n in ("good", "cut", "empty"))
    cut.write_bytes(cut.read_bytes()[:100])
    empty.write_bytes(b"")
    arguments = ["predict", *map(str, (cut, good, empty)), "--model", str(model_path)]
    assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "2 of 3 files cannot be read" in told and "cut.avi" in told and "empty.avi" in told
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good_all.mp4"]
