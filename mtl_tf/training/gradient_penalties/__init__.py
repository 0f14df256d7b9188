"""Gradient penalties: functions of the task gradients that are minimised beside the losses.

They see the gradient of every task's loss with respect to the features that tasks share last, and
their own gradient goes back through these gradients (second order), into heads and trunk.
"""

from mtl_tf.training.gradient_penalties.adversarial import AdversarialGradients
from mtl_tf.training.gradient_penalties.orthogonal import OrthogonalGradients

__all__ = ["AdversarialGradients", "OrthogonalGradients"]
