"""PASCAL-Context: what was written is what is loaded; people, borders and normals as documented."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
import scipy.io

import mtl_tf as mtl
from mtl_tf.data.pascal_context.pascal_context import _WITH_NORMALS
from tests.helpers.other_folders import write_pascal_context

SIZE = (24, 32, 3)


@pytest.fixture
def written(tmp_path: pathlib.Path) -> dict:
    return write_pascal_context(tmp_path)


def test_everything_is_read(tmp_path: pathlib.Path, written: dict) -> None:
    data = mtl.data.PascalContext(tmp_path, None, SIZE)
    assert data.tasks == {"semseg": 21, "human_parts": 7, "saliency": 1, "normals": 3, "edges": 1}
    assert data.ids("train") == list(written)[1:] and data.ids("test") == list(written)[:1]
    for image_id, truth in written.items():
        sample = data.load(image_id)
        known = truth["semseg"] != 255
        np.testing.assert_array_equal(sample.masks["semseg"], known)
        np.testing.assert_array_equal(sample.targets["semseg"][known, 0], truth["semseg"][known])
        np.testing.assert_array_equal(sample.targets["human_parts"][..., 0], truth["human_parts"])
        assert sample.masks["human_parts"].all() == truth["human_parts"].any()
        np.testing.assert_array_equal(sample.targets["saliency"][..., 0], truth["saliency"] > 127)
        has_length = np.linalg.norm(truth["normals"], axis=-1) > 0
        valid = has_length & np.isin(truth["edges"], _WITH_NORMALS)
        np.testing.assert_array_equal(sample.masks["normals"], valid)
        np.testing.assert_allclose(
            sample.targets["normals"][valid], truth["normals"][valid], atol=0.01
        )
    assert not sample.masks["human_parts"].any()


def test_normals_are_valid_on_169_classes_that_nyu_knows_and_on_screens() -> None:
    assert len(_WITH_NORMALS) == len(set(_WITH_NORMALS)) == 170
    assert {72, 397, 427, 440} <= set(_WITH_NORMALS)  # chair, table, tvmonitor, wall
    assert not {2, 207, 360, 431} & set(_WITH_NORMALS)  # aeroplane, horse, sky, unknown


def test_edges_are_thin_lines_along_borders(tmp_path: pathlib.Path, written: dict) -> None:
    data = mtl.data.PascalContext(tmp_path, ["edges"], SIZE)
    for image_id, truth in written.items():
        edges = data.load(image_id).targets["edges"][..., 0] > 0
        labels = truth["edges"]
        far = np.ones(labels.shape, bool)  # from any border: all of 5x5 pixels have one label
        for axis, step in ((0, 1), (0, 2), (0, -1), (0, -2), (1, 1), (1, 2), (1, -1), (1, -2)):
            far &= np.roll(labels, step, axis) == labels
        inner = np.zeros_like(far)
        inner[2:-2, 2:-2] = True
        assert edges.any() and not (edges & far & inner).any()
        full = edges[:-1, :-1] & edges[1:, :-1] & edges[:-1, 1:] & edges[1:, 1:]
        assert full.mean() < 0.02  # hardly a block of 2x2 pixels


def test_human_parts_alone_leave_out_images_without_people(
    tmp_path: pathlib.Path, written: dict
) -> None:
    data = mtl.data.PascalContext(tmp_path, ["human_parts"], SIZE)
    assert data.ids("train") == list(written)[1:-1]
    cache = tmp_path / "ImageSets" / "Parts" / "train.txt"
    cache.parent.mkdir()
    cache.write_text(json.dumps({list(written)[1]: [15, 3], list(written)[2]: [12]}))
    cached = mtl.data.PascalContext(tmp_path, ["human_parts"], SIZE)
    assert cached.ids("train") == list(written)[1:2]
    cache.write_text("[1, 2")
    with pytest.raises(mtl.data.DataError, match="Parts"):
        mtl.data.PascalContext(tmp_path, ["human_parts"], SIZE)


def test_one_person_with_one_part_is_read_too(tmp_path: pathlib.Path, written: dict) -> None:
    """MATLAB does not tell an array of one structure from the structure."""
    image_id = next(iter(written))
    mask = np.ones((24, 32), np.uint8)
    person = {
        "class": "person",
        "class_ind": 15,
        "mask": mask,
        "parts": {"part_name": "torso", "mask": mask},
    }
    path = tmp_path / "human_parts" / f"{image_id}.mat"
    scipy.io.savemat(path, {"anno": {"imname": image_id, "objects": person}})
    sample = mtl.data.PascalContext(tmp_path, ["human_parts"], SIZE).load(image_id)
    assert (sample.targets["human_parts"] == 2).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"anno": {"imname": "a"}},
        {"anno": 3},
        {"other": 3},
        {"anno": {"objects": {"class_ind": "x", "parts": []}}},
        {"anno": {"objects": {"class_ind": 15, "parts": {"part_name": "wing", "mask": 1}}}},
        {"anno": {"objects": {"class_ind": 15, "parts": {"part_name": "head", "mask": [1, 2]}}}},
        {"anno": {"objects": {"class_ind": 15, "parts": {"mask": [1, 2]}}}},
    ],
)
def test_wrong_annotations_are_told(tmp_path: pathlib.Path, written: dict, wrong: dict) -> None:
    image_id = next(iter(written))
    scipy.io.savemat(tmp_path / "human_parts" / f"{image_id}.mat", wrong)
    data = mtl.data.PascalContext(tmp_path, ["semseg", "human_parts"], SIZE)
    with pytest.raises(mtl.data.DataError, match="human_parts"):
        data.load(image_id)


@pytest.mark.parametrize("wrong", [np.full((24, 32), 460), np.zeros((2, 3, 4)), "text"])
def test_wrong_label_maps_are_told(tmp_path: pathlib.Path, written: dict, wrong: object) -> None:
    image_id = next(iter(written))
    path = tmp_path / "pascal-context" / "trainval" / f"{image_id}.mat"
    scipy.io.savemat(path, {"LabelMap": wrong})
    with pytest.raises(mtl.data.DataError, match="trainval"):
        mtl.data.PascalContext(tmp_path, ["edges"], SIZE).load(image_id)


def test_batches_have_the_contract(tmp_path: pathlib.Path, written: dict) -> None:
    data = mtl.data.PascalContext(tmp_path, None, (16, 16, 3), batch_size=3)
    image, targets, masks = next(iter(data.train()))
    assert image.shape == (3, 16, 16, 3)
    assert targets["semseg"].shape == (3, 16, 16, 1) and masks["normals"].shape == (3, 16, 16)
