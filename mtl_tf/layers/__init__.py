"""Reusable layers and blocks, one per file."""

from mtl_tf.layers.affinity_propagation import AffinityPropagation
from mtl_tf.layers.atrous_convolution import AtrousConv2D, atrous_conv2d
from mtl_tf.layers.attention_distillation import AttentionDistillation, distill
from mtl_tf.layers.batch_normalization import BatchNormalization, normalize_batch
from mtl_tf.layers.conv_block import batch_norm, conv, conv_block, dense
from mtl_tf.layers.gradient_reversal import reverse_gradient
from mtl_tf.layers.local_affinity import LocalAffinity, LocalDiffusion
from mtl_tf.layers.preprocessing import Preprocessing
from mtl_tf.layers.residual_blocks import basic_block, bottleneck
from mtl_tf.layers.resize import BilinearResize, pool_to, resize_to
from mtl_tf.layers.sharing.branching_choices import BranchingChoices, Mixture, expected_cost
from mtl_tf.layers.sharing.channel_scaling import ChannelScaling
from mtl_tf.layers.sharing.cross_stitch_unit import CrossStitchUnit
from mtl_tf.layers.sharing.nddr_layer import BlockIdentity, nddr_layer
from mtl_tf.layers.sharing.softmax_mixture import SoftmaxMixture
from mtl_tf.layers.sharing.subspace_mixing import SubspaceMixing, subspace_penalty
from mtl_tf.layers.squeeze_excite import squeeze_excite
from mtl_tf.layers.task_attention import task_attention
from mtl_tf.layers.task_discriminator import TaskDiscriminator

__all__ = [
    "AffinityPropagation",
    "AtrousConv2D",
    "AttentionDistillation",
    "BatchNormalization",
    "BilinearResize",
    "BlockIdentity",
    "BranchingChoices",
    "ChannelScaling",
    "CrossStitchUnit",
    "LocalAffinity",
    "LocalDiffusion",
    "Mixture",
    "Preprocessing",
    "SoftmaxMixture",
    "SubspaceMixing",
    "TaskDiscriminator",
    "atrous_conv2d",
    "basic_block",
    "batch_norm",
    "bottleneck",
    "conv",
    "conv_block",
    "dense",
    "distill",
    "expected_cost",
    "nddr_layer",
    "normalize_batch",
    "pool_to",
    "resize_to",
    "reverse_gradient",
    "squeeze_excite",
    "subspace_penalty",
    "task_attention",
]
