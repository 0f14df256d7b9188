"""A first `data.yaml`: what it finds in a folder, and what it asks."""

import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from mtl_tf.data import DataError, Folder
from mtl_tf.data.folder import draft
from tests.helpers.cell_folder import drawn_cells, write_cells


def found(root):
    text, questions = draft(root)
    return yaml.safe_load(text), questions


def test_folders_by_task(tmp_path):
    write_cells(tmp_path)
    values, questions = found(tmp_path)
    assert values["images"] == "photos/*.{jpg,png}"
    assert values["splits"] == {"val": 0.1} and values["input_size"] == [64, 64]
    tasks = values["tasks"]
    assert set(tasks) == {"semseg", "edges", "distance"}
    assert tasks["semseg"]["encoding"] == "class ids" and tasks["semseg"]["ignore"] == [255]
    assert len(tasks["semseg"]["classes"]) == 3
    assert tasks["edges"] == {"files": "border/*.png", "encoding": "binary"}
    assert any("semseg: class ids up to 2" in q for q in questions)
    data = Folder(tmp_path, description=values)
    data.load(data.ids("train")[0])


def test_endings_of_names_in_one_folder(tmp_path):
    for i in range(6):
        image, classes, distance, _ = drawn_cells(i)
        Image.fromarray(image).save(tmp_path / f"{i:03}_rgb.png")
        Image.fromarray(classes).save(tmp_path / f"{i:03}_seg.png")
        Image.fromarray((distance * 100).astype(np.uint16)).save(tmp_path / f"{i:03}_depth.png")
    values, _ = found(tmp_path)
    assert values["images"] == "*_rgb.png"
    assert values["tasks"]["semseg"]["files"] == "*_seg.png"
    assert values["tasks"]["depth"] == {
        "files": "*_depth.png", "encoding": "mm", "invalid": [0]
    }  # fmt: skip
    assert len(Folder(tmp_path, description=values).all_ids()) == 6


def test_folders_of_splits(tmp_path):
    for split in ("train", "val"):
        for i in range(3):
            image, classes, *_ = drawn_cells(i)
            for folder, picture in (("images", image), ("masks", classes)):
                place = tmp_path / folder / split
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(place / f"{i}.png")
    values, _ = found(tmp_path)
    assert values["images"] == "images/{split}/*.png"
    assert values["splits"] == {"train": "train", "val": "val"}
    assert values["tasks"]["semseg"]["files"] == "masks/{split}/*.png"
    splits = Folder(tmp_path, description=values).splits
    assert splits["val"] == ["val/0", "val/1", "val/2"]


def picture(root, name, values):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(root / name)


