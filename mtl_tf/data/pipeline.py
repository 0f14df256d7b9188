"""From samples to batches: order, decoding, augmentation and batching as a `tf.data` pipeline."""

import collections
import threading
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from mtl_tf.autotuning import without_autotuning
from mtl_tf.data.python_calls import python_call
from mtl_tf.data.sample import DataError, Sample, checked_sample
from mtl_tf.data.transforms import augment, normalise, resize

if TYPE_CHECKING:
    from mtl_tf.data.base import DenseDataset, Options

_FILES_AT_ONCE = 4  # of a stream
_NOBODY_LOOKS = -1  # position of an image of a batch that will be skipped
_SHUFFLED = 256  # records of a stream that are held to be shuffled


class _Epochs:
    """Numbers the epochs: set by the trainer, else counted as the pipeline is iterated."""

    def __init__(self) -> None:
        self._announced: tuple[int, int] | None = None
        self._counted = 0

    def set(self, epoch: int, first_batch: int = 0) -> None:
        self._announced = int(epoch), int(first_batch)

    def begin(self) -> tuple[int, int]:
        """The number of the epoch, and its first batch that anyone looks at."""
        epoch, first_batch = self._announced or (self._counted, 0)
        if self._announced is not None:
            self._announced = epoch, 0  # whoever iterates it again looks at all batches
        self._counted += 1
        return epoch, first_batch


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
        image_id = self.ids[position]
        try:
            loaded = self.source.load(image_id)
        except OSError as error:  # of a user's `load`: it names the file at best
            raise DataError(f"{image_id}: {error}") from error
        sample = checked_sample(loaded, self.source.specs, image_id)
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
        takes the number of the epoch that begins, and how many of its batches nobody will look at:
        they are zeros. Without it epochs are counted.

    Raises:
        ValueError: if there is no id, or less than a batch to train with.
    """
    _check_batch(len(ids), options, training)
    epochs = _Epochs()
    loader = _Loader(source, ids, options.cache, max(options.augmentation.zoom) if training else 1)

    def order() -> list[np.ndarray]:
        epoch, first_batch = epochs.begin()
        positions = np.arange(len(ids))
        if training:
            positions = source.epoch_order(ids, np.random.default_rng((options.seed, epoch)))
            positions[: first_batch * options.batch_size] = _NOBODY_LOOKS
        return [np.stack([np.full(len(ids), epoch), positions], axis=1)]

    def sample(numbers: np.ndarray) -> tuple[Sample, tuple[int, ...]] | None:
        epoch, position = map(int, numbers)
        if position == _NOBODY_LOOKS:
            return None
        return loader(position), (options.seed, epoch, position)

    # Not `from_generator`: its kernel (TensorFlow 2.21) lowers the C library's trim threshold, and
    # from then on every large tensor of the process costs page faults: half the speed of training.
    dataset = tf.data.Dataset.from_tensors(0).map(
        lambda _: tf.ensure_shape(python_call(order, [], [tf.int64])[0], (len(ids), 2))
    )
    dataset = dataset.flat_map(tf.data.Dataset.from_tensor_slices)
    dataset = _batched(dataset, sample, source, options, training, native_targets)
    batches = len(ids) / options.batch_size
    count = int(batches) if training else int(np.ceil(batches))
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count)).prefetch(4)
    dataset = without_autotuning(dataset)
    dataset.set_epoch = epochs.set
    return dataset


def make_stream(
    source: "DenseDataset",
    paths: list[str],
    count: int,
    decode: Callable[[bytes], Sample],
    options: "Options",
    training: bool = False,
) -> tf.data.Dataset:
    """Batches of the records of TFRecord files, read from their beginnings.

    Args:
        source: the data set.
        paths: of the files.
        count: of the records in all of them.
        decode: a sample from a record.
        options: batch size, augmentation, seed, threads.
        training: shuffle, augment and drop the last, smaller batch.

    Returns:
        Data set of `(image, targets, masks)`, see `DenseDataset.train`.

    Raises:
        ValueError: if there is less than a batch to train with.
    """
    _check_batch(count, options, training)
    dataset = tf.data.Dataset.from_tensor_slices(paths)
    if training:
        dataset = dataset.shuffle(len(paths), seed=options.seed)
    dataset = dataset.interleave(
        tf.data.TFRecordDataset, cycle_length=_FILES_AT_ONCE if training else 1
    )
    if training:
        dataset = dataset.shuffle(_SHUFFLED, seed=options.seed)
    visits: collections.Counter[int] = collections.Counter()
    lock = threading.Lock()

    def sample(record: bytes) -> tuple[Sample, tuple[int, ...]]:
        checksum = zlib.crc32(record)
        with lock:
            visits[checksum] += 1
            seed = (options.seed, checksum, visits[checksum])
        return decode(record), seed

    return without_autotuning(
        _batched(dataset, sample, source, options, training, False).prefetch(4)
    )


def _check_batch(count: int, options: "Options", training: bool) -> None:
    if count < (options.batch_size if training else 1):
        raise ValueError(
            f"A batch of {options.batch_size} images cannot be made of {count}: choose a "
            "smaller batch_size or check the split"
        )


def _batched(
    elements: tf.data.Dataset,
    sample_of: Callable[..., tuple[Sample, tuple[int, ...]] | None],
    source: "DenseDataset",
    options: "Options",
    training: bool,
    native_targets: bool,
) -> tf.data.Dataset:
    """Batches of elements, from which `sample_of` makes a sample and a seed for augmentation.

    Where it gives `None` the batch holds zeros.
    """
    height, width, _ = source.input_shape
    specs = source.specs

    def arrays(*element: Any) -> list[np.ndarray]:
        found = sample_of(*element)
        if found is None:
            absent = [spec.absent(height, width) for spec in specs.values()]
            targets = [target for target, _ in absent]
            masks = [mask.astype(np.float32) for _, mask in absent]
            return [np.zeros((height, width, 3), np.float32), *targets, *masks]
        sample, seed = found
        image = sample.image
        if training:
            generator = np.random.default_rng(seed)
            sample = augment(sample, height, width, options.augmentation, generator)
            image = sample.image
        elif native_targets:
            image = resize(Sample(image, {}, {}), height, width).image
        else:
            sample = resize(sample, height, width)
            image = sample.image
        targets = [np.ascontiguousarray(sample.targets[task]) for task in specs]
        masks = [np.asarray(sample.masks[task], np.float32) for task in specs]
        return [normalise(image), *targets, *masks]

    dtypes = [tf.as_dtype(spec.kind.dtype) for spec in specs.values()]
    full_size = (None, None) if native_targets else (height, width)

    def as_batch_element(*element: tf.Tensor) -> tuple:
        image, *rest = python_call(
            arrays, element, [tf.float32, *dtypes, *[tf.float32] * len(specs)]
        )
        targets = dict(zip(specs, rest[: len(specs)], strict=True))
        masks = dict(zip(specs, rest[len(specs) :], strict=True))
        for task, spec in specs.items():
            size = () if spec.is_image_level else full_size
            targets[task] = tf.ensure_shape(targets[task], (*size, spec.target_channels))
            masks[task] = tf.ensure_shape(masks[task], size)
        return tf.ensure_shape(image, source.input_shape), targets, masks

    dataset = elements.map(
        as_batch_element, num_parallel_calls=options.num_workers, deterministic=True
    )
    return dataset.batch(options.batch_size, drop_remainder=training)
