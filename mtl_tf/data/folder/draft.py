"""A first `data.yaml`, from a look at the files of a folder."""

import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import yaml

from mtl_tf.data.folder.grouping import (
    ARRAYS,
    IMAGE_NAMES,
    IMAGES,
    Group,
    file_groups,
    known_task,
    without_prefixes,
    words_of,
)
from mtl_tf.data.folder.guesses import guessed_encoding, opened
from mtl_tf.data.folder.patterns import Pattern
from mtl_tf.data.folder.splits import usual_splits
from mtl_tf.data.sample import DataError
from mtl_tf.targets import KINDS, TargetKind
from mtl_tf.text import shown

_MAX_GREYS = 64  # values of an image that may be labels
_SMALL, _LARGE = 64, 1024  # pixels, of a suggested input
_USUAL = 384  # pixels, of its larger side


def draft(root: str | os.PathLike[str]) -> tuple[str, list[str]]:
    """Return the text of a first `data.yaml` for a folder, and what a person must decide.

    Args:
        root: the folder.

    Raises:
        DataError: if the folder is missing or holds no images.
    """
    root = pathlib.Path(root)
    if not root.is_dir():
        raise DataError(f"{shown(root)} is no folder")
    groups = file_groups(root)
    images = _images_of(root, groups)
    if images is not None:
        groups, images = without_prefixes(groups, images)
    if images is None:
        kinds = Counter(path.suffix.lower() for path in root.rglob("*") if path.is_file())
        held = ", ".join(f"{n} {suffix or 'without suffix'}" for suffix, n in kinds.most_common(6))
        raise DataError(
            f"{shown(root)} holds no colour images ({', '.join(IMAGES[:7])}). It holds "
            f"{held or 'nothing'}"
        )
    questions: list[str] = []
    tasks: dict[str, dict[str, Any]] = {}
    for group in groups:
        if group is images or not group.keys & images.keys:
            continue
        name = _task_name(group, tasks)
        try:
            entry = _described(root, group, images, name, questions)
            is_mask = entry["encoding"] == "binary"
            if is_mask and KINDS.get(name) is TargetKind.CLASSES:  # a folder of masks, not of ids
                name = "mask"
            tasks[name] = entry
        except (DataError, ImportError) as error:
            questions.append(f"{group.pattern}: left out: {error}")
    left_out = [g for g in groups if g is not images and not g.keys & images.keys]
    questions += [f"{g.pattern}: {len(g.files)} files belong to no image" for g in left_out]
    if not tasks:
        questions.append("there are no labels: add them under tasks")
    size = _input_size(root, images, questions)
    return _text(images, tasks, size, _splits(root, images, questions), questions), questions


def _images_of(root: pathlib.Path, groups: Sequence[Group]) -> Group | None:
    """Return the group of the photographs."""

    def rank(group: Group) -> tuple[bool, bool, bool, int]:
        is_named = bool(words_of(group.pattern) & set(IMAGE_NAMES))
        suffix = group.pattern.rpartition(".")[2]
        return is_named, known_task(group) is None, "jp" in suffix, len(group.files)

    coloured = [group for group in groups if _is_coloured(root, group)]
    return max(coloured, key=rank, default=None)


def _is_coloured(root: pathlib.Path, group: Group) -> bool:
    """Return whether a group may be photographs: 8-bit colours, or grey with many values."""
    if known_task(group) is not None and not words_of(group.pattern) & set(IMAGE_NAMES):
        return False
    if group.pattern.endswith(ARRAYS):
        return False
    try:
        samples = opened(root, group, 2)
    except DataError:
        return False
    for numbers in samples:
        is_rgb = numbers.ndim == 3 and numbers.shape[2] in (3, 4)
        if numbers.dtype != np.uint8 or not (is_rgb or len(np.unique(numbers)) > _MAX_GREYS):
            return False
    return True


def _described(
    root: pathlib.Path, group: Group, images: Group, name: str, questions: list[str]
) -> dict[str, Any]:
    """Return the description of the labels of a group."""
    entry: dict[str, Any] = {"files": group.pattern}
    entry |= guessed_encoding(root, group, name, questions)
    missing = len(images.keys - group.keys)
    if missing:
        entry["missing"] = "allow"
        questions.append(f"{name}: {missing} of {len(images.keys)} images have no label")
    return entry


def _task_name(group: Group, taken: Iterable[str]) -> str:
    """Return the name of the task of a group: a known one, or a word of its path."""
    words = [w for w in re.split(r"[^A-Za-z0-9]+", group.pattern.rpartition(".")[0]) if w]
    words = [w for w in words if w.lower() not in ("split", *IMAGE_NAMES)]
    name = known_task(group) or (words[-1].lower() if words else "label")
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _input_size(root: pathlib.Path, images: Group, questions: list[str]) -> tuple[int, int]:
    """Return a size for the network near that of the images, in multiples of 32."""
    sizes = Counter(numbers.shape[:2] for numbers in opened(root, images))
    height, width = np.median([list(size) for size in sizes.elements()], axis=0)
    scale = min(1.0, _USUAL / max(height, width))
    size = tuple(int(min(max(_SMALL, round(x * scale / 32) * 32), _LARGE)) for x in (height, width))
    listed = ", ".join(f"{h}x{w}" for (h, w), _ in sizes.most_common(3))
    questions.append(f"input_size: images are {listed}; {size[0]}x{size[1]} is a first choice")
    return size  # type: ignore[return-value]


# === Text ===


def _splits(root: pathlib.Path, images: Group, questions: list[str]) -> dict[str, Any]:
    """Return the splits: the folders that are there, and a share for what they lack."""
    if "{split}" not in images.pattern:
        questions.append("splits: a tenth of the images is for validation, chosen at random")
        return {"val": 0.1}
    texts = {match.split for match in Pattern(images.pattern).matches(root)}
    usual: dict[str, Any] = dict(usual_splits(sorted(texts)))
    others = sorted(texts - set(usual.values()))
    if others:
        questions.append(f"splits: the folders {', '.join(others)} are not used")
    if "val" not in usual and "train" in usual:
        questions.append("splits: a tenth of the images for training is for validation")
        usual["val"] = 0.1
    if "train" not in usual:
        questions.append("splits: say which folder is for training")
    return usual


def _text(
    images: Group,
    tasks: dict[str, dict[str, Any]],
    size: tuple[int, int],
    splits: dict[str, Any],
    questions: Sequence[str],
) -> str:
    """Return the YAML, with the questions as comments."""
    head = ["# What the files of this folder mean. Decide:", *(f"# - {q}" for q in questions), ""]
    content = {"images": images.pattern, "input_size": list(size), "splits": splits, "tasks": tasks}
    body = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return "\n".join(head) + body


class _Dumper(yaml.SafeDumper):
    """Writes lists of numbers or names in one line, mappings in lines of their own."""


def _one_line(dumper: yaml.SafeDumper, values: list[object]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


_Dumper.add_representer(list, _one_line)
