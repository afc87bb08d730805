"""Removal of nodes whose hosts do not answer: what is refused, how far it goes, what is left."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.cli.commands import offline_removal as offline_view
from fabnode.deploy import offline_removal, proxy_binding
from fabnode.deploy import run as run_module
from fabnode.deploy.offline_removal import NotOfflineError, NotProvenOffError
from fabnode.kube.client import ApiError
from fabnode.ssh.errors import (
    AnsweredError,
    AuthenticationError,
    ChangedHostKeyError,
    CommandTimeoutError,
    ConnectionLostError,
    HostCertificateError,
    HostMisbehavedError,
    RevokedHostKeyError,
    SudoRefusedError,
    UnknownHostKeyError,
    UnreachableError,
)
from fabnode.util.errors import HostError
from fabnode.util.own_names import NODE_OPERATION
from tests.support import certificate
from tests.upkeep.pods import pod

from .nodes_in_use import Scene, local_volume, with_binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.util.fan_out import Outcome

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1"


class Offline(Scene):
    """
    Three nodes, of which n1's host does not answer.

    :ivar did: what was done to the cluster, in order. :ivar answers: what SSH comes to.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self.api.nodes["n1"]["status"]["conditions"][0] |= {
            "status": "Unknown",
            "lastHeartbeatTime": "2026-11-29T12:00:00Z",
        }
        self.answers: Exception | None = UnreachableError("n1", "no route to host")
        self.says = b"ids\tm1\tb1\t\n"
        self.did = self.api.reported
        self.leases = {LEASE}
        pem = base64.b64encode(certificate("system:node:n1").encode()).decode()
        self.requests = [
            {
                "metadata": {
                    "name": f"csr-{node}",
                    "uid": "u",
                    "resourceVersion": "1",
                    "creationTimestamp": "2026-11-29T12:00:00Z",
                },
                "spec": {
                    "username": f"system:node:{node}",
                    "request": base64.b64encode(b"none").decode(),
                    "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
                },
                "status": {"certificate": pem},
            }
            for node in ("n1", "n2")
        ]
        monkeypatch.setattr(run_module, "NodeDeployer", self._deployer)
        monkeypatch.setattr(offline_removal, "_POLL", 0.01)
        self._get, self._find = self.api.get, self.api.find
        for name in ("get", "find", "patch", "delete"):
            monkeypatch.setattr(self.api, name, getattr(self, f"_api_{name}"))

    def remove(self, *, host_is_off: bool = False) -> Outcome[Any]:
        return offline_removal.remove(self.run(), host_is_off=host_is_off)["n1"]

    def _deployer(self, host: Any, *_: object, **__: object) -> Any:
        def root(_: str, **__: object) -> Any:
            if self.answers:
                raise self.answers
            return SimpleNamespace(stdout=self.says, stderr=b"")

        host.root = root
        host.interrupt = host.close = lambda: None
        return SimpleNamespace(host=host, node=host.node)

    def _api_get(self, path: str, **query: str) -> Any:
        if path.endswith("/certificatesigningrequests"):
            return {"items": list(self.requests)}
        if path.endswith("/secrets"):
            metadata = {
                "name": "bootstrap-token-abcdef",
                "annotations": {"fabnode.io/node": "n1"},
                "creationTimestamp": "2026-11-29T12:00:00Z",
            }
            data = {"token-id": base64.b64encode(b"abcdef").decode()}
            kind = "bootstrap.kubernetes.io/token"
            return {"items": [{"metadata": metadata, "data": data, "type": kind}]}
        return self._get(path, **query)

    def _api_find(self, path: str) -> Any:
        if "/leases/" in path:
            return {"spec": {}} if path in self.leases else None
        return self._find(path)

    def _api_patch(self, path: str, body: Any) -> Any:
        live = self.api.nodes[path.rpartition("/")[2]]
        if taints := body.get("spec", {}).get("taints"):
            live["spec"]["taints"] = taints
            self.did.append("taints: " + ", ".join(f"{t['key']}:{t['effect']}" for t in taints))
            if any(taint["key"].endswith("out-of-service") for taint in taints):
                self.api.pods.clear()
        else:
            live["spec"]["unschedulable"] = True
        return live

    def _api_delete(self, path: str, **_: str) -> None:
        kind, name = path.split("/")[-2:]
        self.did.append(f"delete {kind} {name}")
        self.leases.discard(path)
        self.requests = [r for r in self.requests if r["metadata"]["name"] != name]
        if kind == "nodes":
            del self.api.nodes[name]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Offline:
    return Offline(monkeypatch)


