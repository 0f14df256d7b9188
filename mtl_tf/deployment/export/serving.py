"""A network as a service needs it: from images as they come to class ids, metres and vectors."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from mtl_tf.deployment.inputs import with_preprocessing
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import Task

INPUT = "image"
"""Name of the input of every exported network."""


def serving_network(
    network: keras.Model,
    tasks: Sequence[Task] | None = None,
    *,
    preprocessing: bool = False,
    any_size: bool = False,
) -> keras.Model:
    """Return a network of the same weights with what surrounds it in a service.

    Args:
        network: from images `[B, H, W, 3]` to `{task: raw prediction}`.
        tasks: to activate: the outputs are the numbers of `Prediction`, class ids `[B, H, W]`
            int32, metres and probabilities `[B, H, W]`, vectors `[B, H, W, C]`; `None` for the raw
            predictions `[B, H, W, C]`.
        preprocessing: take RGB images of numbers 0 to 255, not normalised ones.
        any_size: take images of any size: they are scaled to that of the network, with
            antialiasing, and the outputs to that of the image.

    Returns:
        A functional model with the input `image` and one output by task.
    """
    height, width = network.input_shape[1:3]
    size = (None, None) if any_size else (height, width)
    image = keras.Input((*size, 3), name=INPUT)
    scaled = ScaleTo(height, width, name="scaled")(image) if any_size else image
    outputs = (with_preprocessing(network) if preprocessing else network)(scaled)
    outputs = {name: outputs[name] for name in served_outputs(network, tasks or ())}
    if any_size:
        outputs = {
            name: ScaleLike(name=f"{name}.scaled")([raw, image]) if len(raw.shape) == 4 else raw
            for name, raw in outputs.items()
        }
    if tasks is not None:
        outputs = {task.name: Activated(task)(outputs[task.name]) for task in tasks}
    return keras.Model(image, outputs, name=network.name)


def served_outputs(network: keras.Model, tasks: Sequence[Task]) -> list[str]:
    """Return the names of the outputs that a file has: not those that only supervise training.

    Args:
        network: with outputs `task`, and `task/...` of deep supervision.
        tasks: the known tasks.
    """
    names = {task.name for task in tasks}
    return [name for name in network.output if name in names or "/" not in name]


def in_float32(network: keras.Model) -> keras.Model:
    """Return a network that computes in float32, with the same weights.

    Args:
        network: of mixed precision, or of float32, which is returned as it is.

    Raises:
        ValueError: if it is of mixed precision and no architecture of this library.
    """
    if all(
        layer.compute_dtype == "float32" for layer in network._flatten_layers() if layer.weights
    ):
        return network
    if not hasattr(network, "with_input_shape"):
        raise ValueError(
            f"{type(network).__name__} computes in half precision: build it in float32, and give "
            "precision for the file"
        )
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        return network.with_input_shape(network.input_shape[1:])
    finally:
        keras.config.set_dtype_policy(policy)


def resized_network(network: keras.Model, height: int, width: int) -> keras.Model:
    """Return a network of the same weights for images of another size.

    Args:
        network: an architecture of `mtl_tf.architectures`.
        height: of the images.
        width: of the images.

    Raises:
        ValueError: if the network cannot be built for that size.
    """
    if (height, width) == tuple(network.input_shape[1:3]):
        return network
    if not hasattr(network, "with_input_shape"):
        raise ValueError(
            f"{type(network).__name__} cannot be built for another size than "
            f"{network.input_shape[1:3]}: only the architectures of this library can. Use any_size"
        )
    return network.with_input_shape((height, width, 3))


class ScaleTo(keras.layers.Layer):
    """Images of any size at one size: bilinear, with antialiasing where they get smaller.

    The sampling is separable: a product with a matrix along each axis, for the runtimes that have
    no operation for antialiasing.

    Args:
        height: of the result.
        width: of the result.
        **options: of a Keras layer.

    Call arguments: images `[B, h, w, C]`. Returns `[B, height, width, C]`, as
    `tf.image.resize(..., antialias=True)`.

    Examples:
        >>> ScaleTo(2, 2)(tf.reshape(tf.range(16.0), (1, 4, 4, 1)))[0, :, :, 0].numpy().round(2)
        array([[ 3.57,  5.14],
               [ 9.86, 11.43]], dtype=float32)
    """

    def __init__(self, height: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.size = (height, width)

    def call(self, image: tf.Tensor) -> tf.Tensor:
        """Return the scaled images."""
        rows, columns = (
            _sampling_matrix(tf.shape(image)[axis], size)
            for axis, size in zip((1, 2), self.size, strict=True)
        )
        x = tf.transpose(tf.cast(image, tf.float32), (0, 3, 1, 2))
        x = tf.matmul(tf.matmul(rows, x), columns, transpose_b=True)
        return tf.transpose(x, (0, 2, 3, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the scaled images."""
        return (input_shape[0], *self.size, input_shape[3])


