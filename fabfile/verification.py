"""Collects what `steps.verify` judges: from each node, and from the API."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from math import isinf
from typing import TYPE_CHECKING

from .kube import nodes as node_objects
from .kube.api import ApiError
from .kube.netprobe import try_network
from .steps import calico, verify
from .steps.verify import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .cluster_side import ClusterSide
    from .host.connect import Host
    from .kube.api import Object
    from .model.facts import Facts

_HTTP_OK = 200
_PROBE_TIMEOUT = 60.0


def verify_node(host: Host, facts: Facts, side: ClusterSide, live: Object | None) -> list[Check]:
    """Return the checks of one node. `facts` are fresh; `live` is its Node object."""
    node, cluster = host.node, side.cluster
    checks = list(verify.unit_checks(node.name, facts))
    checks += _health(host)
    checks += verify.certificate_checks(
        node.name,
        facts,
        verify.certificate_paths(node.kubelet.root),
        cluster.ca_pem,
        datetime.now(UTC),
        margin=1,
    )
    if live is None:
        return [*checks, Check(node.name, "Ready", False, "there is no Node object of that name")]
    age = node_objects.heartbeat_age(side.api, live, time.time() + (side.api.clock_offset or 0))
    reason = node_objects.not_ready(live)
    fresh = age <= verify.MAX_HEARTBEAT
    beat = "no heartbeat yet" if isinf(age) else f"last heartbeat {max(age, 0):.0f} s ago"
    detail = reason or beat
    if side.awaits_network(live):
        reason, detail = None, node_objects.NO_CNI
    checks.append(Check(node.name, "Ready", reason is None and fresh, detail))
    pressures = node_objects.pressures(live)
    checks.append(Check(node.name, "pressure", not pressures, ", ".join(pressures) or "none"))
    checks.append(verify.version_check(node.name, live, str(cluster.cluster.version)))
    return checks


def verify_cluster(side: ClusterSide, names: Sequence[str], *, network: bool) -> list[Check]:
    """Return the checks that concern all nodes together: Calico, and pods that try the network."""
    checks = []
    if side.cluster.calico.enabled:
        missing = side.calico_missing(names)
        detail = missing or f"{calico.DAEMONSET} on {len(names)} nodes, {calico.CONTROLLERS}"
        checks.append(Check(None, "Calico", missing is None, detail))
    if network and names:
        image = side.cluster.verify.image
        try:
            checks += try_network(side.api, image=image, nodes=names, timeout=_PROBE_TIMEOUT)
        except (TimeoutError, ApiError) as error:
            checks.append(Check(None, "network probe", False, str(error)))
    return checks


def _health(host: Host) -> Iterator[Check]:
    """Ask the health endpoints on the node itself, and which mode kube-proxy really runs in."""
    node = host.node
    for title, port in (("kubelet health", 10248), ("kube-proxy health", 10256)):
        answer = host.http_get(port, "/healthz")
        said = answer.body[:80].decode(errors="replace").strip() or "nobody answers"
        if port == 10256 and answer.status == _HTTP_OK:
            said = "ok"
        yield Check(node.name, title, answer.status == _HTTP_OK, said)
    mode = host.http_get(10249, "/proxyMode").body.decode(errors="replace").strip()
    wanted = node.kube_proxy.mode
    yield Check(node.name, "kube-proxy mode", mode == wanted, mode or "nobody answers")
