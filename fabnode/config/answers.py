"""Answers to what a first configuration lacks: judged at once, by the rules of the file. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ..util.problems import InvalidValueError
from . import address_families, cross_checks, fields
from .host_addresses import host_addresses
from .schema import NodeEntry
from .starter import FACT_TYPES, Known, Missing, cluster_of, judged, service_families

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .host_list import Host
    from .starter import Fact

_ADDRESSES: TypeAdapter[str] = TypeAdapter(fields.Addresses)
_FOUND = " was found, but "


def value_of(key: str, answer: str) -> Any:
    """Return the value of a key that an answer means: several apiservers have commas between."""
    urls = [each.strip() for each in answer.split(",")]
    return urls if key == "apiserver" and len(urls) > 1 else answer


def refusal(facts: Mapping[str, Fact], key: str, value: Any) -> str:
    """
    Return why a value can't be that of a key; empty: it can.

    What was only guessed gives way to it, what was found does not.

    :param facts: what is known of `cluster`, as `judged` takes them.
    """
    if why := _invalid(FACT_TYPES[key], value):
        return why
    before, after = judged(facts), judged({**facts, key: Known(value, "the answer")})
    for each in (key, *before):
        fact, was = after[each], before.get(each)
        holds = each == key or (isinstance(was, Known) and not was.doubtful)
        if holds and isinstance(fact, Missing):
            return fact.why.partition(_FOUND)[2] or fact.why
    return ""


def ip_of(answer: str) -> str:
    """Return the `ip` that a valid answer means."""
    return _ADDRESSES.validate_python(answer)


def refusal_of_ip(facts: Mapping[str, Fact], host: Host, answer: str) -> str:
    """
    Return why an answer can't be the `ip` of a host; empty: it can.

    :param facts: as of `refusal`.
    """
    if why := _invalid(_ADDRESSES, answer):
        return why
    ip, known = ip_of(answer), judged(facts)
    found = host_addresses(replace(host, ip=ip, seen=()), service_families(known["service_cidr"]))
    if found.left_out or found.why:
        return (found.left_out or found.why).rstrip(".")
    settings = cluster_of(known)
    if settings is None:
        return ""
    entry = {0: NodeEntry.model_validate({"name": "x", "address": "x.invalid", "ip": ip})}
    checks = chain(cross_checks.addresses(settings, entry), address_families.nodes(settings, entry))
    return next((_sentence(message, hint) for _, message, hint in checks), "")


def _invalid(adapter: TypeAdapter[Any], value: Any) -> str:
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        cause = error.errors()[0].get("ctx", {}).get("error")
        if isinstance(cause, InvalidValueError):
            return _sentence(f"it {cause.message}", cause.advice)
        return "it can't be used"
    return ""


def _sentence(message: str, advice: str) -> str:
    return f"{message}; {advice}" if advice else message
