"""Photographs and videos from anywhere: each attack on `predict` and what must come of it."""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from mtl_tf.deployment.prediction import as_file_name
from mtl_tf.deployment.predictor import Predictor
from tests.hostile.outcome import STEERING, TASKS, everything, png

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) (w) file quit\n"


@pytest.fixture(scope="module")
def predictor(model_path):
    return Predictor(model_path)


@pytest.fixture(autouse=True)
def _one_predictor_for_all(predictor, model_path, monkeypatch):
    """Loaded and compiled once."""
    monkeypatch.setattr(
        "mtl_tf.deployment.predict.Predictor",
        lambda path, tasks, fit: predictor if path == model_path else Predictor(path, tasks),
    )


def photo(path: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(path, "PNG")


def gif(path: pathlib.Path) -> None:
    frames = [Image.new("P", (30, 20), i) for i in range(40)]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])


def written(content: bytes) -> Callable[[pathlib.Path], None]:
    return lambda path: path.write_bytes(content) and None


BAD = {
    "one colour, 60000x60000": ("a.png", written(png(60_000, 60_000)), "too large"),
    "one colour, 14000x14000, whole": ("a.png", written(png(14_000, 14_000, 14_000)), "too large"),
    "claims 2^31 columns": ("a.png", written(png(2**31 - 1, 1)), "a.png"),
    "a BMP that claims 40000x40000": (
        "a.bmp",
        written(
            b"BM"
            + bytes(8)
            + b"\x36\0\0\0\x28\0\0\0"
            + (40_000).to_bytes(4, "little") * 2
            + b"\1\0\x18\0"
            + bytes(24)
        ),
        "too large",
    ),
    "no byte": ("a.jpg", written(b""), "not an image"),
    "PostScript, for which another program would be started": ("a.jpg", written(EPS), "damaged"),
    "a link to nothing": ("a.jpg", lambda path: path.symlink_to("nowhere"), "link to nothing"),
    "a link to itself": ("a.jpg", lambda path: path.symlink_to("a.jpg"), "missing"),
    "a link to a text": ("a.jpg", lambda path: path.symlink_to("/etc/passwd"), "not an image"),
    "a pipe": ("a.jpg", os.mkfifo, "folder, pipe or device"),
    "a device without end": ("a.jpg", lambda path: path.symlink_to("/dev/zero"), "device"),
    "a pipe for a video": ("a.mp4", os.mkfifo, "folder, pipe or device"),
    "a playlist for a video": ("a.mp4", written(b"#EXTM3U\nhttp://127.0.0.1:9/a.ts\n"), "no video"),
    "a protocol for a video": ("concat:b.mp4", written(b"x"), "no video"),
    "no room for _TASK": ("a" * 246 + ".jpg", photo, "too long a name"),
}


@pytest.mark.parametrize("attack", BAD)
def test_a_bad_file_is_named_and_the_others_are_predicted(
    attack, tmp_path, model_path, command, monkeypatch
):
    name, make, message = BAD[attack]
    photo(tmp_path / "in" / "good.png")
    make(tmp_path / "in" / name)
    monkeypatch.setattr(subprocess, "check_call", lambda *_, **__: pytest.fail("a program"))
    is_video = name.endswith(".mp4")  # folders are gone through for photographs
    files = sorted((tmp_path / "in").iterdir()) if is_video else [tmp_path / "in"]
    outcome = command("predict", *files, "--model", model_path, "--out", tmp_path / "out")
    outcome.assert_refused(message, 1)
    assert name in outcome.err and "1 of 2" in outcome.err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f"good_{task}.png" for task in TASKS}


GOOD = {
    "an option": "-rf.jpg",
    "a command": "$(touch owned);`touch owned`.jpg",
    "two lines": "a\nmtl-tf: all is well.jpg",
    "escapes": f"a{STEERING}.jpg",
    "no UTF-8": "\udcff\udcfe.jpg",
    "HTML": "<img src=x onerror=alert(1)>.jpg",
    "a format": "%s%n{0}.jpg",
    "dots": "...jpg",
}


