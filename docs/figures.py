"""Numbers in the prose of the README and of the pages: stored or counted, never typed.

`<!-- figure: NAME -->text<!-- end -->` quotes a number; `python docs/generated.py` writes the text.
`results/figures.json` holds what was measured for the prose alone: `text` is quoted, `measured`,
`on` and `command` say where it comes from. All others are counted or taken from other results.
"""

import importlib
import json
import pathlib
import re
from collections.abc import Callable

RESULTS = pathlib.Path(__file__).with_name("results")
_QUOTED = re.compile(r"(<!-- figure: (\w+) -->).*?(<!-- end -->)", re.DOTALL)
_NOT_IN_THE_SURVEY = ("light_weight_refinenet",)


def with_figures(markdown: str) -> str:
    """Return Markdown with every quoted number as it is stored.

    Raises:
        KeyError: if a name is not known.
    """
    return _QUOTED.sub(lambda quoted: f"{quoted[1]}{figure(quoted[2])}{quoted[3]}", markdown)


def figure(name: str) -> str:
    """Return the text of a number."""
    if name in _COUNTED:
        return _COUNTED[name]()
    return _stored("figures")[name]["text"]


def _stored(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def _architectures(left_out: tuple[str, ...] = ()) -> str:
    table = importlib.import_module("mtl_tf.architectures").TABLE
    return str(len(set(table) - set(left_out)))


def _methods(*bases: str) -> str:
    balancing = importlib.import_module("mtl_tf.balancing")
    wanted = tuple(getattr(balancing, base) for base in bases)
    return str(sum(issubclass(entry.cls, wanted) for entry in balancing.TABLE.values()))


def _environment() -> dict:
    return _stored("quick")["environment"]


def _latency(runtime: str) -> str:
    """Return the median of `quick` with two threads and one image."""
    for latency in _stored("latency_quick")["latencies"]:
        if (latency["runtime"], latency["threads"], latency["batch"]) == (runtime, 2, 1):
            return f"{latency['median_ms']:.0f} ms"
    raise KeyError(f"latency_quick.json has no {runtime!r} with two threads and one image")


def _latency_of_its_network(runtime: str) -> str:
    """Return the same of the network of `quick` in the table of architectures."""
    for network in _stored("latency")["networks"]:
        if (network["architecture"], network["backbone"]) == ("shared_trunk", "efficientnet_lite0"):
            medians = {x["runtime"]: x["median_ms"] for x in network["latencies"]}
            return f"{medians[runtime]:.0f} ms"
    raise KeyError("latency.json has no shared_trunk on efficientnet_lite0")


def _size_of_quick() -> str:
    trained = importlib.import_module("mtl_tf").__path__[0]
    files = pathlib.Path(trained, "trained", "quick").iterdir()
    return f"{sum(file.stat().st_size for file in files) / 1e6:.0f} MB"


_COUNTED: dict[str, Callable[[], str]] = {
    "systems_of_the_survey": lambda: _architectures(_NOT_IN_THE_SURVEY),
    "multi_task_architectures": lambda: _architectures(("single_task",)),
    "methods": lambda: _methods("Scalarizer", "Weighting", "Aggregator"),
    "methods_of_losses": lambda: _methods("Scalarizer"),
    "methods_of_gradients": lambda: _methods("Weighting", "Aggregator"),
    "quick_parameters": lambda: f"{_environment()['parameters'] / 1e6:.1f} M",
    "quick_training": lambda: f"{_environment()['training_s'] / 60:.0f} minutes",
    "quick_size": _size_of_quick,
    "quick_in_a_graph": lambda: _latency("tf.function"),
    "quick_in_onnx": lambda: _latency("onnx"),
    "quick_in_a_graph_avx512": lambda: _latency_of_its_network("tf.function"),
    "quick_in_onnx_avx512": lambda: _latency_of_its_network("onnx"),
    "quick_in_litert_avx512": lambda: _latency_of_its_network("litert"),
}
