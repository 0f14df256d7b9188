"""Folders of anyone: damaged, odd and malicious files end as documented, never otherwise."""

import io
import pathlib
import re
import warnings

import numpy as np
import pytest
import yaml
from PIL import Image

from mtl_tf.data import DataError, Folder
from mtl_tf.data.folder import draft
from mtl_tf.data.folder.description import read_description
from mtl_tf.data.sample import checked_sample
from tests.helpers.cell_folder import DESCRIPTION, HEIGHT, WIDTH, drawn_cells

SIZE = (WIDTH, HEIGHT)
LABELS = {
    "ids": {"files": "ids.*", "encoding": "class ids", "num_classes": 3, "ignore": 255},
    "colours": {
        "files": "colours.*",
        "encoding": "class colours",
        "classes": {"a": [0, 0, 0], "b": [70, 70, 70], "c": [140, 140, 140]},
    },
    "mask": {"files": "mask.*", "encoding": "binary"},
    "depth": {"files": "depth.*", "encoding": "mm"},
    "metres": {"files": "metres.*", "encoding": "m"},
    "heat": {"files": "heat.*", "encoding": "values"},
    "normals": {"files": "normals.*", "encoding": "rgb normals"},
}


def encoded(picture: np.ndarray, form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, form)
    return buffer.getvalue()


def archived(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, array)
    return buffer.getvalue()


