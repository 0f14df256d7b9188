"""From the numbers in a file of labels to a target and its validity mask."""

import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from mtl_tf.data.folder.description import Label, parse_encoding
from mtl_tf.data.sample import DataError
from mtl_tf.text import shown

_LOSSY = (".jpg", ".jpeg")
_SAME_FORM = {"jpeg": "jpg", "tiff": "tif"}
_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_MIN_LENGTH, _MAX_LENGTH = 0.5, 2.0  # of stored normals
_MAX_NAMED = 5  # values in an error

Decoded = tuple[np.ndarray, np.ndarray]
"""Target `[H, W]` or `[H, W, C]`, and mask `[H, W]` bool."""


def decode(numbers: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    """Return the target and the mask that the numbers of a file mean.

    Args:
        numbers: `[H, W]` or `[H, W, C]`.
        label: the description of the labels.
        path: of the file, for errors.

    Returns:
        Target `[H, W]` or `[H, W, C]`: class ids int32, others float32; and mask `[H, W]` bool.

    Raises:
        DataError: if the numbers do not fit the description.
    """
    meaning, form, bits = parse_encoding(label.encoding)
    suffix = path.suffix.lower().removeprefix(".")
    if form is not None and _SAME_FORM.get(suffix, suffix) != _SAME_FORM.get(form, form):
        raise DataError(f"{shown(path)} is no {form} file, as the encoding {label.encoding!r} says")
    own_bits = 1 if numbers.dtype == bool else 8 * numbers.dtype.itemsize
    if bits is not None and bits != own_bits:
        raise DataError(
            f"{shown(path)} has {own_bits}-bit numbers, and the encoding is {label.encoding!r}"
        )
    if numbers.ndim == 3 and numbers.shape[2] == 1:
        numbers = numbers[..., 0]
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, an error later
        return _DECODERS[meaning](numbers, label, path)


# === Classes ===


def _class_ids(numbers: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    if path.suffix.lower() in _LOSSY:
        raise DataError(f"{shown(path)} is a JPEG file, which changes class ids: store them as PNG")
    codes = _single(numbers, label, path)
    if codes.dtype.kind == "f" and (codes % 1 != 0).any():
        raise DataError(f"{shown(path)} must hold whole class ids. It has fractions")
    names = label.classes
    has_ids = isinstance(names, dict) and all(isinstance(key, int) for key in names)
    ids = [*names] if has_ids else range(label.channels_of_prediction)
    known = {int(code): index for index, code in enumerate(ids)}
    return _indexed(codes, known, label, path)


def _class_colours(numbers: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    if path.suffix.lower() in _LOSSY:
        raise DataError(f"{shown(path)} is a JPEG file, which changes colours: store them as PNG")
    if numbers.ndim != 3 or numbers.shape[2] not in (3, 4) or numbers.dtype != np.uint8:
        raise DataError(
            f"{shown(path)} must hold colours [H, W, 3] of 8 bits. It has {_described(numbers)}: a "
            "palette or grey image has the encoding 'class ids'"
        )
    known = {_packed(colour): index for index, colour in enumerate(label.class_colours)}
    red, green, blue = (numbers[..., i].astype(np.int64) for i in range(3))
    return _indexed((red << 16) | (green << 8) | blue, known, label, path, _unpacked)


def _packed(colour: Sequence[int]) -> int:
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]


def _unpacked(code: int) -> str:
    return str([code >> 16, code >> 8 & 255, code & 255])


def _indexed(
    codes: np.ndarray,
    known: dict[int, int],
    label: Label,
    path: pathlib.Path,
    named: Callable[[int], str] = str,
) -> Decoded:
    """Return the index of each code and where there is one."""
    values, positions = np.unique(codes, return_inverse=True)
    ignored = _ignored(label)
    indices = np.array([known.get(int(value), -1) for value in values], np.int32)
    strange = [
        int(value)
        for value, index in zip(values, indices, strict=True)
        if index < 0 and int(value) not in ignored
    ]
    if strange and label.ignore != "others":
        more = f" and {len(strange) - _MAX_NAMED} more" if len(strange) > _MAX_NAMED else ""
        raise DataError(
            f"{shown(path)} holds {', '.join(map(named, strange[:_MAX_NAMED]))}{more}, which are "
            "neither in classes nor in ignore: add them to one, or write ignore: others"
        )
    for i, value in enumerate(values):
        if int(value) in ignored:
            indices[i] = -1
    target = indices[positions.reshape(codes.shape)]
    return np.maximum(target, 0), target >= 0


def _ignored(label: Label) -> set[int]:
    """Return the codes without a label."""
    if label.ignore == "others":
        return set()
    given = label.ignore if isinstance(label.ignore, list | tuple) else (label.ignore,)
    if label.meaning == "class colours":
        colours = [given] if given and isinstance(given[0], int) else given
        return {_packed(colour) for colour in colours}  # type: ignore[arg-type]
    return {int(code) for code in given}  # type: ignore[arg-type]


# === Regions and boundaries ===


def _binary(numbers: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    values = _single(numbers, label, path)
    mask = _valid(values, label)
    if label.threshold is not None:
        return (values >= label.threshold).astype(np.float32), mask
    levels = np.unique(values[mask])
    if not {*levels.tolist()} <= {0, 1} and not {*levels.tolist()} <= {0, 255}:
        raise DataError(
            f"{shown(path)} must hold 0 and 1, or 0 and 255. It has {len(levels)} values up to "
            f"{levels.max():g}: add threshold: 128 for a mask with soft borders, or use the "
            "encoding 'share'"
        )
    return (values > 0).astype(np.float32), mask


def _share(numbers: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    values = _single(numbers, label, path)
    mask = _valid(values, label)
    if values.dtype.kind in "iu" and values.dtype not in (np.uint8, np.uint16):
        raise DataError(
            f"{shown(path)} must hold shares as uint8, uint16 or floats: of {values.dtype} it is "
            "unknown which number is 1"
        )
    largest = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1.0
    share = np.where(mask, values, 0).astype(np.float32) * np.float32(label.scale / largest)
    if share.size and not (share.min() >= 0 and share.max() <= 1):
        raise DataError(
            f"{shown(path)} must hold shares of 0 to 1, or whole numbers. It has values from "
            f"{share.min():g} to {share.max():g}"
        )
    return share, mask


# === Numbers ===


def _distance(numbers: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    values = _single(numbers, label, path)
    mask = _valid(values, label, default=(0.0,))
    metres = (np.where(mask, values, 0) * label.scale + label.offset) * _METRES[label.meaning]
    return metres.astype(np.float32), mask


def _values(numbers: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    if label.channels == 1:
        numbers = _single(numbers, label, path)
    elif numbers.ndim != 3 or numbers.shape[2] != label.channels:
        raise DataError(
            f"{shown(path)} must hold {label.channels} channels. It has {_described(numbers)}"
        )
    mask = _valid(numbers, label, (0.0,) if label.kind == "distance" else ())
    if numbers.ndim == 3:
        mask = np.asarray(mask.all(-1))
        numbers = np.where(mask[..., None], numbers, 0)
    else:
        numbers = np.where(mask, numbers, 0)
    return (numbers * label.scale + label.offset).astype(np.float32), mask


def _normal_colours(numbers: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    if numbers.ndim != 3 or numbers.shape[2] not in (3, 4) or numbers.dtype.kind != "u":
        raise DataError(f"{shown(path)} must hold colours [H, W, 3]. It has {_described(numbers)}")
    colours = numbers[..., :3]
    vectors = colours.astype(np.float64) * (2 / np.iinfo(colours.dtype).max) - 1
    return _directions(vectors, np.asarray(colours.any(-1)), label, path)


def _vectors(numbers: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    if numbers.ndim != 3 or numbers.shape[2] != 3 or numbers.dtype.kind != "f":
        raise DataError(
            f"{shown(path)} must hold vectors [H, W, 3] of floats. It has {_described(numbers)}"
        )
    mask = np.asarray(np.isfinite(numbers).all(-1))
    return _directions(np.where(mask[..., None], numbers, 0), mask, label, path)


def _directions(vectors: np.ndarray, mask: np.ndarray, label: Label, path: pathlib.Path) -> Decoded:
    """Return unit vectors with x right, y up and z toward the camera."""
    length = np.sqrt((vectors * vectors).sum(-1))
    if length[mask].max(initial=0) > _MAX_LENGTH:
        raise DataError(
            f"{shown(path)} must hold unit vectors. The longest has length {length[mask].max():.4g}"
        )
    mask = mask & (length > _MIN_LENGTH)
    unit = vectors / np.maximum(length, _MIN_LENGTH)[..., None]
    result = np.zeros_like(unit, np.float32)
    for i, axis in enumerate(label.axes):
        target, sign = _AXES[axis]
        result[..., target] = sign * unit[..., i]
    return np.where(mask[..., None], result, 0), mask


_AXES = {
    "right": (0, 1),
    "left": (0, -1),
    "up": (1, 1),
    "down": (1, -1),
    "toward": (2, 1),
    "away": (2, -1),
}

# === Common ===


def _single(numbers: np.ndarray, label: Label, path: pathlib.Path) -> np.ndarray:
    """Return numbers of one channel `[H, W]`; colours must be grey."""
    if numbers.ndim == 2:
        return numbers
    colours = numbers[..., : 1 if numbers.ndim == 3 and numbers.shape[2] == 2 else 3]
    if numbers.ndim != 3 or numbers.shape[2] > 4 or (colours != colours[..., :1]).any():
        raise DataError(
            f"{shown(path)} must hold one number per pixel for the encoding {label.encoding!r}. "
            f"It has {_described(numbers)}"
        )
    return colours[..., 0]


def _valid(values: np.ndarray, label: Label, default: tuple[float, ...] = ()) -> np.ndarray:
    """Return where numbers are finite and not `invalid`."""
    given = default if label.invalid is None else label.invalid
    invalid = given if isinstance(given, tuple) else (given,)
    as_stored = np.array(invalid, values.dtype if values.dtype.kind == "f" else np.float64)
    return np.isfinite(values) & ~np.isin(values, as_stored)


def _described(numbers: np.ndarray) -> str:
    return f"{'x'.join(map(str, numbers.shape))} {numbers.dtype}"


_DECODERS: dict[str, Callable[[np.ndarray, Label, pathlib.Path], Decoded]] = {
    "class ids": _class_ids,
    "class colours": _class_colours,
    "binary": _binary,
    "share": _share,
    **dict.fromkeys(_METRES, _distance),
    "rgb normals": _normal_colours,
    "vectors": _vectors,
    "values": _values,
}
