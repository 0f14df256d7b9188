"""Exclusions from weight decay, kept where Keras would forget them."""

import re
from collections.abc import Iterable
from typing import Any

import keras


def exclude_from_weight_decay(
    optimizer: keras.optimizers.Optimizer, variables: Iterable[keras.Variable]
) -> None:
    """Exclude variables from the weight decay of an optimizer, beside those that are already.

    `keras.optimizers.Optimizer.exclude_from_weight_decay` replaces earlier exclusions.

    Args:
        optimizer: left alone if it is built already.
        variables: the variables.
    """
    inner: Any = getattr(optimizer, "inner_optimizer", optimizer)
    variables = list(variables)
    if inner.built or not variables:
        return
    before = set(getattr(inner, "_exclude_from_weight_decay", ()))
    pattern = excluded_names(inner)
    inner.exclude_from_weight_decay(variables, [pattern] if pattern else None)
    inner._exclude_from_weight_decay |= before


def excluded_names(optimizer: keras.optimizers.Optimizer) -> str | None:
    """Return the regular expression of the names that an optimizer does not decay, if it has one.

    Args:
        optimizer: a Keras optimizer.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    pattern: re.Pattern[str] | None = getattr(inner, "_exclude_from_weight_decay_pattern", None)
    return None if pattern is None else pattern.pattern
