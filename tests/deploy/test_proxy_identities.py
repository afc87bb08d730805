"""By which name a kube-proxy is certified: its own once that has rights, else that of all."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fabnode.deploy import proxy_binding
from fabnode.deploy import proxy_identities as module
from fabnode.deploy.proxy_identities import ProxyIdentities
from fabnode.journal.journal import Journal
from fabnode.kube.client import ApiError
from tests.deploy.bindings import OWN, Bindings
from tests.support import make_config

SHARED = "system:kube-proxy"
NODES = [{"name": f"n{number}", "address": f"192.0.2.{number}"} for number in range(1, 4)]


class Scene:
    def __init__(self, api: Bindings, *, admits: bool = True, **settings: Any) -> None:
        self.api = api
        self.config = make_config(nodes=NODES, **settings)
        self.nodes = self.config.nodes
        self.journal = Journal(None, [])
        self.live: dict[str, Any] = {}
        self.identities = ProxyIdentities(
            cast("Any", api),
            self.journal,
            cast("Any", SimpleNamespace(admits_own_names=lambda: admits)),
            cast("Any", lambda: SimpleNamespace(nodes=self.live)),
            way="apply",
        )

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.journal.events if event.state == "warning"]

    def lock_out(self, name: str) -> None:
        taint = {"key": "fabnode.io/removed", "effect": "NoExecute"}
        self.live[name] = {"spec": {"taints": [taint]}}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BOUND", 0.05)
    monkeypatch.setattr(module, "_POLL", 0.01)


@pytest.mark.parametrize("there", [True, False])
def test_a_name_is_bound_and_works_before_it_is_used(there: bool) -> None:
    scene = Scene(Bindings(live=there))
    scene.api.allowed = [False, False, True]  # an authorizer that has not seen it yet
    assert scene.identities.name_for(scene.nodes[0]) == f"{OWN}n1"
    assert scene.api.bound == ["n1"]
    assert scene.api.did[-3:] == [f"may {OWN}n1"] * 3
    assert scene.warnings == []


def test_a_run_reads_the_binding_once_where_all_are_bound() -> None:
    scene = Scene(Bindings("n1", "n2", "n3"))
    assert [scene.identities.name_for(node) for node in scene.nodes] == [
        f"{OWN}{node.name}" for node in scene.nodes
    ]
    assert not any(scene.identities.lost(node) for node in scene.nodes)
    assert scene.api.did == ["get"]


def test_nodes_that_wait_together_are_bound_together() -> None:
    scene = Scene(Bindings())
    entered, go = threading.Event(), threading.Event()

    def first() -> None:
        entered.set()
        assert go.wait(10)
        scene.api.before_write = lambda: None

    scene.api.before_write = first
    found: dict[str, str] = {}

    def certify(node: Any) -> None:
        found[node.name] = scene.identities.name_for(node)

    threads = [threading.Thread(target=certify, args=(node,)) for node in scene.nodes]
    threads[0].start()
    assert entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(scene.identities._waiting) < 2:
        pass
    go.set()
    for thread in threads:
        thread.join(10)
    assert found == {node.name: f"{OWN}{node.name}" for node in scene.nodes}
    assert scene.api.did.count("patch") == 2, "one for the first, one for those that waited"
    assert sorted(scene.api.bound) == ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("refused", "admits", "allowed", "why"),
    [
        ({"get"}, True, True, "this account may not bind system:node-proxier: no"),
        ({"patch"}, True, True, "this account may not bind system:node-proxier: no"),
        (set(), False, True, "the policy on its account does not admit others"),
        (set(), True, False, "may not list services, although the ClusterRoleBinding"),
    ],
    ids=["may not read", "may not write", "an older policy", "an authorizer without RBAC"],
)
def test_where_own_names_get_no_rights_the_one_of_all_serves_and_that_is_reported_once(
    refused: set[str], admits: bool, allowed: bool, why: str
) -> None:
    scene = Scene(Bindings(), admits=admits)
    scene.api.refused, scene.api.allowed = refused, [allowed]
    assert {scene.identities.name_for(node) for node in scene.nodes} == {SHARED}
    (warning,) = scene.warnings
    assert why in warning
    assert "`inv rbac.deployer` as administrator" in warning


def test_a_policy_on_requests_is_nothing_to_certificates_signed_here() -> None:
    local = {"signing": "local", "ca_key": "ca-key.pem"}
    scene = Scene(Bindings(), admits=False, kube_proxy=local)
    assert scene.identities.name_for(scene.nodes[0]) == f"{OWN}n1"


def test_a_binding_to_another_role_is_left_alone() -> None:
    scene = Scene(Bindings())
    assert scene.api.live
    scene.api.live["roleRef"]["name"] = "view"
    assert scene.identities.name_for(scene.nodes[0]) == SHARED
    assert not scene.identities.lost(scene.nodes[0])
    assert "binds view, not system:node-proxier" in scene.warnings[0]
    assert "patch" not in scene.api.did


def test_another_failure_of_the_api_is_one() -> None:
    scene = Scene(Bindings())

    def fail() -> None:
        raise ApiError(500, "InternalError", "etcd")

    scene.api.before_write = fail
    with pytest.raises(ApiError, match="etcd"):
        scene.identities.name_for(scene.nodes[0])


def test_rights_that_were_lost_are_bound_again_but_not_those_of_one_that_is_locked_out() -> None:
    scene = Scene(Bindings("n3"))
    scene.lock_out("n2")
    assert [scene.identities.lost(node) for node in scene.nodes] == [True, False, False]
    assert scene.identities.restore(scene.nodes[0])
    assert scene.api.bound == ["n3", "n1"]
    assert not scene.identities.lost(scene.nodes[0])


def test_one_who_may_not_look_finds_nothing_lost() -> None:
    scene = Scene(Bindings())
    scene.api.refused = {"get"}
    assert not scene.identities.lost(scene.nodes[0])
    assert scene.warnings == []


def test_a_plan_shows_the_binding_and_changes_nothing() -> None:
    scene = Scene(Bindings("n1"))
    scene.lock_out("n2")
    change = scene.identities.planned(scene.nodes)
    assert change
    assert (change.action, change.fields) == ("update", (f"subjects + {OWN}n3",))
    assert scene.api.bound == ["n1"]
    assert set(scene.api.did) == {"get", "try"}


@pytest.mark.parametrize(
    ("refused", "admits"), [({"patch"}, True), ({"get"}, True), (set(), False)]
)
def test_a_plan_shows_no_binding_that_a_run_would_not_make(refused: set[str], admits: bool) -> None:
    scene = Scene(Bindings(), admits=admits)
    scene.api.refused = refused
    assert scene.identities.planned(scene.nodes) is None


def test_a_plan_without_nodes_asks_nothing() -> None:
    scene = Scene(Bindings())
    scene.lock_out("n1")
    assert scene.identities.planned(scene.nodes[:1]) is None
    assert scene.api.did == []


def test_one_that_was_removed_is_let_in_before_it_joins() -> None:
    scene = Scene(Bindings("n1", "n2", "n3"))
    for name in ("n1", "n2"):
        proxy_binding.unbind(cast("Any", scene.api), name)
    scene.api.did.clear()
    for node in scene.nodes:
        if node.name != "n2":
            scene.identities.readmit(node)
    assert list(proxy_binding.removed(scene.api.live)) == ["n2"]
    assert scene.api.did == ["get", "get", "patch"], "n3 was never removed"
    assert scene.api.bound == ["n3"], "its rights are another matter"


def test_one_that_is_locked_out_is_not_let_in() -> None:
    scene = Scene(Bindings("n1"))
    proxy_binding.unbind(cast("Any", scene.api), "n1")
    scene.lock_out("n1")
    scene.identities.readmit(scene.nodes[0])
    assert list(proxy_binding.removed(scene.api.live)) == ["n1"]


def test_an_account_that_may_not_let_it_in_says_what_that_means() -> None:
    scene = Scene(Bindings("n1"))
    proxy_binding.unbind(cast("Any", scene.api), "n1")
    scene.api.refused = {"patch"}
    scene.identities.readmit(scene.nodes[0])
    (text,) = scene.warnings
    assert text.startswith("n1 was removed before, and this account may not write the Cluster")
    assert "it can't join where the ValidatingAdmissionPolicy fabnode-removed-nodes is" in text
    scene.api.refused = {"get"}
    Scene(scene.api).identities.readmit(scene.nodes[0])  # nobody knows
