"""Export: networks in the formats of other programs.

==================== ==============================================================
`export_model`       SavedModel, ONNX or LiteRT, compared with the Keras model
`ExportedModel`      runs such a file in its own runtime
`export_preset`      a preset to hand over: half the size, for RGB images as they are
`serving_network`    a network with the steps before and after it
==================== ==============================================================
"""

from mtl_tf.deployment.export.export_model import export_model
from mtl_tf.deployment.export.export_preset import export_preset
from mtl_tf.deployment.export.exported_model import ExportedModel
from mtl_tf.deployment.export.serving import serving_network

__all__ = ["ExportedModel", "export_model", "export_preset", "serving_network"]
