"""Evidence of a node: what its host and the API report, also where one of them does not answer."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from fabnode.cni.protocol import Diagnosis
from fabnode.deploy import proxy_binding
from fabnode.deploy.diagnosis import Diagnoses, explained, explained_check, first_cause
from fabnode.kube.client import ApiAwayError, ApiError, KubeletError
from fabnode.pki.certificates import new_request
from fabnode.releases.version import Release
from fabnode.ssh.errors import (
    AnsweredError,
    AuthenticationError,
    ChangedHostKeyError,
    CommandTimeoutError,
    ConnectionLostError,
    HostMisbehavedError,
    SudoRefusedError,
    UnreachableError,
)
from fabnode.ssh.port_checks import HttpAnswer, TlsResult
from fabnode.steps.checks.check import Check
from fabnode.util.wait import WaitTimeoutError
from tests.doctor.support import FACTS, KUBELET, STOPPED, SYMPTOMS
from tests.support import make_config

from .bindings import Bindings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.doctor.evidence import Evidence
    from fabnode.util.errors import HostError

CONFIG = make_config()
NODE = CONFIG.nodes[0]
NOW = datetime.now(UTC)


def at(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


LIVE: dict[str, Any] = {
    "metadata": {"name": "n1"},
    "spec": {"taints": [{"key": "gpu", "effect": "NoSchedule", "value": "yes"}]},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "message": "ready\x1b[2J", "reason": "KubeletReady"}
        ],
        "addresses": [{"type": "InternalIP", "address": "192.0.2.11"}],
        "nodeInfo": {"machineID": "aa", "kubeletVersion": "v1.37.2"},
        "allocatable": {"pods": "110"},
    },
}
POD = {
    "metadata": {"namespace": "kube-system", "name": "calico-node-x", "uid": "u"},
    "status": {"phase": "Running"},
}


def request(name: str, *, username: str, kind: str, age: float) -> dict[str, Any]:
    made = new_request("system:node:n1", {"organization": "system:nodes"})
    signer = {"client": "kube-apiserver-client-kubelet", "serving": "kubelet-serving"}[kind]
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "resourceVersion": "1",
            "creationTimestamp": at(age),
        },
        "spec": {
            "request": base64.b64encode(made.request_pem).decode(),
            "signerName": f"kubernetes.io/{signer}",
            "username": username,
        },
    }


class Api:
    """An apiserver of which parts may be forbidden, or away."""

    clock_offset = 0.0

    def __init__(self, *, forbidden: bool = False, away: bool = False, kubelet: Any = "ok") -> None:
        self.forbidden, self.away, self.kubelet = forbidden, away, kubelet
        self.names = Bindings("n1")

    def get(self, path: str, **_: str) -> dict[str, Any]:
        if self.forbidden:
            raise ApiError(403, "Forbidden", "no right")
        if path.endswith("/pods"):
            return {"items": [POD, {**POD, "status": {"phase": "Succeeded"}}]}
        return {
            "items": [
                request("csr-a", username="system:bootstrap:abc", kind="client", age=30),
                request("csr-b", username="system:node:n1", kind="serving", age=10),
                request("csr-c", username="system:node:n2", kind="serving", age=10),
            ]
        }

    def find(self, path: str) -> dict[str, Any] | None:
        if path == proxy_binding.PATH:
            if self.forbidden:
                raise ApiError(403, "Forbidden", "no right")
            return self.names.find(path)
        return {"spec": {"renewTime": at(20)}}

    def text(self, _: str, **__: str) -> str:
        if isinstance(self.kubelet, Exception):
            raise self.kubelet
        return str(self.kubelet)


def session(api: Api, live: dict[str, Any] | None = LIVE, server: str = "1.37.2") -> Any:
    def current() -> dict[str, Any]:
        if api.away:
            raise ApiAwayError("it did not answer")
        return {"n1": live} if live else {}

    network = SimpleNamespace(
        name="Calico",
        conf_name="10-calico.conflist",
        own_plugins=("calico",),
        own_pod=lambda pods: next(iter(pods), None),
        missing=lambda _: "calico-node is not ready on n1",
        diagnosis=lambda *_: Diagnosis("calico-node on n1: ImagePullBackOff", "kubectl logs"),
    )
    return SimpleNamespace(
        config=CONFIG,
        api=api,
        network=network,
        nodes=SimpleNamespace(current=current),
        snapshot=SimpleNamespace(version=Release.parse(server)),
    )


def planner(look: Any = SYMPTOMS, facts: Any = FACTS) -> Any:
    def looked(_: object) -> Any:
        if isinstance(look, Exception):
            raise look
        return look

    host = SimpleNamespace(http_get=lambda *_, **__: HttpAnswer(200, b"ok"))
    return SimpleNamespace(
        node=NODE,
        host=host,
        facts=facts,
        symptoms=looked,
        api_seen_from_host=lambda: TlsResult(True, True),
        overrides=lambda: (),
        of_others=lambda: ((), ()),
        lost_programs=lambda: (),
        drift=lambda: (),
    )


def seen(api: Api | None = None, **how: Any) -> Evidence:
    return Diagnoses(session(api or Api(), **how)).evidence(planner())


def test_a_node_is_seen_from_both_sides() -> None:
    found = seen()
    node = found.node
    assert (node.known, node.registered, node.ready) == (True, True, "True")
    assert node.conditions["Ready"].message.isprintable()
    assert 15 < node.heartbeat_age < 60 + (datetime.now(UTC) - NOW).total_seconds()
    assert [(r.name, r.kind, r.state) for r in node.requests] == [
        ("csr-a", "client", "Pending"),
        ("csr-b", "serving", "Pending"),
    ]
    assert (node.pods, node.most_pods) == (1, 110)
    assert [taint for taint, _ in node.taints] == ["gpu:NoSchedule"]
    assert node.network == "calico-node on n1: ImagePullBackOff"
    assert node.network_pod == ("kube-system/calico-node-x", "u")
    assert node.reaches_kubelet is True
    assert found.host.access == ""
    assert found.host.api_reached is True


def test_a_node_that_is_not_there() -> None:
    node = seen(live=None).node
    assert not node.registered
    assert node.heartbeat_age == float("inf")
    assert [r.name for r in node.requests] == ["csr-a", "csr-b"]


def test_that_a_node_which_is_not_there_was_removed_is_known() -> None:
    api = Api()
    assert seen(api, live=None).node.removed == ""
    proxy_binding.unbind(cast("Any", api.names), "n1")
    assert seen(api, live=None).node.removed == f"{datetime.now(UTC):%Y-%m-%d}"
    assert seen(api).node.removed == "", "a node that is there says itself what it is"
    forbidden = Api(forbidden=True)
    forbidden.names = api.names
    assert seen(forbidden, live=None).node.removed == "", "nobody can say"


def test_without_the_api_the_host_is_seen_all_the_same() -> None:
    found = seen(Api(away=True))
    assert (found.node.known, found.node.fault) == (False, "it did not answer")
    assert found.host.facts.known


def test_a_node_that_is_locked_out_stays_so_where_the_api_answers_in_part() -> None:
    class InPart(Api):
        def get(self, path: str, **query: str) -> dict[str, Any]:
            if path.endswith("/pods"):
                raise ApiError(500, "InternalError", "etcd")
            return super().get(path, **query)

    taint = {"key": "fabnode.io/removed", "effect": "NoExecute"}
    node = seen(InPart(), live={**LIVE, "spec": {"taints": [taint]}}).node
    assert (node.known, node.locked_out) == (False, True)


def forbidden(_: object) -> None:
    raise ApiError(403, "Forbidden", "no right")


def test_what_an_account_may_not_read_is_left_out() -> None:
    node = seen(Api(forbidden=True)).node
    assert node.known
    assert node.unseen == ("signing requests", "pods")
    assert (node.requests, node.pods, node.network_pod) == ((), 0, ("", ""))


@pytest.mark.parametrize(
    ("missing", "unseen"),
    [
        (lambda _: None, ()),
        (lambda _: "calico-node is not ready on n1", ()),
        (forbidden, ("Calico's DaemonSet",)),
    ],
)
def test_a_network_that_is_whole_is_not_one_that_nobody_could_see(
    missing: Callable[[object], str | None], unseen: tuple[str, ...]
) -> None:
    found = session(Api())
    found.network.missing = missing
    assert Diagnoses(found).evidence(planner()).node.unseen == unseen


@pytest.mark.parametrize(
    ("answer", "reaches"),
    [
        ("ok", True),
        (KubeletError(503, "n1", "dial tcp: i/o timeout"), False),
        (ApiError(403, "Forbidden", "no right to nodes/proxy"), None),
    ],
)
def test_whether_the_apiserver_gets_to_the_kubelet(answer: Any, reaches: bool | None) -> None:
    assert seen(Api(kubelet=answer)).node.reaches_kubelet is reaches


@pytest.mark.parametrize(
    ("server", "shown"), [("1.37.2", ""), ("1.36.3", "newer than"), ("1.41.0", "minors behind")]
)
def test_releases_that_do_not_go_together(server: str, shown: str) -> None:
    skew = seen(server=server).node.skew
    assert shown in skew
    assert bool(shown) == bool(skew)


def at_gateway(error: HostError) -> HostError:
    """Return an error of what is on the way to a host, which was not asked."""
    error.not_asked = True
    return error


@pytest.mark.parametrize(
    ("error", "access"),
    [
        (UnreachableError("n1", "timed out"), "unreachable"),
        (AnsweredError("n1", "connection refused"), "answers"),
        (at_gateway(AnsweredError("gw", "connection refused")), "unreachable"),
        (ConnectionLostError("n1", "the connection broke"), "unreachable"),
        (ChangedHostKeyError("n1", "it changed"), "host-key"),
        (AuthenticationError("n1", "no key"), "login"),
        (SudoRefusedError("n1", "not in sudoers"), "sudo"),
        (CommandTimeoutError("n1", "it took too long"), "hangs"),
        (HostMisbehavedError("n1", "its answer is malformed"), "misbehaves"),
    ],
)
def test_why_a_host_can_not_be_looked_at(error: Any, access: str) -> None:
    found = Diagnoses(session(Api())).evidence(planner(look=error))
    assert found.host.access == access
    assert found.host.fault == error.message
    assert found.node.registered


def test_a_time_out_tells_why_and_what_mends_it() -> None:
    ill = planner(facts=replace(FACTS, units={KUBELET: STOPPED}))
    bare = WaitTimeoutError("Ready", 180, "its kubelet has not registered", "fab -H n1 logs")
    found = explained(bare, session(Api()), ill)
    assert found.message.startswith("waited 180 s for Ready: its kubelet has not registered; ")
    assert "the cause: there is no containerd.service" in found.message
    assert found.advice == "inv deploy-nodes --limit n1"


def test_a_check_that_failed_tells_why_and_what_mends_it() -> None:
    ill = planner(facts=replace(FACTS, units={**FACTS.units, KUBELET: STOPPED}))
    bare = Check("n1", "Ready", False, "last heartbeat 90 s ago", "fab -H n1 logs")
    found = explained_check(bare, session(Api()), ill)
    assert found.detail == "last heartbeat 90 s ago; the cause: kubelet.service is inactive (dead)"
    assert found.advice == "fab -H n1 restart --unit kubelet"


def test_a_diagnosis_that_fails_hides_no_failure() -> None:
    bare = WaitTimeoutError("Ready", 180, "PLEG is not healthy", "fab -H n1 logs")
    warned: list[str] = []
    fails = SimpleNamespace(node=NODE, journal=SimpleNamespace(warn=warned.append))
    assert explained(bare, session(Api()), fails) is bare  # type: ignore[arg-type]
    assert len(warned) == 1
    assert warned[0].startswith("n1: the cause was not found out: AttributeError")


def test_a_time_out_that_nothing_explains_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = WaitTimeoutError("Ready", 180, "PLEG is not healthy", "fab -H n1 logs")
    monkeypatch.setattr("fabnode.doctor.judge.causes", lambda _: ())
    assert explained(bare, session(Api()), planner()) is bare
    assert first_cause(session(Api()), planner()) is None
