"""Splits of the images of a folder: by shares, lists or folders."""

import hashlib
import pathlib
from collections.abc import Mapping, Sequence

from mtl_tf.data import files
from mtl_tf.data.folder.description import FILE, Description
from mtl_tf.data.sample import DataError
from mtl_tf.text import shown

_DEFAULT_SHARE = 0.1
USUAL_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Usual texts of `{split}`."""


def split_ids(
    root: pathlib.Path, description: Description, split_of: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the ids of each split.

    Args:
        root: the folder.
        description: of the folder.
        split_of: `{id: text of {split}}` of all images, in order.

    Returns:
        `{"train": ids, "val": ids}`, and `"test"` if the description has one.

    Raises:
        DataError: if a list names an image that does not exist, or a split is empty.
    """
    given = description.splits
    if "{split}" in description.images.files:
        return _by_folder({k: str(v) for k, v in given.items()}, split_of)
    lists = {split: value for split, value in given.items() if isinstance(value, str)}
    if lists:
        return {split: _listed(root / name, split_of) for split, name in lists.items()}
    shares = {str(k): v for k, v in given.items() if isinstance(v, float)}
    shares = shares or {"val": _DEFAULT_SHARE}
    return split_by_share(list(split_of), shares, description.seed)


def split_by_share(
    ids: Sequence[str], shares: Mapping[str, float], seed: int
) -> dict[str, list[str]]:
    """Split ids at random; the split of an image hardly changes when others are added.

    Args:
        ids: of all images.
        shares: of the ids, `{"val": 0.1}`; at least one image each.
        seed: of the random order.

    Returns:
        `{"train": ids, ...}`, each in the order of `ids`.

    >>> split_by_share(["a", "b", "c", "d"], {"val": 0.25}, seed=0)
    {'train': ['a', 'b', 'd'], 'val': ['c']}
    """
    order = sorted(ids, key=lambda i: hashlib.sha256(f"{seed}:{i}".encode()).digest())
    splits, start = {}, 0
    for split, share in shares.items():
        count = max(1, round(share * len(ids)))
        splits[split] = set(order[start : start + count])
        start += count
    chosen = {"train": set(order[start:]), **splits}
    return {split: [i for i in ids if i in of_split] for split, of_split in chosen.items()}


def _by_folder(names: Mapping[str, str], split_of: Mapping[str, str]) -> dict[str, list[str]]:
    texts = dict.fromkeys(split_of.values())
    chosen = names or {
        split: name for split, usual in USUAL_FOLDERS.items() for name in usual if name in texts
    }
    missing = {"train", "val"} - chosen.keys()
    if missing:
        raise DataError(
            f"{{split}} stands for {', '.join(map(repr, texts)) or 'nothing'}: say in {FILE} which "
            "are for what, splits: {train: ..., val: ...}"
        )
    return {
        split: [i for i, text in split_of.items() if text == name] for split, name in chosen.items()
    }


def _listed(path: pathlib.Path, split_of: Mapping[str, str]) -> list[str]:
    """Return the ids in a list; its lines may also be names of files."""
    ids: list[str] = []
    by_name: dict[str, list[str]] = {}
    for image_id in split_of:
        by_name.setdefault(image_id.rsplit("/", 1)[-1], []).append(image_id)
    for line in files.read_lines(path):
        name = line.rsplit("/", 1)[-1]
        stem = name.rsplit(".", 1)[0]
        candidates = [line] if line in split_of else by_name.get(name) or by_name.get(stem) or []
        if len(candidates) != 1:
            what = "names no image" if not candidates else f"could be {candidates[:3]}"
            raise DataError(
                f"{shown(path)}: {line!r} {what}. Ids look like {next(iter(split_of))!r}"
            )
        ids += candidates
    files.check_ids(ids, path)
    return ids
