"""Checks of the services that make a node: running, of the configured release, not overridden."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ...config.configuration import Node
from ...config.sections import ClusterSettings
from ...node import layout
from ...node.conventions import BALANCER_SERVICE, KUBELET_SERVICE, PROXY_SERVICE
from ...node.facts import Facts
from ...releases import compatibility
from ...util import program
from ..finding import Finding
from .check import Check, Object

READY = "Ready"
BALANCER = "way to the apiservers"
PROXY = "kube-proxy"
MAX_HEARTBEAT = 60.0  # seconds; kubelets renew their Lease every 10
_LOOPING = 5  # automatic restarts of a unit that has not been up for two minutes
_YOUNG = 120.0


def units(node: Node, cluster: ClusterSettings) -> tuple[str, ...]:
    """Return the services that make a node, in this cluster."""
    proxy = (PROXY_SERVICE,) if node.kube_proxy.enabled else ()
    adapter = compatibility.needs_cri_dockerd(cluster.version.minor)
    balancer = (BALANCER_SERVICE,) if cluster.balanced else ()
    runtime = layout.runtime_units(node.runtime.name, cri_dockerd=adapter)
    return (*runtime, *balancer, KUBELET_SERVICE, *proxy)


def unit_checks(node: str, facts: Facts, units: Sequence[str]) -> Iterator[Check]:
    """
    Units are exactly active and running, and stay up.

    `inactive` contains `active`, which fooled others.
    """
    for name in units:
        unit = facts.unit(name)
        restarts = f", restarted {unit.restarts} times by systemd" if unit.restarts else ""
        since = facts.uptime - unit.started
        loops = unit.restarts >= _LOOPING and 0 <= since < _YOUNG
        if loops:
            restarts += f", the last time {since:.0f} s ago"
        advice = program.host_task(node, f"logs --unit {name.removesuffix('.service')}")
        yield Check(
            node, name, unit.running and not loops, f"{unit.active} ({unit.sub}){restarts}", advice
        )


def proxy_checks(node: Node, facts: Facts) -> Iterator[Check]:
    """Say what is not checked of a node without kube-proxy, and that none runs there."""
    if node.kube_proxy.enabled:
        return
    unit = facts.unit(PROXY_SERVICE)
    deploy = program.task(f"deploy-nodes --limit {node.name}")
    if unit.active == "active":
        detail = "it still runs, though kube_proxy is none"
        yield Check(node.name, PROXY, False, detail, deploy)
    else:
        detail = "none, as configured: its health, mode and certificate are not checked"
        yield Check(node.name, PROXY, True, detail)


def override_checks(
    node: str, found: Iterable[Finding], sites_own: Sequence[str] = ()
) -> Iterator[Check]:
    """Nothing on the host overrides what fabnode sets but the site's own files, which are shown."""
    if sites_own:
        yield Check(node, "site's own", True, ", ".join(sites_own))
    for each in found:
        warning = each.level == "warning"
        yield Check(node, "overrides", False, each.text, each.fix, warning=warning)


def version_check(node: str, node_object: Object, wanted: str, runtime: str) -> Check:
    """The kubelet that runs is the one that is configured, and so is its runtime."""
    info = node_object["status"]["nodeInfo"]
    seen = f"{info['kubeletVersion']}, {info['containerRuntimeVersion']}"
    same_runtime = info["containerRuntimeVersion"].startswith(f"{runtime}://")
    good = info["kubeletVersion"] == f"v{wanted}" and same_runtime
    detail = seen if good else f"{seen}; configured are v{wanted} and {runtime}"
    return Check(node, "version", good, detail, program.task(f"plan --limit {node}"))
