"""Multiply-adds of Keras layers, functions and custom layers, against formulas; or a refusal."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import mtl_tf as mtl
from mtl_tf.inspection import layer_costs
from mtl_tf.inspection.layer_costs import rule_of
from mtl_tf.inspection.traced_costs import traced

H, W, C = 6, 8, 4
N = H * W


def counted(build, *shapes):
    inputs = [keras.Input(shape) for shape in shapes or ((H, W, C),)]
    return mtl.architectures.summary(keras.Model(inputs, build(*inputs))).multiply_adds


def kernel(*shape):
    return np.ones(shape, "float32")


# === Layers of Keras ===

CONVOLUTIONS = {
    "Conv1D": (lambda x: layers.Conv1D(5, 3, padding="causal")(x), (7, C), 7 * 3 * C * 5),
    "Conv2D, strides": (lambda x: layers.Conv2D(5, 3, 2)(x), (H, W, C), 2 * 3 * 9 * C * 5),
    "Conv2D, dilated": (
        lambda x: layers.Conv2D(5, 3, dilation_rate=2, padding="same")(x),
        (H, W, C),
        N * 9 * C * 5,
    ),
    "Conv2D, groups": (lambda x: layers.Conv2D(6, 1, groups=2)(x), (H, W, C), N * 2 * 6),
    "Conv2D, channels first": (
        lambda x: layers.Conv2D(5, 3, padding="same", data_format="channels_first")(x),
        (C, H, W),
        N * 9 * C * 5,
    ),
    "Conv3D": (lambda x: layers.Conv3D(5, 2, padding="same")(x), (3, H, W, C), 3 * N * 8 * C * 5),
    "Conv1DTranspose": (lambda x: layers.Conv1DTranspose(5, 3, 2)(x), (7, C), 7 * 3 * C * 5),
    "Conv2DTranspose": (lambda x: layers.Conv2DTranspose(5, 3, 2)(x), (H, W, C), N * 9 * C * 5),
    "Conv3DTranspose": (
        lambda x: layers.Conv3DTranspose(5, 2, 2)(x),
        (2, H, W, C),
        2 * N * 8 * C * 5,
    ),
    "DepthwiseConv1D": (lambda x: layers.DepthwiseConv1D(3, padding="same")(x), (7, C), 7 * 3 * C),
    "DepthwiseConv2D, multiplier": (
        lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x),
        (H, W, C),
        N * 9 * C * 2,
    ),
    "SeparableConv1D": (
        lambda x: layers.SeparableConv1D(5, 3, padding="same")(x),
        (7, C),
        7 * (3 * C + C * 5),
    ),
    "SeparableConv2D, multiplier": (
        lambda x: layers.SeparableConv2D(5, 3, depth_multiplier=2, padding="same")(x),
        (H, W, C),
        N * (9 * C * 2 + C * 2 * 5),
    ),
}
DENSE = {
    "Dense, rank 2": (lambda x: layers.Dense(5)(x), (C,), C * 5),
    "Dense, rank 4": (lambda x: layers.Dense(5)(x), (H, W, C), N * C * 5),
    "EinsumDense": (
        lambda x: layers.EinsumDense("abc,cde->abde", (None, 2, 5))(x),
        (7, C),
        7 * C * 2 * 5,
    ),
    "EinsumDense, ellipsis": (
        lambda x: layers.EinsumDense("...x,xy->...y", 5)(x),
        (7, C),
        7 * C * 5,
    ),
    "Embedding": (lambda x: layers.Embedding(9, 5)(x), (7,), 0),
    "TimeDistributed": (
        lambda x: layers.TimeDistributed(layers.Conv2D(5, 1))(x),
        (3, H, W, C),
        3 * N * C * 5,
    ),
    "SpectralNormalization": (
        lambda x: layers.SpectralNormalization(layers.Conv2D(5, 1))(x),
        (H, W, C),
        N * C * 5,
    ),
    "Dot": (lambda x, y: layers.Dot(axes=2)([x, y]), (7, C), (9, C), 7 * 9 * C),
}
RECURRENT = {
    "SimpleRNN": (lambda x: layers.SimpleRNN(5)(x), (7, C), 7 * (C * 5 + 5 * 5)),
    "LSTM": (lambda x: layers.LSTM(5)(x), (7, C), 7 * 4 * (C * 5 + 5 * 5)),
    "GRU": (lambda x: layers.GRU(5, return_sequences=True)(x), (7, C), 7 * 3 * (C * 5 + 5 * 5)),
    "Bidirectional": (
        lambda x: layers.Bidirectional(layers.LSTM(5))(x),
        (7, C),
        2 * 7 * 4 * (C * 5 + 5 * 5),
    ),
    "RNN of two cells": (
        lambda x: layers.RNN([layers.LSTMCell(5), layers.GRUCell(3)])(x),
        (7, C),
        7 * (4 * (C * 5 + 5 * 5) + 3 * (5 * 3 + 3 * 3)),
    ),
    "ConvLSTM2D": (
        lambda x: layers.ConvLSTM2D(5, 3, padding="same")(x),
        (3, H, W, C),
        3 * N * 9 * 4 * (C * 5 + 5 * 5),
    ),
}
ATTENTION = {
    "MultiHeadAttention": (  # two heads of 3: projections, then both products
        lambda x, y: layers.MultiHeadAttention(2, 3, value_dim=5)(x, y),
        (7, C),
        (9, 11),
        7 * C * 6 + 9 * 11 * 6 + 9 * 11 * 10 + 7 * 10 * C + 7 * 9 * (6 + 10),
    ),
    "MultiHeadAttention over two axes": (
        lambda x: layers.MultiHeadAttention(2, 3, attention_axes=(1, 2))(x, x),
        (H, W, C),
        4 * N * C * 6 + 2 * N * N * 6,
    ),
    "GroupQueryAttention": (  # four heads of 3 for queries, two for keys and values
        lambda x, y: layers.GroupQueryAttention(3, 4, 2)(x, y),
        (7, C),
        (9, C),
        2 * 7 * C * 12 + 2 * 9 * C * 6 + 2 * 7 * 9 * 12,
    ),
    "Attention": (lambda x, y: layers.Attention()([x, y]), (7, C), (9, C), 2 * 7 * 9 * C),
    "AdditiveAttention": (
        lambda x, y: layers.AdditiveAttention()([x, y]),
        (7, C),
        (9, C),
        2 * 7 * 9 * C,
    ),
}
LAYERS = CONVOLUTIONS | DENSE | RECURRENT | ATTENTION


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_keras(name):
    build, *shapes, expected = LAYERS[name]
    assert counted(build, *shapes) == expected


@pytest.mark.parametrize("name", [*CONVOLUTIONS, *RECURRENT, "Dense, rank 2", "Dense, rank 4"])
def test_rules_say_what_tensorflow_computes(name):
    build, *shapes, expected = LAYERS[name]
    x = keras.Input(batch_shape=(2, *shapes[0]))
    build(x)
    layer = x._keras_history.operation._outbound_nodes[0].operation
    made, cost = traced(layer, (keras.KerasTensor(x.shape),), {})
    assert cost == 2 * expected
    if (rule := rule_of(layer)) is not None:
        assert rule(layer, [x.shape], [made.shape]) == 2 * expected


FREE = [
    layers.BatchNormalization(),
    layers.LayerNormalization(),
    layers.GroupNormalization(2),
    layers.ReLU(),
    layers.PReLU(),
    layers.Activation("gelu"),
    layers.Softmax(),
    layers.Dropout(0.5),
    layers.MaxPooling2D(),
    layers.AveragePooling2D(2),
    layers.GlobalAveragePooling2D(),
    layers.UpSampling2D(2, interpolation="bilinear"),
    layers.Resizing(3, 5),
    layers.Reshape((-1,)),
    layers.ZeroPadding2D(),
    layers.Cropping2D(),
    layers.Rescaling(0.5),
    layers.RandomRotation(0.1),
]


@pytest.mark.parametrize("layer", FREE, ids=lambda layer: type(layer).__name__)
def test_normalisation_activations_pooling_and_resizing_are_free(layer):
    assert counted(layer) == 0


# === Functions and custom layers ===

FUNCTIONS = {
    "matmul": (lambda x, y: ops.matmul(x, y), (7, C), (C, 9), 7 * C * 9),
    "operator": (lambda x: x @ kernel(C, 9), (7, C), 7 * C * 9),
    "einsum": (lambda x, y: ops.einsum("bic,bjc->bij", x, y), (7, C), (9, C), 7 * C * 9),
    "dot": (lambda x: ops.dot(x, kernel(C, 9)), (7, C), 7 * C * 9),
    "tensordot": (lambda x: ops.tensordot(x, kernel(C, 9), 1), (7, C), 7 * C * 9),
    "sum of products": (
        lambda x, y: ops.sum(x[:, :, None] * y[:, None], -1),
        (7, C),
        (9, C),
        7 * C * 9,
    ),
    "conv": (lambda x: ops.conv(x, kernel(3, 3, C, 5), 1, "same"), (H, W, C), N * 9 * C * 5),
    "conv, dilated": (
        lambda x: ops.conv(x, kernel(3, 3, C, 5), 1, "same", dilation_rate=2),
        (H, W, C),
        N * 9 * C * 5,
    ),
    "depthwise_conv": (
        lambda x: ops.depthwise_conv(x, kernel(3, 3, C, 1), 1, "same"),
        (H, W, C),
        N * 9 * C,
    ),
    "dot_product_attention": (
        lambda q, k: ops.dot_product_attention(q, k, k),
        (7, 2, 3),
        (9, 2, 3),
        2 * 7 * 9 * 6,
    ),
    "Lambda": (
        lambda x: layers.Lambda(lambda y: tf.matmul(y, y, transpose_b=True))(x),
        (7, C),
        7 * 7 * C,
    ),
    "Lambda, sum of products": (
        lambda x: layers.Lambda(lambda y: tf.reduce_sum(y[..., None] * kernel(C, 9), 2))(x),
        (7, C),
        7 * C * 9,
    ),
    "tf.function": (
        lambda x: layers.Lambda(tf.function(lambda y: y @ kernel(C, 9), jit_compile=True))(x),
        (7, C),
        7 * C * 9,
    ),
    "map": (lambda x: ops.map(lambda y: y @ kernel(C, 9), x), (7, C), 7 * C * 9),
    "arithmetic": (lambda x: ops.sigmoid(x) * x + ops.max(x, 1, keepdims=True) / 3, (7, C), 0),
    "softmax of a slice": (lambda x: ops.softmax(ops.transpose(x[:, 1:], (0, 2, 1))), (7, C), 0),
    "resize": (lambda x: ops.image.resize(x, (3, 5)), (H, W, C), 0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    build, *shapes, expected = FUNCTIONS[name]
    assert counted(build, *shapes) == expected


class Mixing(layers.Layer):
    """A layer of one's own with a matrix."""

    def build(self, shape):
        self.matrix = self.add_weight(shape=(shape[-1], 5))
        self.position = self.add_weight(shape=shape[1:])

    def call(self, x):
        return ops.matmul(x + self.position, self.matrix)


