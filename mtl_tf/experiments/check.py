"""Reads a whole data set, lists what is broken, and draws a contact sheet."""

import io
import os
import pathlib

import cv2
import numpy as np
from PIL import Image

from mtl_tf import data, evaluation
from mtl_tf.evaluation.files import write_atomically

_ROWS = 12
_CELL_WIDTH = 192


def check_data(
    root: str | os.PathLike[str], num_classes: int, sheet: str | os.PathLike[str]
) -> list[str]:
    """Loads every image of NYU Depth v2 at `root` and draws some of them.

    Args:
        root: folder of the data set.
        num_classes: semantic classes, 13 or 40.
        sheet: PNG file to write: a row for each of 12 images, with the targets of all tasks.

    Returns:
        One line for each broken item; empty if all is well. Prints what it found.

    Raises:
        DataError: if the folder has no known layout, or a listed file is missing.
    """
    dataset = data.NYUDv2(root, tasks=_tasks(root, num_classes), num_classes=num_classes)
    print(f"{root}: {type(dataset.layout).__name__}, tasks {', '.join(dataset.tasks)}")  # noqa: T201
    problems: list[str] = []
    rows: list[np.ndarray] = []
    ids = [i for split in ("train", "val") for i in dataset.ids(split)]
    step = max(1, len(ids) // _ROWS)
    valid: dict[str, list[float]] = {task: [] for task in dataset.tasks}
    for number, image_id in enumerate(ids):
        try:
            sample = dataset.load(image_id)
        except data.DataError as error:
            problems.append(str(error))
            continue
        for task in dataset.tasks:
            valid[task].append(float(sample.masks[task].mean()))
        if number % step == 0 and len(rows) < _ROWS:
            rows.append(_row(sample, dataset.class_names))
    for task, shares in valid.items():
        share = 100 * np.mean(shares) if shares else 0.0
        print(f"  {task:8} {len(shares)} images, {share:.1f} % of pixels valid")  # noqa: T201
    if rows:
        buffer = io.BytesIO()
        Image.fromarray(np.concatenate(rows)).save(buffer, "PNG")
        write_atomically(sheet, buffer.getvalue())
        print(f"Contact sheet: {sheet}")  # noqa: T201
    print(f"{len(ids)} images, {len(problems)} broken")  # noqa: T201
    return problems


def _tasks(root: str | os.PathLike[str], num_classes: int) -> tuple[str, ...]:
    from mtl_tf.data.nyud_layouts import open_layout

    return open_layout(pathlib.Path(root), val_every=10).tasks


def _row(sample: data.Sample, class_names: tuple[str, ...]) -> np.ndarray:
    pictures = [sample.image]
    for task, target in sample.targets.items():
        names = class_names if task == "semseg" else ()
        pictures.append(evaluation.colourise(task, target, names, mask=sample.masks[task]))
    height = round(_CELL_WIDTH * sample.image.shape[0] / sample.image.shape[1])
    cells = [cv2.resize(p, (_CELL_WIDTH, height), interpolation=cv2.INTER_AREA) for p in pictures]
    return np.concatenate(cells, axis=1)
