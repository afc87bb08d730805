"""
Answers of the API, read for a first configuration: denied, or objects whose shape nobody promised.

A field of another type than expected counts as absent.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..util.families import family_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..kube.client import Object
    from ..util.families import Family


@dataclass(frozen=True, slots=True)
class Denied:
    """What an account may not read."""

    what: str

    def __str__(self) -> str:
        return f"this account may not read {self.what} (403)"


def field_at(found: Any, *keys: str) -> Any:
    """Return what lies at this path of an object, None where nothing does."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def list_of(found: Any) -> list[Any]:
    """Return a list as it is; of anything else, an empty one."""
    return found if isinstance(found, list) else []


def texts_of(found: Any) -> list[str]:
    """Return the texts in a list; of anything else, none."""
    return [each for each in list_of(found) if isinstance(each, str)]


def full_name(found: Object) -> tuple[str, str]:
    """Return an object's namespace and name, each empty where it has none."""
    about = found.get("metadata")
    return str(field_at(about, "namespace") or ""), str(field_at(about, "name") or "")


def network_texts(texts: Iterable[str]) -> list[str]:
    """Return which of these are networks or addresses, of either family."""
    return [text for text in texts if _is_network(text)]


def one_of_each(texts: Iterable[str]) -> list[str]:
    """Return the first network or address of each family, in their order."""
    found: dict[Family, str] = {}
    for text in network_texts(texts):
        found.setdefault(family_of(text), text)
    return list(found.values())


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "%" not in text
