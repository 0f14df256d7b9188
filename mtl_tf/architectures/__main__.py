"""Print the architectures as Markdown, for the docs: `python -m mtl_tf.architectures`."""

import inspect
import sys

from mtl_tf.architectures import TABLE

_COMMON = ("backbone", "tasks", "input_shape", "head", "output_stride", "name", "kwargs")
_FOCUS = {
    "baseline": "## Baseline",
    "encoder": "## Encoder-focused: features are shared while they are computed",
    "decoder": "## Decoder-focused: predictions refine each other",
}


def markdown() -> str:
    """Return the architectures by focus: picture, summary, specific arguments, cost and source."""
    parts = []
    for focus, heading in _FOCUS.items():
        rows = {name: row for name, row in TABLE.items() if row.focus == focus}
        if rows:
            parts.append(heading)
        for name, row in rows.items():
            paragraphs = (inspect.getdoc(row.cls) or "").split("\n\n")
            before_source = paragraphs[: [p[:7] for p in paragraphs].index("Source:")]
            specific = ", ".join(
                f"`{p.name}={p.default!r}`".replace("'", '"')
                for p in inspect.signature(row.cls).parameters.values()
                if p.name not in _COMMON
            )
            lines = [
                f"### `{name}`",
                "",
                f"[![{row.cls.__name__}](architectures/{name}.svg)](architectures/{name}.svg)",
                "",
                "\n\n".join(before_source),
                "",
                f"`mtl.architectures.{row.cls.__name__}` · {row.paper} {row.year} · {row.cost}"
                + (f" · options: {specific}" if specific else ""),
            ]
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
