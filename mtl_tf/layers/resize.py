"""Bilinear resizing with half-pixel centres, the resizing of the survey's models."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from mtl_tf.ops import bilinear


@keras.saving.register_keras_serializable(package="mtl_tf")
class BilinearResize(layers.Layer):
    """Bilinear resizing with half-pixel centres, as a layer.

    Args:
        height: new height.
        width: new width.
        **kwargs: `name` and `dtype` of the layer.

    Call arguments: features `[B, h, w, C]`. Returns features `[B, height, width, C]`.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> mtl.layers.BilinearResize(8, 8)(keras.ops.ones((1, 4, 4, 2))).shape
        TensorShape([1, 8, 8, 2])
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = height
        self.width = width

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Return the resized features."""
        return bilinear(x, self.height, self.width)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return `(B, height, width, C)`."""
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the Keras configuration."""
        return {**super().get_config(), "height": self.height, "width": self.width}


def resize_to(
    x: keras.KerasTensor,
    height: int,
    width: int,
    *,
    name: str | None = None,
    dtype: str | keras.DTypePolicy | None = None,
    interpolation: str = "bilinear",
) -> keras.KerasTensor:
    """Resize features `[B, h, w, C]` to `[B, height, width, C]`.

    Args:
        x: features `[B, h, w, C]`.
        height: new height.
        width: new width.
        name: name of the layer.
        dtype: dtype policy of the layer; `"float32"` for predictions.
        interpolation: `"bilinear"`, or `"nearest"`: pixel i has the value of pixel
            `floor(i * h / height)`.

    Returns:
        Features `[B, height, width, C]`.
    """
    if (height, width) == tuple(x.shape[1:3]):
        return layers.Activation("linear", name=name, dtype=dtype)(x)
    if interpolation == "bilinear":
        return BilinearResize(height, width, name=name, dtype=dtype)(x)
    if height % x.shape[1] == 0 and width % x.shape[2] == 0:
        factors = (height // x.shape[1], width // x.shape[2])
        return layers.UpSampling2D(factors, name=name, dtype=dtype)(x)
    for axis, new in ((1, height), (2, width)):
        x = keras.ops.take(x, [i * x.shape[axis] // new for i in range(new)], axis)
    return x


def pool_to(
    x: keras.KerasTensor, height: int, width: int, layer: type[layers.Layer]
) -> keras.KerasTensor:
    """Pool features `[B, h, w, C]` to `[B, height, width, C]`, as strided convolutions would.

    Args:
        x: features `[B, h, w, C]`.
        height: new height, `ceil(h / stride)` of some stride.
        width: new width, likewise.
        layer: `keras.layers.MaxPooling2D` or `keras.layers.AveragePooling2D`.

    Returns:
        Features `[B, height, width, C]`; at the border an average is that of the pixels inside.
    """
    factors = (-(-x.shape[1] // height), -(-x.shape[2] // width))
    return layer(factors, padding="same")(x)
