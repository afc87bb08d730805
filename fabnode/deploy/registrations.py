"""Node objects of a cluster, and what removals have recorded about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube import node_status
from ..kube.client import permitted
from ..node.registration import Registration
from ..pki import proxy_names
from ..upkeep import operations
from ..upkeep.objects import line
from . import proxy_binding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ..kube.client import Api, Object

_CONTROLS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")


def registrations(api: Api, known: Collection[str]) -> tuple[Registration, ...]:
    """
    Return what the API says of all nodes, by name. Changes nothing.

    :param known: names of the configuration's nodes.
    :raises ApiError: this account may not list nodes.
    """
    found = node_status.all_nodes(api)
    days = permitted(lambda: proxy_binding.removed(proxy_binding.read(api))) or {}
    made = [_registration(live, known, days) for live in found.values()]
    return tuple(sorted(made, key=lambda node: node.name))


def ownerless(bound: Collection[str], nodes: Iterable[str]) -> tuple[str, ...]:
    """
    Return the names of kube-proxies that have rights, and are none of these nodes' own.

    :param bound: all that have. :param nodes: whose kube-proxies may be in use.
    """
    used = {proxy_names.own(name) for name in nodes}
    own = (name for name in bound if name.startswith(proxy_names.OWN))
    return tuple(line(name) for name in sorted(own) if name not in used)


def left(api: Api, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """
    Return what the cluster has of nodes, beside their pods, by name: those of which it has some.

    :raises ApiError: this account may not list nodes.
    """
    there = node_status.all_nodes(api)
    bound = permitted(lambda: proxy_binding.users(proxy_binding.read(api))) or frozenset()
    found = {
        name: (
            *(("its Node object",) if name in there else ()),
            *(("its kube-proxy's rights",) if proxy_names.own(name) in bound else ()),
        )
        for name in names
    }
    return {name: things for name, things in found.items() if things}


def _registration(live: Object, known: Collection[str], days: dict[str, str]) -> Registration:
    metadata = live["metadata"]
    name = str(metadata["name"])
    return Registration(
        name=line(name),
        since=line(metadata.get("creationTimestamp")),
        where=", ".join(map(line, node_status.internal_ips(live))) or "no address",
        ready=node_status.not_ready(live) is None,
        known=name in known,
        controls=any(label in (metadata.get("labels") or {}) for label in _CONTROLS),
        locked=_locked(live),
        removed=days.get(name, ""),
    )


def _locked(live: Object) -> str:
    if not operations.is_locked_out(live):
        return ""
    found = operations.read(live)
    if found is not None and found.what == "remove":
        return found.text
    return f"the taint {operations.REMOVED}"
