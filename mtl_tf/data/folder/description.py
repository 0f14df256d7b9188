"""`data.yaml`: what the files of a folder mean."""

import os
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import pydantic

from mtl_tf.data.folder.patterns import Pattern
from mtl_tf.data.folder.yaml_files import read_yaml
from mtl_tf.targets import TargetKind

FILE = "data.yaml"
ENCODINGS: dict[str, tuple[TargetKind, ...]] = {
    "class ids": (TargetKind.CLASSES,),
    "class colours": (TargetKind.CLASSES,),
    "binary": (TargetKind.BINARY, TargetKind.BOUNDARY),
    "share": (TargetKind.BINARY, TargetKind.BOUNDARY),
    "m": (TargetKind.DISTANCE,),
    "cm": (TargetKind.DISTANCE,),
    "mm": (TargetKind.DISTANCE,),
    "rgb normals": (TargetKind.DIRECTION,),
    "vectors": (TargetKind.DIRECTION,),
    "values": (TargetKind.VALUES, TargetKind.DISTANCE),
}
"""Encodings of labels, and the kinds of target that they can hold, the usual one first."""

_ENTRIES: dict[str, tuple[str, ...]] = {
    "class ids": ("classes", "num_classes", "colours", "ignore"),
    "class colours": ("classes", "num_classes", "ignore"),
    "binary": ("invalid", "threshold", "agreement"),
    "share": ("invalid", "scale", "agreement"),
    **dict.fromkeys(("m", "cm", "mm"), ("invalid", "scale", "offset")),
    "rgb normals": ("axes",),
    "vectors": ("axes",),
    "values": ("invalid", "scale", "offset", "channels"),
}
"""Entries that belong to an encoding; the others are for all."""
_OF_ENCODINGS = {entry for entries in _ENTRIES.values() for entry in entries}
_INSTEAD = {"ignore": "invalid", "invalid": "ignore"}
_FORMATS = ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "npy", "npz", "exr")
_SAME = {"0/255": "", "0/1": "", "image": "", "id": "ids", "colors": "colours"}

