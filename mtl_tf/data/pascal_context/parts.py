"""Body parts of people from the annotations of PASCAL-Part (Chen et al., CVPR 2014)."""

import pathlib
from typing import Any

import numpy as np

from mtl_tf.data import files
from mtl_tf.data.sample import DataError

PARTS = ("background", "head", "torso", "upper arm", "lower arm", "upper leg", "lower leg")
"""Names of the 7 parts, in the order of their ids."""

_PERSON = 15
_GROUPS = {
    "head": ("head", "leye", "reye", "lear", "rear", "lebrow", "rebrow", "nose", "mouth", "hair"),
    "torso": ("torso", "neck"),
    "upper arm": ("luarm", "ruarm"),
    "lower arm": ("llarm", "rlarm", "lhand", "rhand"),
    "upper leg": ("luleg", "ruleg"),
    "lower leg": ("llleg", "rlleg", "lfoot", "rfoot"),
}
_PART_OF = {name: PARTS.index(group) for group, names in _GROUPS.items() for name in names}


def read_human_parts(path: pathlib.Path, size: tuple[int, int]) -> np.ndarray:
    """Read the parts of all people in an annotation.

    Args:
        path: path of a `.mat` file with the structure `anno`.
        size: height and width of the image.

    Returns:
        Ids of `PARTS`, `[H, W]` uint8.

    Raises:
        DataError: if the file is damaged, or a mask has another size or an unknown name.
    """
    parts = np.zeros(size, np.uint8)
    for person in _read_people(path):
        for part in _field_as_list(person, "parts"):
            try:
                name, mask = str(part["part_name"]), np.asarray(part["mask"])
                group = _PART_OF[name]
            except (KeyError, TypeError, IndexError) as error:
                raise DataError(f"{path}: unknown part of a person: {error!r}") from error
            if mask.shape != size or mask.dtype.kind not in "biuf":
                raise DataError(f"{path}: the mask of {name} is {mask.shape}, the image {size}")
            parts[mask > 0] = group
    return parts


def has_person(path: pathlib.Path) -> bool:
    """Return whether an annotation contains a person."""
    return bool(_read_people(path))


def _read_people(path: pathlib.Path) -> list[Any]:
    objects = _field_as_list(files.read_matlab(path, "anno"), "objects", path)
    return [item for item in objects if _is_person(item, path)]


def _is_person(item: dict[str, Any], path: pathlib.Path) -> bool:
    try:
        return int(item["class_ind"]) == _PERSON
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{path}: an object without class_ind: {error!r}") from error


def _field_as_list(
    structure: np.ndarray | dict[str, Any], field: str, path: pathlib.Path | str = "annotation"
) -> list[Any]:
    """Return a field that MATLAB stores as an empty array, a structure, or an array of them."""
    try:
        value = structure[field]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise DataError(f"{path}: there is no field {field!r}: {error!r}") from error
    return files.as_list(value)