@pytest.mark.parametrize(
    ("names", "images", "labels", "count"),
    [
        (("{i}.png", "{i}_mask.png"), "*.png", "*_mask.png", 6),
        (("images/img_{i}.jpg", "masks/mask_{i}.png"), "images/img_*.jpg", "masks/mask_*.png", 6),
        (("images/{s}2017/{i}.jpg", "annotations/{s}2017/{i}.png"),
         "images/{split}2017/*.jpg", "annotations/{split}2017/*.png", 6),
        (("{s}/{i}.png", "{s}annot/{i}.png"), "{split}/*.png", "{split}annot/*.png", 6),
        (("leftImg8bit/{s}/{c}/{c}_{i}_leftImg8bit.png",
          "gtFine/{s}/{c}/{c}_{i}_gtFine_labelIds.png"),
         "leftImg8bit/{split}/*/*_leftImg8bit.png", "gtFine/{split}/*/*_gtFine_labelIds.png", 6),
        (("{c}/rgb/{i}.png", "{c}/labels/{i}.png"), "*/rgb/*.png", "*/labels/*.png", 6),
        (("Training/images/{i}.png", "Training/masks/{i}.png"),
         "{split}/images/*.png", "{split}/masks/*.png", 6),
    ],
    ids=["flat", "prefixes", "coco", "camvid", "cityscapes", "scenes", "one split"],
)  # fmt: skip
def test_usual_layouts(names, images, labels, count, tmp_path):
    for i in range(count):
        image, classes, *_ = drawn_cells(i)
        values = {"i": f"{i:03}", "s": "val" if i % 2 else "train", "c": ("aa", "bb", "cc")[i // 2]}
        for name, pixels in zip(names, (image, classes), strict=True):
            picture(tmp_path, name.format(**values), pixels)
    values, _ = found(tmp_path)
    assert values["images"] == images
    assert [task["files"] for task in values["tasks"].values()] == [labels]
    assert not any("missing" in task for task in values["tasks"].values())
    data = Folder(tmp_path, description=values)
    assert len(data.all_ids()) == count and data.splits["val"]
    for image_id in data.all_ids():
        data.load(image_id)


def test_sparse_ids_and_soft_masks(tmp_path):
    ids = np.array([[0, 26], [33, 255]], np.uint8).repeat(8, 0).repeat(8, 1)
    for i in range(3):
        picture(
            tmp_path,
            f"rgb/{i}.png",
            np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8),
        )
        picture(tmp_path, f"objects/{i}.png", ids)
        picture(tmp_path, f"mask/{i}.jpg", (ids > 0).astype(np.uint8) * 255)
    values, _ = found(tmp_path)
    assert values["tasks"]["objects"]["classes"] == {0: "class_0", 26: "class_26", 33: "class_33"}
    assert values["tasks"]["mask"] == {
        "files": "mask/*.jpg", "encoding": "binary", "threshold": 128
    }  # fmt: skip
    assert set(Folder(tmp_path, description=values).tasks) == {"objects", "mask"}


def test_braces_in_a_folder_s_name_do_not_stop_it(tmp_path):
    write_cells(tmp_path)
    (tmp_path / "classes").rename(tmp_path / "classes {1}")
    values, _ = found(tmp_path)
    assert "edges" in values["tasks"]


def test_strange_files_do_not_stop_it(tmp_path):
    write_cells(tmp_path)
    (tmp_path / "other").mkdir()
    np.savez(tmp_path / "other" / "zelle 0.npz", a=np.zeros(3), b=np.zeros(3))
    (tmp_path / "photos" / "zelle 9.png").write_bytes(b"")
    values, questions = found(tmp_path)
    assert "other" not in values["tasks"] and any("left out" in q for q in questions)


def test_normals_and_colours(tmp_path):
    r = np.random.default_rng(0)
    for i in range(3):
        normals = r.normal(size=(16, 24, 3))
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
        colours = np.array([[255, 0, 0], [0, 0, 128]], np.uint8)[r.integers(0, 2, (16, 24))]
        pictures = {
            "rgb": r.integers(0, 256, (16, 24, 3), np.uint8),
            "normal": np.rint((normals + 1) * 127.5).astype(np.uint8),
            "painted": colours,
        }
        for folder, picture in pictures.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / folder / f"{i}.png")
    values, questions = found(tmp_path)
    assert values["tasks"]["normals"]["encoding"] == "rgb normals"
    assert values["tasks"]["painted"]["classes"] == {
        "class_0": [0, 0, 128], "class_1": [255, 0, 0]
    }  # fmt: skip
    assert any("axes" in q for q in questions)
    Folder(tmp_path, description=values).load("1")


def test_missing_and_left_over_labels(tmp_path):
    write_cells(tmp_path)
    (tmp_path / "classes" / "zelle 0.png").unlink()
    shutil.copytree(tmp_path / "border", tmp_path / "other")
    for path in (tmp_path / "other").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    values, questions = found(tmp_path)
    assert values["tasks"]["semseg"]["missing"] == "allow"
    assert "semseg: 1 of 8 images have no label" in questions
    assert "other/*.png: 8 files belong to no image" in questions


def test_a_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"no colour images .* It holds 1 \.txt"):
        draft(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        draft(tmp_path / "absent")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    values, questions = found(tmp_path)
    assert not values["tasks"] and "there are no labels: add them under tasks" in questions
