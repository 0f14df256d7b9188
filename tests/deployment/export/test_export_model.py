"""Exported files say what Keras says, and describe themselves."""

import dataclasses
import json
import runpy
import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mtl_tf as mtl
from mtl_tf import cli
from mtl_tf.data import DataError
from mtl_tf.deployment import ExportedModel, Predictor, export_model
from mtl_tf.deployment.export.formats import FORMATS, PRECISIONS, format_of
from tests.helpers.inputs import tiny_backbone

TASKS = {"semseg": 3, "depth": 1, "normals": 3, "edges": 1}
FILES = {"onnx": "model.onnx", "litert": "model.tflite", "savedmodel": "model"}
pytestmark = pytest.mark.filterwarnings(r"ignore:In the future `np\.object`:FutureWarning:keras")


def small(**options):
    return mtl.architectures.SharedTrunk(
        tiny_backbone(None, None, seed=0), TASKS, (32, 64, 3), head="conv", **options
    )


@pytest.fixture(scope="module")
def trained():
    """A network with predictions that differ from pixel to pixel, and its tasks."""
    keras.utils.set_random_seed(1)
    names = mtl.tasks.with_class_names(mtl.tasks.as_tasks(TASKS), ["wall", "floor", "chair"])
    network = small()
    trainer = mtl.MultiTaskTrainer(network, names)
    for weight in network.trainable_weights:
        if weight.path.endswith("bias"):
            weight.assign(np.random.default_rng(2).normal(0, 0.5, weight.shape))
    return trainer


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(4):
        small_image = np.random.default_rng(i).integers(0, 255, (5, 7, 3)).astype(np.uint8)
        image = cv2.resize(small_image, (64, 32), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


def image_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


# === Formats and precisions ===


@pytest.mark.parametrize(
    ("file_format", "precision"),
    [
        ("onnx", "float32"),
        ("litert", "float32"),
        ("savedmodel", "float32"),
        *(
            pytest.param(f, p, marks=pytest.mark.slow)
            for f in ("onnx", "litert")
            for p in PRECISIONS[1:]
        ),
    ],
)
def test_numbers_are_those_of_prediction(trained, photos, tmp_path, file_format, precision):
    out = tmp_path / "deep" / FILES[file_format]
    found = export_model(
        trained,
        out,
        with_preprocessing=True,
        with_postprocessing=True,
        precision=precision,
        calibration=[photos],
        photos=[photos / "0.png"],
    )
    assert set(found) == set(TASKS) and len(list(out.parent.iterdir())) == 1
    limits = {"float32": 1e-4, "float16": 0.1, "int8": 20.0}  # degrees, the others much less
    assert max(found.values()) < limits[precision]
    exported = ExportedModel(out)
    assert exported.file_format == file_format and exported.input_shape == (None, 32, 64, 3)
    image = image_of(photos / "1.png")
    expected = Predictor(trained, fit="stretch")(image)
    received = exported(np.stack([image, image[::-1]]))
    same = 1 - {"float32": 0.001, "float16": 0.01, "int8": 0.2}[precision]
    tolerance = {"float32": 1e-4, "float16": 0.01, "int8": 0.3}[precision]
    assert received["semseg"].dtype == np.int32 and received["semseg"].shape == (2, 32, 64)
    assert np.mean(received["semseg"][0] == expected.semseg) >= same
    for task in ("depth", "normals", "edges"):
        assert received[task].shape == (2, *expected[task].shape)
        assert received[task].dtype == np.float32
        np.testing.assert_allclose(received[task][0], expected[task], rtol=0, atol=tolerance)


@pytest.mark.parametrize("file_format", FORMATS)
def test_files_describe_themselves(trained, tmp_path, file_format):
    out = tmp_path / FILES[file_format]
    export_model(trained, out, with_postprocessing=True)
    description = ExportedModel(out).description
    assert description["precision"] == "float32"
    assert description["input"]["values"] == "RGB, (x / 255 - mean) / std"
    np.testing.assert_allclose(description["input"]["mean"], (0.485, 0.456, 0.406), atol=1e-6)
    outputs = description["outputs"]
    assert outputs["semseg"]["class_names"] == ["wall", "floor", "chair"]
    assert outputs["semseg"]["values"] == "class ids" and outputs["depth"]["values"] == "metres"
    assert [outputs[task]["kind"] for task in TASKS] == [
        *("classes", "distance", "direction", "boundary")
    ]


def test_class_names_come_from_the_folder_of_a_run(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    small().save(run / "model.keras")
    (run / "classes.json").write_text(json.dumps(["a", "b", "c"]))
    export_model(run, tmp_path / "m.onnx")
    outputs = ExportedModel(tmp_path / "m.onnx").description["outputs"]
    assert outputs["semseg"]["class_names"] == ["a", "b", "c"]
    assert outputs["depth"]["values"] == "raw prediction of metres"


def test_int8_is_smaller_and_computes_in_int8(trained, photos, tmp_path):
    sizes = {}
    for precision in ("float32", "int8"):
        out = tmp_path / f"{precision}.onnx"
        export_model(trained, out, precision=precision, calibration=[photos])
        sizes[precision] = out.stat().st_size
        onnx = pytest.importorskip("onnx")
        kinds = [node.op_type for node in onnx.load(str(out)).graph.node]
        assert ("QuantizeLinear" in kinds) == (precision == "int8")
    assert sizes["int8"] < 0.6 * sizes["float32"]


# === Batch and size ===


@pytest.mark.parametrize("file_format", ["onnx", pytest.param("litert", marks=pytest.mark.slow)])
def test_a_fixed_batch(trained, tmp_path, file_format):
    out = tmp_path / FILES[file_format]
    export_model(trained, out, batch=2)
    exported = ExportedModel(out)
    assert exported.input_shape == (2, 32, 64, 3)
    assert exported(np.zeros((2, 32, 64, 3)))["depth"].shape == (2, 32, 64, 1)
    with pytest.raises(ValueError, match=r"must be \[2, 32, 64, 3\].*Received: \[1, 32, 64, 3\]"):
        exported(np.zeros((1, 32, 64, 3)))


def test_axes_of_any_length_have_names(trained, tmp_path):
    onnx = pytest.importorskip("onnx")
    for any_size, expected in ((False, ["batch", "", ""]), (True, ["batch", "height", "width"])):
        out = tmp_path / f"{any_size}.onnx"
        export_model(trained, out, any_size=any_size)
        graph = onnx.load(str(out)).graph
        for value in (*graph.input, *graph.output):
            axes = value.type.tensor_type.shape.dim
            assert [axis.dim_param for axis in axes][:3] == expected, value.name


def test_another_size(trained, photos, tmp_path):
    out = tmp_path / "m.onnx"
    export_model(trained, out, height=48, width=80, photos=[photos])
    exported = ExportedModel(out)
    assert exported.input_shape == (None, 48, 80, 3)
    rebuilt = trained.network.with_input_shape((48, 80, 3))
    x = np.random.default_rng(0).normal(size=(1, 48, 80, 3)).astype(np.float32)
    np.testing.assert_allclose(exported(x)["depth"], rebuilt(x)["depth"], atol=1e-4)


@pytest.mark.parametrize(
    "file_format",
    ["onnx", *(pytest.param(f, marks=pytest.mark.slow) for f in ("litert", "savedmodel"))],
)
def test_images_of_any_size(trained, photos, tmp_path, file_format):
    out = tmp_path / FILES[file_format]
    options = {"with_preprocessing": True, "with_postprocessing": True}
    export_model(trained, out, any_size=True, photos=[photos], **options)
    exported = ExportedModel(out)
    assert exported.input_shape == (None, None, None, 3)
    assert exported.description["input"]["height"] is None
    image = image_of(photos / "2.png")
    large = cv2.resize(image, (128, 96), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    small_images = tf.image.resize(large[None], (32, 64), antialias=True)
    raw = small(include_preprocessing=True)
    raw.set_weights(trained.network.get_weights())
    depth = tf.image.resize(raw(small_images)["depth"], (96, 128))[..., 0]
    received = exported(large[None])
    assert received["semseg"].shape == (1, 96, 128) and received["normals"].shape[-1] == 3
    np.testing.assert_allclose(received["depth"], depth, atol=1e-3)


# === Other networks ===


def test_outputs_that_only_supervise_training_are_left_out(tmp_path):
    tasks = {"semseg": 3, "depth": 1}
    network = mtl.architectures.PADNet("resnet18", tasks, (32, 32, 3))
    assert any("/" in name for name in network.output)
    for flags in ({}, {"with_postprocessing": True, "any_size": True}):
        out = tmp_path / f"{len(flags)}.onnx"
        assert set(export_model(network, out, **flags)) == set(tasks)
        exported = ExportedModel(out)
        assert set(exported.description["outputs"]) == set(tasks)
        assert set(exported(np.zeros((1, 32, 32, 3)))) == set(tasks)


def test_a_network_of_mixed_precision_is_exported_in_float32(tmp_path):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        network = mtl.architectures.SharedTrunk("resnet18", {"depth": 1}, (32, 32, 3), head="conv")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    export_model(network, tmp_path / "m.onnx")
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(str(tmp_path / "m.onnx")).graph
    assert {weight.data_type for weight in graph.initializer} <= {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT64,
        onnx.TensorProto.INT32,
    }
    assert keras.config.dtype_policy().name == "float32"


def test_tasks_of_your_own(tmp_path):
    image = keras.Input((8, 8, 3))
    network = keras.Model(image, {"heat": keras.layers.Conv2D(1, 1)(image)})
    heat = mtl.Task(
        "heat",
        1,
        tf.exp,
        mtl.losses.L1,
        lambda c: [mtl.metrics.RegressionMetrics(c)],
        "rmse",
        higher_is_better=False,
    )
    export_model(network, tmp_path / "m.onnx", with_postprocessing=True, tasks=[heat])
    received = ExportedModel(tmp_path / "m.onnx")(np.ones((1, 8, 8, 3)))["heat"]
    expected = np.exp(network(np.ones((1, 8, 8, 3)))["heat"])[..., 0]
    np.testing.assert_allclose(received, expected, rtol=1e-5)
    with pytest.raises(ValueError, match=r"no output 'cold' of 1 channels"):
        cold = dataclasses.replace(heat, name="cold")
        export_model(network, tmp_path / "n.onnx", tasks=[cold])


def test_numbers_that_half_precision_lacks(tmp_path):
    image = keras.Input((8, 8, 3))
    large = keras.layers.Rescaling(1e6)(keras.layers.Conv2D(1, 1, kernel_initializer="ones")(image))
    network = keras.Model(image, {"depth": large})
    with pytest.raises(RuntimeError, match="depth has NaN or infinity in this precision"):
        export_model(network, tmp_path / "m.onnx", precision="float16")
    assert not list(tmp_path.iterdir())


def test_the_content_of_a_file_is_its_format(trained, tmp_path):
    for name, file_format in (("a.bin", "onnx"), ("b.tflite", "onnx"), ("c.onnx", "litert")):
        export_model(trained, tmp_path / name, file_format)
        assert ExportedModel(tmp_path / name).file_format == file_format


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
