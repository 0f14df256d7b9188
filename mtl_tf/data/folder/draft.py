"""A first `data.yaml`, from a look at the files of a folder."""

import os
import pathlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import yaml

from mtl_tf.data.folder.numbers import read_numbers
from mtl_tf.data.folder.patterns import Pattern
from mtl_tf.data.folder.splits import USUAL_FOLDERS
from mtl_tf.data.sample import DataError
from mtl_tf.text import shown

_SUFFIXES = ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "ppm", "npy", "npz", "exr")
_MAX_FILES, _MAX_DEPTH = 200_000, 8
_SAMPLES = 8  # files that are opened of each group
_MANY_SAMPLES = 400  # files that are opened to find all classes
_MAX_CLASSES = 256
_MAX_COLOURS = 64
_SMALL, _LARGE = 64, 1024  # pixels, of a suggested input
_IMAGE_NAMES = ("rgb", "image", "images", "img", "imgs", "photo", "photos", "leftimg8bit", "color")
_TASK_NAMES = {
    "semseg": ("semseg", "seg", "label", "labels", "semantic", "mask", "masks", "gt", "annotation",
               "annotations", "classes"),
    "depth": ("depth", "depths", "disparity", "dist"),
    "normals": ("normal", "normals"),
    "edges": ("edge", "edges", "boundary", "boundaries", "border", "borders", "contour",
              "contours"),
    "saliency": ("saliency", "salient", "sal"),
    "human_parts": ("parts", "human_parts"),
}  # fmt: skip


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
    groups = _groups(root)
    images = _images_of(root, groups)
    if images is None:
        kinds = Counter(path.suffix.lower() for path in root.rglob("*") if path.is_file())
        held = ", ".join(f"{n} {suffix or 'without suffix'}" for suffix, n in kinds.most_common(6))
        raise DataError(
            f"{shown(root)} holds no colour images ({', '.join(_SUFFIXES[:7])}). It holds "
            f"{held or 'nothing'}"
        )
    questions: list[str] = []
    tasks: dict[str, dict[str, Any]] = {}
    for group in groups:
        if group is images or not group.keys & images.keys:
            continue
        name = _task_name(group, tasks)
        try:
            tasks[name] = _described(root, group, images, name, questions)
        except DataError as error:
            questions.append(f"{group.pattern}: left out: {error}")
    left_out = [g for g in groups if g is not images and not g.keys & images.keys]
    questions += [f"{g.pattern}: {len(g.files)} files belong to no image" for g in left_out]
    if not tasks:
        questions.append("there are no labels: add them under tasks")
    size = _input_size(root, images, questions)
    if "{split}" not in images.pattern:
        questions.append("splits: a tenth of the images is for validation, chosen at random")
    return _text(images, tasks, size, questions), questions


# === Groups of files ===


def _groups(root: pathlib.Path) -> list[Group]:
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
    groups = []
    for pattern, paths in _merged(by_pattern).items():
        keys = {match.key for match in Pattern(pattern).matches(root)}
        groups.append(Group(pattern, sorted(paths), keys))
    return sorted(groups, key=lambda g: (-len(g.files), g.pattern))


def _files(root: pathlib.Path) -> Iterable[str]:
    """Yield the relative paths of the images and arrays below a folder."""
    count = 0
    for folder, folders, names in os.walk(root):
        depth = len(pathlib.Path(folder).relative_to(root).parts)
        folders[:] = sorted(f for f in folders if f[0] != "." and depth < _MAX_DEPTH)
        for name in sorted(names):
            if name[0] != "." and name.rpartition(".")[2].lower() in _SUFFIXES:
                count += 1
                if count > _MAX_FILES:
                    raise DataError(f"{shown(root)} holds more than {_MAX_FILES} files")
                yield (pathlib.Path(folder).relative_to(root) / name).as_posix()


def _with_split(folder: str) -> str:
    """Return a folder with `{split}` for the name of a split in it."""
    usual = {name for names in USUAL_FOLDERS.values() for name in names}
    parts = folder.split("/")
    places = [i for i, part in enumerate(parts) if part.lower() in usual]
    if places:
        parts[places[0]] = "{split}"
    return "/".join(parts)


def _by_affix(paths: Sequence[str]) -> dict[str, list[str]]:
    """Return files of one folder by the end of their names, such as `_depth`."""
    affixes: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        stem = path.rpartition("/")[2].rpartition(".")[0]
        match = re.fullmatch(r".+?([_.-][A-Za-z][A-Za-z_]*)", stem)
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


