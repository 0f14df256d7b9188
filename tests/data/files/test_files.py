"""Readers of single files: whatever is wrong is a DataError that names the file."""

from __future__ import annotations

import io
import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from mtl_tf.data import files
from mtl_tf.data.sample import DataError

GREY = np.arange(24 * 32, dtype=np.uint32).reshape(24, 32).astype(np.uint8)


def encoded(array: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, array, allow_pickle=True)
    elif kind == "npz":
        np.savez(buffer, array=array)
    else:
        Image.fromarray(array).save(buffer, kind)
    return buffer.getvalue()


def enormous_jpeg() -> bytes:
    """A JPEG whose header claims 65000x65000 pixels."""
    data = bytearray(encoded(GREY, "jpeg"))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = (65000).to_bytes(2, "big") * 2
    return bytes(data)


def npy_with_header(header: str) -> bytes:
    text = header.encode("latin1").ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)


COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)
BAD_IMAGES = {
    "truncated.jpg": encoded(COLOUR, "jpeg")[:-200],
    "truncated.png": encoded(COLOUR, "png")[:-200],
    "text.png": b"<html>404 not found</html>",
    "empty.png": b"",
    "enormous.jpg": enormous_jpeg(),
}
BAD_ARRAYS = {
    "truncated.npy": encoded(COLOUR, "npy")[:-1],
    "header_only.npy": encoded(COLOUR, "npy")[:40],
    "pickled.npy": encoded(np.array([{"a": 1}], object), "npy"),
    "complex.npy": encoded(COLOUR + 1j, "npy"),
    "words.npy": encoded(COLOUR.astype(str), "npy"),
    "text.npy": b"hello\n",
    "empty.npy": b"",
    "broken_zip.npy": b"PK\x03\x04" + bytes(60),
    "archive.npy": encoded(COLOUR, "npz"),
    "open_bracket.npy": npy_with_header("{'descr': '<f4', 'shape': (4, 4"),
    "enormous.npy": npy_with_header(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 40000), }"
    ),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
