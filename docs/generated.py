"""What the pages take from the package: tables of methods, and the reference of public names.

A line `<!-- table: MODULE -->` becomes what `python -m MODULE` prints, a line
`<!-- reference: MODULE -->` an entry for every public name of the module, and a line
`<!-- results: NAME -->` or `<!-- latency: NAME -->` what `docs/results/NAME.json` holds. MkDocs
calls `on_page_markdown` (`hooks` in `mkdocs.yml`).
"""

import importlib
import inspect
import pathlib
import re
import types
from typing import Any

_MARKER = re.compile(r"^<!-- (table|reference|results|latency): ([\w.]+) -->$", re.MULTILINE)
_RESULTS = pathlib.Path(__file__).with_name("results")


def public_names(module: types.ModuleType) -> list[str]:
    """Return the names of a module's reference: the rows of its `TABLE` first, no modules."""
    rows = [
        row.cls.__name__ for row in getattr(module, "TABLE", {}).values() if hasattr(row, "cls")
    ]
    names = list(dict.fromkeys([*rows, *module.__all__]))
    return [name for name in names if not inspect.ismodule(getattr(module, name))]


def expand(markdown: str) -> str:
    """Return a page with its markers replaced."""

    def replaced(marker: re.Match[str]) -> str:
        kind, name = marker.groups()
        if kind == "table":
            return importlib.import_module(f"{name}.__main__").markdown().rstrip()
        if kind == "results":
            page = importlib.import_module("mtl_tf.experiments.outputs.results_page")
            return page.results_page(_RESULTS / f"{name}.json").rstrip()
        if kind == "latency":
            table = importlib.import_module("mtl_tf.deployment.latency.table")
            return table.latency_table(_RESULTS / f"{name}.json").rstrip()
        module = importlib.import_module(name)
        return "\n\n".join(f"::: {name}.{public}" for public in public_names(module))

    return _MARKER.sub(replaced, markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Expand a page, as an event of MkDocs."""
    return expand(markdown)
