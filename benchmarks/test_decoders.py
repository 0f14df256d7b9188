"""Claim: distilling networks train faster than as they are usually written, in Keras and PyTorch.

Command: `make bench`, or `pytest benchmarks/test_decoders.py --benchmark-enable -s`.
False if a training step (forward, the tasks' losses of all outputs, backward, Adam; batch 2,
192x256, HRNet-W18-small-v2) of PAD-Net or MTI-Net is less than 1.2 times as fast as that of the
same Keras model with a pair of convolutions for each pair of tasks and no native op, or slower than
in PyTorch with channels-last memory and as many threads; or if a step of PAP-Net (ResNet-18,
480x640, so 4800 positions; batch 1, two tasks) is less than twice as fast as with the matrices of
pairs.
"""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from benchmarks.support.interleaved import interleave, ratio
from benchmarks.support.steps import keras_step, torch_losses, torch_step, trainer_step
from benchmarks.support.workload import Bars
from mtl_tf.architectures import mti_net, pad_net
from mtl_tf.layers import affinity_propagation
from tests.helpers.inputs import batch
from tests.helpers.torch_decoders import DECODERS

TASKS = {
    "N2": {"semseg": 40, "depth": 1},
    "N4": {"semseg": 40, "normals": 3, "edges": 1, "depth": 1},
}
SHAPE = (192, 256, 3)
ROUNDS = 9


def pair_by_pair(features, targets, gate, name):
    """`mtl.layers.distill` with a gate and a value for each pair of tasks."""
    found = {}
    for target in targets:
        messages = [features[target]]
        for source, x in features.items():
            if source == target:
                continue
            prefix = f"{name}.{target}.{source}"
            letting = mtl.layers.conv(x, x.shape[-1], 3, name=f"{prefix}.gate")
            value = mtl.layers.conv(x, x.shape[-1], 3, name=f"{prefix}.value")
            letting = keras.layers.Activation("sigmoid")(letting)
            messages.append(keras.layers.Multiply()([letting, value]))
        found[target] = keras.layers.Add()(messages)
    return found


def made(name, tasks):
    return mtl.architectures.TABLE[name].cls("hrnet_w18_small_v2", tasks, SHAPE)


@pytest.mark.parametrize("group", TASKS)
@pytest.mark.parametrize("name", ["pad_net", "mti_net"])
def test_distillation(benchmark, monkeypatch, name, group):
    tasks = TASKS[group]
    data = batch(tasks, 2, *SHAPE[:2])
    ours = trainer_step(made(name, tasks), tasks, data)
    for module in (pad_net, mti_net):
        monkeypatch.setattr(module, "distill", pair_by_pair)
    naive = trainer_step(made(name, tasks), tasks, data)
    with mtl.ops.portable():
        naive()  # traced without native ops
    candidates = {
        "here": ours,
        "pair by pair": naive,
        "PyTorch": torch_step(DECODERS[name](tasks), data[0], torch_losses(data)),
    }
    times = interleave(candidates, ROUNDS)
    benchmark.pedantic(ours, rounds=2)
    bars = Bars(benchmark, f"{name}, {group}")
    bars.at_least("over pair by pair", ratio(times, "pair by pair", "here"), 1.2)
    bars.at_least("over PyTorch", ratio(times, "PyTorch", "here"), 1.0)
    bars.settle(times)


def test_pap_net(benchmark, monkeypatch):
    shape = (480, 640, 3)
    image = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    ours = keras_step(mtl.architectures.PAPNet("resnet18", TASKS["N2"], shape), image)
    ours()  # traced, with the native op
    monkeypatch.setattr(
        affinity_propagation.ops, "affinity_diffusion", mtl.ops.reference.affinity_diffusion
    )
    dense = keras_step(mtl.architectures.PAPNet("resnet18", TASKS["N2"], shape), image)
    times = interleave({"here": ours, "matrices of pairs": dense}, rounds=3)
    benchmark.pedantic(ours, rounds=2)
    bars = Bars(benchmark, "pap_net, 60x80 positions")
    bars.at_least("over matrices of pairs", ratio(times, "matrices of pairs", "here"), 2)
    bars.settle(times)
