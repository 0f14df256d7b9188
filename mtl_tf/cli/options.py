"""Options of a run: from flags and files to a `Config`."""

import argparse
import datetime
import json
import pathlib
import types
import typing
from typing import Any

from mtl_tf.cli.flags import split_list
from mtl_tf.experiments.config import Config, make_config


def _types_of(annotation: object) -> set[object]:
    """Return the members of a union, or the one type."""
    is_union = isinstance(annotation, types.UnionType)
    return set(typing.get_args(annotation)) if is_union else {annotation}


_FIELDS = Config.model_fields
_LISTS = {n for n, field in _FIELDS.items() if typing.get_origin(field.annotation) is tuple}
_PATHS = {"root", "data", "weights"}
"""Options that may be a path, which the shell completes."""
_TEXTS = {n for n, field in _FIELDS.items() if _types_of(field.annotation) & {str, pathlib.Path}}
"""Options with text as value, also if it looks like a number: a folder may be called 795."""


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each field of `Config`, with the field's description as help.

    Args:
        parser: of a command.
    """
    for name, field in _FIELDS.items():
        text = " ".join((field.description or "").split()).rstrip(".")
        text = text[:1].lower() + text[1:]
        if not field.is_required():
            text += f" (default: {field.get_default(call_default_factory=True)})"
        flag = f"--{name.replace('_', '-')}"
        action = parser.add_argument(
            flag, dest=f"option_{name}", metavar="VALUE", help=text.replace("%", "%%")
        )
        is_path = name in _PATHS or pathlib.Path in _types_of(field.annotation)
        setattr(action, "is_path", is_path)  # noqa: B010  # the shell completes it


def config_from(options: argparse.Namespace) -> tuple[str | None, Config]:
    """Return the name of the preset and the configuration of preset, file and flags.

    Args:
        options: with `preset`, `config` and the flags of `add_config_options`.

    Raises:
        ValueError: for a file that cannot be read, an unknown option or a bad value.
    """
    values = read_options(options.config)
    preset = options.preset or values.pop("preset", None)
    for key, text in vars(options).items():
        if key.startswith("option_") and text is not None:
            name = key.removeprefix("option_")
            values[name] = _value(name, text)
    return preset, make_config(preset, **values)


def _value(name: str, text: str) -> object:
    """Return the value of a flag: JSON, or else the text."""
    if name == "weights" and text.lower() in ("none", "null"):
        return None  # random initial weights, of a preset that has others
    if name in _TEXTS:
        return text
    if name in _LISTS and not text.startswith("["):
        return split_list(text)
    try:
        return json.loads(text)
    except ValueError:
        return text


# === Files ===


def read_options(path: pathlib.Path | None) -> dict[str, Any]:
    """Read the options in a YAML or JSON file.

    Args:
        path: of the file; there are no options without one.

    Raises:
        ValueError: if the file holds something else, or is too large.
    """
    if path is None:
        return {}
    from mtl_tf.data.folder.yaml_files import read_yaml

    values, as_written = read_yaml(path, "options")
    numbers = int | float | datetime.date
    texts = {key for key in (*_TEXTS, "preset") if isinstance(values.get(key), numbers)}
    return values | {key: as_written[key] for key in texts}
