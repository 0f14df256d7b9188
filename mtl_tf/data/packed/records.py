"""A sample as the bytes of a TFRecord and back, without loss."""

import io
import zlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from PIL import Image

from mtl_tf.data import files
from mtl_tf.data.sample import DataError, Sample, TargetSpec

PNG = b"\x89PNG"
_LARGEST_NUMBER = 8  # bytes
_LARGEST_HEADER = 1 << 16  # bytes, of a `.npy`
_MOST = 1 << 28


def encode_sample(image_id: str, sample: Sample, image: bytes | None) -> bytes:
    """A serialised `tf.train.Example`.

    Args:
        image_id: of the image.
        sample: what to encode.
        image: JPEG or PNG bytes of the image, to be kept as they are; made without.

    Returns:
        Features `id`, `image` (JPEG or PNG) and, for each task, `TASK` and `TASK/mask`: PNG where
        the values are whole numbers up to 65535, else a zlib-compressed `.npy`.
    """
    found = {"id": image_id.encode(), "image": encode_array(sample.image)}
    if image is not None:
        found["image"] = image
    for task, target in sample.targets.items():
        found[task] = encode_array(target)
        found[f"{task}/mask"] = encode_array(sample.masks[task])
    features = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in found.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def decode_sample(record: bytes, specs: Mapping[str, TargetSpec], name: str) -> Sample:
    """The sample of a serialised `tf.train.Example`, with some of its tasks.

    Args:
        record: as `encode_sample` returns it.
        specs: the tasks wanted, and what their targets are.
        name: what to call the record in an error.

    Raises:
        DataError: if the record is damaged or lacks a task.
    """
    try:
        found = array_features(record, name)
        image = files.decode_image(found["image"], name)
        targets, masks = {}, {}
        for task, spec in specs.items():
            most = image.shape[0] * image.shape[1] * spec.channels
            target = decode_array(found[task], most).astype(spec.kind.dtype)
            targets[task] = target[..., None] if target.ndim == 2 else target
            masks[task] = decode_array(found[f"{task}/mask"], most).astype(bool)
    except DataError:
        raise
    except Exception as error:  # protobuf, Pillow, NumPy and zlib raise many kinds
        raise DataError(f"{name} is damaged or lacks a task: {error!r}") from error
    kinds = {task: spec.kind for task, spec in specs.items()}
    return Sample(image, targets, masks, kinds, is_made=True)


def encode_array(array: np.ndarray) -> bytes:
    """PNG of `[H, W]`, `[H, W, 1]` or uint8 `[H, W, 3]` whole numbers, else compressed `.npy`."""
    buffer = io.BytesIO()
    plain = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if plain.ndim == 3 and plain.dtype == np.uint8:
        Image.fromarray(plain).save(buffer, "PNG")
        return buffer.getvalue()
    if plain.ndim == 2 and plain.size and plain.min() >= 0 and plain.max() <= 65535:
        whole = plain.astype(np.uint8 if plain.max() <= 255 else np.uint16)
        if np.array_equal(whole, plain):
            Image.fromarray(whole).save(buffer, "PNG")
            return buffer.getvalue()
    # Not `ascontiguousarray`, which makes `[1]` of the mask `[]` of a whole image.
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
    return zlib.compress(buffer.getvalue(), 6)


def decode_array(data: bytes, most: int = _MOST) -> np.ndarray:
    """Decode the output of `encode_array`; a PNG loses a last axis of length 1.

    Args:
        data: the encoded array.
        most: numbers it can have; `ValueError` before more are unpacked.
    """
    if data.startswith(PNG):
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.width * image.height > most:
                raise ValueError(f"{image.width}x{image.height} values, more than the image")
            return np.asarray(image)
    largest = most * _LARGEST_NUMBER + _LARGEST_HEADER
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(data, largest)
    if not unpacker.eof:
        raise ValueError(f"cut off, or more than {largest} bytes: larger than the image")
    return files.array_from(io.BytesIO(plain), len(plain))


def array_features(record: bytes, name: str) -> dict[str, bytes]:
    """The encoded features of a record by name; `DataError` naming the record if it is damaged."""
    try:
        features = tf.train.Example.FromString(record).features.feature
        return {key: feature.bytes_list.value[0] for key, feature in features.items()}
    except Exception as error:  # protobuf has its own kinds; no value is an IndexError
        raise DataError(f"{name} is damaged: {error!r}") from error
