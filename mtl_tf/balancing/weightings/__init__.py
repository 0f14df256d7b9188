"""Weightings: Gramian `[K, K]` -> weights `[K]`, K backward passes. One method per file."""

from mtl_tf.balancing.weightings.aligned_mtl import AlignedMTL, aligned_mtl
from mtl_tf.balancing.weightings.cagrad import CAGrad, cagrad
from mtl_tf.balancing.weightings.con_fig import ConFIG, config_weights
from mtl_tf.balancing.weightings.dualproj import DualProj, dualproj
from mtl_tf.balancing.weightings.fairgrad import FairGrad, fairgrad
from mtl_tf.balancing.weightings.gradnorm import GradNorm, gradnorm_gradient
from mtl_tf.balancing.weightings.gradvac import GradVac, gradvac
from mtl_tf.balancing.weightings.imtl_g import IMTLG, imtl_g
from mtl_tf.balancing.weightings.mgda import MGDA, mgda
from mtl_tf.balancing.weightings.nash_mtl import NashMTL, nash_mtl
from mtl_tf.balancing.weightings.pcgrad import PCGrad, pcgrad
from mtl_tf.balancing.weightings.sums import Mean, Sum
from mtl_tf.balancing.weightings.upgrad import UPGrad, upgrad

__all__ = [
    "IMTLG",
    "MGDA",
    "AlignedMTL",
    "CAGrad",
    "ConFIG",
    "DualProj",
    "FairGrad",
    "GradNorm",
    "GradVac",
    "Mean",
    "NashMTL",
    "PCGrad",
    "Sum",
    "UPGrad",
    "aligned_mtl",
    "cagrad",
    "config_weights",
    "dualproj",
    "fairgrad",
    "gradnorm_gradient",
    "gradvac",
    "imtl_g",
    "mgda",
    "nash_mtl",
    "pcgrad",
    "upgrad",
]
