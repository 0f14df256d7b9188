"""Reader of data sets in sharded TFRecord files with an index and checksums."""

import contextlib
import functools
import json
import math
import os
import posixpath
import warnings
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from mtl_tf.class_names import checked_class_names
from mtl_tf.data.base import DenseDataset, TaskChannels
from mtl_tf.data.files import leads_out
from mtl_tf.data.packed.records import decode_sample
from mtl_tf.data.pipeline import make_stream
from mtl_tf.data.sample import DataError, Sample, TargetSpec
from mtl_tf.data.transforms import Augmentation
from mtl_tf.images import checked_input_shape
from mtl_tf.targets import TargetKind, kind_of
from mtl_tf.task_config import tasks_from_config
from mtl_tf.tasks import Task
from mtl_tf.text import shown

VERSION = 1
INDEX = "index.json"
HEADER_BYTES, FOOTER_BYTES = 12, 4
"""Bytes of a TFRecord file before and after each record: its length, and checksums."""
_SPLITS = ("train", "val", "test")
_MAX_PIXELS = 1 << 27
_MAX_CHANNELS = 1 << 16


class PackedDataset(DenseDataset):
    """Data set written by `mtl_tf.data.pack`, at any path that `tf.io.gfile` reads.

    Records are located by the index and verified by a checksum, so shuffling, resuming and `test()`
    work as for the original data set. `stream` reads whole files sequentially instead, for storage
    with slow random access and for many workers.

    Source: this library; the record format is TensorFlow's.

    Args:
        root: path of the packed data set: a folder, or `gs://`, `s3://`, ...
        tasks: some of its tasks; `None` for all tasks.
        input_shape: `(H, W, 3)` of the images in a batch; by default that of the original data set.
        **options: `batch_size` and other fields of `mtl_tf.data.options.Options`; `augmentation`
            defaults to that of the original data set.

    Raises:
        DataError: if the index or a file is missing, damaged or of another version.
        ValueError: for an unknown task or an option out of range.

    Examples:
        >>> import mtl_tf as mtl, tempfile
        >>> rooms = mtl.data.RenderedRooms(["depth"], train_size=2, val_size=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mtl.data.pack(rooms, folder)
        ...     mtl.data.PackedDataset(folder).tasks
        {'depth': 1}
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        tasks: Iterable[str] | None = None,
        input_shape: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        self.root = os.fspath(root)
        self.index = read_index(self.root)
        self.records: dict[str, tuple[str, int, int, int]] = {}
        self._sizes: dict[str, int] = {}
        try:
            for shards in self.index["splits"].values():
                for shard in shards:
                    path = posixpath.join(self.root, shard["file"])
                    for image_id, offset, length, checksum in shard["records"]:
                        self.records[image_id] = (path, offset, length, checksum)
            splits = {
                split: [record[0] for shard in shards for record in shard["records"]]
                for split, shards in self.index["splits"].items()
            }
            if options.get("augmentation") is None:
                options["augmentation"] = Augmentation(**self.index["augmentation"])
            available = TaskChannels(self.index["tasks"], own_tasks(self.index))
            names = _class_names(self.index)
            shape = self.index["input_shape"] if input_shape is None else input_shape
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"{shown(self.root)}/{INDEX} is damaged: {error!r}") from error
        super().__init__(tasks, available, splits, shape, names, **options)
        if self.options.check_files:
            for path in self.files("train") + self.files("val"):
                if not tf.io.gfile.exists(path):
                    raise DataError(f"{path} is missing, but {INDEX} lists it")

    @functools.cached_property
    def specs(self) -> dict[str, TargetSpec]:
        """`{task: TargetSpec}` from the index."""
        stored = self.index.get("targets", {})  # missing in packs of early versions
        return {
            task: TargetSpec(
                TargetKind(stored[task]["kind"]) if task in stored else kind_of(task),
                channels,
                task in stored and bool(stored[task]["is_image_level"]),
            )
            for task, channels in self.tasks.items()
        }

    def files(self, split: str) -> list[str]:
        """Return the paths of the TFRecord files of a split.

        Args:
            split: `"train"`, `"val"` or `"test"`.
        """
        return list(dict.fromkeys(self.records[image_id][0] for image_id in self.ids(split)))

    def load(self, image_id: str) -> Sample:
        """Return the image and the targets at their original size.

        Args:
            image_id: id of the image.
        """
        return decode_sample(self.record(image_id), self.specs, self._name(image_id))

    def record(self, image_id: str) -> bytes:
        """Read the serialised `tf.train.Example` of an image.

        Args:
            image_id: one of `ids(split)`.

        Raises:
            DataError: if the file is missing, or the record differs from its checksum.
        """
        path, offset, length, checksum = self.records[image_id]
        try:
            if offset + HEADER_BYTES + length + FOOTER_BYTES > self._size(path):
                raise ValueError(f"it ends before image {shown(image_id)}")
            with tf.io.gfile.GFile(path, "rb") as stream:
                stream.seek(offset + HEADER_BYTES)
                record = stream.read(length)
        except (tf.errors.OpError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if len(record) != length or zlib.crc32(record) != checksum:
            raise DataError(f"{self._name(image_id)}: the checksum differs, the file is damaged")
        return record

    def _size(self, path: str) -> int:
        """Return the bytes of a file, checked first: TensorFlow allocates any requested length."""
        if path not in self._sizes:
            self._sizes[path] = tf.io.gfile.stat(path).length
        return self._sizes[path]

    def _name(self, image_id: str) -> str:
        return f"{self.records[image_id][0]}, image {image_id}"

    def stream(self, split: str, training: bool = False) -> tf.data.Dataset:
        """Return batches read sequentially from whole files, which `tf.data` can shard by file.

        Args:
            split: `"train"`, `"val"` or `"test"`.
            training: whether to shuffle files and images within a buffer, augment, and drop the
                last, smaller batch.

        Returns:
            Dataset of the same elements as `train`, in another order and with other augmentation.

        Raises:
            DataError: if a local file does not consist of the records in the index.
        """
        for path in self.files(split):
            if "://" not in path:  # remote: as slow as reading the whole file
                self._check_lengths(path)
        return make_stream(
            self, self.files(split), len(self.ids(split)), self._decode, self.options, training
        )

    def _check_lengths(self, path: str) -> None:
        """Raise `DataError` if the length before a record differs from the index.

        TensorFlow's sequential reader allocates this length without a check.
        """
        records = sorted(record[1:3] for record in self.records.values() if record[0] == path)
        ends = [offset + HEADER_BYTES + length + FOOTER_BYTES for offset, length in records]
        offsets = [offset for offset, _ in records]
        try:
            with tf.io.gfile.GFile(path, "rb") as stream:
                lengths = []
                for offset in offsets:
                    stream.seek(offset)
                    lengths.append(int.from_bytes(stream.read(8), "little"))
        except (tf.errors.OpError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        is_contiguous = [0, *ends] == [*offsets, self._size(path)]
        if not is_contiguous or lengths != [length for _, length in records]:
            raise DataError(f"{path} differs from the records that {INDEX} lists: pack again")

    def _decode(self, record: bytes) -> Sample:
        return decode_sample(record, self.specs, f"a record of {self.root}")


def _check_index(index: dict[str, Any]) -> None:
    """Raise an error for files outside of the folder and invalid numbers or types."""
    if not set(index["splits"]) <= set(_SPLITS):
        raise ValueError(f"splits must be some of {_SPLITS}. Received: {list(index['splits'])}")
    for shards in index["splits"].values():
        for shard in shards:
            if leads_out(shard["file"]):
                raise ValueError(f"the file {shard['file']!r} must be in the folder")
            for image_id, *numbers in shard["records"]:
                is_valid = isinstance(image_id, str) and len(numbers) == 3
                if not is_valid or not all(map(_is_size, numbers)):
                    raise ValueError(
                        f"{[image_id, *numbers]} must be id, offset, length and checksum"
                    )
        ids = [record[0] for shard in shards for record in shard["records"]]
        if len(set(ids)) < len(ids):
            raise ValueError("a split lists an image twice")
    for task, channels in index["tasks"].items():
        if not _is_size(channels) or not 1 <= channels <= _MAX_CHANNELS:
            raise ValueError(f"task {task!r} must have 1..{_MAX_CHANNELS} channels: {channels}")
    for stored in index.get("targets", {}).values():
        TargetKind(stored["kind"])
    for task, names in _class_names_by_task(index).items():
        checked_class_names(names, task, index["tasks"][task])
        if index["targets"][task]["kind"] != TargetKind.CLASSES.value:
            raise ValueError(f"task {task!r} has class names, but no classes")
    if not math.prod(checked_input_shape(index["input_shape"])) <= 3 * _MAX_PIXELS:
        raise ValueError(f"images of {index['input_shape']} are too large")
    if not all(isinstance(n, str) and n.strip() and n.isprintable() for n in index["class_names"]):
        raise TypeError("class_names must be printable texts")


def _class_names_by_task(index: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return `{task: class names}` of an index; empty where a version stored one list only."""
    targets = index.get("targets", {}).items()
    return {task: stored["class_names"] for task, stored in targets if stored.get("class_names")}


