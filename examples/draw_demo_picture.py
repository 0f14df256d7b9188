"""Draw docs/demo.png: predictions of the `make demo` model for a test room.

Command, after `make demo`: `.venv/bin/python examples/draw_demo_picture.py`
"""

import pathlib

import keras
from matplotlib.figure import Figure

import mtl_tf as mtl

RUN = pathlib.Path("runs/demo")
IMAGE = 4


def main():
    """Write docs/demo.png from runs/demo/model.keras."""
    model = keras.saving.load_model(RUN / "model.keras")
    height, width = model.input_shape[1:3]
    data = mtl.data.RenderedRooms(tuple(model.output), (height, width, 3), val_size=IMAGE + 1)
    *_, (image, targets, _) = data.test()
    outputs = model(image, training=False)
    figure = Figure(figsize=(2 * (len(outputs) + 1), 3.3), layout="constrained")
    axes = figure.subplots(2, len(outputs) + 1)
    axes[0, 0].imshow(mtl.data.denormalise(image[0].numpy()))
    axes[0, 0].set_title("image")
    for column, task in enumerate(mtl.tasks.as_tasks(data.tasks), start=1):
        predicted = task.activation(outputs[task.name][0]).numpy()
        for row, values in enumerate((predicted, targets[task.name][0].numpy())):
            axes[row, column].imshow(mtl.evaluation.colourise(task, values, (0.0, 6.0)))
        axes[0, column].set_title(task.name)
    axes[1, 0].text(1, 0.5, "target", ha="right", va="center", transform=axes[1, 0].transAxes)
    for axis in axes.flat:
        axis.axis("off")
    figure.savefig("docs/demo.png", dpi=80)


if __name__ == "__main__":
    main()
