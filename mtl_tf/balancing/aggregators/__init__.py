"""Aggregators: Jacobian `[K, P]` -> direction `[P]`, K backward passes. One method per file."""

from mtl_tf.balancing.aggregators.graddrop import GradDrop, random_like

__all__ = ["GradDrop", "random_like"]
