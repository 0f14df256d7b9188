"""YAML and JSON files that anyone may have written: limited in size, without duplicate keys."""

import collections
import pathlib
from typing import Any

import yaml

_MAX_LETTERS = 1 << 18
_MAX_VALUES = 10_000


def read_yaml(path: pathlib.Path, what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read an object from a YAML or JSON file.

    Args:
        path: of the file.
        what: it holds, for errors, such as `"options"`.

    Returns:
        The values by name, and the same with all values as the text that was written.

    Raises:
        ValueError: if the file holds something else, or is too large.
        OSError: if it cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MAX_LETTERS + 1)
        if len(text) > _MAX_LETTERS:
            raise ValueError(f"it has more than {_MAX_LETTERS} letters")
        _check_nodes(yaml.compose(text, yaml.SafeLoader))
        values, as_written = yaml.safe_load(text), yaml.load(text, yaml.BaseLoader)
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is neither YAML nor JSON of {what}: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ValueError(f"{path} must hold an object of {what} by name")
    return values, as_written


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