class Block(layers.Layer):
    """A layer made of layers, one in a loop, and of a loss that is no part of the prediction."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Conv2D(C, 3, padding="same"), layers.Dense(C)
        self.dropout = layers.Dropout(0.5, seed=1)

    def build(self, shape):
        self.first.build(shape)
        self.second.build(shape)

    def call(self, x, training=None):
        for _ in range(2):
            x = self.dropout(self.first(x), training=training)
        self.add_loss(ops.sum(ops.matmul(x, ops.swapaxes(x, -1, -2))))
        return self.second(x)


class Sum(keras.Model):
    """A subclassed network inside a functional one."""

    def __init__(self):
        super().__init__()
        self.branches = [layers.Conv2D(5, 1), layers.Conv2D(5, 1)]

    def call(self, x):
        return sum(branch(x) for branch in self.branches)


class Doubled(layers.Dense):
    """Not what its base computes."""

    def call(self, x):
        return super().call(super().call(x))


class Wrapped(layers.Wrapper):
    def call(self, x):
        return self.layer(x) + 1.0


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Mixing(), N * C * 5),
        (Block(), 2 * N * 9 * C * C + N * C * C),
        (Sum(), 2 * N * C * 5),
        (Doubled(C), 2 * N * C * C),
        (Wrapped(layers.Conv2D(5, 1)), N * C * 5),
    ],
    ids=lambda x: type(x).__name__,
)
def test_custom_layers(layer, expected):
    assert counted(layer) == expected


def test_counting_leaves_no_trace():
    image = keras.Input((H, W, C))
    block = Block()
    model = keras.Model(image, block(image))
    before = [v.numpy() for v in model.variables], len(block._inbound_nodes)
    mtl.architectures.summary(model)
    assert model.losses == [] and len(block._inbound_nodes) == before[1]
    for variable, value in zip(model.variables, before[0], strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


# === What cannot be counted ===


class Opaque(layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.numpy_function(lambda y: y @ y.T, [x], tf.float32), x.shape)

    def compute_output_shape(self, shape):
        return shape


class Open(Opaque):
    """Says what it costs."""

    def multiply_adds(self, input_shapes, output_shapes):
        assert input_shapes == output_shapes == [(1, H, W, C)]
        return 1234


def until_large(x):
    return tf.while_loop(
        lambda y: tf.reduce_sum(y) < 1e9, lambda y: [tf.matmul(y, kernel(C, C))], [x]
    )[0]


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Opaque(name="secret"), "PyFunc"),
        (layers.Lambda(until_large, name="secret"), "unknown number of times"),
        (layers.Lambda(lambda x: tf.signal.rfft(x), name="secret"), "RFFT"),
        (layers.Lambda(lambda x: tf.linalg.svd(x, compute_uv=False), name="secret"), "Svd"),
    ],
)
def test_what_cannot_be_counted_is_refused_by_name(layer, reason):
    with pytest.raises(ValueError, match=rf"'secret'.*{reason}.*multiply_adds\(input_shapes"):
        counted(layer)
    inner = keras.Input((H, W, C))
    model = keras.Model(inner, layer(inner))
    with pytest.raises(ValueError, match="'secret'"):
        counted(lambda x: layers.ReLU()(model(x)))


def test_a_layer_may_say_what_it_costs():
    assert counted(Open()) == 1234
    inner = keras.Sequential([Open(), layers.Dense(2)])
    assert counted(lambda x: inner(inner(x)[..., :1] * x)) == 2 * (1234 + N * C * 2)


def test_no_count_without_a_size_or_a_graph():
    image = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match=r"fixed one.*\(None, None, None, 3\)"):
        mtl.architectures.summary(keras.Model(image, layers.Conv2D(2, 1)(image)))
    with pytest.raises(ValueError, match=r"functional.*Sum"):
        mtl.architectures.summary(Sum())
    trainer = mtl.MultiTaskTrainer(
        mtl.architectures.SharedTrunk("resnet18", {"depth": 1}, (32, 32, 3), head="conv"),
        {"depth": 1},
    )
    with pytest.raises(ValueError, match=r"MultiTaskTrainer, use its \.network"):
        mtl.architectures.summary(trainer)


# === Graphs ===


def test_models_inside_models_at_the_size_they_are_called_with():
    image = keras.Input((None, None, C))
    inner = keras.Model(image, layers.Conv2D(C, 3, padding="same")(image))
    assert counted(lambda x: inner(layers.MaxPooling2D()(inner(x)))) == (N + N // 4) * 9 * C * C


def test_inputs_by_name():
    first, second = keras.Input((7, C), name="b"), keras.Input((9, 5), name="a")
    outputs = [layers.Dense(2)(first), layers.Dense(3)(second)]
    inner = keras.Model([first, second], outputs)
    found = counted(lambda x, y: inner({"a": y, "b": x}), (7, C), (9, 5))
    assert found == 7 * C * 2 + 9 * 5 * 3


def test_windows_that_are_cut_into_the_batch():
    def windows(x):
        cut = ops.reshape(x, (-1, 2, H // 2, 2, W // 2, C))
        cut = ops.reshape(ops.transpose(cut, (0, 1, 3, 2, 4, 5)), (-1, N // 4, C))
        return layers.MultiHeadAttention(2, 3)(cut, cut)

    assert counted(windows) == 4 * N * C * 6 + 2 * 4 * (N // 4) ** 2 * 6


def test_a_fixed_batch_counts_for_one_image():
    image = keras.Input(batch_shape=(8, H, W, C))
    model = keras.Model(image, layers.Dense(2)(layers.Conv2D(5, 1)(image)))
    assert mtl.architectures.summary(model).multiply_adds == N * (C * 5 + 5 * 2)


def test_variables_of_two_places_count_once():
    shared = layers.Dense(C)
    image = keras.Input((H, W, C))
    inner = keras.Model(image, shared(image))
    found = mtl.architectures.summary(keras.Model(image, shared(inner(image))))
    assert (found.parameters, found.multiply_adds) == (C * C + C, 2 * N * C * C)


def test_affinities_of_the_decoders():
    tasks, shape, k = {"semseg": 5, "depth": 1}, (64, 128, 3), 2
    found = {}
    for cls in (mtl.architectures.PAPNet, mtl.architectures.PSD):
        model = cls("resnet18", tasks, shape)
        found[cls] = [
            sum(
                cost
                for layer, cost in mtl.inspection.call_costs.multiply_adds(model.outputs)
                if isinstance(layer, kind)
            )
            for kind in (
                mtl.layers.AffinityPropagation,
                mtl.layers.LocalAffinity,
                mtl.layers.LocalDiffusion,
            )
        ]
        for layer in model.layers:
            if isinstance(layer, mtl.layers.AffinityPropagation):
                embeddings, features = layer._inbound_nodes[0].arguments.args
                places = features[0].shape[1] * features[0].shape[2]
                depth = sum(x.shape[-1] for x in embeddings)
                expected = k * layer.steps * places**2 * (depth + features[0].shape[-1])
                assert found[cls] == [expected, 0, 0]
            if isinstance(layer, mtl.layers.LocalAffinity):
                queries = layer._inbound_nodes[0].input_tensors[0]
                assert found[cls][1] % (np.prod(queries.shape[1:]) * layer.size**2) == 0
    assert found[mtl.architectures.PSD][0] == 0
    assert min(found[mtl.architectures.PSD][1:]) > 0


# === Published numbers ===

PUBLISHED = {  # billions, as the papers or the model cards of the weights have them
    "MobileNetV2": (224, 0.30),
    "EfficientNetB0": (224, 0.39),
    "MobileNetV3Large": (224, 0.219),
    "Xception": (299, 8.4),
    "ConvNeXtTiny": (224, 4.5),
    "ResNet50V2": (224, 3.5),
    "MobileNet": (224, 0.569),
    "MobileNetV3Small": (224, 0.056),
    "VGG16": (224, 15.5),
    "ResNet50": (224, 3.86),
    "ResNet101": (224, 7.6),
    "DenseNet121": (224, 2.83),
    "InceptionV3": (299, 5.7),
    "InceptionResNetV2": (299, 13.2),
    "NASNetMobile": (224, 0.564),
    "NASNetLarge": (331, 23.8),
    "EfficientNetV2B0": (224, 0.72),
    "ConvNeXtBase": (224, 15.4),
}
QUICK = ("MobileNetV2", "EfficientNetB0", "Xception", "ConvNeXtTiny")


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in PUBLISHED]
)
def test_networks_of_keras_cost_what_was_published(name):
    size, billions = PUBLISHED[name]
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    found = mtl.architectures.summary(model).multiply_adds
    assert found / 1e9 == pytest.approx(billions, rel=0.025)


@pytest.mark.filterwarnings("ignore:Layer 'attn'.* does not support masking:UserWarning")
def test_transformers_of_keras_hub():
    models = pytest.importorskip("keras_hub").models
    vit = models.ViTBackbone(
        image_shape=(224, 224, 3),
        patch_size=16,
        num_layers=12,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
    )
    n, d = 197, 192  # tokens, channels
    layer = n * 4 * d * d + 2 * n * n * d + 2 * n * d * 4 * d
    expected = 196 * 16 * 16 * 3 * d + 12 * layer
    assert mtl.architectures.summary(vit).multiply_adds == expected
    swin = models.SwinTransformerBackbone(
        image_shape=(224, 224, 3),
        patch_size=4,
        embed_dim=96,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        window_size=7,
    )
    found = mtl.architectures.summary(swin).multiply_adds
    assert found / 1e9 == pytest.approx(4.5, rel=0.01)


def test_the_free_layers_of_keras_have_a_rule():
    names = layer_costs._FREE_IN_KERAS.split()
    present = [name for name in names if hasattr(keras.layers, name)]
    assert len(present) > 60
    for name in present:
        layer = getattr(keras.layers, name)
        assert layer_costs._RULES[layer] is layer_costs._free, name
