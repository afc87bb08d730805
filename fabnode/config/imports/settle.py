"""A first configuration held against the checks of all configurations, before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from ...util.families import Family, families_of, split_values
from .. import loader, starter
from ..host_list import Host
from ..starter import Findings, Known, Missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...util.problems import Problem

_MOST_ROUNDS = 25
# What stands for settings that are not known, so that all others can be checked.
_FILL = {
    "version": "1.36.0",
    "apiserver": "https://api.invalid",
    "ca": "ca.pem",
}
_NETWORKS: Mapping[str, Mapping[Family, str]] = {
    "service_cidr": {4: "198.18.0.0/24", 6: "2001:db8:ffff:1::/112"},
    "pod_cidr": {4: "198.19.0.0/16", 6: "2001:db8:ffff:2::/56"},
}
_DNS: Mapping[Family, str] = {4: "169.254.20.10", 6: "fe80::20:10"}
_ANYBODY = Host("any", "203.0.113.1")


def settled(findings: Findings, hosts: Sequence[Host]) -> tuple[Findings, list[Host]]:
    """Return both without what a configuration with them would be refused for."""
    rows = list(hosts)
    for _ in range(_MOST_ROUNDS):
        changed = False
        for problem in _problems(findings, rows):
            made = _without(findings, rows, problem)
            if made:
                findings, rows = made
                changed = True
                break
        if not changed:
            break
    return findings, rows


def _problems(findings: Findings, hosts: Sequence[Host]) -> list[Problem]:
    filled = replace(findings, cluster=_filled(findings.cluster), kubeconfig="kubeconfig")
    rows = [host for host in hosts if not host.left_out] or [_ANYBODY]
    named = [_addressed(host, number) for number, host in enumerate(rows)]
    return loader.problems_of(starter.write(filled, named, command="", example=""))


def _addressed(host: Host, number: int) -> Host:
    """Return a host with addresses that nobody has, for families that none is known of."""
    four = f"203.0.{113 + number // 250 % 100}.{number % 250 + 2}"
    fill = {4: four, 6: f"2001:db8:ffff:3::{number + 2:x}"}
    known = families_of(host.seen)
    return replace(
        host, seen=(*host.seen, *(each for family, each in fill.items() if family not in known))
    )


def _filled(cluster: Mapping[str, starter.Fact]) -> dict[str, starter.Fact]:
    found = {
        key: Known(_FILL[key], "") if isinstance(fact, Missing) and key in _FILL else fact
        for key, fact in cluster.items()
    }
    facts = (cluster[key] for key in _NETWORKS)
    known = [each for fact in facts if isinstance(fact, Known) for each in split_values(fact.value)]
    families = families_of(known) or (4,)
    for key, values in _NETWORKS.items():
        if isinstance(found[key], Missing):
            found[key] = Known(",".join(values[family] for family in families), "")
    if isinstance(found["dns_address"], Missing):
        found["dns_address"] = Known(_DNS[families[0]], "")
    return found


def _without(
    findings: Findings, hosts: list[Host], problem: Problem
) -> tuple[Findings, list[Host]] | None:
    """Return both without the setting that a problem is about; None where it is none of them."""
    for key, fact in findings.settings.items():
        if isinstance(fact, Known) and _about(problem.key, key):
            missing = Missing(f"{fact.source}: {problem.key}: {problem.message}.")
            return replace(findings, settings={**findings.settings, key: missing}), hosts
    for key, fact in findings.cluster.items():
        if isinstance(fact, Known) and _about(problem.key, f"cluster.{key}"):
            missing = Missing(f"{fact.source}: {fact.value}: {problem.message}.")
            return replace(findings, cluster={**findings.cluster, key: missing}), hosts
    for index, host in enumerate(hosts):
        if problem.key.startswith(f"nodes[{host.name}]") and not host.left_out:
            doubt = f"{problem.key}: {problem.message}."
            if host.settings:
                changed = replace(host, settings={}, doubts=(*host.doubts, doubt))
            else:
                changed = replace(host, left_out=doubt)
            return findings, [*hosts[:index], changed, *hosts[index + 1 :]]
    return None


def _about(problem: str, key: str) -> bool:
    return problem == key or problem.startswith((f"{key}.", f"{key}["))
