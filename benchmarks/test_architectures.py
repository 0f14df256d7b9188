"""Claim: architectures train at least as fast as the same networks in PyTorch.

Command: `make bench`, or `pytest benchmarks/test_architectures.py --benchmark-enable --no-cov -s`.
False if a training step (forward, backward, Adam; batch 2, 192x256, two tasks, ResNet-18 with
DeepLab heads at output stride 8) takes longer than in PyTorch with channels-last memory and as many
threads.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import mtl_tf as mtl
from benchmarks.interleaved import THREADS, interleave, ratio
from tests.helpers.torch_networks import network

TASKS = {"semseg": 13, "depth": 1}
SHAPE = (192, 256, 3)
ROUNDS = 7


def keras_step(name, image):
    """Forward, backward and Adam in one graph."""
    keras.utils.set_random_seed(0)
    model = mtl.architectures.TABLE[name].cls("resnet18", TASKS, SHAPE)
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    images = tf.constant(image)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            loss = tf.add_n([tf.reduce_mean(tf.square(outputs[task])) for task in TASKS])
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return lambda: step().numpy()


def torch_step(name, image):
    """The same in PyTorch."""
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    model = network(name, "resnet18", TASKS).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    images = torch.tensor(image).permute(0, 3, 1, 2)  # as it lies, channels last

    def step():
        optimizer.zero_grad()
        outputs = model(images)
        loss = sum(outputs[task].square().mean() for task in TASKS)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


@pytest.mark.parametrize("name", ["shared_trunk", "cross_stitch", "nddr_cnn", "mtan"])
def test_a_training_step_is_as_fast_as_in_pytorch(benchmark, name):
    image = np.random.default_rng(0).standard_normal((2, *SHAPE)).astype(np.float32)
    candidates = {"here": keras_step(name, image), "PyTorch": torch_step(name, image)}
    times = interleave(candidates, ROUNDS)
    ours, theirs = (1000 * np.median(times[c]) for c in candidates)
    speed = ratio(times, "PyTorch", "here")
    print(f"\n{name}: here {ours:.0f} ms, PyTorch {theirs:.0f} ms; {speed:.2f} times as fast")
    benchmark.pedantic(candidates["here"], rounds=3)
    assert speed >= 1.0
