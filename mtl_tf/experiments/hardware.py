"""Names of processors and GPUs, and the library of TensorFlow on processors."""

import contextlib
import importlib
import pathlib
import platform
import re

import tensorflow as tf

_CPU_FACTS = pathlib.Path("/proc/cpuinfo")  # of Linux


def processor_name() -> str:
    """Return the name of the processor, such as `AMD EPYC 7763`; else its architecture."""
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", _CPU_FACTS.read_text(), re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine()


def uses_onednn() -> bool | None:
    """Return whether TensorFlow computes with oneDNN, which changes rounding; `None` if unknown."""
    with contextlib.suppress(ImportError, AttributeError):  # it has no public name
        port = importlib.import_module("tensorflow.python.util._pywrap_util_port")
        return bool(port.IsMklEnabled())
    return None


def gpu_names() -> list[str]:
    """Return the name and the compute capability of each GPU that TensorFlow sees."""
    return [_described(gpu) for gpu in tf.config.list_physical_devices("GPU")]


def _described(gpu: tf.config.PhysicalDevice) -> str:
    details = tf.config.experimental.get_device_details(gpu)
    capability = ".".join(map(str, details.get("compute_capability", ())))
    return f"{details.get('device_name', 'unknown')} (compute capability {capability})"
