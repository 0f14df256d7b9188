"""Convolution, batch normalisation and activation, with the padding and constants of the survey.

The published models come from PyTorch: strided windows are padded symmetrically (Keras' "same" pads
even sizes on one side only); batch normalisation has epsilon 1e-5 and momentum 0.9.
"""

import math

import keras
from keras import layers

from mtl_tf.layers.atrous_convolution import AtrousConv2D
from mtl_tf.layers.batch_normalization import BatchNormalization

EPSILON = 1e-5
KAIMING_NORMAL_FAN_OUT = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def conv(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int = 1,
    strides: int = 1,
    *,
    dilation: int = 1,
    use_bias: bool = False,
    kernel_initializer: str | keras.initializers.Initializer | None = None,
    name: str | None = None,
) -> keras.KerasTensor:
    """Apply a convolution, padded by `dilation * (kernel_size // 2)` on every side.

    Args:
        x: features `[B, H, W, C]`.
        filters: output channels.
        kernel_size: odd height and width of the kernel.
        strides: down-sampling factor.
        dilation: spacing of the kernel's taps.
        use_bias: whether to add a bias.
        kernel_initializer: initializer of the kernel; by default PyTorch's, uniform in
            ±1/sqrt(fan in), which is always that of the bias.
        name: name of the convolution layer.

    Returns:
        Features `[B, ceil(H / strides), ceil(W / strides), filters]`.

    Raises:
        ValueError: for an even `kernel_size`.
    """
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd. Received: {kernel_size}")
    padding = "same"
    if strides > 1 and kernel_size > 1:
        x = layers.ZeroPadding2D(dilation * (kernel_size // 2))(x)
        padding = "valid"
    if kernel_initializer is not None:
        # An initializer returns the same values at every call, so each kernel needs a copy.
        kernel_initializer = keras.initializers.get(kernel_initializer).clone()
    bound = 1.0 / math.sqrt(x.shape[-1] * kernel_size**2)
    layer = AtrousConv2D if dilation > 1 else layers.Conv2D
    return layer(
        filters,
        kernel_size,
        strides=strides,
        dilation_rate=dilation,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer or keras.initializers.RandomUniform(-bound, bound),
        bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        name=name,
    )(x)


def dense(x: keras.KerasTensor, units: int, *, name: str | None = None) -> keras.KerasTensor:
    """Apply a dense layer, kernel and bias initialised uniformly in ±1/sqrt(fan in).

    Args:
        x: features `[..., C]`.
        units: output channels.
        name: name of the layer.

    Returns:
        Features `[..., units]`.
    """
    bound = 1.0 / math.sqrt(x.shape[-1])
    return layers.Dense(
        units,
        kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
        bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        name=name,
    )(x)


def batch_norm(
    x: keras.KerasTensor, *, momentum: float = 0.9, name: str | None = None
) -> keras.KerasTensor:
    """Apply batch normalisation with epsilon 1e-5.

    Args:
        x: features `[B, H, W, C]`.
        momentum: momentum of the moving mean and variance.
        name: name of the layer.

    Returns:
        Features `[B, H, W, C]`.
    """
    return BatchNormalization(momentum=momentum, epsilon=EPSILON, name=name)(x)


def conv_block(
    x: keras.KerasTensor,
    filters: int,
    kernel_size: int = 1,
    strides: int = 1,
    *,
    dilation: int = 1,
    kernel_initializer: str | keras.initializers.Initializer | None = None,
    names: tuple[str | None, str | None] = (None, None),
    momentum: float = 0.9,
) -> keras.KerasTensor:
    """Apply a convolution without bias, batch normalisation and ReLU.

    Args:
        x: features `[B, H, W, C]`.
        filters: output channels.
        kernel_size: odd height and width of the kernel.
        strides: down-sampling factor.
        dilation: spacing of the kernel's taps.
        kernel_initializer: see `conv`.
        names: names of the convolution and the batch normalisation layer.
        momentum: momentum of the batch normalisation.

    Returns:
        Features `[B, ceil(H / strides), ceil(W / strides), filters]`.
    """
    x = conv(
        x,
        filters,
        kernel_size,
        strides,
        dilation=dilation,
        kernel_initializer=kernel_initializer,
        name=names[0],
    )
    return layers.ReLU()(batch_norm(x, momentum=momentum, name=names[1]))
