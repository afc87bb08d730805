"""All causes of one node, in the order of what explains what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..node.conventions import KUBELET_SERVICE, PROXY_SERVICE
from ..util import program
from . import host_causes, kubelet_causes, node_causes, service_causes
from .cause import Cause, Deploy, Fix, ranked
from .words import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .evidence import Evidence


def causes(evidence: Evidence) -> tuple[Cause, ...]:
    """Return what is wrong with a node, what explains the others first; nothing: it is well."""
    found = tuple(_found(evidence))
    drift = evidence.host.drift
    if drift and (found or evidence.node.ready != "True"):
        deploy = program.task(f"deploy-nodes --limit {evidence.wanted.name}")
        shown = ", ".join(drift[:4]) + (f" and {len(drift) - 4} more" if len(drift) > 4 else "")
        text = f"it is not as configured: {shown}"
        found = (*found, Cause("drift", text, "compared as by `plan`", Fix(deploy, (Deploy(),))))
    return ranked(found)


def _found(evidence: Evidence) -> Iterator[Cause]:
    host = evidence.host
    kubelet = Service(host, KUBELET_SERVICE, evidence.node.beat)
    runtime = Service(host, evidence.wanted.runtime)
    proxy = Service(host, PROXY_SERVICE)
    yield from host_causes.access(evidence)
    if not host.access:
        yield from host_causes.host(evidence, (runtime, kubelet))
        yield from service_causes.runtime(evidence, runtime)
        yield from kubelet_causes.kubelet(evidence, kubelet)
        yield from node_causes.network(evidence, kubelet, runtime, proxy)
    yield from node_causes.node(evidence, kubelet)
    if evidence.node.known:
        yield from kubelet_causes.serving(evidence, kubelet)