LOCKED = [
    "taints: fabnode.io/removed:NoSchedule, fabnode.io/removed:NoExecute",
    "delete certificatesigningrequests csr-n1",
    "delete secrets bootstrap-token-abcdef",
]


def test_one_without_pods_is_removed_with_all_that_the_cluster_has_of_it(scene: Offline) -> None:
    outcome = scene.remove()
    assert outcome.ok, outcome.error
    assert outcome.value
    assert outcome.value.level == "removed"
    # The fake's token is there whenever one looks.
    assert scene.did == [*LOCKED, "delete nodes n1", "delete leases n1", LOCKED[-1]]


def test_pods_of_a_host_that_is_not_proven_off_are_not_declared_dead(scene: Offline) -> None:
    scene.api.pods = [pod("db-0", controller=("apps/v1", "StatefulSet"))]
    error = scene.remove().error
    assert isinstance(error, NotProvenOffError)
    assert "shop/db-0" in error.message
    assert "remove-node --offline --host-is-off --limit n1" in error.advice
    assert scene.did == LOCKED
    assert "n1" in scene.api.nodes


def test_what_an_account_had_no_right_to_read_is_not_reported_gone(
    scene: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(path: str, **query: str) -> Any:
        if path.endswith("/secrets"):
            raise ApiError(403, "Forbidden", "no")
        return scene._api_get(path, **query)

    with_binding(scene, monkeypatch, "n1").refused = {"get"}
    monkeypatch.setattr(scene.api, "get", get)
    scene.api.pods = [pod("a")]
    error = scene.remove().error
    assert isinstance(error, NotProvenOffError)
    assert "no request of it left, and more as far as this account's rights go" in error.message
    assert "no right to list Secrets in kube-system" in str(error.detail)
    assert "no right to read the ClusterRoleBinding fabnode:kube-proxies" in str(error.detail)
    scene.api.pods = []
    outcome = scene.remove()
    assert outcome.value
    assert any("bootstrap tokens made for it may exist" in text for text in outcome.value.left)


def test_by_the_operators_word_they_are_declared_dead_before_the_node_goes(scene: Offline) -> None:
    scene.api.pods = [pod("db-0", controller=("apps/v1", "StatefulSet"))]
    outcome = scene.remove(host_is_off=True)
    assert outcome.ok, outcome.error
    dead = [i for i, what in enumerate(scene.did) if "out-of-service:NoExecute" in what]
    assert dead
    assert dead[0] < scene.did.index("delete nodes n1")


@pytest.mark.parametrize("admins", [False, True])
def test_whose_that_taint_is_is_recorded_before_it_is_set(
    scene: Offline, monkeypatch: pytest.MonkeyPatch, admins: bool
) -> None:
    """By that `inv uncordon` takes it again where the removal goes no further."""
    key = "node.kubernetes.io/out-of-service"
    scene.api.pods = [pod("db-0", controller=("apps/v1", "StatefulSet"))]
    live = scene.api.nodes["n1"]
    if admins:
        live["spec"]["taints"] = [{"key": key, "value": "nodeshutdown", "effect": "NoExecute"}]
    recorded = []

    def patch(path: str, body: Any) -> Any:
        if record := body["metadata"].get("annotations", {}).get(NODE_OPERATION):
            live["metadata"]["annotations"] = {NODE_OPERATION: record}
            recorded.append((json.loads(record).get("out_of_service"), len(scene.did)))
        return scene._api_patch(path, body)

    monkeypatch.setattr(scene.api, "patch", patch)
    scene.remove(host_is_off=True)
    (set_at,) = [i for i, what in enumerate(scene.did) if f"{key}:NoExecute" in what][-1:]
    ours = [at for own, at in recorded if own]
    assert ours == ([] if admins else [set_at])


def test_an_apiserver_that_does_not_know_that_taint_is_spared_it(scene: Offline) -> None:
    scene.api.version = "v1.25.16"
    scene.api.pods = [pod("db-0", controller=("apps/v1", "StatefulSet"))]
    assert scene.remove(host_is_off=True).ok
    assert not [what for what in scene.did if "out-of-service" in what]
    assert "delete nodes n1" in scene.did


def _left(scene: Offline) -> str:
    outcome = scene.remove()
    assert outcome.value
    return "\n".join(outcome.value.left)


def _answers(scene: Offline) -> None:
    scene.answers = None


def _refuses_us(scene: Offline) -> None:
    scene.answers = AuthenticationError("n1", "no key fits")


def _reported(scene: Offline, status: str, ago: float) -> None:
    at = datetime.fromtimestamp(time.time() - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": status, "lastHeartbeatTime": at}
    scene.api.nodes["n1"]["status"]["conditions"] = [ready]


def _reports(scene: Offline) -> None:
    _reported(scene, "True", 0)


def _reports_that_it_is_not_ready(scene: Offline) -> None:
    _reported(scene, "False", 5)


def _reports_again(scene: Offline) -> None:
    """Its Lease is newer than what Kubernetes has made of its silence."""
    _reported(scene, "Unknown", 3)


SIGNS = (_answers, _refuses_us, _reports, _reports_that_it_is_not_ready, _reports_again)
FAILURES: tuple[type[HostError], ...] = (
    AnsweredError,
    ChangedHostKeyError,
    RevokedHostKeyError,
    HostCertificateError,
    SudoRefusedError,
    HostMisbehavedError,
    ConnectionLostError,  # it let us in before
    CommandTimeoutError,
)


@pytest.mark.parametrize("sign", SIGNS)
def test_one_that_shows_signs_of_life_is_left_as_it_is(
    scene: Offline, sign: Callable[[Offline], None]
) -> None:
    sign(scene)
    assert isinstance(scene.remove(host_is_off=True).error, NotOfflineError)
    assert scene.did == []


@pytest.mark.parametrize("kind", FAILURES)
def test_whatever_answers_at_its_address_is_a_sign_of_life(
    scene: Offline, kind: type[HostError]
) -> None:
    for pods in ([], [pod("db-0", controller=("apps/v1", "StatefulSet"))]):
        scene.api.pods = pods
        scene.answers = kind("n1", "connection refused")
        error = scene.remove(host_is_off=True).error
        assert isinstance(error, NotOfflineError)
        assert error.message.endswith("something answers at its address: connection refused")
    scene.answers = UnknownHostKeyError("n1", "unknown key")
    assert isinstance(scene.remove(host_is_off=True).error, NotOfflineError)
    assert scene.did == []


def not_asked(error: HostError) -> HostError:
    error.not_asked = True
    return error


@pytest.mark.parametrize("kind", [UnreachableError, AnsweredError])
def test_a_gateway_that_is_down_is_no_sign_of_its_host_and_is_said(
    scene: Offline, kind: type[HostError], capsys: pytest.CaptureFixture[str]
) -> None:
    scene.answers = not_asked(kind("n1", "the gateway x: connection refused"))
    found = offline_removal.plan(scene.run(), host_is_off=True)
    offline_view._print(found, host_is_off=True)
    said = "n1: its host was not asked: the gateway x: connection refused\n"
    assert said in capsys.readouterr().out
    assert scene.remove(host_is_off=True).ok


@pytest.mark.parametrize(
    "error",
    [not_asked(AuthenticationError("n1", "the gateway rejects")), HostError("n1", "known_hosts")],
)
def test_what_keeps_us_from_asking_is_to_be_mended_first(scene: Offline, error: HostError) -> None:
    scene.answers = error
    assert scene.remove(host_is_off=True).error is error
    assert scene.did == []


def _named(scene: Offline, **info: str) -> None:
    scene.api.nodes["n1"]["status"]["nodeInfo"] = info


def test_another_machine_at_its_address_is_no_sign_of_its_own(
    scene: Offline, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its hardware was replaced: what is off is the operator's word, as with any that is silent."""
    _named(scene, machineID="m0", bootID="b0")
    scene.answers = None
    scene.api.pods = [pod("db-0", controller=("apps/v1", "StatefulSet"))]
    found = offline_removal.plan(scene.run(), host_is_off=False)
    offline_view._print(found, host_is_off=False)
    assert (
        "n1: another machine is at its address: the Node has the machine-id m0, the host m1\n"
    ) in capsys.readouterr().out
    assert isinstance(scene.remove().error, NotProvenOffError)
    assert "n1" in scene.api.nodes
    assert scene.remove(host_is_off=True).ok


@pytest.mark.parametrize(
    "info",
    [
        {"machineID": "m1", "bootID": "b1"},
        {"machineID": "m1", "bootID": "b0"},  # it has rebooted
        {"machineID": "", "bootID": "b0"},
        {"machineID": "m1", "bootID": "b0", "systemUUID": "u0"},  # its board was replaced
        {},
    ],
)
def test_a_host_that_may_be_its_own_is_a_sign_of_life(scene: Offline, info: dict[str, str]) -> None:
    _named(scene, **info)
    scene.says = b"ids\tm1\tb1\tu1\n"
    _reported(scene, "True", 300)  # nobody has given it up: what it said of its boot is old
    scene.answers = None
    assert isinstance(scene.remove(host_is_off=True).error, NotOfflineError)
    assert scene.did == []


def test_volumes_that_no_other_node_can_have_are_named(
    scene: Offline, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, live in scene.api.nodes.items():
        live["metadata"]["labels"] = {"kubernetes.io/hostname": name}
    scene.api.volumes = [local_volume("n1"), local_volume("n2")]
    found = offline_removal.plan(scene.run(), host_is_off=False)
    offline_view._print(found, host_is_off=False)
    assert "leaves their data: pv-n1 (claim shop/data)\n" in capsys.readouterr().out


@pytest.mark.parametrize(("status", "ago"), [("Unknown", 60), ("False", 300), ("True", 300)])
def test_old_words_of_a_kubelet_are_no_sign_of_life(
    scene: Offline, status: str, ago: float
) -> None:
    _reported(scene, status, ago)
    assert scene.remove(host_is_off=True).ok


def test_what_its_keys_are_still_good_for_is_reported_with_its_end(scene: Offline) -> None:
    left = _left(scene)
    assert "its kubelet's certificate is good until 20" in left
    assert "inv rotate-certs --ca" in left
    assert "reads Services, its own Node and pods bound to it, which are none" in left


def test_below_1_32_it_reads_everything(scene: Offline) -> None:
    scene.api.version = "v1.31.9"
    scene.requests = []
    left = _left(scene)
    assert "reads all pods and nodes" in left
    assert "until a date that the cluster does not know" in left


def test_the_end_of_its_certificate_is_known_to_the_next_run(scene: Offline) -> None:
    """It stands with the taint: the request that tells it goes with the rest."""
    scene.api.pods = [pod("a")]
    assert isinstance(scene.remove().error, NotProvenOffError)
    scene.requests = []
    outcome = scene.remove(host_is_off=True)
    assert outcome.value
    assert "its kubelet's certificate is good until 20" in outcome.value.left[0]


def test_a_plan_changes_nothing(scene: Offline) -> None:
    scene.api.pods = [pod("a")]
    found = offline_removal.plan(scene.run(), host_is_off=False)["n1"].value
    assert found
    assert (found.registered, found.requests, found.tokens) == (True, 1, 1)
    assert found.pods == ("shop/a",)
    assert not found.empty
    assert scene.did == []


def test_an_account_that_may_not_touch_leases_leaves_them_to_kubernetes(
    scene: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete(path: str, **_: str) -> None:
        if path == LEASE:
            raise ApiError(403, "Forbidden", "no")
        scene._api_delete(path)

    monkeypatch.setattr(scene.api, "delete", delete)
    assert scene.remove().ok
    assert "n1" not in scene.api.nodes


def test_the_rights_of_its_kube_proxy_are_taken_back_when_it_is_locked_out(
    scene: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bindings = with_binding(scene, monkeypatch, "n1", "n2")
    scene.api.pods = [pod("a")]
    planned = offline_removal.plan(scene.run(), host_is_off=False)["n1"].value
    assert planned
    assert planned.proxy
    assert bindings.bound == ["n1", "n2"]
    error = scene.remove().error
    assert isinstance(error, NotProvenOffError)
    assert "its kube-proxy's certificate has no rights any more" in str(error.detail)
    assert bindings.bound == ["n2"]
    assert list(proxy_binding.removed(bindings.live)) == ["n1"]


@pytest.mark.parametrize(
    ("bound", "refused", "text"),
    [
        ([], set(), "where it is in the one name of all kube-proxies"),
        (["n1"], {"get"}, "where it is in the one name of all kube-proxies"),
        (["n1"], {"patch"}, "this account has no right to revoke its rights"),
        (["n1"], set(), "has no rights any more"),
    ],
)
def test_what_is_left_to_its_kube_proxy_is_reported(
    scene: Offline,
    monkeypatch: pytest.MonkeyPatch,
    bound: list[str],
    refused: set[str],
    text: str,
) -> None:
    with_binding(scene, monkeypatch, *bound).refused = refused
    assert text in _left(scene)


POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


def test_its_renewals_are_refused_from_then_on(
    scene: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_binding(scene, monkeypatch, "n1", "n2")
    order: list[str] = []
    for verb in ("create", "delete"):
        real = getattr(scene.api, verb)

        def asked(path: str, *what: Any, real: Any = real, **how: Any) -> Any:
            order.append(path)
            return real(path, *what, **how)

        monkeypatch.setattr(scene.api, verb, asked)
    left = _left(scene)
    assert "and is not renewed: the apiserver refuses it another one, and a Node object" in left
    assert "only another CA ends it before: inv rotate-certs --ca" in left
    made = [i for i, path in enumerate(order) if "validatingadmission" in path]
    withdrawn = order.index("/apis/certificates.k8s.io/v1/certificatesigningrequests/csr-n1")
    assert len(made) == 2
    assert max(made) < withdrawn, "or another request would come"


def _older(scene: Offline) -> None:
    scene.api.version = "v1.29.15"


def _without_right(scene: Offline) -> None:
    scene.api.refused = {POLICIES, f"{POLICIES[:-3]}ybindings"}


@pytest.mark.parametrize("cluster", [_older, _without_right])
def test_where_there_is_no_such_policy_that_is_reported(
    scene: Offline, monkeypatch: pytest.MonkeyPatch, cluster: Callable[[Offline], None]
) -> None:
    with_binding(scene, monkeypatch, "n1")
    cluster(scene)
    assert "and renews itself while it is" in _left(scene)
    assert scene.api.made == {}


def test_a_node_whose_removal_is_not_recorded_is_not_refused(
    scene: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kube-proxy goes by the one name of all."""
    with_binding(scene, monkeypatch, "n2")
    assert "and renews itself while it is" in _left(scene)
