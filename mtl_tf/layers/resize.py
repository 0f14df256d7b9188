"""Bilinear resizing with half-pixel centres, as the survey's models resize everywhere."""

from typing import Any

from keras import layers


def resize_to(x: Any, height: int, width: int, name: str | None = None, dtype: Any = None) -> Any:
    """Resizes features `[B, h, w, C]` bilinearly to `[B, height, width, C]`.

    Args:
        x: features `[B, h, w, C]`.
        height: new height, a multiple of h.
        width: new width, a multiple of w.
        name: name of the layer.
        dtype: dtype policy of the layer; `"float32"` for predictions.

    Returns:
        Features `[B, height, width, C]`.

    Raises:
        ValueError: if the new size is not a multiple of the old one.
    """
    if height % x.shape[1] or width % x.shape[2]:
        raise ValueError(
            f"Features of {x.shape[1]}x{x.shape[2]} cannot be enlarged to {height}x{width}: choose "
            "an input_shape whose height and width are multiples of the backbone's largest stride"
        )
    size = (height // x.shape[1], width // x.shape[2])
    if size == (1, 1):
        return layers.Activation("linear", name=name, dtype=dtype)(x)
    return layers.UpSampling2D(size, interpolation="bilinear", name=name, dtype=dtype)(x)
