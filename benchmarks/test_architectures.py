"""Claim: architectures train at least as fast as the same networks in PyTorch.

Command: `make bench`, or `pytest benchmarks/test_architectures.py --benchmark-enable -s`.
False if a training step (forward, backward, Adam; batch 2, 192x256, two tasks, ResNet-18 with
DeepLab heads at output stride 8) takes longer than in PyTorch with channels-last memory and as many
threads.
"""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from benchmarks.support.interleaved import interleave, ratio
from benchmarks.support.steps import keras_step, torch_step
from tests.helpers.torch_networks import network

TASKS = {"semseg": 13, "depth": 1}
SHAPE = (192, 256, 3)
ROUNDS = 7


@pytest.mark.parametrize("name", ["shared_trunk", "cross_stitch", "nddr_cnn", "mtan"])
def test_a_training_step_is_as_fast_as_in_pytorch(benchmark, name):
    image = np.random.default_rng(0).standard_normal((2, *SHAPE)).astype(np.float32)
    keras.utils.set_random_seed(0)
    model = mtl.architectures.TABLE[name].cls("resnet18", TASKS, SHAPE)
    candidates = {
        "here": keras_step(model, image),
        "PyTorch": torch_step(network(name, "resnet18", TASKS), image),
    }
    times = interleave(candidates, ROUNDS)
    ours, theirs = (1000 * np.median(times[c]) for c in candidates)
    speed = ratio(times, "PyTorch", "here")
    print(f"\n{name}: here {ours:.0f} ms, PyTorch {theirs:.0f} ms; {speed:.2f} times as fast")
    benchmark.pedantic(candidates["here"], rounds=3)
    assert speed >= 1.0
