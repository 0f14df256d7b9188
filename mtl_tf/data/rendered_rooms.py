"""Rendered rooms: endless furnished rooms with exact labels of all six tasks, no download."""

from collections.abc import Iterable, Sequence

from mtl_tf.data._render import CLASSES, PARTS, render
from mtl_tf.data.base import CHANNELS, DenseDataset, Options
from mtl_tf.data.sample import Sample, make_sample
from mtl_tf.data.transforms import Augmentation

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
        batch_size: images in a batch.
        augmentation: of training images; flips only by default.
        seed: of the rooms, the order and the augmentation.
        cache: keep rendered samples in memory after the first epoch.
        num_workers: threads that render and augment.

    Raises:
        ValueError: for an unknown task, or sizes that are not positive.
    """

    def __init__(
        self,
        tasks: Iterable[str] = tuple(CHANNELS),
        input_shape: Sequence[int] = (96, 128, 3),
        train_size: int = 1000,
        val_size: int = 100,
        batch_size: int = 8,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache: bool = False,
        num_workers: int = 2,
    ) -> None:
        if train_size < 1 or val_size < 1:
            raise ValueError(
                f"train_size and val_size must be positive. Received: {train_size}, {val_size}"
            )
        available = CHANNELS | {"semseg": len(CLASSES), "human_parts": len(PARTS)}
        augmentation = Augmentation(zoom=(1.0,)) if augmentation is None else augmentation
        options = Options(batch_size, augmentation, seed, cache, num_workers)
        super().__init__(tasks, available, input_shape, CLASSES, options)
        self.sizes = {"train": train_size, "val": val_size, "test": val_size}

    def ids(self, split: str) -> list[str]:
        """Numbers of the images of `"train"`, `"val"` or `"test"` (the same as `"val"`)."""
        first = 0 if self.checked_split(split) == "train" else _VAL_BEGINS_AT
        return [str(first + i) for i in range(self.sizes[split])]

    def load(self, image_id: str) -> Sample:
        """The rendered image and its exact targets."""
        height, width, _ = self.input_shape
        rendered = render(self.options.seed, int(image_id), height, width)
        targets = {task: rendered[task] for task in self.tasks}
        return make_sample(rendered["image"], targets, {}, image_id)
