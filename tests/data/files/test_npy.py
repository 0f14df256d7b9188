"""The decoder of `.npy`: what NumPy writes comes back, and no header runs Python's parser."""

from __future__ import annotations

import ast
import io

import numpy as np
import pytest

from mtl_tf.data.files import decode_npy

GENERATOR = np.random.default_rng(0)
ARRAYS = {
    **{
        dtype: GENERATOR.integers(0, 100, (3, 4)).astype(dtype)
        for dtype in ("?", "u1", "i1", ">u2", "<i4", "u8", "f2", "<f4", ">f8", "c8", "U3", "S2")
    },
    "scalar": np.array(2.5),
    "vector": np.arange(5),
    "five axes": np.arange(24.0).reshape(1, 2, 3, 4, 1),
    "empty": np.zeros((0, 4), np.float32),
    "columns first": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
}


def saved(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return decode_npy(io.BytesIO(content), len(content))


def with_header(header: str, values: int = 64) -> bytes:
    text = header.encode("latin1") + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(values)


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("name", ARRAYS)
def test_what_numpy_saves_comes_back(name: str, version: tuple[int, int]) -> None:
    array = ARRAYS[name]
    again = decoded(saved(array, version))
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype and again.shape == array.shape
    assert again.flags.f_contiguous == array.flags.f_contiguous
    assert again.flags.writeable


def test_pythons_parser_has_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: object, **__: object) -> None:
        raise SystemError("AST constructor recursion depth mismatch (before=42, after=38)")

    monkeypatch.setattr(ast, "parse", parse)
    array = np.arange(6, dtype=np.uint16).reshape(2, 3)
    with pytest.raises((SystemError, ValueError)):  # the parser is what NumPy uses
        np.load(io.BytesIO(saved(array)))
    np.testing.assert_array_equal(decoded(saved(array)), array)


@pytest.mark.parametrize(
    "header",
    [
        "{'shape':(2,3),'descr':'<f4','fortran_order':False}",
        '{"descr": "<f4", "fortran_order": False, "shape": (2, 3,)}',
    ],
)
def test_headers_of_other_writers(header: str) -> None:
    assert decoded(with_header(header)).shape == (2, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved(np.zeros(3))[:-1], "claims 24 bytes of numbers, there are 23"),
        (saved(np.zeros(3))[:40], "must describe an array of numbers"),
        (saved(np.zeros(3))[:9], "must describe an array of numbers"),
        (b"", "does not begin with"),
        (b"\x93NUMPY\x04\x00" + bytes(200), "version 4 of the format"),
        (b"\x93NUMPY\x02\x00" + b"\xff" * 8, "claims to have 4294967295 bytes"),
        (saved(np.zeros(2, [("x", "f4")])), "must describe an array of numbers"),
        (with_header("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}"), "pickled objects"),
        (
            with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}"),
            "must describe an array of numbers",
        ),
        (
            with_header("{'descr': '<q9', 'fortran_order': False, 'shape': (2,)}"),
            "not understood|Invalid|must describe",
        ),
        (
            with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999, 9)}"),
            "claims 359999999999964 bytes",
        ),
    ],
)
def test_damaged_headers_are_errors(content: bytes, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        decoded(content)
