"""Data set of rendered rooms: unlimited images with exact labels of six tasks, no download."""

from collections.abc import Iterable, Sequence
from typing import Any

from mtl_tf.data.base import CHANNELS, DenseDataset
from mtl_tf.data.rendered_rooms.render import CLASSES, PARTS, render
from mtl_tf.data.sample import Sample, make_sample
from mtl_tf.data.transforms import Augmentation

TASKS = ("semseg", "human_parts", "saliency", "normals", "edges", "depth")
_FIRST_VAL_INDEX = 10_000_000


class RenderedRooms(DenseDataset):
    """Ray-cast rooms with semantic classes, depth, normals, edges, saliency and human parts.

    Image `i` of a seed shows the same scene at any size of the same aspect ratio. Training images
    have indices 0 to `train_size - 1`, validation images start at 10,000,000. `test()` returns the
    validation images.

    Source: this library; free of any licence.

    Args:
        tasks: some of `semseg`, `depth`, `normals`, `edges`, `saliency`, `human_parts`.
        input_shape: `(H, W, 3)` of the images, which are rendered at this size.
        train_size: number of training images.
        val_size: number of validation images.
        **options: `batch_size` and other fields of `mtl_tf.data.options.Options`; by default
            augmentation only flips.

    Raises:
        ValueError: for an unknown task, or sizes that are not positive.

    Examples:
        >>> import mtl_tf as mtl
        >>> data = mtl.data.RenderedRooms(["depth"], (48, 64, 3), batch_size=2)
        >>> image, targets, masks = next(iter(data.val()))
        >>> image.shape, targets["depth"].shape
        (TensorShape([2, 48, 64, 3]), TensorShape([2, 48, 64, 1]))
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
        splits = {
            "train": [str(i) for i in range(train_size)],
            "val": [str(_FIRST_VAL_INDEX + i) for i in range(val_size)],
        }
        super().__init__(tasks, available, splits, input_shape, CLASSES, **options)

    def load(self, image_id: str) -> Sample:
        """Render the image and its targets.

        Args:
            image_id: index of the image.
        """
        height, width, _ = self.input_shape
        rendered = render(self.options.seed, int(image_id), height, width)
        targets = {task: rendered[task] for task in self.tasks}
        return make_sample(rendered["image"], targets, {}, image_id)
