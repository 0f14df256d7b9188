"""Two replicas with half the batch each do what one replica does with the whole."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
CASES = [
    "uncertainty:parameters",
    "dwa:parameters",
    "famo:parameters",
    "upgrad:parameters",
    "gradnorm:parameters",
    "pcgrad:parameters",
    "config:parameters",
    "mgda:features",
    "nash_mtl:features",
]


@pytest.fixture(scope="module")
def results():
    def run(num_replicas):
        command = [sys.executable, "-m", "tests.training.one_or_two_replicas", str(num_replicas)]
        done = subprocess.run(
            [*command, *CASES], cwd=ROOT, capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return dict(zip(CASES, json.loads(done.stdout.splitlines()[-1]), strict=True))

    return run(1), run(2)


@pytest.mark.parametrize("case", CASES)
def test_two_replicas_do_the_step_of_one(case, results):
    one, two = (found[case] for found in results)
    np.testing.assert_allclose(two["variables"], one["variables"], rtol=1e-4, atol=1e-5)
    for name, values in one["history"].items():
        np.testing.assert_allclose(two["history"][name], values, rtol=1e-3, atol=1e-5, err_msg=name)
