"""Claim: every solver of `balance` takes microseconds, less than any peer's.

Command: `make bench`, or `pytest benchmarks/test_balance.py --benchmark-enable -s`.
False if: through the NumPy binding a method takes more than 50 µs for K up to 8 tasks or more than
500 µs for K = 20, or longer than TorchJD's weighting does on the same Gramians or did when the
peers table was made (two x86-64 cores, TorchJD 0.18).
"""

import functools
import importlib.util
import statistics

import numpy as np
import pytest
import tensorflow as tf
import torch

import mtl_tf as mtl
from benchmarks.support.interleaved import Times, interleave
from benchmarks.support.workload import Bars
from mtl_tf.ops._library import _bindings

TASKS = [2, 3, 5, 8, 10, 20]
GRAMIANS = 8
REPEATS = 10  # of all Gramians in one timed call of the binding
CALLS = 100  # in one graph
PARAMETERS = {"cagrad": 0.4, "gradvac": 0.5}

# Peers table, "weights only": microseconds for K = 2, 3, 5, 10, 20.
PEERS_TABLE = {
    "upgrad": [148, 190, 256, 435, 1148],
    "dualproj": [112, 125, 117, 140, 155],
    "mgda": [101, 3263, 4607, 2629, 2933],
    "pcgrad": [91, 194, 475, 1929, 7237],
    "gradvac": [134, 462, 1672, 7642, 30599],
    "cagrad": [5957, 7249, 7847, 9129, 7564],
    "fairgrad": [4429, 5081, 5108, 7059, 9625],
    "imtl_g": [58, 65, 67, 103, 112],
    "aligned_mtl": [114, 122, 133, 222, 227],
}
METHODS = [*PEERS_TABLE, "nash_mtl"]
TORCHJD_CLASSES = {
    "upgrad": "UPGradWeighting",
    "dualproj": "DualProjWeighting",
    "mgda": "MGDAWeighting",
    "pcgrad": "PCGradWeighting",
    "gradvac": "GradVacWeighting",
    "cagrad": "CAGradWeighting",
    "fairgrad": "FairGradWeighting",
    "imtl_g": "IMTLGWeighting",
    "aligned_mtl": "AlignedMTLWeighting",
}
NEEDED = {
    "upgrad": ["quadprog", "qpsolvers"],
    "dualproj": ["quadprog", "qpsolvers"],
    "cagrad": ["cvxpy", "clarabel"],
    "nash_mtl": ["cvxpy", "ecos"],
}


def jacobians(num_tasks):
    generator = np.random.default_rng(num_tasks)
    return [generator.standard_normal([num_tasks, 4 * num_tasks]) for _ in range(GRAMIANS)]


def missing_packages(method):
    needed = ["torchjd", *NEEDED.get(method, [])]
    return [name for name in needed if importlib.util.find_spec(name) is None]


def torchjd_weighting(method, num_tasks):
    """TorchJD's function and whether it takes the Jacobian; `None` if a package is missing."""
    if missing_packages(method):
        return None
    aggregation = importlib.import_module("torchjd.aggregation")
    if method == "nash_mtl":
        return aggregation.NashMTL(n_tasks=num_tasks).weighting, True
    arguments = {"cagrad": {"c": 0.4}, "fairgrad": {"alpha": 1.0}}.get(method, {})
    return getattr(aggregation, TORCHJD_CLASSES[method])(**arguments), False


def chain_of_calls(method, gramians):
    """Return `CALLS` calls in one graph, each waiting for the one before; all of them are used."""
    weights = [mtl.ops.balance(gramians[0], method)]
    for call in range(1, CALLS):
        with tf.control_dependencies([weights[-1]]):
            weights.append(mtl.ops.balance(gramians[call % len(gramians)], method))
    return tf.add_n(weights)


def candidates(method, num_tasks):
    matrices = jacobians(num_tasks)
    gramians = [matrix @ matrix.T for matrix in matrices]
    balance = functools.partial(
        _bindings().balance, method=method, parameter=PARAMETERS.get(method, 1.0)
    )
    # Arguments, as constants would be folded away.
    graph = tf.function(functools.partial(chain_of_calls, method))
    tensors = [tf.constant(gramian) for gramian in gramians]
    found = {
        "binding": lambda: [balance(gramian) for _ in range(REPEATS) for gramian in gramians],
        "graph": lambda: graph(tensors).numpy(),
    }
    peer = torchjd_weighting(method, num_tasks)
    if peer is not None:
        weighting, takes_jacobian = peer
        inputs = [torch.from_numpy(m) for m in (matrices if takes_jacobian else gramians)]
        found["TorchJD"] = lambda: [weighting(matrix) for matrix in inputs]
    return found


def microseconds(times: Times):
    calls = {"binding": REPEATS * GRAMIANS, "graph": CALLS, "TorchJD": GRAMIANS}
    return {name: 1e6 * statistics.median(values) / calls[name] for name, values in times.items()}


@pytest.mark.filterwarnings("ignore")  # of the peers' packages
@pytest.mark.parametrize("method", METHODS)
def test_balance(benchmark, method):
    torch.set_num_threads(1)
    bars = Bars(benchmark, f"balance, {method}, µs")
    for num_tasks in TASKS:
        called = candidates(method, num_tasks)
        found = microseconds(interleave(called, rounds=5, warmup=1))
        own = found["binding"]
        bound = 50 if num_tasks <= 8 else 500
        bars.at_most(f"K = {num_tasks}: binding", own, bound)
        bars.note(f"K = {num_tasks}: graph", found["graph"])
        if "TorchJD" in found:
            bars.at_most(f"K = {num_tasks}: share of TorchJD's", own / found["TorchJD"], 1)
        if num_tasks in (2, 3, 5, 10, 20) and method in PEERS_TABLE:
            table = PEERS_TABLE[method][[2, 3, 5, 10, 20].index(num_tasks)]
            bars.at_most(f"K = {num_tasks}: share of the peers table's", own / table, 1)
    if missing_packages(method):
        bars.note("TorchJD not measured, missing", ", ".join(missing_packages(method)))
    benchmark.pedantic(called["binding"], rounds=3, warmup_rounds=1)
    bars.settle()
