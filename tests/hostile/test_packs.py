"""Packed data sets from anywhere: each attack, and what must come of it."""

from __future__ import annotations

import io
import json
import pathlib
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from mtl_tf import data
from tests.helpers.nyud_folders import write_pack
from tests.hostile.outcome import STEERING, everything, npy, png


@pytest.fixture
def packed(tmp_path: pathlib.Path) -> pathlib.Path:
    write_pack(tmp_path / "plain")
    data.pack(data.NYUDv2(tmp_path / "plain", None), tmp_path / "in" / "packed")
    return tmp_path / "in" / "packed"


def changed(packed: pathlib.Path, change: Callable[[Any], Any]) -> None:
    """Changes the index."""
    path = packed / "index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps(change(index) or index))


def first_shard(**values: Any) -> Callable[[Any], Any]:
    return lambda index: index["splits"]["train"][0].update(values)


def first_record(position: int, value: Any) -> Callable[[Any], Any]:
    def change(index: Any) -> None:
        index["splits"]["train"][0]["records"][0][position] = value

    return change


INDEX = {
    "a file further up": first_shard(file="../../plain/ids.txt"),
    "a file elsewhere": first_shard(file="/etc/passwd"),
    "a file without a name": first_shard(file=""),
    "a file that is a number": first_shard(file=3),
    "an offset before the file": first_record(1, -12),
    "an offset behind the file": first_record(1, 10**12),
    "an offset without end": first_record(1, float("inf")),
    "a length below zero": first_record(2, -1),
    "a length of a terabyte": first_record(2, 10**12),
    "a length beyond 64 bits": first_record(2, 10**30),
    "a length that is true": first_record(2, True),
    "an id that is a list": first_record(0, ["a"]),
    "another split": lambda index: index["splits"].update({"../../evil": index["splits"]["val"]}),
    "10^12 classes": lambda index: index["tasks"].update(semseg=10**12),
    "images of 10^6 x 10^6": lambda index: index.update(input_shape=[10**6, 10**6, 3]),
    "class names that are lists": lambda index: index.update(class_names=[["a"]] * 40),
    "zooms without end": lambda index: index["augmentation"].update(zoom=[float("inf")]),
    "no dictionary": lambda index: [index],
    "an unknown kind": lambda index: index["targets"]["depth"].update(kind="__import__"),
}


@pytest.mark.parametrize("attack", INDEX)
def test_indices_that_lie(attack, packed, tmp_path, command):
    changed(packed, INDEX[attack])
    before = everything(tmp_path)
    for arguments in (
        ("check", packed, "--data", "packed", "--sheet", tmp_path / "in" / "sheet.png"),
        ("unpack", packed, tmp_path / "in" / "out"),
    ):
        outcome = command("data", *arguments)
        assert outcome.code in (1, 2) and outcome.err, outcome
    after = everything(tmp_path)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith(("in/out/", "in/sheet")) for name in after.keys() - before.keys())


UNPACKED = {
    "an id further up": first_record(0, "../../../evil"),
    "an absolute id": first_record(0, "/tmp/mtl_tf_evil"),
    "an id of two lines": first_record(0, "a\n../../evil"),
    "escapes": first_record(0, STEERING[:-1]),
    "a zero byte": first_record(0, "a\0"),
    "no id": first_record(0, ""),
}


@pytest.mark.parametrize("attack", UNPACKED)
def test_nothing_is_unpacked_outside(attack, packed, tmp_path, command):
    changed(packed, UNPACKED[attack])
    before = everything(tmp_path)
    outcome = command("data", "unpack", packed, tmp_path / "out")
    outcome.assert_refused("nothing is written outside", 1)
    assert everything(tmp_path) == before and not pathlib.Path("/tmp/mtl_tf_evil.jpg").exists()


def test_a_task_that_leads_out_is_not_unpacked(packed, tmp_path, command):
    def renamed(index: Any) -> None:
        index["tasks"] = {"..": 1}
        index["targets"] = {"..": index["targets"]["depth"]}

    changed(packed, renamed)
    outcome = command("data", "unpack", packed, tmp_path / "out")
    outcome.assert_refused("'..'", 1)


