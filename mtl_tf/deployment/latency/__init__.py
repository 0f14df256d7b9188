"""Latency: how long a network takes in the runtimes that can serve it.

==================== ==============================================================
`benchmark`          measure all runtimes, each in a process of its own
`Latency`            the result of one runtime, number of threads and batch
==================== ==============================================================
"""

from mtl_tf.deployment.latency.measurement import Latency
from mtl_tf.deployment.latency.runtimes import RUNTIMES, benchmark

__all__ = ["RUNTIMES", "Latency", "benchmark"]
