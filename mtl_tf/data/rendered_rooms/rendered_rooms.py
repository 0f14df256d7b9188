"""Rendered rooms: endless furnished rooms with exact labels of all six tasks, no download."""

from collections.abc import Iterable, Sequence
from typing import Any

from mtl_tf.data.base import CHANNELS, DenseDataset
from mtl_tf.data.rendered_rooms.render import CLASSES, PARTS, render
from mtl_tf.data.sample import Sample, make_sample
from mtl_tf.data.transforms import Augmentation

TASKS = ("semseg", "human_parts", "saliency", "normals", "edges", "depth")
_VAL_BEGINS_AT = 10_000_000


class RenderedRooms(DenseDataset):
    """Ray-cast rooms: semantic classes, depth, normals, edges, a salient object, body parts.

    Image `i` of a seed is always the same picture, at any size. Training images are numbers 0 to
    `train_size - 1`, validation images come from far behind them. `test()` gives the validation
    images.

    Source: this library; free of any licence.

    Args:
        tasks: some of `semseg`, `depth`, `normals`, `edges`, `saliency`, `human_parts`.
        input_shape: `(H, W, 3)` of the images, which are rendered at that size.
        train_size: number of training images.
        val_size: number of validation images.
        **options: `batch_size`, `augmentation` and the others of every data set; augmentation flips
            only by default
            (`mtl_tf.data.base.Options`).

    Raises:
        ValueError: for an unknown task, or sizes that are not positive.
    """

    augmentation = Augmentation(zoom=(1.0,))

    def __init__(
        self,
        tasks: Iterable[str] = TASKS,
        input_shape: Sequence[int] = (96, 128, 3),
        train_size: int = 1000,
        val_size: int = 100,
        **options: Any,
    ) -> None:
        if train_size < 1 or val_size < 1:
            raise ValueError(
                f"train_size and val_size must be positive. Received: {train_size}, {val_size}"
            )
        available = {task: CHANNELS[task] for task in TASKS}
        available |= {"semseg": len(CLASSES), "human_parts": len(PARTS)}
        first = {"train": 0, "val": _VAL_BEGINS_AT}
        splits = {
            split: [str(first[split] + i) for i in range(size)]
            for split, size in (("train", train_size), ("val", val_size))
        }
        super().__init__(tasks, available, splits, input_shape, CLASSES, **options)

    def load(self, image_id: str) -> Sample:
        """The rendered image and its exact targets."""
        height, width, _ = self.input_shape
        rendered = render(self.options.seed, int(image_id), height, width)
        targets = {task: rendered[task] for task in self.tasks}
        return make_sample(rendered["image"], targets, {}, image_id)