@pytest.mark.parametrize("attack", GOOD)
def test_names_are_only_names(attack, tmp_path, model_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "in" / GOOD[attack])
    outcome = command("predict", tmp_path / "in", "--model", model_path, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome
    assert len(outcome.out.splitlines()) == len(TASKS)
    stem = pathlib.Path(GOOD[attack]).stem
    expected = {f"out/{stem}_{task}.png" for task in TASKS}
    assert set(everything(tmp_path)) == expected | {f"in/{GOOD[attack]}"}


def test_a_folder_of_traps_is_gone_through(tmp_path, model_path, command):
    """Folders called a.jpg, one of them a link to the whole; an animation called a.png."""
    photo(tmp_path / "in" / "b.jpg" / "inner.png")
    (tmp_path / "in" / "c.jpg").symlink_to(".")
    gif(tmp_path / "in" / "animation.png")
    outcome = command("predict", tmp_path / "in", "--model", model_path, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        f"animation_{task}.png" for task in TASKS
    }


LINKS = ["a_depth.png", ".a_depth.png.unfinished", "film_all.mp4", "film_all.part.mp4"]


@pytest.mark.parametrize("link", LINKS)
def test_nothing_is_written_through_a_link(link, tmp_path, model_path, command):
    import cv2

    (tmp_path / "mine.txt").write_text("mine")
    photo(tmp_path / "in" / "a.png")
    film = cv2.VideoWriter(
        str(tmp_path / "in" / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (64, 32)
    )
    film.write(np.zeros((32, 64, 3), np.uint8))
    film.release()
    (tmp_path / "in" / link).symlink_to(tmp_path / "mine.txt")
    files = [tmp_path / "in" / name for name in ("a.png", "film.avi")]
    out = tmp_path / "in"  # where the link is
    assert command("predict", *files, "--model", model_path, "--out", out).code == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_out_is_a_file_or_cannot_be_made(tmp_path, model_path, command):
    photo(tmp_path / "a.png")
    (tmp_path / "file").write_text("mine")
    arguments = ("predict", tmp_path / "a.png", "--model", model_path, "--out")
    for out in ("file", "file/below"):
        command(*arguments, tmp_path / out).assert_refused(
            "is not a folder: choose another (--out)"
        )
    command(*arguments, "/proc/nowhere").assert_refused("/proc/nowhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")  # of the user's own making: followed
    assert command(*arguments, tmp_path / "link").code == 0
    assert len(list((tmp_path / "elsewhere").iterdir())) == len(TASKS)


@pytest.mark.parametrize(
    "task", ["../../evil", "/etc/passwd", "..", "a\\b", "a\nb", "\x1b[2J", "<b>", "a/../b", "\0"]
)
def test_a_task_is_part_of_a_file_name(task):
    name = as_file_name(task)
    assert name == pathlib.PurePath(name).name and name.isprintable()
    assert not set(name) & set("/\\\0<>")


def test_maps_of_an_enormous_photograph_take_bounded_memory(predictor, monkeypatch):
    from mtl_tf.deployment import predictor as module

    monkeypatch.setattr(module, "_MAX_MAP_SIZE", 3 * 40 * 50)
    sizes = []
    resize = module.tf.image.resize
    monkeypatch.setattr(
        module.tf.image, "resize", lambda x, size: sizes.append(size) or resize(x, size)
    )
    pictures = predictor(np.zeros((400, 500, 3), np.uint8)).pictures()
    assert {picture.shape for picture in pictures.values()} == {(400, 500, 3)}
    assert max(h * w for h, w in sizes) <= 3 * 40 * 50


CLASSES = {
    "no list": "{}",
    "no texts": "[1, 2, 3]",
    "lists": "[[], [], []]",
    "no JSON": "[",
    "nested 100000 deep": "[" * 100_000,
    "no UTF-8": "\udcff",
}


@pytest.mark.parametrize("attack", CLASSES)
def test_class_names_that_are_none(attack, tmp_path, model_path, command):
    (tmp_path / "model.keras").symlink_to(model_path)
    content = CLASSES[attack].encode("utf-8", "surrogateescape")
    (tmp_path / "classes.json").write_bytes(content)
    photo(tmp_path / "a.png")
    outcome = command("predict", tmp_path / "a.png", "--model", tmp_path / "model.keras")
    outcome.assert_refused("classes.json")
