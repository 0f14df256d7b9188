"""Parameters, exactly, and multiply-adds of the survey's models, measured on its official code."""

import math

import pytest

import mtl_tf as mtl
from mtl_tf.architectures import (
    MTAN,
    NDDRCNN,
    CrossStitch,
    MTINet,
    PADNet,
    SharedTrunk,
    SingleTask,
    summary,
)

NYUD, PASCAL = (480, 640, 3), (512, 512, 3)
GROUPS = {
    "N2": (NYUD, {"semseg": 40, "depth": 1}),
    "N4": (NYUD, {"semseg": 40, "normals": 3, "edges": 1, "depth": 1}),
    "P5": (PASCAL, {"semseg": 21, "human_parts": 7, "saliency": 1, "normals": 3, "edges": 1}),
    "P3": (PASCAL, {"semseg": 21, "human_parts": 7, "saliency": 1}),
}
R18, R50, HR18 = "resnet18", "resnet50", "hrnet_w18_small_v2"
# class, backbone: (parameters, billions of multiply-adds) for each of the groups.
MEASURED = {
    (SingleTask, R18): [
        (31_807_913, 156.895),
        (63_606_317, 313.744),
        (79_501_921, 334.636),
        (47_703_517, 200.791),
    ],
    (SharedTrunk, R18): [
        (20_631_401, 100.493),
        (30_076_781, 144.538),
        (34_795_873, 142.117),
        (25_350_493, 104.532),
    ],
    (CrossStitch, R18): [
        (31_811_753, 156.895),
        (63_621_677, 313.744),
        (79_525_921, 334.636),
        (47_712_157, 200.791),
    ],
    (NDDRCNN, R18): [
        (33_221_033, 164.130),
        (69_250_605, 342.685),
        (88_318_561, 373.223),
        (50_879_965, 214.683),
    ],
    (MTAN, R18): [
        (21_657_865, 108.475),
        (31_630_637, 160.503),
        (36_613_425, 159.146),
        (26_640_653, 114.749),
    ],
    (SingleTask, R50): [
        (79_277_481, 383.388),
        (158_545_453, 766.730),
        (198_175_841, 817.822),
        (118_907_869, 490.703),
    ],
    (SharedTrunk, R50): [
        (55_769_449, 266.588),
        (88_021_357, 416.331),
        (104_143_713, 419.145),
        (71_891_805, 291.364),
    ],
    (CrossStitch, R50): [
        (79_292_841, 383.388),
        (158_606_893, 766.730),
        (198_271_841, 817.822),
        (118_942_429, 490.703),
    ],
    (NDDRCNN, R50): [
        (101_591_721, 494.432),
        (247_771_181, 1210.907),
        (337_581_281, 1410.057),
        (169_103_197, 703.907),
    ],
    (MTAN, R50): [
        (72_052_713, 394.305),
        (112_656_493, 671.764),
        (132_954_785, 691.607),
        (92_351_005, 454.841),
    ],
    (SingleTask, HR18): [
        (7_879_971, 22.532),
        (15_749_915, 44.873),
        (19_681_093, 47.761),
        (11_811_149, 28.697),
    ],
    (SharedTrunk, HR18): [
        (4_019_251, 12.772),
        (4_167_755, 15.592),
        (4_238_213, 14.447),
        (4_089_709, 12.040),
    ],
}
BACKBONES = {R18: 11_176_512, R50: 23_508_032, HR18: 3_860_720}
# Parameters of a head without its last bias and kernel, and the channels that those see.
HEADS = {R18: (4_722_176, 257), R50: (16_125_440, 257), HR18: (73_710, 271)}
# What the tasks exchange features by, for N2 and P5.
EXCHANGES = {
    (CrossStitch, R18): (3_840, 24_000),
    (CrossStitch, R50): (15_360, 96_000),
    (NDDRCNN, R18): (1_413_120, 8_816_640),
    (NDDRCNN, R50): (22_314_240, 139_405_440),
    (MTAN, R18): (1_026_464, 1_817_552),
    (MTAN, R50): (16_283_264, 28_811_072),
}
CASES = [
    pytest.param(
        cls,
        backbone,
        group,
        *numbers,
        id=f"{cls.__name__}-{backbone}-{group}",
        marks=[] if group == "N2" and backbone != R50 else [pytest.mark.slow],
    )
    for (cls, backbone), row in MEASURED.items()
    for group, numbers in zip(GROUPS, row, strict=True)
]


