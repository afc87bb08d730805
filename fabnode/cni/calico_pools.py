"""Calico's pools of addresses: how they differ from the configuration, and what to do. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..util.sanitize import clean
from .protocol import Object

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_ALL = "all()"
_POOLS = "ippools.crd.projectcalico.org"
_API = "crd.projectcalico.org/v1"
_VXLAN, _IPIP, _NEVER = "vxlanMode", "ipipMode", "Never"


def drift(pools: Collection[Object], pod_cidr: str, modes: Mapping[str, str]) -> str:
    """
    Return how Calico's pools differ from the configuration, or nothing.

    Pools of other networks beside the configured one are a site's own.

    :param modes: `vxlanMode` and `ipipMode` as configured.
    """
    specs = {str(pool["metadata"]["name"]): pool.get("spec") or {} for pool in pools}
    mine = {name: spec for name, spec in specs.items() if spec.get("cidr") == pod_cidr}
    if not mine:
        found = ", ".join(f"{name} of {spec.get('cidr')}" for name, spec in specs.items())
        return f"no pool of {pod_cidr} (cluster.pod_cidr), but {found}" if found else ""
    differing = [
        f"{name}: {key} is {spec.get(key) or 'Never'}, configured is {mode}"
        for name, spec in mine.items()
        for key, mode in modes.items()
        if (spec.get(key) or "Never") != mode
    ]
    differing += [f"{name} is disabled" for name, spec in mine.items() if spec.get("disabled")]
    others = any(
        not spec.get("disabled")
        for spec in specs.values()
        if spec.get("cidr") != pod_cidr and _same_family(spec, pod_cidr)
    )
    if not others:
        differing += [text for name, spec in mine.items() for text in _left_out(name, spec)]
    return "; ".join(differing)


def _same_family(spec: Object, cidr: str) -> bool:
    return (":" in str(spec.get("cidr"))) == (":" in cidr)


def _left_out(name: str, spec: Object) -> Iterator[str]:
    """Yield which pods a pool has no addresses for; no other pool has any."""
    if (selector := spec.get("nodeSelector") or _ALL) != _ALL:
        yield f"{name} is for nodes with {clean(str(selector))} alone (nodeSelector)"
    if "Workload" not in (spec.get("allowedUses") or ("Workload",)):
        yield f"{name} is not for pods (allowedUses)"


def remedy(pools: Collection[Object], pod_cidr: str, modes: Mapping[str, str]) -> str:
    """
    Return what to do about pools that differ: the command, or why pods would be cut off.

    Calico changes encapsulation on a pool that is in use. A pool's addresses it never changes.
    """
    mine = [pool for pool in pools if (pool.get("spec") or {}).get("cidr") == pod_cidr]
    if not mine:
        return (
            "correct cluster.pod_cidr: pods keep the addresses that they have, and a pool's can't"
            " be changed; to move, make a second pool, restart all pods, then delete the first"
        )
    spec = mine[0]["spec"]
    wanted: dict[str, Any] = dict(modes)
    if spec.get("disabled"):
        wanted["disabled"] = False
    if any(_left_out("", spec)):
        wanted |= {"nodeSelector": _ALL, "allowedUses": ["Workload", "Tunnel"]}
    patch = json.dumps({"spec": wanted}, separators=(",", ":"))
    name = mine[0]["metadata"]["name"]
    command = f"kubectl patch {_POOLS} {name} --type=merge -p '{patch}'"
    if _modes(spec) == dict(modes) or _live(_modes(spec), modes):
        return f"correct the configuration, or {command}, which Calico follows while pods run"
    return (
        "correct calico.backend and calico.encapsulation; or, while pods of different nodes may be"
        f" without each other: {command}, then run the same command again"
    )


def unrouted(pools: Collection[Object], pod_cidr: str) -> str:
    """
    Return which pools have no routes between nodes without BGP; empty: none.

    With `calico_backend: vxlan` no bird runs, and Felix has routes for pools of VXLAN alone
    (projectcalico/calico felix/calc `VXLANResolver`).
    """
    found = []
    for pool in pools:
        spec = pool.get("spec") or {}
        modes = _modes(spec)
        if spec.get("cidr") == pod_cidr and not spec.get("disabled") and modes[_VXLAN] == _NEVER:
            has = "no encapsulation" if modes[_IPIP] == _NEVER else f"{_IPIP} {modes[_IPIP]}"
            found.append(f"{clean(str(pool['metadata']['name']))} has {has}")
    return ", ".join(found)


def _modes(spec: Object) -> dict[str, str]:
    return {key: str(spec.get(key) or _NEVER) for key in (_VXLAN, _IPIP)}


def followed(
    pools: Collection[Object], pod_cidr: str, modes: Mapping[str, str]
) -> tuple[Object, ...]:
    """
    Return what to apply to pools whose encapsulation differs, where pods keep their network.

    Calico follows such a change within seconds. Only modes of the tunnel that the pool has: another
    tunnel, or another backend, takes the routes away on each node until its calico-node is the new
    one, and what a site has disabled or limited may be so on purpose.

    :param modes: `vxlanMode` and `ipipMode` as configured.
    """
    found = []
    for pool in pools:
        spec = pool.get("spec") or {}
        before = _modes(spec)
        if spec.get("cidr") == pod_cidr and before != dict(modes) and _live(before, modes):
            about = {"name": pool["metadata"]["name"]}
            wanted = {"cidr": pod_cidr, **modes}
            found.append({"apiVersion": _API, "kind": "IPPool", "metadata": about, "spec": wanted})
    return tuple(found)


def changed(pools: Collection[Object], by: Collection[Object]) -> list[Object]:
    """Return the pools as they are once these objects are applied."""
    specs = {item["metadata"]["name"]: item["spec"] for item in by}
    return [
        {**pool, "spec": {**(pool.get("spec") or {}), **specs.get(pool["metadata"]["name"], {})}}
        for pool in pools
    ]


def _live(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    if before[_VXLAN] == after[_VXLAN] == _NEVER:
        return True  # BGP has the routes, with and without IPIP
    both = _NEVER not in (before[_VXLAN], after[_VXLAN])
    return both and before[_IPIP] == after[_IPIP] == _NEVER
