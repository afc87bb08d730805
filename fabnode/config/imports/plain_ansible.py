"""Any other inventory of Ansible's: its hosts, and how they are reached."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...util.problems import ConfigError, Problem
from ..starter import Network
from . import connection, forms
from .facts import Facts
from .kubespray import RULES
from .survey import Survey, UnfitError
from .values import Kind, Value, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .inventory import Inventory

TOOL = "Ansible"
# What groups of workers and control planes are usually called.
_WORKERS = re.compile(r"(.*[_-])?(workers?|agents?|minions?)([_-]?nodes?)?(_group)?", re.IGNORECASE)
_NODES = re.compile(r"(kube|k8s|k3s|kubernetes|cluster)?[_-]?nodes?", re.IGNORECASE)
_CONTROL = re.compile(
    r"(.*[_-])?(masters?|mains?|controls?([_-]?planes?)?|controllers?|servers?|managers?|leaders?"
    r"|cp)([_-]?nodes?)?",
    re.IGNORECASE,
)
# What many playbooks call these, by our key: the first that has a value is taken.
_USUAL: Mapping[str, tuple[Callable[[Value], Any], tuple[str, ...]]] = {
    "version": (
        forms.release,
        ("kube_version", "kubernetes_version", "k8s_version", "k8s_release", "kubernetes_release"),
    ),
    "service_cidr": (
        forms.networks,
        (
            *("service_cidr", "services_cidr", "service_subnet", "svc_cidr", "service_network"),
            *("k8s_service_cidr", "kubernetes_service_cidr", "kube_service_cidr"),
            *(
                "kubernetes_service_subnet",
                "service_cluster_ip_range",
                "kubernetes_service_network",
            ),
        ),
    ),
    "pod_cidr": (
        forms.networks,
        (
            *("pod_cidr", "pods_cidr", "pod_network_cidr", "pod_subnet", "pod_network"),
            *("k8s_pod_cidr", "k8s_pod_network_cidr", "kubernetes_pod_cidr", "kube_pod_cidr"),
            *("kubernetes_pod_subnet", "kubernetes_pod_network_cidr", "kubernetes_network"),
            "cluster_cidr",
        ),
    ),
    "dns_address": (
        forms.addresses,
        ("cluster_dns_ip", "dns_service_ip", "cluster_dns", "kube_dns_ip", "coredns_ip"),
    ),
}
_OF_IPV6 = ("_ipv6", "_v6", "6")  # what such a variable's second one ends with
_BY_NAME = "taken by its name: what these playbooks make of it is not known here"
_HERE = {"localhost", "127.0.0.1"}
_NO_CONTROL = (
    "no group is called like a control plane's: see that none of these hosts is one of it, which"
    " would be made a worker"
)
_NOT_NAMED = "an inventory without kubespray's or kubeasz's variables does not say"
REASONS = (*connection.REASONS, (r".*", "a variable of the site's own playbooks"))


def facts(inventory: Inventory, groups: Sequence[str]) -> Facts:
    """
    Return what an inventory says of hosts.

    :param groups: those of the workers; empty: by what they are usually called.
    :raises ConfigError: there is no such group.
    """
    names = list(groups) or _called(_WORKERS, inventory) or _called(_NODES, inventory)
    _check(names, inventory)
    control = {
        host: place
        for host, place in inventory.members(*_called(_CONTROL, inventory)).items()
        if not _is_here(inventory, host)
    }
    workers = inventory.members(*names)
    survey = Survey(inventory, list(workers), names)
    survey.apply({name: RULES[name] for name in ("node_labels", "node_taints")})
    survey.ledger.leave_open("cluster.apiserver", _NOT_NAMED)
    for key, (form, usual) in _USUAL.items():
        _take_first(survey, f"cluster.{key}", form, usual)
    if workers and not control:
        survey.ledger.leave_open("nodes", _NO_CONTROL)
    machines = connection.machines(survey, workers, control)
    survey.finish(REASONS)
    return survey.facts(
        TOOL,
        machines,
        network=Network(unseen="an inventory does not say."),
        ca="a host of the control plane",
        kubeconfig="a host of the control plane",
    )


def _is_here(inventory: Inventory, host: str) -> bool:
    """Say whether a host is the machine that Ansible runs on, which people call a controller."""
    chosen = inventory.variables(host).get("ansible_connection")
    return host in _HERE or (chosen is not None and text_of(chosen) == "local")


def _take_first(
    survey: Survey, key: str, form: Callable[[Value], Any], names: Iterable[str]
) -> None:
    """Take the first of these variables that all workers have, marked as to be checked."""
    ledger, first = survey.ledger, ""
    for name in names:
        value = survey.common(name)
        if value is None or value.empty:
            continue
        if first:
            ledger.drop(name, value, f"{first} takes its place")
            continue
        first = name
        try:
            _take(survey, key, form, name, value)
        except UnfitError as error:
            ledger.leave_open(key, f"{name}: {error}", value, name)
    if not first:
        ledger.leave_open(key, _NOT_NAMED)


def _take(survey: Survey, key: str, form: Callable[[Value], Any], name: str, value: Value) -> None:
    """Take a variable, with the one of IPv6 that has its name and more. Raises UnfitError."""
    if value.odd is not Kind.PLAIN:
        raise UnfitError("it is not evaluated, or not read")
    found = form(value)
    for ending in _OF_IPV6:
        six = survey.common(f"{name}{ending}")
        if ":" not in found and six and not six.empty and six.odd is Kind.PLAIN:
            of = (*(value.of or (value,)), *(six.of or (six,)))
            both = f"{found},{form(six)}"
            survey.ledger.take(
                key, both, replace(value, of=of), f"{name}, {name}{ending}", _BY_NAME
            )
            return
    survey.ledger.take(key, found, value, name, _BY_NAME)


def _called(pattern: re.Pattern[str], inventory: Inventory) -> list[str]:
    return [name for name in inventory.groups if pattern.fullmatch(name)]


def _check(names: Sequence[str], inventory: Inventory) -> None:
    known = sorted(name for name in inventory.groups if name not in {"all", "ungrouped"})
    listed = ", ".join(known[:20]) or "none, and --group all takes every host"
    file = inventory.files[0] if inventory.files else ""
    problems = [
        Problem(file, None, "", f"has no group {name}", f"its groups: {listed}")
        for name in names
        if name not in inventory.groups
    ]
    if not names:
        hint = f"name the group of the workers with --group; its groups: {listed}"
        problems.append(Problem(file, None, "", "has no group that is called like workers", hint))
    if problems:
        raise ConfigError(problems)
