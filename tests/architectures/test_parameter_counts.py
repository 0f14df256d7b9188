"""Trainable parameters of survey.md 1.2, 1.3 and 5.5, exactly."""

import numpy as np
import pytest

import mtl_tf as mtl

N2 = {"semseg": 40, "depth": 1}
N4 = {"semseg": 40, "normals": 3, "edges": 1, "depth": 1}
P5 = {"semseg": 21, "human_parts": 7, "saliency": 1, "normals": 3, "edges": 1}
P3 = {"semseg": 21, "human_parts": 7, "saliency": 1}


def count(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(
    ("backbone", "tasks", "expected"),
    [
        ("resnet18", N2, 20_631_401),
        ("resnet18", N4, 30_076_781),
        ("resnet18", P5, 34_795_873),
        ("resnet18", P3, 25_350_493),
        ("resnet50", N2, 55_769_449),
        ("resnet50", N4, 88_021_357),
        ("resnet50", P5, 104_143_713),
        ("resnet50", P3, 71_891_805),
    ],
)
def test_shared_trunk(backbone, tasks, expected):
    assert count(mtl.architectures.SharedTrunk(backbone, tasks, (64, 64, 3))) == expected


@pytest.mark.parametrize(
    ("backbone", "task", "channels", "expected"),
    [
        ("resnet18", "semseg", 40, 15_908_968),
        ("resnet18", "depth", 1, 15_898_945),
        ("resnet18", "normals", 3, 15_899_459),
        ("resnet18", "semseg", 21, 15_904_085),
        ("resnet18", "human_parts", 7, 15_900_487),
        ("resnet50", "semseg", 40, 39_643_752),
        ("resnet50", "edges", 1, 39_633_729),
        ("resnet50", "normals", 3, 39_634_243),
        ("resnet50", "semseg", 21, 39_638_869),
    ],
)
def test_single_task(backbone, task, channels, expected):
    model = mtl.architectures.SingleTask(backbone, {task: channels}, (64, 64, 3))
    assert count(model) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", 11_176_512),
        ("resnet34", 21_284_672),
        ("resnet50", 23_508_032),
        ("resnet101", 42_500_160),
    ],
)
def test_backbone(name, expected):
    assert count(mtl.backbones.build(name, (64, 64, 3))) == expected
