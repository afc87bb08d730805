"""Rendering of templates to bytes by Jinja with StrictUndefined: a missing value is an error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from threading import Lock
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..util import unit_file
from ..util.data import ROOT
from ..util.families import in_url
from ..util.merging import merge_deep
from ..util.yaml_io import dump

TEMPLATES = ROOT / "templates"


def render(name: str, **values: Any) -> bytes:
    """Render `templates/<name>.j2`."""
    with _compiling:  # threads that start together would each compile the same template
        template = _environment().get_template(f"{name}.j2")
    return template.render(values).encode()


def with_extra(document: dict[str, Any], extra: Mapping[str, Any]) -> bytes:
    """
    Return a configuration as YAML with `extra` laid over it: mappings merge, all else is replaced.

    That is how a user's own fields get into a component's configuration without fabnode knowing
    them; the component itself checks them.
    """
    return _dumped(json.dumps(merge_deep(document, extra)))


@lru_cache(256)
def _dumped(document: str) -> bytes:
    """Return JSON as YAML: most nodes have the same, and writing it takes longer than all else."""
    return b"# Managed by fabnode.\n" + dump(json.loads(document)).encode()


def with_extra_flags(flags: Iterable[str], extra: Mapping[str, str]) -> tuple[str, ...]:
    """Return a command line's flags with a user's own after them, which replace those so named."""
    kept = (flag for flag in flags if flag.removeprefix("--").partition("=")[0] not in extra)
    return (*kept, *(f"--{name}={value}" for name, value in sorted(extra.items())))


_compiling = Lock()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,  # templates do not change while a command runs
        autoescape=False,  # noqa: S701 - configuration files, not HTML
    )
    environment.filters |= {
        "word": unit_file.word,
        "specifiers": unit_file.specifiers,
        "in_url": in_url,
    }
    return environment
