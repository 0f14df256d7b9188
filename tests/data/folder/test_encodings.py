"""Encodings: from the numbers of a file to a target and its mask."""

import pathlib

import numpy as np
import pytest

from mtl_tf.data import DataError
from mtl_tf.data.folder.annotators import merge
from mtl_tf.data.folder.description import Label
from mtl_tf.data.folder.encodings import decode
from mtl_tf.targets import TargetKind

PNG, NPY = pathlib.Path("a.png"), pathlib.Path("a.npy")
U8, U16, F32 = np.uint8, np.uint16, np.float32


def label(encoding, **values):
    return Label(files="*.png", encoding=encoding, **values)


def test_class_ids():
    numbers = np.array([[0, 2], [255, 7]], U8)
    described = label("class ids", num_classes=3, ignore=[255, 7])
    target, mask = decode(numbers, described, PNG)
    np.testing.assert_array_equal(target, [[0, 2], [0, 0]])
    np.testing.assert_array_equal(mask, [[1, 1], [0, 0]])
    assert target.dtype == np.int32
    grey = np.stack([numbers] * 3, -1)
    np.testing.assert_array_equal(decode(grey, described, PNG)[0], target)
    np.testing.assert_array_equal(decode(numbers[..., None] * 1.0, described, NPY)[0], target)


def test_class_ids_by_name():
    numbers = np.array([[7, 8], [0, 26]], U8)
    described = label("class ids", classes={7: "road", 26: "car"}, ignore="others")
    target, mask = decode(numbers, described, PNG)
    np.testing.assert_array_equal(target, [[0, 0], [0, 1]])
    np.testing.assert_array_equal(mask, [[1, 0], [0, 1]])
    with pytest.raises(
        DataError, match=r"a.png holds 0, 8, which are neither in classes nor in ig"
    ):
        decode(numbers, label("class ids", classes={7: "road", 26: "car"}), PNG)


def test_class_colours():
    red, green, black = [255, 0, 0], [0, 255, 0], [0, 0, 0]
    numbers = np.array([[red, green], [black, red]], U8)
    described = label("class colours", classes={"red": red, "green": green}, ignore=black)
    target, mask = decode(numbers, described, PNG)
    np.testing.assert_array_equal(target, [[0, 1], [0, 0]])
    np.testing.assert_array_equal(mask, [[1, 1], [0, 1]])
    assert described.class_names == ("red", "green") and described.class_colours[1] == (0, 255, 0)
    with pytest.raises(DataError, match=r"holds \[0, 0, 0\], which are"):
        decode(numbers, label("class colours", classes={"red": red, "green": green}), PNG)


@pytest.mark.parametrize(
    ("encoding", "numbers", "values", "target", "mask"),
    [
        ("binary", np.array([[0, 255]], U8), {}, [[0, 1]], [[1, 1]]),
        ("png binary 0/1", np.array([[0, 1]], U8), {}, [[0, 1]], [[1, 1]]),
        ("binary", np.array([[False, True]]), {}, [[0, 1]], [[1, 1]]),
        ("binary", np.array([[0, 255, 128]], U8), {"invalid": 128}, [[0, 1, 0]], [[1, 1, 0]]),
        ("binary", np.array([[3, 250]], U8), {"threshold": 128}, [[0, 1]], [[1, 1]]),
        ("share", np.array([[0, 51]], U8), {}, [[0, 0.2]], [[1, 1]]),
        ("16-bit share", np.array([[0, 65535]], U16), {}, [[0, 1]], [[1, 1]]),
        ("png 16-bit mm", np.array([[0, 1500]], U16), {}, [[0, 1.5]], [[0, 1]]),
        ("cm", np.array([[0, 250]], U8), {"invalid": ()}, [[0, 2.5]], [[1, 1]]),
        ("m", np.array([[np.nan, 2.5, 0, np.inf]], F32), {}, [[0, 2.5, 0, 0]], [[0, 1, 0, 0]]),
        ("m", np.array([[0, 10]], U8), {"scale": 0.04, "offset": 0.02, "invalid": ()},
         [[0.02, 0.42]], [[1, 1]]),
        ("values", np.array([[-3, 4]], np.int32), {"scale": 0.5}, [[-1.5, 2]], [[1, 1]]),
        ("values", np.array([[-1, 4]], F32), {"invalid": -1}, [[0, 4]], [[0, 1]]),
        ("values", np.array([[0.1, 4]], F32), {"invalid": 0.1}, [[0, 4]], [[0, 1]]),
        ("values", np.array([[0, 4]], F32), {"kind": "distance"}, [[0, 4]], [[0, 1]]),
        ("1-bit binary", np.array([[False, True]]), {}, [[0, 1]], [[1, 1]]),
    ],
)  # fmt: skip
def test_numbers(encoding, numbers, values, target, mask):
    found, valid = decode(numbers, label(encoding, **values), PNG)
    np.testing.assert_allclose(np.where(valid, found, 0), target, atol=1e-6)
    np.testing.assert_array_equal(valid, mask)
    assert found.dtype == F32


def test_several_channels():
    numbers = np.array([[[1, 2], [np.nan, 3]]], F32)
    target, mask = decode(numbers, label("values", channels=2), NPY)
    np.testing.assert_array_equal(target, [[[1, 2], [0, 0]]])
    np.testing.assert_array_equal(mask, [[1, 0]])
    with pytest.raises(DataError, match=r"must hold 3 channels. It has 1x2x2 float32"):
        decode(numbers, label("values", channels=3), NPY)


