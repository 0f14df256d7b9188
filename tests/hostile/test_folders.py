"""Folders of data from anywhere: each attack on a file in them, and what must come of it."""

from __future__ import annotations

import os
import pathlib
import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io

from mtl_tf import data
from mtl_tf.data import files
from mtl_tf.data.packed.records import decode_array
from tests.helpers.nyud_folders import write_matlab, write_pack
from tests.helpers.other_folders import write_cityscapes
from tests.hostile.outcome import npy, png

FOLDER = {
    "60000x60000 pixels": ("rgb/0002.jpg", lambda p: p.write_bytes(png(60_000, 60_000))),
    "a map of 60000x60000": ("depth/0002.png", lambda p: p.write_bytes(png(60_000, 60_000))),
    "a pipe": ("rgb/0002.jpg", os.mkfifo),
    "a pipe for a map": ("seg40/0002.png", os.mkfifo),
    "a device": ("edge/0002.png", lambda p: p.symlink_to("/dev/zero")),
    "a folder": ("normal/0002.jpg", lambda p: p.mkdir()),
    "a link to itself": ("rgb/0002.jpg", lambda p: p.symlink_to("0002.jpg")),
    "no byte": ("rgb/0002.jpg", lambda p: p.write_bytes(b"")),
}


@pytest.mark.parametrize("attack", FOLDER)
def test_check_names_the_file_and_goes_on(attack, tmp_path, command):
    name, make = FOLDER[attack]
    write_pack(tmp_path / "in")
    (tmp_path / "in" / name).unlink()
    make(tmp_path / "in" / name)
    outcome = command("data", "check", tmp_path / "in", "--sheet", tmp_path / "sheet.png")
    assert outcome.code == 1 and "4 images, 1 broken" in outcome.out
    assert pathlib.Path(name).name in outcome.err


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1)])
def test_a_line_fits_into_the_contact_sheet(shape, tmp_path, command):
    from PIL import Image

    write_pack(tmp_path / "in")
    for folder, suffix, mode in (
        ("rgb", "jpg", "RGB"),
        ("seg40", "png", "L"),
        ("depth", "png", "L"),
        ("normal", "jpg", "RGB"),
        ("edge", "png", "L"),
    ):
        Image.new(mode, shape).save(tmp_path / "in" / folder / f"0001.{suffix}")
    outcome = command("data", "check", tmp_path / "in", "--sheet", tmp_path / "sheet.png")
    assert "4 images" in outcome.out and (tmp_path / "sheet.png").stat().st_size < 1 << 20


IDS = {
    "up": "../0002",
    "up in the middle": "a/../../0002",
    "absolute": "/etc/passwd",
    "a zero byte": "0002\0",
    "backslashes": "..\\0002",
    "escapes": "0002\x1b[2J",
    "the folder itself": ".",
    "a name too long": "a" * 300,
}


@pytest.mark.parametrize("attack", IDS)
def test_ids_that_lead_out(attack, tmp_path, command):
    write_pack(tmp_path / "in")
    with (tmp_path / "in" / "ids.txt").open("a") as stream:
        stream.write(IDS[attack] + "\n")
    outcome = command("data", "pack", tmp_path / "in", tmp_path / "out")
    assert outcome.code and ("ids.txt" in outcome.err or "missing" in outcome.err)
    assert not (tmp_path / "out").exists()


ARRAYS = {
    "a terabyte": npy("(500000, 500000)", bytes(64)),
    "more than memory has numbers for": npy("(9223372036854775807, 9223372036854775807)"),
    "fewer than none": npy("(-1, 4)", bytes(64)),
    "objects": npy("(1,)", b"cos\nsystem\n(S'true'\ntR.", "|O"),
    "code for a header": npy("__import__('os').system('true')", bytes(64)),
    "a nested header": npy("(" * 60, bytes(64)),
}


@pytest.mark.parametrize("attack", ARRAYS)
def test_arrays_that_lie(attack, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(ARRAYS[attack])
    with pytest.raises(data.DataError, match=r"a\.npy"):
        files.read_array(path)
    with pytest.raises(Exception, match=r"."):
        decode_array(zlib.compress(ARRAYS[attack]), 64)


def test_matlab_files_that_lie(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"LabelMap": np.zeros((4, 4)), "other": np.zeros((4, 4))})
    intact = path.read_bytes()
    at = intact.index(struct.pack("<ii", 4, 4))
    path.write_bytes(intact[:at] + struct.pack("<ii", 60_000, 60_000) + intact[at + 8 :])
    with pytest.raises(data.DataError, match="60000x60000"):
        files.read_matlab(path, "LabelMap")
    assert files.read_matlab(path, "other").shape == (4, 4)  # by itself: nothing else is unpacked
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(data.DataError, match="pipe"):
        files.read_matlab(path, "LabelMap")


def elsewhere(archive: h5py.File, path: pathlib.Path) -> None:
    archive["images"] = h5py.ExternalLink(str(path), "images")


def not_of_its_own(archive: h5py.File, path: pathlib.Path) -> None:
    archive.create_dataset(
        "images", (4, 3, 32, 24), "u1", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    )


def virtual(archive: h5py.File, path: pathlib.Path) -> None:
    layout = h5py.VirtualLayout((4, 3, 32, 24), "u1")
    layout[:] = h5py.VirtualSource(str(path), "images", (4, 3, 32, 24))
    archive.create_virtual_dataset("images", layout)


def enormous(archive: h5py.File, path: pathlib.Path) -> None:
    archive.create_dataset("images", (4, 3, 10**5, 10**5), "u1", chunks=(1, 1, 100, 100))


def a_link_within(archive: h5py.File, path: pathlib.Path) -> None:
    archive["images"] = h5py.SoftLink("/labels")


@pytest.mark.parametrize("replace", [elsewhere, not_of_its_own, virtual, enormous, a_link_within])
def test_an_archive_of_matlab_that_lies(replace, tmp_path, command):
    """Another file's numbers would be shown, packed and passed on as pixels."""
    write_matlab(tmp_path / "in")
    write_matlab(tmp_path / "other")
    name = "nyu_depth_v2_labeled.mat"
    with h5py.File(tmp_path / "in" / name, "a") as archive:
        del archive["images"]
        replace(archive, tmp_path / "other" / name)
    command("data", "pack", tmp_path / "in", tmp_path / "out").assert_refused(name)


def test_a_camera_that_is_nested_too_deep(tmp_path):
    truth = write_cityscapes(tmp_path)
    path = next(iter((tmp_path / "camera" / "train").rglob("*.json")))
    path.write_text("[" * 100_000)
    opened = data.Cityscapes(tmp_path, ["depth"])
    with pytest.raises(data.DataError, match=path.name):
        for image_id in truth:
            opened.load(image_id)
