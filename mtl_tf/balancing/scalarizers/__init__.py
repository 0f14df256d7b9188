"""Scalarizers: losses `[K]` -> scalar, one backward pass. One method per file."""

from mtl_tf.balancing.scalarizers.dtp import DTP, dtp_weights
from mtl_tf.balancing.scalarizers.dwa import DWA, dwa_weights
from mtl_tf.balancing.scalarizers.famo import FAMO, famo, famo_gradient
from mtl_tf.balancing.scalarizers.fixed_weights import FixedWeights, fixed_weights
from mtl_tf.balancing.scalarizers.geometric_mean import GeometricMean, geometric_mean
from mtl_tf.balancing.scalarizers.imtl_l import IMTLL, imtl_l
from mtl_tf.balancing.scalarizers.inverse_magnitude import (
    InverseMagnitude,
    inverse_magnitude_weights,
)
from mtl_tf.balancing.scalarizers.rlw import RLW, random_weights
from mtl_tf.balancing.scalarizers.scale_invariant import ScaleInvariant, scale_invariant
from mtl_tf.balancing.scalarizers.stch import STCH, stch
from mtl_tf.balancing.scalarizers.uncertainty import Uncertainty, uncertainty

__all__ = [
    "DTP",
    "DWA",
    "FAMO",
    "IMTLL",
    "RLW",
    "STCH",
    "FixedWeights",
    "GeometricMean",
    "InverseMagnitude",
    "ScaleInvariant",
    "Uncertainty",
    "dtp_weights",
    "dwa_weights",
    "famo",
    "famo_gradient",
    "fixed_weights",
    "geometric_mean",
    "imtl_l",
    "inverse_magnitude_weights",
    "random_weights",
    "scale_invariant",
    "stch",
    "uncertainty",
]
