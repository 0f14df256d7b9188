"""Images that the network does not expect: a warning, once."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from tests.helpers.inputs import batch, tiny_backbone

TASKS = {"depth": 1}
SIZE = (16, 24)


def fit(images, network=None, **options):
    if network is None:
        network = mtl.architectures.SingleTask(tiny_backbone(*SIZE), TASKS, (*SIZE, 3), **options)
    trainer = mtl.MultiTaskTrainer(network, TASKS)
    trainer.compile(keras.optimizers.SGD(1e-6))
    _, targets, masks = batch(TASKS, 4, *SIZE)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        trainer.fit(images, targets, sample_weight=masks, batch_size=1, epochs=2, verbose=0)
    return [str(w.message) for w in seen if "images have values" in str(w.message)]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_raw_images_without_preprocessing(dtype):
    photos = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3)).astype(dtype)
    (message,) = fit(photos)
    assert "look like RGB 0..255" in message and "include_preprocessing=True" in message
    assert not fit(photos, include_preprocessing=True)


def test_under_a_strategy():
    photos = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3)).astype(np.float32)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        (message,) = fit(photos)
    assert "values up to 255" in message


def test_images_of_0_to_1():
    photos = np.random.default_rng(0).random((4, *SIZE, 3), np.float32)
    (message,) = fit(photos)
    assert "look like RGB 0..1" in message and "normalise(255 * images)" in message


def test_a_backbone_that_normalises_by_itself():
    inner = tiny_backbone(*SIZE)
    image = keras.Input((*SIZE, 3))
    backbone = keras.Model(image, inner(keras.layers.Rescaling(1 / 255)(image)))
    network = mtl.architectures.SingleTask(backbone, TASKS, (*SIZE, 3))
    photos = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3)).astype(np.uint8)
    assert not fit(photos, network)


def test_normalised_images_with_preprocessing():
    photos = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3)).astype(np.uint8)
    (message,) = fit(mtl.data.normalise(photos), include_preprocessing=True)
    assert "the network normalises" in message and "normalise=False" in message
    assert not fit(mtl.data.normalise(photos))


def test_data_sets_leave_it_to_the_network():
    options = {"tasks": ("depth",), "input_shape": (32, 48, 3), "train_size": 2, "val_size": 1}
    raw = mtl.data.RenderedRooms(normalise=False, **options)
    usual = mtl.data.RenderedRooms(**options)
    for a, b in zip(raw.val(), usual.val(), strict=True):
        assert a[0].dtype == "float32"
        assert float(np.max(a[0])) > 20
        np.testing.assert_allclose(mtl.data.normalise(a[0].numpy()), b[0], atol=1e-5)
