"""What docs/migrating_from_addons.md names as a replacement computes what tensorflow-addons did.

`values.npz` was frozen by `generate_values.py`; the recipes are read from the page itself. All is
float32: unless a case says otherwise, a result may be off by 1e-5 of itself plus 1e-6.
"""

import operator
import pathlib
import re
import types

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from keras import ops

pytest.importorskip("keras", "3.15")  # the page is for this version and later ones

FOLDER = pathlib.Path(__file__).parent
PAGE = (FOLDER.parents[1] / "docs" / "migrating_from_addons.md").read_text()
VALUES = dict(np.load(FOLDER / "values.npz"))

REPLACEMENTS = {}  # case: a function of its inputs that must give its result, and the tolerance
PITFALLS = {}  # case: a function of its inputs that must not, because a note says so


def replaces(case, rtol=1e-5, atol=1e-6):
    def register(function):
        REPLACEMENTS[case] = function, {"rtol": rtol, "atol": atol}
        return function

    return register


def is_no_replacement_for(case):
    def register(function):
        PITFALLS[case] = function
        return function

    return register


def frozen(case):
    """Inputs of the case in their order, and what tensorflow-addons made of them."""
    *inputs, result = (value for key, value in VALUES.items() if key.split(":")[0] == case)
    return inputs, result


def read_recipes():
    names = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "migrating_from_addons.md", "exec"), names)
    return types.SimpleNamespace(**names)


recipes = read_recipes()


# Losses and activations


@replaces("losses.SigmoidFocalCrossEntropy")
def focal_loss(y_true, logits):
    loss = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.3, gamma=1.5, from_logits=True, reduction="none"
    )
    return loss(y_true, logits) * logits.shape[-1]


@is_no_replacement_for("losses.SigmoidFocalCrossEntropy")
def focal_loss_without_class_balancing(y_true, logits):
    loss = keras.losses.BinaryFocalCrossentropy(
        alpha=0.3, gamma=1.5, from_logits=True, reduction="none"
    )
    return loss(y_true, logits) * logits.shape[-1]


replaces("activations.gelu")(lambda x: keras.activations.gelu(x, approximate=True))
is_no_replacement_for("activations.gelu")(keras.activations.gelu)
replaces("activations.hardshrink")(keras.activations.hard_shrink)
replaces("activations.lisht")(lambda x: x * ops.tanh(x))
replaces("activations.mish")(keras.activations.mish)
replaces("activations.softshrink")(keras.activations.soft_shrink)
replaces("activations.sparsemax")(recipes.sparsemax)
replaces("activations.tanhshrink")(keras.activations.tanh_shrink)


# Layers


def normalised(layer, x, gamma, beta):
    layer.build(x.shape)
    layer.set_weights([gamma, beta])
    return layer(x)


@replaces("layers.GroupNormalization")
def group_normalization(*inputs):
    return normalised(keras.layers.GroupNormalization(groups=3), *inputs)


@replaces("layers.InstanceNormalization")
def instance_normalization(*inputs):
    return normalised(keras.layers.GroupNormalization(groups=-1), *inputs)


@replaces("layers.SpectralNormalization")
def spectral_normalization(x, kernel, vector_u):
    layer = keras.layers.SpectralNormalization(keras.layers.Conv2D(4, 3, use_bias=False))
    layer.build(x.shape)
    layer.kernel.assign(kernel)
    layer.vector_u.assign(vector_u)
    return ops.stack([layer(x, training=training) for training in (False, True, True, False)])


replaces("layers.AdaptiveAveragePooling2D")(keras.layers.AdaptiveAveragePooling2D((2, 3)))
replaces("layers.AdaptiveMaxPooling2D")(keras.layers.AdaptiveMaxPooling2D((2, 3)))


@replaces("layers.SpatialPyramidPooling2D")
def spatial_pyramid_pooling(x):
    return recipes.spatial_pyramid_pooling(x, [1, 2, 3])


@replaces("layers.MaxUnpooling2D")
def max_unpooling(x):
    pooled = tf.nn.max_pool_with_argmax(x, 2, 2, "VALID", include_batch_in_index=True)
    return recipes.max_unpooling(*pooled, tf.shape(x))


