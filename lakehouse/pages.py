"""Pages made from templates: text is escaped, and what a template names must be there."""

from __future__ import annotations

import jinja2


def environment() -> jinja2.Environment:
    """Where the templates of pages are found, and how they are filled."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("lakehouse"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
