"""Learning-rate multipliers of variables, as an attribute that is saved with a model."""

from collections.abc import Iterable, Mapping

import keras


def learning_rate_multipliers(variables: Iterable[keras.Variable]) -> dict[str, float]:
    """Return the learning-rate multipliers of variables by path, where they are not 1.

    Args:
        variables: of a model.
    """
    factors = {v.path: getattr(v, "learning_rate_multiplier", 1.0) for v in variables}
    return {path: factor for path, factor in factors.items() if factor != 1.0}


def set_learning_rate_multipliers(
    variables: Iterable[keras.Variable], multipliers: Mapping[str, float]
) -> None:
    """Set the learning-rate multipliers of variables.

    Args:
        variables: of a model.
        multipliers: by path of the variable.
    """
    for variable in variables:
        if variable.path in multipliers:
            variable.learning_rate_multiplier = multipliers[variable.path]
