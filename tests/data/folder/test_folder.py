"""`Folder`: own images and labels, as they lie about."""

import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

import mtl_tf as mtl
from mtl_tf.data import DataError, Folder
from tests.helpers.cell_folder import DESCRIPTION, HEIGHT, WIDTH, drawn_cells, write_cells


@pytest.fixture
def cells(tmp_path):
    write_cells(tmp_path)
    return tmp_path


def changed(**tasks):
    """The description of the cells with other entries of tasks."""
    old = DESCRIPTION["tasks"]
    return {**DESCRIPTION, "tasks": {n: old[n] | tasks.get(n, {}) for n in old}}


def test_images_and_targets(cells):
    data = Folder(cells, description=DESCRIPTION, batch_size=2)
    assert data.tasks == {"cells": 3, "distance": 1, "border": 1}
    assert data.input_shape == (32, 64, 3) and data.tasks.class_names["cells"][1] == "round"
    assert {split: len(ids) for split, ids in data.splits.items()} == {"train": 6, "val": 2}
    for i in range(4):
        sample = data.load(f"zelle {i}")
        image, classes, distance, edges = drawn_cells(i)
        assert np.abs(sample.image - image.astype(float)).mean() < 10  # JPEG
        np.testing.assert_array_equal(sample.targets["cells"][2:, :, 0], classes[2:])
        assert not sample.masks["cells"][:2].any() and sample.masks["cells"][2:].all()
        np.testing.assert_array_equal(sample.targets["distance"][..., 0], distance)
        np.testing.assert_array_equal(sample.targets["border"][..., 0], edges)
    image, targets, masks = next(iter(data.train()))
    assert image.shape == (2, 32, 64, 3)
    assert targets["distance"].shape == (2, 32, 64, 1) and masks["cells"].shape == (2, 32, 64)


def test_a_description_in_the_folder(cells):
    (cells / "data.yaml").write_text(
        "images: photos/*\ntasks:\n  distance: {files: distance/*.npy, encoding: npy values}\n"
    )
    data = mtl.data.open_folder("folder", cells)
    assert data.tasks == {"distance": 1} and data.input_shape == (HEIGHT, WIDTH, 3)
    assert list(mtl.data.tasks_of_folder("folder", cells)) == ["distance"]


def test_packing_keeps_the_tasks(cells, tmp_path_factory):
    data = Folder(cells, description=DESCRIPTION)
    packed = tmp_path_factory.mktemp("packed")
    mtl.data.pack(data, packed)
    again = mtl.data.PackedDataset(packed)
    assert again.tasks.own["border"].kind is mtl.TargetKind.BOUNDARY
    assert again.tasks.own["cells"].class_colours == data.tasks.own["cells"].class_colours
    name = data.ids("val")[0]
    np.testing.assert_array_equal(
        again.load(name).targets["cells"], data.load(name).targets["cells"]
    )


# === Missing and strange files ===


def test_labels_missing_for_some_images(cells):
    (cells / "distance" / "zelle 3.npy").unlink()
    with pytest.raises(DataError, match=r"1 of 8 images have no distance label, such as 'zelle 3'"):
        Folder(cells, description=DESCRIPTION)
    unchecked = Folder(cells, description=DESCRIPTION, require_labels=False)
    (line,) = unchecked.missing_labels()
    assert "zelle 3.JPG has no distance label" in line and "missing: allow" in line
    data = Folder(cells, description=changed(distance={"missing": "allow"}))
    assert data.missing_labels() == []
    sample = data.load("zelle 3")
    assert not sample.masks["distance"].any() and sample.masks["border"].all()
    assert data.without_label == {"cells": [], "distance": ["zelle 3"], "border": []}
    assert "distance" not in data.paths("zelle 3")


def test_labels_of_no_image_are_counted(cells):
    (cells / "photos" / "zelle 3.JPG").unlink()
    with pytest.warns(UserWarning, match=r"1 cells labels belong to no image: .*zelle 3.png"):
        Folder(cells, tasks=["cells"], description=DESCRIPTION)


def test_two_files_of_one_name(cells):
    Image.new("RGB", (WIDTH, HEIGHT)).save(cells / "photos" / "zelle 1.png")
    with pytest.raises(DataError, match=r"zelle 1.png and .*zelle 1.JPG are both the image"):
        Folder(cells, description=DESCRIPTION)


def test_nothing_matches(cells):
    with pytest.raises(DataError, match=r"no file that matches images: x/\*.png. It holds border/"):
        Folder(cells, description={**DESCRIPTION, "images": "x/*.png"})
    with pytest.raises(
        DataError, match=r"tasks.cells.files: no file that matches y/\*.png is there"
    ):
        Folder(cells, description=changed(cells={"files": "y/*.png"}))
    with pytest.raises(DataError, match="is no folder"):
        Folder(cells / "absent", description=DESCRIPTION)


