"""Verification: collects observations from nodes and API for `steps/checks/`."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from math import isinf
from typing import TYPE_CHECKING, TypeVar

from ..kube import api_services, heartbeats, node_status
from ..kube.client import ApiError
from ..node import layout
from ..pki import proxy_names
from ..steps.checks import (
    health_endpoints,
    node_certificates,
    node_services,
    probe_answers,
    schedulability,
    service_addresses,
)
from ..steps.checks.check import Check
from ..steps.checks.health_endpoints import KUBELET_HEALTH, PROXY_HEALTH, PROXY_MODE
from ..steps.checks.node_services import BALANCER, READY
from ..steps.checks.service_addresses import DNS
from ..upkeep import operations
from ..util import object_lists, program
from ..util.errors import ClusterError, FabnodeError
from ..util.loopback import BALANCER_ADDRESS, BALANCER_PORT
from ..util.own_names import PROBE_NAMESPACE
from ..util.wait import Wait
from . import proxy_rights
from .network_probe import try_network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..config.configuration import Node
    from ..kube.client import Object
    from ..node.facts import Facts
    from ..ssh.host import Host
    from ..ssh.port_checks import HttpAnswer
    from .cluster_session import ClusterSession

_HTTP_OK = 200
_SERVICES = "/api/v1/namespaces/kube-system/services"
_MOST_OTHERS = 2  # nodes beside the run's that its pods try to reach
_LISTENS = 0.25  # share of timeouts.probe, in which daemons that have just started have to answer

T = TypeVar("T")


def heartbeat_ages(
    session: ClusterSession, names: Sequence[str], live: Mapping[str, Object]
) -> dict[str, float]:
    """Return the seconds since heartbeats of nodes, where many are looked at; others are asked."""
    if not object_lists.cheaper_listed(len(names), len(live)):
        return {}
    return heartbeats.heartbeat_ages(session.api, names, live, _api_time(session))


def verify_node(
    host: Host,
    facts: Facts,
    session: ClusterSession,
    live: Object | None,
    age: float | None = None,
) -> list[Check]:
    """
    Return the checks of one node.

    :param facts: fresh ones. :param live: its Node object.
    :param age: seconds since its kubelet's last heartbeat; None: that is asked for.
    """
    node, config = host.node, session.config
    units = node_services.units(node, config.cluster)
    checks = list(node_services.unit_checks(node.name, facts, units))
    health = list(_health(host, config.timeouts.probe * _LISTENS))
    well = all(check.ok for check in health)
    if config.cluster.balanced:
        checks.append(_balanced(host, session))
    checks += health if well else _with_rights(host, facts, health, session)
    checks += node_certificates.certificate_checks(
        node.name,
        facts,
        node_certificates.certificate_paths(node),
        config.ca_pem,
        datetime.now(UTC),
        margin=config.verify.certificate_days,
        serving=node_certificates.serving_addresses(node, live),
    )
    checks += node_services.proxy_checks(node, facts)
    deploy = program.task(f"deploy-nodes --limit {node.name}")
    if live is None:
        missing = "there is no Node object with this name"
        return [*checks, Check(node.name, READY, False, missing, deploy)]
    if age is None:
        age = heartbeats.heartbeat_age(session.api, live, _api_time(session))
    reason = node_status.not_ready(live)
    fresh = age <= node_services.MAX_HEARTBEAT
    beat = "no heartbeat yet" if isinf(age) else f"last heartbeat {max(age, 0):.0f} s ago"
    detail = reason or beat
    if session.nodes.awaits_network(live):
        reason, detail = None, node_status.NO_CNI
    logs = program.host_task(node.name, "logs --unit kubelet")
    checks.append(Check(node.name, READY, reason is None and fresh, detail, logs))
    pressures = node_status.pressures(live)
    describe = f"kubectl describe node {node.name}"
    checks.append(
        Check(node.name, "pressure", not pressures, ", ".join(pressures) or "none", describe)
    )
    if not session.nodes.awaits_network(live):
        checks.append(schedulable(node, live))
    release = str(config.cluster.version)
    checks.append(node_services.version_check(node.name, live, release, node.runtime.name))
    return checks


def _api_time(session: ClusterSession) -> float:
    return time.time() + (session.api.clock_offset or 0)


def schedulable(node: Node, live: Object) -> Check:
    """Return the check whether an ordinary pod could run on a node."""
    return schedulability.schedulable_check(
        node, live, operations.own_cordon(live), locked_out=operations.is_locked_out(live)
    )


def verify_cluster(
    session: ClusterSession,
    names: Sequence[str],
    live: Mapping[str, Object],
    *,
    network: bool,
    progress: Callable[[str], None],
) -> list[Check]:
    """
    Return the checks that concern all nodes together: the pod network, and pods that try it.

    :param names: of the run's nodes that have a network. :param live: all Node objects.
    :param progress: gets what is waited for.
    """
    checks = _network_checks(session, names)
    checks += _aggregated(session)
    checks += _dns(session)
    if network and names:
        others, untried = _others(session, names, live)
        checks += untried
        try:
            tried = try_network(
                session.api,
                image=session.config.verify.image,
                nodes=names,
                others=others,
                pod_cidrs=session.config.cluster.pod_cidrs,
                service_cidrs=session.config.cluster.service_cidrs,
                timeout=session.config.timeouts.probe,
                progress=progress,
            )
            checks += [_without_proxy(check, session) for check in tried]
        except (TimeoutError, ClusterError) as error:
            # Whatever ends the probe, what was checked besides counts.
            known = error.advice if isinstance(error, FabnodeError) else ""
            advice = known or f"kubectl describe namespace {PROBE_NAMESPACE}"
            checks.append(Check(None, "network probe", False, str(error), advice))
    return checks


def _network_checks(session: ClusterSession, names: Sequence[str]) -> list[Check]:
    network = session.network
    if not (name := network.name):
        return []
    if missing := network.settled(names):
        found = network.diagnosis(names, missing)
        checks = [Check(None, name, False, found.cause, found.advice)]
    else:
        checks = [Check(None, name, True, network.running(names))]
    if elsewhere := network.elsewhere(names):
        advice = "kubectl get nodes, and see to that one"
        checks.append(Check(None, f"{name} elsewhere", False, elsewhere, advice, warning=True))
    if drift := network.drift():
        checks.append(
            Check(None, f"{name} pool", False, drift.cause, drift.advice, warning=not drift.known)
        )
    return checks


def _aggregated(session: ClusterSession) -> list[Check]:
    """Return a warning for each aggregated API that is down; nodes are not to blame."""
    title = "aggregated APIs"
    down = _permitted(title, lambda: api_services.find_down(session.api))
    if isinstance(down, Check):
        return [down]
    if not down:
        return [Check(None, title, True, "all available")]
    return [
        Check(
            None,
            title,
            False,
            f"{name} is down: {reason}; until it is back, deleted namespaces stay Terminating",
            f"kubectl describe apiservice {name}",
            warning=True,
        )
        for name, reason in down.items()
    ]


def _dns(session: ClusterSession) -> list[Check]:
    """Compare the address of DNS that pods are given with that of the cluster's Service."""
    found = _permitted(
        DNS, lambda: session.api.get(_SERVICES, labelSelector="k8s-app=kube-dns")["items"]
    )
    if isinstance(found, Check):
        return [found]
    return list(service_addresses.dns_checks(found, session.config.cluster.dns_addresses))


