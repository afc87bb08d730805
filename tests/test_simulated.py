"""Simulated hosts (`bench/simulated`): they answer as the hosts would for which they stand."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import asyncssh
import pytest

from bench.labs import PROJECT
from bench.simulated import cluster, node, recording, site
from bench.simulated.api import Api
from bench.thousand import simulation
from fabnode.artifacts import store
from fabnode.config.loader import load
from fabnode.remote.probe_output import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.artifacts.store import ArtifactStore
    from fabnode.config.configuration import Config
    from fabnode.node.facts import Facts

NONCE = "0123456789abcdef"


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, ArtifactStore]:
    folder = tmp_path_factory.mktemp("site")
    site.write_files(folder, None)
    key = asyncssh.generate_private_key("ssh-ed25519")
    site.write_keys(folder, key)
    site.write_known_hosts(folder, 2, 22, key)
    config = load(site.write_cluster(folder, 2, ssh_port=22, api_port=6443))
    return config, store.load(config)


def read(facts: Facts) -> Facts:
    """Return the facts that a run reads off what a simulated host prints."""
    found = parse(recording.answer(recording.lines(facts), NONCE), nonce=NONCE, sent=0, received=0)
    return replace(found, clock_offset=0.0)


@pytest.mark.parametrize("state", [node.bare, node.deployed])
def test_what_a_host_prints_is_read_as_what_it_is(
    where: tuple[Config, ArtifactStore], state: Callable[..., Facts]
) -> None:
    config, artifacts = where
    facts = state(config, config.nodes[1], artifacts)
    seen = read(facts)
    for each in fields(facts):
        if each.name not in {"certificates", "networks", "paths"}:
            assert getattr(seen, each.name) == getattr(facts, each.name), each.name
    assert {path: held.certificate for path, held in seen.certificates.items()} == {
        path: held.certificate for path, held in facts.certificates.items()
    }
    present = {path: fact for path, fact in facts.paths.items() if fact.kind != "absent"}
    assert seen.paths == present


def test_a_node_has_all_that_is_wanted_of_it(where: tuple[Config, ArtifactStore]) -> None:
    config, artifacts = where
    one, other = (read(node.deployed(config, each, artifacts)) for each in config.nodes)
    assert one.units
    assert all(unit.running for unit in one.units.values())
    assert one.certificates.keys() == other.certificates.keys()
    assert one.certificates != other.certificates


def api() -> Api:
    made = Api("1.37.2", [("v1", "Pod", "pods", True), ("v1", "Node", "nodes", False)])
    for number in range(3):
        spec = {"nodeName": f"n{number}"}
        about = {"name": f"p{number}", "labels": {"app": f"a{number}"}}
        made.add(f"/api/v1/namespaces/one/pods/p{number}", {"metadata": about, "spec": spec})
    return made


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["p0", "p1", "p2"]),
        ({"labelSelector": "app=a1"}, ["p1"]),
        ({"labelSelector": "app in (a0,a2)"}, ["p0", "p2"]),
        ({"labelSelector": "app=a1,no=b"}, []),
        ({"fieldSelector": "spec.nodeName=n2"}, ["p2"]),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/pods", "/api/v1/namespaces/one/pods"])
def test_the_api_lists_what_is_selected(path: str, query: dict[str, str], names: list[str]) -> None:
    status, listed = api().answer("GET", path, query, {})
    assert status == 200
    assert [item["metadata"]["name"] for item in listed["items"]] == names
    assert api().answer("GET", "/api/v1/namespaces/two/pods", {}, {})[1]["items"] == []


def test_the_api_applies_once_and_nothing_in_a_dry_run() -> None:
    made, path = api(), "/api/v1/nodes/n1"
    wanted = {"kind": "Node", "metadata": {"name": "n1"}, "spec": {"podCIDR": "10.0.0.0/24"}}
    apply = {"fieldManager": "fabnode"}
    assert made.answer("PATCH", path, {}, wanted)[0] == 404
    assert made.answer("PATCH", path, {**apply, "dryRun": "All"}, wanted)[0] == 200
    assert made.answer("GET", path, {}, {})[0] == 404
    _, first = made.answer("PATCH", path, apply, wanted)
    _, again = made.answer("PATCH", path, apply, wanted)
    assert first == again == made.answer("GET", path, {}, {})[1]
    assert made.answer("DELETE", path, {}, {})[0] == 200
    assert made.answer("GET", path, {}, {})[0] == 404


def test_nodes_that_are_registered_are_ready(where: tuple[Config, ArtifactStore]) -> None:
    config, _ = where
    made = cluster.api(config, config.nodes)
    _, listed = made.answer("GET", "/api/v1/nodes", {}, {})
    assert [item["metadata"]["name"] for item in listed["items"]] == ["n1", "n2"]
    assert cluster.api(config, ()).answer("GET", "/api/v1/nodes", {}, {})[1]["items"] == []


def test_each_host_more_costs_the_same() -> None:
    """Of connections, round trips and calls of the API none grows faster than the hosts."""
    asked = {}
    for hosts in (2, 4):
        with simulation(hosts, "nodes") as simulated:
            simulated.run(PROJECT, "inv deploy-nodes")
            run = simulated.run(PROJECT, "inv deploy-nodes")
            assert "changed" not in run.usage.output.replace("unchanged", "")
            asked[hosts] = run
    for hosts, run in asked.items():
        assert run.seen["connections"] == hosts
        assert run.seen["probes"] == hosts
    # Whether a kubelet reports is asked of each; all else serves all.
    assert asked[4].calls == asked[2].calls + 2
