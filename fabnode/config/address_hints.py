"""What is meant by texts that are nearly addresses: the hint that goes with a refusal. Pure."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

from . import validators

_BRACKETED = re.compile(r"\[([^\[\]]+)\](?::([0-9]{1,5}))?")


def address_hint(text: str) -> str:
    """Return what to write in place of what is no address; empty: nobody knows."""
    if validators.is_scoped(text):
        return "without an interface"
    bare, slash, _ = text.partition("/")
    if slash and validators.is_address(bare):
        return f"without the length of its network: {bare}"
    inner = _BRACKETED.fullmatch(text)
    if inner and validators.is_ipv6(inner[1]):
        return f"without {'brackets and port' if inner[2] else 'brackets'}: {inner[1]}"
    with suppress(ValueError):
        found = ipaddress.IPv6Address(text)
        if found.ipv4_mapped:
            return f"write {found.ipv4_mapped}"
        if found.scope_id:
            plain = text.partition("%")[0]
            return f"an interface goes with link-local addresses (fe80::) alone: {plain}"
    return ""


def host_hint(text: str) -> str:
    """Return what to write in place of what is no host: user and port have keys of their own."""
    user, at, place = text.rpartition("@")
    bracketed = _BRACKETED.fullmatch(place)
    if bracketed:
        host, port = bracketed[1], bracketed[2] or ""
    elif validators.is_host(place):
        host, port = place, ""
    else:
        host, _, port = place.partition(":")
    hints = [
        f"the user goes into `ssh: {{user: {user}}}`" if at and validators.is_user(user) else "",
        f"the port goes into `ssh: {{port: {port}}}`" if validators.is_port(port) else "",
    ]
    if not validators.is_host(host) or not any(hints):
        return address_hint(text)
    without = f"write an IPv6 address without brackets: {host}" if bracketed else ""
    return "; ".join(filter(None, [*hints, without]))
