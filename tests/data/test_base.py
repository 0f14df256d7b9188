"""Arguments all data sets check, and the rules for a sample."""

from __future__ import annotations

import pathlib
import shutil

import numpy as np
import pytest

from mtl_tf.data import TABLE, NYUDv2, RenderedRooms
from mtl_tf.data.sample import DataError, make_sample
from tests.helpers.nyud_folders import write_pack

IMAGE = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": ["depth", "colour"]}, "colour"),
        ({"tasks": []}, "tasks"),
        ({"batch_size": 0}, "batch_size"),
        ({"input_shape": (24, 32)}, "input_shape"),
        ({"input_shape": (24, 32, 1)}, "input_shape"),
        ({"input_shape": (24, 0, 3)}, "input_shape"),
        ({"input_shape": (24.0, 32.0, 3)}, "input_shape"),
        ({"train_size": 0}, "train_size"),
        ({"val_size": -1}, "val_size"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RenderedRooms(**arguments)


def test_table_names_what_the_classes_offer() -> None:
    row = TABLE["rendered_rooms"]
    assert set(row.cls().tasks) == set(row.tasks) and not row.needs_root


@pytest.mark.parametrize(
    ("task", "dtype"),
    [
        ("semseg", np.int32),
        ("human_parts", np.int32),
        ("depth", np.float32),
        ("edges", np.float32),
        ("saliency", np.float32),
    ],
)
def test_targets_get_a_channel_a_type_and_zeros_where_invalid(task: str, dtype: type) -> None:
    target = np.arange(24, dtype=np.uint8).reshape(4, 6)
    mask = target % 3 == 0
    made = make_sample(IMAGE, {task: target}, {task: mask}, "7")
    assert made.targets[task].shape == (4, 6, 1) and made.targets[task].dtype == dtype
    np.testing.assert_array_equal(made.targets[task][..., 0], target * mask)
    np.testing.assert_array_equal(made.masks[task], mask)
    everywhere = make_sample(IMAGE, {task: target}, {}, "7")
    assert everywhere.masks[task].all() and everywhere.masks[task].shape == (4, 6)


@pytest.mark.parametrize("shape", [(6, 4), (4, 7), (4, 5, 3), (24,)])
def test_sizes_must_agree(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"image_7.*depth"):
        make_sample(IMAGE, {"depth": np.zeros(shape)}, {}, "image_7")


def test_the_fingerprint_is_of_what_is_asked_for(tmp_path: pathlib.Path) -> None:
    """Wherever it lies, whatever other tasks' files are missing; other data have another."""
    roots = [tmp_path / "here", tmp_path / "there"]
    for root in roots:
        write_pack(root)
    shutil.rmtree(roots[1] / "normal")

    def fingerprint(root: pathlib.Path, *tasks: str) -> str:
        return NYUDv2(root, tasks, num_classes=13).fingerprint()

    first = fingerprint(roots[0], "depth", "semseg")
    assert len(first) == 16 and fingerprint(roots[1], "depth", "semseg") == first
    assert fingerprint(roots[0], "depth") != first
    (photo, *_) = sorted((roots[1] / "rgb").iterdir())
    photo.write_bytes(photo.read_bytes() + b" ")
    assert fingerprint(roots[1], "depth", "semseg") != first
