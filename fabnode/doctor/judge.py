"""All causes of one node, in the order of what explains what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..node.conventions import BALANCER_SERVICE, KUBELET_SERVICE, PROXY_SERVICE
from ..util import program
from . import host_causes, kubelet_causes, node_causes, service_causes
from .cause import Cause, Deploy, Fix, UnitAct, ranked
from .service_log import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .cause import Act
    from .evidence import Evidence


_TAKES_BACK: Final = frozenset({"enable", "unmask"})  # what somebody did on purpose


def causes(evidence: Evidence) -> tuple[Cause, ...]:
    """Return what is wrong with a node, what explains the others first; empty: it is healthy."""
    found = tuple(_found(evidence))
    drift = evidence.host.drift
    if drift and (found or evidence.node.ready != "True"):
        deploy = program.task(f"deploy-nodes --limit {evidence.wanted.name}")
        shown = ", ".join(drift[:4]) + (f" and {len(drift) - 4} more" if len(drift) > 4 else "")
        text = f"it is not as configured: {shown}"
        found = (*found, Cause("drift", text, "compared as by `plan`", Fix(deploy, (Deploy(),))))
    if found and (evidence.host.of_others or evidence.host.files_of_others):
        found = (_of_others(evidence), *_only(_starts_nothing, found))
    if evidence.node.locked_out or evidence.node.removed:
        found = _only(lambda _: False, found)  # nothing of it comes back by itself
    elif not evidence.node.known:
        found = _only(_takes_nothing_back, found)
    return ranked(found)


def _only(allowed: Callable[[Act], bool], causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Return causes of whose fixes only these acts are done without a person."""
    return tuple(
        replace(each, fix=replace(each.fix, acts=tuple(filter(allowed, each.fix.acts))))
        for each in causes
    )


def _starts_nothing(act: Act) -> bool:
    """Say whether no service would start as it is by this."""
    return not isinstance(act, UnitAct | Deploy)


def _takes_nothing_back(act: Act) -> bool:
    """Say whether this leaves alone what somebody may have done to a node that is being removed."""
    return not (isinstance(act, Deploy) or (isinstance(act, UnitAct) and act.act in _TAKES_BACK))


def settled(evidence: Evidence) -> bool:
    """Say whether the services that run have run long enough to be judged."""
    host = evidence.host
    names = (KUBELET_SERVICE, evidence.wanted.runtime, PROXY_SERVICE)
    services = (Service(host, name) for name in names)
    return bool(host.access) or all(each.settled for each in services if each.fact.running)


def _of_others(evidence: Evidence) -> Cause:
    """Return the cause that others may change what services start with; fixes start none of it."""
    host, name = evidence.host, evidence.wanted.name
    if host.of_others:
        text, fix = host.of_others[0]
        return Cause("others-write", text, "its owner and mode", Fix(fix))
    paths = ", ".join(host.files_of_others[:4])
    deploy = Fix(program.task(f"deploy-nodes --limit {name}"), (Deploy(),))
    return Cause("others-write", f"others than root may change {paths}", "owner and mode", deploy)


def _found(evidence: Evidence) -> Iterator[Cause]:
    host = evidence.host
    kubelet = Service(host, KUBELET_SERVICE, evidence.node.heartbeat_age)
    runtime = Service(host, evidence.wanted.runtime)
    proxy = Service(host, PROXY_SERVICE)
    yield from host_causes.access(evidence)
    if not host.access:
        yield from host_causes.host(evidence, (runtime, kubelet))
        yield from service_causes.runtime(evidence, runtime)
        if evidence.wanted.balanced:
            yield from service_causes.balancer(evidence, Service(host, BALANCER_SERVICE))
        yield from kubelet_causes.kubelet(evidence, kubelet)
        yield from node_causes.network(evidence, kubelet, runtime, proxy)
    yield from node_causes.node(evidence, kubelet)
    if evidence.node.known:
        yield from kubelet_causes.serving(evidence, kubelet)
