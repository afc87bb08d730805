"""Values of other tools in the form that our keys want; UnfitError where they have none."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from ...util.families import families_of, first_of_family, in_url
from .survey import UnfitError
from .values import text_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .values import Value

# With what k0s and k3s append, or the revision of a package of Kubernetes' own (1.31.1-1.1).
_RELEASE = re.compile(
    r"v?(\d{1,3}\.\d{1,3}\.\d{1,3})(?:[+-]k[03]s[.\d]*|-\d{1,2}(?:\.\d{1,2})?)?", re.ASCII
)
_PLACEHOLDER = re.compile(r"_+[a-zA-Z][a-zA-Z0-9_]*_+|<.*>")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def text(value: Value) -> str:
    """Return a scalar as text."""
    found = text_of(value)
    if not found:
        raise UnfitError("it is no text")
    if _PLACEHOLDER.fullmatch(found):
        raise UnfitError("it is a placeholder that nobody has replaced")
    return found


def release(value: Value) -> str:
    """Return `v1.30.4`, `1.30.4+k0s.0` or `1.30.4-1.1` as 1.30.4."""
    if isinstance(value.data, float) and not isinstance(value.data, bool):
        raise UnfitError(f"it is the number {value.data} to YAML, and a release has three parts")
    found = _RELEASE.fullmatch(text(value))
    if not found:
        raise UnfitError("it is no release such as 1.30.4")
    return found[1]


def networks(value: Value) -> str:
    """Return a network, or one of each family, as `a,b`; each written from its first address."""
    try:
        found = [str(ipaddress.ip_network(each, strict=False)) for each in _listed(value)]
    except ValueError as error:
        if isinstance(error, UnfitError):
            raise
        raise UnfitError("it is no network such as 10.68.0.0/16 or fd00:10:68::/108") from None
    if not found:
        raise UnfitError("it names no network")
    return joined(found)


def joined(found: Sequence[str]) -> str:
    """Return networks as one value. Raises UnfitError: there are two of one family."""
    if len(families_of(found)) < len(found):
        raise UnfitError("it has two networks of one family")
    return ",".join(found)


def addresses(value: Value) -> str:
    """Return an address, or the first of each family, as `a,b`."""
    try:
        found = [str(ipaddress.ip_address(each)) for each in _listed(value)]
    except ValueError as error:
        if isinstance(error, UnfitError):
            raise
        raise UnfitError("it is no address") from None
    if not found:
        raise UnfitError("it names no address")
    return ",".join(first_of_family(found, each) for each in families_of(found))


def nth_address(networks_: str, number: int) -> str:
    """Return the address of this number in the first network. Raises UnfitError: it has none."""
    first = networks_.partition(",")[0]
    try:
        found = ipaddress.ip_network(first)[number]
    except (ValueError, IndexError):
        raise UnfitError(f"{first} has no address of the number {number}") from None
    return str(found)


def url(host: str, port: str) -> str:
    """Return an apiserver's URL."""
    return f"https://{in_url(host)}:{port}"


def domain(value: Value) -> str:
    """Return a DNS domain without the dot at its end."""
    return text(value).rstrip(".")


def number(value: Value) -> int:
    """Return a whole number, which other tools take as text as well."""
    if isinstance(value.data, int) and not isinstance(value.data, bool):
        return value.data
    found = text(value)
    if not re.fullmatch(r"-?\d{1,12}", found, re.ASCII):
        raise UnfitError("it is no whole number")
    return int(found)


def flag(value: Value) -> bool:
    """Return true or false, as Ansible takes it."""
    text(value)
    return truth_of(value, default=False)


def if_true(value: Value) -> bool | None:
    """Return true, or None for what holds anyway."""
    return flag(value) or None


def path(value: Value) -> str:
    """Return an absolute path without a slash at its end."""
    found = text(value)
    if not found.startswith("/"):
        raise UnfitError("it is no absolute path")
    return found.rstrip("/") or "/"


def labels(value: Value) -> dict[str, str]:
    """Return a mapping of labels, or a list or text of key=value, as a mapping of texts."""
    if isinstance(value.data, dict):
        # Ansible prints truth as Python does: `true` in a file is the label's value True.
        return {
            key: str(each.data) if isinstance(each.data, bool) else _scalar(each)
            for key, each in value.data.items()
        }
    found = {}
    for each in _listed(value):
        key, equals, content = each.partition("=")
        if not equals:
            raise UnfitError("labels are a mapping, or key=value with commas between")
        found[key.strip()] = content.strip()
    return found


def taints(value: Value) -> list[str]:
    """Return taints as key=value:Effect."""
    found = _listed(value)
    for each in found:
        if each.rpartition(":")[2] not in _EFFECTS:
            raise UnfitError("taints are written as key=value:NoSchedule")
    return [each.replace("=:", ":") for each in found]


def mapping(value: Value) -> dict[str, Any]:
    """Return a mapping of plain data."""
    if not isinstance(value.data, dict):
        raise UnfitError("it is no mapping")
    return dict(value.plain())


def flags(value: Value) -> dict[str, str]:
    """Return a list, text or mapping of flags, `--v=4`, as names and values."""
    if isinstance(value.data, dict):
        return {key.lstrip("-"): _scalar(each) for key, each in value.data.items()}
    words = [word for each in _listed(value, commas=False) for word in each.split()]
    found = {}
    for word in words:
        name, equals, content = word.partition("=")
        if not name.startswith("--"):
            raise UnfitError("flags are written as --name=value")
        found[name.lstrip("-")] = content if equals else "true"
    return found


def gates(value: Value) -> dict[str, bool]:
    """Return feature gates, `Name=true`, as a mapping."""
    if isinstance(value.data, dict):
        return {key: truth_of(each, default=False) for key, each in value.data.items()}
    pairs = [each.partition("=") for each in _listed(value)]
    return {name.strip(): content.strip().lower() == "true" for name, _, content in pairs}


def _scalar(value: Value) -> str:
    if isinstance(value.data, dict | list):
        raise UnfitError("a value in it is no text")
    if isinstance(value.data, bool):
        return str(value.data).lower()
    return "" if value.data is None else str(value.data)


def _listed(value: Value, *, commas: bool = True) -> list[str]:
    if isinstance(value.data, list):
        return [_scalar(each) for each in value.data]
    found = text(value)
    return [part.strip() for part in found.split(",") if part.strip()] if commas else [found]