def _permitted(title: str, read: Callable[[], T]) -> T | Check:
    """Return what is read, or a warning under this title: this account has no right to read it."""
    try:
        return read()
    except ApiError as error:
        if not error.is_forbidden:
            raise
        advice = f"`{program.task('rbac.deployer')}` as administrator"
        return Check(None, title, False, f"not read: {error}", advice, warning=True)


def _others(
    session: ClusterSession, names: Sequence[str], live: Mapping[str, Object]
) -> tuple[list[str], list[Check]]:
    """
    Return other nodes that the run's must reach, configured ones first, and what is not tried.

    A run on one node proves nothing of its way to the others.
    """
    configured = [node.name for node in session.config.nodes]
    rest = sorted(live.keys() - set(names), key=lambda name: (name not in configured, name))
    ready = [name for name in rest if node_status.not_ready(live[name]) is None]
    if not rest or ready:
        return ready[:_MOST_OTHERS], []
    detail = f"the way to other nodes was not tried: of {', '.join(rest[:5])} none is Ready"
    return [], [Check(None, "other nodes", False, detail, "kubectl get nodes", warning=True)]


def _with_rights(
    host: Host, facts: Facts, health: Sequence[Check], session: ClusterSession
) -> list[Check]:
    """Return these checks; those of a kube-proxy that lacks its rights say so."""
    failed = {PROXY_HEALTH, PROXY_MODE}
    if all(check.ok or check.name not in failed for check in health):
        return list(health)
    held = facts.certificate(layout.PROXY_PEM).certificate
    name = host.node.name
    own = held is not None and held.common_name == proxy_names.own(name)
    user = proxy_names.own(name) if own else proxy_names.SHARED
    if not (lacks := proxy_rights.lacking(session.api, user)):
        return list(health)
    advice = proxy_rights.advice(user, name)
    return [
        check
        if check.ok or check.name not in failed
        else replace(check, detail=f"{check.detail}: {lacks}", advice=advice)
        for check in health
    ]


