"""Networks as ONNX files, in float32, float16 or int8, and run by ONNX Runtime."""

import pathlib
import tempfile
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from mtl_tf import ops
from mtl_tf.deployment.export.description import KEY
from mtl_tf.deployment.export.serving import INPUT
from mtl_tf.deployment.export.traced import Run, forward, signature
from mtl_tf.optional_packages import optional_import

_OPSET = 18
_PURPOSE = "An ONNX file"
_OF_THE_BODY = (  # int8; what follows the network (division, exponentials) stays in float32
    *("Conv", "ConvTranspose", "MatMul", "Gemm", "Add", "Concat", "Clip", "Relu"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "Resize"),
)


def write(network: keras.Model, path: pathlib.Path, batch: int | None = None) -> None:
    """Write a network as ONNX, with the input `image` and one output by task.

    Args:
        network: as `serving_network` returns it.
        path: of the file.
        batch: number of images; `None` for any number.

    Raises:
        ImportError: if a package is not installed.
    """
    onnx = optional_import("onnx", _PURPOSE)
    converter = optional_import("tf2onnx.convert", _PURPOSE)
    spec = signature(network, batch)
    with ops.portable():
        model, _ = converter.from_function(
            tf.function(forward(network), input_signature=[spec]), [spec], opset=_OPSET
        )
    names = ("batch", "height", "width") if None in network.input_shape[1:] else ("batch",)
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            if not axis.dim_value:  # of any length: the converter calls it unk__12
                axis.dim_param = name
    onnx.save(model, str(path))


def halve(path: pathlib.Path) -> None:
    """Store weights and computation of a file as float16; input and outputs stay float32."""
    onnx = optional_import("onnx", _PURPOSE)
    float16 = optional_import("onnxruntime.transformers.float16", _PURPOSE)
    model = float16.convert_float_to_float16(onnx.load(str(path)), keep_io_types=True)
    onnx.save(model, str(path))


def quantise(path: pathlib.Path, calibration: Sequence[np.ndarray]) -> None:
    """Store weights and activations of a file as int8; input and outputs stay float32.

    Weights have a scale for each channel and seven bits: products of eight bits overflow on
    processors without VNNI.

    Args:
        path: of the file, which is replaced.
        calibration: inputs `[1, H, W, 3]` whose activations define the ranges.
    """
    quantization = optional_import("onnxruntime.quantization", _PURPOSE)
    shape_inference = optional_import("onnxruntime.quantization.shape_inference", _PURPOSE)
    remaining = iter(calibration)

    class Reader(quantization.CalibrationDataReader):  # type: ignore[name-defined]
        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(remaining, None)
            return None if image is None else {INPUT: image}

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared, quantised = (pathlib.Path(folder, name) for name in ("float.onnx", "int8.onnx"))
        shape_inference.quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(quantised),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_OF_THE_BODY),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        quantised.replace(path)


def describe(path: pathlib.Path, description: str) -> None:
    """Store a description in the metadata of a file."""
    onnx = optional_import("onnx", _PURPOSE)
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {KEY: description})
    onnx.save(model, str(path))


def read_description(path: pathlib.Path) -> str | None:
    """Return the description in a file, if it has one."""
    onnx = optional_import("onnx", _PURPOSE)
    properties = onnx.load(str(path), load_external_data=False).metadata_props
    return {entry.key: entry.value for entry in properties}.get(KEY)


def load(path: pathlib.Path, threads: int | None) -> tuple[tuple[int | None, ...], Run]:
    """Return the shape of the input of a file, and a function that runs it."""
    runtime = optional_import("onnxruntime", "Running an ONNX file")
    options = runtime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    session = runtime.InferenceSession(
        str(path), options, providers=runtime.get_available_providers()
    )
    (image,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    shape = tuple(axis if isinstance(axis, int) else None for axis in image.shape)

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {image.name: images}), strict=True))

    return shape, run
