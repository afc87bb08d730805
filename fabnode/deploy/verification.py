"""Verification: collects observations from nodes and API for the checks of `steps.verify`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from math import isinf
from typing import TYPE_CHECKING, Any

from ..kube import node_status
from ..kube.client import ApiError
from ..kube.network_probe import try_network
from ..kube.tls_peer import presented
from ..node.conventions import KUBELET_HEALTH_PORT, PROXY_HEALTH_PORT, PROXY_METRICS_PORT
from ..pki.inventory import CertificateRow, authorities, row
from ..steps import verify
from ..steps.verify import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..config.cluster import Cluster
    from ..kube.client import Object
    from ..node.facts import Facts
    from ..ssh.host import Host
    from .cluster_session import ClusterSession

_HTTP_OK = 200
_PROBE_TIMEOUT = 60.0


def verify_node(
    host: Host, facts: Facts, session: ClusterSession, live: Object | None
) -> list[Check]:
    """Return the checks of one node. `facts` are fresh; `live` is its Node object."""
    node, cluster = host.node, session.cluster
    units = verify.units(node.runtime.name, cluster.cluster.version.minor)
    checks = list(verify.unit_checks(node.name, facts, units))
    checks += _health(host)
    checks += verify.certificate_checks(
        node.name,
        facts,
        verify.certificate_paths(node.kubelet.root),
        cluster.ca_pem,
        datetime.now(UTC),
        margin=cluster.verify.certificate_days,
    )
    if live is None:
        return [*checks, Check(node.name, "Ready", False, "there is no Node object with this name")]
    age = node_status.heartbeat_age(
        session.api, live, time.time() + (session.api.clock_offset or 0)
    )
    reason = node_status.not_ready(live)
    fresh = age <= verify.MAX_HEARTBEAT
    beat = "no heartbeat yet" if isinf(age) else f"last heartbeat {max(age, 0):.0f} s ago"
    detail = reason or beat
    if session.nodes.awaits_network(live):
        reason, detail = None, node_status.NO_CNI
    checks.append(Check(node.name, "Ready", reason is None and fresh, detail))
    pressures = node_status.pressures(live)
    checks.append(Check(node.name, "pressure", not pressures, ", ".join(pressures) or "none"))
    release = str(cluster.cluster.version)
    checks.append(verify.version_check(node.name, live, release, node.runtime.name))
    return checks


def verify_cluster(session: ClusterSession, names: Sequence[str], *, network: bool) -> list[Check]:
    """Return the checks that concern all nodes together: the pod network, and pods that try it."""
    checks = []
    if name := session.network.name:
        if missing := session.network.missing(names):
            checks.append(Check(None, name, False, session.network.diagnosis(names, missing).cause))
        else:
            checks.append(Check(None, name, True, session.network.running(names)))
    if network and names:
        image = session.cluster.verify.image
        try:
            checks += try_network(session.api, image=image, nodes=names, timeout=_PROBE_TIMEOUT)
        except (TimeoutError, ApiError) as error:
            checks.append(Check(None, "network probe", False, str(error)))
    return checks


def _health(host: Host) -> Iterator[Check]:
    """Ask the health endpoints on the node itself, and which mode kube-proxy really runs in."""
    node = host.node
    endpoints = (("kubelet health", KUBELET_HEALTH_PORT), ("kube-proxy health", PROXY_HEALTH_PORT))
    for title, port in endpoints:
        answer = host.http_get(port, "/healthz")
        said = answer.body[:80].decode(errors="replace").strip() or "no answer"
        if port == PROXY_HEALTH_PORT and answer.status == _HTTP_OK:
            said = "ok"
        yield Check(node.name, title, answer.status == _HTTP_OK, said)
    mode = host.http_get(PROXY_METRICS_PORT, "/proxyMode").body.decode(errors="replace").strip()
    wanted = node.kube_proxy.mode
    yield Check(node.name, "kube-proxy mode", mode == wanted, mode or "no answer")


def cluster_certificates(cluster: Cluster, now: datetime) -> list[CertificateRow]:
    """Return a row for each CA, and for whatever certificate the apiserver shows."""
    rows = authorities(str(cluster.cluster.ca), cluster.ca_pem, now)
    host, port = cluster.cluster.apiserver_host, cluster.cluster.apiserver_port
    try:
        pem = presented(host, port)
    except OSError as error:
        fault = f"{host}:{port} can't be reached: {error}"
        return [*rows, CertificateRow("cluster", "apiserver", "", "", "", None, (fault,))]
    where = f"{host}:{port}"
    return [*rows, row("cluster", "apiserver", where, pem, ca_pem=cluster.ca_pem, now=now)]


def certificates_seen(cluster: Cluster, facts: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """Return what a report shows of the certificates of the cluster and of these nodes."""
    now = datetime.now(UTC)
    rows = cluster_certificates(cluster, now)
    for name, seen in facts.items():
        paths = verify.certificate_paths(cluster.node(name).kubelet.root)
        rows += [
            row(name, title, path, held, ca_pem=cluster.ca_pem, now=now)
            for title, path in paths.items()
            if (held := seen.certificate(path)).pem
        ]
    return certificates_json(rows)


def certificates_json(rows: Sequence[CertificateRow]) -> list[dict[str, Any]]:
    """Return rows as an event's data holds them."""
    return [
        {"where": r.where, "name": r.name, "subject": r.subject, "issuer": r.issuer, "ends": r.ends}
        for r in rows
        if r.ends
    ]