def _sampling_matrix(old: tf.Tensor, new: int) -> tf.Tensor:
    """Return the weights `[new, old]` of the old pixels in each new one: a triangle around it."""
    scale = tf.cast(old, tf.float32) / new
    centres = (tf.range(new, dtype=tf.float32) + 0.5) * scale
    pixels = tf.cast(tf.range(old), tf.float32) + 0.5
    distances = tf.abs(pixels[None] - centres[:, None]) / tf.maximum(scale, 1.0)
    weights = tf.nn.relu(1.0 - distances)
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


class ScaleLike(keras.layers.Layer):
    """Maps at the size of an image, bilinear.

    Call arguments: maps `[B, h, w, C]` and images `[B, H, W, 3]`. Returns `[B, H, W, C]` float32.

    Examples:
        >>> ScaleLike()([tf.ones((1, 2, 2, 5)), tf.ones((1, 4, 6, 3))]).shape
        TensorShape([1, 4, 6, 5])
    """

    def call(self, maps_and_image: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the scaled maps."""
        maps, image = maps_and_image
        return tf.image.resize(maps, tf.shape(image)[1:3])

    def compute_output_shape(
        self, input_shapes: Sequence[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        """Return the shape of the scaled maps."""
        maps, image = input_shapes
        return (maps[0], image[1], image[2], maps[3])


class Activated(keras.layers.Layer):
    """The numbers of a task, as `Prediction` has them, from its raw prediction.

    Args:
        task: the task.

    Call arguments: raw predictions `[B, H, W, C]`. Returns class ids `[B, H, W]` int32; metres,
    probabilities or numbers `[B, H, W]`; vectors `[B, H, W, C]`.

    Examples:
        >>> import mtl_tf as mtl
        >>> layer = Activated(mtl.TASKS["semseg"])
        >>> layer(tf.one_hot([[[2, 0]]], 40)).numpy().tolist()
        [[[2, 0]]]
    """

    def __init__(self, task: Task) -> None:
        super().__init__(name=f"{task.name}.activated", dtype="float32")
        self.task = task

    def call(self, raw: tf.Tensor) -> tf.Tensor:
        """Return the activated predictions."""
        has_ids = self.task.kind is TargetKind.CLASSES
        if has_ids and self.task.activation is tf.nn.softmax:  # does not change the order
            return tf.argmax(raw, axis=-1, output_type=tf.int32)
        values = self.task.activation(raw)
        if has_ids:
            return tf.argmax(values, axis=-1, output_type=tf.int32)
        return values[..., 0] if self.task.channels == 1 else values

    def compute_output_spec(self, raw: keras.KerasTensor) -> keras.KerasTensor:
        """Return shape and dtype of the result."""
        is_map = self.task.kind is TargetKind.CLASSES or self.task.channels == 1
        shape = raw.shape[:-1] if is_map else raw.shape
        return keras.KerasTensor(shape, self.task.kind.dtype.__name__)
