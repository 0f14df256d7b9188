"""Encoding of labels, guessed from their numbers."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from mtl_tf.data.folder.grouping import Group, known_task
from mtl_tf.data.folder.numbers import read_numbers
from mtl_tf.data.sample import DataError

_SAMPLES = 8  # files that are opened of each group
_MANY_SAMPLES = 400  # files that are opened to find all classes
_MAX_CLASSES, _MAX_COLOURS = 256, 64
_FEW = 8  # class ids that may be missing


def opened(root: pathlib.Path, group: Group, count: int = _SAMPLES) -> list[np.ndarray]:
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


def guessed_encoding(
    root: pathlib.Path, group: Group, name: str, questions: list[str]
) -> dict[str, Any]:
    """Return encoding, classes and kind of the labels of a group."""
    known = known_task(group)
    samples = opened(root, group)
    first = samples[0]
    is_coloured = (
        first.ndim == 3 and first.shape[2] >= 3 and (first[..., :3] != first[..., :1]).any()
    )
    if first.dtype.kind == "f":
        return _of_floats(name, known, first, questions)
    if is_coloured:
        return _of_colours(name, known, opened(root, group, _MANY_SAMPLES), questions)
    values = _values_of(samples)
    if known == "depth":
        return _of_depth(name, first, values, questions)
    if group.pattern.endswith(("jpg", "jpeg")):
        questions.append(f"{name}: JPEG changes the values; 128 or more is taken for 1")
        return {"encoding": "binary", "threshold": 128}
    numbers = {*values.tolist()}
    is_mask = first.dtype == bool or numbers <= {0, 1} or numbers <= {0, 128, 255}
    if known in ("semseg", "human_parts") or not is_mask:
        if known not in ("edges", "saliency"):
            return _of_ids(name, _values_of(opened(root, group, _MANY_SAMPLES)), questions)
        questions.append(f"{name}: grey values; the encoding 'share' makes 0 to 255 into 0 to 1")
        return {"encoding": "share"} | ({"agreement": 0.3} if known == "edges" else {})
    kind = {"kind": "boundary"} if known == "edges" and name != "edges" else {}
    if 128 in numbers:
        questions.append(f"{name}: 128 is taken for pixels without a label")
        return {"encoding": "binary", **kind, "invalid": [128]}
    return {"encoding": "binary", **kind}


def _values_of(samples: Sequence[np.ndarray]) -> np.ndarray:
    """Return all numbers of the first channel."""
    firsts = (s[..., 0] if s.ndim == 3 else s for s in samples)
    return np.unique(np.concatenate([np.unique(first) for first in firsts]))


def _of_floats(
    name: str, known: str | None, first: np.ndarray, questions: list[str]
) -> dict[str, Any]:
    channels = first.shape[2] if first.ndim == 3 else 1
    if channels == 3:
        questions.append(f"{name}: say where x, y and z of the vectors point, axes: [...]")
        return {"encoding": "vectors", "axes": ["right", "up", "toward"]}
    if known == "depth":
        return {"encoding": "m", "invalid": [0]}
    low, high = np.nanmin(first), np.nanmax(first)
    questions.append(f"{name}: numbers from {low:g} to {high:g}; what are they?")
    return {"encoding": "values", **({"channels": channels} if channels > 1 else {})}


def _of_depth(
    name: str, first: np.ndarray, values: np.ndarray, questions: list[str]
) -> dict[str, Any]:
    if first.dtype == np.uint8:
        raise DataError(
            "8-bit depth: add it with encoding: m, scale and offset (metres = number * scale + "
            "offset)"
        )
    questions.append(f"{name}: {values[-1]} is the largest number; is the unit mm?")
    kind = {"kind": "distance"} if name != "depth" else {}
    return {"encoding": "mm", **kind, "invalid": [0]}


def _of_ids(name: str, values: np.ndarray, questions: list[str]) -> dict[str, Any]:
    values = values.astype(int)
    if {*values.tolist()} == {0, 255}:
        return {"encoding": "class ids", "classes": {0: "background", 255: "foreground"}}
    has_gap = len(values) > 1 and values[-2] < 250
    ignored = [255] if values[-1] == 255 and has_gap else []
    ids = values[values != 255] if ignored else values
    if len(ids) > _MAX_CLASSES:
        questions.append(f"{name}: whole numbers up to {ids[-1]}; what are they?")
        return {"encoding": "values"}
    questions.append(f"{name}: class ids up to {ids[-1]}; name the classes")
    is_sparse = ids[-1] >= 2 * len(ids) + _FEW
    names = {int(i): f"class_{i}" for i in (ids if is_sparse else range(int(ids[-1]) + 1))}
    classes: Any = names if is_sparse else list(names.values())
    entry = {"encoding": "class ids", "classes": classes}
    return entry | ({"ignore": ignored} if ignored else {})


def _of_colours(
    name: str, known: str | None, samples: Sequence[np.ndarray], questions: list[str]
) -> dict[str, Any]:
    """Return the description of labels in colours: normals or classes."""
    few = samples[:_SAMPLES]
    pixels = np.concatenate([s[..., :3].reshape(-1, 3)[:: max(1, s.size // 300_000)] for s in few])
    length = np.linalg.norm(pixels / (np.iinfo(pixels.dtype).max / 2) - 1, axis=-1)
    if known == "normals" or np.mean(np.abs(length - 1) < 0.05) > 0.9:
        questions.append(f"{name}: say where red, green and blue of the normals point, axes: [...]")
        return {"encoding": "rgb normals", "axes": ["right", "up", "toward"]}
    colours: set[tuple[int, ...]] = set()
    for sample in samples:
        colours |= {tuple(c) for c in np.unique(sample[..., :3].reshape(-1, 3), axis=0).tolist()}
        if len(colours) > _MAX_COLOURS or pixels.dtype != np.uint8:
            raise DataError(f"{len(colours)} colours or more are neither classes nor normals")
    questions.append(f"{name}: {len(colours)} colours; name the classes")
    return {
        "encoding": "class colours",
        "classes": {f"class_{i}": list(colour) for i, colour in enumerate(sorted(colours))},
    }