@replaces("layers.StochasticDepth")
def stochastic_depth(shortcut, residual):
    """Outputs without training, with the branch dropped, and with the branch kept."""
    keras.utils.set_random_seed(0)
    inputs = [keras.Input(x.shape[1:]) for x in (shortcut, residual)]
    model = keras.Model(inputs, recipes.stochastic_depth(*inputs, 0.75))
    trained = [model([shortcut, residual], training=True).numpy() for _ in range(32)]
    dropped, kept = sorted({x.tobytes(): x for x in trained}.values(), key=np.sum)
    return np.stack([model([shortcut, residual]), dropped, kept])


# Images


@replaces("image.gaussian_filter2d")
def gaussian_filter2d(images):
    return recipes.gaussian_filter2d(images, 5, (1.5, 0.7))


@is_no_replacement_for("image.gaussian_filter2d")
def gaussian_blur(images):
    return ops.image.gaussian_blur(images, (5, 5), (0.7, 1.5))


replaces("image.mean_filter2d")(lambda images: recipes.mean_filter2d(images, 3))
replaces("image.median_filter2d")(lambda images: recipes.median_filter2d(images, 3))
replaces("image.rotate")(recipes.rotate)


@replaces("image.translate")
def translate(images, translations):
    return recipes.translate(images, translations, "bilinear")


@replaces("image.transform")
def transform(images, transforms):
    return ops.image.affine_transform(images, transforms, "bilinear", fill_mode="reflect")


@is_no_replacement_for("image.transform")
def transform_with_default_fill(images, transforms):
    return ops.image.affine_transform(images, transforms)


@replaces("image.shear_x", rtol=0, atol=0)
def shear_x(image):
    shear = np.float32([1, 0.3, 0, 0, 1, 0, 0, 0])
    return ops.image.affine_transform(image, shear, "nearest", fill_value=128)


@replaces("image.shear_y", rtol=0, atol=0)
def shear_y(image):
    shear = np.float32([1, 0, 0, 0.3, 1, 0, 0, 0])
    return ops.image.affine_transform(image, shear, "nearest", fill_value=128)


@replaces("image.translate_xy", rtol=0, atol=0)
def translate_xy(image):
    return recipes.translate(image[None], np.float32([[2, -1]]), fill_value=128)[0]


replaces("image.dense_image_warp")(recipes.dense_image_warp)
replaces("image.interpolate_bilinear")(recipes.sample)


@replaces("image.resampler")
def resampler(images, points):
    return recipes.sample(images, points[..., ::-1], fill_mode="constant")


@replaces("image.adjust_hsv_in_yiq", rtol=0, atol=4e-3)  # addons' matrix has three digits
def adjust_hsv_in_yiq(images):
    return recipes.adjust_hsv_in_yiq(images, 0.7, 1.3, 0.8)


@replaces("image.sharpness", rtol=0, atol=1)  # addons gives bytes
def sharpness(images):
    return keras.layers.RandomSharpness((0.8, 0.8))(images, training=True)[:, 1:-1, 1:-1]


@replaces("image.euclidean_dist_transform")
def euclidean_dist_transform(masks):
    return np.stack([scipy.ndimage.distance_transform_edt(mask) for mask in masks])


@replaces("image.connected_components", rtol=0, atol=0)
def connected_components(mask):
    return scipy.ndimage.label(mask)[0]


# Metrics


def result(metric, y_true, y_pred):
    metric.update_state(y_true[:10], y_pred[:10])
    metric.update_state(y_true[10:], y_pred[10:])
    return metric.result()


def confusion(y_true, y_pred):
    return tf.math.confusion_matrix(y_true.argmax(-1), y_pred.argmax(-1), dtype=tf.float32)


replaces("metrics.F1Score")(lambda *values: result(keras.metrics.F1Score(), *values))
replaces("metrics.FBetaScore")(
    lambda *values: result(keras.metrics.FBetaScore("macro", 0.5, 0.4), *values)
)
replaces("metrics.RSquare")(lambda *values: result(keras.metrics.R2Score(), *values))
replaces("metrics.CohenKappa")(lambda *values: recipes.cohen_kappa(confusion(*values)))
replaces("metrics.MatthewsCorrelationCoefficient")(
    lambda *values: recipes.matthews_correlation(confusion(*values))
)


