"""Tables as files for other programs: LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

_IN_LATEX = {
    "%": r"\%",
    "_": r"\_",
    "±": r"$\pm$",
    "Δm": r"$\Delta_m$",
    "δ": r"$\delta$",
    "²": r"$^2$",
    "³": r"$^3$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "°": r"$^\circ$",
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
_SPECIAL = re.compile("|".join(map(re.escape, _IN_LATEX)))


def in_latex(text: str) -> str:
    """Escape a text for LaTeX, in one line."""
    return _SPECIAL.sub(lambda match: _IN_LATEX[match[0]], " ".join(text.split()))


def latex_table(header: Sequence[str], rows: Iterable[Sequence[str]], num_text_columns: int) -> str:
    """Return a `tabular` with the lines of the package booktabs.

    Args:
        header: title of each column.
        rows: LaTeX of each cell; escape names with `in_latex`.
        num_text_columns: number of left-aligned columns; the others are numbers.
    """
    columns = "l" * num_text_columns + "r" * (len(header) - num_text_columns)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(in_latex, header)) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        "",
    ]
    return "\n".join(lines)


def csv_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV; texts become one line each, and none a formula of a spreadsheet.

    Args:
        header: title of each column.
        rows: texts and numbers.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_plain(cell) if isinstance(cell, str) else cell for cell in row])
    return buffer.getvalue()


def _plain(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
