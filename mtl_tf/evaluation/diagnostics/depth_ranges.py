"""Error of depth by range of the true depth: near and far pixels fail differently."""

from typing import Any

import numpy as np

_FINE_EDGES_M = np.geomspace(0.01, 1000.0, 461)  # steps of 2.5 %
_NUM_RANGES = 10


class DepthRanges:
    """Depth errors in ten ranges of the true depth that hold about the same number of pixels.

    Source: this library.

    Examples:
        >>> ranges = DepthRanges()
        >>> ranges.add(np.full((1, 4, 1), 2.0), np.full((1, 4, 1), 2.5), np.ones((1, 4), bool))
        >>> ranges.result()["ranges"][0]["mean_error"]
        0.5
    """

    def __init__(self) -> None:
        self._count, self._error, self._square = np.zeros((3, len(_FINE_EDGES_M) + 1))
        self._far_m = 0.0

    def add(self, target: np.ndarray, prediction: np.ndarray, valid: np.ndarray) -> None:
        """Add an image.

        Args:
            target: metres `[H, W, 1]`; pixels that are not above 0 are invalid.
            prediction: metres `[H, W, 1]`.
            valid: bool `[H, W]`.
        """
        valid = valid & (target[..., 0] > 0)
        depth = target[valid][:, 0].astype(np.float64)
        error = np.maximum(prediction[valid][:, 0], 0.0) - depth  # as the metrics clip
        self._far_m = max(self._far_m, float(depth.max(initial=0.0)))
        bins = np.searchsorted(_FINE_EDGES_M, depth, side="right")
        size = len(self._count)
        self._count += np.bincount(bins, minlength=size)
        self._error += np.bincount(bins, error, size)
        self._square += np.bincount(bins, error**2, size)

    def result(self) -> dict[str, Any]:
        """Return the ranges, near to far.

        Returns:
            `ranges`: dictionaries of `from_m` and `to_m`, `share` of the pixels, signed
            `mean_error` and `rmse`, in metres.
        """
        total = self._count.sum()
        below = np.cumsum(self._count)
        number = np.minimum((below - self._count / 2) * _NUM_RANGES // max(total, 1), 9)
        edges = np.concatenate([[0.0], _FINE_EDGES_M, [self._far_m]])
        ranges = []
        for i in range(_NUM_RANGES):
            (bins,) = np.nonzero((number == i) & (self._count > 0))
            if not len(bins):
                continue
            count = self._count[bins].sum()
            ranges.append(
                {
                    "from_m": float(edges[bins[0]]),
                    "to_m": float(edges[bins[-1] + 1]),
                    "share": float(count / total),
                    "mean_error": float(self._error[bins].sum() / count),
                    "rmse": float(np.sqrt(self._square[bins].sum() / count)),
                }
            )
        return {"ranges": ranges}
