"""Splits: by shares, lists and folders."""

import pytest

from mtl_tf.data import DataError
from mtl_tf.data.folder.description import Description
from mtl_tf.data.folder.splits import split_by_share, split_ids

IDS = [f"{i:03}" for i in range(100)]


def described(images="*.png", **values):
    labels = {"depth": {"files": "*.npy", "encoding": "m"}}
    if "{split}" in images:
        labels["depth"]["files"] = "{split}/*.npy"
    return Description(images=images, tasks=labels, **values)


def test_shares():
    splits = split_by_share(IDS, {"val": 0.2, "test": 0.1}, seed=0)
    assert {k: len(v) for k, v in splits.items()} == {"train": 70, "val": 20, "test": 10}
    assert sorted(i for ids in splits.values() for i in ids) == IDS
    assert splits["val"] == sorted(splits["val"])
    assert split_by_share(IDS, {"val": 0.2, "test": 0.1}, seed=0) == splits
    assert split_by_share(IDS, {"val": 0.2}, seed=1)["val"] != splits["val"]
    more = split_by_share([*IDS, "a", "b"], {"val": 0.2}, seed=0)
    assert len(set(more["val"]) & set(splits["val"])) >= 18


def test_a_tenth_is_the_default(tmp_path):
    splits = split_ids(tmp_path, described(), dict.fromkeys(IDS, ""))
    assert len(splits["val"]) == 10 and len(splits["train"]) == 90


def test_lists(tmp_path):
    (tmp_path / "a.txt").write_text("001\nphotos/002.png\n\n003.png\n")
    (tmp_path / "b.txt").write_text("004\n")
    texts = {"train": "a.txt", "val": "b.txt"}
    splits = split_ids(tmp_path, described(splits=texts), dict.fromkeys(IDS, ""))
    assert splits == {"train": ["001", "002", "003"], "val": ["004"]}
    (tmp_path / "b.txt").write_text("9\n")
    with pytest.raises(DataError, match=r"b.txt: '9' names no image. Ids look like '000'"):
        split_ids(tmp_path, described(splits=texts), dict.fromkeys(IDS, ""))
    (tmp_path / "b.txt").write_text("1\n")
    with pytest.raises(DataError, match=r"'1' could be \['x/1', 'y/1'\]"):
        split_ids(tmp_path, described(splits={**texts, "train": "b.txt"}), {"x/1": "", "y/1": ""})


@pytest.mark.parametrize("names", [("train", "val"), ("training", "validation")])
def test_folders(tmp_path, names):
    split_of = {f"{name}/{i}": name for name in names for i in range(3)}
    splits = split_ids(tmp_path, described("{split}/*.png"), split_of)
    assert splits == {
        "train": [f"{names[0]}/{i}" for i in range(3)],
        "val": [f"{names[1]}/{i}" for i in range(3)],
    }


def test_paths_in_lists(tmp_path):
    ids = dict.fromkeys(("seq1/0001", "seq2/0001", "seq2/0002"), "")
    (tmp_path / "a.txt").write_text("seq2/0001.png\nphotos/seq2/0002.png\n")
    (tmp_path / "b.txt").write_text("seq1/0001\n")
    texts = {"train": "a.txt", "val": "b.txt"}
    splits = split_ids(tmp_path, described(splits=texts), ids)
    assert splits == {"train": ["seq2/0001", "seq2/0002"], "val": ["seq1/0001"]}
    (tmp_path / "b.txt").write_text("seq3/0001.png\n")
    with pytest.raises(DataError, match=r"'seq3/0001\.png' names no image"):
        split_ids(tmp_path, described(splits=texts), ids)
    (tmp_path / "b.txt").write_text("seq2/0001\n")
    with pytest.raises(DataError, match=r"a.txt and b.txt share 1 images, such as 'seq2/0001'"):
        split_ids(tmp_path, described(splits=texts), ids)


def test_a_share_of_the_folder_for_training(tmp_path):
    split_of = {f"Train/{i}": "Train" for i in range(10)} | {"test/1": "test"}
    texts = {"train": "Train", "val": 0.2, "test": "test"}
    splits = split_ids(tmp_path, described("{split}/*.png", splits=texts), split_of)
    assert [len(splits[s]) for s in ("train", "val", "test")] == [8, 2, 1]
    assert not set(splits["train"]) & set(splits["val"])


def test_folders_with_other_names(tmp_path):
    split_of = {"alpha/1": "alpha", "beta/1": "beta"}
    with pytest.raises(DataError, match=r"stands for 'alpha', 'beta': say in data\.yaml"):
        split_ids(tmp_path, described("{split}/*.png"), split_of)
    texts = {"train": "beta", "val": "alpha"}
    splits = split_ids(tmp_path, described("{split}/*.png", splits=texts), split_of)
    assert splits == {"train": ["beta/1"], "val": ["alpha/1"]}
