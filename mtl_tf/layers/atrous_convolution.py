"""Dilated convolution without `SpaceToBatchND`.

Keras computes a dilated convolution through `SpaceToBatchND`, which pads the features by the
dilation on every side and splits them into a batch of small maps: at the dilations of a DeepLab
head most of these are padding. Here TensorFlow's dilated convolution is called directly, and taps
that only see padding are removed.
"""

import functools
from typing import Any

import keras
import tensorflow as tf

_SUPPORTED = ("same", (1, 1), "channels_last", 1)


def atrous_conv2d(x: tf.Tensor, kernel: tf.Tensor, dilation: tuple[int, int]) -> tf.Tensor:
    """Convolve with stride 1 and dilated taps, padded to the size of the input.

    Args:
        x: features `[B, H, W, C]`.
        kernel: `[h, w, C, F]` with odd `h` and `w`.
        dilation: vertical and horizontal spacing of the taps, in pixels.

    Returns:
        Features `[B, H, W, F]`.
    """
    (h, w), (height, width) = kernel.shape[:2], x.shape[1:3]
    rows = _taps_in_reach(h, dilation[0], height)
    columns = _taps_in_reach(w, dilation[1], width)
    kernel = kernel[rows, columns]
    spacing = [d if n > 1 else 1 for d, n in zip(dilation, kernel.shape[:2], strict=True)]
    if spacing == [1, 1] or _has_gradients(x.dtype):
        return tf.nn.conv2d(x, kernel, 1, "SAME", dilations=spacing)
    return tf.nn.convolution(x, kernel, padding="SAME", dilations=spacing)


@keras.saving.register_keras_serializable(package="mtl_tf")
class AtrousConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` computed by `atrous_conv2d`.

    Args:
        filters: output channels.
        kernel_size: odd height and width of the kernel.
        **kwargs: arguments of `keras.layers.Conv2D`, with padding `"same"`, strides of 1 and
            channels last.

    Raises:
        ValueError: for another padding, strides, order of axes, or an even kernel.

    Examples:
        >>> import keras, mtl_tf as mtl
        >>> layer = mtl.layers.AtrousConv2D(4, 3, dilation_rate=2, padding="same")
        >>> layer(keras.ops.ones((1, 8, 8, 2))).shape
        TensorShape([1, 8, 8, 4])
    """

    def __init__(self, filters: int, kernel_size: int | tuple[int, int], **kwargs: Any):
        super().__init__(filters, kernel_size, **kwargs)
        is_even = any(size % 2 == 0 for size in self.kernel_size)
        if is_even or (self.padding, self.strides, self.data_format, self.groups) != _SUPPORTED:
            raise ValueError(
                'AtrousConv2D takes odd kernels, padding="same", strides=1, groups=1 and '
                f'data_format="channels_last". Received: kernel_size={self.kernel_size}, '
                f"padding={self.padding!r}, strides={self.strides}, groups={self.groups}, "
                f"data_format={self.data_format!r}. Use keras.layers.Conv2D for others."
            )

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """Return features `[B, H, W, filters]` of `[B, H, W, C]`."""
        return atrous_conv2d(inputs, kernel, self.dilation_rate)


def _taps_in_reach(taps: int, dilation: int, size: int | None) -> slice:
    """Return the taps of a row that reach at least one of `size` positions."""
    centre = taps // 2
    reach = centre if size is None else min(centre, (size - 1) // dilation)
    return slice(centre - reach, centre + reach + 1)


@functools.cache
def _has_gradients(dtype: tf.DType) -> bool:
    """Return whether this machine has gradient kernels of dilated convolutions of that dtype."""
    options = {"strides": [1] * 4, "padding": "SAME", "dilations": [1, 2, 2, 1]}
    with tf.init_scope():
        x, kernel = tf.ones([1, 8, 8, 1], dtype), tf.ones([3, 3, 1, 1], dtype)
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=x.shape, filter=kernel, out_backprop=x, **options
            )
            tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=kernel.shape, out_backprop=x, **options
            )
        except tf.errors.OpError:
            return False
    return True
