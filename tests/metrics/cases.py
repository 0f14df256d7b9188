"""The metrics with random inputs, and helpers that feed them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mtl_tf import metrics


class Case(NamedTuple):
    metric: Callable
    task: str
    target: Callable
    prediction: Callable


def _binary(r, shape):
    return (r.random((*shape, 1)) < 0.2).astype(np.float32)


def _normal(channels, scale=1.0):
    return lambda r, shape: scale * r.standard_normal((*shape, channels)).astype(np.float32)


CASES = {
    "segmentation": Case(
        lambda: metrics.SegmentationMetrics(4),
        "semseg",
        lambda r, shape: r.integers(0, 4, (*shape, 1)).astype(np.float32),
        _normal(4),
    ),
    "human_parts": Case(
        lambda: metrics.SegmentationMetrics(4, skip_background_images=True),
        "human_parts",
        lambda r, shape: r.integers(0, 4, (*shape, 1)).astype(np.float32),
        _normal(4),
    ),
    "depth": Case(
        metrics.DepthMetrics,
        "depth",
        lambda r, shape: r.uniform(0.5, 9, (*shape, 1)).astype(np.float32),
        lambda r, shape: r.uniform(0.5, 9, (*shape, 1)).astype(np.float32),
    ),
    "normals": Case(metrics.NormalsMetrics, "normals", _normal(3), _normal(3)),
    "saliency": Case(metrics.SaliencyMetrics, "saliency", _binary, _normal(1, 2.0)),
    "edges": Case(metrics.EdgeMetrics, "edges", _binary, _normal(1, 2.0)),
    "regression": Case(
        lambda: metrics.RegressionMetrics(3), "principal_curvature", _normal(3), _normal(3)
    ),
}


def inputs(name, seed=0, shape=(6, 8, 9), valid=0.7):
    """`y_true`, `y_pred` and a mask `[B, H, W]` that is partly 0."""
    r = np.random.default_rng(seed)
    case = CASES[name]
    return (
        case.target(r, shape),
        case.prediction(r, shape),
        (r.random(shape) < valid).astype(np.float32),
    )


def feed(metric, y_true, y_pred, mask=None, sizes=None):
    """Results as floats after batches of `sizes` images (one batch without)."""
    start = 0
    for size in sizes or [len(y_true)]:
        part = slice(start, start + size)
        metric.update_state(y_true[part], y_pred[part], None if mask is None else mask[part])
        start += size
    assert start == len(y_true)
    return {key: float(value) for key, value in metric.result().items()}


def assert_results(results, expected, rtol=1e-5, atol=1e-7):
    assert results.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(results[key], value, rtol=rtol, atol=atol, err_msg=key)
