"""Published weights for backbones: torchvision's, timm's, HRNet's authors', and Keras' own."""

import pathlib
from typing import Any

import keras
import numpy as np

from mtl_tf.weights.torch_state import Slot, fill, leaf_layers, read_state_dict, slots

# What published classifiers and segmenters have behind their backbone.
_CLASSIFIERS = (
    "fc.", "classifier.", "head.", "incre_modules.", "downsamp_modules.", "final_layer.",
    "last_layer.", "cls_head.", "ocr_", "conv3x3_ocr.", "aux_head.",
)  # fmt: skip
_KERAS_EPSILON = 1.001e-5
_EPSILON = 1e-5
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])
_IMAGENET_STD = np.array([0.229, 0.224, 0.225])
_CAFFE_MEAN = np.array([123.68, 116.779, 103.939])


def load_pretrained(model: keras.Model, source: Any) -> None:
    """Fills the backbone of a model, or every copy of it, with published weights.

    Nothing is downloaded but with `source="imagenet"`, by Keras with its progress bar.

    Args:
        model: a backbone of `build`, or an architecture with a named backbone.
        source: path of a checkpoint of torchvision (ResNet), timm (ResNet, HRNet) or HRNet's
            authors, `.safetensors` or `.pth` (the latter needs PyTorch); or, for `resnet50_v1`,
            `"imagenet"` or a `keras.applications.ResNet50`, whose preprocessing is folded into the
            first convolution, so that images are normalised as everywhere here. What belongs to
            the published model's classifier is left out.

    Raises:
        ValueError: naming tensors that are missing, extra or of another shape; nothing is changed
            then.
        ImportError: if PyTorch is needed and not installed.
    """
    if isinstance(source, str) and source == "imagenet":
        _check_strides(model)
        source = keras.applications.ResNet50(include_top=False, weights="imagenet")
    if isinstance(source, keras.Model):
        _check_strides(model)
        state, what = _state_of_keras_resnet50(source), source.name
    else:
        state, what = read_state_dict(source), pathlib.Path(source).name
    state = {
        name: value for name, value in state.items() if not name.startswith(_CLASSIFIERS)
    }  # fmt: skip
    fill(_backbone_slots(model, state), state, what)


def _backbone_slots(model: keras.Model, state: dict[str, Any]) -> list[tuple[str, Slot]]:
    """Map the tensors of a published model to the backbone's variables, by name."""
    layers = leaf_layers(model)
    inside = [layer for layer in layers if layer.name.startswith("backbone.")] or layers
    places = []
    for name, slot in slots(inside):
        own = name.removeprefix("backbone.")
        if own not in state and own.partition(".")[2] in state:
            own = own.partition(".")[2]  # the copy of a task: backbone.<task>.conv1.weight
        places.append((own, slot))
    return places


def _check_strides(model: keras.Model) -> None:
    for layer in leaf_layers(model):
        if layer.name.endswith("layer2.0.conv1") and layer.strides == (1, 1):
            raise ValueError(
                "Keras' ResNet-50 has its strides on the first convolution of a block: use the "
                "backbone 'resnet50_v1'"
            )


def _state_of_keras_resnet50(model: keras.Model) -> dict[str, np.ndarray]:
    """Keras' ResNet-50 under torchvision's names, for images normalised as here."""
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
    """`conv3_block1_2_conv` -> `layer2.0.conv2`, `layer2.0.bn2`; 0 is the shortcut."""
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
    """A first convolution of BGR minus Caffe's mean as one of RGB normalised as here."""
    kernel = kernel[:, :, ::-1]
    offset = 255.0 * _IMAGENET_MEAN - _CAFFE_MEAN
    bias = bias + np.einsum("hwio,i->o", kernel, offset)
    return kernel * (255.0 * _IMAGENET_STD)[:, None], bias