def test_labels_of_another_size(cells):
    path = cells / "border" / "zelle 0.png"
    small = Image.open(path).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST)
    small.save(path)
    with pytest.raises(
        DataError, match=r"zelle 0.png is 24x32, and the image is 48x64: write resi"
    ):
        Folder(cells, description=DESCRIPTION).load("zelle 0")
    sample = Folder(cells, description=changed(border={"resize": True})).load("zelle 0")
    assert sample.targets["border"].shape[:2] == (HEIGHT, WIDTH)
    small.resize((WIDTH, HEIGHT // 2), Image.Resampling.NEAREST).save(path)
    with pytest.raises(DataError, match="differ in aspect"):
        Folder(cells, description=changed(border={"resize": True})).load("zelle 0")


def test_a_photograph_that_its_exif_orientation_turns(cells):
    path = cells / "photos" / "zelle 1.JPG"
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    with pytest.raises(
        DataError, match=r"the EXIF orientation turns the image: .*apply_orientation"
    ):
        Folder(cells, description=DESCRIPTION).load("zelle 1")
    images = {"files": DESCRIPTION["images"], "apply_orientation": False}
    sample = Folder(cells, description={**DESCRIPTION, "images": images}).load("zelle 1")
    assert sample.image.shape == (HEIGHT, WIDTH, 3)


def test_thin_lines_stay_when_labels_get_smaller(cells):
    lines = np.zeros((2 * HEIGHT, 2 * WIDTH), np.uint8)
    lines[::8] = 255
    Image.fromarray(lines).save(cells / "border" / "zelle 0.png")
    sample = Folder(cells, description=changed(border={"resize": True})).load("zelle 0")
    np.testing.assert_array_equal(sample.targets["border"][::4], 1)
    assert sample.targets["border"].mean() == 0.25


def test_labels_in_the_folder_of_the_images(tmp_path):
    for i in range(4):
        image, classes, *_ = drawn_cells(i)
        Image.fromarray(image).save(tmp_path / f"{i}.png")
        Image.fromarray(classes).save(tmp_path / f"{i}_mask.png")
    label = {"files": "*_mask.png", "encoding": "class ids", "num_classes": 3}
    data = Folder(tmp_path, description={"images": "*.png", "tasks": {"cells": label}})
    assert sorted(data.all_ids()) == ["0", "1", "2", "3"]


def test_a_label_belongs_to_one_image(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / split / "1.png")
    (tmp_path / "labels").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "labels" / "1.png")
    label = {"files": "labels/*.png", "encoding": "class ids", "num_classes": 2}
    with pytest.raises(DataError, match=r"label of 'train/1' and 'val/1': put \{split\} into"):
        Folder(tmp_path, description={"images": "{split}/*.png", "tasks": {"cells": label}})


def test_16_bit_colours_are_not_cut(cells):
    path = cells / "photos" / "zelle 0.png"
    colours = np.full((HEIGHT, WIDTH, 3), 4095, np.uint16)
    cv2.imwrite(str(path), colours)
    with pytest.raises(DataError, match="must have 8-bit channels, and has 16 bits"):
        Folder(cells, description=DESCRIPTION).load("zelle 0")
    images = {"files": DESCRIPTION["images"], "range": [0, 4095]}
    sample = Folder(cells, description={**DESCRIPTION, "images": images}).load("zelle 0")
    assert (sample.image == 255).all()


def test_several_annotators(cells):
    for name in ("border a", "border b"):
        (cells / name).mkdir()
    for path in (cells / "border").iterdir():
        edges = np.asarray(Image.open(path)) > 0
        for name, marked in (("border a", edges), ("border b", np.roll(edges, 1, axis=1))):
            Image.fromarray(marked.astype(np.uint8) * 255).save(cells / name / path.name)
    both = {"files": ["border a/*.png", "border b/*.png"], "agreement": 1.0}
    data = Folder(cells, description=changed(border=both))
    edges = drawn_cells(0)[3]
    other = np.roll(edges, 1, axis=1)
    sample = data.load("zelle 0")
    np.testing.assert_array_equal(sample.targets["border"][..., 0] > 0, edges & other)
    np.testing.assert_array_equal(sample.masks["border"], (edges & other) | ~(edges | other))
    assert len([key for key in data.paths("zelle 0") if key.startswith("border")]) == 2
    pattern = {"files": "border {annotator}/*.png", "agreement": 1.0}
    again = Folder(cells, description=changed(border=pattern)).load("zelle 0")
    np.testing.assert_array_equal(again.targets["border"], sample.targets["border"])


# === Images as they lie about ===


def saved(path, mode, **options):
    grey = np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8)
    colour = Image.fromarray(np.stack([grey, grey, grey], -1))
    colour.convert(mode).save(path, **options)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("RGBA", "png"), ("LA", "png"), ("P", "png"), ("1", "png"), ("CMYK", "jpg"),
     ("YCbCr", "jpg"), ("L", "jpg"), ("RGB", "bmp"), ("RGB", "webp"), ("RGB", "tif")],
)  # fmt: skip
def test_images_of_all_modes(cells, mode, suffix):
    (cells / "photos" / "zelle 0.png").unlink()
    saved(cells / "photos" / f"zelle 0.{suffix}", mode)
    sample = Folder(cells, description={**DESCRIPTION, "images": "photos/*"}).load("zelle 0")
    assert sample.image.shape == (HEIGHT, WIDTH, 3) and sample.image.dtype == np.uint8
    assert sample.image[-1].mean() > 200 > 60 > sample.image[0].mean()
    spread = sample.image.max(-1).astype(int) - sample.image.min(-1)
    assert mode == "P" or spread.max() < 12  # grey


