"""What all data sets share: a sample, the error, and the class that makes pipelines of a source."""

import abc
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf

from mtl_tf.data.pipeline import make_pipeline
from mtl_tf.data.sample import Sample
from mtl_tf.data.transforms import Augmentation

CHANNELS = {"semseg": 40, "human_parts": 7, "saliency": 1, "normals": 3, "edges": 1, "depth": 1}


def checked_input_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """`(H, W, 3)` as a tuple; `ValueError` for anything else."""
    shape = tuple(input_shape)
    if len(shape) != 3 or shape[2] != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"input_shape must be (height, width, 3). Received: {input_shape!r}")
    return shape


@dataclasses.dataclass(frozen=True)
class Options:
    """How a data set becomes batches.

    Attributes:
        batch_size: images in a batch; the last, smaller batch of a training epoch is dropped.
        augmentation: of training images.
        seed: of order and augmentation.
        cache: keep decoded samples in memory after the first epoch.
        num_workers: threads that decode and augment.
    """

    batch_size: int = 8
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    seed: int = 0
    cache: bool = False
    num_workers: int = 2


class DenseDataset(abc.ABC):
    """Base of the data sets: splits of ids, and one sample for an id.

    Attributes:
        tasks: `{task: channels}`, as architectures, trainer and evaluation take it.
        input_shape: `(H, W, 3)` of the images in a batch.
        class_names: names of the semantic classes.

    Args:
        tasks: names of the tasks wanted.
        available: `{task: channels}` of the tasks there are.
        input_shape: `(H, W, 3)` of the images in a batch.
        class_names: names of the semantic classes.
        options: batch size, augmentation, seed, cache, threads.

    Raises:
        ValueError: for a task that is not available, or a shape or batch size that makes no sense.
    """

    def __init__(
        self,
        tasks: Iterable[str],
        available: Mapping[str, int],
        input_shape: Sequence[int],
        class_names: Sequence[str],
        options: Options,
    ) -> None:
        names = list(tasks)
        unknown = [name for name in names if name not in available]
        if unknown or not names:
            raise ValueError(
                f"tasks must be some of {list(available)} for {type(self).__name__} here. "
                f"Received: {names}"
            )
        if options.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1. Received: {options.batch_size}")
        self.tasks = {name: available[name] for name in names}
        self.input_shape = checked_input_shape(input_shape)
        self.class_names = tuple(class_names)
        self.options = options

    @staticmethod
    def checked_split(split: str) -> str:
        """`"train"` or `"val"`, which `"test"` stands for too; `ValueError` for another split."""
        if split not in ("train", "val", "test"):
            raise ValueError(f"split must be 'train', 'val' or 'test'. Received: {split!r}")
        return "val" if split == "test" else split

    @abc.abstractmethod
    def ids(self, split: str) -> list[str]:
        """Ids of the images of `"train"`, `"val"` or `"test"`."""

    @abc.abstractmethod
    def load(self, image_id: str) -> Sample:
        """The image and the targets of the data set's tasks at their own size."""

    def train(self) -> tf.data.Dataset:
        """Shuffled, augmented training batches.

        Returns:
            Data set of `(image [B, H, W, 3] float32, {task: target [B, H, W, C]},
            {task: validity mask [B, H, W] float32})`: class ids int32, all else float32; depth in
            metres. The image is RGB, normalised with ImageNet's mean and standard deviation. Order
            and augmentation depend on the seed and the number of the epoch alone.
        """
        return make_pipeline(self, self.ids("train"), self.options, training=True)

    def batches(self, split: str, native_targets: bool = False) -> tf.data.Dataset:
        """Batches of any split in order, without augmentation.

        Args:
            split: `"train"`, `"val"` or `"test"`.
            native_targets: batches of one image, with targets at their own size.

        Returns:
            Data set with the same contents as `train`.
        """
        options = dataclasses.replace(self.options, cache=False)
        if native_targets:
            options = dataclasses.replace(options, batch_size=1)
        return make_pipeline(self, self.ids(split), options, native_targets=native_targets)

    def val(self) -> tf.data.Dataset:
        """Validation batches at the input size, in order; same contents as `train`."""
        return make_pipeline(self, self.ids("val"), self.options)

    def test(self) -> tf.data.Dataset:
        """Test batches of one image at the input size with targets at their own size."""
        return self.batches("test", native_targets=True)
