"""Packed data sets: identical arrays, kept bytes, checksums, files shared out among workers."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mtl_tf as mtl
from mtl_tf.data.packed.records import decode_array, encode_array
from tests.data.test_damaged_folders import CASES, damaged
from tests.helpers import nyud_folders, other_folders


def packed(tmp_path: pathlib.Path, name: str = "pack", **options: Any) -> tuple[Any, Any]:
    """A data set and its packed form."""
    case = CASES[name]
    case.write(tmp_path / "plain", count=7)
    dataset = case.open(tmp_path / "plain")
    mtl.data.pack(dataset, tmp_path / "packed", shard_bytes=4000)
    return dataset, mtl.data.PackedDataset(tmp_path / "packed", **options)


def assert_equal(found: mtl.data.Sample, expected: mtl.data.Sample) -> None:
    np.testing.assert_array_equal(found.image, expected.image)
    assert set(found.targets) == set(expected.targets)
    for task, target in expected.targets.items():
        assert found.targets[task].dtype == target.dtype
        np.testing.assert_array_equal(found.targets[task], target)
        np.testing.assert_array_equal(found.masks[task], expected.masks[task])


@pytest.mark.parametrize("name", CASES)
def test_every_data_set_comes_back_identical(name: str, tmp_path: pathlib.Path) -> None:
    dataset, again = packed(tmp_path, name)
    assert again.tasks == dataset.tasks and again.class_names == dataset.class_names
    assert again.splits == dataset.splits and again.input_shape == dataset.input_shape
    assert again.options.augmentation == dataset.options.augmentation
    for image_id in dataset.all_ids():
        assert_equal(again.load(image_id), dataset.load(image_id))


def test_training_batches_are_those_of_the_data_set(tmp_path: pathlib.Path) -> None:
    _, again = packed(tmp_path, batch_size=2, seed=3)
    plain = mtl.data.NYUDv2(tmp_path / "plain", None, batch_size=2, seed=3)
    for found, expected in zip(again.train(), plain.train(), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


def test_bytes_of_images_are_kept_and_unpacked(tmp_path: pathlib.Path) -> None:
    dataset, _ = packed(tmp_path)
    mtl.data.unpack(tmp_path / "packed", tmp_path / "again")
    assert (tmp_path / "again" / "train.txt").read_text().split() == dataset.ids("train")
    for image_id in dataset.all_ids():
        photo = tmp_path / "again" / "image" / f"{image_id}.jpg"
        assert photo.read_bytes() == dataset.paths(image_id)["image"].read_bytes()
        sample = dataset.load(image_id)
        for task, target in sample.targets.items():
            whole = tmp_path / "again" / task / f"{image_id}.png"
            array = np.asarray(Image.open(whole)) if whole.exists() else None
            if array is None:
                array = np.load(whole.with_suffix(".npy"))
            np.testing.assert_array_equal(array.reshape(target.shape), target)
            mask = Image.open(tmp_path / "again" / f"{task}_mask" / f"{image_id}.png")
            np.testing.assert_array_equal(np.asarray(mask) > 0, sample.masks[task])
    with pytest.raises(ValueError, match="not empty"):
        mtl.data.unpack(tmp_path / "packed", tmp_path / "again")
    with pytest.raises(ValueError, match="already"):
        mtl.data.pack(dataset, tmp_path / "packed")


def test_other_file_systems(tmp_path: pathlib.Path) -> None:
    """TensorFlow's file system in memory stands for those in the cloud."""
    nyud_folders.write_pack(tmp_path)
    dataset = mtl.data.NYUDv2(tmp_path, ["depth"])
    mtl.data.pack(dataset, "ram://packed_nyud")
    again = mtl.data.PackedDataset("ram://packed_nyud")
    assert_equal(again.load("0002"), dataset.load("0002"))
    assert list(mtl.data.damaged_files("ram://packed_nyud")) == []


def test_streams_hold_every_image_once(tmp_path: pathlib.Path) -> None:
    dataset, again = packed(tmp_path, batch_size=2)
    assert len(again.files("train")) > 2
    in_order = [batch[0].numpy() for batch in again.stream("train")]
    expected = [batch[0].numpy() for batch in dataset.batches("train")]
    np.testing.assert_array_equal(np.concatenate(in_order), np.concatenate(expected))

    still = mtl.data.Augmentation(flip=False, zoom=(1.0,))
    shuffled = mtl.data.PackedDataset(tmp_path / "packed", batch_size=2, augmentation=still)
    stream = shuffled.stream("train", training=True)
    epochs = [np.concatenate([batch[0].numpy() for batch in stream]) for _ in range(2)]
    assert epochs[0].shape == (6, *dataset.input_shape)
    assert not np.array_equal(*epochs)
    for epoch in epochs:
        assert sorted(i.tobytes() for i in epoch) == sorted(
            i.tobytes() for i in np.concatenate(expected)
        )


def test_files_are_shared_out_among_workers(tmp_path: pathlib.Path) -> None:
    """Two workers, sharded by file: together they see every image once."""
    _, again = packed(tmp_path, batch_size=1)
    for training in (False, True):
        stream = again.stream("train", training)
        seen = []
        for worker in range(2):
            own = part_of(stream, worker, 2)
            images = [batch[0].shape[0] for batch in own]
            assert 0 < len(images) < len(again.ids("train"))
            seen += images
        assert len(seen) == len(again.ids("train"))
    in_order = [batch[0].numpy() for batch in again.stream("train")]
    parts = [[b[0].numpy() for b in part_of(again.stream("train"), i, 2)] for i in range(2)]
    assert sorted(i.tobytes() for part in parts for i in part) == sorted(
        i.tobytes() for i in in_order
    )