_Byte = Annotated[int, pydantic.Field(ge=0, le=255)]
Colour = Annotated[list[_Byte], pydantic.Field(min_length=3, max_length=3)]
Direction = Literal["right", "left", "up", "down", "toward", "away"]
_DIRECTIONS = get_args(Direction)  # opposite ones side by side


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Images(_Strict):
    """The images of a folder.

    Attributes:
        files: pattern of their paths.
        range: numbers that become black and white, for images with more than 8 bits.
        apply_orientation: whether the EXIF orientation of a photograph turns it.
    """

    files: str
    range: tuple[float, float] | None = None
    apply_orientation: bool = True

    @pydantic.field_validator("range")
    @classmethod
    def _ascends(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and not limits[0] < limits[1]:
            raise ValueError("must hold the number of black and a larger one of white")
        return limits

    @pydantic.field_validator("files")
    @classmethod
    def _is_pattern(cls, text: str) -> str:
        if Pattern(text).has_annotator:
            raise ValueError("{annotator} is for labels")
        return text


class Label(_Strict):
    """The labels of a task.

    Attributes:
        files: pattern of their paths, with the same wildcards as the images; several patterns, or
            one with `{annotator}`, for several labels of an image.
        encoding: one of `ENCODINGS`; words for the format (`png`, `16-bit`) may stand before it.
        kind: kind of the target, by default that of the encoding or of the known task.
        classes: names in the order of the ids; `{id: name}`; or `{name: [r, g, b]}`.
        num_classes: their number, where they have no names.
        colours: colours of the classes in pictures.
        ignore: ids (or colours) without a label; `others` for all that are not in `classes`.
        invalid: numbers without a label: by default 0 for distances.
        scale: factor of the numbers.
        offset: added to the scaled numbers.
        threshold: numbers from which on a pixel is 1, of `binary`.
        axes: directions in which x, y and z of normals point.
        channels: channels of `values`.
        resize: whether labels may have another size than the image.
        missing: whether images may have no label: `error` or `allow`.
        agreement: share of the annotators that makes a pixel 1; pixels that fewer marked have no
            label. Also for the encoding `share`.
        loss: name of a loss of `mtl_tf.losses` or Keras, or `{name: {argument: value}}`.
        metrics: the same of `mtl_tf.metrics` or Keras, one or more.
        main_metric: name of the result that counts.
        higher_is_better: its direction.
    """

    files: str | tuple[str, ...]
    encoding: str
    kind: Literal["classes", "binary", "boundary", "direction", "distance", "values"] | None = None
    classes: tuple[str, ...] | dict[int, str] | dict[str, Colour] = ()
    num_classes: pydantic.PositiveInt | None = None
    colours: tuple[Colour, ...] = ()
    ignore: Literal["others"] | int | Colour | tuple[int, ...] | tuple[Colour, ...] = ()
    invalid: float | tuple[float, ...] | None = None
    scale: float = 1.0
    offset: float = 0.0
    threshold: float | None = None
    axes: tuple[Direction, Direction, Direction] = ("right", "up", "toward")
    channels: pydantic.PositiveInt = 1
    resize: bool = False
    missing: Literal["error", "allow"] = "error"
    agreement: Annotated[float, pydantic.Field(gt=0, le=1)] | None = None
    loss: str | dict[str, dict[str, Any]] | None = None
    metrics: str | dict[str, dict[str, Any]] | tuple[str, ...] | None = None
    main_metric: str | None = None
    higher_is_better: bool | None = None

    @property
    def patterns(self) -> list[Pattern]:
        """The patterns of the files."""
        return [Pattern(t) for t in ([self.files] if isinstance(self.files, str) else self.files)]

    @pydantic.field_validator("classes", mode="before")
    @classmethod
    def _names_by_id(cls, classes: object) -> object:
        """Take `{name: id}` too, and refuse what YAML reads as another type."""
        if isinstance(classes, dict):
            by_id = {v: k for k, v in classes.items() if isinstance(k, str) and type(v) is int}
            if classes and len(by_id) == len(classes):
                return by_id
        names = classes if isinstance(classes, list) else []
        wrong = [name for name in names if not isinstance(name, str)]
        if wrong:
            raise ValueError(f"write names in quotes: YAML reads {wrong[0]!r} as no text")
        return classes

    @pydantic.field_validator("files")
    @classmethod
    def _are_patterns(cls, texts: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for text in [texts] if isinstance(texts, str) else texts:
            Pattern(text)
        if not texts:
            raise ValueError("needs a pattern")
        return texts

    @pydantic.field_validator("encoding")
    @classmethod
    def _is_known(cls, text: str) -> str:
        meaning, _, _ = parse_encoding(text)
        if meaning not in ENCODINGS:
            raise ValueError(f"must end in one of {', '.join(ENCODINGS)}, such as 'png 16-bit mm'")
        return text

    @pydantic.field_validator("axes")
    @classmethod
    def _span(cls, axes: tuple[str, str, str]) -> tuple[str, str, str]:
        if {_DIRECTIONS.index(axis) // 2 for axis in axes} != {0, 1, 2}:
            raise ValueError("must name right or left, up or down, and toward or away, once each")
        return axes

    @pydantic.model_validator(mode="after")
    def _has_entries_of_its_encoding(self) -> "Label":
        """Refuse entries that the encoding does not use: they would change nothing."""
        allowed = _ENTRIES[self.meaning]
        wrong = sorted((self.model_fields_set & _OF_ENCODINGS) - {*allowed})
        if "agreement" in wrong and len(self.patterns) > 1:
            wrong.remove("agreement")
        if wrong:
            instead = _INSTEAD.get(wrong[0])
            hint = f", use {instead}" if instead in allowed else ""
            raise ValueError(f"{wrong[0]} is not for the encoding {self.meaning!r}{hint}")
        return self

    @pydantic.model_validator(mode="after")
    def _ignores_what_it_has(self) -> "Label":
        if self.ignore == "others":
            return self
        entries = self.ignore if isinstance(self.ignore, tuple) else (self.ignore,)
        has_colours = [not isinstance(entry, int) for entry in entries]
        if self.meaning == "class colours" and not all(has_colours):
            raise ValueError("ignore must hold colours, [[r, g, b], ...], or others")
        is_list_of_ids = isinstance(self.ignore, list) and len(entries) == 1  # three look like RGB
        if self.meaning == "class ids" and any(has_colours) and not is_list_of_ids:
            raise ValueError("ignore must hold ids, or others")
        colours = [tuple(colour) for colour in self._colour_of.values()]
        if len(set(colours)) < len(colours):
            raise ValueError("classes must have different colours")
        return self

    @pydantic.model_validator(mode="after")
    def _fits(self) -> "Label":
        meaning = self.meaning
        if self.kind is not None and TargetKind(self.kind) not in ENCODINGS[meaning]:
            kinds = " or ".join(kind.value for kind in ENCODINGS[meaning])
            raise ValueError(f"the encoding {meaning!r} is of {kinds}, and kind is {self.kind!r}")
        if ENCODINGS[meaning] == (TargetKind.CLASSES,):
            if not self.classes and self.num_classes is None:
                raise ValueError("classes or num_classes is missing: give the names of the classes")
            names = len(self.classes)
            if names and self.num_classes not in (None, names):
                raise ValueError(
                    f"num_classes is {self.num_classes}, and classes has {names} names"
                )
            if meaning == "class colours" and not self._colour_of:
                raise ValueError("the encoding 'class colours' needs classes: {name: [r, g, b]}")
        if self.colours and len(self.colours) != self.channels_of_prediction:
            raise ValueError(
                f"colours has {len(self.colours)} entries for {self.channels_of_prediction} classes"
            )
        if (self.metrics is None) != (self.main_metric is None):
            raise ValueError("metrics and main_metric belong together: give both")
        if self.metrics is not None and self.higher_is_better is None:
            raise ValueError("higher_is_better is missing: true or false, for main_metric")
        return self

    @property
    def meaning(self) -> str:
        """The encoding without its words for the format."""
        return parse_encoding(self.encoding)[0]

    @property
    def _colour_of(self) -> dict[str, Any]:
        """`{name: colour}` if the classes have colours, else empty."""
        classes = self.classes if isinstance(self.classes, dict) else {}
        return {k: v for k, v in classes.items() if isinstance(k, str)}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in order of their ids."""
        if not isinstance(self.classes, dict):
            return self.classes
        return tuple(k if isinstance(k, str) else str(v) for k, v in self.classes.items())

    @property
    def class_colours(self) -> tuple[tuple[int, ...], ...]:
        """The colours of the classes, or none."""
        return tuple(map(tuple, self._colour_of.values() or self.colours))

    @property
    def channels_of_prediction(self) -> int:
        """Number of classes, or of channels."""
        if ENCODINGS[self.meaning] == (TargetKind.CLASSES,):
            return len(self.classes) or int(self.num_classes or 0)
        return 3 if ENCODINGS[self.meaning] == (TargetKind.DIRECTION,) else self.channels


class Description(_Strict):
    """The content of `data.yaml`.

    Attributes:
        images: the images.
        tasks: the labels by task.
        splits: `train`, `val` and `test`: a share of the images, a list of ids (a `.txt` file), or
            with `{split}` in the pattern of the images a text for it.
        seed: of the shares.
        input_size: height and width of the network's input.
        skip_damaged: whether damaged images are left out, with a warning.
    """

    images: Images
    tasks: dict[str, Label]
    splits: dict[
        Literal["train", "val", "test"], Annotated[float, pydantic.Field(gt=0, lt=1)] | str
    ] = pydantic.Field(default_factory=dict)
    seed: int = 0
    input_size: tuple[pydantic.PositiveInt, pydantic.PositiveInt] | None = None
    skip_damaged: bool = False

    @pydantic.field_validator("images", mode="before")
    @classmethod
    def _from_pattern(cls, images: object) -> object:
        return {"files": images} if isinstance(images, str) else images

    @pydantic.field_validator("splits", mode="before")
    @classmethod
    def _are_shares_or_texts(cls, splits: object) -> object:
        for split, value in splits.items() if isinstance(splits, dict) else ():
            if isinstance(value, str) and value.rstrip(" %").replace(".", "").isdigit():
                raise ValueError(f"{split}: write the share as a number such as 0.1, not {value!r}")
            if type(value) is int or isinstance(value, list):
                raise ValueError(
                    f"{split}: give a share such as 0.1, or the name of a file with a list of ids"
                )
        return splits

    @pydantic.field_validator("tasks")
    @classmethod
    def _has_tasks(cls, tasks: dict[str, Label]) -> dict[str, Label]:
        if not tasks:
            raise ValueError("needs at least one task")
        return tasks

    @pydantic.model_validator(mode="after")
    def _wildcards_agree(self) -> "Description":
        images = Pattern(self.images.files)
        for name, label in self.tasks.items():
            for pattern in label.patterns:
                if pattern.num_wildcards != images.num_wildcards:
                    raise ValueError(
                        f"tasks.{name}.files: {pattern.text} has {pattern.num_wildcards} wildcards "
                        f"and images {images.text} has {images.num_wildcards}: the texts of the "
                        "wildcards say which files belong together"
                    )
                if pattern.has_split and not images.has_split:
                    raise ValueError(f"tasks.{name}.files: {{split}} must be in images too")
        shares = [s for s in self.splits.values() if isinstance(s, float)]
        texts = [s for s in self.splits.values() if isinstance(s, str)]
        if isinstance(self.splits.get("train"), float) or sum(shares) >= 1:
            raise ValueError("splits: give shares for val and test only; the rest is for training")
        if shares and texts and not images.has_split:
            raise ValueError("splits: give shares or lists, not a mixture")
        if shares and images.has_split and "train" not in self.splits:
            raise ValueError("splits: a share is taken from train: say which folder that is")
        if texts and not {"train", "val"} <= self.splits.keys():
            raise ValueError("splits: needs train and val")
        return self


def parse_encoding(text: str) -> tuple[str, str | None, int | None]:
    """Return the meaning of an encoding, and the format and bits that it names.

    Examples:
        >>> parse_encoding("png 16-bit mm")
        ('mm', 'png', 16)
    """
    form, bits, words = None, None, []
    for word in text.lower().split():
        if word in _FORMATS:
            form = word
        elif word.endswith("-bit") and word[:-4].isdigit():
            bits = int(word[:-4])
        else:
            words.append(_SAME.get(word, word))
    return " ".join(filter(None, words)), form, bits


def read_description(root: str | os.PathLike[str]) -> Description:
    """Read the `data.yaml` of a folder.

    Args:
        root: the folder.

    Raises:
        ValueError: if the file is missing or not a description; the message names the entries.
    """
    path = pathlib.Path(root) / FILE
    if not path.is_file():
        raise ValueError(
            f"{path} is missing: it says what the files of the folder mean. Write one with "
            f"mtl-tf data init {root}"
        )
    return checked_description(read_yaml(path, "the description of a data set")[0], str(path))


def checked_description(values: Mapping[str, Any], name: str) -> Description:
    """Return a description from its values.

    Args:
        values: of the file.
        name: of the file, for errors.

    Raises:
        ValueError: with a line for each entry that is wrong.
    """
    try:
        return Description(**values)
    except pydantic.ValidationError as error:
        lines = [_problem(dict(problem)) for problem in error.errors()]
        raise ValueError(
            "\n".join([f"{name} is no description of a data set:", *dict.fromkeys(lines)])
        ) from error


def _problem(problem: dict[str, Any]) -> str:
    entry = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"  {entry}: unknown"
    message = problem["msg"].removeprefix("Value error, ")
    return f"  {entry}: {message}" if entry else f"  {message}"