@pytest.mark.parametrize(("dtype", "largest"), [(U8, 255), (U16, 65535)])
def test_normals(dtype, largest):
    normals = np.array([[[0.6, 0, 0.8], [0, -1, 0], [0, 0, 0]]])
    colours = np.rint((normals + 1) / 2 * largest).astype(dtype)
    target, mask = decode(colours, label("rgb normals"), PNG)
    np.testing.assert_array_equal(mask, [[1, 1, 0]])
    np.testing.assert_allclose(target[0, :2], normals[0, :2], atol=0.01)
    turned, _ = decode(colours, label("rgb normals", axes=("left", "down", "away")), PNG)
    np.testing.assert_allclose(turned, -target, atol=1e-6)
    swapped, _ = decode(colours, label("rgb normals", axes=("up", "toward", "right")), PNG)
    np.testing.assert_allclose(swapped, target[..., [2, 0, 1]], atol=1e-6)
    vectors, _ = decode(normals.astype(F32), label("vectors"), NPY)
    np.testing.assert_allclose(vectors, normals, atol=1e-6)
    black = np.zeros((1, 1, 3), dtype)
    assert not decode(black, label("rgb normals"), PNG)[1].any()


@pytest.mark.parametrize(
    ("encoding", "numbers", "path", "values", "message"),
    [
        ("class ids", np.zeros((2, 2), U8), "a.jpg", {"num_classes": 2}, "JPEG file, which"),
        ("class ids", np.full((2, 2), 0.5), "a.npy", {"num_classes": 2}, "fractions"),
        ("class ids", np.arange(12, dtype=U8).reshape(2, 2, 3), "a.png", {"num_classes": 2},
         "one number per pixel"),
        ("class ids", np.arange(9, dtype=U8).reshape(3, 3), "a.png", {"num_classes": 2},
         r"holds 2, 3, 4, 5, 6 and 2 more, which"),
        ("binary", np.array([[0, 7]], U8), "a.png", {}, "add threshold: 128"),
        ("share", np.array([[0, 7.0]]), "a.npy", {}, "from 0 to 7"),
        ("png mm", np.zeros((2, 2), U16), "a.npy", {}, "is no png file"),
        ("png 16-bit mm", np.zeros((2, 2), U8), "a.png", {}, "has 8-bit numbers"),
        ("vectors", np.full((1, 1, 3), 9.0), "a.npy", {}, "The longest has length 15"),
        ("rgb normals", np.zeros((2, 2), U8), "a.png", {}, r"\[H, W, 3\]. It has 2x2 uint8"),
        ("share", np.zeros((2, 2), np.int64), "a.npy", {}, "of int64 it is unknown"),
        ("class colours", np.zeros((2, 2), U8), "a.png", {"classes": {"a": [0, 0, 0]}}, "colours"),
    ],
)  # fmt: skip
def test_what_does_not_fit(encoding, numbers, path, values, message):
    with pytest.raises(DataError, match=message):
        decode(numbers, label(encoding, **values), pathlib.Path(path))


# === Several annotators ===


def decoded(*targets, mask=None):
    return [
        (np.array(t), np.ones(np.shape(t)[:2], bool) if mask is None else mask) for t in targets
    ]


def test_the_most_frequent_class():
    target, mask = merge(decoded([[0, 1, 2]], [[0, 1, 1]], [[0, 2, 0]]), TargetKind.CLASSES)
    np.testing.assert_array_equal(target, [[0, 1, 0]])
    np.testing.assert_array_equal(mask, [[1, 1, 0]])


def test_a_class_that_only_one_annotator_saw():
    a, b = np.array([[True, False]]), np.array([[False, False]])
    target, mask = merge([(np.array([[3, 1]]), a), (np.array([[2, 2]]), b)], TargetKind.CLASSES)
    np.testing.assert_array_equal(target, [[3, 0]])
    np.testing.assert_array_equal(mask, a)


@pytest.mark.parametrize(
    ("kind", "agreement", "target", "mask"),
    [
        (TargetKind.BINARY, None, [[0, 0, 1, 1]], [[1, 0, 1, 1]]),
        (TargetKind.BOUNDARY, None, [[0, 1, 1, 1]], [[1, 1, 1, 1]]),
        (TargetKind.BOUNDARY, 1.0, [[0, 0, 0, 1]], [[1, 0, 0, 1]]),
    ],
)
def test_agreement(kind, agreement, target, mask):
    labels = decoded([[0.0, 1, 1, 1]], [[0.0, 0, 1, 1]], [[0.0, 0, 0, 1]])
    found, valid = merge(labels, kind, agreement)
    np.testing.assert_array_equal(found, target)
    np.testing.assert_array_equal(valid, mask)


def test_means():
    a, b = np.array([[True, True]]), np.array([[True, False]])
    labels = [(np.array([[1.0, 2.0]], F32), a), (np.array([[3.0, 0.0]], F32), b)]
    target, mask = merge(labels, TargetKind.DISTANCE)
    np.testing.assert_array_equal(target, [[2, 2]])
    np.testing.assert_array_equal(mask, [[1, 1]])
    up, right = np.array([[[0, 1.0, 0]]]), np.array([[[1.0, 0, 0]]])
    target, mask = merge(decoded(up, right), TargetKind.DIRECTION)
    np.testing.assert_allclose(target[0, 0], [0.5**0.5, 0.5**0.5, 0], atol=1e-6)
    assert not merge(decoded(up, -up), TargetKind.DIRECTION)[1].any()