def _class_names(index: Mapping[str, Any]) -> list[str] | dict[str, list[str]]:
    """Return the class names of an index, as `DenseDataset` takes them."""
    return _class_names_by_task(index) or index["class_names"]


def _is_size(number: object) -> bool:
    """Return whether a JSON value is a non-negative integer."""
    return type(number) is int and 0 <= number < 1 << 62


def own_tasks(index: Mapping[str, Any]) -> dict[str, Task]:
    """Return the custom tasks in an index; one whose classes are not imported is left out.

    Args:
        index: of `read_index`.
    """
    tasks = {}
    for config in index.get("own_tasks", ()):  # missing in packs of early versions
        with contextlib.suppress(TypeError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a function that was not stored
            (task,) = tasks_from_config([config])
            tasks[task.name] = task
    return tasks


def read_index(root: str) -> dict[str, Any]:
    """Read the index of a packed data set; raise `DataError` if it is invalid."""
    path = posixpath.join(root, INDEX)
    try:
        with tf.io.gfile.GFile(path, "r") as stream:
            index = json.loads(stream.read())
    except (tf.errors.OpError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is missing or damaged: {error}") from error
    if not isinstance(index, dict) or index.get("format") != "mtl_tf packed data set":
        raise DataError(f"{path} is no index of a packed data set")
    if index.get("version") != VERSION:
        raise DataError(
            f"{path} has version {index.get('version')}, this library reads {VERSION}: pack again"
        )
    try:
        _check_index(index)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error!r}") from error
    return index
