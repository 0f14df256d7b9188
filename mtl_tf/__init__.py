"""Multi-task learning for dense prediction in Keras 3 / TensorFlow.

    import mtl_tf as mtl

========================= =====================================================
`mtl.architectures`       multi-task networks as Keras functional models
`mtl.backbones`           shared feature extractors
`mtl.heads`               task-specific parts behind the last shared feature
`mtl.balancing`           scalarizers, weightings and aggregators of task losses
`mtl.MultiTaskTrainer`    `compile`, `fit`, `evaluate`, `predict` for all of them
`mtl.data`                data sets as `tf.data` pipelines with validity masks
`mtl.losses`              masked losses of dense tasks
`mtl.metrics`             metrics of dense tasks, and Delta-m
`mtl.evaluation`          numbers and reports of a trained model
`mtl.ops`                 native ops and their pure-TensorFlow references
`mtl.TASKS`               the six tasks of the survey and two of Taskonomy
`mtl.TargetKind`          what a target is: class ids, metres, directions, ...
========================= =====================================================
"""

import importlib

try:
    importlib.import_module("tensorflow")
except ImportError as error:
    raise ImportError(
        'mtl_tf needs TensorFlow: pip install ".[cpu]", or ".[cuda]" for NVIDIA GPUs, in the '
        f"source folder of mtl_tf ({error})"
    ) from error

from mtl_tf import (
    architectures,
    backbones,
    balancing,
    data,
    evaluation,
    heads,
    layers,
    losses,
    metrics,
    ops,
    tasks,
    training,
)
from mtl_tf.targets import TargetKind
from mtl_tf.tasks import TASKS, Task
from mtl_tf.training import MultiTaskTrainer

__version__ = "0.1.0"

__all__ = [
    "TASKS",
    "MultiTaskTrainer",
    "TargetKind",
    "Task",
    "__version__",
    "architectures",
    "backbones",
    "balancing",
    "data",
    "evaluation",
    "heads",
    "layers",
    "losses",
    "metrics",
    "ops",
    "tasks",
    "training",
]
