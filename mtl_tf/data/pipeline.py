"""Order, decoding, augmentation and batching of samples as a `tf.data` pipeline."""

import collections
import threading
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from mtl_tf.autotuning import without_autotuning
from mtl_tf.data.options import Options, Source
from mtl_tf.data.python_calls import python_call
from mtl_tf.data.sample import DataError, Sample, checked_sample
from mtl_tf.data.transforms import augment, normalise, resize

_INTERLEAVED_FILES = 4  # of a stream
_SKIPPED = -1  # position of an image in a batch that the trainer skips
_SHUFFLE_BUFFER = 256  # records of a stream


class _Epochs:
    """Epoch counter of a pipeline: set by the trainer, otherwise incremented by each iteration."""

    def __init__(self) -> None:
        self._next: tuple[int, int] | None = None
        self._count = 0

    def set(self, epoch: int, first_batch: int = 0) -> None:
        """Set the epoch of the next iteration and its first batch that is used."""
        self._next = int(epoch), int(first_batch)

    def begin(self) -> tuple[int, int]:
        """Start an epoch; return its number and its first batch that is used."""
        epoch, first_batch = self._next or (self._count, 0)
        if self._next is not None:
            self._next = epoch, 0  # another iteration of this epoch uses all batches
        self._count += 1
        return epoch, first_batch


class _Loader:
    """Loader of samples by position, with an optional cache.

    Cached samples are downsampled to the largest size that augmentation needs.
    """

    def __init__(self, source: Source, ids: list[str], cache: bool, max_zoom: float) -> None:
        self.source, self.ids = source, ids
        self._cache: dict[int, Sample] | None = {} if cache else None
        self._max_zoom = max_zoom
        self._lock = threading.Lock()

    def __call__(self, position: int) -> Sample:
        if self._cache is not None and position in self._cache:
            return self._cache[position]
        image_id = self.ids[position]
        try:
            loaded = self.source.load(image_id)
        except OSError as error:  # raised by a custom `load`
            raise DataError(f"{image_id}: {error}") from error
        sample = checked_sample(loaded, self.source.specs, image_id)
        if self._cache is not None:
            height, width = (round(n * self._max_zoom) for n in self.source.input_shape[:2])
            if height < sample.image.shape[0] and width < sample.image.shape[1]:
                sample = resize(sample, height, width)
            with self._lock:
                self._cache[position] = sample
        return sample


def make_pipeline(
    source: Source,
    ids: list[str],
    options: Options,
    training: bool = False,
    original_size: bool = False,
) -> tf.data.Dataset:
    """Build a pipeline of batches from image ids.

    Args:
        source: source of the samples, such as a data set.
        ids: ids of the images, in order.
        options: batch size, augmentation, seed, cache and number of threads.
        training: whether to shuffle, augment and drop the last, smaller batch.
        original_size: whether targets keep their original size (images are resized to the input).

    Returns:
        Dataset of `(image, targets, masks)`, see `DenseDataset.train`. Its attribute
        `set_epoch(epoch, first_batch=0)` sets the number of the next epoch; batches before
        `first_batch` hold zeros. Without it, epochs are counted.

    Raises:
        ValueError: if there is no id, or less than one training batch.
    """
    _check_batch(len(ids), options, training)
    epochs = _Epochs()
    loader = _Loader(source, ids, options.cache, max(options.augmentation.zoom) if training else 1)

    def order() -> list[np.ndarray]:
        epoch, first_batch = epochs.begin()
        positions = np.arange(len(ids))
        if training:
            generator = np.random.default_rng((options.seed, epoch))
            positions = np.array(source.epoch_order(ids, generator))
            positions[: first_batch * options.batch_size] = _SKIPPED
        return [np.stack([np.full(len(ids), epoch), positions], axis=1)]

    def load(epoch_and_position: np.ndarray) -> tuple[Sample, tuple[int, ...]] | None:
        epoch, position = map(int, epoch_and_position)
        if position == _SKIPPED:
            return None
        return loader(position), (options.seed, epoch, position)

    # Not `from_generator`: its kernel (TensorFlow 2.21) lowers the trim threshold of the C library,
    # after which every large tensor of the process causes page faults: half the training speed.
    dataset = tf.data.Dataset.from_tensors(0).map(
        lambda _: tf.ensure_shape(python_call(order, [], [tf.int64])[0], (len(ids), 2))
    )
    dataset = dataset.flat_map(tf.data.Dataset.from_tensor_slices)
    dataset = _batched(dataset, load, source, options, training, original_size)
    batches = len(ids) / options.batch_size
    num_batches = int(batches) if training else int(np.ceil(batches))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(num_batches)).prefetch(4)
    dataset = without_autotuning(dataset)
    dataset.set_epoch = epochs.set
    return dataset


