"""Pages of the documentation as MkDocs renders them: with generated tables and references."""

import importlib.util
import pathlib

DOCS = pathlib.Path(__file__).parent.parent.parent / "docs"


def _loaded(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generated, figures = _loaded("generated"), _loaded("figures")


def page(name):
    """Return the Markdown of a page, by name or path, with its markers replaced."""
    return generated.expand((DOCS / name).read_text())
