"""Any data set packed into sharded TFRecord files, with an index and checksums."""

import functools
import hashlib
import json
import math
import os
import posixpath
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from mtl_tf.class_names import checked_class_names
from mtl_tf.data.base import DenseDataset, checked_input_shape
from mtl_tf.data.files import leads_out, shown
from mtl_tf.data.packed.records import decode_sample
from mtl_tf.data.pipeline import make_stream
from mtl_tf.data.sample import DataError, Sample, TargetSpec
from mtl_tf.data.transforms import Augmentation
from mtl_tf.targets import TargetKind, kind_of

VERSION = 1
INDEX = "index.json"
HEADER_BYTES, FOOTER_BYTES = 12, 4
"""What TFRecord files hold before and after each record: its length, and checksums."""
_SPLITS = ("train", "val", "test")
_LARGEST_IMAGE = 1 << 27  # pixels
_MOST_CHANNELS = 1 << 16


class PackedDataset(DenseDataset):
    """A data set that `mtl_tf.data.pack` wrote, at any path `tf.io.gfile` reads.

    Every record is found through the index and compared with its checksum, so shuffling, resuming
    and `test()` work as for the data set that was packed. `stream` reads whole files one after the
    other instead, for storage that is slow at random access and for many workers.

    Source: this library; the record format is TensorFlow's.

    Args:
        root: folder of the packed data set, or a `gs://`, `s3://`, ... path.
        tasks: some of its tasks, all of them for `None`.
        input_shape: `(H, W, 3)` of the images in a batch; that of the data set packed without it.
        **options: `batch_size`, `augmentation` and the others of every data set
            (`mtl_tf.data.base.Options`); it augments as the data set packed by default.

    Raises:
        DataError: if the index or a file is missing, damaged or of another version.
        ValueError: for an unknown task or an option out of range.
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
                    for image_id, *place in shard["records"]:
                        offset, length, checksum = place
                        self.records[image_id] = (path, offset, length, checksum)
            splits = {
                split: [record[0] for shard in shards for record in shard["records"]]
                for split, shards in self.index["splits"].items()
            }
            if options.get("augmentation") is None:
                options["augmentation"] = Augmentation(**self.index["augmentation"])
            available = dict(self.index["tasks"])
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
        """Kind, channels and level of each task's target, from the index."""
        stored = self.index.get("targets", {})  # packs of early versions have none
        return {
            task: TargetSpec(
                TargetKind(stored[task]["kind"]) if task in stored else kind_of(task),
                channels,
                task in stored and bool(stored[task]["is_image_level"]),
            )
            for task, channels in self.tasks.items()
        }

    def files(self, split: str) -> list[str]:
        """Paths of the TFRecord files of a split.

        Args:
            split: `"train"`, `"val"` or `"test"`.
        """
        return list(dict.fromkeys(self.records[image_id][0] for image_id in self.ids(split)))

    def load(self, image_id: str) -> Sample:
        """The image and the targets at their own size."""
        return decode_sample(self.record(image_id), self.specs, self._name(image_id))

    def record(self, image_id: str) -> bytes:
        """The serialised `tf.train.Example` of an image.

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
                found = stream.read(length)
        except (tf.errors.OpError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if len(found) != length or zlib.crc32(found) != checksum:
            raise DataError(f"{self._name(image_id)}: the checksum differs, the file is damaged")
        return found

    def _size(self, path: str) -> int:
        """Bytes of a file; TensorFlow takes memory for whatever length it is told to read."""
        if path not in self._sizes:
            self._sizes[path] = tf.io.gfile.stat(path).length
        return self._sizes[path]

    def _name(self, image_id: str) -> str:
        return f"{self.records[image_id][0]}, image {image_id}"

    def stream(self, split: str, training: bool = False) -> tf.data.Dataset:
        """Batches read from whole files; `tf.data` can share the files out among workers.

        Args:
            split: `"train"`, `"val"` or `"test"`.
            training: shuffle files, and images as they come; augment; drop the last smaller batch.

        Returns:
            Data set with the contents of `train`. Order and augmentation differ from it.

        Raises:
            DataError: if a file on this machine is not made of the records that the index lists.
        """
        for path in self.files(split):
            if "://" not in path:  # elsewhere it would take as long as reading all
                self._check_lengths(path)
        return make_stream(
            self, self.files(split), len(self.ids(split)), self._decode, self.options, training
        )

    def _check_lengths(self, path: str) -> None:
        """`DataError` if what stands before each record is another length than the index has.

        TensorFlow's reader of whole files believes it, and the process ends if it is enormous.
        """
        places = sorted(record[1:3] for record in self.records.values() if record[0] == path)
        ends = [offset + HEADER_BYTES + length + FOOTER_BYTES for offset, length in places]
        offsets = [offset for offset, _ in places]
        try:
            with tf.io.gfile.GFile(path, "rb") as stream:
                lengths = []
                for offset in offsets:
                    stream.seek(offset)
                    lengths.append(int.from_bytes(stream.read(8), "little"))
        except (tf.errors.OpError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        is_chain = [0, *ends] == [*offsets, self._size(path)]
        if not is_chain or lengths != [length for _, length in places]:
            raise DataError(f"{path} is not made of the records that {INDEX} lists: pack anew")

    def _decode(self, record: bytes) -> Sample:
        return decode_sample(record, self.specs, f"a record of {self.root}")


def _check_index(index: dict[str, Any]) -> None:
    """`ValueError` for files outside of the folder and numbers that cannot be."""
    if not set(index["splits"]) <= set(_SPLITS):
        raise ValueError(f"splits must be some of {_SPLITS}. Received: {list(index['splits'])}")
    for shards in index["splits"].values():
        for shard in shards:
            if leads_out(shard["file"]):
                raise ValueError(f"the file {shard['file']!r} must lie in the folder")
            for image_id, *place in shard["records"]:
                is_sound = isinstance(image_id, str) and len(place) == 3
                if not is_sound or not all(map(_is_whole, place)):
                    raise ValueError(f"{[image_id, *place]} is no id, offset, length and checksum")
        ids = [record[0] for shard in shards for record in shard["records"]]
        if len(set(ids)) < len(ids):
            raise ValueError("a split lists an image twice")
    for task, channels in index["tasks"].items():
        if not _is_whole(channels) or not 1 <= channels <= _MOST_CHANNELS:
            raise ValueError(f"task {task!r} must have 1..{_MOST_CHANNELS} channels: {channels}")
    for stored in index.get("targets", {}).values():
        TargetKind(stored["kind"])
    for task, names in _class_names_by_task(index).items():
        checked_class_names(names, task, index["tasks"][task])
        if index["targets"][task]["kind"] != TargetKind.CLASSES.value:
            raise ValueError(f"task {task!r} has class names, but no classes")
    if not math.prod(checked_input_shape(index["input_shape"])) <= 3 * _LARGEST_IMAGE:
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


def _is_whole(number: Any) -> bool:
    """Return whether a JSON value is a whole number from 0 on."""
    return type(number) is int and 0 <= number < 1 << 62


def read_index(root: str) -> dict[str, Any]:
    """The index of a packed data set; `DataError` if there is none of this version."""
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
            f"{path} has version {index.get('version')}, this library reads {VERSION}: pack anew"
        )
    try:
        _check_index(index)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error!r}") from error
    return index


def damaged_files(root: str) -> Iterator[str]:
    """List the damaged files of a packed data set.

    Source: this library.

    Args:
        root: folder of the packed data set, any path `tf.io.gfile` reads.

    Returns:
        A line for each file that is missing or differs from its SHA-256.

    Raises:
        DataError: if the index is missing, damaged or of another version.
    """
    for shards in read_index(root)["splits"].values():
        for shard in shards:
            path = posixpath.join(root, shard["file"])
            try:
                if file_checksum(path) != shard.get("sha256"):
                    yield f"{path}: the checksum differs, the file is damaged"
            except tf.errors.OpError as error:
                yield f"{path} cannot be read: {error}"


def file_checksum(path: str) -> str:
    """SHA-256 of a file at any path `tf.io.gfile` reads."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as stream:
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()
