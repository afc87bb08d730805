"""YAML in and out, safe; by libyaml where PyYAML has it, which takes a tenth of the time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def parse(text: str | bytes) -> Any:
    """Return the document. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - both are safe loaders


def parse_all(text: str | bytes) -> list[Any]:
    """Return all documents that hold anything. Raises yaml.YAMLError."""
    return [d for d in yaml.load_all(text, Loader=_LOADER) if d]


def dump(document: Any) -> str:
    """Return a document as text, keys in the order they have."""
    return str(yaml.dump(document, Dumper=_DUMPER, sort_keys=False))


def dump_all(documents: Iterable[Any]) -> str:
    """Return documents as text, with `---` between them."""
    return str(yaml.dump_all(documents, Dumper=_DUMPER, sort_keys=False))
