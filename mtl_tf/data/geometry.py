"""Depth, surface normals and cameras, in one frame for all data sets.

Normals are in the camera frame: **x to the right, y up, z towards the camera**, so a wall that
faces the camera has the normal (0, 0, 1) and a floor (0, 1, 0). Depth is the distance along the
optical axis in metres.
"""

import dataclasses
import math

import cv2
import numpy as np

FRAMES = {"opengl": (1, 1, 1), "opencv": (1, -1, -1), "taskonomy": (1, -1, -1)}
"""Signs of x, y and z that convert normals of other frames. `opengl` is the frame of this module;
`opencv` and `taskonomy` have y down and z away from the camera."""


@dataclasses.dataclass(frozen=True)
class Intrinsics:
    """Intrinsic parameters of a pinhole camera, in pixels of an image of a certain size.

    Attributes:
        fx: focal length along x.
        fy: focal length along y.
        cx: column of the principal point; the centre of the first pixel is 0.
        cy: row of the principal point.

    Raises:
        ValueError: if a focal length is not positive, or a number not finite.

    Examples:
        >>> import mtl_tf as mtl
        >>> camera = mtl.data.geometry.Intrinsics(fx=50.0, fy=50.0, cx=31.5, cy=23.5)
        >>> camera.resized(2, 2)
        Intrinsics(fx=100.0, fy=100.0, cx=63.5, cy=47.5)
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
        """Return the camera of the resized image.

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
        """Return the camera of the cropped image.

        Args:
            top: number of rows removed at the top.
            left: number of columns removed at the left.
        """
        return dataclasses.replace(self, cx=self.cx - left, cy=self.cy - top)

    def rays(self, height: int, width: int) -> np.ndarray:
        """Return the viewing ray of each pixel: x and y at depth 1, `[H, W, 2]` float64, y up.

        Args:
            height: height of the image.
            width: width of the image.
        """
        x = (np.arange(width) - self.cx) / self.fx
        y = -(np.arange(height) - self.cy) / self.fy
        return np.stack(np.meshgrid(x, y), axis=-1)


KINECT = Intrinsics(518.857901, 519.469611, 325.582449, 253.736166)
"""The colour camera of NYU Depth v2 at 480x640 (the toolbox of Silberman et al.)."""


def convert_normals(normals: np.ndarray, frame: str) -> np.ndarray:
    """Convert normals from another frame to the frame of this module, or back.

    The conversion is its own inverse.

    Args:
        normals: `[..., 3]`.
        frame: a name from `FRAMES`.

    Returns:
        Converted normals `[..., 3]` of the same dtype.

    Raises:
        ValueError: for an unknown frame.
    """
    if frame not in FRAMES:
        raise ValueError(f"frame must be one of {sorted(FRAMES)}. Received: {frame!r}")
    return normals * np.array(FRAMES[frame], normals.dtype)


def depth_from_distance(distance: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """Convert distance to the optical centre into depth along the optical axis.

        depth = distance / sqrt(1 + x² + y²)

    where x and y are the coordinates of the viewing ray of a pixel at depth 1.

    Args:
        distance: `[H, W]`, metres.
        camera: camera of the image.

    Returns:
        Depth `[H, W]`, metres, of the same dtype.
    """
    rays = camera.rays(*distance.shape)
    return (distance / np.sqrt(1 + (rays**2).sum(-1))).astype(distance.dtype)


def normals_from_depth(
    depth: np.ndarray, camera: Intrinsics, radius: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate surface normals by fitting a plane to the neighbourhood of each pixel.

    In the image of a plane, the inverse depth is linear in the coordinates of the viewing rays:

        1 / depth = a x + b y + c,    normal ∝ (-a, -b, c)

    where x and y are the coordinates of a ray at depth 1 (y up) and a, b, c the parameters of the
    plane. They are fitted by least squares with box filters. Each pixel takes the plane of the
    window with the minimum error relative to its mean inverse depth among the windows that contain
    it, so planes do not extend across edges.

    Source: choice of the window after Kuwahara et al. 1976.

    Args:
        depth: `[H, W]` float, metres, 0 where unknown.
        camera: camera of the image.
        radius: windows are `2 * radius + 1` pixels wide.

    Returns:
        Unit normals `[H, W, 3]` float32 (x right, y up, z towards the camera), 0 where invalid, and
        their validity `[H, W]` bool.

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
    planes, error = _fit_planes(inverse, known, rays, radius)
    best = _best_windows(error, radius)
    a, b, c = np.moveaxis(planes.reshape(-1, 3)[best], -1, 0)
    # A point is (x, y, -1) z, so the plane 1 / z = a x + b y + c has the normal (a, b, -c); its
    # visible side has (-a, -b, c).
    valid = known & np.isfinite(error.ravel()[best]) & (a * rays[..., 0] + b * rays[..., 1] + c > 0)
    normals = np.stack([-a, -b, c], axis=-1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return np.where(valid[..., None], normals, 0).astype(np.float32), valid


def _fit_planes(
    values: np.ndarray, known: np.ndarray, rays: np.ndarray, radius: int
) -> tuple[np.ndarray, np.ndarray]:
    """Fit `values = a x + b y + c` in the window around each pixel.

    Returns:
        `(a, b, c)` `[H, W, 3]`, and the root mean square error over the mean value `[H, W]`,
        infinite where less than half of the window is known.
    """
    size = 2 * radius + 1
    weights = known.astype(np.float64)

    def window_sum(array: np.ndarray) -> np.ndarray:
        border = cv2.BORDER_CONSTANT
        window = (size, size)
        return cv2.boxFilter(
            array * weights, cv2.CV_64F, window, normalize=False, borderType=border
        )

    count = window_sum(np.ones_like(weights))
    enough = count >= size**2 / 2
    arrays = (rays[..., 0], rays[..., 1], values)
    means = [window_sum(array) / np.maximum(count, 1) for array in arrays]

    def covariance(i: int, j: int) -> np.ndarray:
        mean_product = window_sum(arrays[i] * arrays[j]) / np.maximum(count, 1)
        return mean_product - means[i] * means[j]

    xx, xy, yy = covariance(0, 0), covariance(0, 1), covariance(1, 1)
    xv, yv, vv = covariance(0, 2), covariance(1, 2), covariance(2, 2)
    determinant = np.where(enough, xx * yy - xy**2, 1)
    a = (xv * yy - yv * xy) / determinant
    b = (yv * xx - xv * xy) / determinant
    planes = np.stack([a, b, means[2] - a * means[0] - b * means[1]], axis=-1)
    squared_error = np.maximum(vv - a * xv - b * yv, 0)
    error = np.sqrt(squared_error) / np.where(enough, means[2], 1)
    return planes, np.where(enough, error, np.inf)


def _best_windows(error: np.ndarray, radius: int) -> np.ndarray:
    """Return the flat index of the centre of the window with the minimum error for each pixel."""
    height, width = error.shape
    rows, columns = np.indices(error.shape)
    best, min_error = rows * width + columns, error.copy()
    for down in (-radius, 0, radius):
        for right in (-radius, 0, radius):
            i = np.clip(rows + down, 0, height - 1)
            j = np.clip(columns + right, 0, width - 1)
            better = error[i, j] < min_error
            min_error = np.where(better, error[i, j], min_error)
            best = np.where(better, i * width + j, best)
    return best
