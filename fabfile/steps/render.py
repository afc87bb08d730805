"""Templates to bytes, by Jinja with StrictUndefined: a missing value is an error, not a gap."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..model.merging import deep
from ..model.yamltext import dump, parse

TEMPLATES = Path(__file__).parents[2] / "templates"


def render(name: str, **values: Any) -> bytes:
    """Render `templates/<name>.j2`."""
    with _compiling:  # threads that start together would each compile the same template
        template = _environment().get_template(f"{name}.j2")
    return template.render(values).encode()


def render_yaml(name: str, extra: Mapping[str, Any], **values: Any) -> bytes:
    """
    Render a YAML template and lay `extra` over it: mappings merge, everything else is replaced.

    That is how a user's own fields get into a component's configuration without fabnode knowing
    them; the component itself checks them.
    """
    document = deep(parse(render(name, **values)), extra)
    return b"# Managed by fabnode.\n" + dump(document).encode()


_compiling = Lock()


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - configuration files, not HTML
    )
