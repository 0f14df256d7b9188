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
        found = array_features(record)
        image = files.decode_image(found["image"], name)
        targets, masks = {}, {}
        for task, spec in specs.items():
            target = decode_array(found[task]).astype(spec.kind.dtype)
            targets[task] = target[..., None] if target.ndim == 2 else target
            masks[task] = decode_array(found[f"{task}/mask"]).astype(bool)
    except DataError:
        raise
    except Exception as error:  # protobuf, Pillow, NumPy and zlib raise many kinds
        raise DataError(f"{name} is damaged or lacks a task: {error!r}") from error
    return Sample(image, targets, masks, {task: spec.kind for task, spec in specs.items()})


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
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return zlib.compress(buffer.getvalue(), 6)


def decode_array(data: bytes) -> np.ndarray:
    """What `encode_array` was given, a last axis of length 1 left out of a PNG's."""
    if data.startswith(PNG):
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    stream = io.BytesIO(zlib.decompress(data))
    return np.lib.format.read_array(stream, allow_pickle=False)


def array_features(record: bytes) -> dict[str, bytes]:
    """The encoded features of a record by name."""
    features = tf.train.Example.FromString(record).features.feature
    return {key: feature.bytes_list.value[0] for key, feature in features.items()}
