"""Training: the trainer with the one custom training step, and what goes with it.

====================== ====================================================================
`MultiTaskTrainer`     wraps a multi-task model; `compile`, `fit`, `evaluate`, `predict`
`Backup`               callback: saves after every epoch, atomically, and resumes
`KeepBest`             callback: keeps the weights of the epoch with the best results
`GradientDiagnostics`  callback: weights, norms and cosines of task gradients as CSV
`AnnealBranching`      callback: the temperature of `LearnedBranching`
`stop_on_signals`      callback: Ctrl-C and SIGTERM end `fit` after a step, with a backup
`UnfreezeBackbone`     callback: the backbone learns from a given epoch on
`WarmUp`               learning-rate schedule that rises linearly before another one
`Poly`                 learning-rate schedule of the survey, `(1 - epoch / epochs) ** 0.9`
`OrthogonalGradients`  gradient penalty: task gradients at right angles
`AdversarialGradients` gradient penalty: task gradients a discriminator cannot tell apart
====================== ====================================================================
"""

from mtl_tf.stopped import Stopped
from mtl_tf.training.callbacks.anneal_branching import AnnealBranching
from mtl_tf.training.callbacks.backup import Backup
from mtl_tf.training.callbacks.diagnostics import GradientDiagnostics
from mtl_tf.training.callbacks.keep_best import KeepBest
from mtl_tf.training.callbacks.stop_on_signal import stop_on_signals
from mtl_tf.training.callbacks.unfreeze_backbone import UnfreezeBackbone
from mtl_tf.training.gradient_penalties import AdversarialGradients, OrthogonalGradients
from mtl_tf.training.optimizer.schedules import Poly, WarmUp
from mtl_tf.training.trainer import MultiTaskTrainer

__all__ = [
    "AdversarialGradients",
    "AnnealBranching",
    "Backup",
    "GradientDiagnostics",
    "KeepBest",
    "MultiTaskTrainer",
    "OrthogonalGradients",
    "Poly",
    "Stopped",
    "UnfreezeBackbone",
    "WarmUp",
    "stop_on_signals",
]
