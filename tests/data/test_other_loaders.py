"""BSDS, CCP and Cityscapes: what was written is what is loaded; real samples are sound."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import scipy.io

import mtl_tf as mtl
from mtl_tf.data.borders import borders
from mtl_tf.data.cityscapes import CLASSES
from tests.helpers.other_folders import (
    CAMERA,
    write_bsds500,
    write_bsds_sod,
    write_ccp,
    write_cityscapes,
)


def test_bsds_sod(tmp_path: pathlib.Path) -> None:
    truth = write_bsds_sod(tmp_path)
    data = mtl.data.BsdsSod(tmp_path, input_shape=(24, 32, 3))
    assert data.ids("val") == ["1"] and data.ids("train") == ["2", "3", "4"]
    for image_id, written in truth.items():
        sample = data.load(image_id)
        share = written["edges"] / 255
        np.testing.assert_array_equal(sample.targets["edges"][..., 0], share >= 0.3)
        np.testing.assert_array_equal(sample.masks["edges"], (share == 0) | (share >= 0.3))
        np.testing.assert_array_equal(sample.targets["saliency"][..., 0], written["saliency"] > 0)
        assert sample.masks["saliency"].all()


def test_agreement_of_annotators(tmp_path: pathlib.Path) -> None:
    written = write_bsds_sod(tmp_path)["1"]["edges"]
    sample = mtl.data.BsdsSod(tmp_path, ["edges"], agreement=0.1).load("1")
    np.testing.assert_array_equal(sample.targets["edges"][..., 0], written > 0)
    for agreement in (0.0, 1.5):
        with pytest.raises(ValueError, match="agreement"):
            mtl.data.BsdsSod(tmp_path, agreement=agreement)


def test_saliency_of_other_values_is_refused(tmp_path: pathlib.Path) -> None:
    write_bsds_sod(tmp_path)
    shutil.copy(tmp_path / "edge" / "1.png", tmp_path / "saliency" / "1.png")
    with pytest.raises(mtl.data.DataError, match="saliency"):
        mtl.data.BsdsSod(tmp_path).load("1")


def test_bsds500(tmp_path: pathlib.Path) -> None:
    truth = write_bsds500(tmp_path)
    data = mtl.data.Bsds500(tmp_path, agreement=0.4)
    assert (len(data.ids("train")), len(data.ids("val")), len(data.ids("test"))) == (4, 1, 1)
    for image_id, written in truth.items():
        np.testing.assert_array_equal(np.stack(data.annotations(image_id)), written["edges"])
        sample, share = data.load(image_id), written["edges"].mean(0)
        np.testing.assert_array_equal(sample.targets["edges"][..., 0], share >= 0.4)
        np.testing.assert_array_equal(sample.masks["edges"], (share == 0) | (share >= 0.4))
    one = {"Boundaries": written["edges"][0].astype(np.uint8)}
    path = data.paths(image_id)["edges"]
    scipy.io.savemat(path, {"groundTruth": one})
    assert len(data.annotations(image_id)) == 1
    for wrong in (
        {"groundTruth": 3},
        {"groundTruth": {"Segmentation": 3}},
        {"groundTruth": {"Boundaries": np.zeros((2, 3, 4))}},
    ):
        scipy.io.savemat(path, wrong)
        with pytest.raises(mtl.data.DataError, match="groundTruth"):
            data.annotations(image_id)


def test_ccp(tmp_path: pathlib.Path) -> None:
    truth = write_ccp(tmp_path)
    data = mtl.data.ClothingCoParsing(tmp_path, input_shape=(24, 32, 3))
    assert data.tasks == {"human_parts": 8}
    for image_id, written in truth.items():
        sample = data.load(image_id)
        np.testing.assert_array_equal(sample.targets["human_parts"][..., 0], written["human_parts"])


def test_cityscapes(tmp_path: pathlib.Path) -> None:
    truth = write_cityscapes(tmp_path)
    data = mtl.data.Cityscapes(tmp_path, input_shape=(24, 32, 3))
    assert len(data.ids("train")) == 3 and data.ids("test") == data.ids("val")
    assert data.tasks == {"semseg": 19, "depth": 1, "edges": 1}
    for image_id, written in truth.items():
        sample = data.load(image_id)
        known = np.isin(written["semseg"], list(CLASSES.values()))
        np.testing.assert_array_equal(sample.masks["semseg"], known)
        ids = np.array(list(CLASSES.values()))[sample.targets["semseg"][..., 0]]
        np.testing.assert_array_equal(ids[known], written["semseg"][known])
        expected = borders(written["edges"], np.ones(known.shape, bool))
        np.testing.assert_array_equal(sample.targets["edges"][..., 0], expected)
        disparity = (written["depth"].astype(float) - 1) / 256
        seen = disparity > 0.2 * 2000 / 1000  # nearer than 1000 m
        np.testing.assert_array_equal(sample.masks["depth"], seen)
        metres = 0.2 * 2000 / ((written["depth"][seen].astype(float) - 1) / 256)
        np.testing.assert_allclose(sample.targets["depth"][seen][:, 0], metres, rtol=1e-5)


@pytest.mark.parametrize(
    "camera",
    [
        "{",
        "{}",
        json.dumps({**CAMERA, "intrinsic": {"fx": 0}}),
        json.dumps({**CAMERA, "intrinsic": {"fx": "NaN"}}),
    ],
)
def test_a_wrong_camera_is_told(camera: str, tmp_path: pathlib.Path) -> None:
    image_id = next(iter(write_cityscapes(tmp_path)))
    (tmp_path / "camera" / f"{image_id}_camera.json").write_text(camera)
    with pytest.raises(mtl.data.DataError, match=r"camera\.json"):
        mtl.data.Cityscapes(tmp_path).load(image_id)
    mtl.data.Cityscapes(tmp_path, ["semseg"]).load(image_id)


def test_a_folder_that_is_not_cityscapes_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(mtl.data.DataError, match="Cityscapes"):
        mtl.data.Cityscapes(tmp_path)


def test_real_bsds_sod(data_root: pathlib.Path) -> None:
    data = mtl.data.BsdsSod(data_root / "bsds-sod")
    assert len(data.ids("train")) + len(data.ids("val")) == 200
    samples = [data.load(i) for i in data.ids("val")]
    assert {s.image.shape for s in samples} <= {(321, 481, 3), (481, 321, 3)}
    assert 0.01 < np.mean([s.targets["edges"].mean() for s in samples]) < 0.08
    assert 0.05 < np.mean([s.targets["saliency"].mean() for s in samples]) < 0.5


def test_real_ccp(data_root: pathlib.Path) -> None:
    data = mtl.data.ClothingCoParsing(data_root / "ccp")
    samples = [data.load(i) for i in data.ids("val")]
    seen = np.unique(np.concatenate([s.targets["human_parts"].ravel() for s in samples]))
    assert seen.tolist() == list(range(8))
    assert 0.5 < np.mean([(s.targets["human_parts"] == 0).mean() for s in samples]) < 0.9


def test_real_cityscapes_names(data_root: pathlib.Path) -> None:
    data = mtl.data.Cityscapes(data_root / "layouts" / "cityscapes", ["semseg", "edges"])
    assert len(data.ids("train")) == 2 and len(data.ids("val")) == 1
    image, targets, masks = next(iter(data.val()))
    assert image.shape == (1, 256, 512, 3)
    road = targets["semseg"].numpy()[0, -40:, 200:300, 0]
    assert (road[masks["semseg"].numpy()[0, -40:, 200:300] > 0] == 0).mean() > 0.5
    with pytest.raises(mtl.data.DataError, match=r"camera\.json"):
        mtl.data.Cityscapes(data_root / "layouts" / "cityscapes").load(data.ids("val")[0])