def part_of(stream: tf.data.Dataset, worker: int, workers: int) -> tf.data.Dataset:
    """What a strategy gives to one of several workers, sharded by file."""
    variant = tf.raw_ops.AutoShardDataset(
        input_dataset=tf.data.experimental.to_variant(stream),
        num_workers=workers,
        index=worker,
        auto_shard_policy=tf.data.experimental.AutoShardPolicy.FILE.value,
        output_types=[t.dtype for t in tf.nest.flatten(stream.element_spec)],
        output_shapes=[t.shape for t in tf.nest.flatten(stream.element_spec)],
    )
    return tf.data.experimental.from_variant(variant, stream.element_spec)


def test_damage_is_found(tmp_path: pathlib.Path) -> None:
    _, again = packed(tmp_path)
    path = pathlib.Path(again.files("train")[1])
    intact = path.read_bytes()
    last = [i for i in again.ids("train") if again.records[i][0] == str(path)][-1]
    path.write_bytes(intact[:-10] + bytes([intact[-10] ^ 1]) + intact[-9:])
    (line,) = mtl.data.damaged_files(str(tmp_path / "packed"))
    assert path.name in line
    with pytest.raises(mtl.data.DataError, match=rf"{path.name}, image {last}"):
        again.load(last)
    path.unlink()
    with pytest.raises(mtl.data.DataError, match=path.name):
        again.load(last)
    with pytest.raises(mtl.data.DataError, match=path.name):
        mtl.data.PackedDataset(tmp_path / "packed")
    (line,) = mtl.data.damaged_files(str(tmp_path / "packed"))
    assert path.name in line


def test_damaged_indices_are_refused(tmp_path: pathlib.Path) -> None:
    packed(tmp_path)
    path = tmp_path / "packed" / "index.json"
    intact = path.read_bytes()
    failures = []
    for seed in range(60):
        path.write_bytes(damaged(intact, np.random.default_rng(seed)))
        try:
            again = mtl.data.PackedDataset(tmp_path / "packed")
            for image_id in again.all_ids():
                again.load(image_id)
        except mtl.data.DataError as error:
            assert str(error)
        except Exception as error:
            failures.append(f"seed {seed}: {type(error).__name__}: {str(error)[:150]}")
    assert not failures, "\n".join(failures)
    index = json.loads(intact)
    for change, message in (({"version": 2}, "version 2"), ({"format": "x"}, "no index")):
        path.write_text(json.dumps(index | change))
        with pytest.raises(mtl.data.DataError, match=message):
            mtl.data.PackedDataset(tmp_path / "packed")
    path.unlink()
    with pytest.raises(mtl.data.DataError, match="missing"):
        mtl.data.PackedDataset(tmp_path / "packed")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.int32).reshape(3, 4, 1),
        np.full((3, 4, 1), 70000, np.int32),
        np.array([[0.5, 1.0], [2.0, 3.0]], np.float32)[..., None],
        np.eye(3, dtype=bool),
        np.float32([[0, 65535]])[..., None],
        np.float32([[-1, 1]])[..., None],
        np.random.default_rng(0).random((3, 4, 3), np.float32),
        np.float32([[np.nan]])[..., None],
        np.random.default_rng(0).integers(0, 256, (3, 4, 3)).astype(np.uint8),
        np.zeros((0, 4, 1), np.float32),
    ],
)
def test_arrays_lose_nothing(array: np.ndarray) -> None:
    found = decode_array(encode_array(array)).reshape(array.shape).astype(array.dtype)
    np.testing.assert_array_equal(found, array)


def test_the_command_line_packs_checks_and_unpacks(tmp_path: pathlib.Path, capsys: Any) -> None:
    from mtl_tf.cli import main

    other_folders.write_ccp(tmp_path / "ccp")
    folder = str(tmp_path / "packed")
    assert main(["data", "pack", str(tmp_path / "ccp"), folder, "--data", "ccp"]) == 0
    sheet = ["--sheet", str(tmp_path / "sheet.png")]
    assert main(["data", "check", folder, "--data", "packed", *sheet]) == 0
    assert "4 images, 0 broken" in capsys.readouterr().out
    assert main(["data", "unpack", folder, str(tmp_path / "again")]) == 0
    assert len(list((tmp_path / "again" / "image").iterdir())) == 4
    assert main(["data", "pack", str(tmp_path / "ccp"), folder, "--data", "ccp"]) == 2
    assert "already" in capsys.readouterr().err


def test_check_lists_every_broken_item(tmp_path: pathlib.Path, capsys: Any) -> None:
    from mtl_tf.cli import main

    nyud_folders.write_pack(tmp_path, count=6)
    (tmp_path / "rgb" / "0002.jpg").unlink()
    (tmp_path / "depth" / "0004.png").write_bytes(b"no picture")
    (tmp_path / "seg40" / "0005.png").write_bytes(b"")
    arguments = ["data", "check", str(tmp_path), "--sheet", str(tmp_path / "sheet.png")]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "6 images, 3 broken" in captured.out
    assert len(captured.err.splitlines()) == 3
    for name in ("0002.jpg", "0004.png", "0005.png"):
        assert name in captured.err
