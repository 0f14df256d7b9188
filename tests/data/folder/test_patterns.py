"""Patterns: which files match, and which of them belong to one image."""

import os
import unicodedata

import pytest

from mtl_tf.data import DataError
from mtl_tf.data.folder.patterns import Pattern

FILES = (
    "rgb/a 1.JPG", "rgb/b.png", "rgb/.hidden.jpg", "rgb/c.tar.png", "rgb/notes", "train/x/1.png",
    "train/y/z/2.png", "val/3.png", "edges/a_1.png", "edges/a_2.png", "edges/b_c_1.png",
)  # fmt: skip


@pytest.fixture
def root(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rgb/*.jpg", [(("a 1",), "", "")]),
        ("rgb/*.{jpg,png}", [(("a 1",), "", ""), (("b",), "", ""), (("c.tar",), "", "")]),
        ("rgb/*", [((name,), "", "") for name in ("a 1", "b", "c.tar", "notes")]),
        ("{split}/**/*.png", None),
        ("{split}/*/*.png", [(("x", "1"), "train", "")]),
        ("edges/*_{annotator}.png",
         [(("a",), "", "1"), (("a",), "", "2"), (("b_c",), "", "1")]),
        ("edges/?_*.png", [(("a", "1"), "", ""), (("a", "2"), "", ""), (("b", "c_1"), "", "")]),
        ("RGB/*.jpg", []),
        ("absent/*.jpg", []),
    ],
)  # fmt: skip
def test_what_matches(root, text, expected):
    found = [(m.key, m.split, m.annotator) for m in Pattern(text).matches(root)]
    if expected is None:
        assert (("x", "1"), "train", "") in found and (("y/z", "2"), "train", "") in found
        assert (("", "3"), "val", "") in found
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rgb/a.png", r"needs a \*"), ("", "relative"), ("/rgb/*.png", "relative"),
        ("../*.png", "relative"), ("a//*.png", "relative"), ("a\\*.png", "relative"),
        ("a**b/*.png", r"\*\*/\*"),
    ],
)  # fmt: skip
def test_what_is_no_pattern(text, message):
    with pytest.raises(ValueError, match=message):
        Pattern(text)


def test_composed_and_decomposed_characters_are_the_same(tmp_path):
    composed = "Brücke"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    (tmp_path / f"{decomposed}.png").touch()
    (match,) = Pattern("*.png").matches(tmp_path)
    assert match.key == (composed,) and match.path.exists()


def test_links_are_followed_and_loops_end(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert len(Pattern("*/*.png").matches(tmp_path)) == 2
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    with pytest.raises(DataError, match="folders deep"):
        Pattern("**/*.png").matches(tmp_path)


def test_a_folder_that_cannot_be_read(tmp_path):
    if os.getuid() == 0:
        (tmp_path / "x").touch()
        with pytest.raises(DataError, match="cannot be read"):
            Pattern("*/*.png").matches(tmp_path / "x")
        return
    (tmp_path / "a").mkdir(mode=0)
    with pytest.raises(DataError, match="cannot be read"):
        Pattern("a/*.png").matches(tmp_path)


def test_many_files(tmp_path):
    for i in range(2000):
        (tmp_path / f"{i:05}.png").touch()
    matches = Pattern("*.png").matches(tmp_path)
    assert [m.key[0] for m in matches] == [f"{i:05}" for i in range(2000)]
