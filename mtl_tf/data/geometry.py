"""Depth, surface normals and cameras: one frame for all data sets, and ways into it.

The frame of normals here is the camera's: **x to the right, y up, z towards the camera**, so a wall
that faces the camera has the normal (0, 0, 1) and a floor (0, 1, 0). Depth is the distance along
the optical axis in metres.
"""

import dataclasses
import math

import cv2
import numpy as np

FRAMES = {
    "opengl": (1, 1, 1),
    "opencv": (1, -1, -1),
    "taskonomy": (1, -1, -1),
}
"""Signs of x, y and z that bring normals of a frame into the one here. `opengl` is the same frame;
`opencv` and `taskonomy` have y down and z away from the camera."""


@dataclasses.dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera; all in pixels of an image of a certain size.

    Attributes:
        fx: focal length along x.
        fy: focal length along y.
        cx: column of the principal point; the middle of the first pixel is 0.
        cy: row of the principal point.

    Raises:
        ValueError: if a focal length is not positive, or a number not finite.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        finite = all(math.isfinite(value) for value in dataclasses.astuple(self))
        if not (finite and self.fx > 0 and self.fy > 0):
            raise ValueError(
                f"focal lengths must be positive, all numbers finite. Received: {self}"
            )

    def resized(self, x_factor: float, y_factor: float) -> "Intrinsics":
        """The camera of the image enlarged by these factors.

        Args:
            x_factor: new width over old width.
            y_factor: new height over old height.
        """
        return Intrinsics(
            self.fx * x_factor,
            self.fy * y_factor,
            (self.cx + 0.5) * x_factor - 0.5,
            (self.cy + 0.5) * y_factor - 0.5,
        )

    def cropped(self, top: int, left: int) -> "Intrinsics":
        """The camera of the image without its first rows and columns.

        Args:
            top: rows that are cut off.
            left: columns that are cut off.
        """
        return dataclasses.replace(self, cx=self.cx - left, cy=self.cy - top)

    def rays(self, height: int, width: int) -> np.ndarray:
        """Return the viewing ray of each pixel: x and y at depth 1, `[H, W, 2]` float64, y up.

        Args:
            height: of the image.
            width: of the image.
        """
        x = (np.arange(width) - self.cx) / self.fx
        y = -(np.arange(height) - self.cy) / self.fy
        return np.stack(np.meshgrid(x, y), axis=-1)


KINECT = Intrinsics(518.857901, 519.469611, 325.582449, 253.736166)
"""The colour camera of NYU Depth v2 at 480x640 (the toolbox of Silberman et al.)."""


def convert_normals(normals: np.ndarray, frame: str) -> np.ndarray:
    """Normals of another frame in the frame here, or back: the conversion is its own inverse.

    Args:
        normals: `[..., 3]`.
        frame: a name from `FRAMES`.

    Returns:
        `[..., 3]` of the same dtype.

    Raises:
        ValueError: for an unknown frame.
    """
    if frame not in FRAMES:
        raise ValueError(f"frame must be one of {sorted(FRAMES)}. Received: {frame!r}")
    return normals * np.array(FRAMES[frame], normals.dtype)


def depth_from_distance(distance: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """Depth along the optical axis from the distance to the optical centre.

    Args:
        distance: `[H, W]`, metres.
        camera: of the image.

    Returns:
        `[H, W]`, metres.
    """
    rays = camera.rays(*distance.shape)
    return (distance / np.sqrt(1 + (rays**2).sum(-1))).astype(distance.dtype)


def normals_from_depth(
    depth: np.ndarray, camera: Intrinsics, radius: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Surface normals: planes fitted to the neighbourhood of each pixel.

    In the image of a plane 1 / depth is linear in the coordinates, so a least-squares plane of a
    window takes a few box sums. Of the windows that hold a pixel the one with the smallest error
    relative to its 1 / depth counts, which keeps planes from reaching over edges.

    Source: after Kuwahara et al. 1976 (choice of the window).

    Args:
        depth: `[H, W]` float, metres, 0 where unknown.
        camera: of the image.
        radius: windows are `2 * radius + 1` pixels wide.

    Returns:
        Unit normals `[H, W, 3]` float32 (x right, y up, z towards the camera), 0 where invalid, and
        which are valid, `[H, W]` bool.

    Raises:
        ValueError: if `depth` is not `[H, W]`, or `radius` below 1.
    """
    if depth.ndim != 2 or radius < 1:
        raise ValueError(
            f"depth must be [H, W] and radius at least 1. Received: {depth.shape}, {radius}"
        )
    known = np.isfinite(depth) & (depth > 0)
    inverse = np.where(known, 1 / np.where(known, depth, 1), 0).astype(np.float64)
    rays = camera.rays(*depth.shape)
    planes, error = _planes(inverse, known, rays, radius)
    best = _best_window(error, radius)
    a, b, c = np.moveaxis(planes.reshape(-1, 3)[best], -1, 0)
    # A point is (x, y, -1) z, so 1 / z = a x + b y + c belongs to the normal (a, b, -c), or
    # (-a, -b, c) if the side that is seen is to have it.
    valid = known & np.isfinite(error.ravel()[best]) & (a * rays[..., 0] + b * rays[..., 1] + c > 0)
    normals = np.stack([-a, -b, c], axis=-1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return np.where(valid[..., None], normals, 0).astype(np.float32), valid


def _planes(
    values: np.ndarray, known: np.ndarray, rays: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """`values = a x + b y + c` in the window about each pixel.

    Returns:
        `(a, b, c)` `[H, W, 3]`, and the root mean square error over the mean value `[H, W]`,
        infinite where less than half of the window is known.
    """
    size = 2 * radius + 1
    weights = known.astype(np.float64)

    def sums(array: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(
            array * weights, cv2.CV_64F, (size, size), normalize=False,
            borderType=cv2.BORDER_CONSTANT,
        )  # fmt: skip

    count = sums(np.ones_like(weights))
    enough = count >= size**2 / 2
    x, y, value = rays[..., 0], rays[..., 1], values
    means = [sums(array) / np.maximum(count, 1) for array in (x, y, value)]

    def covariance(i: int, j: int) -> np.ndarray:
        arrays = (x, y, value)
        return sums(arrays[i] * arrays[j]) / np.maximum(count, 1) - means[i] * means[j]

    xx, xy, yy = covariance(0, 0), covariance(0, 1), covariance(1, 1)
    xv, yv, vv = covariance(0, 2), covariance(1, 2), covariance(2, 2)
    determinant = np.where(enough, xx * yy - xy**2, 1)
    a = (xv * yy - yv * xy) / determinant
    b = (yv * xx - xv * xy) / determinant
    planes = np.stack([a, b, means[2] - a * means[0] - b * means[1]], axis=-1)
    square = np.maximum(vv - a * xv - b * yv, 0)
    error = np.sqrt(square) / np.where(enough, means[2], 1)
    return planes, np.where(enough, error, np.inf)


def _best_window(error: np.ndarray, radius: int) -> np.ndarray:
    """For each pixel the flat index of the centre of the window with the smallest error."""
    height, width = error.shape
    rows, columns = np.indices(error.shape)
    best, least = rows * width + columns, error.copy()
    for down in (-radius, 0, radius):
        for right in (-radius, 0, radius):
            i = np.clip(rows + down, 0, height - 1)
            j = np.clip(columns + right, 0, width - 1)
            better = error[i, j] < least
            least = np.where(better, error[i, j], least)
            best = np.where(better, i * width + j, best)
    return best