def _without_proxy(check: Check, session: ClusterSession) -> Check:
    """Return what the pods found; where no kube-proxy serves Services, its log tells nothing."""
    if check.ok or not check.name.startswith(probe_answers.SERVICE_VIP) or check.node is None:
        return check
    if session.config.node(check.node).kube_proxy.enabled:
        return check
    advice = f"see to what serves Services on {check.node} in the place of kube-proxy"
    return replace(check, advice=advice)


def _answer(host: Host, at: health_endpoints.Endpoint, path: str, patience: float) -> HttpAnswer:
    """
    Return what a port answers; a program that has just started is well a moment later.

    :param patience: seconds until then.
    """
    wait = Wait(f"port {at.port}", patience, 0.25)
    while True:
        answer = host.http_get(at.port, path, address=at.address)
        if answer.status == _HTTP_OK or wait.over:
            break
        wait.pause()
    return answer


def _balanced(host: Host, session: ClusterSession) -> Check:
    """Go the way of kubelet and kube-proxy: by the node's balancer to one of the apiservers."""
    name, config = host.node.name, session.config
    way = (BALANCER_ADDRESS, BALANCER_PORT)
    seen = host.tls_to(*way, config.ca_pem, config.cluster.server_name)
    logs = program.host_task(name, "logs --unit apiserver-balancer")
    good = seen.trusted or seen.reachable is None
    return Check(name, BALANCER, bool(good), seen.reason or "ok", logs)


def _health(host: Host, patience: float) -> Iterator[Check]:
    """Ask the health endpoints on the node itself, and which mode kube-proxy really runs in."""
    node = host.node
    endpoints = health_endpoints.endpoints(node)
    for title in (KUBELET_HEALTH, PROXY_HEALTH):
        if title not in endpoints:
            continue
        answer = _answer(host, endpoints[title], "/healthz", patience)
        shown = answer.body[:80].decode(errors="replace").strip() or "no answer"
        if title == PROXY_HEALTH and answer.status == _HTTP_OK:
            shown = "ok"
        unit = title.removesuffix(" health")
        logs = program.host_task(node.name, f"logs --unit {unit}")
        yield Check(node.name, title, answer.status == _HTTP_OK, shown, logs)
    if PROXY_MODE not in endpoints:
        return
    at = endpoints[PROXY_MODE]
    mode = _answer(host, at, "/proxyMode", patience).body.decode(errors="replace").strip()
    wanted = node.kube_proxy.mode
    logs = program.host_task(node.name, "logs --unit kube-proxy")
    yield Check(node.name, PROXY_MODE, mode == wanted, mode or "no answer", logs)
