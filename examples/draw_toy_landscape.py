"""Draw docs/toy_landscape.png: every balancing method on two tasks with two parameters.

The landscape of CAGrad (Liu et al., NeurIPS 2021), with the settings of the code of Nash-MTL (Navon
et al., ICML 2022) and FAMO (Liu et al., NeurIPS 2023): the first loss ten times smaller, five
starts, 50000 steps of Adam at 0.001. FAMO's lower bounds of the losses are subtracted for all
methods, so that losses are positive. All methods use their default arguments, except that FAMO uses
no weight decay, as in its authors' code for this landscape. For methods that update once per epoch,
an epoch is 1000 steps.

Each task has a ravine in the upper half, where many methods get stuck. The Pareto front is in the
lower half. A start reaches the front if its path ends nearer than 0.5 to it.

Command, 2.5 minutes on one core: `.venv/bin/python examples/draw_toy_landscape.py`
"""

import argparse

import keras
import numpy as np
import PIL.Image
import tensorflow as tf
from matplotlib import colormaps
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import mtl_tf as mtl

STARTS = ((-8.5, 7.5), (0.0, 0.0), (9.0, 9.0), (-7.5, -0.5), (9.0, -1.0))
EPOCHS, STEPS, KEPT_EVERY, LEARNING_RATE = 50, 1000, 10, 1e-3
OPTIONS = {"famo": {"weight_decay": 0.0}}
SCALES, NEAR, LIGHT_FROM = (0.1, 1.0), 0.5, 20000
COLORS = {"scalarizer": "#1F78C8", "weighting": "#222222", "aggregator": "#9A6A00"}
CONFLICT, FRONT, END, CONTOUR = "#E8601C", "#9A9A9A", "#FFD92F", "#C3CCD2"

# === The two tasks ===


def losses_of(points):
    """Return the unscaled losses `[K, ...]` at points `[..., 2]`."""
    x, y = tf.unstack(tf.convert_to_tensor(points), axis=-1)
    ravines = [0.5 * (-x - 7) - tf.tanh(-y), 0.5 * (-x + 3) + tf.tanh(-y) + 2]
    ravines = [tf.math.log(tf.maximum(tf.abs(r), 5e-6)) + 6 for r in ravines]
    bowls = [((x - centre) ** 2 + 0.1 * (y + 8) ** 2) / 10 - 20 for centre in (7, -7)]
    above, below = (tf.maximum(tf.tanh(0.5 * side), 0) for side in (y, -y))
    return tf.stack([above * r + below * b + 21 for r, b in zip(ravines, bowls, strict=True)])


def landscape():
    """Return a grid `[N]`, the mean unscaled loss `[N, N]` on it, and the front `[M, 2]`."""
    grid = np.linspace(-11, 11, 441)
    points = np.stack(np.meshgrid(grid, grid), axis=-1)
    first, second = losses_of(points).numpy()
    best = [np.argmin(w * first + (1 - w) * second) for w in np.linspace(0, 1, 201)]
    return grid, (first + second) / 2, points.reshape(-1, 2)[best]


# === Descent ===


def direction_of(method, losses, jacobian):
    """Return the direction `[P]` and the gradients of the method's trainable variables."""
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
    """Update `theta [2]`; return its previous value and the inner product of the gradients."""
    with tf.GradientTape(persistent=True) as tape:
        losses = losses_of(theta.value) * SCALES
        parts = tf.unstack(losses)
    jacobian = tf.stack([tape.gradient(loss, theta.value) for loss in parts])
    before = tf.concat([theta.value, [tf.reduce_sum(tf.reduce_prod(jacobian, axis=0))]], axis=0)
    direction, own = direction_of(method, losses, jacobian)
    optimizer.apply([direction, *own], [theta, *method.trainable_variables])
    if method.sees_losses_after_update:
        method.after_update(losses, losses_of(theta.value) * SCALES, tf.ones([2], tf.bool))
    return before


def paths_of(method):
    """Return the path from every start, `[starts, steps, 3]`: parameters and inner product."""
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


