"""Predictions of images of any size: against those of whole images, as numbers and pictures."""

import keras
import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.deployment.windows import blending_weight, letterboxed, resized, tile_corners
from tests.helpers.inputs import tiny_backbone

SIZE = (32, 48)
CLASSES = 3


def pointwise():
    """A network whose outputs at a pixel depend on that pixel only."""
    image = keras.Input((*SIZE, 3))
    outputs = {
        "semseg": keras.layers.Conv2D(CLASSES, 1, name="semseg")(image),
        "depth": keras.layers.Conv2D(1, 1, activation="softplus", name="depth")(image),
        "normals": keras.layers.Conv2D(3, 1, name="normals")(image),
        "edges": keras.layers.Conv2D(1, 1, name="edges")(image),
    }
    return keras.Model(image, outputs)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    return pointwise()


def smooth(height, width):
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 11 + i) + np.cos(columns / 13 - i) for i in range(3)]
    return np.rint(127 + 60 * np.stack(waves, -1)).astype(np.uint8)


def exact(network, image):
    """The outputs of the pointwise network on an image of any size."""
    x = mtl.data.normalise(image)
    return {
        layer.name: x @ layer.kernel.numpy()[0, 0] + layer.bias.numpy()
        for layer in network.layers[1:]
    }


@pytest.mark.parametrize("size", [(8, 12), (32, 48)], ids=["smaller", "larger"])
@pytest.mark.parametrize("channels", [1, 4, 13])
def test_maps_of_any_number_of_channels_are_resized(channels, size):
    maps = np.random.default_rng(0).random((16, 24, channels), np.float32)
    expected = np.concatenate([resized(maps[..., i : i + 1], *size) for i in range(channels)], -1)
    np.testing.assert_allclose(resized(maps, *size), expected, atol=1e-6)


@pytest.mark.parametrize("size", [(70, 110), (32, 48), (33, 200), (100, 49)])
def test_tiles_give_the_result_of_the_whole_image(network, size):
    image = smooth(*size)
    prediction = mtl.Predictor(network, fit="tiles")(image)
    expected = exact(network, image)
    np.testing.assert_allclose(
        prediction.depth, np.logaddexp(0, expected["depth"])[..., 0], atol=1e-4
    )
    agree = prediction.semseg == expected["semseg"].argmax(-1)
    assert agree.mean() > 0.999
    np.testing.assert_allclose(
        prediction.edges, 1 / (1 + np.exp(-expected["edges"]))[..., 0], atol=1e-4
    )


@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_an_image_of_the_input_size_is_predicted_as_it_is(network, fit):
    image = smooth(*SIZE)
    prediction = mtl.Predictor(network, fit=fit)(image)
    raw = network(mtl.data.normalise(image)[None])
    np.testing.assert_allclose(prediction.depth, raw["depth"][0, ..., 0], atol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (48, 32), (20, 200), (96, 144)])
def test_a_letterbox_keeps_the_aspect(network, size):
    image = smooth(*size)
    prediction = mtl.Predictor(network)(image)
    expected = exact(network, image)
    error = np.abs(prediction.depth - np.logaddexp(0, expected["depth"])[..., 0])
    assert error.mean() < 0.1 * np.std(expected["depth"])
    canvas, box = letterboxed(image, *SIZE)
    assert canvas.shape == (*SIZE, 3) and box.height / box.width == pytest.approx(
        size[0] / size[1], rel=0.15
    )
    outside = np.ones(SIZE, bool)
    box.of(outside)[...] = False
    assert np.abs(mtl.data.normalise(canvas))[outside].max(initial=0) < 0.02


def test_corners_cover_the_image_and_overlap():
    for size in ((32, 48), (33, 49), (100, 500)):
        covered = np.zeros(size, int)
        corners = tile_corners(*size, SIZE, 0.25)
        for top, left in corners:
            assert 0 <= top <= size[0] - SIZE[0] and 0 <= left <= size[1] - SIZE[1]
            covered[top : top + SIZE[0], left : left + SIZE[1]] += 1
        assert covered.min() >= 1
    starts = sorted({left for _, left in tile_corners(32, 500, SIZE, 0.25)})
    assert max(np.diff(starts)) <= 0.75 * SIZE[1]
    weight = blending_weight(4, 6)
    assert weight.shape == (4, 6, 1) and weight.min() > 0 and weight[1:3, 2:4].min() == weight.max()


