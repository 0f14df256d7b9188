"""Lossless conversion between samples and records of TFRecord files."""

import io
import zlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from PIL import Image

from mtl_tf.data import files
from mtl_tf.data.sample import DataError, Sample, TargetSpec

PNG = b"\x89PNG"
_MAX_ITEM_BYTES = 8
_MAX_HEADER_BYTES = 1 << 16  # of a `.npy`
_MAX_SIZE = 1 << 28


def encode_sample(image_id: str, sample: Sample, image: bytes | None) -> bytes:
    """Serialise a sample as a `tf.train.Example`.

    Args:
        image_id: id of the image.
        sample: sample to encode.
        image: JPEG or PNG bytes of the image to store; `None` to encode `sample.image` as PNG.

    Returns:
        Features `id`, `image` (JPEG or PNG) and, for each task, `TASK` and `TASK/mask`: a PNG if
        all values are integers up to 65535, otherwise a zlib-compressed `.npy`.
    """
    values = {"id": image_id.encode(), "image": encode_array(sample.image)}
    if image is not None:
        values["image"] = image
    for task, target in sample.targets.items():
        values[task] = encode_array(target)
        values[f"{task}/mask"] = encode_array(sample.masks[task])
    features = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in values.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def decode_sample(record: bytes, specs: Mapping[str, TargetSpec], name: str) -> Sample:
    """Decode a sample from a serialised `tf.train.Example`.

    Args:
        record: output of `encode_sample`.
        specs: tasks to decode and the specification of their targets.
        name: name of the record in errors.

    Raises:
        DataError: if the record is damaged or lacks a task.
    """
    try:
        features = array_features(record, name)
        image = files.decode_image(features["image"], name)
        targets, masks = {}, {}
        for task, spec in specs.items():
            max_size = image.shape[0] * image.shape[1] * spec.channels
            target = decode_array(features[task], max_size).astype(spec.kind.dtype)
            targets[task] = target[..., None] if target.ndim == 2 else target
            masks[task] = decode_array(features[f"{task}/mask"], max_size).astype(bool)
    except DataError:
        raise
    except Exception as error:  # protobuf, Pillow, NumPy and zlib raise many types
        raise DataError(f"{name} is damaged or lacks a task: {error!r}") from error
    kinds = {task: spec.kind for task, spec in specs.items()}
    return Sample(image, targets, masks, kinds, is_made=True)


def encode_array(array: np.ndarray) -> bytes:
    """Encode an array without loss.

    Args:
        array: numbers of any shape.

    Returns:
        A PNG for integers `[H, W]` or `[H, W, 1]` in 0..65535 and for uint8 `[H, W, 3]`, otherwise
        a zlib-compressed `.npy`.
    """
    buffer = io.BytesIO()
    plain = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if plain.ndim == 3 and plain.dtype == np.uint8:
        Image.fromarray(plain).save(buffer, "PNG")
        return buffer.getvalue()
    if plain.ndim == 2 and plain.size and plain.min() >= 0 and plain.max() <= 65535:
        integers = plain.astype(np.uint8 if plain.max() <= 255 else np.uint16)
        if np.array_equal(integers, plain):
            Image.fromarray(integers).save(buffer, "PNG")
            return buffer.getvalue()
    # Not `ascontiguousarray`, which reshapes the mask `[]` of an image-level target to `[1]`.
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
    return zlib.compress(buffer.getvalue(), 6)


def decode_array(data: bytes, max_size: int = _MAX_SIZE) -> np.ndarray:
    """Decode the output of `encode_array`; a PNG loses a last axis of length 1.

    Args:
        data: the encoded array.
        max_size: maximum number of elements.

    Raises:
        ValueError: if the array has more elements, before they are decompressed.
    """
    if data.startswith(PNG):
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.width * image.height > max_size:
                raise ValueError(f"{image.width}x{image.height} values, more than the image")
            return np.asarray(image)
    max_bytes = max_size * _MAX_ITEM_BYTES + _MAX_HEADER_BYTES
    decompressor = zlib.decompressobj()
    plain = decompressor.decompress(data, max_bytes)
    if not decompressor.eof:
        raise ValueError(f"cut off, or more than {max_bytes} bytes: larger than the image")
    return files.decode_npy(io.BytesIO(plain), len(plain))


def array_features(record: bytes, name: str) -> dict[str, bytes]:
    """Return the encoded features of a record; raise `DataError` if it is damaged."""
    try:
        features = tf.train.Example.FromString(record).features.feature
        return {key: feature.bytes_list.value[0] for key, feature in features.items()}
    except Exception as error:  # protobuf's errors; IndexError for a feature without value
        raise DataError(f"{name} is damaged: {error!r}") from error
