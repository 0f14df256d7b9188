"""Weights equal TorchJD's on well-posed Gramians, within the accuracy of its defaults."""

import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.ops import J2, J3, random_jacobian

torch = pytest.importorskip("torch")
aggregation = pytest.importorskip("torchjd.aggregation")

GRAMIANS = [J @ J.T for J in (J2, J3)]
GRAMIANS += [
    J @ J.T
    for J in (
        random_jacobian(k, s, kind)
        for k in (2, 3, 5)
        for s in range(4)
        for kind in ("plain", "conflict")
    )
]


def agree(weighting, method, atol, gramians=GRAMIANS, **parameters):
    for gramian in gramians:
        expected = weighting(torch.tensor(gramian)).numpy()
        weights = mtl.ops.balance(gramian, method, **parameters).numpy()
        np.testing.assert_allclose(weights, expected, atol=atol * np.abs(weights).max())


@pytest.mark.parametrize(
    ("scale", "mode"), [("min", "min"), ("median", "median"), ("mean", "rmse")]
)
def test_aligned_mtl(scale, mode):
    agree(aggregation.AlignedMTLWeighting(scale_mode=mode), "aligned_mtl", 1e-8, scale=scale)


def test_imtl_g():
    agree(aggregation.IMTLGWeighting(), "imtl_g", 1e-8)


def test_pcgrad_of_two_tasks():
    agree(aggregation.PCGradWeighting(), "pcgrad", 1e-8, [G for G in GRAMIANS if len(G) == 2])


@pytest.mark.parametrize(
    ("method", "name"), [("upgrad", "UPGradWeighting"), ("dualproj", "DualProjWeighting")]
)
def test_dual_cone(method, name):
    pytest.importorskip("qpsolvers")
    pytest.importorskip("quadprog")
    from torchjd.linalg import QuadprogProjector

    projector = QuadprogProjector(norm_eps=1e-14, reg_eps=1e-12)
    agree(getattr(aggregation, name)(projector=projector), method, 1e-6)


@pytest.mark.parametrize("c", [0.2, 0.4, 0.8])
def test_cagrad(c):
    pytest.importorskip("cvxpy")
    pytest.importorskip("clarabel")
    # Its solver stops at 1e-8 of a value whose slope is zero there: 1e-4 of the weights.
    agree(aggregation.CAGradWeighting(c, norm_eps=1e-14), "cagrad", 5e-4, c=c)


def test_mgda():
    agree(aggregation.MGDAWeighting(epsilon=1e-12, max_iters=5000), "mgda", 1e-2)


@pytest.mark.filterwarnings("ignore:You are solving a parameterized:UserWarning")
@pytest.mark.filterwarnings("ignore:Solution may be inaccurate:UserWarning")
def test_nash_mtl():
    pytest.importorskip("cvxpy")
    pytest.importorskip("ecos")
    for J in (J2, J3, *(random_jacobian(k, s) for k in (2, 3, 5) for s in range(3))):
        nash = aggregation.NashMTL(len(J), max_norm=0.0, optim_niter=100)
        expected = nash(torch.tensor(J)).numpy()
        direction = mtl.ops.balance(J @ J.T, "nash_mtl").numpy() @ J
        # Theirs is right up to the length of the normalised Gramian.
        scale = np.linalg.norm(J @ J.T) ** 0.5
        np.testing.assert_allclose(direction * scale, expected * scale, rtol=1e-2, atol=1e-2)


def test_gradvac_of_two_tasks_over_calls():
    weighting = aggregation.GradVacWeighting(beta=0.5, eps=0.0)
    targets = np.zeros((2, 2))
    for seed in range(5):
        J = random_jacobian(2, seed)
        expected = weighting(torch.tensor(J @ J.T)).numpy()
        report = mtl.ops.balance_report(J @ J.T, "gradvac", beta=0.5, targets=targets)
        np.testing.assert_allclose(report.weights, expected, rtol=1e-6)
        targets = report.targets
