"""Families and networks of kubespray's inventories: a variable for each family, and switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ...util.families import Family
from . import forms
from .facts import Open
from .survey import NOT_EVALUATED, Reasons, Rule, Survey, UnfitError
from .values import Kind, Value, text_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Sequence

NETWORKS: Mapping[str, Mapping[Family, tuple[str, str]]] = {
    "cluster.service_cidr": {
        4: ("kube_service_addresses", "10.233.0.0/18"),
        6: ("kube_service_addresses_ipv6", "fd85:ee78:d8a6:8607::1000/116"),
    },
    "cluster.pod_cidr": {
        4: ("kube_pods_subnet", "10.233.64.0/18"),
        6: ("kube_pods_subnet_ipv6", "fd85:ee78:d8a6:8607::1:0/112"),
    },
}
"""The variables of each family, and what holds where the inventory has none."""

_OLD_SWITCH = "enable_dual_stack_networks"
REASONS: Reasons = (
    (
        r"ipv[46]_stack|enable_dual_stack_networks",
        "which families there are, as cluster.service_cidr and cluster.pod_cidr show",
    ),
    (
        r"kube_service_addresses(_ipv6)?|kube_pods_subnet(_ipv6)?",
        "of a family that the cluster has not (ipv4_stack, ipv6_stack)",
    ),
)


def families(survey: Survey) -> tuple[Family, ...]:
    """Return the families that Services and pods have, as kubespray's defaults derive them."""
    four, six = survey.common("ipv4_stack"), survey.common("ipv6_stack")
    if six is not None and _OLD_SWITCH in text_of(replace(six, kind=Kind.PLAIN)):
        six = None  # kubespray's own line: `{{ enable_dual_stack_networks | default(false) }}`
    if six is None:
        six = survey.common(_OLD_SWITCH)
    for name, value in (("ipv4_stack", four), ("ipv6_stack", six)):
        if value is not None and value.odd is not Kind.PLAIN:
            why = f"{name} {NOT_EVALUATED}; check which families Services, pods and nodes have"
            survey.ledger.leave_open("", why, value, name)
    found: list[Family] = [4] if truth_of(four, default=True) else []
    return (*found, *((6,) if truth_of(six, default=False) or not found else ()))


def take(survey: Survey, found: Sequence[Family]) -> None:
    """Take the networks of Services and pods, with a value of each family."""
    for key in NETWORKS:
        _take(survey, key, found)


def _take(survey: Survey, key: str, families: Sequence[Family]) -> None:
    """Take one of our networks, of the variables of each family."""
    ledger, found, given = survey.ledger, [], []
    for family in families:
        name, default = NETWORKS[key][family]
        value = survey.common(name, key)
        if value is None or value.empty:
            found.append(default)
            continue
        given.append((name, value))
        made = survey.made(Rule(key, forms.networks), value, name)
        if isinstance(made, Open):
            ledger.leave_open(key, made.why, value, name)
            return
        found.append(made)
    if ledger.has(key):
        return  # workers differ
    try:
        whole = forms.joined([each for part in found for each in part.split(",")])
    except UnfitError as error:
        name, value = given[0]
        ledger.leave_open(key, f"{' and '.join(n for n, _ in given)}: {error}", value, name)
        return
    doubt = "" if len(given) == len(families) else "the inventory does not say."
    if not given:
        ledger.assume(key, whole, "kubespray", doubt)
        return
    if doubt:
        doubt = f"the inventory names none of {_names_of(families, key, given)}."
    (_, first), names = given[0], ", ".join(name for name, _ in given)
    sources = tuple(raw for _, value in given for raw in value.of or (value,))
    ledger.take(key, whole, replace(first, of=sources), names, doubt)


def _names_of(families: Sequence[Family], key: str, given: Sequence[tuple[str, Value]]) -> str:
    known = {name for name, _ in given}
    return ", ".join(
        f"{name} (kubespray's default is {default})"
        for name, default in (NETWORKS[key][family] for family in families)
        if name not in known
    )
