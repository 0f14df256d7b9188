"""Published weights of backbones: from torchvision, timm, the authors of HRNet, and Keras."""

import os
import pathlib
from collections.abc import Mapping

import keras
import numpy as np

from mtl_tf.images import IMAGENET_MEAN, IMAGENET_STD
from mtl_tf.weights.torch_state import Slot, fill, leaf_layers, read_state_dict, slots

# Prefixes of the tensors of published classifiers and segmentation models after the backbone.
_CLASSIFIERS = (
    *("fc.", "classifier.", "head.", "incre_modules.", "downsamp_modules.", "final_layer."),
    *("last_layer.", "cls_head.", "ocr_", "conv3x3_ocr.", "aux_head."),
)
_KERAS_EPSILON = 1.001e-5
_EPSILON = 1e-5
_CAFFE_MEAN = np.array([123.68, 116.779, 103.939])


def load_pretrained(model: keras.Model, source: str | os.PathLike[str] | keras.Model) -> None:
    """Load published weights into the backbone of a model, or every copy of it.

    Only `source="imagenet"` downloads weights, through Keras with a progress bar.

    Args:
        model: a backbone of `build`, or an architecture with a named backbone.
        source: path of a checkpoint of torchvision (ResNet), timm (ResNet, HRNet) or the authors of
            HRNet, `.safetensors` or `.pth` (the latter needs PyTorch); or, for `resnet50_v1`,
            `"imagenet"` or a `keras.applications.ResNet50`. The preprocessing of the latter is
            folded into the first convolution, so that images are normalised as everywhere in this
            library. Tensors of the published model's classifier are ignored.

    Raises:
        ValueError: with the names of tensors that are missing, unexpected or of another shape; the
            model is not changed then.
        ImportError: if safetensors or PyTorch is needed but not installed.
    """
    if isinstance(source, str) and source == "imagenet":
        _check_strides(model)
        source = keras.applications.ResNet50(include_top=False, weights="imagenet")
    if isinstance(source, keras.Model):
        _check_strides(model)
        state, what = _state_of_keras_resnet50(source), source.name
    else:
        state, what = read_state_dict(source), pathlib.Path(source).name
    state = {name: x for name, x in state.items() if not name.startswith(_CLASSIFIERS)}
    fill(_backbone_slots(model, state), state, what)


def _backbone_slots(model: keras.Model, state: Mapping[str, np.ndarray]) -> list[tuple[str, Slot]]:
    """Map the tensors of a published model to the backbone's variables, by name."""
    layers = leaf_layers(model)
    backbone_layers = [x for x in layers if x.name.startswith("backbone.")] or layers
    named_slots = []
    for name, slot in slots(backbone_layers):
        published = name.removeprefix("backbone.")
        if published not in state and published.partition(".")[2] in state:
            published = published.partition(".")[2]  # of a task: backbone.<task>.conv1.weight
        named_slots.append((published, slot))
    return named_slots


def _check_strides(model: keras.Model) -> None:
    for layer in leaf_layers(model):
        if layer.name.endswith("layer2.0.conv1") and layer.strides == (1, 1):
            raise ValueError(
                "Keras' ResNet-50 has its strides on the first convolution of a block: use the "
                "backbone 'resnet50_v1'"
            )


def _state_of_keras_resnet50(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the tensors of Keras' ResNet-50 under torchvision's names, for normalised images."""
    state: dict[str, np.ndarray] = {}
    for layer in model.layers:
        if layer.name.endswith("_conv"):
            norm = model.get_layer(layer.name.removesuffix("_conv") + "_bn")
            conv_name, norm_name = _torchvision_names(layer.name)
            kernel, bias = (np.asarray(w, np.float64) for w in layer.get_weights())
            if conv_name == "conv1":
                kernel, bias = _for_normalised_rgb(kernel, bias)
            gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in norm.get_weights())
            state[f"{conv_name}.weight"] = kernel.transpose(3, 2, 0, 1)
            state[f"{norm_name}.weight"] = gamma
            state[f"{norm_name}.bias"] = beta
            state[f"{norm_name}.running_mean"] = mean - bias
            state[f"{norm_name}.running_var"] = variance + (_KERAS_EPSILON - _EPSILON)
    return state


def _torchvision_names(name: str) -> tuple[str, str]:
    """Map `conv3_block1_2_conv` to `layer2.0.conv2`, `layer2.0.bn2`; 0 is the shortcut."""
    if name == "conv1_conv":
        return "conv1", "bn1"
    stage, block, index, _ = name.split("_")
    block_name = (
        f"layer{int(stage.removeprefix('conv')) - 1}.{int(block.removeprefix('block')) - 1}"
    )
    if index == "0":
        return f"{block_name}.downsample.0", f"{block_name}.downsample.1"
    return f"{block_name}.conv{index}", f"{block_name}.bn{index}"


def _for_normalised_rgb(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert a first convolution of BGR minus Caffe's mean to one of normalised RGB."""
    kernel = kernel[:, :, ::-1]
    offset = 255.0 * IMAGENET_MEAN - _CAFFE_MEAN
    bias = bias + np.einsum("hwio,i->o", kernel, offset)
    return kernel * (255.0 * IMAGENET_STD)[:, None], bias
