"""Aggregators: Jacobian `[K, P]` -> direction `[P]`, K backward passes. One method per file."""

from mtl_tf.balancing.aggregators.config import ConFIG, config_weights
from mtl_tf.balancing.aggregators.graddrop import GradDrop, random_like

__all__ = ["ConFIG", "GradDrop", "config_weights", "random_like"]
