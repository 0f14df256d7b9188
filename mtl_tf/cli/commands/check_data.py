"""Check of a whole data set: a list of damaged items and a contact sheet."""

import dataclasses
import io
import os

import cv2
import numpy as np
from PIL import Image

from mtl_tf import data, evaluation
from mtl_tf.atomic_files import write_atomically
from mtl_tf.data.sample import checked_sample
from mtl_tf.tasks import as_tasks
from mtl_tf.text import shown

_MAX_ROWS = 12
_CELL_WIDTH = 192
_MAX_HEIGHT = 768


@dataclasses.dataclass(frozen=True)
class DataCheck:
    """Result of `check_data`.

    Attributes:
        root: folder of the data set.
        layout: class that reads it.
        images: number of images.
        tasks: `{task: (images that were read, share of their pixels that are valid)}`.
        damaged: one line for each damaged item and each missing label.
        sheet: the contact sheet; `None` if there is nothing to draw.
    """

    root: str
    layout: str
    images: int
    tasks: dict[str, tuple[int, float]]
    damaged: list[str]
    sheet: str | None

    def __str__(self) -> str:
        """Return the summary as text; the damaged items are only counted."""
        lines = [f"{shown(self.root)}: {self.layout}, tasks {', '.join(self.tasks)}"]
        for task, (images, share) in self.tasks.items():
            lines.append(f"  {task:8} {images} images, {100 * share:.1f} % of pixels valid")
        if self.sheet is not None:
            lines.append(f"Contact sheet: {shown(self.sheet)}")
        lines.append(f"{self.images} images, {len(self.damaged)} broken")
        return "\n".join(lines)


def check_data(
    dataset: data.DenseDataset, root: str | os.PathLike[str], sheet: str | os.PathLike[str]
) -> DataCheck:
    """Load every image of a data set and draw some of them.

    Args:
        dataset: with all its tasks, opened without a check of its files.
        root: its folder.
        sheet: PNG file to write: a row for each of 12 images, with the targets of all tasks.
    """
    is_packed = isinstance(dataset, data.PackedDataset)
    damaged = list(data.damaged_files(os.fspath(root))) if is_packed else []
    if isinstance(dataset, data.Folder):
        damaged += dataset.missing_labels()
    rows: list[np.ndarray] = []
    ids = dataset.all_ids()
    step = max(1, len(ids) // _MAX_ROWS)
    valid: dict[str, list[float]] = {task: [] for task in dataset.tasks}
    for number, image_id in enumerate(ids):
        try:
            sample = checked_sample(dataset.load(image_id), dataset.specs, image_id)
        except data.DataError as error:
            damaged.append(str(error))
            continue
        for task in dataset.tasks:
            valid[task].append(float(sample.masks[task].mean()))
        if number % step == 0 and len(rows) < _MAX_ROWS:
            rows.append(_row(sample, dataset))
    if rows:
        buffer = io.BytesIO()
        Image.fromarray(np.concatenate(rows)).save(buffer, "PNG")
        write_atomically(sheet, buffer.getvalue())
    return DataCheck(
        root=os.fspath(root),
        layout=type(getattr(dataset, "layout", dataset)).__name__,
        images=len(ids),
        tasks={
            task: (len(shares), float(np.mean(shares)) if shares else 0.0)
            for task, shares in valid.items()
        },
        damaged=damaged,
        sheet=os.fspath(sheet) if rows else None,
    )


def _row(sample: data.Sample, dataset: data.DenseDataset) -> np.ndarray:
    """Return the image and its coloured targets side by side."""
    pictures = [sample.image]
    for task in as_tasks(dataset.tasks):
        target, mask = sample.targets[task.name], sample.masks[task.name]
        pictures.append(evaluation.colourise(task, target, mask=mask))
    height = round(_CELL_WIDTH * sample.image.shape[0] / sample.image.shape[1])
    height = min(max(height, 1), _MAX_HEIGHT)  # an image may be a single line
    cells = [cv2.resize(p, (_CELL_WIDTH, height), interpolation=cv2.INTER_AREA) for p in pictures]
    return np.concatenate(cells, axis=1)
