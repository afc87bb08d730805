"""Volumes that one node alone can have: by their affinity, whoever uses them."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.upkeep.bound_volumes import bound_to

from .pods import node

HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def cluster() -> dict[str, Any]:
    nodes = {name: node(name) for name in ("n1", "n2", "n3")}
    for name, live in nodes.items():
        zone = "b" if name == "n3" else "a"
        live["metadata"]["labels"] = {HOSTNAME: f"{name}.lan", ZONE: zone, "rank": name[1:]}
    return nodes


def volume(*expressions: dict[str, Any], kind: str = "matchExpressions", **spec: Any) -> Any:
    terms = [{kind: list(expressions)}]
    affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}} if expressions else {}
    return {"metadata": {"name": "pv-1"}, "spec": {**affinity, **spec}}


def asks(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (volume(asks(HOSTNAME, "In", "n1.lan")), "n1"),
        (volume(asks(HOSTNAME, "In", "n1.lan", "n2.lan")), ""),  # replicated on two
        (volume(asks(HOSTNAME, "NotIn", "n2.lan", "n3.lan")), "n1"),
        (volume(asks(ZONE, "In", "a")), ""),
        (volume(asks(ZONE, "In", "b")), "n3"),  # the last node of its zone
        (volume(asks(ZONE, "In", "a"), asks("rank", "Lt", "2")), "n1"),
        (volume(asks("rank", "Gt", "2")), "n3"),
        (volume(asks("gone", "Exists")), ""),
        (volume(asks("gone", "DoesNotExist")), ""),
        (volume(asks("rank", "Near", "1")), ""),
        (volume(asks("metadata.name", "In", "n2"), kind="matchFields"), "n2"),
        (volume(nfs={}), ""),
        (volume(), ""),
    ],
)
def test_a_volume_is_bound_to_the_one_node_that_it_fits(made: Any, name: str) -> None:
    found = {each: bound_to(each, cluster(), [made]) for each in cluster()}
    assert {each for each, volumes in found.items() if volumes} == ({name} if name else set())


def test_its_claim_is_named() -> None:
    made = volume(asks(HOSTNAME, "In", "n1.lan"), claimRef={"namespace": "shop", "name": "data"})
    assert bound_to("n1", cluster(), [made]) == ("pv-1 (claim shop/data)",)


def test_a_node_whose_object_has_gone_is_known_by_its_name() -> None:
    nodes = cluster()
    del nodes["n1"]
    assert bound_to("n1", nodes, [volume(asks(HOSTNAME, "In", "n1"))]) == ("pv-1",)
