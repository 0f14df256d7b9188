"""Groups of the files of a folder that differ only in the name of the image."""

import os
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from mtl_tf.data.folder.patterns import Pattern
from mtl_tf.data.folder.splits import USUAL_FOLDERS
from mtl_tf.data.sample import DataError
from mtl_tf.text import shown

IMAGES = ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "ppm", "gif")
"""Suffixes of images."""
ARRAYS = ("npy", "npz", "exr")
"""Suffixes of arrays."""
IMAGE_NAMES = ("rgb", "image", "images", "img", "imgs", "photo", "photos", "leftimg8bit")
"""Words in the paths of photographs."""
TASK_NAMES = {
    "semseg": ("semseg", "seg", "label", "labels", "semantic", "mask", "masks", "gt", "annotation",
               "annotations", "classes"),
    "depth": ("depth", "depths"),
    "normals": ("normal", "normals"),
    "edges": ("edge", "edges", "boundary", "boundaries", "border", "borders", "contour",
              "contours"),
    "saliency": ("saliency", "salient", "sal"),
    "human_parts": ("parts", "human_parts"),
}  # fmt: skip
"""Words in the paths of labels, by task."""
_KNOWN_WORDS = {*IMAGE_NAMES, *(word for words in TASK_NAMES.values() for word in words)}
_MAX_FILES, _MAX_DEPTH = 200_000, 8
_MANY_FOLDERS = 3  # that differ in a name, such as a city


class Group(NamedTuple):
    """Files that differ only in the name of the image.

    Attributes:
        pattern: of their paths.
        files: their paths, relative.
        keys: the texts of the wildcards.
    """

    pattern: str
    files: list[str]
    keys: set[tuple[str, ...]]


def file_groups(root: pathlib.Path) -> list[Group]:
    """Return the groups of the files of a folder, the largest first."""
    by_place: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in _files(root):
        folder, _, name = path.rpartition("/")
        by_place[_with_split(folder), name.rpartition(".")[2].lower()].append(path)
    by_pattern: dict[str, list[str]] = defaultdict(list)
    for (folder, suffix), paths in by_place.items():
        for affix, members in _by_affix(paths).items():
            start = f"{folder}/" if folder else ""
            by_pattern[f"{start}*{affix}.{suffix}"] += members
    merged = _merged(_joined(by_pattern))
    return sorted(
        (_group(root, pattern, paths) for pattern, paths in merged.items()),
        key=lambda g: (-len(g.files), g.pattern),
    )


def _group(root: pathlib.Path, pattern: str, paths: Sequence[str]) -> Group:
    own = {root / path for path in paths}
    matches = [m for m in Pattern(pattern).matches(root) if m.path in own]
    return Group(pattern, sorted(paths), {match.key for match in matches})


