"""A picture of an architecture, made from its graph: backbone stages, exchange points, heads."""

import dataclasses
import pathlib
from collections.abc import Iterable
from typing import Any

import keras

from mtl_tf.graph import calls
from mtl_tf.inspection.cost import part_of

_COLOURS = {"backbone": "#c6dbef", "exchange": "#fdd0a2", "heads": "#c7e9c0", "image": "#eeeeee"}
_OF_TASKS = ("intra", "pattern", "inter")  # first parts of layers' names
_WIDTH, _HEIGHT = 1.64, 0.8
_DX, _DY = 2.0, 1.0


@dataclasses.dataclass
class Box:
    """A group of layers that is drawn as one.

    Attributes:
        name: label.
        part: what it belongs to, which decides its colour.
        task: the task it belongs to alone, if any.
        sources: names of the boxes it takes features from.
        column: place between the image and the predictions.
    """

    name: str
    part: str
    task: str | None = None
    sources: set[str] = dataclasses.field(default_factory=set)
    column: int = 0


def boxes(model: keras.Model) -> dict[str, Box]:
    """The boxes of an architecture by name, the image first.

    A layer belongs to the box that its name tells (`backbone.depth.layer2.0.conv1` to
    `backbone.depth.layer2`). One without a telling name passes on what it is given.

    Args:
        model: an architecture of `mtl_tf.architectures`.

    Returns:
        `{name: box}`.
    """
    tasks = _tasks(model)
    found = {"image": Box("image", "image")}
    # The boxes whose features a tensor holds.
    owners = {id(model.inputs[0]): {"image"}}
    for operation, node in calls(model.outputs):
        if not node.input_tensors:
            continue  # the image
        given = set().union(*(owners[id(tensor)] for tensor in node.input_tensors))
        name = _box_name(operation, tasks)
        if name == "branching":
            given = set()  # choices depend on no features
        elif name is not None:
            box = found.setdefault(name, Box(name, part_of(operation)))
            box.task = next((task for task in tasks if task in name.split(".")), None)
            box.sources |= given - {name}
            given = {name}
        newest = {name for name in given if not any(name in found[n].sources for n in given)}
        owners.update({id(tensor): newest for tensor in node.output_tensors})
    _set_columns(found)
    return found


def _tasks(model: keras.Model) -> list[str]:
    """The tasks that a model predicts, in the end or initially."""
    return list(dict.fromkeys(name.split("/")[0] for name in model.output))


def _set_columns(found: dict[str, Box]) -> None:
    """Columns after those of all sources, and as late as what depends on a box allows."""
    for _ in found:
        for box in found.values():
            box.column = max([0, *(found[source].column + 1 for source in box.sources)])
    for _ in found:
        for name, box in found.items():
            users = [user.column for user in found.values() if name in user.sources]
            if users and name != "image":
                box.column = min(users) - 1


def _box_name(operation: Any, tasks: Iterable[str]) -> str | None:
    """The box that the name of a layer tells, `None` if it tells none."""
    first, *rest = operation.name.split(".")
    if first == "decoder":
        return f"heads.{next(iter(tasks))}"
    if first in ("decoders", "heads"):
        return ".".join([first, *rest[:1]])
    if first == "backbone":
        if rest[0] == "1":
            return "backbone.fuse"
        rest = rest[rest[0] == "0" :]
        groups = rest[:1] if rest and set(rest[0].split("+")) <= set(tasks) else []
        stage = rest[len(groups)] if len(rest) > len(groups) else ""
        stage = stage.replace("transition1", "stage2").replace("transition2", "stage3")
        stage = stage.replace("transition3", "stage4")
        is_stem = stage in ("conv1", "bn1", "conv2", "bn2")
        return ".".join([first, *groups, "stem" if is_stem else stage])
    if first in ("cross_stitch", "sluice", "branching", "modulation"):
        return ".".join([first, *rest[:1]])
    if first == "nddr":
        return ".".join([first, *rest[:1], *(rest[2:3])])
    if first.startswith(("attention_", "refine_", "scale_")) or first in _OF_TASKS:
        return ".".join([first, *(part for part in rest if part in tasks)])
    if first == "initial_task_prediction_heads":
        return f"initial.{rest[1]}"
    if first.startswith("fpm_"):
        return first.replace("_scale", "")
    if first.startswith(("multi_modal_", "distillation_")):
        return "distillation"
    if first in ("affinity", "propagation"):
        return "propagation"
    return "decoder" if first == "shared_decoder" else None


