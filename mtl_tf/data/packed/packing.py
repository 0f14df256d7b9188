"""Packing a data set into sharded TFRecord files, and unpacking it into plain ones."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import posixpath
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtl_tf.data.base import DenseDataset
from mtl_tf.data.files import leads_out
from mtl_tf.data.packed.packed import (
    FOOTER_BYTES,
    HEADER_BYTES,
    INDEX,
    VERSION,
    PackedDataset,
    file_checksum,
)
from mtl_tf.data.packed.records import PNG, array_features, decode_array, encode_sample
from mtl_tf.data.sample import DataError, checked_sample

_KEPT = (".jpg", ".jpeg", ".png")
_CHUNK = 32


def pack(
    dataset: DenseDataset,
    out: str | os.PathLike[str],
    shard_bytes: int = 128 << 20,
    verbose: bool = False,
) -> None:
    """Writes a data set as TFRecord files that `PackedDataset` reads.

    The bytes of JPEG and PNG images are kept, targets and masks are stored without loss. A file is
    there whole or not at all; the index, which names the files with their SHA-256 and each record
    with its place and CRC-32, comes last.

    Source: this library.

    Args:
        dataset: any data set; its tasks are packed.
        out: folder to write, or a `gs://`, `s3://`, ... path.
        shard_bytes: a new file begins after so many.
        verbose: show a progress bar.

    Raises:
        DataError: for the first image that is damaged.
        ValueError: if `out` holds a packed data set already, or `shard_bytes` is not positive.
    """
    root = os.fspath(out)
    if shard_bytes < 1:
        raise ValueError(f"shard_bytes must be positive. Received: {shard_bytes}")
    if tf.io.gfile.exists(posixpath.join(root, INDEX)):
        raise ValueError(f"{root} holds a packed data set already: choose another folder")
    tf.io.gfile.makedirs(root)
    bar = keras.utils.Progbar(sum(map(len, dataset.splits.values()))) if verbose else None
    splits = {
        split: _write_split(dataset, split, ids, root, shard_bytes, bar)
        for split, ids in dataset.splits.items()
    }
    index = {
        "format": "mtl_tf packed data set",
        "version": VERSION,
        "source": type(dataset).__name__,
        "tasks": dataset.tasks,
        "targets": {
            task: {
                "kind": spec.kind.value,
                "is_image_level": spec.is_image_level,
                "class_names": dataset.tasks.class_names.get(task, ()),
            }
            for task, spec in dataset.specs.items()
        },
        "input_shape": dataset.input_shape,
        "class_names": dataset.class_names,
        "augmentation": dataclasses.asdict(dataset.options.augmentation),
        "splits": splits,
    }
    unfinished = posixpath.join(root, f".{INDEX}.unfinished")
    _remove(unfinished)
    with tf.io.gfile.GFile(unfinished, "w") as stream:
        stream.write(json.dumps(index))
    tf.io.gfile.rename(unfinished, posixpath.join(root, INDEX), overwrite=True)


def _write_split(
    dataset: DenseDataset, split: str, ids: Sequence[str], root: str, shard_bytes: int, bar: Any
) -> list[dict[str, Any]]:
    """Writes the files of a split; their entries in the index."""
    shards: list[dict[str, Any]] = []
    writer: Any = None
    size = 0

    def finish() -> None:
        writer.close()
        path = posixpath.join(root, shards[-1]["file"])
        tf.io.gfile.rename(f"{path}.unfinished", path, overwrite=True)
        shards[-1]["sha256"] = file_checksum(path)

    for image_id, record in _records(dataset, ids):
        if writer is None or size >= shard_bytes:
            if writer is not None:
                finish()
            name = f"{split}-{len(shards):05d}.tfrecord"
            shards.append({"file": name, "records": []})
            unfinished = posixpath.join(root, f"{name}.unfinished")
            _remove(unfinished)
            writer = tf.io.TFRecordWriter(unfinished)
            size = 0
        writer.write(record)
        shards[-1]["records"].append([image_id, size, len(record), zlib.crc32(record)])
        size += HEADER_BYTES + len(record) + FOOTER_BYTES
        if bar is not None:
            bar.add(1)
    finish()
    return shards


def _remove(path: str) -> None:
    """Removes a file that is to be written, which could be a link that leads elsewhere."""
    with contextlib.suppress(tf.errors.NotFoundError):
        tf.io.gfile.remove(path)


def _records(dataset: DenseDataset, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Ids and records in order, some of them made at once."""

    def record(image_id: str) -> bytes:
        path = dataset.paths(image_id).get("image")
        kept = path.read_bytes() if path is not None and path.suffix.lower() in _KEPT else None
        sample = checked_sample(dataset.load(image_id), dataset.specs, image_id)
        return encode_sample(image_id, sample, kept)

    with concurrent.futures.ThreadPoolExecutor(dataset.options.num_workers) as pool:
        for first in range(0, len(ids), _CHUNK):
            chunk = ids[first : first + _CHUNK]
            yield from zip(chunk, pool.map(record, chunk), strict=True)


def unpack(
    packed: str | os.PathLike[str], out: str | os.PathLike[str], verbose: bool = False
) -> None:
    """Writes the images and targets of a packed data set as plain files.

    `SPLIT.txt` lists ids; `image/ID.jpg` (or `.png`) has the packed bytes, `TASK/ID` and
    `TASK_mask/ID` are PNG where the values are whole numbers, else `.npy`.

    Source: this library.

    Args:
        packed: folder of the packed data set.
        out: folder to write.
        verbose: show a progress bar.

    Raises:
        DataError: if the packed data set is damaged, or a name in it leads out of `out`.
        ValueError: if `out` is a file, or there and not empty.
    """
    folder = pathlib.Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "not empty" if folder.is_dir() else "a file"
        raise ValueError(f"{folder} is {what}: choose another folder")
    dataset = PackedDataset(packed)
    names = [*dataset.all_ids(), *dataset.tasks]
    if odd := [name for name in names if leads_out(name)]:
        raise DataError(f"{packed} names {odd[0]!r}: nothing is written outside of {folder}")
    features = ["image", *(f"{task}{kind}" for task in dataset.tasks for kind in ("", "/mask"))]
    bar = keras.utils.Progbar(len(dataset.all_ids())) if verbose else None
    for image_id in dataset.all_ids():
        name = f"{packed}, image {image_id}"
        found = array_features(dataset.record(image_id), name)
        for feature in features:
            path = folder / feature.replace("/", "_") / image_id
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _write_plain(path, feature, found[feature])
            except OSError:  # of writing
                raise
            except Exception as error:  # NumPy and zlib raise many kinds
                raise DataError(f"{name}, {feature}: {error!r}") from error
        if bar is not None:
            bar.add(1)
    for split, ids in dataset.splits.items():
        (folder / f"{split}.txt").write_text("\n".join(ids))


def _write_plain(path: pathlib.Path, feature: str, data: bytes) -> None:
    is_png = data.startswith(PNG)
    if feature == "image" or is_png:
        suffix = ".png" if is_png else ".jpg"
        path.with_name(path.name + suffix).write_bytes(data)
    else:
        np.save(path.with_name(f"{path.name}.npy"), decode_array(data))
