"""From samples to batches: order, decoding, augmentation and batching as a `tf.data` pipeline."""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from mtl_tf.data.sample import Sample
from mtl_tf.data.transforms import augment, normalise, resize

if TYPE_CHECKING:
    from mtl_tf.data.base import DenseDataset, Options


class _Epochs:
    """Numbers the epochs: set by the trainer, else counted as the pipeline is iterated."""

    def __init__(self) -> None:
        self._announced: int | None = None
        self._counted = 0

    def set(self, epoch: int) -> None:
        self._announced = int(epoch)

    def begin(self) -> int:
        epoch = self._counted if self._announced is None else self._announced
        self._counted += 1
        return epoch


class _Loader:
    """Loads samples by position, and keeps them, shrunk as far as augmentation allows."""

    def __init__(self, source: "DenseDataset", ids: list[str], cache: bool, largest: float) -> None:
        self.source, self.ids = source, ids
        self._cache: dict[int, Sample] | None = {} if cache else None
        self._largest = largest
        self._lock = threading.Lock()

    def __call__(self, position: int) -> Sample:
        if self._cache is not None and position in self._cache:
            return self._cache[position]
        sample = self.source.load(self.ids[position])
        if self._cache is not None:
            height, width = (round(n * self._largest) for n in self.source.input_shape[:2])
            if height < sample.image.shape[0] and width < sample.image.shape[1]:
                sample = resize(sample, height, width)
            with self._lock:
                self._cache[position] = sample
        return sample


def make_pipeline(
    source: "DenseDataset",
    ids: list[str],
    options: "Options",
    training: bool = False,
    native_targets: bool = False,
) -> tf.data.Dataset:
    """Batches of some ids of a data set.

    Args:
        source: the data set.
        ids: in order.
        options: batch size, augmentation, seed, cache, threads.
        training: shuffle, augment and drop the last, smaller batch.
        native_targets: leave targets at their own size (images are resized to the input).

    Returns:
        Data set of `(image, targets, masks)`, see `DenseDataset.train`. Its attribute `set_epoch`
        takes the number of the epoch that begins; without it epochs are counted.

    Raises:
        ValueError: if there is no id, or less than a batch to train with.
    """
    if len(ids) < (options.batch_size if training else 1):
        raise ValueError(
            f"A batch of {options.batch_size} images cannot be made of {len(ids)}: choose a "
            "smaller batch_size or check the split"
        )
    height, width, _ = source.input_shape
    tasks = list(source.tasks)
    epochs = _Epochs()
    loader = _Loader(source, ids, options.cache, max(options.augmentation.zoom) if training else 1)

    def order() -> Iterator[np.ndarray]:
        epoch = epochs.begin()
        positions = np.arange(len(ids))
        if training:
            positions = np.random.default_rng((options.seed, epoch)).permutation(len(ids))
        yield np.stack([np.full(len(ids), epoch), positions], axis=1)

    def arrays(epoch: np.ndarray, position: np.ndarray) -> list[np.ndarray]:
        sample = loader(int(position))
        image = sample.image
        if training:
            generator = np.random.default_rng((options.seed, int(epoch), int(position)))
            sample = augment(sample, height, width, options.augmentation, generator)
            image = sample.image
        elif native_targets:
            image = resize(Sample(image, {}, {}), height, width).image
        else:
            sample = resize(sample, height, width)
            image = sample.image
        targets = [np.ascontiguousarray(sample.targets[task]) for task in tasks]
        masks = [sample.masks[task].astype(np.float32) for task in tasks]
        return [normalise(image), *targets, *masks]

    dtypes = [tf.int32 if task in ("semseg", "human_parts") else tf.float32 for task in tasks]
    size = (None, None) if native_targets else (height, width)

    def as_batch_element(numbers: tf.Tensor) -> tuple:
        image, *rest = tf.numpy_function(
            arrays,
            [numbers[0], numbers[1]],
            [tf.float32, *dtypes, *[tf.float32] * len(tasks)],
            stateful=False,
        )
        targets = dict(zip(tasks, rest[: len(tasks)], strict=True))
        masks = dict(zip(tasks, rest[len(tasks) :], strict=True))
        for task in tasks:
            targets[task] = tf.ensure_shape(targets[task], (*size, _target_channels(source, task)))
            masks[task] = tf.ensure_shape(masks[task], size)
        return tf.ensure_shape(image, source.input_shape), targets, masks

    dataset = tf.data.Dataset.from_generator(
        order, output_signature=tf.TensorSpec((len(ids), 2), tf.int64)
    )
    dataset = dataset.flat_map(tf.data.Dataset.from_tensor_slices)
    dataset = dataset.map(
        as_batch_element, num_parallel_calls=options.num_workers, deterministic=True
    )
    dataset = dataset.batch(options.batch_size, drop_remainder=training)
    batches = len(ids) / options.batch_size
    count = int(batches) if training else int(np.ceil(batches))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count)).prefetch(4)
    dataset.set_epoch = epochs.set
    return dataset


def _target_channels(source: "DenseDataset", task: str) -> int:
    return 1 if task in ("semseg", "human_parts") else source.tasks[task]
