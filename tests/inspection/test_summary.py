"""Parameters and multiply-adds of small models, counted by hand."""

import keras
import pytest
from keras import layers

import mtl_tf as mtl
from mtl_tf.inspection.cost import part_of
from tests.helpers.inputs import tiny_backbone

TASKS = {"semseg": 5, "depth": 1}
# Of tiny_backbone(16, 24): 3x3 convolutions of stride 2, to 4, 8 and 12 channels, with norms.
BACKBONE = (
    3 * 9 * 4 + 4 * 9 * 8 + 8 * 9 * 12 + 2 * (4 + 8 + 12),
    96 * 3 * 9 * 4 + 24 * 4 * 9 * 8 + 6 * 8 * 9 * 12,
)


def head_cost(task_channels):
    """Of the "conv" head on those maps: laterals, two 3x3 convolutions with norms, prediction."""
    laterals = [(96, 4 * 64), (24, 8 * 64), (6, 12 * 64)]
    fine = 2 * 64 * 9 * 64 + 64 * task_channels
    parameters = sum(n + 64 for _, n in laterals) + fine + 2 * 2 * 64 + task_channels
    return parameters, sum(positions * n for positions, n in laterals) + 96 * fine


def cost(pair):
    return mtl.architectures.Cost(*pair)


def test_parts_of_a_shared_trunk():
    model = mtl.architectures.SharedTrunk(tiny_backbone(), TASKS, (16, 24, 3))
    heads = [sum(pair) for pair in zip(*map(head_cost, TASKS.values()), strict=True)]
    expected = {"backbone": cost(BACKBONE), "exchange": cost((0, 0)), "heads": cost(heads)}
    found = mtl.architectures.summary(model)
    assert found.parts == expected
    assert found.parameters == BACKBONE[0] + heads[0]
    assert found.multiply_adds == BACKBONE[1] + heads[1]


def test_parts_of_cross_stitch():
    model = mtl.architectures.CrossStitch(tiny_backbone(), TASKS, (16, 24, 3))
    parts = mtl.architectures.summary(model).parts
    assert parts["backbone"] == cost([2 * n for n in BACKBONE])
    assert parts["exchange"] == cost((2 * 2 * (4 + 8 + 12), 0))  # products are not counted


def test_a_reloaded_model_costs_the_same(tmp_path):
    model = mtl.architectures.SharedTrunk(tiny_backbone(), TASKS, (16, 24, 3), modulation=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert mtl.architectures.summary(again).parts == mtl.architectures.summary(model).parts


def test_a_layer_used_twice_is_computed_twice_and_stored_once():
    x = keras.Input((6, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same", use_bias=False)
    found = mtl.architectures.summary(keras.Model(x, shared(shared(x))))
    assert (found.parameters, found.multiply_adds) == (81, 2 * 48 * 81)


def test_models_inside_models_dense_layers_strides_groups_and_depthwise():
    x = keras.Input((6, 8, 4))
    inner = keras.Model(x, layers.Conv2D(6, 3, strides=2, padding="same")(x))
    y = keras.Input((6, 8, 4))
    z = layers.Add()([inner(y), inner(layers.ReLU()(y))])  # [3, 4, 6]
    z = layers.Conv2D(6, 1, groups=3)(z)
    z = layers.DepthwiseConv2D(3, padding="same")(z)
    z = layers.Dense(5)(layers.GlobalAveragePooling2D()(z))
    found = mtl.architectures.summary(keras.Model(y, z))
    assert found.parameters == (4 * 9 * 6 + 6) + (2 * 6 + 6) + (9 * 6 + 6) + (6 * 5 + 5)
    assert found.multiply_adds == 2 * 12 * 4 * 9 * 6 + 12 * 2 * 6 + 12 * 9 * 6 + 6 * 5


def test_frozen_variables_are_not_counted():
    model = mtl.architectures.SharedTrunk(tiny_backbone(), TASKS, (16, 24, 3))
    before = mtl.architectures.summary(model)
    for layer in model.layers:
        if part_of(layer) == "backbone":
            layer.trainable = False
    after = mtl.architectures.summary(model)
    assert after.parts["backbone"] == cost((0, BACKBONE[1]))
    assert after.parameters == before.parameters - BACKBONE[0]


def test_a_table_is_printed():
    text = str(mtl.architectures.Summary({"backbone": cost((1234, 5)), "heads": cost((1, 1))}))
    rows = [line.split() for line in text.splitlines()]
    assert rows == [
        ["part", "parameters", "multiply-adds"],
        ["backbone", "1,234", "5"],
        ["heads", "1", "1"],
        ["all", "1,235", "6"],
    ]
    assert len({len(line) for line in text.splitlines()}) == 1


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("backbone.depth.conv1", "backbone"),
        ("decoder.0", "heads"),
        ("decoders.depth.4", "heads"),
        ("heads.depth.4", "heads"),
        ("nddr.conv.layer.depth.0", "exchange"),
        ("depth", "exchange"),
    ],
)
def test_a_layers_name_tells_its_part(name, part):
    assert part_of(layers.ReLU(name=name)) == part