# === Numbers, pictures and files ===


@pytest.fixture(scope="module")
def prediction(network):
    return mtl.Predictor(network)(smooth(40, 60))


def test_numbers_at_the_size_of_the_image(prediction):
    assert prediction.semseg.shape == (40, 60) and prediction.semseg.dtype == np.int32
    assert prediction["semseg"].max() < CLASSES
    assert prediction.depth.dtype == np.float32 and prediction.normals.shape == (40, 60, 3)
    np.testing.assert_allclose(np.linalg.norm(prediction.normals, axis=-1), 1, atol=0.02)
    assert set(prediction.probabilities) == {"semseg", "edges"}
    np.testing.assert_allclose(prediction.probabilities["semseg"].sum(-1), 1, atol=1e-5)
    assert {"semseg", "depth"} <= set(dir(prediction))
    with pytest.raises(AttributeError, match="no attribute or task 'saliency'"):
        _ = prediction.saliency
    with pytest.raises(KeyError, match="'saliency' is not among"):
        _ = prediction["saliency"]


def test_pictures(prediction):
    pictures = prediction.pictures()
    assert set(pictures) == {"semseg", "depth", "normals", "edges"}
    for name, picture in pictures.items():
        assert picture.shape == (40, 60, 3) and picture.dtype == np.uint8
        overlay = prediction.overlay(name)
        assert overlay.shape == picture.shape
    near, far = prediction.depth_range_m("depth")
    assert 0 <= near < far <= prediction.depth.max()
    fixed = prediction.picture("depth", (0.0, 100.0))
    assert (
        np.ptp(fixed.astype(int), axis=(0, 1)).max()
        < np.ptp(pictures["depth"].astype(int), axis=(0, 1)).max()
    )
    panel = prediction.panel()
    assert panel.shape[1] == 3 * 60 and panel.shape[0] > 2 * 40
    for picture in (prediction.image, *pictures.values()):
        windows = np.lib.stride_tricks.sliding_window_view(panel, picture.shape)[:, ::60, 0]
        assert (windows == picture).all((-1, -2, -3)).any()


def test_files(prediction, tmp_path):
    written = prediction.save(tmp_path / "a", "photo", raw=True)
    names = {f"photo_{task}.{suffix}" for task in prediction.maps for suffix in ("png", "npy")}
    assert {path.name for path in written} == {p.name for p in (tmp_path / "a").iterdir()} == names
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "photo_depth.npy"), prediction.depth)
    (panel,) = prediction.save(tmp_path, "photo", panel=True)
    assert panel.name == "photo_all.png"


def test_bad_arguments(network):
    with pytest.raises(ValueError, match="fit must be one of"):
        mtl.Predictor(network, fit="crop")
    with pytest.raises(ValueError, match="overlap in"):
        mtl.Predictor(network, fit="tiles", overlap=1.0)
    with pytest.raises(ValueError, match="must hold a network from images"):
        mtl.Predictor(keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)]))


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "tiles"])
def test_a_list_of_images_is_predicted_as_each_alone(fit):
    tasks = {"semseg": 3, "depth": 1}
    network = mtl.architectures.SharedTrunk(
        tiny_backbone(32, 64, seed=0), tasks, (32, 64, 3), head="conv"
    )
    predictor = mtl.Predictor(network, fit=fit)
    rng = np.random.default_rng(0)
    sizes = [(32, 64), (50, 40), (20, 90)] * 4
    images = [rng.integers(0, 256, (*size, 3)).astype(np.uint8) for size in sizes]
    together = predictor(images)
    assert [p.depth.shape for p in together] == sizes
    for image, prediction in zip(images, together, strict=True):
        alone = predictor(image)
        np.testing.assert_allclose(prediction.depth, alone.depth, atol=1e-4)
        np.testing.assert_allclose(
            prediction.probabilities["semseg"], alone.probabilities["semseg"], atol=1e-4
        )
    assert predictor([]) == []
    with pytest.raises(ValueError, match="RGB image"):
        predictor([images[0], images[1] / 255])