def deep(path: pathlib.Path) -> None:
    path.write_text("[" * 200_000)


def endless(path: pathlib.Path) -> None:
    path.write_text('{"a":' * 200_000)


@pytest.mark.parametrize("write", [deep, endless])
def test_an_index_that_is_nested_too_deep(write, packed, command):
    write(packed / "index.json")
    command("data", "check", packed, "--data", "packed").assert_refused("index.json")


def masked_crc(content: bytes) -> bytes:
    """The checksum that TFRecord files hold of lengths and contents."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


@pytest.mark.parametrize("length", [10**12, 2**63, 3])
def test_a_record_that_claims_another_length(length, packed):
    """TensorFlow takes memory for it, and ends the process if it gets none."""
    path = packed / "train-00000.tfrecord"
    claimed = struct.pack("<Q", length)
    path.write_bytes(claimed + masked_crc(claimed) + path.read_bytes()[12:])
    with pytest.raises(data.DataError, match=r"train-00000\.tfrecord.*pack again"):
        data.PackedDataset(packed, batch_size=1).stream("train")


def example(**features: bytes) -> bytes:
    made = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


def a_colour() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


RECORDS = {
    "no record": b"\xff\xff",
    "nothing": example(),
    "no value": tf.train.Example(
        features=tf.train.Features(feature={"image": tf.train.Feature()})
    ).SerializeToString(),
    "a bomb": example(
        **{
            "image": a_colour(),
            "depth": zlib.compress(npy("(9000, 9000)", bytes(1 << 25)), 9),
            "depth/mask": a_colour(),
        }
    ),
    "a terabyte": example(
        **{
            "image": a_colour(),
            "depth": zlib.compress(npy("(500000, 500000)")),
            "depth/mask": a_colour(),
        }
    ),
    "a mask larger than the image": example(
        **{"image": a_colour(), "depth": a_colour(), "depth/mask": png(60_000, 60_000)}
    ),
    "an image of 60000x60000": example(image=png(60_000, 60_000)),
    "objects": example(
        **{
            "image": a_colour(),
            "depth": zlib.compress(npy("(1,)", b"cos\nsystem\n.", "|O")),
            "depth/mask": a_colour(),
        }
    ),
}


@pytest.mark.parametrize("attack", RECORDS)
def test_records_that_lie(attack, tmp_path, command):
    record = RECORDS[attack]
    packed = tmp_path / "packed"
    packed.mkdir()
    with tf.io.TFRecordWriter(str(packed / "train-00000.tfrecord")) as writer:
        writer.write(record)
    shard = {"file": "train-00000.tfrecord", "records": [["0", 0, len(record), zlib.crc32(record)]]}
    index = {
        "format": "mtl_tf packed data set",
        "version": 1,
        "tasks": {"depth": 1},
        "input_shape": [8, 8, 3],
        "class_names": [],
        "augmentation": {},
        "splits": {"train": [shard], "val": [shard]},
    }
    (packed / "index.json").write_text(json.dumps(index))
    outcome = command("data", "check", packed, "--data", "packed", "--sheet", tmp_path / "s.png")
    assert outcome.code == 1 and "train-00000.tfrecord" in outcome.err
    if attack not in ("an image of 60000x60000", "a mask larger than the image"):  # kept as it is
        outcome = command("data", "unpack", packed, tmp_path / "out")
        assert outcome.code == 1 and "image 0" in outcome.err


@pytest.mark.parametrize("link", ["train-00000.tfrecord.unfinished", ".index.json.unfinished"])
def test_packing_follows_no_link(link, tmp_path, command):
    write_pack(tmp_path / "plain")
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / link).symlink_to(tmp_path / "mine.txt")
    assert command("data", "pack", tmp_path / "plain", tmp_path / "out").code == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_unpacking_into_a_file_or_a_full_folder(packed, tmp_path, command):
    (tmp_path / "file").write_text("mine")
    command("data", "unpack", packed, tmp_path / "file").assert_refused("is a file")
    command("data", "unpack", packed, tmp_path / "plain").assert_refused("not empty")