def make_stream(
    source: Source,
    paths: list[str],
    count: int,
    decode: Callable[[bytes], Sample],
    options: Options,
    training: bool = False,
) -> tf.data.Dataset:
    """Build a pipeline of batches from TFRecord files that are read sequentially.

    Args:
        source: source of the samples, such as a data set.
        paths: paths of the files.
        count: number of records in all files.
        decode: function from a record to a sample.
        options: batch size, augmentation, seed and number of threads.
        training: whether to shuffle, augment and drop the last, smaller batch.

    Returns:
        Dataset of `(image, targets, masks)`, see `DenseDataset.train`.

    Raises:
        ValueError: if there is less than one training batch.
    """
    _check_batch(count, options, training)
    dataset = tf.data.Dataset.from_tensor_slices(paths)
    if training:
        dataset = dataset.shuffle(len(paths), seed=options.seed)
    dataset = dataset.interleave(
        tf.data.TFRecordDataset, cycle_length=_INTERLEAVED_FILES if training else 1
    )
    if training:
        dataset = dataset.shuffle(_SHUFFLE_BUFFER, seed=options.seed)
    visits: collections.Counter[int] = collections.Counter()
    lock = threading.Lock()

    def load(record: bytes) -> tuple[Sample, tuple[int, ...]]:
        checksum = zlib.crc32(record)
        with lock:
            visits[checksum] += 1
            seed = (options.seed, checksum, visits[checksum])
        return decode(record), seed

    return without_autotuning(_batched(dataset, load, source, options, training, False).prefetch(4))


def _check_batch(count: int, options: Options, training: bool) -> None:
    if count < (options.batch_size if training else 1):
        raise ValueError(
            f"A batch of {options.batch_size} images cannot be made of {count}: choose a "
            "smaller batch_size or check the split"
        )


def _batched(
    elements: tf.data.Dataset,
    load: Callable[..., tuple[Sample, tuple[int, ...]] | None],
    source: Source,
    options: Options,
    training: bool,
    original_size: bool,
) -> tf.data.Dataset:
    """Batch samples after augmentation or resizing.

    Args:
        elements: dataset of the arguments of `load`.
        load: function that returns a sample and a seed for augmentation, or `None` for zeros.
        source: source of the samples, such as a data set.
        options: batch size, augmentation and number of threads.
        training: whether to augment and drop the last, smaller batch.
        original_size: whether targets keep their original size.
    """
    height, width, _ = source.input_shape
    specs = source.specs

    def arrays(*element: Any) -> list[np.ndarray]:
        loaded = load(*element)
        if loaded is None:
            absent = [spec.absent(height, width) for spec in specs.values()]
            targets = [target for target, _ in absent]
            masks = [mask.astype(np.float32) for _, mask in absent]
            return [np.zeros((height, width, 3), np.float32), *targets, *masks]
        sample, seed = loaded
        image = sample.image
        if training:
            generator = np.random.default_rng(seed)
            sample = augment(sample, height, width, options.augmentation, generator)
            image = sample.image
        elif original_size:
            image = resize(Sample(image, {}, {}), height, width).image
        else:
            sample = resize(sample, height, width)
            image = sample.image
        targets = [np.ascontiguousarray(sample.targets[task]) for task in specs]
        masks = [np.asarray(sample.masks[task], np.float32) for task in specs]
        pixels = normalise(image) if options.normalise else image.astype(np.float32)
        return [pixels, *targets, *masks]

    dtypes = [tf.as_dtype(spec.kind.dtype) for spec in specs.values()]
    target_size = (None, None) if original_size else (height, width)

    def as_batch_element(*element: tf.Tensor) -> tuple:
        image, *rest = python_call(
            arrays, element, [tf.float32, *dtypes, *[tf.float32] * len(specs)]
        )
        targets = dict(zip(specs, rest[: len(specs)], strict=True))
        masks = dict(zip(specs, rest[len(specs) :], strict=True))
        for task, spec in specs.items():
            size = () if spec.is_image_level else target_size
            targets[task] = tf.ensure_shape(targets[task], (*size, spec.target_channels))
            masks[task] = tf.ensure_shape(masks[task], size)
        return tf.ensure_shape(image, source.input_shape), targets, masks

    dataset = elements.map(
        as_batch_element, num_parallel_calls=options.num_workers, deterministic=True
    )
    return dataset.batch(options.batch_size, drop_remainder=training)
