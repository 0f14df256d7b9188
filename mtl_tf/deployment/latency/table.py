"""Tables of stored latencies as Markdown: of many networks, or of one in every runtime."""

import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

_HEADINGS = {"tf.function": "`tf.function`", "onnx": "ONNX Runtime", "litert": "LiteRT"}
_ALL_HEADINGS = {"keras": "Keras, without a graph", **_HEADINGS, "xla": "XLA"}


def latency_table(path: pathlib.Path) -> str:
    """Return stored latencies as a Markdown table: architectures by backbones.

    Args:
        path: of a JSON file: `networks`, a list of `architecture`, `backbone`, `parameters`,
            `latencies` (`Latency` as dictionaries, batch 1) and `machine` (a sentence, the same for
            all networks of an architecture). Those of other machines than the first are marked.

    Raises:
        KeyError: if the file lacks an entry.
    """
    stored = json.loads(path.read_text("utf-8"))
    networks: list[dict[str, Any]] = stored["networks"]
    backbones = list(dict.fromkeys(network["backbone"] for network in networks))
    runtimes = list(_HEADINGS)
    heads = [f"`{backbone}`: {' / '.join(_HEADINGS.values())}" for backbone in backbones]
    lines = [f"| ms | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    latencies = {(n["architecture"], n["backbone"]): n["latencies"] for n in networks}
    machines = {n["architecture"]: n["machine"] for n in networks}
    marks = {machine: "*" * i for i, machine in enumerate(dict.fromkeys(machines.values()))}
    for architecture in dict.fromkeys(network["architecture"] for network in networks):
        cells = [
            " / ".join(_cells(latencies.get((architecture, backbone), []), runtimes))
            for backbone in backbones
        ]
        mark = marks[machines[architecture]].replace("*", r"\*")
        lines.append(f"| `{architecture}`{mark} | {' | '.join(cells)} |")
    (first, _), *others = marks.items()
    notes = [mark.replace("*", r"\*") + f" {machine}" for machine, mark in others]
    return "\n\n".join([first, "\n".join(lines), *notes])


def runtimes_table(path: pathlib.Path) -> str:
    """Return the stored latencies of one network as a Markdown table: a row for each runtime.

    Args:
        path: of a JSON file: `caption` (a sentence), and `latencies`, a list of `Latency` as
            dictionaries, as `mtl-tf benchmark --json` prints them.

    Raises:
        KeyError: if the file lacks an entry.
    """
    stored = json.loads(path.read_text("utf-8"))
    latencies = [latency for latency in stored["latencies"] if not latency["error"]]
    columns = sorted({(latency["threads"], latency["batch"]) for latency in latencies})
    heads = [
        f"{threads} thread{'s' * (threads > 1)}, {batch} image{'s' * (batch > 1)}"
        for threads, batch in columns
    ]
    lines = [f"| ms | {' | '.join(heads)} |", f"|---|{'---:|' * len(columns)}"]
    medians = {(x["runtime"], x["threads"], x["batch"]): x["median_ms"] for x in latencies}
    for runtime in dict.fromkeys(latency["runtime"] for latency in latencies):
        values = [medians.get((runtime, *column)) for column in columns]
        cells = ["–" if value is None else f"{value:.0f}" for value in values]
        lines.append(f"| {_ALL_HEADINGS.get(runtime, runtime)} | {' | '.join(cells)} |")
    return f"{stored['caption']}\n\n" + "\n".join(lines)


def _cells(latencies: Iterable[Mapping[str, Any]], runtimes: Iterable[str]) -> list[str]:
    """Return the medians of the runtimes as text."""
    medians = {x["runtime"]: x["median_ms"] for x in latencies if not x["error"]}
    values = [medians.get(name) for name in runtimes]
    return ["–" if x is None else f"{x:.0f}" for x in values]
