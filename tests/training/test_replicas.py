"""Two replicas with half the batch each do what one replica does with the whole."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
CASES = ["uncertainty:parameters", "upgrad:parameters", "gradnorm:parameters", "mgda:features"]
MORE_CASES = ["dwa:parameters", "famo:parameters", "pcgrad:parameters", "config:parameters",
              "nash_mtl:features"]  # fmt: skip


def run(num_replicas, cases):
    command = [sys.executable, "-m", "tests.training.one_or_two_replicas", str(num_replicas)]
    done = subprocess.run(
        [*command, *cases], cwd=ROOT, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(CASES, id="one of each kind"),
        pytest.param(MORE_CASES, id="more", marks=pytest.mark.slow),
    ],
)
def test_two_replicas_do_the_step_of_one(cases):
    for case, one, two in zip(cases, run(1, cases), run(2, cases), strict=True):
        np.testing.assert_allclose(
            two["variables"], one["variables"], rtol=1e-4, atol=1e-5, err_msg=case
        )
        for name, values in one["history"].items():
            np.testing.assert_allclose(
                two["history"][name], values, rtol=1e-3, atol=1e-5, err_msg=f"{case} {name}"
            )
