"""Exported files say what Keras says, and describe themselves."""

import json

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mtl_tf.deployment import ExportedModel, Predictor, export_model
from mtl_tf.deployment.export.formats import FORMATS, PRECISIONS
from tests.helpers.exports import FILES, TASKS, image_of, small

pytestmark = pytest.mark.filterwarnings(r"ignore:In the future `np\.object`:FutureWarning:keras")


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