@pytest.mark.parametrize("reader", [files.read_image, files.read_map])
def test_damaged_images_are_named(reader, name: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / name
    path.write_bytes(BAD_IMAGES[name])
    with pytest.raises(DataError, match=re.escape(str(path))):
        reader(path)


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_damaged_arrays_are_named(name: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / name
    path.write_bytes(BAD_ARRAYS[name])
    with pytest.raises(DataError, match=re.escape(str(path))):
        files.read_array(path)


@pytest.mark.parametrize(
    "reader", [files.read_image, files.read_map, files.read_array, files.read_lines]
)
def test_missing_files_and_folders_are_named(reader, tmp_path: pathlib.Path) -> None:
    for path in (tmp_path / "none.dat", tmp_path):
        with pytest.raises(DataError, match=re.escape(str(path))):
            reader(path)


@pytest.mark.parametrize(
    "array", [GREY.astype(np.uint16), COLOUR, GREY > 100], ids=["16 bit", "colour", "1 bit"]
)
def test_maps_must_be_8_bit_of_one_channel(array: np.ndarray, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "map.png"
    path.write_bytes(encoded(array, "png"))
    with pytest.raises(DataError, match=re.escape(str(path))):
        files.read_map(path)


def test_maps_keep_their_codes_with_and_without_palette(tmp_path: pathlib.Path) -> None:
    palette = Image.fromarray(GREY % 7)
    palette.putpalette([9, 8, 7] * 256)
    for name, image, expected in [("l", Image.fromarray(GREY), GREY), ("p", palette, GREY % 7)]:
        image.save(tmp_path / f"{name}.png")
        codes = files.read_map(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(codes, expected)
        assert codes.dtype == np.uint8


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_images_are_rgb_whatever_their_mode(mode: str, tmp_path: pathlib.Path) -> None:
    image = Image.fromarray(COLOUR).convert(mode)
    image.save(tmp_path / "image.png")
    read = files.read_image(tmp_path / "image.png")
    assert read.shape == (24, 32, 3) and read.dtype == np.uint8
    np.testing.assert_array_equal(read, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("content", [b"", b"\n  \n", b"\xff\xfe\x00bad"])
def test_id_lists_must_hold_ids(content: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))):
        files.read_lines(path)


def test_id_lists_are_stripped(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ids.txt").write_bytes(b"0001\r\n\r\n 0002 \n0003")
    assert files.read_lines(tmp_path / "ids.txt") == ["0001", "0002", "0003"]


def test_the_first_file_that_exists(tmp_path: pathlib.Path) -> None:
    array, picture = tmp_path / "7.npy", tmp_path / "7.png"
    assert files.first_existing(array, picture) == array
    picture.touch()
    assert files.first_existing(array, picture) == picture
    array.touch()
    assert files.first_existing(array, picture) == array


def test_missing_files_are_counted_and_the_first_are_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "1.png").touch()
    paths = [tmp_path / f"{i}.png" for i in range(1, 8)]
    with pytest.raises(DataError, match=r"2\.png.*3\.png.*4\.png and 3 more"):
        files.require(paths)
    with pytest.raises(DataError, match=r"2\.png: missing"):
        files.require(paths[:2])
    files.require(paths[:1])


def test_arrays_are_read_as_they_are(tmp_path: pathlib.Path) -> None:
    np.save(tmp_path / "a.npy", COLOUR)
    np.testing.assert_array_equal(files.read_array(tmp_path / "a.npy"), COLOUR)


@pytest.mark.parametrize(
    "bad",
    [np.nan, np.inf, -np.inf, -0.1, 1e300, np.zeros((2, 3)), np.zeros(4)],
    ids=["nan", "inf", "-inf", "negative", "too large", "3-d", "1-d"],
)
def test_depth_must_be_finite_metres(bad: object) -> None:
    depth = np.full((2, 3), 2.0)
    if np.ndim(bad):
        depth = np.zeros((2, 3, 2)) if np.ndim(bad) == 2 else np.asarray(bad)
    else:
        depth[1, 2] = bad
    with pytest.raises(DataError, match=r"some/depth\.npy"):
        files.checked_depth(depth, "some/depth.npy")


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (1, 2, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.uint16])
def test_good_depth_becomes_float32(shape: tuple[int, ...], dtype: type) -> None:
    depth = np.arange(6).reshape(shape).astype(dtype)
    checked = files.checked_depth(depth, "depth.npy")
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, np.arange(6).reshape(2, 3))


@pytest.mark.parametrize(("label", "fails"), [(0, False), (12, False), (13, True), (-1, True)])
def test_classes_must_be_in_range_where_valid(label: int, fails: bool) -> None:
    labels, valid = np.array([[1, label], [2, 77]]), np.array([[True, True], [True, False]])
    if fails:
        with pytest.raises(DataError, match=rf"x\.png holds class {label}.*0\.\.12"):
            files.check_classes(labels, valid, 13, "x.png")
    else:
        files.check_classes(labels, valid, 13, "x.png")
    files.check_classes(labels, np.zeros_like(valid), 13, "x.png")


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("L", ".jpg"),
        ("CMYK", ".jpg"),
        ("L", ".png"),
        ("P", ".png"),
        ("LA", ".png"),
        ("RGBA", ".png"),
        ("1", ".png"),
    ],
)
def test_photographs_of_other_modes_become_rgb(
    tmp_path: pathlib.Path, mode: str, suffix: str
) -> None:
    smooth = np.linspace(20, 230, 16 * 24).reshape(16, 24).astype(np.uint8)
    photo = Image.fromarray(np.stack([smooth, smooth, smooth], -1)).convert(mode)
    photo.save(tmp_path / f"photo{suffix}")
    found = files.read_image(tmp_path / f"photo{suffix}")
    assert found.shape == (16, 24, 3) and found.dtype == np.uint8
    far = 255 if mode in ("1", "P") else 12  # few colours are dithered, JPEG rounds
    assert np.abs(found.astype(int) - smooth[..., None]).max() <= far
    assert found.mean() == pytest.approx(smooth.mean(), abs=8)


def test_maps_of_other_depths_are_refused(tmp_path: pathlib.Path) -> None:
    deep = np.full((4, 5), 300, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(files.read_map_16(tmp_path / "deep.png"), deep)
    for read in (files.read_map, files.read_image):
        with pytest.raises(DataError, match=r"deep\.png.*8-bit"):
            read(tmp_path / "deep.png")
    Image.fromarray(deep.astype(np.uint8)).save(tmp_path / "flat.png")
    with pytest.raises(DataError, match=r"flat\.png.*16-bit"):
        files.read_map_16(tmp_path / "flat.png")
