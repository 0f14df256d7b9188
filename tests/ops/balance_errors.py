"""How far weights are from what their method means, by definition; methods and hard cases."""

# ruff: noqa: N803 (J and G as in the papers)

import numpy as np

from mtl_tf.ops._balance import METHODS
from tests.helpers import ops as truth
from tests.helpers.ops import hard_jacobians
from tests.ops.implementations import ALL

FAST = "binding" if "binding" in ALL else "reference"
NATIVE = tuple(name for name in ALL if name != "reference")
HARD = hard_jacobians()
# Nothing to solve for on these: a combination of the gradients is zero.
STATIONARY = ("opposite", "opposite, other length", "opposite and a third", "sum is zero")


def gram(J):
    return J @ J.T


def direction_error(J, weights, expected):
    """In units of what is added up."""
    scale = np.abs(weights) @ np.linalg.norm(J, axis=1) + np.linalg.norm(expected)
    return np.max(np.abs(weights @ J - expected)) / max(scale, 1e-300)


def error(J, weights, method, **parameters):
    """How far `weights` are from what `method` means, by definition; rows of `J` not zero."""
    G, num_tasks = gram(J), len(J)
    mean = parameters.get("preference", np.full(num_tasks, 1 / num_tasks))
    order = parameters.get("order", truth.ascending_order(num_tasks))
    if method == "mgda":
        norms = np.linalg.norm(J, axis=1)
        off = np.linalg.norm(weights @ J) - np.linalg.norm(truth.mgda_direction(J))
        return max(truth.mgda_residual(G, weights), off / norms.min())
    if method == "upgrad":
        return direction_error(J, weights, truth.upgrad_direction(J, mean))
    if method == "dualproj":
        own = direction_error(J, weights, truth.dualproj_direction(J, mean))
        return max(truth.dualproj_residual(G, weights, mean), own)
    if method == "cagrad":
        return truth.cagrad_gap(G, weights, parameters.get("c", 0.4))
    if method in ("nash_mtl", "fairgrad"):
        return truth.fairgrad_residual(G, weights, parameters.get("alpha", 1.0))
    if method == "imtl_g":
        return truth.imtl_g_residual(G, weights)
    if method == "aligned_mtl":
        expected = truth.aligned_mtl(J, mean, parameters.get("scale", "min"))
        return np.max(np.abs(weights - expected)) / max(np.max(np.abs(expected)), mean.max())
    if method == "pcgrad":
        return direction_error(J, weights, truth.pcgrad(J, order))
    targets = parameters.get("targets", np.zeros((num_tasks, num_tasks)))
    expected, _ = truth.gradvac(J, order, targets, parameters.get("beta", 0.5))
    return direction_error(J, weights, expected)


VARIANTS = [
    *[(method, {}) for method in METHODS],
    ("cagrad", {"c": 0.05}),
    ("cagrad", {"c": 0.9}),
    ("cagrad", {"c": 3.0}),
    ("fairgrad", {"alpha": 0.5}),
    ("fairgrad", {"alpha": 2.0}),
    ("fairgrad", {"alpha": 5.0}),
    ("aligned_mtl", {"scale": "median"}),
    ("aligned_mtl", {"scale": "mean"}),
]


def name_of(value):
    return value if isinstance(value, str) else "".join(f"{k}={v}" for k, v in value.items()) or "-"
