"""
Routes of the machine to pods, while tests run.

The lab's apiserver is no node, so that its own requests to pods (`pods/proxy`, `services/proxy`)
would leave by the machine's default route: with these, they reach the node that has the pod. They
are marked by their protocol number, and go with the lab's bridge at the latest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import cache
from ..errors import LabError
from ..layout import POD_CIDR, Layout
from ..shell import run, succeeds

PROTOCOL = "213"  # of no routing daemon: /etc/iproute2/rt_protos


def wanted(blocks: Iterable[Mapping[str, Any]], hosts: Mapping[str, str]) -> dict[str, str]:
    """
    Return network → address of the node that has it, from Calico's block affinities.

    :param hosts: node → address.
    """
    found = {block["spec"]["cidr"]: hosts.get(block["spec"]["node"]) for block in blocks}
    return {network: address for network, address in sorted(found.items()) if address}


@contextmanager
def to_pods(layout: Layout, kubectl: list[str], hosts: Mapping[str, str]) -> Iterator[None]:
    """
    Have routes to the pods of all nodes, from the lab's own address.

    Labs give their pods the same addresses: a second one waits until the first has no routes more.

    :raises LabError: this machine has other routes to these addresses.
    """
    with cache.locked(cache.root() / "pod-routes.lock"):
        _add(layout, kubectl, hosts)
        try:
            yield
        finally:
            succeeds("ip", "route", "flush", "dev", layout.bridge, "proto", PROTOCOL)


def _add(layout: Layout, kubectl: list[str], hosts: Mapping[str, str]) -> None:
    others = json.loads(run("ip", "-4", "-json", "route", "show", "root", POD_CIDR))
    if any(route.get("dev") != layout.bridge for route in others):
        raise LabError(f"this machine has routes to {POD_CIDR} by {others[0].get('dev')} already")
    blocks = json.loads(
        run(*kubectl, "get", "blockaffinities.crd.projectcalico.org", "-o", "json")
    )["items"]
    for network, address in wanted(blocks, hosts).items():
        way = ["via", address, "dev", layout.bridge, "src", str(layout.gateway)]
        run("ip", "route", "replace", network, *way, "proto", PROTOCOL)
