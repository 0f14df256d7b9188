"""Draws docs/toy_landscape.png: every balancing method on two tasks with two parameters.

The landscape of CAGrad (Liu et al., NeurIPS 2021, appendix) in the form and with the settings of
the code of Nash-MTL (Navon et al., ICML 2022) and FAMO (Liu et al., NeurIPS 2023): five starts, the
first loss ten times smaller, 50000 steps of Adam at 0.001. Losses begin at 0 as those of networks
do: 21 is added to both before scaling, FAMO's bound. All methods have their defaults, and an epoch
is 1000 steps. Two ravines, one per task, cross the upper half and stop methods that do not balance;
the Pareto front is a line in the lower half.

Command, 2 minutes on one core: `.venv/bin/python examples/draw_toy_landscape.py`
"""

import argparse

import keras
import numpy as np
import tensorflow as tf
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import mtl_tf as mtl

STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
EPOCHS, STEPS, KEPT_EVERY = 50, 1000, 10
LEARNING_RATE = 1e-3
NEAR = 0.5
COLUMNS = 7
GROUPS = {
    "scalarizer": ("Scalarizers: losses to scalar, 1 backward pass", "#0072B2"),
    "weighting": ("Weightings: Gramian to weights, K backward passes", "#7A3E8E"),
    "aggregator": ("Aggregators: Jacobian to direction, K backward passes", "#00664B"),
}
CONFLICT = "#E8601C"
FRONT = "#8C8C8C"

# === The two tasks ===


def losses_of(points, factors=(0.1, 1.0)):
    """The losses `[K, ...]` of points `[..., 2]`."""
    x, y = tf.unstack(tf.convert_to_tensor(points), axis=-1)
    ravines = [0.5 * (-x - 7) - tf.tanh(-y), 0.5 * (-x + 3) + tf.tanh(-y) + 2]
    bowls = [((x - centre) ** 2 + 0.1 * (y + 8) ** 2) / 10 - 20 for centre in (7, -7)]
    above, below = (tf.maximum(tf.tanh(0.5 * side), 0) for side in (y, -y))
    return tf.stack(
        [
            factor * (above * (tf.math.log(tf.maximum(tf.abs(r), 5e-6)) + 6) + below * b + 21)
            for factor, r, b in zip(factors, ravines, bowls, strict=True)
        ]
    )


def landscape():
    """A grid `[N]`, the mean of the unscaled losses `[N, N]` on it, and the front `[M, 2]`."""
    grid = np.linspace(-11, 11, 441)
    points = np.stack(np.meshgrid(grid, grid), axis=-1)
    first, second = losses_of(points, factors=(1.0, 1.0)).numpy()
    best = [np.argmin(w * first + (1 - w) * second) for w in np.linspace(0, 1, 201)]
    return grid, (first + second) / 2, points.reshape(-1, 2)[best]


# === Descent ===


def direction_of(method, losses, jacobian):
    """The direction `[P]`, and the gradients of the method's own trainable variables."""
    if isinstance(method, mtl.balancing.Aggregator):
        return method(jacobian, training=True), []
    if isinstance(method, mtl.balancing.Weighting):
        gramian = tf.matmul(jacobian, jacobian, transpose_b=True)
        weights, own = method(gramian, losses=losses, training=True), []
    else:
        with tf.GradientTape() as tape:
            tape.watch(losses)
            scalar = method(losses, training=True)
        own = [v.value for v in method.trainable_variables]
        weights, *own = tape.gradient(scalar, [losses, *own])
    return tf.linalg.matvec(jacobian, weights, transpose_a=True), own


