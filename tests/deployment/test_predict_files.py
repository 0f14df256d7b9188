"""Folders, videos and panels."""

import cv2
import numpy as np
import pytest
from PIL import Image

import mtl_tf as mtl
from mtl_tf import cli
from mtl_tf.data import DataError
from mtl_tf.deployment.predict import Output, Predictor, photographs, predict_files
from tests.helpers.inputs import tiny_backbone

TASKS = {"semseg": 3, "depth": 1, "normals": 3}


def small():
    return mtl.architectures.SharedTrunk(tiny_backbone(32, 64, seed=0), TASKS, (32, 64, 3))


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    small().save(path)
    return path


@pytest.fixture(scope="module")
def predictor(model_path):
    return Predictor(model_path)


def photo(seed=0, size=(50, 70)):
    small = np.random.default_rng(seed).integers(0, 255, (5, 7, 3)).astype(np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC)


def test_a_folder(predictor, tmp_path):
    for name in ("a.jpg", "b.PNG"):
        Image.fromarray(photo()).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photograph")
    written = list(predict_files(predictor, tmp_path, Output(tmp_path / "out")))
    assert {p.name for p in written} == {f"{s}_{t}.png" for s in "ab" for t in TASKS}
    for path in written:
        with Image.open(path) as image:
            assert image.size == (70, 50)
    (panel,) = predict_files(predictor, tmp_path / "a.jpg", Output(tmp_path / "out", panel=True))
    with Image.open(panel) as image:
        assert panel.name == "a_all.png" and image.size[0] == 4 * 70 and image.size[1] > 50


def test_a_photograph_is_an_array_or_a_file(predictor, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "a.png")
    expected = predictor(photo())
    for file in (tmp_path / "a.png", str(tmp_path / "a.png")):
        for task, picture in predictor(file).pictures().items():
            np.testing.assert_array_equal(picture, expected.picture(task))
    for wrong in (photo()[..., 0], photo() / 255.0, photo()[None], photo()[:0]):
        with pytest.raises(ValueError, match=r"RGB image \[H, W, 3\] uint8.*Received: .*np.stack"):
            predictor(wrong)


def test_what_was_written_is_no_photograph_and_names_do_not_collide(predictor, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.fromarray(photo()).save(tmp_path / folder / "a.jpg")
    for _ in range(2):
        written = list(predict_files(predictor, tmp_path / "one"))
        assert {p.name for p in written} == {f"a_{task}.png" for task in TASKS}
    both = [tmp_path / "one", tmp_path / "two"]
    assert len(photographs(both, TASKS)) == 2
    with pytest.raises(DataError, match=r"two.a\.jpg|one.a\.jpg"):
        photographs(both, TASKS, tmp_path / "maps")


def test_a_video(predictor, tmp_path):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (64, 32))
    for i in range(5):
        writer.write(photo(i, (32, 64)))
    writer.release()
    (out,) = predict_files(predictor, path, Output(tmp_path / "out"))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["film_all.mp4"]
    video = cv2.VideoCapture(str(out))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(12.0)
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    assert len(frames) == 5 and frames[0].shape[1:] == (4 * 64, 3)


def test_what_cannot_be_predicted_is_told(predictor, tmp_path):
    for name in ("film.mp4", "photo.jpg"):
        (tmp_path / name).write_bytes(b"no such thing")
        with pytest.raises(DataError, match=name):
            list(predict_files(predictor, tmp_path / name))
    with pytest.raises(DataError, match="no photograph"):
        (tmp_path / "empty").mkdir()
        list(predict_files(predictor, tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match=r"model\.keras"):
        Predictor(tmp_path / "model.keras")
    with pytest.raises(DataError, match="one name"):
        for name in ("a.jpg", "a.png"):
            Image.fromarray(photo()).save(tmp_path / "empty" / name)
        list(predict_files(predictor, tmp_path / "empty"))


def test_the_command_line(model_path, tmp_path, capsys):
    Image.fromarray(photo()).save(tmp_path / "a.jpg")
    out = tmp_path / "maps"
    arguments = ["predict", str(tmp_path / "a.jpg"), "--model", str(model_path), "--out", str(out)]
    assert cli.main([*arguments, "--panel", "--raw", "--depth-range", "0.5,8"]) == 0
    names = {"a_all.png", *(f"a_{task}.npy" for task in TASKS)}
    assert {path.name for path in out.iterdir()} == names
    assert np.load(out / "a_depth.npy").shape == (50, 70)
    assert cli.main([*arguments, "--depth-range", "8,1"]) == 2
    assert "two numbers of metres" in capsys.readouterr().err
