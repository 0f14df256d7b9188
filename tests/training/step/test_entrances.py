"""What a trainer takes: batches of every form, networks of every make; the rest it names."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import batch, tiny_model
from tests.helpers.slow import slow_but

CHANNELS = {"semseg": 5, "depth": 1}
SIZE = (8, 8)


def data(size=4):
    return batch(CHANNELS, size, *SIZE)


def trainer(model=None, tasks=CHANNELS, **options):
    keras.utils.set_random_seed(0)
    made = mtl.MultiTaskTrainer(model or tiny_model(tuple(CHANNELS), *SIZE), tasks)
    names = [getattr(task, "name", task) for task in tasks]
    options.setdefault("metrics", {name: [] for name in names})
    options.setdefault("run_eagerly", True)
    made.compile("sgd", **options)
    return made


def losses(made, *args, **kwargs):
    history = made.fit(*args, verbose=0, shuffle=False, **kwargs).history
    return {name: values[0] for name, values in history.items()}


# === Masks ===

PARTLY = np.random.default_rng(1).random((4, *SIZE)) < 0.6


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.int64, np.float16, np.float64])
@pytest.mark.parametrize("loss", [None, {"depth": "mse"}])
def test_masks_of_any_dtype(dtype, loss):
    image, targets, _ = data()
    found = [
        losses(
            trainer(loss=loss),
            image,
            targets,
            sample_weight={task: PARTLY.astype(kind) for task in CHANNELS},
        )
        for kind in (np.float32, dtype)
    ]
    assert found[0] == found[1]


def test_a_mask_of_none_is_valid_everywhere():
    image, targets, masks = data()
    one = {"depth": PARTLY, "semseg": None}
    other = {"depth": PARTLY, "semseg": masks["semseg"]}
    found = [losses(trainer(), image, targets, sample_weight=weights) for weights in (one, other)]
    assert found[0] == found[1]
    assert losses(trainer(), image, targets) == losses(
        trainer(), image, targets, sample_weight=masks
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: 255 * m, "'depth' has values between .* and 255.*Divide"),
        (lambda m: (255 * m).astype(np.uint8), "'depth' has values between"),
        (lambda m: m - 2, "'depth' has values between -"),
        (lambda m: np.where(PARTLY, m, np.nan), "'depth' has values between nan"),
        (lambda m: m[..., None], r"mask \[B, H, W\] of task 'depth'.*8, 8, 1\)"),
        (lambda m: m[:, :4], "of task 'depth'"),
        (lambda m: m[:, 0, 0], "of task 'depth'"),
    ],
)
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_wrong_masks_are_named(change, message, run_eagerly):
    image, targets, masks = data()
    masks["depth"] = change(masks["depth"])
    made = trainer(run_eagerly=run_eagerly)
    for call in (made.fit, made.evaluate):
        with pytest.raises(ValueError, match=message):
            call(image, targets, sample_weight=masks, verbose=0)


@pytest.mark.parametrize("missing", ["depth", "semseg"])
def test_a_missing_entry_is_named(missing):
    image, targets, masks = data()
    part = {task: mask for task, mask in masks.items() if task != missing}
    made = trainer()
    batches = [lambda: tf.data.Dataset.from_tensors((image, targets, part)), lambda: (image,)]
    for call in (made.fit, made.evaluate):
        with pytest.raises(ValueError, match=f"weights has none for '{missing}'"):
            call(image, targets, sample_weight=part, verbose=0)
        with pytest.raises(ValueError, match=f"weights has none for '{missing}'"):
            call(batches[0](), verbose=0)
        part_of_targets = {task: t for task, t in targets.items() if task != missing}
        with pytest.raises(ValueError, match=f"targets has none for '{missing}'"):
            call(image, part_of_targets, verbose=0)
        with pytest.raises(ValueError, match="targets has none for 'semseg'"):
            call(image, verbose=0)
        with pytest.raises(ValueError, match="targets has none for 'semseg'"):
            call(image, targets["depth"], verbose=0)


# === Labels ===


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[..., 0],
        lambda t: t.astype(np.uint8),
        lambda t: t.astype(np.int64),
        lambda t: t.astype(np.float32),
        lambda t: t.astype(np.uint16),
        lambda t: t[..., 0].astype(np.int8),
    ],
)
@pytest.mark.parametrize("loss", [None, keras.losses.SparseCategoricalCrossentropy(True)])
def test_labels_of_any_dtype_with_or_without_channel(change, loss):
    image, targets, masks = data()
    loss = None if loss is None else {"semseg": loss}
    changed = {**targets, "semseg": change(targets["semseg"]), "depth": targets["depth"][..., 0]}
    found = [losses(trainer(loss=loss), image, t, sample_weight=masks) for t in (targets, changed)]
    assert found[0] == found[1]


WRONG_LABELS = {
    "255": (lambda t: np.where(np.arange(8)[:, None] < 2, 255, t), "has the value 255"),
    "255 of uint8": (lambda t: np.full_like(t, 255, np.uint8), "has the value 255"),
    "C": (lambda t: t + 1, r"has the value 5: class ids must be whole numbers in 0\.\.4: set the"),
    "-1": (lambda t: t - 1, "has the value -1"),
    "-1 of int8": (lambda t: (t - 1).astype(np.int8), "has the value -1"),
    "halves": (lambda t: t / 2, "has the value .*whole"),
    "NaN": (lambda t: np.where(t == 0, np.nan, t).astype(np.float32), "has the value nan"),
    "one-hot": (lambda t: np.eye(5, dtype=np.float32)[t[..., 0]], r"\[B, H, W, 1\].*argmax"),
}


WAYS = {
    "eager": {},
    "graph": {"run_eagerly": False},
    "parts": {"micro_batches": 2},
    "pcgrad": {"balancing": "pcgrad"},
    "features": {"balancing": "graddrop", "level": "features"},
    "Keras' loss": {
        "loss": {"semseg": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
    },
}


def crossed(names, ways, fast_names, fast_way):
    """All pairs; those of neither a fast name nor the fast way are marked slow."""
    return [
        pytest.param(
            name,
            way,
            id=f"{name}-{way}",
            marks=[] if name in fast_names or way == fast_way else pytest.mark.slow,
        )
        for name in names
        for way in ways
    ]


@pytest.mark.parametrize(("name", "way"), crossed(WRONG_LABELS, WAYS, ("255",), "eager"))
def test_labels_that_cannot_be_stop_training(name, way):
    change, message = WRONG_LABELS[name]
    image, targets, masks = data()
    targets["semseg"] = change(targets["semseg"])
    made = trainer(**WAYS[way])
    before = [v.numpy() for v in made.trainable_variables]
    for weights in (masks, None):
        with pytest.raises(ValueError, match=f"[Tt]ask 'semseg'.*{message}"):
            made.fit(image, targets, sample_weight=weights, verbose=0)
    for call in (made.evaluate, made.train_on_batch, made.test_on_batch):
        with pytest.raises(ValueError, match=f"[Tt]ask 'semseg'.*{message}"):
            call(image, targets)
    for old, variable in zip(before, made.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_labels_that_cannot_be_are_no_matter_where_masked():
    image, targets, masks = data()
    wrong = {task: target.copy() for task, target in targets.items()}
    for task in CHANNELS:
        masks[task][:, :3] = 0
        wrong[task][:, :3] = 255
    wrong["depth"][:, 0] = np.inf
    found = [losses(trainer(), image, t, sample_weight=masks) for t in (targets, wrong)]
    assert found[0] == found[1]
    assert found[0]["not_finite"] == 0


@pytest.mark.parametrize("architecture", ["SharedTrunk"])
def test_the_case_of_an_architecture(architecture):
    """Its losses enlarge predictions themselves: a label outside must not become a loss of 0."""
    backbone = tiny_backbone_model()
    model = getattr(mtl.architectures, architecture)(backbone, CHANNELS, (16, 24, 3))
    image, targets, _ = batch(CHANNELS, 2, 16, 24)
    targets["semseg"][:, :4] = 255
    made = trainer(model, run_eagerly=False)
    with pytest.raises(ValueError, match="'semseg' has the value 255"):
        made.fit(image, targets, verbose=0)


def tiny_backbone_model():
    image = keras.Input((16, 24, 3))
    fine = mtl.layers.conv_block(image, 4, 3, 2)
    return keras.Model(image, [fine, mtl.layers.conv_block(fine, 4, 3, 2)], name="tiny")


@pytest.mark.filterwarnings("ignore:Task 'semseg' had the weight 0")
def test_under_xla_nothing_is_learned_from_them():
    image, targets, _ = data()
    targets["semseg"][:] = 255
    made = trainer(run_eagerly=False, jit_compile=True)
    before = made.network.get_layer("head_semseg").kernel.numpy()
    with pytest.warns(UserWarning, match="NaN or infinite"):
        history = made.fit(image, targets, verbose=0).history
    assert history["not_finite"] == [1.0]
    np.testing.assert_array_equal(made.network.get_layer("head_semseg").kernel.numpy(), before)


# === Where batches come from ===


def as_generator():
    def batches():
        for _ in range(2):
            yield data()

    return batches()


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return data()


def tf_data(with_masks=True):
    return tf.data.Dataset.from_tensors(data() if with_masks else data()[:2]).repeat(2)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize(
    "source",
    [tf_data, lambda: tf_data(False), as_generator, Sequence, lambda: tf_data().unbatch().batch(3)],
)
def test_batches_of_every_source(source):
    made = trainer(run_eagerly=False)
    history = made.fit(source(), validation_data=tf_data(), steps_per_epoch=2, verbose=0).history
    assert np.isfinite(history["loss"][0])
    assert np.isfinite(history["val_loss"][0])


def test_arrays_with_validation_split_and_validation_arrays():
    image, targets, masks = data(8)
    made = trainer()
    history = made.fit(image, targets, sample_weight=masks, validation_split=0.5, verbose=0).history
    assert np.isfinite(history["val_loss"][0])
    for validation in ((image, targets), (image, targets, masks)):
        history = made.fit(image, targets, validation_data=validation, verbose=0).history
        assert np.isfinite(history["val_depth_loss"][0])
    wrong = {**targets, "semseg": targets["semseg"] + 1}
    with pytest.raises(ValueError, match="'semseg' has the value 5"):
        made.fit(image, targets, validation_data=(image, wrong), verbose=0)


def test_batches_of_unknown_shape_say_what_to_do():
    image, targets, _ = data()

    def load(index):
        return tf.numpy_function(lambda _: targets["depth"], [index], tf.float32)

    batches = tf.data.Dataset.range(1).map(
        lambda i: (tf.constant(image), {"depth": load(i), "semseg": targets["semseg"]})
    )
    with pytest.raises(ValueError, match=r"target of task 'depth'.*tf\.ensure_shape"):
        trainer(run_eagerly=False).fit(batches, verbose=0)
    shaped = batches.map(
        lambda x, y: (x, {**y, "depth": tf.ensure_shape(y["depth"], (None, *SIZE, 1))})
    )
    trainer(run_eagerly=False).fit(shaped, verbose=0)


def test_a_generator_that_raises_keeps_its_error():
    def batches():
        yield data()
        raise mtl.data.DataError("photo.jpg is damaged")

    with pytest.raises(Exception, match=r"photo\.jpg is damaged"):
        trainer().fit(batches(), steps_per_epoch=2, verbose=0)


class Damaged(mtl.data.DenseDataset):
    def __init__(self, wrong="3"):
        self.wrong = wrong
        splits = {"train": ["0", "1", "2", "3"], "val": ["2", "3"]}
        super().__init__(None, {"depth": 1}, splits, (*SIZE, 3), batch_size=2, num_workers=1)

    def load(self, image_id):
        if image_id == self.wrong:
            raise mtl.data.DataError(f"{image_id}.png is cut off")
        image = np.zeros((*SIZE, 3), np.uint8)
        return mtl.data.Sample(image, {"depth": np.ones((*SIZE, 1), np.float32)}, {})


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_the_very_error_of_a_data_set_is_raised(run_eagerly):
    made = trainer(tiny_model(("depth",), *SIZE), {"depth": 1}, run_eagerly=run_eagerly)
    calls = [
        lambda: made.fit(Damaged().train(), verbose=0),
        lambda: made.fit(Damaged("no").train(), validation_data=Damaged().val(), verbose=0),
        lambda: made.evaluate(Damaged().val(), verbose=0),
        lambda: made.predict(Damaged().val(), verbose=0),
        lambda: mtl.evaluation.evaluate(made, Damaged().test(), {"depth": 1}),
    ]
    for call in calls:
        with pytest.raises(mtl.data.DataError, match=r"^3\.png is cut off$"):
            call()


# === Callbacks ===


class Count(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


@pytest.mark.parametrize(
    "wrap",
    [
        lambda c: c,
        lambda c: [c],
        lambda c: (c,),
        lambda c: keras.callbacks.CallbackList([c]),
        lambda c: iter([c]),
    ],
    ids=["one", "list", "tuple", "CallbackList", "iterator"],
)
def test_callbacks_of_every_form(wrap):
    image, targets, _ = data()
    count = Count()
    trainer().fit(image, targets, epochs=2, callbacks=wrap(count), verbose=0)
    assert count.epochs == 2
    trainer().fit(image, targets, callbacks=None, verbose=0)


# === Networks ===


class Net(keras.Model):
    def __init__(self, channels=CHANNELS, as_list=False):
        super().__init__()
        self.shared = keras.layers.Conv2D(4, 3, padding="same", activation="relu")
        self.heads = [keras.layers.Conv2D(n, 1) for n in channels.values()]
        self.names, self.as_list = list(channels), as_list

    def call(self, image):
        x = self.shared(image)
        outputs = [head(x) for head in self.heads]
        return outputs if self.as_list else dict(zip(self.names, outputs, strict=True))


def built(**options):
    model = Net(**options)
    model(np.zeros((1, *SIZE, 3), np.float32))
    return model


@pytest.mark.parametrize(
    "balancing",
    slow_but(("fixed_weights", "famo", "mgda", "graddrop"), sorted(mtl.balancing.TABLE)),
)
@pytest.mark.filterwarnings("ignore:Task .* had the weight")
def test_subclassed_networks_train_with_every_method(balancing):
    image, targets, masks = data()
    masks["depth"][:, :3] = 0
    made = trainer(built(), balancing=balancing, diagnostics=balancing == "mgda")
    logs = losses(made, image, targets, sample_weight=masks)
    assert np.isfinite(logs["loss"])
    made.evaluate(image, targets, verbose=0)
    results = mtl.evaluation.evaluate(made.network, [(image, targets, masks)], CHANNELS)
    assert set(results) == set(CHANNELS)


def test_subclassed_and_functional_networks_take_the_same_steps():
    image, targets, masks = data()
    keras.utils.set_random_seed(0)
    subclassed = built()
    functional = tiny_model(tuple(CHANNELS), *SIZE)
    names = ["shared", "head_semseg", "head_depth"]
    for name, layer in zip(names, [subclassed.shared, *subclassed.heads], strict=True):
        functional.get_layer(name).set_weights(layer.get_weights())
    found = [
        losses(trainer(model, balancing="upgrad"), image, targets, sample_weight=masks, epochs=2)
        for model in (subclassed, functional)
    ]
    for name, value in found[0].items():
        assert value == pytest.approx(found[1][name], rel=1e-5)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: built(channels={"semseg": 5}), "no output for task 'depth'"),
        (lambda: built(channels={"semseg": 4, "depth": 1}), "'semseg' has 4 channels"),
        (lambda: built(as_list=True), r"must have outputs \{task: tensor\}. Received: list"),
    ],
)
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_outputs_of_subclassed_networks_are_checked_in_the_first_step(model, message, run_eagerly):
    image, targets, _ = data()
    made = trainer(model(), run_eagerly=run_eagerly)
    for call in (made.fit, made.evaluate):
        with pytest.raises(ValueError, match=message):
            call(image, targets, verbose=0)


def test_networks_that_cannot_work_are_refused():
    with pytest.raises(ValueError, match="neither functional nor built: call it"):
        trainer(Net())
    for options in (
        {"balancing": "pcgrad", "level": "features"},
        {"gradient_penalties": [mtl.training.OrthogonalGradients()]},
        {"update_every": {"depth": 2}},
    ):
        with pytest.raises(ValueError, match="need a functional Keras model"):
            trainer(built(), **options)
    image = keras.Input((*SIZE, 3))
    points = keras.layers.Reshape((64, 1))(keras.layers.Conv2D(1, 1)(image))
    with pytest.raises(ValueError, match=r"'depth' must be \[B, H, W, 1\], or \[B, 1\] of whole"):
        mtl.MultiTaskTrainer(keras.Model(image, {"depth": points}), {"depth": 1})
    with pytest.raises(ValueError, match=r"outputs \{task: tensor\}"):
        mtl.MultiTaskTrainer(keras.Model(image, points), {"depth": 1})


FROZEN = (
    {},
    {"balancing": "pcgrad"},
    {"balancing": "graddrop"},
    {"balancing": "famo"},
    {"weight_decay": 1e-3},
    {"micro_batches": 2},
    {"update_every": {"depth": 2}},
)


@pytest.mark.parametrize("options", FROZEN, ids=str)
def test_a_frozen_network_logs_and_stays(options):
    image, targets, masks = data()
    model = tiny_model(tuple(CHANNELS), *SIZE)
    model.trainable = False
    made = trainer(model, metrics={"semseg": "acc", "depth": []}, **options)
    before = [v.numpy() for v in model.variables]
    expected = made.evaluate(image, targets, sample_weight=masks, verbose=0, return_dict=True)
    with pytest.warns(UserWarning, match="no trainable variable: fit only logs"):
        logs = losses(made, image, targets, sample_weight=masks)
    assert logs == pytest.approx(expected)
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


@pytest.mark.filterwarnings("ignore:No trainable variable:UserWarning")
@pytest.mark.parametrize("options", FROZEN, ids=str)
def test_a_frozen_backbone_trains_its_heads(options):
    image, targets, masks = data()
    model = tiny_model(tuple(CHANNELS), *SIZE)
    model.get_layer("shared").trainable = False
    made = trainer(model, **options)
    shared = model.get_layer("shared").kernel.numpy()
    heads = [model.get_layer(f"head_{task}").kernel.numpy() for task in CHANNELS]
    losses(made, image, targets, sample_weight=masks, epochs=2)
    np.testing.assert_array_equal(model.get_layer("shared").kernel.numpy(), shared)
    for task, old in zip(CHANNELS, heads, strict=True):
        assert np.any(model.get_layer(f"head_{task}").kernel.numpy() != old)


@pytest.mark.parametrize(
    "options",
    [
        {"balancing": "pcgrad", "level": "features"},
        {"gradient_penalties": [mtl.training.OrthogonalGradients()]},
    ],
    ids=["features", "penalty"],
)
def test_a_frozen_backbone_has_no_features_to_balance(options):
    for frozen in (["shared"], ["shared", "head_depth", "head_semseg"]):
        model = tiny_model(tuple(CHANNELS), *SIZE)
        for name in frozen:
            model.get_layer(name).trainable = False
        with pytest.raises(ValueError, match=r"Nothing trainable stands before.*scalarizer"):
            trainer(model, **options)


# === Targets of whole images ===

R = np.random.default_rng(0)
GAZE = R.normal(size=(4, 3))
WHOLE = {
    "scene": (
        4,
        np.array([[0], [1], [2], [3]]),
        mtl.losses.SegmentationCrossEntropy,
        lambda c: [mtl.metrics.SegmentationMetrics(c)],
        "miou",
    ),
    "weather": (
        3,
        np.array([0, 1, 2, 0], np.uint8),
        lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda c: [keras.metrics.SparseCategoricalAccuracy("share")],
        "share",
    ),
    "pose": (
        6,
        R.normal(size=(4, 6)),
        mtl.losses.L1,
        lambda c: [mtl.metrics.RegressionMetrics(c)],
        "rmse",
    ),
    "age": (
        1,
        np.array([30.0, 40.0, 50.0, 60.0]),
        keras.losses.Huber,
        lambda c: [keras.metrics.MeanAbsoluteError("mae")],
        "mae",
    ),
    "tags": (
        5,
        R.integers(0, 2, (4, 5)),
        lambda: keras.losses.BinaryCrossentropy(True),
        lambda c: [keras.metrics.BinaryAccuracy("hits", threshold=0.0)],
        "hits",
    ),
    "fire": (
        1,
        np.array([False, True, True, False]),
        mtl.losses.BalancedBinaryCrossEntropy,
        lambda c: [mtl.metrics.SaliencyMetrics()],
        "miou",
    ),
    "gaze": (
        3,
        GAZE / np.linalg.norm(GAZE, axis=-1, keepdims=True),
        mtl.losses.NormalsL1,
        lambda c: [mtl.metrics.NormalsMetrics()],
        "mean",
    ),
    "obstacle": (
        1,
        np.array([[1.0], [2.0], [3.0], [4.0]]),
        mtl.losses.L1,
        lambda c: [mtl.metrics.DepthMetrics()],
        "rmse",
    ),
}


def whole_image(name):
    channels, target, loss, metrics, main = WHOLE[name]
    task = mtl.Task(name, channels, tf.identity, loss, metrics, main, True)
    tasks = [task, mtl.TASKS["depth"]]
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    outputs = {
        name: keras.layers.Dense(channels)(keras.layers.GlobalAveragePooling2D()(x)),
        "depth": keras.layers.Conv2D(1, 1)(x),
    }
    pixels, targets, masks = batch({"depth": 1}, 4, *SIZE)
    valid = np.array([1, 1, 0, 1], bool)
    arrays = pixels, {**targets, name: target}, {**masks, name: valid}
    return keras.Model(image, outputs), tasks, arrays


WHOLE_WAYS = {
    "plain": {},
    "pcgrad": {"balancing": "pcgrad"},
    "features": {"balancing": "mgda", "level": "features"},
    "graddrop": {"balancing": "graddrop", "micro_batches": 2},
    "famo": {"balancing": "famo"},
    "asynchronous": {"balancing": "uncertainty", "update_every": {"depth": 2}},
}


@pytest.mark.parametrize(("name", "way"), crossed(WHOLE, WHOLE_WAYS, ("scene",), "plain"))
@pytest.mark.filterwarnings("ignore:Task .* had the weight")
def test_targets_of_whole_images(name, way):
    model, tasks, (image, targets, masks) = whole_image(name)
    made = trainer(model, tasks, metrics=None, **WHOLE_WAYS[way])
    logs = losses(made, image, targets, sample_weight=masks)
    assert np.isfinite(logs[f"{name}_loss"])
    invalid = {**targets, name: targets[name].copy()}
    invalid[name][2] = invalid[name][0]
    found = [
        made.evaluate(image, t, sample_weight=masks, verbose=0, return_dict=True)
        for t in (targets, invalid)
    ]
    assert found[0] == found[1]  # the third image has no label
    judged = mtl.evaluation.evaluate(made, [(image, targets, masks)], tasks)
    main = tasks[0].main_metric
    assert judged[name][main] == pytest.approx(float(found[0][f"{name}_{main}"]), rel=1e-4)
    states = mtl.evaluation.evaluate_images(model, [(image, targets, masks)], tasks)
    assert len(states) == 4
    baseline = mtl.evaluation.trivial_baseline(
        [(image, targets, masks)], [(image, targets, masks)], tasks
    )
    assert np.isfinite(list(baseline[name].values())).all()


def test_losses_of_whole_images_are_masked_in_every_form():
    model, tasks, (image, targets, masks) = whole_image("pose")
    forms = [
        "mae",
        lambda t, p: tf.abs(t - p),
        lambda t, p: tf.reduce_mean(tf.abs(t - p), -1),
        lambda t, p: tf.reduce_mean(tf.abs(t - p)),
        mtl.losses.L1(),
    ]
    targets["pose"][2] = np.nan
    found = []
    for form in forms:
        made = trainer(model, tasks, loss={"pose": form})
        logs = made.evaluate(image, targets, sample_weight=masks, verbose=0, return_dict=True)
        found.append(logs["pose_loss"])
        assert np.isfinite(losses(made, image, targets, sample_weight=masks, batch_size=4)["loss"])
        made.network.set_weights(model.get_weights())
        model, tasks, _ = whole_image("pose")
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: (t + 4, m), "'scene' has the value"),
        (lambda t, m: (np.eye(4)[t[:, 0]], m), r"must be \[B, 1\].*argmax"),
        (lambda t, m: (t[:, :, None], m), r"must be \[B, 1\]"),
        (lambda t, m: (t, m[:, None]), r"mask \[B\] of task 'scene'"),
        (lambda t, m: (t, 255 * m), "'scene' has values between"),
    ],
)
def test_wrong_targets_of_whole_images_are_named(change, message):
    model, tasks, (image, targets, masks) = whole_image("scene")
    targets["scene"], masks["scene"] = change(targets["scene"], masks["scene"].astype(np.float32))
    with pytest.raises(ValueError, match=message):
        trainer(model, tasks).fit(image, targets, sample_weight=masks, verbose=0)


def test_the_case_of_a_scene_beside_depth_from_a_subclassed_network():
    """Without a symbolic output the rank of the target decides."""

    class Scene(keras.Model):
        def __init__(self):
            super().__init__()
            self.shared = keras.layers.Conv2D(4, 3, padding="same")
            self.depth, self.scene = keras.layers.Conv2D(1, 1), keras.layers.Dense(4)
            self.pool = keras.layers.GlobalAveragePooling2D()

        def call(self, image):
            x = self.shared(image)
            return {"scene": self.scene(self.pool(x)), "depth": self.depth(x)}

    _, tasks, (image, targets, masks) = whole_image("scene")
    model = Scene()
    model(image)
    for labels in (targets["scene"], targets["scene"][:, 0]):
        made = trainer(model, tasks, balancing="upgrad")
        logs = losses(made, image, {**targets, "scene": labels}, sample_weight=masks)
        assert np.isfinite(logs["scene_loss"])


def test_a_task_of_its_own_kind_decides_what_is_checked():
    """Depth of a map whose unit is not metres: a task of `VALUES` takes any number."""
    disparity = dataclasses.replace(mtl.TASKS["depth"], kind=mtl.targets.TargetKind.VALUES)
    image, targets, _ = batch({"depth": 1}, 4, *SIZE)
    made = trainer(tiny_model(("depth",), *SIZE), [disparity])
    losses(made, image, {"depth": -3000 * targets["depth"]})
