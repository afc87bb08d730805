"""Helpers for API objects: full name, controller reference, safe one-line text."""

from __future__ import annotations

from typing import Any

from ..util.sanitize import clean, cut

Object = dict[str, Any]

_LONGEST = 300


def full_name(item: Object) -> str:
    """Return `namespace/name`."""
    metadata = item["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def controller(item: Object) -> Object | None:
    """Return the reference to an object's controller; None where it has none."""
    references = (item.get("metadata") or {}).get("ownerReferences") or ()
    return next((each for each in references if each.get("controller")), None)


def line(text: object) -> str:
    """Return what somebody else wrote as one line that may be shown."""
    return cut(clean("" if text is None else str(text)), _LONGEST)
