"""Checksums of the files of a packed data set."""

import hashlib
import posixpath
from collections.abc import Iterator

import tensorflow as tf

from mtl_tf.data.packed.packed import read_index


def damaged_files(root: str) -> Iterator[str]:
    """List the damaged files of a packed data set.

    Source: this library.

    Args:
        root: folder of the packed data set: any path that `tf.io.gfile` reads.

    Returns:
        A message for each file that is missing or differs from its SHA-256.

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
    """Return the SHA-256 of a file at any path that `tf.io.gfile` reads."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as stream:
        while chunk := stream.read(1 << 22):
            digest.update(chunk)
    return digest.hexdigest()