def test_images_with_more_than_8_bits(cells):
    path = cells / "photos" / "zelle 0.png"
    values = np.linspace(0, 4095, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    Image.fromarray(values).save(path)
    with pytest.raises(DataError, match="must have 8-bit channels"):
        Folder(cells, description=DESCRIPTION).load("zelle 0")
    images = {"files": DESCRIPTION["images"], "range": [0, 4095]}
    sample = Folder(cells, description={**DESCRIPTION, "images": images}).load("zelle 0")
    np.testing.assert_allclose(sample.image[..., 0], values / 4095 * 255, atol=0.51)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("zelle 0.png", lambda p: p.write_bytes(b""), "damaged or not an image"),
        ("zelle 0.png", lambda p: p.write_bytes(p.read_bytes()[:-200]), "damaged or not an image"),
        ("zelle 0.png", lambda p: p.write_text("<html>"), "damaged or not an image"),
        ("zelle 0.png", lambda p: (p.unlink(), p.mkdir()), "2 of 8|zelle 0"),
        ("zelle 0.gif", lambda p: Image.new("L", (WIDTH, HEIGHT)).save(
            p, save_all=True, append_images=[Image.new("L", (WIDTH, HEIGHT), 9)]), "has 2 frames"),
        ("zelle 0.heic", lambda p: p.write_bytes(b"x"), "has HEIC, which is not read: convert"),
        ("zelle 0.dng", lambda p: p.write_bytes(b"x"), "a camera's raw format"),
    ],
    ids=["empty", "truncated", "html", "folder", "animated", "heic", "raw"],
)  # fmt: skip
def test_damaged_images_are_named_or_left_out(cells, name, write, message):
    old = cells / "photos" / "zelle 0.png"
    if name != old.name:
        old.unlink()
    write(cells / "photos" / name)
    description = {**DESCRIPTION, "images": "photos/*"}
    if message.startswith("2 of 8"):  # a folder is no image, and its labels are left over
        with pytest.warns(UserWarning, match="belong to no image"):
            assert "zelle 0" not in Folder(cells, description=description).all_ids()
        return
    with pytest.raises(DataError, match=message) as raised:
        Folder(cells, description=description).load("zelle 0")
    assert name in str(raised.value)
    with pytest.warns(UserWarning, match=r"1 of 8 images are left out: .*zelle 0") as seen:
        data = Folder(cells, description=description, skip_damaged=True)
    assert len(seen) == 1 and list(data.skipped) == ["zelle 0"] and len(data.all_ids()) == 7


def test_links_and_broken_links(cells):
    path = cells / "photos" / "zelle 0.png"
    path.rename(cells / "elsewhere")
    path.symlink_to(cells / "elsewhere")
    assert Folder(cells, description=DESCRIPTION).load("zelle 0").image.shape[0] == HEIGHT
    (cells / "elsewhere").unlink()
    with pytest.raises(DataError, match=r"zelle 0\.png"):
        Folder(cells, description=DESCRIPTION)


def test_a_label_that_does_not_fit_is_named(cells):
    Image.new("L", (WIDTH, HEIGHT), 9).save(cells / "classes" / "zelle 2.png")
    data = Folder(cells, description=DESCRIPTION)
    with pytest.raises(DataError, match=r"zelle 2.png holds 9, which are neither in classes"):
        data.load("zelle 2")


def test_all_damaged(cells):
    for path in (cells / "photos").iterdir():
        path.write_bytes(b"")
    with (
        pytest.raises(DataError, match="All images for train are damaged"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        Folder(cells, description=DESCRIPTION, skip_damaged=True)


@pytest.mark.parametrize("name", ["my task", "ä", "a/b", "", ".a"])
def test_a_name_that_layers_cannot_have_is_refused(tmp_path, name):
    write_cells(tmp_path)
    tasks = {name: DESCRIPTION["tasks"]["distance"]}
    with pytest.raises(ValueError, match=r"rename it|name"):
        Folder(tmp_path, description={**DESCRIPTION, "tasks": tasks})
