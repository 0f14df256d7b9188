"""Published weights of backbones: from torchvision, timm, the authors of HRNet, and Keras."""

import os
import pathlib
import re
from collections.abc import Mapping

import keras
import numpy as np

from mtl_tf.weights import efficientnet_lite, keras_resnet, published_weights
from mtl_tf.weights.torch_state import Slot, fill, leaf_layers, read_state_dict, slots

IMAGENET = "imagenet"
"""Name of the published weights of a backbone, see `mtl_tf.weights.TABLE`."""

FUSION = "backbone.1.last_layer."
"""Prefix of the layers that fuse the stages behind a backbone, as the official code names them."""

# A backbone of a model, and the normalisations that a task of ASTMT has of its own.
_BACKBONE = re.compile(r"(modulator\.[^.]+\.)?backbone\.")
# Prefixes of the tensors of published classifiers and segmentation models after the backbone.
_CLASSIFIERS = (
    *("fc.", "classifier.", "head.", "incre_modules.", "downsamp_modules.", "final_layer."),
    *("last_layer.", "cls_head.", "ocr_", "conv3x3_ocr.", "aux_head."),
)


def load_pretrained(model: keras.Model, source: str | os.PathLike[str] | keras.Model) -> None:
    """Load published weights into the backbone of a model, or every copy of it.

    Args:
        model: a backbone of `mtl_tf.backbones.build`, or an architecture with a named backbone.
        source: `"imagenet"` for the weights of `mtl_tf.weights.TABLE`, which are downloaded if they
            are not on this machine; or the path of a checkpoint of torchvision (ResNet), timm
            (ResNet, HRNet, EfficientNet-Lite) or the authors of HRNet, `.safetensors`, `.pth` or
            `.pt`, read without PyTorch; or, for `resnet50_v1`, a `keras.applications.ResNet50`,
            whose preprocessing is folded into the first convolution. Images are normalised as
            everywhere in this library. Tensors of the published model's classifier are ignored.

    Raises:
        ValueError: for a file that is damaged or no checkpoint, or with the names of tensors that
            are missing, unexpected, of another shape, or not finite; the model is not changed then.
        ConnectionError: if weights cannot be downloaded.
        ImportError: if safetensors is needed but not installed.
    """
    if isinstance(source, str) and source == IMAGENET:
        path = published_weights.find(_backbone_name(model))
        if path.suffix == ".h5":
            keras_resnet.check_strides(model)
            source = keras.applications.ResNet50(include_top=False, weights=str(path))
        else:
            source = path
    if isinstance(source, keras.Model):
        keras_resnet.check_strides(model)
        state, what = keras_resnet.state_of_keras_resnet50(source), source.name
    else:
        published_weights.check_digest_in_name(pathlib.Path(source).expanduser())
        state, what = read_state_dict(source), pathlib.Path(source).name
    state = efficientnet_lite.with_our_names(state)
    state = {name: x for name, x in state.items() if not name.startswith(_CLASSIFIERS)}
    fill(_backbone_slots(model, state), state, what)


def _backbone_name(model: keras.Model) -> str:
    """Return the name of a model's backbone."""
    backbone = getattr(model, "arguments", {}).get("backbone", model)
    return backbone if isinstance(backbone, str) else str(backbone.name)


def _backbone_slots(model: keras.Model, state: Mapping[str, np.ndarray]) -> list[tuple[str, Slot]]:
    """Map the tensors of a published model to the backbone's variables, by name."""
    layers = leaf_layers(model)
    backbone_layers = [x for x in layers if _is_published(x.name)] or layers
    named_slots = []
    for name, slot in slots(backbone_layers):
        published = _BACKBONE.sub("", name)
        if published not in state and published.partition(".")[2] in state:
            published = published.partition(".")[2]  # of a task: backbone.<task>.conv1.weight
        named_slots.append((published, slot))
    return named_slots


def _is_published(name: str) -> bool:
    is_ours = name.endswith(".adapter") or name.startswith(FUSION)
    return _BACKBONE.match(name) is not None and not is_ours
