"""Results as JSON for other programs."""

import json
import math
from collections.abc import Mapping
from typing import Any

from mtl_tf.experiments.terminal import say


def say_json(value: object) -> None:
    """Print a value as one line of JSON; numbers that JSON lacks (NaN, infinity) become null.

    Args:
        value: nested dictionaries, lists, numbers and texts.
    """
    say(json.dumps(_valid(value), allow_nan=False))


def _valid(value: Any) -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, Mapping):
        return {str(key): _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
