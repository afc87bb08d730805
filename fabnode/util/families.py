"""Address families: which one a text is of, and settings that have a value of one or of each."""

from __future__ import annotations

import ipaddress
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

Family = Literal[4, 6]

FAMILY_NAMES: Mapping[Family, str] = MappingProxyType({4: "IPv4", 6: "IPv6"})


def split_values(text: str) -> tuple[str, ...]:
    """Return the values of `a` or of `a,b`, as Kubernetes' flags have them; of nothing, none."""
    return tuple(filter(None, text.split(",")))


def family_of(text: str) -> Family:
    """
    Return the family of an address or a network.

    :raises ValueError: it is neither.
    """
    return ipaddress.ip_network(text.partition("%")[0], strict=False).version


def families_of(texts: Iterable[str]) -> tuple[Family, ...]:
    """Return the families of addresses or networks, each once, in their order."""
    return tuple(dict.fromkeys(map(family_of, texts)))


def first_of_family(texts: Iterable[str], wanted: Family) -> str:
    """Return the first address or network of a family; empty: there is none."""
    return next((text for text in texts if family_of(text) == wanted), "")


def shared_family(texts: Iterable[Collection[str]]) -> Family:
    """
    Return the family by which members reach each other.

    Of those that all have it is the one that most have first.

    :param texts: of each member its addresses, the preferred one first; of one member at least.
    """
    own = [families_of(each) for each in texts]
    firsts = Counter(found[0] for found in own)
    common = set(firsts).intersection(*own) or set(firsts)
    return max(common, key=lambda one: (firsts[one], one == own[0][0]))


def join_family_names(found: Iterable[Family]) -> str:
    """Return families for a sentence: `IPv4 and IPv6`."""
    return " and ".join(FAMILY_NAMES[one] for one in sorted(found))


def in_url(host: str) -> str:
    """Return a host as URLs and `host:port` have it: an IPv6 address in brackets (RFC 3986)."""
    return f"[{host}]" if ":" in host else host