def step(method, optimizer, theta):
    """One update of `theta [2]`; returns where it was, and the inner product of the gradients."""
    with tf.GradientTape(persistent=True) as tape:
        losses = losses_of(theta.value)
        parts = tf.unstack(losses)
    jacobian = tf.stack([tape.gradient(loss, theta.value) for loss in parts])
    before = tf.concat([theta.value, [tf.reduce_sum(tf.reduce_prod(jacobian, axis=0))]], axis=0)
    direction, own = direction_of(method, losses, jacobian)
    optimizer.apply([direction, *own], [theta, *method.trainable_variables])
    if method.sees_losses_after_update:
        method.after_update(losses, losses_of(theta.value), tf.ones([2], tf.bool))
    return before


def paths_of(method):
    """The path from every start, `[starts, steps, 3]`: both parameters, and the inner product."""
    theta = keras.Variable([0.0, 0.0], dtype="float64")
    method.build((2, 2))
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build([theta, *method.trainable_variables])

    @tf.function(jit_compile=True)
    def epoch():
        path = tf.TensorArray(tf.float64, STEPS, element_shape=[3])
        for i in tf.range(STEPS):
            path = path.write(i, step(method, optimizer, theta))
        return path.stack()

    state = [*method.variables, *optimizer.variables]
    fresh = [v.numpy() for v in state]
    paths = []
    for start in STARTS:
        for variable, value in zip([*state, theta], [*fresh, start], strict=True):
            variable.assign(value)
        epochs = []
        for _ in range(EPOCHS):
            epochs.append(epoch().numpy()[::KEPT_EVERY])
            method.end_epoch()
        paths.append(np.concatenate([*epochs, [[*theta.numpy(), 0.0]]]))
    return np.stack(paths)


# === Drawing ===


def draw_panel(axis, name, color, paths, scene):
    """One method: landscape, front, paths, conflicts and ends."""
    grid, mean, front = scene
    axis.contour(grid, grid, mean, levels=14, colors="#B8C4CC", linewidths=0.6)
    axis.plot(*front.T, color=FRONT, linewidth=5, solid_capstyle="round", alpha=0.8)
    for path in paths:
        points = path[:, :2]
        conflicts = points[path[:, 2] < 0]
        axis.scatter(*conflicts.T, s=14, color=CONFLICT, linewidths=0, zorder=3)
        lines = LineCollection(
            np.stack([points[:-1], points[1:]], axis=1), cmap="viridis", linewidths=1.6, zorder=4
        )
        lines.set_array(np.arange(len(lines.get_segments())))
        axis.add_collection(lines)
        axis.plot(*points[0], "o", color="black", markersize=3.5, zorder=5)
    ends = paths[:, -1, :2]
    axis.scatter(*ends.T, s=70, marker="*", color="#FFD92F", edgecolors="black", zorder=6,
                 linewidths=0.7)  # fmt: skip
    reached = sum(np.linalg.norm(front - end, axis=1).min() < NEAR for end in ends)
    axis.set_title(name, color=color, loc="left", fontsize=10, fontweight="bold", pad=3)
    axis.set_title(f"{reached}/{len(ends)}", loc="right", fontsize=10, pad=3)
    axis.set(xlim=(-11, 11), ylim=(-11, 11), aspect="equal", xticks=(-10, 0, 10))
    axis.set_yticks((-10, 0, 10))
    print(name, reached, np.round(ends, 2).tolist())


def main():
    """Runs all methods and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", default="docs/toy_landscape.png")
    output = parser.parse_args().output
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    scene = landscape()
    allp = {}
    for name, row in mtl.balancing.TABLE.items():
        keras.utils.set_random_seed(0)
        allp[name] = paths_of(row.cls())
    np.savez("/tmp/toy/paths.npz", **allp)
    figure = Figure(figsize=(20, 16), layout="constrained")
    axes = figure.subplots(5, 6)
    for ax, name in zip(axes.flat, allp):
        row = mtl.balancing.TABLE[name]
        draw_panel(ax, row.cls.__name__, GROUPS[row.kind][1], allp[name], scene)
    figure.savefig(output, dpi=100)


if __name__ == "__main__":
    main()
