"""The quickstart as a notebook: one cell for each block of the page and for the text between.

`python docs/generated.py` writes `quickstart.ipynb`; a test compares and runs it.
"""

import json
import re
from typing import Any

_BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook(markdown: str) -> str:
    """Return a page as a notebook without outputs."""
    markdown = markdown.replace("[The same as a notebook](quickstart.ipynb)\n\n", "")
    cells = []
    # The parts are text, code, text, code, ..., text.
    for number, part in enumerate(_BLOCK.split(markdown)):
        if part.strip():
            cells.append(_cell(f"cell-{number}", part.strip("\n"), is_code=number % 2 == 1))
    content = {"cells": cells, "metadata": _METADATA, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _cell(name: str, text: str, is_code: bool) -> dict[str, Any]:
    common = {"id": name, "metadata": {}, "source": text.splitlines(keepends=True)}
    if not is_code:
        return {"cell_type": "markdown", **common}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **common}
