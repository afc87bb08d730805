"""Name servers of a resolv.conf, and whether pods can use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOOPBACK = ("127.", "::1")


def name_servers(resolv_conf: str) -> list[str]:
    """Return the addresses of the name servers that a resolv.conf names."""
    lines = (line.split() for line in resolv_conf.splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def on_loopback(servers: Iterable[str]) -> bool:
    """Say whether all of these are on the loopback, which in a pod is the pod's own."""
    return all(server.startswith(_LOOPBACK) for server in servers)
