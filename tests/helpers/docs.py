"""Pages of the documentation as MkDocs renders them: with generated tables and references."""

import importlib.util
import pathlib

DOCS = pathlib.Path(__file__).parent.parent.parent / "docs"
_SPEC = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
generated = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(generated)


def page(name):
    """Return the Markdown of a page, by name or path, with its markers replaced."""
    return generated.expand((DOCS / name).read_text())