def draw_landscape(axis, scene, title, color):
    """Draw the contours of the mean loss and the Pareto front."""
    grid, mean, front = scene
    axis.contour(grid, grid, mean, levels=16, colors=CONTOUR, linewidths=0.8, linestyles="solid")
    axis.plot(*front.T, color=FRONT, linewidth=8, solid_capstyle="round")
    axis.set_title(title, color=color, loc="left", fontsize=15, fontweight="bold", pad=4)
    axis.set(xlim=(-11, 11), ylim=(-11, 11), xticks=(-10, 0, 10), yticks=(-10, 0, 10))
    axis.set(aspect="equal", xticklabels=(), yticklabels=())
    axis.spines[:].set(color=color, linewidth=1.5)


def draw_paths(axis, paths, front):
    """Draw the paths of a method, conflicts and ends, and the number that reach the front."""
    for path in paths:
        points, is_conflict = path[:, :2], path[:, 2] < 0
        axis.scatter(*points[is_conflict].T, s=40, color=CONFLICT, linewidths=0, zorder=3)
        pieces = np.stack([points[:-1], points[1:]], axis=1)
        progress = np.minimum(np.arange(len(pieces)) * KEPT_EVERY / LIGHT_FROM, 1.0)
        colors = colormaps["viridis"](0.9 * progress)
        axis.add_collection(LineCollection(pieces, colors=colors, linewidths=2.2, zorder=4))
    ends = paths[:, -1, :2]
    axis.plot(*paths[:, 0, :2].T, "o", color="black", markersize=5, zorder=5)
    axis.plot(*ends.T, "*", color=END, markeredgecolor="black", markersize=13, zorder=6)
    distances = np.linalg.norm(ends[:, None] - front, axis=-1).min(axis=1)
    axis.set_title(f"{np.sum(distances < NEAR)}/{len(ends)}", loc="right", fontsize=15, pad=4)


def draw_names(axis):
    """Label the parts of the landscape in a panel without paths."""
    for x, ravine, best in ((-5, 1, 2), (5, 2, 1)):
        axis.text(x, 5, f"ravine\nof task {ravine}", ha="center", backgroundcolor="white")
        axis.text(1.4 * x, -7, f"best for\ntask {best}", ha="center")
    axis.text(0, -7, "Pareto front", ha="center")
    axis.set(xticklabels=(-10, 0, 10), yticklabels=("", 0, 10))
    axis.tick_params(direction="in", pad=-15)


def draw_legend(axis):
    """Draw the legend in a separate panel."""
    axis.axis("off")
    dot, star = {"marker": "o", "linestyle": ""}, {"marker": "*", "linestyle": "", "mec": "black"}
    handles = [
        *(Line2D([], [], color=c, marker="s", ls="", ms=10, label=k) for k, c in COLORS.items()),
        Line2D([], [], color="black", markersize=5, label="start", **dot),
        Line2D([], [], color=END, markersize=13, label="end", **star),
        Line2D([], [], color=colormaps["viridis"](0.0), lw=2.2, label="step 0"),
        Line2D([], [], color=colormaps["viridis"](0.9), lw=2.2, label=f"from step {LIGHT_FROM}"),
        Line2D([], [], color=CONFLICT, markersize=8, label="gradients conflict", **dot),
        Line2D([], [], color=FRONT, linewidth=8, label="Pareto front"),
        Line2D([], [], color=CONTOUR, label="equal mean loss"),
        Line2D([], [], linewidth=0, label="4/5: starts that reach it"),
    ]
    axis.legend(handles=handles, loc="center", fontsize=12.5, frameon=False)


def main():
    """Run all methods and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", nargs="?", default="docs/toy_landscape.png")
    output = parser.parse_args().output
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    scene = landscape()
    figure = Figure(figsize=(20, 12.3), layout="constrained")
    *panels, last, legend = figure.subplots(4, 7).flat
    for axis, (name, row) in zip(panels, mtl.balancing.TABLE.items(), strict=True):
        keras.utils.set_random_seed(0)
        paths = paths_of(row.cls(**OPTIONS.get(name, {})))
        draw_landscape(axis, scene, row.cls.__name__, COLORS[row.kind])
        draw_paths(axis, paths, scene[-1])
        print(row.cls.__name__, np.round(paths[:, -1, :2], 2).tolist())
    draw_landscape(last, scene, "The landscape", "#777777")
    draw_names(last)
    draw_legend(legend)
    figure.savefig(output, dpi=100)
    image = PIL.Image.open(output).convert("RGB")
    image.quantize(256, PIL.Image.Quantize.FASTOCTREE).save(output, optimize=True)


if __name__ == "__main__":
    main()
