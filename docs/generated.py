"""What the pages and the README take from the package and from stored results.

In a page, a line `<!-- table: MODULE -->` becomes what `python -m MODULE` prints, a line
`<!-- reference: MODULE -->` an entry for every public name of the module, a line
`<!-- results: NAME -->` or `<!-- latency: NAME -->` what `docs/results/NAME.json` holds, a line
`<!-- presets: NAME,NAME -->` a table of such runs, and a line `<!-- include: FILE -->` that file of
`docs/results`. MkDocs calls `on_page_markdown` (`hooks` in `mkdocs.yml`).

The README is read without MkDocs: `python docs/generated.py` writes its tables between
`<!-- generated: NAME -->` and `<!-- end -->`. It also writes the numbers in prose (`figures.py`),
and the notebook of the quickstart. A test compares all of them with the stored ones.
"""

import importlib
import inspect
import json
import pathlib
import re
import types
from typing import Any

_MARKER = re.compile(
    r"^<!-- (table|reference|results|latency|presets|include): ([\w.,]+) -->$", re.MULTILINE
)
_SPAN = re.compile(
    r"(?<=^<!-- generated: )(\w+)( -->\n).*?(?=^<!-- end -->$)", re.MULTILINE | re.DOTALL
)
_PAPERS = pathlib.Path(__file__).with_name("papers.json")
_RESULTS = pathlib.Path(__file__).with_name("results")
_README = pathlib.Path(__file__).parent.parent / "README.md"
_PRESETS = ("quick",)


def public_names(module: types.ModuleType) -> list[str]:
    """Return the names of a module's reference: the rows of its `TABLE` first, no modules."""
    rows = [
        row.cls.__name__ for row in getattr(module, "TABLE", {}).values() if hasattr(row, "cls")
    ]
    names = list(dict.fromkeys([*rows, *module.__all__]))
    return [name for name in names if not inspect.ismodule(getattr(module, name))]


def presets(names: tuple[str, ...]) -> str:
    """Return the main metrics of stored runs as a table."""
    page = importlib.import_module("mtl_tf.experiments.outputs.results_page")
    return page.presets_table([_RESULTS / f"{name}.json" for name in names])


def latency() -> str:
    """Return the stored latencies of the preset `quick` as a table."""
    table = importlib.import_module("mtl_tf.deployment.latency.table")
    return table.runtimes_table(_RESULTS / "latency_quick.json")


def linked(markdown: str) -> str:
    """Return a table of methods with links to their papers on arXiv, where they are there."""
    for paper, number in json.loads(_PAPERS.read_text("utf-8")).items():
        markdown = markdown.replace(paper, f"[{paper}](https://arxiv.org/abs/{number})")
    return markdown


def expand(markdown: str) -> str:
    """Return a page with its markers replaced."""

    def replaced(marker: re.Match[str]) -> str:
        kind, name = marker.groups()
        if kind == "table":
            return linked(importlib.import_module(f"{name}.__main__").markdown().rstrip())
        if kind == "results":
            page = importlib.import_module("mtl_tf.experiments.outputs.results_page")
            return page.results_page(_RESULTS / f"{name}.json").rstrip()
        if kind == "include":
            return (_RESULTS / name).read_text("utf-8").rstrip()
        if kind == "presets":
            return presets(tuple(name.split(","))).rstrip()
        if kind == "latency":
            table = importlib.import_module("mtl_tf.deployment.latency.table")
            show = table.runtimes_table if name == "latency_quick" else table.latency_table
            return show(_RESULTS / f"{name}.json").rstrip()
        module = importlib.import_module(name)
        return "\n\n".join(f"::: {name}.{public}" for public in public_names(module))

    return _MARKER.sub(replaced, markdown)


def readme(text: str) -> str:
    """Return the README with the stored numbers between its marks."""

    def replaced(mark: re.Match[str]) -> str:
        content = {"presets": lambda: presets(_PRESETS), "latency": latency}[mark[1]]()
        return f"{mark[1]}{mark[2]}{content.rstrip()}\n"

    return _SPAN.sub(replaced, text)


def on_config(config: dict[str, Any]) -> None:
    """Show the version below every page, as an event of MkDocs."""
    version = importlib.import_module("mtl_tf").__version__
    config["copyright"] = f"mtl_tf {version}, Apache-2.0"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Expand a page, as an event of MkDocs."""
    return expand(markdown)


if __name__ == "__main__":
    from figures import with_figures
    from notebook import notebook

    start = pathlib.Path(__file__).with_name("quickstart.md")
    start.with_suffix(".ipynb").write_text(notebook(start.read_text("utf-8")), "utf-8")
    _README.write_text(with_figures(readme(_README.read_text("utf-8"))), "utf-8")
    for page in pathlib.Path(__file__).parent.glob("*.md"):
        page.write_text(with_figures(page.read_text("utf-8")), "utf-8")
