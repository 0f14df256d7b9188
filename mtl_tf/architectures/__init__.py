"""Multi-task architectures as Keras functional models.

================== ================== ========= ================================= =====
name               class              focus     paper                             year
================== ================== ========= ================================= =====
`single_task`      `SingleTask`       baseline  Vandenhende et al., TPAMI         2021
`shared_trunk`     `SharedTrunk`      encoder   Caruana, Machine Learning         1997
`cross_stitch`     `CrossStitch`      encoder   Misra et al., CVPR                2016
`sluice`           `Sluice`           encoder   Ruder et al., AAAI                2019
`nddr_cnn`         `NDDRCNN`          encoder   Gao et al., CVPR                  2019
`mtan`             `MTAN`             encoder   Liu et al., CVPR                  2019
`branched`         `Branched`         encoder   Vandenhende et al., BMVC          2020
`learned_branching` `LearnedBranching` encoder  Guo et al., ICML                  2020
`ubernet`          `UberNet`          encoder   Kokkinos, CVPR                    2017
`astmt`            `ASTMT`            encoder   Maninis et al., CVPR              2019
`light_weight_refinenet` `LightWeightRefineNet` encoder Nekrasov et al., ICRA      2019
`pad_net`          `PADNet`           decoder   Xu et al., CVPR                   2018
`jtrl`             `JTRL`             decoder   Zhang et al., ECCV                2018
`pap_net`          `PAPNet`           decoder   Zhang et al., CVPR                2019
`psd`              `PSD`              decoder   Zhou et al., CVPR                 2020
`mti_net`          `MTINet`           decoder   Vandenhende et al., ECCV          2020
================== ================== ========= ================================= =====

Every class takes `(backbone, tasks, input_shape, ...)` and the options of `base.ModelOptions`. It
is a `keras.Model` from normalised RGB images `[B, H, W, 3]` to `{task: raw prediction [B, H, W,
channels]}`, independent of losses, balancing and training.
"""

import dataclasses

from mtl_tf.architectures.astmt import ASTMT
from mtl_tf.architectures.backbone_layers import BackboneLayers
from mtl_tf.architectures.base import Architecture
from mtl_tf.architectures.branched import Branched
from mtl_tf.architectures.cross_stitch import CrossStitch
from mtl_tf.architectures.jtrl import JTRL
from mtl_tf.architectures.layout_search import affinity, rdm, search, search_layout
from mtl_tf.architectures.learned_branching import LearnedBranching, derive_tree
from mtl_tf.architectures.light_weight_refinenet import LightWeightRefineNet
from mtl_tf.architectures.mtan import MTAN
from mtl_tf.architectures.mti_net import MTINet
from mtl_tf.architectures.nddr_cnn import NDDRCNN
from mtl_tf.architectures.pad_net import PADNet
from mtl_tf.architectures.pap_net import PAPNet
from mtl_tf.architectures.psd import PSD
from mtl_tf.architectures.shared_trunk import SharedTrunk
from mtl_tf.architectures.single_task import SingleTask
from mtl_tf.architectures.sluice import Sluice
from mtl_tf.architectures.soft_sharing import SoftSharing
from mtl_tf.architectures.torch_checkpoint import load_torch_checkpoint
from mtl_tf.architectures.ubernet import UberNet
from mtl_tf.inspection.cost import Cost, Summary, summary
from mtl_tf.inspection.drawing import draw


@dataclasses.dataclass(frozen=True)
class Entry:
    """An entry of `TABLE`.

    Attributes:
        cls: the class.
        focus: `"baseline"`, `"encoder"` or `"decoder"`.
        paper: authors and venue of the paper.
        year: year of publication.
        cost: parameters and computation relative to one network.

    Examples:
        >>> TABLE["pad_net"].focus, TABLE["pad_net"].year
        ('decoder', 2018)
    """

    cls: type[Architecture]
    focus: str
    paper: str
    year: int
    cost: str


TABLE: dict[str, Entry] = {
    "single_task": Entry(
        SingleTask, "baseline", "Vandenhende et al., TPAMI", 2021, "one network per task"
    ),
    "shared_trunk": Entry(
        SharedTrunk, "encoder", "Caruana, Machine Learning", 1997, "one backbone, K heads"
    ),
    "cross_stitch": Entry(CrossStitch, "encoder", "Misra et al., CVPR", 2016, "K networks"),
    "sluice": Entry(Sluice, "encoder", "Ruder et al., AAAI", 2019, "K networks"),
    "nddr_cnn": Entry(
        NDDRCNN, "encoder", "Gao et al., CVPR", 2019, "K networks, K² C² weights per stage"
    ),
    "mtan": Entry(
        MTAN, "encoder", "Liu et al., CVPR", 2019, "one backbone, K heads and attention masks"
    ),
    "branched": Entry(
        Branched, "encoder", "Vandenhende et al., BMVC", 2020, "between one and K backbones"
    ),
    "learned_branching": Entry(
        LearnedBranching, "encoder", "Guo et al., ICML", 2020, "K networks while searching"
    ),
    "ubernet": Entry(
        UberNet, "encoder", "Kokkinos, CVPR", 2017, "one backbone, 1x1 convolutions per task"
    ),
    "astmt": Entry(
        ASTMT, "encoder", "Maninis et al., CVPR", 2019, "one network, run once for each task"
    ),
    "light_weight_refinenet": Entry(
        LightWeightRefineNet,
        "encoder",
        "Nekrasov et al., ICRA",
        2019,
        "one backbone and decoder, one 3x3 convolution per task",
    ),
    "pad_net": Entry(
        PADNet, "decoder", "Xu et al., CVPR", 2018, "one backbone, 3x3 convolutions per task pair"
    ),
    "jtrl": Entry(
        JTRL, "decoder", "Zhang et al., ECCV", 2018, "one backbone, two states at each scale"
    ),
    "pap_net": Entry(
        PAPNet, "decoder", "Zhang et al., CVPR", 2019, "one backbone, all pairs of positions"
    ),
    "psd": Entry(
        PSD, "decoder", "Zhou et al., CVPR", 2020, "one backbone, 25 neighbours of each position"
    ),
    "mti_net": Entry(
        MTINet, "decoder", "Vandenhende et al., ECCV", 2020, "as pad_net at four scales, narrower"
    ),
}
"""The architectures by name."""

__all__ = [
    "ASTMT",
    "JTRL",
    "MTAN",
    "NDDRCNN",
    "PSD",
    "TABLE",
    "Architecture",
    "BackboneLayers",
    "Branched",
    "Cost",
    "CrossStitch",
    "LearnedBranching",
    "LightWeightRefineNet",
    "MTINet",
    "PADNet",
    "PAPNet",
    "SharedTrunk",
    "SingleTask",
    "Sluice",
    "SoftSharing",
    "Summary",
    "UberNet",
    "affinity",
    "derive_tree",
    "draw",
    "load_torch_checkpoint",
    "rdm",
    "search",
    "search_layout",
    "summary",
]
