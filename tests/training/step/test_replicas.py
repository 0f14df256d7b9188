"""Two replicas with half the batch each do what one replica does with the whole: every method."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import mtl_tf as mtl
from tests.helpers.slow import slow_but

ROOT = pathlib.Path(__file__).parents[3]
CASES = [
    f"{name}:{level}"
    for name, row in mtl.balancing.TABLE.items()
    for level in ("parameters", "features")
    if level == "parameters" or row.kind != "scalarizer"
]
FAST = {
    "uncertainty:parameters",
    "upgrad:parameters",
    "gradnorm:parameters",
    "config:features",
    "graddrop:parameters",
    "graddrop:features",
}


@pytest.fixture(scope="module")
def results(request):
    """What `one_or_two_replicas` says of all cases chosen in this run, from one process."""
    name = test_two_replicas_do_the_steps_of_one.__name__
    chosen = [
        item.callspec.params["case"]
        for item in request.session.items
        if getattr(item, "originalname", "") == name
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.one_or_two_replicas", *chosen],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120 + 30 * len(chosen),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", slow_but(FAST, CASES))
def test_two_replicas_do_the_steps_of_one(results, case):
    one, two = results[case]["one"], results[case]["two"]
    for kind in ("variables", "state", "history"):
        for name, values in one[kind].items():
            np.testing.assert_allclose(
                two[kind][name], values, rtol=1e-5, atol=1e-6, err_msg=f"{kind} {name}"
            )
    for name, distances in two["apart"].items():
        assert len(distances) == 2 and max(distances) == 0, f"{name} differs between the replicas"
    if "other draw" in results[case]:  # else the comparison would say nothing of the draws
        other = results[case]["other draw"]["variables"]
        moved = [np.max(np.abs(np.subtract(other[name], one["variables"][name]))) for name in other]
        assert max(moved) > 1e-4
