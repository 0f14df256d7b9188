"""Taskonomy: what was written is what is loaded; subsets, frames and codes as documented."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.inputs import tiny_backbone
from tests.helpers.other_folders import write_taskonomy

SIZE = (24, 32, 3)


def test_everything_is_read(tmp_path: pathlib.Path) -> None:
    truth = write_taskonomy(tmp_path)
    with pytest.warns(UserWarning, match="left out"):
        data = mtl.data.Taskonomy(tmp_path, None, SIZE)
    assert data.tasks == {
        "semseg": 17,
        "depth": 1,
        "normals": 3,
        "edges": 1,
        "keypoints": 1,
        "principal_curvature": 2,
    }
    assert (len(data.ids("train")), len(data.ids("val")), len(data.ids("test"))) == (4, 1, 1)
    assert data.ids("test") == ["ihlen/point_0_view_1"]
    for image_id, written in truth.items():
        sample = data.load(image_id)
        target, mask = sample.targets, sample.masks
        np.testing.assert_array_equal(sample.image, written["image"])
        np.testing.assert_array_equal(mask["semseg"], written["semseg"] > 0)
        np.testing.assert_array_equal(
            target["semseg"][..., 0], np.maximum(written["semseg"].astype(int) - 1, 0)
        )
        measured = (written["depth"] > 0) & (written["depth"] < 64500)
        np.testing.assert_array_equal(mask["depth"], measured)
        np.testing.assert_allclose(
            target["depth"][..., 0], np.where(measured, written["depth"] / 512, 0), rtol=1e-6
        )
        has_length = np.linalg.norm(written["normals"], axis=-1) > 0
        np.testing.assert_array_equal(mask["normals"], has_length)
        np.testing.assert_allclose(target["normals"], written["normals"], atol=0.01)
        np.testing.assert_array_equal(target["edges"][..., 0], written["edges"] >= 6553.5)
        np.testing.assert_allclose(target["keypoints"][..., 0], written["keypoints"] / 65535)
        curvature = (written["principal_curvature"][..., :2] - [123.572, 120.1]) / [31.922, 21.658]
        np.testing.assert_allclose(target["principal_curvature"], curvature, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*left out")
def test_subsets(tmp_path: pathlib.Path) -> None:
    write_taskonomy(tmp_path, count=2)
    listed = "id,train,val,test\ndarden,1,0,0\nallensville,0,1,0\nihlen,0,0,1\nmissing,1,0,0\n"
    (tmp_path / "train_val_test_medium.csv").write_text(listed)
    data = mtl.data.Taskonomy(tmp_path, None, SIZE, subset="medium")
    assert len(data.ids("train")) == 1 and len(data.ids("val")) == 2
    own = mtl.data.Taskonomy(tmp_path, None, SIZE, subset={"train": ["ihlen"], "val": ["darden"]})
    assert own.ids("train") == ["ihlen/point_0_view_1"] and own.ids("test") == own.ids("val")
    with pytest.raises(mtl.data.DataError, match=r"train_val_test_full\.csv"):
        mtl.data.Taskonomy(tmp_path, None, SIZE, subset="full")
    with pytest.raises(ValueError, match="subset"):
        mtl.data.Taskonomy(tmp_path, None, SIZE, subset="huge")
    for wrong in (
        "darden;1;0;0",
        "darden,1,0,0\n../x,0,1,0\nihlen,0,0,1",
        "darden,1,1,0\nallensville,0,0,1",
    ):
        (tmp_path / "train_val_test_medium.csv").write_text(wrong)
        with pytest.raises(mtl.data.DataError, match="medium"):
            mtl.data.Taskonomy(tmp_path, None, SIZE, subset="medium")


def test_bad_input(tmp_path: pathlib.Path) -> None:
    with pytest.raises(mtl.data.DataError, match="no image of train"):
        mtl.data.Taskonomy(tmp_path)
    with pytest.raises(ValueError, match="edge_threshold"):
        mtl.data.Taskonomy(tmp_path, edge_threshold=0)


def test_the_continuous_tasks_train(tmp_path: pathlib.Path) -> None:
    write_taskonomy(tmp_path)
    subset = {"train": ["allensville"], "val": ["darden"]}
    tasks = ["keypoints", "principal_curvature"]
    data = mtl.data.Taskonomy(tmp_path, tasks, (32, 32, 3), subset, batch_size=2, cache=True)
    model = mtl.architectures.SharedTrunk(tiny_backbone(32, 32), data.tasks, data.input_shape)
    trainer = mtl.MultiTaskTrainer(model, data.tasks)
    trainer.compile("adam")
    history = trainer.fit(data.train(), epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    found = mtl.evaluation.evaluate(model, data.test(), data.tasks)
    assert found["keypoints"]["rmse"] >= found["keypoints"]["abs_error"] > 0


def test_real_layout(data_root: pathlib.Path) -> None:
    subset = {"train": ["nyudstandin"], "val": ["nyudstandin"]}
    root = data_root / "layouts" / "taskonomy"
    data = mtl.data.Taskonomy(root, ["depth", "normals", "edges"], subset=subset)
    for image_id in data.ids("train"):
        sample = data.load(image_id)
        assert 0.5 < np.median(sample.targets["depth"][sample.masks["depth"]]) < 10
        normals = sample.targets["normals"][sample.masks["normals"]]
        assert (normals[:, 2] > 0).mean() > 0.95  # towards the camera
        assert 0 < sample.targets["edges"].mean() < 0.5
    with pytest.raises(mtl.data.DataError, match="keypoints2d"):
        mtl.data.Taskonomy(root, ["keypoints"], subset=subset).load(image_id)
