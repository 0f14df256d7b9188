"""Scalarizers: losses `[K]` -> scalar, one backward pass. One method per file."""

from mtl_tf.balancing.scalarizers.fixed_weights import FixedWeights, fixed_weights
from mtl_tf.balancing.scalarizers.uncertainty import Uncertainty, uncertainty

__all__ = ["FixedWeights", "Uncertainty", "fixed_weights", "uncertainty"]
