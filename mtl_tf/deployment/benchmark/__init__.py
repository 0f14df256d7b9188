"""Benchmark: the latency of a network in the runtimes that can serve it.

==================== ==============================================================
`benchmark`          measure all runtimes, each in a process of its own
`Latency`            the result of one runtime, number of threads and batch
==================== ==============================================================
"""

from mtl_tf.deployment.benchmark.benchmark import RUNTIMES, benchmark
from mtl_tf.deployment.benchmark.latency import Latency

__all__ = ["RUNTIMES", "Latency", "benchmark"]
