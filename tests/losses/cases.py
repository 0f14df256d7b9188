"""The four losses with random inputs, and gradients from TensorFlow and from differences."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from mtl_tf import losses


class Case(NamedTuple):
    loss: Callable
    channels: int
    target: Callable


def unit_normals(r, shape):
    vectors = r.standard_normal((*shape, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


CASES = {
    "segmentation": Case(
        losses.SegmentationCrossEntropy, 5, lambda r, shape: r.integers(0, 5, (*shape, 1))
    ),
    "depth": Case(losses.L1, 1, lambda r, shape: r.uniform(0.5, 9, (*shape, 1))),
    "normals": Case(losses.NormalsL1, 3, unit_normals),
    "edges": Case(
        lambda: losses.BalancedBinaryCrossEntropy(0.95),
        1,
        lambda r, shape: r.integers(0, 2, (*shape, 1)),
    ),
    "saliency": Case(
        losses.BalancedBinaryCrossEntropy, 1, lambda r, shape: r.integers(0, 2, (*shape, 1))
    ),
}


def inputs(name, seed=0, shape=(2, 5, 7), valid=0.6):
    """`y_true [B, H, W, c]`, `y_pred [B, H, W, C]` and a mask `[B, H, W]` that is partly 0."""
    r = np.random.default_rng(seed)
    case = CASES[name]
    y_true = case.target(r, shape).astype(np.float32)
    y_pred = 2 * r.standard_normal((*shape, case.channels)).astype(np.float32)
    return y_true, y_pred, (r.random(shape) < valid).astype(np.float32)


def value_and_gradient(loss, y_true, y_pred, mask=None):
    y_pred = tf.convert_to_tensor(y_pred)
    with tf.GradientTape() as tape:
        tape.watch(y_pred)
        value = loss(y_true, y_pred, sample_weight=mask)
    return value.numpy(), tape.gradient(value, y_pred).numpy()


def difference_gradient(function, x, step=1e-5):
    """Central differences of `function([...] float64) -> float` at `x`."""
    x = np.asarray(x, np.float64).copy()
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        centre = x[i]
        x[i] = centre + step
        above = function(x)
        x[i] = centre - step
        gradient[i] = (above - function(x)) / (2 * step)
        x[i] = centre
    return gradient


def assert_equals_truth(loss, truth, name, seed, masked):
    """Value and gradient of `loss` against `truth(y_true, y_pred, mask)` in float64."""
    y_true, y_pred, mask = inputs(name, seed)
    if not masked:
        mask = np.ones_like(mask)
    value, gradient = value_and_gradient(loss, y_true, y_pred, mask if masked else None)
    label, weight = np.float64(y_true), np.float64(mask)
    np.testing.assert_allclose(value, truth(label, np.float64(y_pred), weight), rtol=2e-6)
    expected = difference_gradient(lambda p: truth(label, p, weight), y_pred)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-7)
