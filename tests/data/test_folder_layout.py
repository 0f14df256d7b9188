"""Folders with lists of ids: splits, alternatives, unusual ids."""

import pathlib

import pytest

from mtl_tf.data.folder_layout import FolderLayout


def test_one_list_is_split(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ids.txt").write_text("a\nb\nc\nd\n")
    layout = FolderLayout({"image": "rgb/{id}.jpg"})
    assert layout.splits(tmp_path, 3) == {"train": ["b", "c"], "val": ["a", "d"]}
    with pytest.raises(ValueError, match="val_every must be at least 2"):
        layout.splits(tmp_path, 1)


def test_lists_of_splits(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "train.txt").write_text("b\n")
    (tmp_path / "sets" / "val.txt").write_text("a\n")
    layout = FolderLayout({}, lists="sets/{split}.txt")
    assert layout.splits(tmp_path) == {"train": ["b"], "val": ["a"]}


def test_the_first_existing_alternative(tmp_path: pathlib.Path) -> None:
    layout = FolderLayout({"image": "rgb/{id}.jpg", "edges": ("edge/{id}.npy", "edge/{id}.png")})
    array, picture = (tmp_path / "edge" / f"x/{{0}}.{suffix}" for suffix in ("npy", "png"))
    paths = layout.paths(tmp_path, "x/{0}")
    assert paths == {"image": tmp_path / "rgb" / "x" / "{0}.jpg", "edges": array}
    picture.parent.mkdir(parents=True)
    picture.touch()
    assert layout.paths(tmp_path, "x/{0}")["edges"] == picture
