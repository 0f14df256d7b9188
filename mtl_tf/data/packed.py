"""Any data set packed into sharded TFRecord files, with an index and checksums."""

import functools
import hashlib
import json
import os
import posixpath
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from mtl_tf.data.base import DenseDataset
from mtl_tf.data.pipeline import make_stream
from mtl_tf.data.records import decode_sample
from mtl_tf.data.sample import DataError, Sample, TargetSpec
from mtl_tf.data.transforms import Augmentation
from mtl_tf.targets import TargetKind, kind_of

VERSION = 1
INDEX = "index.json"
HEADER_BYTES, FOOTER_BYTES = 12, 4
"""What TFRecord files hold before and after each record: its length, and checksums."""


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
        try:
            for shards in self.index["splits"].values():
                for shard in shards:
                    path = posixpath.join(self.root, shard["file"])
                    for image_id, *place in shard["records"]:
                        offset, length, checksum = map(int, place)
                        self.records[image_id] = (path, offset, length, checksum)
            splits = {
                split: [record[0] for shard in shards for record in shard["records"]]
                for split, shards in self.index["splits"].items()
            }
            if options.get("augmentation") is None:
                options["augmentation"] = Augmentation(**self.index["augmentation"])
            available, names = dict(self.index["tasks"]), self.index["class_names"]
            shape = self.index["input_shape"] if input_shape is None else input_shape
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(f"{self.root}/{INDEX} is damaged: {error!r}") from error
        super().__init__(tasks, available, splits, shape, names, **options)
        if self.options.check_files:
            for path in self.files("train") + self.files("val"):
                if not tf.io.gfile.exists(path):
                    raise DataError(f"{path} is missing, but {INDEX} lists it")

    @functools.cached_property
    def specs(self) -> dict[str, TargetSpec]:
        """What the target of each task is, as the index says."""
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
            with tf.io.gfile.GFile(path, "rb") as stream:
                stream.seek(offset + HEADER_BYTES)
                found = stream.read(length)
        except (tf.errors.OpError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        if len(found) != length or zlib.crc32(found) != checksum:
            raise DataError(f"{self._name(image_id)}: the checksum differs, the file is damaged")
        return found

    def _name(self, image_id: str) -> str:
        return f"{self.records[image_id][0]}, image {image_id}"

    def stream(self, split: str, training: bool = False) -> tf.data.Dataset:
        """Batches read from whole files; `tf.data` can share the files out among workers.

        Args:
            split: `"train"`, `"val"` or `"test"`.
            training: shuffle files, and images as they come; augment; drop the last smaller batch.

        Returns:
            Data set with the contents of `train`. Order and augmentation differ from it.
        """
        return make_stream(
            self, self.files(split), len(self.ids(split)), self._decode, self.options, training
        )

    def _decode(self, record: bytes) -> Sample:
        return decode_sample(record, self.specs, f"a record of {self.root}")


def read_index(root: str) -> dict[str, Any]:
    """The index of a packed data set; `DataError` if there is none of this version."""
    path = posixpath.join(root, INDEX)
    try:
        with tf.io.gfile.GFile(path, "r") as stream:
            index = json.loads(stream.read())
    except (tf.errors.OpError, ValueError) as error:
        raise DataError(f"{path} is missing or damaged: {error}") from error
    if not isinstance(index, dict) or index.get("format") != "mtl_tf packed data set":
        raise DataError(f"{path} is no index of a packed data set")
    if index.get("version") != VERSION:
        raise DataError(
            f"{path} has version {index.get('version')}, this library reads {VERSION}: pack anew"
        )
    return index


def damaged_files(root: str) -> Iterator[str]:
    """What is wrong with the files of a packed data set.

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
                if file_checksum(path) != shard["sha256"]:
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
