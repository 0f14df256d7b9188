"""Parts of the boundary benchmark of edges, on NumPy arrays."""

import numpy as np

from mtl_tf.ops import _library
from mtl_tf.ops.reference import edges as reference


def thin_edges(maps: np.ndarray) -> np.ndarray:
    """Lines one pixel wide of the regions in binary maps, of many maps at once.

    Source: Guo and Hall, "Parallel thinning with two-subiteration algorithms", CACM 1989.

    Args:
        maps: `[T, H, W]` bool.

    Returns:
        `[T, H, W]` bool; each map is a part of the one that was given.

    Raises:
        ValueError: if `maps` has another rank or type.
    """
    if maps.ndim != 3 or maps.dtype != bool:
        raise ValueError(f"maps must be [T, H, W] bool. Received: {maps.shape} {maps.dtype}")
    kernels = _library.kernels()
    thin = kernels.thin_edges if kernels else reference.thin_edges
    return thin(np.ascontiguousarray(maps))


def match_edges(maps: np.ndarray, truth: np.ndarray, radius: float) -> np.ndarray:
    """Pixels that can be matched one to one with true ones nearby, as many as there can be.

    Source: Hopcroft and Karp, SIAM Journal on Computing 1973.

    Args:
        maps: `[T, H, W]` bool, each of which is matched by itself.
        truth: `[H, W]` bool.
        radius: how far apart matched pixels may be, in pixels.

    Returns:
        `[T, H, W]` bool: the pixels of the maps that have a partner; as many true pixels have one.

    Raises:
        ValueError: if ranks, types or sizes do not fit, or `radius` is negative.
        ImportError: if neither the native ops nor SciPy are installed.
    """
    if maps.ndim != 3 or maps.dtype != bool or truth.dtype != bool:
        raise ValueError(
            "maps must be [T, H, W] bool and truth [H, W] bool. Received: "
            f"{maps.shape} {maps.dtype} and {truth.shape} {truth.dtype}"
        )
    if maps.shape[1:] != truth.shape:
        raise ValueError(f"maps and truth differ in size. Received: {maps.shape}, {truth.shape}")
    if not radius >= 0:
        raise ValueError(f"radius must not be negative. Received: {radius}")
    kernels = _library.kernels()
    match = kernels.match_edges if kernels else reference.match_edges
    return match(np.ascontiguousarray(maps), np.ascontiguousarray(truth), radius)
