"""Splits of the images of a folder: by shares, lists or folders."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence

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
        return _by_folder({str(k): v for k, v in given.items()}, split_of, description.seed)
    lists = {str(split): value for split, value in given.items() if isinstance(value, str)}
    if lists:
        splits = {split: _listed(root / name, split_of) for split, name in lists.items()}
        return _disjoint(splits, lists)
    shares = {str(k): v for k, v in given.items() if isinstance(v, float)}
    shares = shares or {"val": _DEFAULT_SHARE}
    return split_by_share(list(split_of), shares, description.seed)


def _disjoint(splits: dict[str, list[str]], names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the splits, unless an image for training is for validation or test too."""
    for other in ("val", "test"):
        both = set(splits["train"]) & set(splits.get(other, []))
        if both and names["train"] != names[other]:
            raise DataError(
                f"{names['train']} and {names[other]} share {len(both)} images, such as "
                f"{min(both)!r}: results on images of the training mean nothing"
            )
    return splits


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

    Examples:
        >>> split_by_share(["a", "b", "c", "d"], {"val": 0.25}, seed=0)
        {'train': ['a', 'b', 'c'], 'val': ['d']}
    """
    order = sorted(ids, key=lambda i: hashlib.sha256(f"{seed}:{i}".encode()).digest())
    splits, start = {}, 0
    for split, share in shares.items():
        count = max(1, min(round(share * len(ids)), len(ids) - start - 1))
        splits[split] = set(order[start : start + count])
        start += count
    chosen = {"train": set(order[start:]), **splits}
    return {split: [i for i in ids if i in of_split] for split, of_split in chosen.items()}


def _by_folder(
    given: Mapping[str, str | float], split_of: Mapping[str, str], seed: int
) -> dict[str, list[str]]:
    """Return the ids by the text of `{split}`; a share is taken from the images for training."""
    texts = dict.fromkeys(split_of.values())
    chosen = dict(given) or usual_splits(texts)
    absent = [text for text in chosen.values() if isinstance(text, str) and text not in texts]
    if absent or not {"train", "val"} <= chosen.keys():
        raise DataError(
            f"{{split}} stands for {', '.join(map(repr, texts)) or 'nothing'}: say in {FILE} which "
            "are for what, splits: {train: ..., val: ...}; val: 0.1 takes a share of train"
        )
    splits = {
        split: [i for i, text in split_of.items() if text == name]
        for split, name in chosen.items()
        if isinstance(name, str)
    }
    shares = {split: share for split, share in chosen.items() if isinstance(share, float)}
    return {**splits, **split_by_share(splits["train"], shares, seed)} if shares else splits


def usual_splits(texts: Iterable[str]) -> dict[str, str]:
    """Return which texts of `{split}` are usual names of splits: `{"train": "Training"}`.

    Args:
        texts: that `{split}` stands for.
    """
    by_name: dict[str, str] = {}
    for text in texts:
        by_name.setdefault(text.lower(), text)
    return {
        split: next(by_name[name] for name in names if name in by_name)
        for split, names in USUAL_FOLDERS.items()
        if any(name in by_name for name in names)
    }


def _listed(path: pathlib.Path, split_of: Mapping[str, str]) -> list[str]:
    """Return the ids in a list; its lines may also be paths of files."""
    ids: list[str] = []
    by_name: dict[str, list[str]] = {}
    for image_id in split_of:
        by_name.setdefault(image_id.rsplit("/", 1)[-1], []).append(image_id)
    for line in files.read_lines(path):
        candidates = _candidates(line, split_of, by_name)
        if len(candidates) != 1:
            what = "names no image" if not candidates else f"could be {candidates[:3]}"
            example = next(iter(split_of))
            raise DataError(f"{shown(path)}: {line!r} {what}. Ids look like {example!r}")
        ids += candidates
    files.check_ids(ids, path)
    return ids


def _candidates(
    line: str, split_of: Mapping[str, str], by_name: Mapping[str, list[str]]
) -> list[str]:
    """Return the ids that a line may mean: itself, or those at the end of a path."""
    folder, _, name = line.rpartition("/")
    stem = name.rpartition(".")[0] or name
    whole = [text for text in (line, f"{folder}/{stem}".lstrip("/")) if text in split_of]
    if whole:
        return whole[:1]
    ids = [*by_name.get(name, []), *(by_name.get(stem, []) if stem != name else [])]
    if not folder:
        return ids
    ends = (f"/{line}", f"/{folder}/{stem}")
    return [i for i in ids if "/" not in i or any(end.endswith(f"/{i}") for end in ends)]
