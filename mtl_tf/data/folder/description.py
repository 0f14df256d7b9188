"""`data.yaml`: what the files of a folder mean."""

import os
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

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

_FORMATS = ("png", "jpg", "jpeg", "tif", "tiff", "bmp", "npy", "npz", "exr")
_SAME = {"0/255": "", "0/1": "", "image": "", "class": "class", "id": "ids", "colors": "colours"}
_DIRECTIONS = ("right", "left", "up", "down", "toward", "away")

_Byte = Annotated[int, pydantic.Field(ge=0, le=255)]
Colour = Annotated[list[_Byte], pydantic.Field(min_length=3, max_length=3)]
Direction = Literal["right", "left", "up", "down", "toward", "away"]


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
        elif self.classes or self.num_classes:
            raise ValueError(f"the encoding {meaning!r} has no classes")
        if self.colours and len(self.colours) != self.channels_of_prediction:
            raise ValueError(
                f"colours has {len(self.colours)} entries for {self.channels_of_prediction} classes"
            )
        if self.threshold is not None and meaning != "binary":
            raise ValueError("threshold is for the encoding 'binary'")
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
        if shares and texts:
            raise ValueError("splits: give shares, lists or names of folders, not a mixture")
        if shares and ("train" in self.splits or sum(shares) >= 1):
            raise ValueError("splits: give shares for val and test only; the rest is for training")
        if shares and images.has_split:
            raise ValueError("splits: shares do not go together with {split} in images")
        if texts and not {"train", "val"} <= self.splits.keys():
            raise ValueError("splits: needs train and val")
        return self


def parse_encoding(text: str) -> tuple[str, str | None, int | None]:
    """Return the meaning of an encoding, and the format and bits that it names.

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
