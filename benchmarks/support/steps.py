"""Training steps of a network here and of the same one in PyTorch: forward, backward and Adam.

Claim: none of its own. Command: imported by `test_architectures.py` and `test_decoders.py`.
False if: the two compute anything else than the same losses of outputs of the same shapes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
import torch
from torch.nn import functional

import mtl_tf as mtl
from benchmarks.support.interleaved import THREADS

Step = Callable[[], float]


def keras_step(model: Any, image: Any) -> Step:
    """Return a step in one graph; the loss is the mean square of every output."""
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    images = tf.constant(image)

    def loss_of(outputs: Mapping[str, Any]) -> Any:
        return tf.add_n([tf.reduce_mean(tf.square(y)) for y in outputs.values()])

    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    graph = tf.function(step, autograph=False)
    return lambda: float(graph())


def trainer_step(model: Any, tasks: Mapping[str, int], batch: Any) -> Step:
    """Return a step of the trainer with equal weights; the losses are the tasks' own."""
    trainer = mtl.MultiTaskTrainer(model, tasks)
    trainer.compile(keras.optimizers.Adam(1e-4), metrics={task: [] for task in tasks})
    trainer.optimizer.build(trainer.trainable_variables)
    graph = tf.function(trainer.train_step, autograph=False)
    tensors = tf.nest.map_structure(tf.constant, batch)
    return lambda: float(graph(tensors)["loss"])


def torch_step(model: Any, image: Any, loss_of: Callable[..., Any] | None = None) -> Step:
    """Return a PyTorch step, channels last; the loss is the mean square or `loss_of(outputs)`."""
    torch.set_num_threads(THREADS)
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    images = torch.tensor(image).permute(0, 3, 1, 2)  # as it lies, channels last

    def step() -> float:
        optimizer.zero_grad()
        outputs = model(images)
        if loss_of is None:
            loss = sum(y.square().mean() for y in outputs.values())
        else:
            loss = loss_of(outputs)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_losses(batch: Any) -> Callable[..., Any]:
    """Return the losses of all outputs at the size of the targets, as in `trainer_step`."""
    _, targets, masks = batch
    truths = {task: torch.tensor(y).permute(0, 3, 1, 2) for task, y in targets.items()}
    valid = {task: torch.tensor(mask) for task, mask in masks.items()}

    def of_output(task: str, output: Any) -> Any:
        truth, mask = truths[task], valid[task]
        if output.shape[-2:] != truth.shape[-2:]:
            output = functional.interpolate(output, truth.shape[-2:], mode="bilinear")
        if task == "semseg":
            errors = functional.cross_entropy(output, truth[:, 0].long(), reduction="none")
        elif task == "depth":
            errors = (output - truth).abs().mean(1)
        elif task == "normals":
            errors = (functional.normalize(output, dim=1) - truth).abs().mean(1)
        else:
            share = 1 - truth[:, 0].mean()
            weights = torch.where(truth > 0.5, share, 1 - share)
            errors = functional.binary_cross_entropy_with_logits(
                output, truth, weights, reduction="none"
            )[:, 0]
        return (errors * mask).sum() / mask.sum()

    return lambda outputs: sum(of_output(name.split("/")[0], y) for name, y in outputs.items())
