"""Losses as users write them: masked right, or refused by name before the first step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.targets import TargetKind
from mtl_tf.training.step.masked_loss import as_loss
from tests.helpers.inputs import batch, tiny_model

SIZE = (16, 16)
ONES = {"depth": np.ones((4, *SIZE), np.float32)}


def data(seed=0):
    """Targets that are NaN where invalid, which is another share of each image."""
    image, targets, _ = batch({"depth": 1}, 4, *SIZE, seed)
    valid = np.random.default_rng(seed).random((4, *SIZE)) < np.linspace(0.3, 0.9, 4)[:, None, None]
    targets["depth"][~valid] = np.nan
    return image, targets, {"depth": valid.astype(np.float32)}


def trainer(loss, tasks=("depth",), **options):
    keras.utils.set_random_seed(0)
    channels = {"depth": 1, "semseg": 5, "saliency": 1, "normals": 3}
    channels = {task: channels[task] for task in tasks}
    made = mtl.MultiTaskTrainer(tiny_model(tasks, *SIZE), channels)
    options.setdefault("run_eagerly", True)
    made.compile("sgd", loss=loss, metrics={task: [] for task in tasks}, **options)
    return made


def l1_pixels(y_true, y_pred):
    return tf.abs(y_true - y_pred)[..., 0]


def l1_map(y_true, y_pred):
    return tf.abs(y_true - y_pred)


def l1_image(y_true, y_pred):
    return tf.reduce_mean(tf.abs(y_true - y_pred), axis=(1, 2, 3))


def l1_scalar(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred))


class L1Loss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return tf.reduce_mean(tf.abs(y_true - y_pred))


L1 = {
    "mae": lambda: "mae",
    "a name in capitals": lambda: "MeanAbsoluteError",
    "pixels": lambda: l1_pixels,
    "map": lambda: l1_map,
    "image": lambda: l1_image,
    "scalar": lambda: l1_scalar,
    "own class": lambda: L1Loss(),
    "own class, not made": lambda: L1Loss,
    "reduction=None": lambda: keras.losses.MeanAbsoluteError(reduction=None),
    "reduction='none'": lambda: keras.losses.MeanAbsoluteError(reduction="none"),
    "reduction='mean'": lambda: keras.losses.MeanAbsoluteError(reduction="mean"),
    "a class of Keras": lambda: keras.losses.MeanAbsoluteError,
    "ours": lambda: mtl.losses.L1(),
}
OPTIONS = {
    "eager": {},
    "graph": {"run_eagerly": False},
    "compiled by XLA": {"run_eagerly": False, "jit_compile": True},
    "parts": {"micro_batches": 2},
    "pcgrad": {"balancing": "pcgrad"},
    "graddrop": {"balancing": "graddrop"},
}


def expected_l1(made, image, targets, masks):
    error = np.abs(made.predict(image, verbose=0)["depth"] - targets["depth"])
    return error[masks["depth"] > 0].mean()


@pytest.mark.parametrize("name", L1)
def test_every_form_is_the_mean_over_valid_pixels(name):
    image, targets, masks = data()
    made = trainer({"depth": L1[name]()})
    expected = expected_l1(made, image, targets, masks)
    logs = made.evaluate(image, targets, sample_weight=masks, verbose=0, return_dict=True)
    assert logs["depth_loss"] == pytest.approx(expected, rel=1e-5)
    logs = made.train_on_batch(image, targets, masks, return_dict=True)
    assert logs["depth_loss"] == pytest.approx(expected, rel=1e-5)
    assert all(np.isfinite(v.numpy()).all() for v in made.trainable_variables)


@pytest.mark.parametrize("form", ["scalar", "map"])
@pytest.mark.parametrize("name", OPTIONS)
def test_in_every_way_of_training(name, form):
    image, targets, masks = data()
    made = trainer({"depth": L1[form]()}, **OPTIONS[name])
    expected = expected_l1(made, image, targets, masks)
    history = made.fit(image, targets, sample_weight=masks, batch_size=4, verbose=0).history
    assert history["depth_loss"][0] == pytest.approx(expected, rel=1e-4)
    assert all(np.isfinite(v.numpy()).all() for v in made.trainable_variables)


@pytest.mark.parametrize("form", ["pixels", "image", "scalar"])
def test_the_gradient_is_that_of_the_library(form):
    image, targets, masks = data()
    moved = []
    for name in ("ours", form):
        made = trainer({"depth": L1[name]()})
        made.train_on_batch(image, targets, masks)
        moved.append(np.concatenate([np.ravel(v.numpy()) for v in made.trainable_variables]))
    np.testing.assert_allclose(moved[1], moved[0], rtol=1e-5, atol=1e-7)


def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        made = trainer({"depth": l1_scalar})
    finally:
        keras.mixed_precision.set_global_policy("float32")
    image, targets, masks = data()
    logs = made.train_on_batch(image, targets, masks, return_dict=True)
    expected = expected_l1(trainer({"depth": "mae"}), image, targets, masks)
    assert logs["depth_loss"] == pytest.approx(expected, rel=0.05)


# === Losses that are not linear ===


def log_error(y_true, y_pred):
    """Infinite, with an infinite derivative, at targets of 0."""
    return tf.square(tf.math.log(tf.abs(y_pred)) - tf.math.log(y_true))


def relative(y_true, y_pred):
    return tf.abs(y_true - y_pred) / y_true


def silog(y_true, y_pred):
    """Scale-invariant, one number per image (Eigen et al. 2014)."""
    d = tf.math.log(tf.abs(y_pred) + 1e-3) - tf.math.log(y_true)
    mean = tf.reduce_mean(d, axis=(1, 2, 3))
    return tf.reduce_mean(d**2, axis=(1, 2, 3)) - 0.5 * mean**2


def mean_silog(y_true, y_pred):
    return tf.reduce_mean(silog(y_true, y_pred))


def berhu(y_true, y_pred):
    """Its threshold looks at the whole batch (Laina et al. 2016)."""
    error = tf.abs(y_true - y_pred)
    limit = 0.2 * tf.stop_gradient(tf.reduce_max(error))
    return tf.where(error <= limit, error, (error**2 + limit**2) / (2 * limit))


def normed(y_true, y_pred):
    """A number per pixel that depends on the mean of its image."""
    return tf.abs(y_true - y_pred) / tf.reduce_mean(y_true, axis=(1, 2, 3), keepdims=True)


@pytest.mark.parametrize("loss", [log_error, relative, silog, mean_silog, berhu, normed])
def test_invalid_pixels_change_neither_loss_nor_gradient(loss):
    image, targets, masks = data()
    steps = []
    for fill in (np.nan, 0.0, 50.0):
        filled = {"depth": np.where(np.isnan(targets["depth"]), fill, targets["depth"])}
        made = trainer({"depth": loss})
        logs = made.train_on_batch(image, filled, masks, return_dict=True)
        flat = np.concatenate([np.ravel(v.numpy()) for v in made.trainable_variables])
        steps.append([logs["depth_loss"], *flat])
    assert np.isfinite(steps).all()
    np.testing.assert_array_equal(steps[1], steps[0])
    np.testing.assert_array_equal(steps[2], steps[0])


@pytest.mark.parametrize(
    "loss",
    [
        l1_scalar,
        log_error,
        silog,
        mean_silog,
        berhu,
        normed,
        keras.losses.Dice(),
        keras.losses.Tversky(0.3, 0.7),
        keras.losses.Huber(0.1),
    ],
)
def test_a_mask_of_ones_changes_nothing(loss):
    image, targets, _ = batch({"depth": 1}, 4, *SIZE)
    targets["depth"] /= 5
    made = trainer({"depth": loss})
    plain, masked = (
        made.evaluate(image, targets, sample_weight=m, verbose=0, return_dict=True)["depth_loss"]
        for m in (None, ONES)
    )
    assert masked == pytest.approx(plain, rel=1e-4)


def test_one_number_per_image_is_of_the_valid_pixels_of_that_image():
    image, targets, masks = data()
    made = trainer({"depth": silog})
    outputs = made.predict(image, verbose=0)["depth"]
    logs = made.evaluate(image, targets, sample_weight=masks, verbose=0, return_dict=True)
    of_images, counts = [], masks["depth"].sum(axis=(1, 2))
    for i in range(4):
        valid = masks["depth"][i] > 0
        row = [tf.constant(x[i][valid][None, :, None]) for x in (targets["depth"], outputs)]
        of_images.append(float(silog(*row)[0]))
    assert logs["depth_loss"] == pytest.approx(np.average(of_images, weights=counts), rel=1e-4)


def test_dice_of_valid_pixels():
    image, targets, masks = batch({"saliency": 1}, 4, *SIZE)
    masks["saliency"][:, :5] = 0
    wrong = {"saliency": targets["saliency"].copy()}
    wrong["saliency"][:, :5] = 1 - wrong["saliency"][:, :5]
    made = trainer({"saliency": lambda t, p: keras.losses.dice(t, tf.sigmoid(p))}, ("saliency",))
    losses = [
        made.evaluate(image, t, sample_weight=masks, verbose=0, return_dict=True)["saliency_loss"]
        for t in (targets, wrong)
    ]
    outputs = tf.sigmoid(made.predict(image, verbose=0)["saliency"])
    valid = masks["saliency"] > 0
    expected = keras.losses.dice(targets["saliency"][valid], tf.constant(outputs)[valid])
    np.testing.assert_allclose(losses, float(expected), rtol=1e-5)


# === What looks at neighbours ===


def ssim(y_true, y_pred):
    return 1 - tf.image.ssim(y_true, y_pred, max_val=10.0)


def ssim_map(y_true, y_pred):
    pool = lambda x: tf.nn.avg_pool2d(x, 3, 1, "SAME")  # noqa: E731
    return tf.square(pool(y_true) - pool(y_pred))[..., 0]


def gradients(y_true, y_pred):
    d = y_true - y_pred
    return tf.reduce_mean(tf.abs(d[:, 1:] - d[:, :-1])) + tf.reduce_mean(
        tf.abs(d[:, :, 1:] - d[:, :, :-1])
    )


def variation(y_true, y_pred):
    return tf.image.total_variation(y_true - y_pred) / 100


def cropped(y_true, y_pred):
    return tf.abs(y_true - y_pred)[:, 2:-2, 2:-2]


@pytest.mark.parametrize("loss", [ssim, ssim_map, gradients, variation, cropped])
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_spatial_losses_are_refused_by_name_with_masks_and_train_without(loss, run_eagerly):
    image, targets, masks = data()
    made = trainer({"depth": loss}, run_eagerly=run_eagerly)
    before = [v.numpy() for v in made.trainable_variables]
    for call in (made.fit, made.evaluate):
        with pytest.raises(ValueError, match=rf"'depth', {loss.__name__}, looks at the neigh"):
            call(image, targets, sample_weight=masks, verbose=0)
    for old, variable in zip(before, made.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    _, targets, _ = batch({"depth": 1}, 4, *SIZE)
    history = made.fit(image, targets, verbose=0).history
    assert np.isfinite(history["depth_loss"]).all()


def test_a_loss_that_knows_its_size_is_masked_where_pixels_stand_alone():
    weights = np.random.default_rng(0).random(SIZE).astype(np.float32)
    image, targets, masks = data()
    made = trainer({"depth": lambda t, p: tf.abs(t - p)[..., 0] * weights})
    logs = made.evaluate(image, targets, sample_weight=masks, verbose=0, return_dict=True)
    error = np.abs(made.predict(image, verbose=0)["depth"] - targets["depth"])[..., 0] * weights
    assert logs["depth_loss"] == pytest.approx(error[masks["depth"] > 0].mean(), rel=1e-4)


# === Classes and probabilities ===


def labels(**changes):
    image, targets, masks = batch({"semseg": 5}, 4, *SIZE)
    for rows, label in changes.items():
        targets["semseg"][:, : int(rows[1:])] = label
    return image, targets, masks


@pytest.mark.parametrize("ignored", [255, -1, 0])
@pytest.mark.parametrize("with_masks", [True, False])
def test_ignore_class_is_left_out(ignored, with_masks):
    image, targets, masks = labels(r4=ignored)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignored)
    made = trainer({"semseg": loss}, ("semseg",))
    weights = masks if with_masks else None
    logs = made.evaluate(image, targets, sample_weight=weights, verbose=0, return_dict=True)
    valid = targets["semseg"][..., 0] != ignored
    outputs = made.predict(image, verbose=0)["semseg"]
    values = keras.ops.sparse_categorical_crossentropy(
        np.where(valid, targets["semseg"][..., 0], 0), outputs, from_logits=True
    )
    assert logs["semseg_loss"] == pytest.approx(float(np.mean(values[valid])), rel=1e-4)
    made.fit(image, targets, sample_weight=weights, verbose=0)
    assert all(np.isfinite(v.numpy()).all() for v in made.trainable_variables)


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        "categorical_crossentropy",
        keras.losses.CategoricalCrossentropy(from_logits=True),
        keras.losses.CategoricalFocalCrossentropy(from_logits=True),
        keras.losses.Dice(),
        keras.losses.Tversky(),
        keras.losses.Huber,
        keras.losses.KLDivergence(),
        keras.losses.CategoricalHinge(),
    ],
)
def test_losses_of_keras_that_take_no_class_ids_are_refused(loss):
    with pytest.raises(ValueError, match=r"'semseg', .* takes no class ids.*Sparse"):
        trainer({"semseg": loss}, ("semseg",))


def test_own_losses_of_class_ids():
    def dice(y_true, y_pred):
        one_hot = tf.one_hot(tf.cast(y_true[..., 0], tf.int32), 5)
        return keras.losses.dice(one_hot, tf.nn.softmax(y_pred))

    def focal(y_true, y_pred):
        one_hot = tf.one_hot(tf.cast(y_true[..., 0], tf.int32), 5)
        return keras.losses.categorical_focal_crossentropy(one_hot, y_pred, from_logits=True)

    image, targets, masks = labels(r4=255)
    masks["semseg"][:, :4] = 0
    for loss in (dice, focal, lambda t, p: tf.reduce_mean(focal(t, p))):
        made = trainer({"semseg": loss}, ("semseg",))
        history = made.fit(image, targets, sample_weight=masks, verbose=0).history
        assert 0 < history["semseg_loss"][0] < 5


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        ("semseg", "sparse_categorical_crossentropy"),
        ("semseg", keras.losses.SparseCategoricalCrossentropy),
        ("semseg", keras.losses.SparseCategoricalCrossentropy(ignore_class=0)),
        ("saliency", "binary_crossentropy"),
        ("saliency", keras.losses.BinaryCrossentropy()),
        ("saliency", keras.losses.BinaryFocalCrossentropy(gamma=1.0)),
        ("depth", keras.losses.BinaryCrossentropy()),
    ],
)
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_raw_predictions_are_not_taken_for_probabilities(task, loss, run_eagerly):
    channels = {"semseg": 5, "depth": 1, "saliency": 1}
    image, targets, masks = batch({task: channels[task]}, 4, *SIZE)
    made = trainer({task: loss}, (task,), run_eagerly=run_eagerly)
    for call in (made.fit, made.evaluate):
        with pytest.raises(ValueError, match=f"'{task}'.*probabilities.*from_logits=True"):
            call(image, targets, sample_weight=masks, verbose=0)


def test_a_network_that_ends_in_a_softmax_may_have_them():
    model = tiny_model(("semseg",), *SIZE)
    outputs = keras.layers.Softmax()(model.output["semseg"])
    made = mtl.MultiTaskTrainer(keras.Model(model.input, {"semseg": outputs}), {"semseg": 5})
    made.compile("sgd", loss={"semseg": "sparse_categorical_crossentropy"}, metrics={"semseg": []})
    image, targets, masks = labels()
    assert (
        0 < made.fit(image, targets, sample_weight=masks, verbose=0).history["semseg_loss"][0] < 3
    )


# === Errors ===


def no_channel(y_true, y_pred):
    return tf.abs(y_true - y_pred[..., 0])


def raises(y_true, y_pred):
    raise RuntimeError("no luck")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (raises, r"'depth', raises, fails on targets .*\(distance\).*no luck"),
        (no_channel, r"'depth', no_channel, (fails|must return .*lost its channel)"),
        (lambda t, p: t[:, :3] - p, "'depth', <lambda>, fails"),
    ],
)
@pytest.mark.parametrize("with_masks", [True, False])
def test_a_loss_that_fails_is_named(loss, message, with_masks):
    image, targets, masks = batch({"depth": 1}, 1, *SIZE)
    made = trainer({"depth": loss})
    with pytest.raises(ValueError, match=message):
        made.fit(image, targets, sample_weight=masks if with_masks else None, verbose=0)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("hubber", "loss of task 'depth' must be a Keras loss.*'hubber'"),
        (3, "loss of task 'depth' must be"),
        ([keras.losses.Huber()], "loss of task 'depth' must be"),
        (keras.losses.Huber(reduction="sum"), "reduction='sum'.*loss_weights"),
    ],
)
def test_what_is_no_loss_is_refused_when_compiling(loss, message):
    with pytest.raises(ValueError, match=message):
        trainer({"depth": loss})
    with pytest.raises(ValueError, match="deth"):
        trainer({"deth": "mse"})


def test_no_valid_pixel_is_no_loss():
    for loss in (l1_scalar, silog, log_error):
        masked = as_loss(loss, "depth", TargetKind.DISTANCE)
        image, targets, _ = batch({"depth": 1}, 4, *SIZE)
        with tf.GradientTape() as tape:
            predicted = tf.constant(image[..., :1])
            tape.watch(predicted)
            value = masked(targets["depth"] * np.nan, predicted, np.zeros((4, *SIZE)))
        assert float(value) == 0
        assert not np.any(tape.gradient(value, predicted))
