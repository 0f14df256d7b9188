"""One colour for each task and each method, the same in all plots of a report.

The colours keep a contrast of at least 3 to 1 against white and against the dark background.
"""

import zlib
from collections.abc import Iterable

from mtl_tf.targets import KINDS

COLOURS = (
    "#2f7fd6",
    "#c2559b",
    "#8a63d2",
    "#b5792a",
    "#2b9a6c",
    "#d9582b",
    "#1f96a8",
    "#8a8f2a",
    "#d0485f",
    "#6f7f94",
    "#4f8f3a",
    "#b06ab3",
)
"""Categorical colours."""

_OF_KNOWN_TASKS = dict(zip(KINDS, COLOURS, strict=False))


def task_colours_of(tasks: Iterable[str]) -> dict[str, str]:
    """Return the colour of each task: fixed for known names, else a free one.

    Args:
        tasks: names.

    Examples:
        >>> task_colours_of(["depth"]) == {"depth": task_colours_of(["edges", "depth"])["depth"]}
        True
    """
    return _assigned(tasks, _OF_KNOWN_TASKS)


def method_colours_of(methods: Iterable[str]) -> dict[str, str]:
    """Return a colour for each method, as long as there are free ones the same in all reports.

    Args:
        methods: names, such as those of the rows of a survey.
    """
    return _assigned(methods, {})


def _assigned(names: Iterable[str], fixed: dict[str, str]) -> dict[str, str]:
    """Return fixed colours, and of other names the first free one from a checksum on."""
    names = list(names)
    chosen = {name: fixed[name] for name in names if name in fixed}
    for name in names:
        if name in chosen:
            continue
        start = zlib.crc32(name.encode()) % len(COLOURS)
        wished = [*COLOURS[start:], *COLOURS[:start]]
        used = set(chosen.values())
        chosen[name] = next((colour for colour in wished if colour not in used), wished[0])
    return chosen
