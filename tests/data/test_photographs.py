"""Photographs as phones write them: turned by their EXIF tag, everywhere one is read, once."""

import io
import runpy
import types

import numpy as np
import pytest
from PIL import Image, ImageOps

import mtl_tf as mtl
from mtl_tf import cli
from mtl_tf.data.files import decode_image, read_image, read_map
from mtl_tf.deployment.inputs import images_for
from mtl_tf.deployment.predict import Output, Predictor, predict_files
from tests.helpers.inputs import tiny_backbone

ORIENTATION = 0x0112
TAGS = range(1, 9)
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tiff.jpg": "TIFF", "mpo.jpg": "MPO"}


def scene(height=24, width=40):
    """A picture that every turn changes, in blocks that survive JPEG."""
    colours = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3))
    return colours.repeat(8, 0).repeat(8, 1).astype(np.uint8)


def exif_of(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def save(path, orientation, file_format="JPEG", pixels=None):
    """Writes a picture with a tag; returns it as every viewer shows it."""
    picture = Image.fromarray(scene() if pixels is None else pixels)
    sharp = {"quality": 100, "subsampling": 0}
    more = {"JPEG": sharp, "MPO": sharp, "WEBP": {"lossless": True}}
    picture.save(path, file_format, exif=exif_of(orientation), **more.get(file_format, {}))
    with Image.open(path) as stored:
        return np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))


class Photographs(mtl.data.DenseDataset):
    """A folder of photographs with a depth of each, as it is seen."""

    def __init__(self, folder, **options):
        self.folder = folder
        ids = sorted(path.stem for path in folder.glob("*.jpg"))
        super().__init__(None, {"depth": 1}, {"train": ids, "val": ids}, (24, 40, 3), **options)

    def paths(self, image_id):
        return {"image": self.folder / f"{image_id}.jpg"}

    def load(self, image_id):
        image = read_image(self.folder / f"{image_id}.jpg")
        depth = 1 + image[..., :1].astype(np.float32) / 255
        return mtl.data.Sample(image, {"depth": depth}, {})


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    mtl.architectures.SharedTrunk(tiny_backbone(32, 64, seed=0), {"depth": 1}, (32, 64, 3)).save(
        path
    )
    return path


# === Orientation ===


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", TAGS)
def test_a_photograph_is_read_as_it_is_seen(orientation, suffix, tmp_path):
    path = tmp_path / f"photo.{suffix}"
    seen = save(path, orientation, FORMATS[suffix])
    upright = Image.fromarray(scene())
    turn = ImageOps.exif_transpose(_tagged(upright, orientation))
    assert seen.shape == np.asarray(turn).shape == ((40, 24, 3) if orientation > 4 else (24, 40, 3))
    np.testing.assert_allclose(seen.astype(int), np.asarray(turn).astype(int), atol=3)
    np.testing.assert_array_equal(read_image(path), seen)
    np.testing.assert_array_equal(decode_image(path.read_bytes(), "photo"), seen)


def _tagged(picture, orientation):
    picture.getexif()[ORIENTATION] = orientation
    return picture


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_other_colours_are_turned_too(mode, tmp_path):
    path = tmp_path / ("photo.jpg" if mode == "CMYK" else "photo.png")
    Image.fromarray(scene()).convert(mode).save(path, exif=exif_of(6))
    assert read_image(path).shape == (40, 24, 3)
    if mode in ("L", "P"):
        assert read_map(path).shape == (40, 24)


