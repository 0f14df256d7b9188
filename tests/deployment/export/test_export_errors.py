"""Exports that cannot be, the command line, and the examples."""

import json
import runpy
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from mtl_tf import cli
from mtl_tf.data import DataError
from mtl_tf.deployment import ExportedModel, export_model
from mtl_tf.deployment.export.formats import format_of
from tests.helpers.exports import FILES, TASKS, image_of, small

pytestmark = pytest.mark.filterwarnings(r"ignore:In the future `np\.object`:FutureWarning:keras")


# === Errors ===


def test_a_file_that_says_something_else_is_not_written(tmp_path, monkeypatch):
    class Wrong(ExportedModel):
        def __call__(self, images):
            return {n: y + 0.5 * (n == "depth") for n, y in super().__call__(images).items()}

    monkeypatch.setitem(export_model.__globals__, "ExportedModel", Wrong)
    with pytest.raises(RuntimeError, match="depth differs from Keras by 0"):
        export_model(small(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "file_format"),
    [("a.onnx", "onnx"), ("a.tflite", "litert"), ("A.ONNX", "onnx"), ("folder", "savedmodel")],
)
def test_the_suffix_is_the_format(tmp_path, name, file_format):
    assert format_of(tmp_path / name) == file_format


def test_a_suffix_that_is_no_format(tmp_path):
    with pytest.raises(ValueError, match=r"suffix of model\.bin is no format.*--format"):
        export_model(small(), tmp_path / "model.bin")
    assert export_model(small(), tmp_path / "model.bin", "onnx") and list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "tf2onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, capsys, package):
    small().save(tmp_path / "model.keras")
    monkeypatch.setitem(sys.modules, package, None)
    assert cli.main(["export", str(tmp_path / "model.keras"), str(tmp_path / "m.onnx")]) == 2
    assert f'needs {package}: pip install "mtl-tf[export]"' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file_format": "tar"}, "file_format must be one of"),
        ({"precision": "int4"}, "precision must be one of"),
        ({"precision": "int8"}, "int8 needs images.*--calibrate"),
        ({"precision": "float16", "file_format": "savedmodel"}, "SavedModel has float32"),
        ({"batch": 0}, "at least 1"),
        ({"height": -3}, "-3"),
        ({"height": 0}, "0"),
        ({"any_size": True, "precision": "float16"}, "any_size needs float32"),
    ],
)
def test_wrong_options(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_model(small(), tmp_path / "m.onnx", **options)
    assert not list(tmp_path.iterdir())


def test_wrong_files(tmp_path, capsys):
    with pytest.raises(ValueError, match="is a folder"):
        export_model(small(), tmp_path, "onnx")
    with pytest.raises(DataError, match="photo"):
        export_model(small(), tmp_path / "x", "onnx", photos=[tmp_path / "photo.jpg"])
    with pytest.raises(DataError, match="no photograph"):
        export_model(small(), tmp_path / "x", "onnx", precision="int8", calibration=[tmp_path])
    assert cli.main(["export", str(tmp_path / "none.keras"), str(tmp_path / "x")]) == 2
    assert "none.keras" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r"none\.onnx is missing"):
        ExportedModel(tmp_path / "none.onnx")
    for name in ("damaged.onnx", "damaged.tflite"):
        (tmp_path / name).write_bytes(b"no such thing")
        with pytest.raises(ValueError, match=f"{name} cannot be loaded as"):
            ExportedModel(tmp_path / name)


def test_unknown_tasks_have_no_postprocessing(tmp_path):
    image = keras.Input((8, 8, 3))
    network = keras.Model(image, {"heat": keras.layers.Conv2D(1, 1)(image)})
    with pytest.raises(ValueError, match=r"needs the tasks of all outputs. Unknown: \['heat'\]"):
        export_model(network, tmp_path / "m.onnx", with_postprocessing=True)
    assert set(export_model(network, tmp_path / "m.onnx")) == {"heat"}
    with pytest.raises(ValueError, match="cannot be built for another size"):
        export_model(network, tmp_path / "n.onnx", height=16)


# === Command line and examples ===


def test_the_command_line(tmp_path, photos, capsys):
    small().save(tmp_path / "model.keras")
    command = ["export", str(tmp_path / "model.keras"), str(tmp_path / "m.onnx")]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert "depth" in printed and "differs from Keras by" in printed
    flags = ["--with-postprocessing", "--precision", "int8", "--batch", "1", "--height", "48"]
    assert cli.main([*command, *flags, "--calibrate", str(photos), "--photos", str(photos)]) == 0
    printed = capsys.readouterr().out
    for text in ("of the pixels have another class", "° in the mean", " m in the mean"):
        assert text in printed
    exported = ExportedModel(tmp_path / "m.onnx")
    assert exported.input_shape == (1, 48, 64, 3)
    assert exported.description["precision"] == "int8"
    assert cli.main([*command, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["differences"]) == set(TASKS)


@pytest.mark.parametrize("file_format", ["onnx", pytest.param("litert", marks=pytest.mark.slow)])
def test_the_examples(photos, tmp_path, capsys, file_format):
    small().save(tmp_path / "model.keras")
    image = Image.fromarray(image_of(photos / "0.png")).resize((70, 50))
    image.save(tmp_path / "a.jpg")
    predict = runpy.run_path("examples/predict_photo.py")["main"]
    predict(str(tmp_path / "model.keras"), str(tmp_path / "a.jpg"))
    assert np.load(tmp_path / "a_depth.npy").shape == (50, 70, 1)
    assert (tmp_path / "a_semseg.png").is_file()
    out = str(tmp_path / FILES[file_format])
    export_model(small(), out, with_preprocessing=True)
    capsys.readouterr()
    runpy.run_path("examples/run_exported.py")["main"](out, str(tmp_path / "a.jpg"))
    printed = capsys.readouterr().out
    assert "normals: (1, 32, 64, 3)" in printed and "images per second" in printed
