"""Pictures of a few validation images after each epoch: `epochs/0001.webp`, ..."""

import io
import pathlib
from typing import Any

import keras
import numpy as np
from PIL import Image

from mtl_tf import data
from mtl_tf.atomic_files import write_atomically
from mtl_tf.evaluation import colourise
from mtl_tf.tasks import Task, as_tasks
from mtl_tf.training.optimizer.weight_average import averaged_weights

FOLDER = "epochs"
"""Name of the folder in that of a run."""

_IMAGES = 2
_TILE_WIDTH = 200  # pixels


class EpochPictures(keras.callbacks.Callback):
    """Draws the predictions for the first validation images after each epoch.

    Args:
        folder: of the run.
        dataset: its data set.

    Raises:
        ValueError: if `epochs` is a link.

    Examples:
        >>> import tempfile, mtl_tf as mtl
        >>> rooms = mtl.data.RenderedRooms(tasks=("depth",), train_size=2, val_size=2)
        >>> EpochPictures(pathlib.Path(tempfile.mkdtemp()), rooms).folder.name
        'epochs'
    """

    def __init__(self, folder: pathlib.Path, dataset: data.DenseDataset) -> None:
        super().__init__()
        self.folder = folder / FOLDER
        if self.folder.is_symlink():
            raise ValueError(f"{self.folder} is a link: a run writes into its own folder only")
        self._dataset = dataset
        self._images: np.ndarray | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Draw the predictions with the weights that validation uses."""
        if self._images is None:
            batch = next(iter(self._dataset.val()))
            self._images = np.asarray(batch[0])[:_IMAGES]
        with averaged_weights(self.model):
            outputs = self.model.network(self._images, training=False)
        tasks = [task for task in as_tasks(self._dataset.tasks) if task.name in outputs]
        maps = {task.name: np.asarray(task.activation(outputs[task.name])) for task in tasks}
        rows = [_row(i, image, tasks, maps) for i, image in enumerate(self._images)]
        self.folder.mkdir(exist_ok=True)
        buffer = io.BytesIO()
        Image.fromarray(np.concatenate(rows)).save(buffer, "WEBP", quality=80)
        write_atomically(self.folder / f"{epoch + 1:04d}.webp", buffer.getvalue())


def _row(i: int, image: np.ndarray, tasks: list[Task], maps: dict[str, np.ndarray]) -> np.ndarray:
    """Return image `i` and its maps side by side, RGB `[h, w, 3]` uint8."""
    coloured = [colourise(t, maps[t.name][i]) for t in tasks if maps[t.name].ndim == 4]
    height = round(image.shape[0] * _TILE_WIDTH / image.shape[1])
    tiles = [_resized(picture, height) for picture in (data.denormalise(image), *coloured)]
    return np.concatenate(tiles, axis=1)


def _resized(picture: np.ndarray, height: int) -> np.ndarray:
    resampling = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(picture).resize((_TILE_WIDTH, height), resampling))
