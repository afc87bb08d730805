"""
Safe reading and writing of YAML, by libyaml where available, which is ten times faster.

What is read here comes from hosts, from bundles and out of other people's manifests. Aliases and
merge keys make much of little (a few hundred bytes become gigabytes once they are expanded), deep
nesting ends the interpreter's stack, and a number of a hundred thousand digits takes seconds to
convert: each is refused on the flat stream of events, before anything is composed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from .errors import FabnodeError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """
    Quotes, besides what PyYAML itself would take for no string, what Kubernetes' reader would.

    That is sigs.k8s.io/yaml: exponents need neither dot nor sign, octals may begin with `0o`, and
    `y` is a boolean. A node may be called 12e4.
    """


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)([eE][-+]?[0-9_]+)?$", re.ASCII),
    list("-+.0123456789"),
)
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?0[oO][0-7_]+$", re.ASCII), list("-+0")
)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"[yYnN]$"), list("yYnN"))

MAX_DEPTH = 64
_MOST_DIGITS = 1000
_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


class RefusedError(FabnodeError, yaml.YAMLError):
    """YAML that is valid, and not read all the same; the text is the reason."""


def guard(text: str | bytes, *, most: int | None = None) -> None:
    """
    Refuse what is not to be composed.

    :param most: of keys, values and brackets together.
    :raises yaml.YAMLError: it is no YAML, or (RefusedError) has anchors, aliases, merge keys, or is
        nested too deep, or larger than `most`.
    """
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if most is not None and number > most:
            raise RefusedError("its YAML is too large")
        match event:
            case yaml.AliasEvent():
                raise RefusedError("its YAML has aliases")
            case yaml.NodeEvent(anchor=str()):
                raise RefusedError("its YAML has anchors")
            case yaml.ScalarEvent() if _merges(event):
                raise RefusedError("its YAML has merge keys")
            case yaml.ScalarEvent(value=value) if len(value) > _MOST_DIGITS and _number(event):
                raise RefusedError(f"its YAML has a number of {len(value)} digits")
            case yaml.CollectionStartEvent():
                depth += 1
                if depth > MAX_DEPTH:
                    raise RefusedError(f"its YAML is nested more than {MAX_DEPTH} deep")
            case yaml.CollectionEndEvent():
                depth -= 1


def _merges(event: yaml.ScalarEvent) -> bool:
    return bool(event.tag == _MERGE or (event.implicit[0] and event.value == "<<"))


def _number(event: yaml.ScalarEvent) -> bool:
    """Say whether a scalar may be made a number: a plain one by how it begins, others by tag."""
    return bool(event.tag in _NUMBERS or (event.implicit[0] and event.value[0] in "+-.0123456789"))


def parse(text: str | bytes, *, most: int | None = None) -> Any:
    """Return the document. Raises yaml.YAMLError, also for what `guard` refuses."""
    guard(text, most=most)
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - both are safe loaders


def parse_all(text: str | bytes) -> list[Any]:
    """Return all documents that hold anything. Raises yaml.YAMLError, as `parse` does."""
    guard(text)
    return [d for d in yaml.load_all(text, Loader=_LOADER) if d]


def dump(document: Any) -> str:
    """Return a document as text, keys in the order they have."""
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False))


def dump_all(documents: Iterable[Any]) -> str:
    """Return documents as text, with `---` between them."""
    return str(yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False))
