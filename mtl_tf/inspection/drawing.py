"""Drawing of the graph of an architecture: backbone stages, exchange between tasks, heads."""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

import keras

from mtl_tf.graph import calls
from mtl_tf.inspection.cost import part_of
from mtl_tf.optional_packages import optional_import

_COLOURS = {"backbone": "#c6dbef", "exchange": "#fdd0a2", "heads": "#c7e9c0", "image": "#eeeeee"}
_PER_TASK = r"(attention_\d+|refine_\d+|scale_\d+|intra|pattern|inter)"
_BACKBONE = r"backbone\.(?:0\.)?(GROUP\.)?"
# Pattern of the names of layers, and their box; the first match counts. TASK stands for a task of
# the model, GROUP for tasks joined by "+".
_BOXES = (
    (r"decoder\..*", "heads.FIRST_TASK"),
    (r"((?:decoders|heads)\.[^.]+).*", r"\1"),
    (r"backbone\.1\..*", "backbone.fuse"),
    (_BACKBONE + r"(?:conv|bn)[12]", r"backbone.\1stem"),
    (_BACKBONE + r"transition1\..*", r"backbone.\1stage2"),
    (_BACKBONE + r"transition2\..*", r"backbone.\1stage3"),
    (_BACKBONE + r"transition3\..*", r"backbone.\1stage4"),
    (_BACKBONE + r"([^.]+).*", r"backbone.\1\2"),
    (r"((?:cross_stitch|sluice|branching|modulation)(?:\.[^.]+)?).*", r"\1"),
    (r"nddr\.([^.]+)(?:\.\d+)?\.layer\.(TASK)\..*", r"nddr.\1.\2"),
    (_PER_TASK + r"\.(?:.*\.)?(TASK)(?:\..*)?", r"\1.\2"),
    (_PER_TASK + r"(?:\..*)?", r"\1"),
    (r"initial_task_prediction_heads\.[^.]+\.(TASK).*", r"initial.\1"),
    (r"fpm_scale_(\d+)\..*", r"fpm_\1"),
    (r"(?:multi_modal_|distillation_).*", "distillation"),
    (r"(?:affinity|propagation)(?:\..*)?", "propagation"),
    (r"shared_decoder\..*", "decoder"),
)
_WIDTH, _HEIGHT = 1.64, 0.8
_DX, _DY = 2.0, 1.0


@dataclasses.dataclass
class Box:
    """A group of layers that is drawn as one box.

    Attributes:
        name: name, shown as the label.
        part: part of the architecture, which determines the colour.
        task: task of task-specific layers, else `None`.
        sources: names of the boxes whose features are its inputs.
        column: column between the image and the predictions.
    """

    name: str
    part: str
    task: str | None = None
    sources: set[str] = dataclasses.field(default_factory=set)
    column: int = 0


def boxes(model: keras.Model) -> dict[str, Box]:
    """Return the boxes of an architecture by name, the image first.

    The box of a layer follows from its name: `backbone.depth.layer2.0.conv1` belongs to
    `backbone.depth.layer2`. Layers without a box connect those before and after them.

    Args:
        model: an architecture of `mtl_tf.architectures`.

    Returns:
        `{name: box}`.
    """
    tasks = _tasks(model)
    named_boxes = {"image": Box("image", "image")}
    # The boxes that a tensor is an output of, by its id.
    origins = {id(model.inputs[0]): {"image"}}
    for operation, node in calls(model.outputs):
        if not node.input_tensors:
            continue  # the image
        sources = set().union(*(origins[id(tensor)] for tensor in node.input_tensors))
        name = _box_name(operation.name, tasks)
        if name == "branching":
            sources = set()  # choices depend on no features
        elif name is not None:
            box = named_boxes.setdefault(name, Box(name, part_of(operation)))
            box.task = next((task for task in tasks if task in name.split(".")), None)
            box.sources |= sources - {name}
            sources = {name}
        last = {s for s in sources if not any(s in named_boxes[x].sources for x in sources)}
        origins.update({id(tensor): last for tensor in node.output_tensors})
    _set_columns(list(named_boxes.values()))
    return named_boxes


def _tasks(model: keras.Model) -> list[str]:
    """Return the tasks of the final and initial predictions of a model."""
    return list(dict.fromkeys(name.split("/")[0] for name in model.output))


def _set_columns(all_boxes: list[Box]) -> None:
    """Set the columns: after all sources, and as close as possible to the boxes that follow."""
    columns = {box.name: 0 for box in all_boxes}
    for _ in all_boxes:
        for box in all_boxes:
            columns[box.name] = max([0, *(columns[source] + 1 for source in box.sources)])
    for _ in all_boxes:
        for box in all_boxes:
            following = [columns[x.name] for x in all_boxes if box.name in x.sources]
            if following and box.part != "image":
                columns[box.name] = min(following) - 1
    for box in all_boxes:
        box.column = columns[box.name]