DAMAGED_TAGS = {
    "empty": b"",
    "header alone": b"Exif\0\0",
    "garbage": b"Exif\0\0garbage",
    "too many entries": b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
    "wild offsets": b"Exif\0\0MM\0*" + 50 * b"\xff",
    "cut off": exif_of(6).tobytes()[:-8],
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's, once a file
@pytest.mark.parametrize("tag", DAMAGED_TAGS.values(), ids=DAMAGED_TAGS)
def test_a_damaged_tag_turns_nothing(tag, tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(scene()).save(path, exif=tag, quality=100, subsampling=0)
    assert read_image(path).shape == (24, 40, 3)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_unknown_orientation_turns_nothing(value, tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(scene()).save(path, exif=exif_of(value))
    assert read_image(path).shape == (24, 40, 3)


def test_packed_photographs_are_turned_once(tmp_path):
    """A pack keeps the bytes of a file, tag and all."""
    folder = tmp_path / "photos"
    folder.mkdir()
    seen = {str(tag): save(folder / f"{tag}.jpg", tag) for tag in TAGS}
    plain = Photographs(folder)
    mtl.data.pack(plain, tmp_path / "packed")
    packed = mtl.data.PackedDataset(tmp_path / "packed")
    for image_id, picture in seen.items():
        for data in (plain, packed):
            sample = data.load(image_id)
            np.testing.assert_array_equal(sample.image, picture)
            assert sample.targets["depth"].shape == (*picture.shape[:2], 1)
    mtl.data.unpack(tmp_path / "packed", tmp_path / "unpacked")
    for image_id, picture in seen.items():
        np.testing.assert_array_equal(
            read_image(tmp_path / "unpacked" / "image" / f"{image_id}.jpg"), picture
        )
    pixels = [batch[0].numpy() for batch in mtl.data.PackedDataset(tmp_path / "packed").val()]
    np.testing.assert_array_equal(pixels, [batch[0].numpy() for batch in plain.val()])


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_maps_fit_the_photograph_as_it_is_seen(orientation, model_path, tmp_path, capsys):
    seen = save(tmp_path / "photo.jpg", orientation)
    (written,) = predict_files(
        Predictor(model_path), tmp_path / "photo.jpg", Output(tmp_path / "maps")
    )
    with Image.open(written) as picture:
        turned = np.asarray(picture)
    Image.fromarray(seen).save(tmp_path / "upright.png")
    (written,) = predict_files(
        Predictor(model_path), tmp_path / "upright.png", Output(tmp_path / "maps")
    )
    with Image.open(written) as picture:
        np.testing.assert_array_equal(turned, np.asarray(picture))
    assert turned.shape == seen.shape
    network = types.SimpleNamespace(input_shape=(None, 24, 24, 3))
    (image,) = images_for(network, [tmp_path / "photo.jpg"])
    (upright,) = images_for(network, [tmp_path / "upright.png"])
    np.testing.assert_array_equal(image, upright)
    example = runpy.run_path("examples/predict_photo.py")["main"]
    for name in ("photo.jpg", "upright.png"):
        example(str(model_path), str(tmp_path / name))
    first, second = (np.load(tmp_path / f"{name}_depth.npy") for name in ("photo", "upright"))
    np.testing.assert_array_equal(first, second)
    assert first.shape[:2] == seen.shape[:2]


# === Folders with damaged files ===


@pytest.mark.parametrize("damaged", [("b",), ("a", "c"), ("a", "b", "c", "d")])
def test_damaged_files_are_counted_and_named_and_the_others_written(
    damaged, model_path, tmp_path, capsys
):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in "abcd":
        save(folder / f"{name}.jpg", 6)
    for number, name in enumerate(damaged):
        path = folder / f"{name}.jpg"
        path.write_bytes([path.read_bytes()[:300], b"", b"no photograph", b"\xff\xd8"][number])
    arguments = ["predict", str(folder), "--model", str(model_path), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 1
    told = capsys.readouterr()
    assert f"{len(damaged)} of 4 files cannot be read" in told.err and "Traceback" not in told.err
    assert all(f"{name}.jpg" in told.err for name in damaged)
    good = sorted(set("abcd") - set(damaged))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{name}_depth.png" for name in good
    ]
    assert all(f"{name}_depth.png" in told.out for name in good)
    written = []
    with pytest.raises(mtl.data.DataError, match=f"{len(damaged)} of 4"):
        for path in predict_files(Predictor(model_path), folder, Output(tmp_path / "again")):
            written.append(path.name)  # noqa: PERF401  # it raises at the end
    assert written == [f"{name}_depth.png" for name in good]


def test_bytes_of_a_damaged_photograph_are_named():
    with pytest.raises(mtl.data.DataError, match="record 7 is damaged"):
        buffer = io.BytesIO()
        Image.fromarray(scene()).save(buffer, "JPEG")
        decode_image(buffer.getvalue()[:200], "record 7")
