"""Training: the trainer with the one custom training step, and what goes with it.

================== =================================================================
`MultiTaskTrainer` wraps a multi-task model; `compile`, `fit`, `evaluate`, `predict`
`Backup`           callback: saves after every epoch, atomically, and resumes
`Poly`             learning-rate schedule of the survey, `(1 - epoch / epochs) ** 0.9`
================== =================================================================
"""

from mtl_tf.training.callbacks import Backup
from mtl_tf.training.schedules import Poly
from mtl_tf.training.trainer import MultiTaskTrainer

__all__ = ["Backup", "MultiTaskTrainer", "Poly"]
