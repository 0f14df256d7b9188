"""Options of a run: from flags and files to a `Config`."""

import argparse
import collections
import datetime
import json
import pathlib
import types
import typing
from typing import Any

import yaml

from mtl_tf.experiments import Config, make_config

Subparsers: typing.TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

_MAX_LETTERS = 1 << 18  # of a file of options
_MAX_VALUES = 10_000  # in a file of options


def _types_of(annotation: object) -> set[object]:
    """Return the members of a union, or the one type."""
    is_union = isinstance(annotation, types.UnionType)
    return set(typing.get_args(annotation)) if is_union else {annotation}


_FIELDS = Config.model_fields
_LISTS = {n for n, field in _FIELDS.items() if typing.get_origin(field.annotation) is tuple}
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
        parser.add_argument(
            flag, dest=f"option_{name}", metavar="VALUE", help=text.replace("%", "%%")
        )


def add_limits(parser: argparse.ArgumentParser, unit: str) -> None:
    """Add the flags that limit the processes of a survey or search.

    Args:
        parser: of a command.
        unit: that runs in a process: `"cell"` or `"trial"`.
    """
    parser.add_argument("--time-limit-min", type=float, default=360, help=f"of one {unit}")
    parser.add_argument("--memory-limit-mib", type=float, default=16_384, help=f"of one {unit}")


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


def split_list(text: str) -> list[str]:
    """Return the values of a list, separated by commas."""
    return text.split(",")


def _value(name: str, text: str) -> object:
    """Return the value of a flag: JSON, or else the text."""
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
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MAX_LETTERS + 1)
        if len(text) > _MAX_LETTERS:
            raise ValueError(f"it has more than {_MAX_LETTERS} letters")
        _check_nodes(yaml.compose(text, yaml.SafeLoader))
        values, as_written = yaml.safe_load(text), yaml.load(text, yaml.BaseLoader)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is neither YAML nor JSON of options: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ValueError(f"{path} must hold an object of options by name")
    numbers = int | float | datetime.date
    texts = {key for key in (*_TEXTS, "preset") if isinstance(values.get(key), numbers)}
    return values | {key: as_written[key] for key in texts}


def _check_nodes(root: yaml.Node | None) -> None:
    """Raise `ValueError` for duplicate keys, recursive aliases, or too many values by aliases."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            if not sizes[id(node)]:  # not yet counted: this node is inside itself
                raise ValueError(f"a value holds itself{node.start_mark}")
            return sizes[id(node)]
        sizes[id(node)] = 0
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            key, times = next(iter(collections.Counter(keys).most_common(1)), ("", 0))
            if times > 1:
                raise ValueError(f"{key!r} is there twice{node.start_mark}")
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        total = 1 + sum(map(size, children))
        if total > _MAX_VALUES:
            raise ValueError(f"more than {_MAX_VALUES} values{node.start_mark}")
        sizes[id(node)] = total
        return total

    if root is not None:
        size(root)
