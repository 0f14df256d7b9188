"""Multi-task learning for dense prediction in Keras 3 / TensorFlow.

    import mtl_tf as mtl

========================= =====================================================
`mtl.architectures`       multi-task networks as Keras functional models
`mtl.backbones`           shared feature extractors
`mtl.heads`               task-specific parts behind the last shared feature
`mtl.balancing`           scalarizers, weightings and aggregators of task losses
`mtl.MultiTaskTrainer`    `compile`, `fit`, `evaluate`, `predict` for all of them
`mtl.losses`              masked losses of dense tasks
`mtl.metrics`             metrics of dense tasks, and Delta-m
`mtl.ops`                 native ops and their pure-TensorFlow references
`mtl.TASKS`               the six tasks of the survey and two of Taskonomy
`mtl.TargetKind`          what a target is: class ids, metres, directions, ...
`mtl.weights`             published weights of the backbones
========================= =====================================================

These are imported on first use and need the packages of an extra:

========================= ============= =======================================
`mtl.data`                `data`        data sets as `tf.data` pipelines
`mtl.evaluation`          `experiments` numbers and reports of a trained model
`mtl.deployment`          `experiments` photographs, videos, other file formats
`mtl.from_preset`         `experiments` a trained network with its tasks
`mtl.Predictor`           `experiments` its predictions for images of any size, videos
`mtl.experiments`         `experiments` configured runs in folders
`mtl.surveys`             `experiments` grids of runs, hyperparameter search
========================= ============= =======================================
"""

from typing import TYPE_CHECKING

from mtl_tf.optional_packages import imports_of_extra
from mtl_tf.startup import IS_COMMAND, on_first_use

_ON_FIRST_USE = ("data", "deployment", "evaluation", "experiments", "surveys")
_PARTS = (
    "architectures",
    "backbones",
    "balancing",
    "heads",
    "layers",
    "losses",
    "metrics",
    "ops",
    "tasks",
    "training",
    "weights",
    *_ON_FIRST_USE,
)
_MODULES = {
    **{name: name for name in _PARTS},
    "MultiTaskTrainer": "training",
    "Predictor": "deployment",
    "TASKS": "tasks",
    "TargetKind": "targets",
    "Task": "tasks",
    "from_preset": "deployment",
}

if TYPE_CHECKING or not IS_COMMAND:
    with imports_of_extra(
        "mtl_tf",
        "cpu",
        ', or "mtl-tf[cuda]" for NVIDIA GPUs; "mtl-tf[cpu,all]" adds data and reports',
    ):
        from mtl_tf import (
            architectures,
            backbones,
            balancing,
            heads,
            layers,
            losses,
            metrics,
            ops,
            tasks,
            training,
            weights,
        )
        from mtl_tf.targets import TargetKind
        from mtl_tf.tasks import TASKS, Task
        from mtl_tf.training import MultiTaskTrainer

if TYPE_CHECKING:
    from mtl_tf import data, deployment, evaluation, experiments, surveys
    from mtl_tf.deployment import Predictor, from_preset
else:  # hidden from type checkers, so that they report misspelt names
    __getattr__ = on_first_use(__name__, _MODULES)

    def __dir__() -> list[str]:
        """List the names that are not imported yet as well."""
        return sorted({*globals(), *_MODULES})


__version__ = "0.2.0"

__all__ = [
    "TASKS",
    "MultiTaskTrainer",
    "Predictor",
    "TargetKind",
    "Task",
    "__version__",
    "architectures",
    "backbones",
    "balancing",
    "data",
    "deployment",
    "evaluation",
    "experiments",
    "from_preset",
    "heads",
    "layers",
    "losses",
    "metrics",
    "ops",
    "surveys",
    "tasks",
    "training",
    "weights",
]
