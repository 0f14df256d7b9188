"""Print the table of methods as Markdown: `python -m mtl_tf.balancing`; the docs include it."""

import inspect
import sys

from mtl_tf.balancing import TABLE

_KINDS = {
    "scalarizer": "### Scalarizers: losses to one scalar, 1 backward pass",
    "weighting": "### Weightings: Gramian to weights, K backward passes",
    "aggregator": "### Aggregators: task gradients to a direction, K backward passes",
}


def markdown() -> str:
    """Return a table of the methods by kind: name, summary, arguments, source."""
    parts = []
    for kind, heading in _KINDS.items():
        lines = [heading, "", "| name | what it does | arguments | source |", "|---|---|---|---|"]
        for name, row in TABLE.items():
            if row.kind != kind:
                continue
            summary = (inspect.getdoc(row.cls) or "").splitlines()[0].rstrip(".")
            arguments = ", ".join(
                f"`{p.name}={p.default!r}`".replace("'", '"')
                for p in inspect.signature(row.cls).parameters.values()
                if p.kind is not p.VAR_KEYWORD
            )
            source = f"{row.paper} {row.year}"
            lines.append(f"| `{name}`, `{row.cls.__name__}` | {summary} | {arguments} | {source} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
