"""The notebook of the quickstart: the page's blocks, which run in a Jupyter kernel."""

import pathlib

import nbclient
import nbformat
import pytest

from docs.notebook import notebook
from tests.test_docs import small

DOCS = pathlib.Path(__file__).parent.parent / "docs"


def stored():
    return nbformat.read(DOCS / "quickstart.ipynb", as_version=4)


def test_it_is_the_page():
    written = notebook((DOCS / "quickstart.md").read_text())
    assert (DOCS / "quickstart.ipynb").read_text() == written, "run python docs/generated.py"
    nbformat.validate(stored())


@pytest.mark.slow
def test_it_runs(tmp_path):
    book = stored()
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.source = small(cell.source)
    nbclient.NotebookClient(book, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    text = "".join(output.get("text", "") for output in outputs)
    assert "val_depth_rmse" in text and " m\n" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)
