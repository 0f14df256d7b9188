"""HTML pages of reports from templates."""

import os
import pathlib
from typing import Any

import jinja2


def render_page(template: str | os.PathLike[str], **values: Any) -> str:
    """Render a Jinja template as HTML; all values are escaped.

    Args:
        template: path of the template file.
        **values: variables of the template.
    """
    path = pathlib.Path(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name).render(**values)