def _joined(by_pattern: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return patterns with those joined that differ in one folder, such as a city or a scene."""
    patterns = dict(by_pattern)
    for depth in range(_MAX_DEPTH):
        alike: dict[str, list[str]] = defaultdict(list)
        for pattern in patterns:
            parts = pattern.split("/")
            if depth < len(parts) - 1 and parts[depth] not in ("{split}", "*"):
                alike["/".join([*parts[:depth], "*", *parts[depth + 1 :]])].append(pattern)
        for general, members in alike.items():
            names = {member.split("/")[depth].lower() for member in members}
            if len(members) >= _MANY_FOLDERS and not names & _KNOWN_WORDS:
                patterns[general] = [path for m in members for path in patterns.pop(m)]
    return patterns


def without_prefixes(groups: list[Group], images: Group) -> tuple[list[Group], Group]:
    """Return groups without the prefixes of their names, if they fit the images only then.

    Files such as `img_001.jpg` and `mask_001.png` belong together.

    Args:
        groups: all groups.
        images: that of the photographs.

    Returns:
        All groups, and that of the photographs.
    """
    others = [g for g in groups if g is not images]
    if any(g.keys & images.keys for g in others):
        return groups, images
    short = {id(g): _without_prefix(g) for g in groups}
    if any(short[id(g)].keys & short[id(images)].keys for g in others):
        return list(short.values()), short[id(images)]
    return groups, images


def _without_prefix(group: Group) -> Group:
    """Return a group with the letters that all its names begin with outside of the wildcard."""
    names = sorted(key[-1] for key in group.keys)
    if not names:  # braces in a folder's name stand for alternatives
        return group
    common = names[0][: next((i for i, (a, b) in enumerate(zip(names[0], names[-1], strict=False))
                              if a != b), 0)]  # fmt: skip
    prefix = re.match(r"([A-Za-z][A-Za-z_.-]*[_.-])?", common)[0]  # type: ignore[index]
    if not prefix:
        return group
    folder, slash, name = group.pattern.rpartition("/")
    keys = {(*key[:-1], key[-1].removeprefix(prefix)) for key in group.keys}
    return Group(f"{folder}{slash}{prefix}{name}", group.files, keys)


def _files(root: pathlib.Path) -> Iterable[str]:
    """Yield the relative paths of the images and arrays below a folder."""
    count = 0
    for folder, folders, names in os.walk(root):
        depth = len(pathlib.Path(folder).relative_to(root).parts)
        folders[:] = sorted(f for f in folders if f[0] != "." and depth < _MAX_DEPTH)
        for name in sorted(names):
            if name[0] != "." and name.rpartition(".")[2].lower() in IMAGES + ARRAYS:
                count += 1
                if count > _MAX_FILES:
                    raise DataError(f"{shown(root)} holds more than {_MAX_FILES} files")
                yield (pathlib.Path(folder).relative_to(root) / name).as_posix()


def _with_split(folder: str) -> str:
    """Return a folder with `{split}` for the name of a split in it: `train`, `trainannot`."""
    usual = sorted((n for names in USUAL_FOLDERS.values() for n in names), key=len, reverse=True)
    pattern = re.compile(rf"({'|'.join(usual)})(\d+|[_-].*|annot\w*|)", re.IGNORECASE)
    parts = folder.split("/")
    for i, part in enumerate(parts):
        match = pattern.fullmatch(part)
        if match:
            parts[i] = f"{{split}}{match[2]}"
            break
    return "/".join(parts)


def _by_affix(paths: Sequence[str]) -> dict[str, list[str]]:
    """Return files of one folder by the end of their names, such as `_depth`."""
    affixes: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        stem = path.rpartition("/")[2].rpartition(".")[0]
        match = re.fullmatch(r".+?([_.-][A-Za-z][A-Za-z0-9_]*)", stem)
        affixes[match[1] if match else ""].append(path)
    common = {a: members for a, members in affixes.items() if 3 * len(members) >= len(paths) / 3}
    rest = [p for a, members in affixes.items() if a not in common for p in members]
    if rest and "" not in common and len(common) > 1:
        common[""] = rest
    return common if sum(map(len, common.values())) == len(paths) else {"": list(paths)}


def _merged(by_pattern: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return patterns with those joined that differ in the suffix only."""
    stems: dict[str, list[str]] = defaultdict(list)
    for pattern in by_pattern:
        stems[pattern.rpartition(".")[0]].append(pattern)
    merged = {}
    for stem, patterns in stems.items():
        suffixes = sorted(p.rpartition(".")[2] for p in patterns)
        are_photos = set(suffixes) <= {"jpg", "jpeg", "png", "bmp", "webp"}
        if len(patterns) > 1 and are_photos and not _overlap([by_pattern[p] for p in patterns]):
            text = f"{stem}.{{{','.join(suffixes)}}}"
            merged[text] = [path for p in patterns for path in by_pattern[p]]
        else:
            merged |= {p: by_pattern[p] for p in patterns}
    return merged


def _overlap(lists: Sequence[Sequence[str]]) -> bool:
    stems = [path.rpartition(".")[0] for paths in lists for path in paths]
    return len(set(stems)) < len(stems)


def words_of(pattern: str) -> set[str]:
    """Return the words in a pattern of paths, in lower case."""
    return set(re.split(r"[^a-z0-9]+", pattern.lower().rpartition(".")[0]))


def known_task(group: Group) -> str | None:
    """Return the known task in the path of a group."""
    words = words_of(group.pattern)
    return next((task for task, names in TASK_NAMES.items() if words & set(names)), None)