@pytest.mark.parametrize(("cls", "backbone", "group", "parameters", "billions"), CASES)
def test_costs_what_was_measured(cls, backbone, group, parameters, billions):
    shape, tasks = GROUPS[group]
    sets = [{task: n} for task, n in tasks.items()] if cls is SingleTask else [tasks]
    found = [summary(cls(backbone, tasks, shape)) for tasks in sets]
    assert sum(one.parameters for one in found) == parameters
    assert sum(one.multiply_adds for one in found) == pytest.approx(billions * 1e9, rel=5e-3)
    parts = {
        part: sum(one.parts[part].parameters for one in found)
        for part in ("backbone", "exchange", "heads")
    }
    copies = 1 if cls in (SharedTrunk, MTAN) else len(tasks)
    base, per_channel = HEADS[backbone]
    heads = len(tasks) * base + per_channel * sum(tasks.values())
    assert parts["backbone"] == copies * BACKBONES[backbone]
    assert parts["heads"] == heads
    n2, p5 = EXCHANGES.get((cls, backbone), (0, 0))
    if group in ("N2", "P5"):
        assert parts["exchange"] == (n2 if group == "N2" else p5)


@pytest.mark.parametrize(
    ("backbone", "shape", "channels", "parameters", "billions"),
    [
        (R18, NYUD, 40, 15_908_968, 78.471),
        (R18, NYUD, 1, 15_898_945, 78.423),
        (R18, PASCAL, 21, 15_904_085, 66.942),
        pytest.param(HR18, NYUD, 40, 3_945_270, 11.367, marks=pytest.mark.slow),
        pytest.param(HR18, PASCAL, 1, 3_934_701, 9.527, marks=pytest.mark.slow),
        pytest.param(R50, NYUD, 40, 39_643_752, 191.718, marks=pytest.mark.slow),
        pytest.param(R50, PASCAL, 21, 39_638_869, 163.579, marks=pytest.mark.slow),
        pytest.param(HR18, NYUD, 1, 3_934_701, 11.165, marks=pytest.mark.slow),
        pytest.param(HR18, PASCAL, 21, 3_940_121, 9.616, marks=pytest.mark.slow),
    ],
)
def test_a_single_network(backbone, shape, channels, parameters, billions):
    found = summary(SingleTask(backbone, {"task": channels}, shape))
    assert found.parameters == parameters
    assert found.multiply_adds == pytest.approx(billions * 1e9, rel=5e-4)


@pytest.mark.parametrize(
    ("name", "billions"), [(R18, 56.402), pytest.param(R50, 116.800, marks=pytest.mark.slow)]
)
def test_multiply_adds_of_a_backbone(name, billions):
    found = summary(mtl.backbones.build(name, NYUD))
    assert found.parameters == BACKBONES[name]
    assert found.multiply_adds == pytest.approx(billions * 1e9, rel=5e-4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("resnet34", 21_284_672), pytest.param("resnet101", 42_500_160, marks=pytest.mark.slow)],
)
def test_parameters_of_a_backbone(name, expected):
    assert summary(mtl.backbones.build(name, (64, 64, 3))).parameters == expected


# === Decoder-focused ===

