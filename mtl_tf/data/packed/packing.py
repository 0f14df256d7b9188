"""Conversion of data sets to sharded TFRecord files, and back to plain files."""

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
from mtl_tf.data.packed.checksums import file_checksum
from mtl_tf.data.packed.packed import FOOTER_BYTES, HEADER_BYTES, INDEX, VERSION, PackedDataset
from mtl_tf.data.packed.records import PNG, array_features, decode_array, encode_sample
from mtl_tf.data.sample import DataError, checked_sample
from mtl_tf.task_config import task_config

_KEPT_FORMATS = (".jpg", ".jpeg", ".png")
_CHUNK = 32


def pack(
    dataset: DenseDataset,
    out: str | os.PathLike[str],
    shard_bytes: int = 128 << 20,
    verbose: bool = False,
) -> None:
    """Write a data set as TFRecord files that `PackedDataset` reads.

    The bytes of JPEG and PNG images are kept; targets and masks are stored without loss. Files are
    written atomically. The index, with the SHA-256 of each file and the offset, length and CRC-32
    of each record, is written last.

    Source: this library.

    Args:
        dataset: the data set, of which all its tasks are packed.
        out: path of the new folder, which may be `gs://`, `s3://`, ...
        shard_bytes: size in bytes after which a new file is started.
        verbose: whether to show a progress bar.

    Raises:
        DataError: for the first damaged image.
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
        "own_tasks": [task_config(task) for task in dataset.tasks.own.values()],
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
    dataset: DenseDataset,
    split: str,
    ids: Sequence[str],
    root: str,
    shard_bytes: int,
    bar: keras.utils.Progbar | None,
) -> list[dict[str, Any]]:
    """Write the files of a split and return their entries of the index."""
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
    """Remove a file before it is written again, since it could be a link to another file."""
    with contextlib.suppress(tf.errors.NotFoundError):
        tf.io.gfile.remove(path)


def _records(dataset: DenseDataset, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield ids and records in order, encoded by several threads."""

    def encode(image_id: str) -> bytes:
        path = dataset.paths(image_id).get("image")
        is_kept = path is not None and path.suffix.lower() in _KEPT_FORMATS
        image = path.read_bytes() if path is not None and is_kept else None
        sample = checked_sample(dataset.load(image_id), dataset.specs, image_id)
        return encode_sample(image_id, sample, image)

    with concurrent.futures.ThreadPoolExecutor(dataset.options.num_workers) as pool:
        for first in range(0, len(ids), _CHUNK):
            chunk = ids[first : first + _CHUNK]
            yield from zip(chunk, pool.map(encode, chunk), strict=True)


def unpack(
    packed: str | os.PathLike[str], out: str | os.PathLike[str], verbose: bool = False
) -> None:
    """Write the images and targets of a packed data set as plain files.

    `SPLIT.txt` lists the ids; `image/ID.jpg` (or `.png`) has the packed bytes; `TASK/ID` and
    `TASK_mask/ID` are PNG files if all values are integers, otherwise `.npy` files.

    Source: this library.

    Args:
        packed: path of the packed data set.
        out: path of the new folder.
        verbose: whether to show a progress bar.

    Raises:
        DataError: if the packed data set is damaged, or a name in it leads out of `out`.
        ValueError: if `out` is a file or a folder that is not empty.
    """
    folder = pathlib.Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        problem = "not empty" if folder.is_dir() else "a file"
        raise ValueError(f"{folder} is {problem}: choose another folder")
    dataset = PackedDataset(packed)
    names = [*dataset.all_ids(), *dataset.tasks]
    if unsafe := [name for name in names if leads_out(name)]:
        raise DataError(f"{packed} names {unsafe[0]!r}: nothing is written outside of {folder}")
    keys = ["image", *(f"{task}{suffix}" for task in dataset.tasks for suffix in ("", "/mask"))]
    bar = keras.utils.Progbar(len(dataset.all_ids())) if verbose else None
    for image_id in dataset.all_ids():
        name = f"{packed}, image {image_id}"
        features = array_features(dataset.record(image_id), name)
        for key in keys:
            path = folder / key.replace("/", "_") / image_id
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                _write_plain(path, key, features[key])
            except OSError:  # while writing
                raise
            except Exception as error:  # NumPy and zlib raise many types
                raise DataError(f"{name}, {key}: {error!r}") from error
        if bar is not None:
            bar.add(1)
    for split, ids in dataset.splits.items():
        (folder / f"{split}.txt").write_text("\n".join(ids))


def _write_plain(path: pathlib.Path, key: str, data: bytes) -> None:
    is_png = data.startswith(PNG)
    if key == "image" or is_png:
        suffix = ".png" if is_png else ".jpg"
        path.with_name(path.name + suffix).write_bytes(data)
    else:
        np.save(path.with_name(f"{path.name}.npy"), decode_array(data))
