"""Exports of other networks: deep supervision, mixed precision, own tasks."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import mtl_tf as mtl
from mtl_tf.deployment import ExportedModel, export_model

pytestmark = pytest.mark.filterwarnings(r"ignore:In the future `np\.object`:FutureWarning:keras")


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
