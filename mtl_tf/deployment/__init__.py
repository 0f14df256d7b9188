"""Deployment: predictions on photographs and videos, and models in other formats.

==================== ==============================================================
`Predictor`          a network for images of any size, folders, videos and cameras
`Prediction`         the tasks of an image: numbers, pictures, files
`predict_files`      write coloured maps of photographs and videos
`export_model`       SavedModel, ONNX or LiteRT, checked against the Keras model
`ExportedModel`      runs such a file in its own runtime
`export_preset`      a preset to hand over: half the size, for RGB images as they are
`benchmark`          the latency of a network in several runtimes
`from_preset`        a trained network with its tasks, from a run or a preset
`load_network`       the network of a run folder
==================== ==============================================================
"""

from mtl_tf.optional_packages import imports_of_extra

with imports_of_extra(__name__, "experiments"):
    from mtl_tf.deployment.export import ExportedModel, export_model, export_preset
    from mtl_tf.deployment.latency import Latency, benchmark
    from mtl_tf.deployment.predict import Output, predict_files
    from mtl_tf.deployment.prediction import Prediction
    from mtl_tf.deployment.predictor import Predictor
    from mtl_tf.deployment.presets import from_preset
    from mtl_tf.deployment.saved_models import load_network

__all__ = [
    "ExportedModel",
    "Latency",
    "Output",
    "Prediction",
    "Predictor",
    "benchmark",
    "export_model",
    "export_preset",
    "from_preset",
    "load_network",
    "predict_files",
]
