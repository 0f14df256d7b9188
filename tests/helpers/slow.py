"""Parameters of which only some are tested by default."""

import pytest


def slow_but(fast, values):
    """`values` as parameters; those not in `fast` are marked slow."""
    return [
        pytest.param(value, id=str(value), marks=[] if value in fast else pytest.mark.slow)
        for value in values
    ]
