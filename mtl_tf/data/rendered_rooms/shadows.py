"""Shadow rays from surfaces to a lamp."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mtl_tf.data.rendered_rooms.ray_casting import INTERSECT, Floats, Solids

_SELF_SHADOW_OFFSET = 0.01


def shadowed(
    points: Floats, normals: Floats, offsets: Floats, lamp: Floats, solids: Solids
) -> NDArray[np.bool_]:
    """Return whether a solid hides the light at each point.

    Args:
        points: `[3, n]`, metres.
        normals: unit normals of the surface, `[3, n]`.
        offsets: sampled position on the lamp for each point, relative to `lamp`, `[3, n]`.
        lamp: centre of the lamp, `[3]`.
        solids: solids that cast shadows.

    Returns:
        `[n]` bool.
    """
    origin = points + normals * np.float32(_SELF_SHADOW_OFFSET)
    beam = origin - lamp[:, None]
    direction = offsets - beam
    beam /= np.sqrt(beam[0] ** 2 + beam[1] ** 2 + beam[2] ** 2)
    reach = np.sqrt(np.square(offsets).sum(axis=0).max(initial=0))
    corners = solids.corners() - solids.centre[:, None, :]
    radius = np.sqrt(np.square(corners).sum(axis=2).max(axis=1)) + reach
    towards = solids.centre - lamp
    inner = np.square(towards).sum(axis=1) - np.square(radius)
    limit = np.where(inner > 0, np.sqrt(np.maximum(inner, 0)), -np.inf).astype(np.float32)
    candidates = towards @ beam >= limit[:, None]
    dark = np.zeros(points.shape[1], dtype=np.bool_)
    rays = np.concatenate([origin, direction])
    kinds, sizes = solids.kind.tolist(), solids.size[:, :, None]
    starts = np.einsum("sij,sj->si", solids.axes, solids.centre)[:, :, None]
    with np.errstate(all="ignore"):
        for index, candidate in enumerate(candidates):
            tested = candidate.nonzero()[0]
            if not tested.size:
                continue
            local = solids.axes[index] @ rays[:, tested].reshape(2, 3, -1)
            local[0] -= starts[index]
            near, far = INTERSECT[kinds[index]](local[0], local[1], sizes[index])
            dark[tested] |= (near <= far) & (near < 1) & (near > 0)
    return dark