# Optimizers


def descend(optimizer, start, gradients, read=None):
    """The variable after each step."""
    variable = keras.Variable(start)
    optimizer.build([variable])
    path = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
        path.append(ops.convert_to_numpy(read() if read else variable))
    return np.stack(path)


@replaces("optimizers.AdamW")
def adamw(*inputs):
    return descend(keras.optimizers.AdamW(0.05, weight_decay=0.02 / 0.05), *inputs)


@is_no_replacement_for("optimizers.AdamW")
def adamw_with_the_same_decay(*inputs):
    return descend(keras.optimizers.AdamW(0.05, weight_decay=0.02), *inputs)


@replaces("optimizers.SGDW")
def sgdw(*inputs):
    return descend(keras.optimizers.SGD(0.05, momentum=0.9, weight_decay=0.02 / 0.05), *inputs)


@replaces("optimizers.LAMB")
def lamb(*inputs):
    return descend(keras.optimizers.Lamb(0.05, epsilon=1e-6), *inputs)


@replaces("optimizers.MovingAverage")
def moving_average(*inputs):
    optimizer = keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8)
    return descend(optimizer, *inputs, read=lambda: optimizer._model_variables_moving_average[0])


@replaces("optimizers.MultiOptimizer")
def multi_optimizer(start, gradients):
    trunk, head = (keras.Variable(start, name=name) for name in ("trunk", "head"))
    optimizer = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(
            keras.optimizers.SGD(0.05), {"head.*": keras.optimizers.Adam(0.01)}
        )
    )
    for gradient in gradients:
        optimizer.apply([gradient, gradient], [trunk, head])
    return ops.stack([trunk.value, head.value])


@pytest.mark.parametrize("case", REPLACEMENTS)
def test_replacement(case):
    function, tolerance = REPLACEMENTS[case]
    inputs, expected = frozen(case)
    actual = ops.convert_to_numpy(function(*inputs))
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, **tolerance)


@pytest.mark.parametrize("case", PITFALLS)
def test_pitfall(case):
    """The notes warn with reason, and `test_replacement` would see the difference."""
    inputs, expected = frozen(case)
    actual = ops.convert_to_numpy(PITFALLS[case](*inputs))
    assert actual.shape == expected.shape
    assert not np.allclose(actual, expected, **REPLACEMENTS[case][1])


IN_GRAPHS = [
    "layers.MaxUnpooling2D",
    "layers.SpatialPyramidPooling2D",
    "image.gaussian_filter2d",
    "image.mean_filter2d",
    "image.median_filter2d",
    "image.rotate",
    "image.translate",
    "image.dense_image_warp",
    "image.resampler",
    "image.adjust_hsv_in_yiq",
]


@pytest.mark.parametrize("case", IN_GRAPHS)
def test_recipe_in_a_graph(case):
    """As in a training step or `tf.data`: traced with an unknown batch size."""
    function, tolerance = REPLACEMENTS[case]
    inputs, expected = frozen(case)
    signature = [tf.TensorSpec((None, *x.shape[1:]), x.dtype) for x in inputs]
    actual = tf.function(function, input_signature=signature)(*inputs)
    np.testing.assert_allclose(actual, expected, **tolerance)


def test_rows_marked_as_checked_are_the_cases():
    rows = re.findall(r"^\| `([\w.]+)` \|[^|]*\| ✓ \|", PAGE, re.MULTILINE)
    assert len(rows) == PAGE.count("| ✓ |") - 1  # the head of the table
    assert sorted(rows) == sorted(REPLACEMENTS) == sorted({key.split(":")[0] for key in VALUES})


def test_names_on_the_page_exist():
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
    names = set(re.findall(r"`((?:keras|tf|scipy)(?:\.\w+)+)", table))
    assert len(names) >= 30
    for name in names:
        package, path = name.split(".", 1)
        operator.attrgetter(path)({"keras": keras, "tf": tf, "scipy": scipy}[package])
    for recipe in re.findall(r"recipe `(\w+)`", table):
        assert callable(getattr(recipes, recipe))