def draw(model: keras.Model, path: str | pathlib.Path) -> None:
    """Draws an architecture into a file: backbone blue, exchange orange, heads green.

    From left to right is the way from the image to the predictions; what belongs to one task is in
    the row of that task.

    Args:
        model: an architecture of `mtl_tf.architectures`.
        path: of the picture; `.svg`, `.png` or `.pdf`.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    found = boxes(model)
    places = _places(found, _tasks(model))
    columns = 1 + max(x for x, _ in places.values())
    first_row, last_row = min(y for _, y in places.values()), max(y for _, y in places.values())
    figure = Figure((columns * _DX * 0.62 + 0.4, (last_row - first_row + 1) * _DY * 0.72 + 0.4))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for name, box in found.items():
        x, y = places[name]
        for source in sorted(box.sources):
            start = places[source]
            # Long arrows rise by half a row, so that they pass between the boxes.
            length = ((x - start[0]) * _DX) - _WIDTH
            bend = -_DY / length if x - start[0] > 1 and start[1] == y else 0.0
            axes.annotate(
                "",
                (x * _DX - _WIDTH / 2, -y * _DY),
                (start[0] * _DX + _WIDTH / 2, -start[1] * _DY),
                arrowprops={
                    "arrowstyle": "-|>", "color": "#777777", "lw": 0.9, "shrinkA": 0,
                    "shrinkB": 0, "connectionstyle": f"arc3,rad={bend}",
                },
                zorder=1,
            )  # fmt: skip
        corner = (x * _DX - _WIDTH / 2, -y * _DY - _HEIGHT / 2)
        axes.add_patch(
            FancyBboxPatch(
                corner, _WIDTH, _HEIGHT, boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=_COLOURS[box.part], edgecolor="#555555", linewidth=0.8, zorder=2,
            )
        )  # fmt: skip
        axes.text(x * _DX, -y * _DY, _label(box), ha="center", va="center", fontsize=10.5, zorder=3)
    axes.set_xlim(-_DX * 0.55, (columns - 1) * _DX + _DX * 0.55)
    axes.set_ylim(-last_row * _DY - _DY * 0.6, -first_row * _DY + _DY * 0.6)
    # The same picture from the same model, byte for byte.
    with matplotlib.rc_context({"svg.hashsalt": model.name}):
        figure.savefig(path, dpi=110, metadata={"Date": None} if _is_svg(path) else None)


def _is_svg(path: str | pathlib.Path) -> bool:
    return pathlib.Path(path).suffix == ".svg"


def _label(box: Box) -> str:
    """The name of a box in short lines; for a head, its task."""
    if box.part == "heads" and box.task:
        return box.task
    parts = box.name.removeprefix("backbone.").replace("_without_conv", "").split(".")
    return "\n".join(parts).replace("+", " + ")


def _places(found: dict[str, Box], tasks: list[str]) -> dict[str, tuple[float, float]]:
    """Column and row of each box: a row per task, what is shared in the middle.

    Where that puts two boxes in one place, the shared backbone has a row of its own above.
    """
    last = max(box.column for box in found.values())
    middle = (len(tasks) - 1) / 2
    places: dict[str, tuple[float, float]] = {}
    for shared_row in (middle, -1.0):
        for name, box in found.items():
            row: float = tasks.index(box.task) if box.task else middle
            if not box.task and box.part in ("image", "backbone"):
                row = shared_row
            places[name] = (last if box.part == "heads" else box.column, row)
        if len(set(places.values())) == len(places):
            break
    return places
