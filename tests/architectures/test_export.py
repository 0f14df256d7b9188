"""Every architecture as SavedModel, ONNX and LiteRT computes the same, without our own ops."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl

TASKS = {"semseg": 3, "depth": 1}
SHAPE = (16, 32, 3)
FAST = ("single_task", "shared_trunk")
EACH = [
    name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
    for name in sorted(mtl.architectures.TABLE)
]
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:In the future `np\.object`:FutureWarning:keras"),
    pytest.mark.filterwarnings(
        r"ignore:\s*Warning. tf\.lite\.Interpreter is deprecated:UserWarning"
    ),
]


def make(name):
    """A small model whose batch normalisations have statistics of their own, an image, outputs."""
    image = keras.Input(SHAPE)
    fine = mtl.layers.conv_block(image, 4, 3, 2)
    coarse = mtl.layers.conv_block(fine, 4, 3, 2)
    backbone = keras.Model(image, [fine, coarse], name="tiny")
    tasks = {"depth": 1} if name == "single_task" else TASKS
    model = mtl.architectures.TABLE[name].cls(backbone, tasks, SHAPE)
    r = np.random.default_rng(0)
    for variable in model.variables:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(r.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean"):
            variable.assign(0.1 * r.standard_normal(variable.shape))
    images = r.standard_normal((2, *SHAPE)).astype(np.float32)
    expected = {t: np.asarray(y) for t, y in model(images, training=False).items()}
    assert set(expected) >= set(tasks)
    return model, images, expected


def check(found, expected):
    assert set(found) == set(expected)
    for task, output in expected.items():
        assert found[task].shape == output.shape
        assert np.abs(np.asarray(found[task]) - output).max() < 1e-4 * output.std()


def ops_in(folder):
    """The types of all operations in a SavedModel, its functions included."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    ops = set()
    for meta in saved.meta_graphs:
        ops |= {node.op for node in meta.graph_def.node}
        for function in meta.graph_def.library.function:
            ops |= {node.op for node in function.node_def}
    return ops


@pytest.mark.parametrize("name", EACH)
def test_saved_model_computes_the_same_with_tensorflows_ops_only(name, tmp_path):
    model, images, expected = make(name)
    model.export(tmp_path / "saved", format="tf_saved_model", verbose=False)
    ops = ops_in(tmp_path / "saved")
    assert {"Conv2D", "ResizeBilinear"} <= ops
    assert not [op for op in ops if op.lower().startswith("mtl")]
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    check(saved.serve(images), expected)


@pytest.mark.parametrize("name", EACH)
def test_onnx_computes_the_same(name, tmp_path):
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    model, images, expected = make(name)
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    (entrance,) = session.get_inputs()
    assert entrance.shape[1:] == list(SHAPE)
    assert [output.name for output in session.get_outputs()] == sorted(expected)
    outputs = session.run(None, {entrance.name: images})
    check(dict(zip(sorted(expected), outputs, strict=True)), expected)


@pytest.mark.parametrize("name", EACH)
def test_litert_computes_the_same_with_its_own_ops_only(name, tmp_path):
    model, images, expected = make(name)
    model.export(str(tmp_path / "model.tflite"), format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    runner = interpreter.get_signature_runner("serving_default")
    (entrance,) = runner.get_input_details()
    check(runner(**{entrance: images}), expected)
    used = {detail["op_name"] for detail in interpreter._get_ops_details()}
    assert not [op for op in used if op.startswith("Flex") or "Mtl" in op]
