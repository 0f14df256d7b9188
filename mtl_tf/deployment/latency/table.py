"""Table of the latencies of many networks, stored as JSON and shown as Markdown."""

import json
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

_HEADINGS = {"tf.function": "`tf.function`", "onnx": "ONNX Runtime", "litert": "LiteRT"}


def latency_table(path: pathlib.Path) -> str:
    """Return stored latencies as a Markdown table: a row for each architecture.

    Args:
        path: of a JSON file: `machine` (a sentence) and `networks`, a list of `architecture`,
            `backbone`, `parameters` and `latencies` (`Latency` as dictionaries, batch 1).

    Raises:
        KeyError: if the file lacks an entry.
    """
    stored = json.loads(path.read_text("utf-8"))
    networks: list[dict[str, Any]] = stored["networks"]
    backbones = list(dict.fromkeys(network["backbone"] for network in networks))
    runtimes = list(_HEADINGS)
    columns = [f"{_HEADINGS[name]}, {backbone}" for backbone in backbones for name in runtimes]
    lines = [f"| ms | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    latencies = {(n["architecture"], n["backbone"]): n["latencies"] for n in networks}
    for architecture in dict.fromkeys(network["architecture"] for network in networks):
        cells = [
            cell
            for backbone in backbones
            for cell in _cells(latencies.get((architecture, backbone), []), runtimes)
        ]
        lines.append(f"| `{architecture}` | {' | '.join(cells)} |")
    return f"{stored['machine']}\n\n" + "\n".join(lines)


def _cells(latencies: Iterable[Mapping[str, Any]], runtimes: Iterable[str]) -> list[str]:
    """Return the medians of the runtimes as text."""
    medians = {latency["runtime"]: latency["median_ms"] for latency in latencies}
    values = [medians.get(name) for name in runtimes]
    return ["–" if x is None or math.isnan(x) else f"{x:.0f}" for x in values]
