"""What Calico holds for a node that is gone: its own blocks go, one that others use stays."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.cni.registry import network
from tests.support import make_config

GROUP = "/apis/crd.projectcalico.org/v1"


def used(node: str, handle: str) -> dict[str, Any]:
    return {"handle_id": handle, "secondary": {"node": node}}


def block(name: str, node: str, *attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "resourceVersion": "7"},
        "spec": {
            "cidr": f"{name}/26",
            "affinity": f"host:{node}",
            "allocations": [*range(len(attributes)), None],
            "attributes": list(attributes),
        },
    }


def affinity(name: str, node: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"node": node}}


def handle(name: str, *cidrs: str) -> dict[str, Any]:
    spec = {"handleID": name, "block": dict.fromkeys(cidrs, 1)}
    return {"metadata": {"name": name}, "spec": spec}


class Api:
    """Blocks of n7: one is its own, one has an address of n1's; and a block of n1's."""

    def __init__(self) -> None:
        self.items = {
            "blockaffinities": [affinity("n7-a", "n7"), affinity("n1-a", "n1")],
            "ipamblocks": [
                block("own", "n7", used("n7", "tunnel-n7"), used("n7", "both")),
                block("lent", "n7", used("n1", "pod-of-n1"), used("n7", "rest")),
                block("others", "n1", used("n1", "tunnel-n1")),
            ],
            "ipamhandles": [
                handle("tunnel-n7", "own/26"),
                handle("both", "own/26", "lent/26"),
                handle("pod-of-n1", "lent/26"),
                handle("tunnel-n1", "others/26"),
            ],
        }
        self.did: list[str] = []

    def get(self, path: str, **_: str) -> dict[str, Any]:
        raise AssertionError(path)

    def find(self, path: str) -> dict[str, Any]:
        return {"items": self.items[path.rpartition("/")[2]]}

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.did.append(f"patch {path.removeprefix(GROUP)}: {body['spec']}")
        assert body["metadata"] == {"resourceVersion": "7"}
        return {}

    def delete(self, path: str, *, version: str = "") -> None:
        self.did.append(f"delete {path.removeprefix(GROUP)} {version}".strip())


def test_a_nodes_own_blocks_go_and_one_that_others_use_loses_its_owner() -> None:
    api = Api()
    assert network(make_config()).release(api, "n7") == "2 address blocks of Calico's"
    assert api.did == [
        "delete /ipamhandles/tunnel-n7",
        "delete /ipamblocks/own 7",
        "patch /ipamblocks/lent: {'affinity': None}",
        "delete /blockaffinities/n7-a",
    ]


@pytest.mark.parametrize(("settings", "node"), [({}, "n9"), ({"datastore": "etcd"}, "n7")])
def test_where_nothing_is_held_nothing_is_done(settings: dict[str, Any], node: str) -> None:
    config = make_config()
    object.__setattr__(config, "calico", config.calico.model_copy(update=settings))
    api = Api()
    assert network(config).release(api, node) == ""
    assert api.did == []
