"""Pictures after each epoch: their size, and the weights that they show."""

import numpy as np
import pytest
from PIL import Image

import mtl_tf as mtl
from mtl_tf.experiments.outputs.epoch_pictures import EpochPictures


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    rooms = mtl.data.RenderedRooms(
        tasks=("semseg", "depth"), input_shape=(32, 64, 3), train_size=4, val_size=3, batch_size=2
    )
    model = mtl.architectures.SharedTrunk("resnet18", rooms.tasks, (32, 64, 3), head="conv")
    trainer = mtl.MultiTaskTrainer(model, rooms.tasks)
    trainer.compile("adam", ema_momentum=0.9)
    trainer.fit(rooms.train(), epochs=2, verbose=0, callbacks=[EpochPictures(folder, rooms)])
    return folder


def test_each_epoch_has_a_picture_of_two_images(fitted):
    names = sorted(path.name for path in (fitted / "epochs").iterdir())
    assert names == ["0001.webp", "0002.webp"]
    picture = Image.open(fitted / "epochs" / "0001.webp")
    assert picture.size == (3 * 200, 2 * 100)  # image, classes, depth
    assert np.asarray(picture).std() > 10


def test_predictions_change_and_images_do_not(fitted):
    first, second = (
        np.asarray(Image.open(fitted / "epochs" / f"{n:04d}.webp"), float) for n in (1, 2)
    )
    change = np.abs(first - second).mean((0, 2))
    assert change[:190].mean() < 3.0  # of the compression
    assert change[210:].mean() > 2 * change[:190].mean()
