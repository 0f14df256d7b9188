"""HTML pages of reports: a template, with the style and the script that all pages share."""

import base64
import os
import pathlib
from typing import Any

import jinja2

_SHARED = pathlib.Path(__file__).parent / "page"


def render_page(template: str | os.PathLike[str], **values: Any) -> str:
    """Render a Jinja template as HTML; all values are escaped.

    Args:
        template: path of the template file, which extends `page.html.j2`.
        **values: variables of the template.
    """
    path = pathlib.Path(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([path.parent, _SHARED]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(path.name).render(**values)


def download(content: str, media_type: str) -> str:
    """Return a text as a data URI, for a link that saves it as a file.

    Args:
        content: of the file.
        media_type: such as `text/csv`.
    """
    encoded = base64.b64encode(content.encode()).decode()
    return f"data:{media_type};charset=utf-8;base64,{encoded}"
