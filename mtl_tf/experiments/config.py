"""The configuration of a run: flat, frozen, validated; unknown names and bad values are errors."""

import json
import os
import pathlib
import reprlib
from collections.abc import Collection
from types import ModuleType
from typing import Annotated, Any, Literal

import pydantic

from mtl_tf.atomic_files import read_json
from mtl_tf.experiments.presets import DEFAULT_TASKS, PRESETS
from mtl_tf.text import shown, suggestion

_MAX_PROBLEMS = 10
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200
_IMAGENET = "imagenet"  # `mtl_tf.weights.IMAGENET`


def _checks() -> ModuleType:
    """Return the checks against the tables of the library, which import TensorFlow."""
    from mtl_tf.experiments import config_checks

    return config_checks


DatasetText = Annotated[str, pydantic.AfterValidator(lambda text: _checks().checked_dataset(text))]


class Config(pydantic.BaseModel):
    """All options of a run.

    Raises:
        ValueError: for an unknown option or a bad value.

    Examples:
        >>> config = Config(tasks=("semseg", "depth"), epochs=3)
        >>> config.epochs, config.backbone
        (3, 'resnet18')
    """

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    data: DatasetText = "rendered_rooms"
    """Data set: a name from `mtl_tf.data.TABLE`; or a custom one, `file.py:CLASS` or
    `package.module:CLASS`, a `mtl_tf.data.DenseDataset` or a function that returns one."""
    root: str | None = None
    """Folder of the data set, where it needs one; of a packed one also `gs://...`."""
    tasks: tuple[str, ...] = DEFAULT_TASKS
    """Tasks, in order: names from `mtl_tf.TASKS` or of a data set with a `data.yaml`; or custom
    ones, `file.py:NAME` or `package.module:NAME`, a `mtl_tf.Task` or a function that returns
    one."""
    auxiliary_tasks: tuple[str, ...] = ()
    """Names of the tasks that only help the others, by initial predictions."""
    num_classes: Literal[13, 40] = 13
    """Semantic classes (NYU Depth v2: 13 or 40)."""
    height: pydantic.PositiveInt = 96
    """Height of the input, pixels."""
    width: pydantic.PositiveInt = 128
    """Width of the input, pixels."""
    cache: bool = True
    """Keep decoded images in memory: faster from the second epoch on, but gigabytes."""
    train_size: pydantic.PositiveInt = 1000
    """Training images (rendered rooms)."""
    val_size: pydantic.PositiveInt = 100
    """Validation images (rendered rooms)."""
    zoom: tuple[pydantic.PositiveFloat, ...] = (1.0,)
    """Zoom factors of the augmentation."""
    zoom_between: bool = False
    """Draw factors between the smallest and the largest of zoom."""
    rotation_deg: float = 0.0
    """Rotate training images by up to that many degrees."""
    random_position: bool = False
    """Zoom about a random point instead of the centre."""
    brightness: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    """Brightness augmentation, a fraction."""
    contrast: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    """Contrast augmentation, a fraction."""
    saturation: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    """Saturation augmentation, a fraction."""
    architecture: str = "shared_trunk"
    """A name from `mtl_tf.architectures.TABLE`."""
    architecture_options: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Further arguments of its class, a JSON object."""
    backbone: str = "resnet18"
    """A name from `mtl_tf.backbones.TABLE`."""
    head: str = "conv"
    """A name from `mtl_tf.heads.TABLE`."""
    output_stride: Literal[8, 16, 32] = 32
    """Down-sampling factor of a ResNet's or EfficientNet's last stage."""
    weights: str | None = None
    """Initial weights of the backbone: `imagenet`, or the file of a checkpoint; see
    `mtl_tf.weights`."""
    balancing: str = "fixed_weights"
    """A name from `mtl_tf.balancing.TABLE`."""
    level: Literal["parameters", "features"] = "parameters"
    """Gradients that weightings and aggregators balance: of `parameters` or of `features`."""
    diagnostics: bool = False
    """Log norms, cosines and conflicts of the task gradients."""
    initial_weight: pydantic.NonNegativeFloat = 1.0
    """Factor of the losses of initial predictions."""
    loss_weights: dict[str, pydantic.PositiveFloat] = pydantic.Field(default_factory=dict)
    """Factor of each task's loss before balancing, 1 where missing."""
    label_smoothing: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    """Part of the target that all classes share, of tasks of class ids."""
    class_weights: Literal["none", "median_frequency", "log"] = "none"
    """Weights of the classes in the loss, see `mtl_tf.losses.class_weights`."""
    edge_positive_weight: float | None = pydantic.Field(None, gt=0.0, lt=1.0)
    """Weight of edge pixels in the loss of boundaries, other pixels get the rest to 1; the task's
    own (0.95) without. A larger one predicts more edges."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """`adam`, `adamw` or `sgd` (momentum 0.9)."""
    learning_rate: pydantic.PositiveFloat = 5e-4
    """Learning rate at the start, after the warm-up."""
    backbone_learning_rate: pydantic.NonNegativeFloat = 1.0
    """Factor of the learning rate of the backbone's last stage."""
    layer_decay: float = pydantic.Field(1.0, gt=0.0, le=1.0)
    """Each stage of the backbone has this factor times the learning rate of the next one."""
    freeze_epochs: pydantic.NonNegativeInt = 0
    """Number of first epochs in which the backbone is frozen."""
    weight_decay: pydantic.NonNegativeFloat = 0.0
    """Weight decay: with `adamw` decoupled, of kernels only; else coupled (L2), of all variables,
    as PyTorch's optimizers do it."""
    clip_norm: pydantic.PositiveFloat | None = None
    """Largest norm of the gradient of all variables together; larger ones are scaled down."""
    ema_momentum: float = pydantic.Field(0.0, ge=0.0, lt=1.0)
    """Momentum of an exponential moving average of the weights, which is evaluated and kept; 0 for
    none."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Dtype policy of the layers: mixed precision computes in 16 bits."""
    schedule: Literal["poly", "cosine", "constant"] = "poly"
    """`poly` ((1 - epoch / epochs) ** 0.9), `cosine` (to 0, in every step) or `constant`."""
    warmup_epochs: pydantic.NonNegativeFloat = 0.0
    """Number of first epochs in which the learning rate rises linearly from 0."""
    epochs: pydantic.PositiveInt = 12
    """Passes over the training images."""
    best_of: pydantic.PositiveInt = 1
    """Keep the best of this number of last epochs, evaluated at the size of the targets; 1 keeps
    the last."""
    best_by: str = "delta_m"
    """Score of the best epoch: `delta_m`, or the main metric of a task."""
    edge_tolerance: pydantic.PositiveFloat | None = None
    """Evaluate edges by the boundary benchmark too: see `mtl_tf.evaluation.evaluate`."""
    batch_size: pydantic.PositiveInt = 8
    """Images in a batch."""
    seed: int = pydantic.Field(0, ge=0)
    """Seed of weights, order and augmentation."""

    @pydantic.field_validator("root", "weights", mode="before")
    @classmethod
    def _absolute(cls, path: object, info: pydantic.ValidationInfo) -> object:
        if path is None or "://" in str(path) or (info.field_name, path) == ("weights", _IMAGENET):
            return path
        if not isinstance(path, str | int | os.PathLike):
            raise ValueError("must be the path of a file or folder")
        return str(pathlib.Path(str(path)).expanduser().resolve())

    @pydantic.field_validator("tasks")
    @classmethod
    def _tasks(cls, texts: tuple[str, ...], info: pydantic.ValidationInfo) -> tuple[str, ...]:
        return _checks().checked_tasks(texts, info.data.get("data"))

    @pydantic.field_validator("architecture_options")
    @classmethod
    def _json(cls, options: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(options, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"must hold what JSON can ({error})") from error
        return options

    @pydantic.field_validator("architecture", "backbone", "head")
    @classmethod
    def _listed(cls, name: str, info: pydantic.ValidationInfo) -> str:
        return _checks().listed(str(info.field_name), name)

    @pydantic.field_validator("balancing")
    @classmethod
    def _known(cls, name: str) -> str:
        return _checks().canonical_name(name)

    @pydantic.model_validator(mode="after")
    def _root_where_needed(self) -> "Config":
        if self.root is None and _checks().needs_root(self.data):
            raise ValueError(
                f"root: data {self.data!r} needs the folder of the data set (--root FOLDER)"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _roles_of_known_tasks(self) -> "Config":
        if all(task in _checks().TASKS for task in self.tasks):
            self.check_task_names(self.tasks)
        return self

    def check_task_names(self, names: Collection[str]) -> None:
        """Check the options that name tasks.

        The names of custom tasks are only known when their code is loaded, after validation.

        Args:
            names: of the tasks, in order.

        Raises:
            ValueError: if `auxiliary_tasks` or `best_by` is not among the names, or `loss_weights`
                has an unknown task.
        """
        auxiliary = set(self.auxiliary_tasks)
        if not auxiliary < set(names):
            raise ValueError(
                f"auxiliary_tasks: must be some, but not all, of tasks ({', '.join(names)}). "
                f"Received: {_SHORT.repr(self.auxiliary_tasks)}"
            )
        if self.best_by != "delta_m" and self.best_by not in set(names) - auxiliary:
            raise ValueError(
                "best_by: must be delta_m or one of the tasks that are predicted. "
                f"Received: {_SHORT.repr(self.best_by)}"
            )
        unknown = [name for name in self.loss_weights if name not in {*names, *_checks().TASKS}]
        if unknown:
            raise ValueError(
                f"loss_weights: must have names of tasks ({', '.join(names)}). "
                f"Received: {_SHORT.repr(unknown)}"
            )

    def identity(self) -> dict[str, Any]:
        """Return the options that identify a run: no defaults, no folders.

        So a new option does not change the identity of old runs, and files may move.
        """
        values = self.model_dump(mode="json", exclude_defaults=True)
        values.pop("root", None)
        if self.weights is not None:
            values["weights"] = pathlib.Path(self.weights).name
        if "data" in values:
            values["data"] = without_folder(self.data)
        if "tasks" in values:
            values["tasks"] = [without_folder(task) for task in self.tasks]
        return values

    def to_json(self) -> str:
        """Return the configuration as JSON text."""
        return self.model_dump_json(indent=2)


def without_folder(text: str) -> str:
    """Return a reference to code without the folder of its file; any other text as it is."""
    source, _, name = text.rpartition(":")
    return f"{pathlib.Path(source).name}:{name}" if source.endswith(".py") else text


def make_config(preset: str | None = None, **values: Any) -> Config:
    """Return a configuration from a preset and options that override it.

    Args:
        preset: a name from `PRESETS`, or `None` for the defaults.
        **values: fields of `Config`.

    Returns:
        The frozen configuration.

    Raises:
        ValueError: naming each unknown key (with the known ones) and each bad value (with what is
            allowed).
    """
    if preset is not None and preset not in PRESETS:
        hint = suggestion(preset, PRESETS)
        raise ValueError(f"Unknown preset {preset!r}.{hint} Known: {sorted(PRESETS)}")
    merged = {**(PRESETS[preset] if preset else {}), **values}
    if merged.get("data") == "folder" and not {"tasks", "height", "width"} <= values.keys():
        described = _checks().described(merged.get("root"), merged.get("loss_weights", {}))
        merged |= {k: v for k, v in described.items() if k not in values}
    try:
        return Config(**merged)
    except pydantic.ValidationError as error:
        raise ValueError(_readable(error)) from error


def read_config(path: pathlib.Path) -> Config:
    """Read the configuration of a run; custom tasks and data sets in it are not imported.

    Args:
        path: of `config.json`.

    Raises:
        ValueError: naming the file, if it is damaged.
    """
    try:
        values = read_json(path, "a JSON file of options")
        if "pretrained" in values:  # the name until version 0.1
            values["weights"] = values.pop("pretrained")
        return make_config(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is not the configuration of a run: {error}") from error


def _readable(error: pydantic.ValidationError) -> str:
    """Return one line for each problem, with the option, the allowed values and the input."""
    lines, problems = [], error.errors()
    for problem in problems[:_MAX_PROBLEMS]:
        key = shown(".".join(str(part) for part in problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = Config.model_fields
            lines.append(f"{key}: unknown.{suggestion(key, known)} Known: {', '.join(known)}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            received = f". Received: {_SHORT.repr(problem['input'])}" if key else ""
            lines.append(f"{key}: {message}{received}" if key else message)
    more = len(problems) - len(lines)
    return "\n".join(lines) + (f"\nand {more} more" if more else "")