def stored(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def contents() -> dict[str, bytes]:
    """A valid file for each kind of label and image."""
    image, classes, distance, edges = drawn_cells(0)
    normals = np.zeros((HEIGHT, WIDTH, 3))
    normals[..., 2] = 1
    return {
        "image.jpg": encoded(image, "JPEG"),
        "image.png": encoded(image, "PNG"),
        "image.webp": encoded(image, "WEBP"),
        "image.bmp": encoded(image, "BMP"),
        "ids.png": encoded(classes, "PNG"),
        "ids.tif": encoded(classes, "TIFF"),
        "colours.png": encoded(np.stack([70 * classes] * 3, -1), "PNG"),
        "mask.png": encoded(edges.astype(np.uint8) * 255, "PNG"),
        "depth.png": encoded((distance * 100).astype(np.uint16), "PNG"),
        "metres.npy": stored(distance),
        "metres.npz": archived(distance),
        "heat.npy": stored(distance.astype(np.float16)),
        "normals.png": encoded(np.rint((normals + 1) * 127.5).astype(np.uint8), "PNG"),
    }


CONTENTS = contents()


def outcome(root: pathlib.Path, name: str, data: bytes) -> str:
    """Write an image or a label of image "1" and load it: `loaded`, or the error."""
    what, _, suffix = name.partition(".")
    files = {"image/1.png": CONTENTS["image.png"]} if what != "image" else {}
    task = what if what != "image" else "heat"
    if what == "image":
        files["heat/1.npy"] = CONTENTS["heat.npy"]
    for file, content in {**files, f"{what}/1.{suffix}": data}.items():
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_bytes(content)
    label = {**LABELS[task], "files": f"{task}/*"}
    description = {"images": "image/*", "tasks": {task: label}, "splits": {}}
    try:
        dataset = _opened(root, description)
        sample = checked_sample(dataset.load("1"), dataset.specs, "1")
    except DataError as error:
        assert "1" in str(error) and "\n" not in str(error)[:-1]
        return str(error)
    assert sample.image.shape == (HEIGHT, WIDTH, 3)
    return "loaded"


def _opened(root: pathlib.Path, description: dict) -> Folder:
    """Open a folder with one image, which is also for validation."""
    (root / "train.txt").write_text("1\n")
    description = {**description, "splits": {"train": "train.txt", "val": "train.txt"}}
    return Folder(root, description=description, input_shape=(8, 8, 3))


@pytest.mark.parametrize("name", CONTENTS)
def test_valid_files_are_loaded(name, tmp_path):
    assert outcome(tmp_path, name, CONTENTS[name]) == "loaded"


def header_of(size: str) -> bytes:
    """A `.npy` file whose header claims more than it holds."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {size}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"1234"


def pickled() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([print, 1], object), allow_pickle=True)
    return buffer.getvalue()


def zero(shape, dtype, form="PNG"):
    return encoded(np.zeros(shape, dtype), form)


ODD = {
    # empty, cut, and other formats
    **{f"empty {name}": (name, b"", "damaged") for name in ("image.jpg", "ids.png", "metres.npy")},
    "empty archive": ("metres.npz", b"", "damaged"),
    **{
        f"cut {name}": (name, CONTENTS[name][: len(CONTENTS[name]) // 2], "damaged")
        for name in ("image.jpg", "image.png", "ids.png", "depth.png", "metres.npy", "metres.npz")
    },
    "html image": ("image.jpg", b"<html>not here</html>", "damaged or not an image"),
    "html label": ("ids.png", b"<html>not here</html>", "damaged or not an image"),
    "text array": ("metres.npy", b"1 2 3\n4 5 6", "not a NumPy array"),
    "png as npy": ("metres.npy", CONTENTS["ids.png"], "not a NumPy array"),
    "npy as png": ("ids.png", CONTENTS["metres.npy"], "not an image"),
    "postscript": ("image.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9", "an image"),
    "svg": ("image.svg", b"<svg/>", "no plain image format"),
    "heic": ("image.heic", b"\0\0\0\x18ftypheic", "HEIC, which is not read"),
    "raw": ("image.NEF", b"II*\0", "raw format"),
    # claims and code
    "huge array": ("metres.npy", header_of("(99999999, 99999999)"), "claims"),
    "negative array": ("metres.npy", header_of("(-1, 4)"), "claims|damaged"),
    "pickle": ("metres.npy", pickled(), "pickled objects"),
    "two arrays": ("metres.npz", None, "has 2 arrays"),
    "text numbers": ("metres.npy", stored(np.full((HEIGHT, WIDTH), "a")), "must hold numbers"),
    "complex": ("metres.npy", stored(np.zeros((HEIGHT, WIDTH), complex)), "must hold numbers"),
    # sizes and channels
    "other size": ("ids.png", zero((5, 7), np.uint8), "is 5x7, and the image is 48x64"),
    "turned": ("ids.png", zero((WIDTH, HEIGHT), np.uint8), "EXIF orientation"),
    "one pixel": ("depth.png", zero((1, 1), np.uint16), "is 1x1"),
    "a line": ("metres.npy", stored(np.zeros(9)), "one number per pixel|is 9"),
    "four axes": ("metres.npy", stored(np.zeros((1, HEIGHT, WIDTH, 1))), "one number per pixel"),
    "channels first": ("metres.npy", stored(np.zeros((1, HEIGHT, WIDTH))), "one number per pixel"),
    "no pixel": ("metres.npy", stored(np.zeros((0, 0))), "is 0x0"),
    "colours as ids": ("ids.png", CONTENTS["image.png"], "one number per pixel"),
    "grey as normals": ("normals.png", zero((HEIGHT, WIDTH), np.uint8), "colours"),
    # values
    "unknown id": ("ids.png", encoded(np.full((HEIGHT, WIDTH), 9, np.uint8), "PNG"), "holds 9"),
    "jpeg ids": ("ids.jpg", zero((HEIGHT, WIDTH), np.uint8, "JPEG"), "JPEG file, which changes"),
    "jpeg colours": ("colours.jpg", zero((HEIGHT, WIDTH, 3), np.uint8, "JPEG"), "JPEG file"),
    "unknown colour": ("colours.png", CONTENTS["image.png"], "neither in classes nor in ignore"),
    "soft mask": ("mask.png", encoded(np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
                                      .astype(np.uint8), "PNG"), "add threshold"),
    "millimetres as metres": ("metres.npy", stored(np.full((HEIGHT, WIDTH), 2500.0)), "metres"),
    "negative depth": ("metres.npy", stored(np.full((HEIGHT, WIDTH), -1.0)), "metres"),
    "half an id": ("ids.npy", stored(np.full((HEIGHT, WIDTH), 0.5)), "fractions"),
    "huge values": ("heat.npy", stored(np.full((HEIGHT, WIDTH), 1e300)), "finite"),
    # images
    "16-bit image": ("image.png", zero((HEIGHT, WIDTH), np.uint16), "8-bit channels"),
    "float image": ("image.tif", zero((HEIGHT, WIDTH), np.float32, "TIFF"), "8-bit channels"),
}  # fmt: skip
LOADED = {
    "black": ("image.jpg", zero((HEIGHT, WIDTH, 3), np.uint8, "JPEG")),
    "grey": ("image.jpg", zero((HEIGHT, WIDTH), np.uint8, "JPEG")),
    "alpha": ("image.png", zero((HEIGHT, WIDTH, 4), np.uint8)),
    "upper case": ("image.PNG", CONTENTS["image.png"]),
    "wrong suffix": ("image.jpg", CONTENTS["image.png"]),
    "grey ids in colours": ("ids.png", zero((HEIGHT, WIDTH, 3), np.uint8)),
    "ids of 16 bits": ("ids.png", zero((HEIGHT, WIDTH), np.uint16)),
    "ids as floats": ("ids.npy", stored(np.zeros((HEIGHT, WIDTH)))),
    "ids as int64": ("ids.npy", stored(np.zeros((HEIGHT, WIDTH, 1), np.int64))),
    "all ignored": ("ids.png", encoded(np.full((HEIGHT, WIDTH), 255, np.uint8), "PNG")),
    "mask of bits": ("mask.png", encoded(np.zeros((HEIGHT, WIDTH), bool), "PNG")),
    "mask of bools": ("mask.npy", stored(np.ones((HEIGHT, WIDTH), bool))),
    "no depth": ("depth.png", zero((HEIGHT, WIDTH), np.uint16)),
    "NaN": ("metres.npy", stored(np.full((HEIGHT, WIDTH), np.nan))),
    "infinity": ("heat.npy", stored(np.full((HEIGHT, WIDTH), np.inf))),
    "fortran order": ("metres.npy", stored(np.asfortranarray(np.ones((HEIGHT, WIDTH))))),
    "big endian": ("metres.npy", stored(np.ones((HEIGHT, WIDTH), ">f4"))),
    "no normal": ("normals.png", zero((HEIGHT, WIDTH, 3), np.uint8)),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_files_end_in_one_line(kind, tmp_path):
    name, data, message = ODD[kind]
    if data is None:
        buffer = io.BytesIO()
        np.savez(buffer, a=np.zeros(1), b=np.zeros(1))
        data = buffer.getvalue()
    text = outcome(tmp_path, name, data)
    assert re.search(message, text), text


@pytest.mark.parametrize("kind", LOADED)
def test_odd_files_that_are_right(kind, tmp_path):
    assert outcome(tmp_path, *LOADED[kind]) == "loaded"


# === Fuzzing ===


def mutated(data: bytes, r: np.random.Generator) -> bytes:
    """Bytes changed, removed, inserted or cut, mostly near the header."""
    content = bytearray(data)
    for _ in range(int(r.integers(1, 6))):
        end = len(content) if r.random() < 0.5 else min(len(content), 64)
        at = int(r.integers(0, max(1, end)))
        match int(r.integers(0, 5)):
            case 0:
                content[at : at + 1] = bytes([int(r.integers(0, 256))])
            case 1:
                del content[at : at + int(r.integers(1, 9))]
            case 2:
                content[at:at] = r.bytes(int(r.integers(1, 9)))
            case 3:
                content = content[:at] if r.random() < 0.3 else content
            case _:
                content[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(content)


def fuzz(root, count, seed):
    r = np.random.default_rng(seed)
    names = list(CONTENTS)
    results = {"loaded": 0, "error": 0}
    for i in range(count):
        name = names[i % len(names)]
        data = mutated(CONTENTS[name], r)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = outcome(root / str(i % len(names)), name, data)
        results["loaded" if text == "loaded" else "error"] += 1
    return results


@pytest.fixture
def rooms(tmp_path):
    for i in range(len(CONTENTS)):
        (tmp_path / str(i)).mkdir()
    return tmp_path


def test_mutated_files_load_or_raise_a_data_error(rooms):
    results = fuzz(rooms, 130, seed=0)
    assert results["error"] > 30


@pytest.mark.slow
def test_two_thousand_mutated_files(rooms):
    results = fuzz(rooms, 2000, seed=1)
    assert results["error"] > 500 and results["loaded"] > 50


@pytest.mark.parametrize("seed", range(3))
def test_mutated_descriptions_are_read_or_refused(seed, tmp_path):
    r = np.random.default_rng(seed)
    text = yaml.safe_dump(DESCRIPTION, sort_keys=False).encode()
    for _ in range(60):
        (tmp_path / "data.yaml").write_bytes(mutated(text, r))
        try:
            read_description(tmp_path)
        except ValueError as error:
            assert "data.yaml" in str(error)


def test_a_draft_of_mutated_files_is_drawn_or_refused(tmp_path):
    r = np.random.default_rng(5)
    for i, (name, data) in enumerate(CONTENTS.items()):
        folder, _, suffix = name.partition(".")
        (tmp_path / folder).mkdir(exist_ok=True)
        content = data if i % 3 else mutated(data, r)
        (tmp_path / folder / f"{i}.{suffix}").write_bytes(content)
    try:
        text, _ = draft(tmp_path)
        yaml.safe_load(text)
    except DataError:
        pass