DISTILLED = {
    (PADNet, R18): [
        (14_416_018, 71.917),
        (27_073_690, 132.639),
        (36_934_274, 153.560),
        (19_558_010, 82.416),
    ],
    (PADNet, R50): [
        (27_730_578, 137.033),
        (41_371_290, 202.474),
        (51_723_394, 215.166),
        (33_364_090, 139.995),
    ],
    (PADNet, HR18): [
        (7_019_056, 70.245),
        (19_521_848, 310.161),
        (29_304_992, 424.900),
        (12_083_608, 142.862),
    ],
    (MTINet, HR18): [
        (8_578_179, 17.142),
        (17_960_945, 28.386),
        (24_494_171, 30.310),
        (12_645_441, 18.903),
    ],
}
WITH_AUXILIARY = {PADNet: (12_161_332, 168.898), MTINet: (14_838_121, 22.879)}
# Prefixes of layers' names, and the parameters of N2, of P5 and of N2 with auxiliary tasks.
PARTS = {
    PADNet: {
        "backbone.": (3_934_430, 3_934_430, 3_934_430),
        "initial_task_prediction_heads.": (433_193, 1_065_121, 856_877),
        "multi_modal_distillation": (2_359_296, 23_592_960, 7_077_888),
        "heads.": (292_137, 712_481, 292_137),
    },
    MTINet: {
        "backbone.": (3_860_720, 3_860_720, 3_860_720),
        "fpm_scale_3.": (976_770, 3_540_933, 2_502_180),
        "fpm_scale_2.": (244_592, 885_908, 626_128),
        "fpm_scale_1.": (61_420, 221_995, 156_968),
        "scale_0.": (38_075, 93_867, 75_447),
        "scale_1.": (149_981, 372_381, 298_593),
        "scale_2.": (595_409, 1_483_449, 1_188_117),
        "scale_3.": (1_501_241, 3_743_025, 2_997_117),
        "distillation_scale_0": (11_664, 116_640, 34_992),
        "distillation_scale_1": (46_656, 466_560, 139_968),
        "distillation_scale_2": (186_624, 1_866_240, 559_872),
        "distillation_scale_3": (746_496, 7_464_960, 2_239_488),
        "heads.": (158_531, 377_493, 158_531),
    },
}


@pytest.mark.parametrize(
    ("cls", "backbone", "group", "parameters", "billions"),
    [
        pytest.param(
            cls,
            backbone,
            group,
            *numbers,
            id=f"{cls.__name__}-{backbone}-{group}",
            marks=[] if group == "N2" and backbone != R50 else [pytest.mark.slow],
        )
        for (cls, backbone), row in DISTILLED.items()
        for group, numbers in zip(GROUPS, row, strict=True)
    ],
)
def test_distilling_costs_what_was_measured(cls, backbone, group, parameters, billions):
    shape, tasks = GROUPS[group]
    found = summary(cls(backbone, tasks, shape))
    assert found.parameters == parameters
    assert found.multiply_adds == pytest.approx(billions * 1e9, rel=5e-3)


@pytest.mark.parametrize("group", ["N2", pytest.param("P5", marks=pytest.mark.slow), "auxiliary"])
@pytest.mark.parametrize("cls", PARTS)
def test_parts_of_distilling_networks(cls, group):
    shape, tasks = GROUPS["N2" if group == "auxiliary" else group]
    auxiliary = GROUPS["N4"][1] if group == "auxiliary" else None
    model = cls(HR18, tasks, shape, auxiliary_tasks=auxiliary)
    number = ("N2", "P5", "auxiliary").index(group)
    for prefix, expected in PARTS[cls].items():
        layers = [layer for layer in model.layers if layer.name.startswith(prefix)]
        found = sum(math.prod(v.shape) for layer in layers for v in layer.trainable_variables)
        assert found == expected[number], prefix
    if group == "auxiliary":
        parameters, billions = WITH_AUXILIARY[cls]
        found = summary(model)
        assert found.parameters == parameters
        assert found.multiply_adds == pytest.approx(billions * 1e9, rel=5e-3)
