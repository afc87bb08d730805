"""A first configuration held against the checks of all configurations, before it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .. import loader, starter
from ..host_list import Host
from ..starter import Findings, Known, Missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...util.problems import Problem

_MOST_ROUNDS = 25
# What stands for settings that are not known, so that all others can be checked.
_FILL = {
    "version": "1.36.0",
    "apiserver": "https://api.invalid",
    "ca": "ca.pem",
    "service_cidr": "198.18.0.0/24",
    "pod_cidr": "198.19.0.0/16",
    "dns_address": "169.254.20.10",
}
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
    named = [replace(host, ip=host.ip or _ip(host, n)) for n, host in enumerate(hosts)]
    rows = [host for host in named if not host.left_out] or [_ANYBODY]
    return loader.problems_of(starter.write(filled, rows, command="", example=""))


def _ip(host: Host, number: int) -> str | None:
    """Return an address that nobody has, for a host whose own is not known."""
    return f"203.0.{113 + number // 250 % 100}.{number % 250 + 2}" if host.needs_ip else None


def _filled(cluster: Mapping[str, starter.Fact]) -> dict[str, starter.Fact]:
    return {
        key: Known(_FILL[key], "") if isinstance(fact, Missing) and key in _FILL else fact
        for key, fact in cluster.items()
    }


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