def _box_name(layer_name: str, tasks: Sequence[str]) -> str | None:
    """Return the name of the box of a layer, `None` for layers without one."""
    task = "|".join(map(re.escape, tasks))
    group = rf"(?:{task})(?:\+(?:{task}))*"
    for pattern, box in _BOXES:
        pattern = pattern.replace("TASK", f"(?:{task})").replace("GROUP", group)
        match = re.fullmatch(pattern, layer_name)
        if match is not None:
            return match.expand(box).replace("FIRST_TASK", tasks[0])
    return None


def draw(model: keras.Model, path: str | pathlib.Path) -> None:
    """Draw an architecture into a file: backbone blue, exchange orange, heads green.

    Columns lead from the image on the left to the predictions on the right; task-specific boxes are
    in the row of their task.

    Args:
        model: an architecture of `mtl_tf.architectures`.
        path: path of the picture; `.svg`, `.png` or `.pdf`.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    matplotlib = optional_import("matplotlib", "mtl_tf.architectures.draw")
    backend, figures, patches = (
        optional_import(f"matplotlib.{name}", "mtl_tf.architectures.draw")
        for name in ("backends.backend_agg", "figure", "patches")
    )
    named_boxes = boxes(model)
    positions = _positions(named_boxes, _tasks(model))
    rows = [y for _, y in positions.values()]
    columns, first_row, last_row = 1 + max(x for x, _ in positions.values()), min(rows), max(rows)
    figure = figures.Figure(
        (columns * _DX * 0.62 + 0.4, (last_row - first_row + 1) * _DY * 0.72 + 0.4)
    )
    backend.FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    for name, box in named_boxes.items():
        x, y = positions[name]
        for source in sorted(box.sources):
            start = positions[source]
            # Long arrows rise by half a row, so that they pass between the boxes.
            length = ((x - start[0]) * _DX) - _WIDTH
            bend = -_DY / length if x - start[0] > 1 and start[1] == y else 0.0
            style = {"arrowstyle": "-|>", "color": "#777777", "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
            axes.annotate(
                "",
                (x * _DX - _WIDTH / 2, -y * _DY),
                (start[0] * _DX + _WIDTH / 2, -start[1] * _DY),
                arrowprops={**style, "connectionstyle": f"arc3,rad={bend}"},
                zorder=1,
            )
        corner = (x * _DX - _WIDTH / 2, -y * _DY - _HEIGHT / 2)
        axes.add_patch(
            patches.FancyBboxPatch(
                corner,
                _WIDTH,
                _HEIGHT,
                boxstyle="round,pad=0,rounding_size=0.12",
                facecolor=_COLOURS[box.part],
                edgecolor="#555555",
                linewidth=0.8,
                zorder=2,
            )
        )
        axes.text(x * _DX, -y * _DY, _label(box), ha="center", va="center", fontsize=10.5, zorder=3)
    axes.set_xlim(-_DX * 0.55, (columns - 1) * _DX + _DX * 0.55)
    axes.set_ylim(-last_row * _DY - _DY * 0.6, -first_row * _DY + _DY * 0.6)
    # Reproducible: the same bytes for the same model.
    with matplotlib.rc_context({"svg.hashsalt": model.name}):
        figure.savefig(path, dpi=110, metadata={"Date": None} if _is_svg(path) else None)


def _is_svg(path: str | pathlib.Path) -> bool:
    return pathlib.Path(path).suffix == ".svg"


def _label(box: Box) -> str:
    """Return the label of a box: its name, split into lines; for a head its task."""
    if box.part == "heads" and box.task:
        return box.task
    parts = box.name.removeprefix("backbone.").replace("_without_conv", "").split(".")
    return "\n".join(parts).replace("+", " + ")


def _positions(named_boxes: dict[str, Box], tasks: list[str]) -> dict[str, tuple[float, float]]:
    """Return the column and row of each box: one row per task, shared boxes in the middle.

    If two boxes coincide, the shared backbone gets a separate row above the tasks.
    """
    last = max(box.column for box in named_boxes.values())
    middle = (len(tasks) - 1) / 2
    positions: dict[str, tuple[float, float]] = {}
    for shared_row in (middle, -1.0):
        for name, box in named_boxes.items():
            row: float = tasks.index(box.task) if box.task else middle
            if not box.task and box.part in ("image", "backbone"):
                row = shared_row
            positions[name] = (last if box.part == "heads" else box.column, row)
        if len(set(positions.values())) == len(positions):
            break
    return positions
