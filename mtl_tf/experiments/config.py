"""The configuration of a run: flat, frozen, validated; unknown names and bad values are errors."""

import json
import os
import pathlib
import reprlib
from typing import Any, Literal

import pydantic

from mtl_tf import architectures, backbones, balancing, heads
from mtl_tf import data as data_sets
from mtl_tf.atomic_files import read_json
from mtl_tf.data.files import shown
from mtl_tf.experiments.presets import PRESETS

TaskName = Literal[
    "semseg", "depth", "normals", "edges", "saliency", "human_parts", "keypoints",
    "principal_curvature",
]  # fmt: skip
ALL_TASKS: tuple[TaskName, ...] = (
    "semseg", "human_parts", "saliency", "normals", "edges", "depth",
)  # fmt: skip

_MOST_PROBLEMS = 10
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_TABLES: dict[str, Any] = {
    "data": data_sets.TABLE,
    "architecture": architectures.TABLE,
    "backbone": backbones.TABLE,
    "head": heads.TABLE,
}


class Config(pydantic.BaseModel):
    """Everything a run depends on.

    Attributes:
        data: data set, a name from `mtl_tf.data.TABLE`.
        root: folder of the data set, where it needs one; of a packed one also `gs://...`.
        tasks: the tasks, in order.
        auxiliary_tasks: those of the tasks that only help the others, by initial predictions.
        num_classes: semantic classes (NYU Depth v2: 13 or 40).
        height: of the input, pixels.
        width: of the input, pixels.
        cache: keep decoded images in memory: faster from the second epoch on, but gigabytes.
        train_size: training images (rendered rooms).
        val_size: validation images (rendered rooms).
        zoom: zoom factors of the augmentation.
        zoom_between: draw factors between the smallest and the largest of zoom.
        rotation_deg: turn training images by up to that many degrees.
        random_position: zoom about a random point instead of the centre.
        brightness: brightness augmentation, a fraction.
        architecture: a name from `mtl_tf.architectures.TABLE`.
        architecture_options: further arguments of its class, a JSON object.
        backbone: a name from `mtl_tf.backbones.TABLE`.
        head: a name from `mtl_tf.heads.TABLE`.
        output_stride: down-sampling factor of a ResNet.
        pretrained: file of published weights of the backbone, see `mtl_tf.backbones`.
        balancing: a name from `mtl_tf.balancing.TABLE`.
        level: what weightings and aggregators balance: `parameters` or `features`.
        diagnostics: log norms, cosines and conflicts of the task gradients.
        initial_weight: factor of the losses of initial predictions.
        loss_weights: factor of each task's loss before balancing, 1 where missing.
        optimizer: `adam` or `sgd` (momentum 0.9).
        learning_rate: at the start.
        weight_decay: coupled (L2) weight decay of all variables, as PyTorch's optimizers do it.
        schedule: `poly` ((1 - epoch / epochs) ** 0.9) or `constant`.
        epochs: passes over the training images.
        best_of: keep the best of so many last epochs, judged at the size of the targets; 1 keeps
            the last.
        best_by: which epoch is best: by `delta_m`, or the main metric of a task.
        edge_tolerance: judge edges by the boundary benchmark too: see `mtl_tf.evaluation.evaluate`.
        batch_size: images in a batch.
        seed: of weights, order and augmentation.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: str = "rendered_rooms"
    root: str | None = None
    tasks: tuple[TaskName, ...] = ALL_TASKS
    auxiliary_tasks: tuple[TaskName, ...] = ()
    num_classes: Literal[13, 40] = 13
    height: pydantic.PositiveInt = 96
    width: pydantic.PositiveInt = 128
    cache: bool = True
    train_size: pydantic.PositiveInt = 1000
    val_size: pydantic.PositiveInt = 100
    zoom: tuple[pydantic.PositiveFloat, ...] = (1.0,)
    zoom_between: bool = False
    rotation_deg: float = 0.0
    random_position: bool = False
    brightness: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    architecture: str = "shared_trunk"
    architecture_options: dict[str, Any] = pydantic.Field(default_factory=dict)
    backbone: str = "resnet18"
    head: str = "conv"
    output_stride: Literal[8, 16, 32] = 32
    pretrained: pathlib.Path | None = None
    balancing: str = "fixed_weights"
    level: Literal["parameters", "features"] = "parameters"
    diagnostics: bool = False
    initial_weight: pydantic.NonNegativeFloat = 1.0
    loss_weights: dict[TaskName, pydantic.PositiveFloat] = pydantic.Field(default_factory=dict)
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: pydantic.PositiveFloat = 5e-4
    weight_decay: pydantic.NonNegativeFloat = 0.0
    schedule: Literal["poly", "constant"] = "poly"
    epochs: pydantic.PositiveInt = 12
    best_of: pydantic.PositiveInt = 1
    best_by: Literal["delta_m"] | TaskName = "delta_m"
    edge_tolerance: pydantic.PositiveFloat | None = None
    batch_size: pydantic.PositiveInt = 8
    seed: int = pydantic.Field(0, ge=0)

    @pydantic.field_validator("root", "pretrained", mode="before")
    @classmethod
    def _absolute(cls, path: Any) -> Any:
        if path is None or "://" in str(path):
            return path
        if not isinstance(path, str | int | os.PathLike):
            raise ValueError("must be the path of a file or folder")
        return str(pathlib.Path(str(path)).expanduser().resolve())

    @pydantic.field_validator("architecture_options")
    @classmethod
    def _json(cls, options: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(options, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"must hold what JSON can ({error})") from error
        return options

    @pydantic.field_validator("data", "architecture", "backbone", "head")
    @classmethod
    def _listed(cls, name: str, info: pydantic.ValidationInfo) -> str:
        known = _TABLES[str(info.field_name)]
        if name not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return name

    @pydantic.field_validator("balancing")
    @classmethod
    def _known(cls, name: str) -> str:
        return balancing.canonical_name(name)

    @pydantic.model_validator(mode="after")
    def _root_where_needed(self) -> "Config":
        if data_sets.TABLE[self.data].needs_root and self.root is None:
            raise ValueError(
                f"root: data {self.data!r} needs the folder of the data set (--root FOLDER)"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _roles_among_tasks(self) -> "Config":
        given = set(self.auxiliary_tasks)
        if not given < set(self.tasks):
            raise ValueError("auxiliary_tasks: must be some, but not all, of tasks")
        if self.best_by != "delta_m" and self.best_by not in set(self.tasks) - given:
            raise ValueError("best_by: must be delta_m or one of the tasks that are predicted")
        return self

    def identity(self) -> dict[str, Any]:
        """Return the options that identify a run: no defaults, no file locations.

        So a new option renames no old run, and data may move.
        """
        values = self.model_dump(mode="json", exclude_defaults=True)
        values.pop("root", None)
        if self.pretrained is not None:
            values["pretrained"] = self.pretrained.name
        return values

    def to_json(self) -> str:
        """The configuration as JSON text."""
        return self.model_dump_json(indent=2)


def make_config(preset: str | None = None, **values: Any) -> Config:
    """A configuration from a preset and values that override it.

    Args:
        preset: a name from `PRESETS`, or `None` for the defaults.
        **values: attributes of `Config`.

    Returns:
        The frozen configuration.

    Raises:
        ValueError: naming each unknown key (with the known ones) and each bad value (with what is
            allowed).
    """
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"Unknown preset {preset!r}. Known: {sorted(PRESETS)}")
    merged = {**(PRESETS[preset] if preset else {}), **values}
    try:
        return Config(**merged)
    except pydantic.ValidationError as error:
        raise ValueError(_readable(error)) from error


def read_config(path: pathlib.Path) -> Config:
    """The configuration stored with a run; `ValueError` naming the file if it is damaged."""
    try:
        return make_config(**read_json(path, "a JSON file of options"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is not the configuration of a run: {error}") from error


def _readable(error: pydantic.ValidationError) -> str:
    lines, problems = [], error.errors()
    for problem in problems[:_MOST_PROBLEMS]:
        key = shown(".".join(str(part) for part in problem["loc"]))
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key}: unknown; known are {', '.join(Config.model_fields)}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            received = f". Received: {_SHORT.repr(problem['input'])}" if key else ""
            lines.append(f"{key}: {message}{received}" if key else message)
    more = len(problems) - len(lines)
    return "\n".join(lines) + (f"\nand {more} more" if more else "")