# === What they hold ===


def _images_of(root: pathlib.Path, groups: Sequence[Group]) -> Group | None:
    """Return the group of the photographs."""

    def rank(group: Group) -> tuple[bool, bool, int]:
        words = _words(group.pattern)
        suffix = group.pattern.rpartition(".")[2]
        return bool(words & set(_IMAGE_NAMES)), "jp" in suffix, len(group.files)

    coloured = [group for group in groups if _is_coloured(root, group)]
    return max(coloured, key=rank, default=None)


def _is_coloured(root: pathlib.Path, group: Group) -> bool:
    """Return whether a group may be photographs: 8-bit colours, or grey with many values."""
    if _name_of(group) is not None and not _words(group.pattern) & set(_IMAGE_NAMES):
        return False
    for numbers in _opened(root, group, 2):
        is_rgb = numbers.ndim == 3 and numbers.shape[2] in (3, 4)
        if numbers.dtype != np.uint8 or not (is_rgb or len(np.unique(numbers)) > _MAX_COLOURS):
            return False
    return not group.pattern.endswith((".npy", ".npz", ".exr"))


def _opened(root: pathlib.Path, group: Group, count: int = _SAMPLES) -> list[np.ndarray]:
    """Return the numbers of some files of a group; damaged ones are left out."""
    step = max(1, len(group.files) // count)
    opened = []
    for path in group.files[::step][:count]:
        try:
            opened.append(read_numbers(root / path))
        except DataError:
            continue
    if not opened:
        read_numbers(root / group.files[0])  # raises its error
    return opened


def _described(
    root: pathlib.Path, group: Group, images: Group, name: str, questions: list[str]
) -> dict[str, Any]:
    """Return the description of the labels of a group."""
    entry: dict[str, Any] = {"files": group.pattern}
    entry |= _encoding(name, _opened(root, group), questions)
    if entry["encoding"] == "class ids":
        values = np.unique([x for s in _opened(root, group, _MANY_SAMPLES) for x in np.unique(s)])
        entry |= _of_ids(name, values.astype(int), questions)
    missing = len(images.keys - group.keys)
    if missing:
        entry["missing"] = "allow"
        questions.append(f"{name}: {missing} of {len(images.keys)} images have no label")
    return entry


def _encoding(name: str, samples: Sequence[np.ndarray], questions: list[str]) -> dict[str, Any]:
    """Return encoding, classes and kind of labels with these numbers."""
    first = samples[0]
    is_float = first.dtype.kind == "f"
    channels = first.shape[2] if first.ndim == 3 else 1
    if channels == 3 and is_float:
        questions.append(f"{name}: say where x, y and z of the vectors point, axes: [...]")
        return {"encoding": "vectors", "axes": ["right", "up", "toward"]}
    if channels >= 3 and not is_float and (first[..., :3] != first[..., :1]).any():
        return _of_colours(name, samples, questions)
    values = np.unique(
        np.concatenate([np.unique(s[..., 0] if s.ndim == 3 else s) for s in samples])
    )
    if is_float:
        if name == "depth":
            return {"encoding": "m", "invalid": [0]}
        questions.append(f"{name}: numbers from {values[0]:g} to {values[-1]:g}; what are they?")
        return {"encoding": "values", **({"channels": channels} if channels > 1 else {})}
    if (
        first.dtype != np.uint8
        and first.dtype != bool
        and (name == "depth" or len(values) > _MAX_CLASSES)
    ):
        if name == "depth":
            questions.append(f"depth: {values[-1]} is the largest number; is the unit mm?")
            return {"encoding": "mm", "invalid": [0]}
        questions.append(f"{name}: whole numbers up to {values[-1]}; what are they?")
        return {"encoding": "values"}
    numbers = {*values.tolist()}
    if name == "depth":
        raise DataError(
            "8-bit depth: add it with encoding: m, scale and offset (metres = number * scale + "
            "offset)"
        )
    if name in ("semseg", "human_parts") or not (numbers <= {0, 1} or numbers <= {0, 128, 255}):
        if len(values) <= _MAX_CLASSES and name not in ("edges", "saliency"):
            return {"encoding": "class ids"}
        questions.append(f"{name}: grey values; the encoding 'share' makes 0 to 255 into 0 to 1")
        return {"encoding": "share"} | ({"agreement": 0.3} if name == "edges" else {})
    kind = {"kind": "boundary"} if name.startswith("edges_") else {}
    if 128 in numbers:
        questions.append(f"{name}: 128 is taken for pixels without a label")
        return {"encoding": "binary", **kind, "invalid": [128]}
    return {"encoding": "binary", **kind}


def _of_ids(name: str, values: np.ndarray, questions: list[str]) -> dict[str, Any]:
    if {*values.tolist()} == {0, 255}:
        return {"encoding": "class ids", "classes": {0: "background", 255: "foreground"}}
    has_gap = len(values) > 1 and values[-2] < 250
    ignored = [255] if values[-1] == 255 and has_gap else []
    ids = values[values != 255] if ignored else values
    questions.append(f"{name}: class ids up to {ids[-1]}; name the classes")
    names = [f"class {i}" for i in range(int(ids[-1]) + 1)]
    entry = {"encoding": "class ids", "classes": names}
    return entry | ({"ignore": ignored} if ignored else {})


def _of_colours(name: str, samples: Sequence[np.ndarray], questions: list[str]) -> dict[str, Any]:
    """Return the description of labels in colours: normals or classes."""
    pixels = np.concatenate(
        [s[..., :3].reshape(-1, 3)[:: max(1, s.size // 300_000)] for s in samples]
    )
    length = np.linalg.norm(pixels / (np.iinfo(pixels.dtype).max / 2) - 1, axis=-1)
    if name == "normals" or np.mean(np.abs(length - 1) < 0.05) > 0.9:
        questions.append(f"{name}: say where red, green and blue of the normals point, axes: [...]")
        return {"encoding": "rgb normals", "axes": ["right", "up", "toward"]}
    every = np.concatenate([np.unique(s[..., :3].reshape(-1, 3), axis=0) for s in samples])
    colours = np.unique(every, axis=0).tolist()
    if len(colours) > _MAX_COLOURS or pixels.dtype != np.uint8:
        raise DataError(f"{len(colours)} colours are neither classes nor normals")
    questions.append(f"{name}: {len(colours)} colours in the files looked at; name the classes")
    return {
        "encoding": "class colours",
        "classes": {f"class {i}": colour for i, colour in enumerate(colours)},
    }


# === Names ===


def _words(pattern: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", pattern.lower().rpartition(".")[0]))


def _name_of(group: Group) -> str | None:
    """Return the known task in the path of a group."""
    words = _words(group.pattern)
    return next((task for task, names in _TASK_NAMES.items() if words & set(names)), None)


def _task_name(group: Group, taken: Iterable[str]) -> str:
    """Return the name of the task of a group: a known one, or a word of its path."""
    words = [w for w in re.split(r"[^A-Za-z0-9]+", group.pattern.rpartition(".")[0]) if w]
    words = [w for w in words if w.lower() not in ("split", *_IMAGE_NAMES)]
    name = _name_of(group) or (words[-1].lower() if words else "label")
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _input_size(root: pathlib.Path, images: Group, questions: list[str]) -> tuple[int, int]:
    """Return a size for the network near that of the images, in multiples of 32."""
    sizes = Counter(numbers.shape[:2] for numbers in _opened(root, images))
    height, width = np.median([list(size) for size in sizes.elements()], axis=0)
    scale = min(1.0, 384 / max(height, width))
    size = tuple(int(min(max(_SMALL, round(x * scale / 32) * 32), _LARGE)) for x in (height, width))
    listed = ", ".join(f"{h}x{w}" for (h, w), _ in sizes.most_common(3))
    questions.append(f"input_size: images are {listed}; {size[0]}x{size[1]} is a first choice")
    return size  # type: ignore[return-value]


# === Text ===


def _text(
    images: Group, tasks: dict[str, dict[str, Any]], size: tuple[int, int], questions: Sequence[str]
) -> str:
    """Return the YAML, with the questions as comments."""
    head = ["# What the files of this folder mean. Decide:", *(f"# - {q}" for q in questions), ""]
    parts: list[dict[str, Any]] = [
        {"images": images.pattern, "input_size": list(size)},
        {"splits": {"val": 0.1}} if "{split}" not in images.pattern else {},
        {"tasks": tasks},
    ]
    dump = _Dumper
    body = [
        yaml.dump(p, Dumper=dump, sort_keys=False, allow_unicode=True, width=100)
        for p in parts
        if p
    ]
    return "\n".join(head) + "".join(body)


class _Dumper(yaml.SafeDumper):
    """Writes lists of numbers or names in one line, mappings in lines of their own."""


def _one_line(dumper: yaml.SafeDumper, values: list[object]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


_Dumper.add_representer(list, _one_line)
