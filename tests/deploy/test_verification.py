"""Each check of verify fails where it should, with what was seen and one next step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.cni.protocol import Diagnosis
from fabnode.deploy import cni_rollout, network_probe, verification
from fabnode.deploy.verification import verify_cluster, verify_node
from fabnode.journal.journal import Journal
from fabnode.kube.client import ApiError
from fabnode.node.facts import Facts, UnitFact
from fabnode.ssh.port_checks import HttpAnswer, TlsResult
from fabnode.steps.checks import health_endpoints, node_services, probe_answers, service_addresses
from fabnode.steps.checks.node_services import BALANCER
from fabnode.steps.finding import Finding
from fabnode.util.errors import ClusterError
from tests.produced import PRODUCED
from tests.support import make_config
from tests.test_messages import rows

if TYPE_CHECKING:
    from fabnode.steps.checks.check import Check

CONFIG = make_config()
NODE = CONFIG.nodes[0]
ILL = {
    "metadata": {"name": NODE.name},
    "spec": {"unschedulable": True},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "False", "message": "PLEG is not healthy"},
            {"type": "MemoryPressure", "status": "True"},
        ],
        "nodeInfo": {"kubeletVersion": "v1.2.3", "containerRuntimeVersion": "docker://1"},
    },
}
DOWN = {
    "metadata": {"name": "v1beta1.metrics.k8s.io"},
    "status": {
        "conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}]
    },
}
PENDING = {
    "items": [],
    "status": {
        "phase": "Pending",
        "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}],
    },
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give daemons that are unwell no time to become well."""
    monkeypatch.setattr(verification, "_LISTENS", 0.0)


class Api:
    """An apiserver of a cluster in which nothing is well."""

    clock_offset = 0.0

    def find(self, path: str) -> None:
        if "fabnode-verify" in path:
            raise ApiError(403, "Forbidden", "no right to read it")

    def get(self, path: str, **_: str) -> dict[str, Any]:
        if path.endswith("/services"):
            return {"items": [{"metadata": {"name": "dns"}, "spec": {"clusterIP": "10.9.9.9"}}]}
        return {"items": [DOWN]} if "apiregistration" in path else PENDING

    def create(self, _: str, review: dict[str, Any]) -> dict[str, Any]:
        return {**review, "status": {"allowed": False}}


def session(**network: Any) -> Any:
    wrong = {
        "name": "Calico",
        "settled": lambda _: "calico-node is not ready",
        "diagnosis": lambda *_: Diagnosis("calico-node crashes", "kubectl logs"),
        "elsewhere": lambda _: "calico-kube-controllers is on n9",
        "drift": lambda: Diagnosis("vxlanMode is Always", "edit the pool"),
    }
    return SimpleNamespace(
        config=CONFIG,
        api=Api(),
        nodes=SimpleNamespace(awaits_network=lambda _: False),
        network=SimpleNamespace(**{**wrong, **network}),
    )


def of_a_node(live: dict[str, Any] | None = ILL) -> list[Check]:
    host: Any = SimpleNamespace(
        node=NODE, http_get=lambda *_, **__: HttpAnswer(500, b"the last sync was long ago")
    )
    units = {
        name: UnitFact("loaded", "failed", "failed", "enabled")
        for name in node_services.units(NODE, CONFIG.cluster)
    }
    return verify_node(host, Facts(known=True, units=units), session(), live)


def still_running() -> list[Check]:
    node = make_config(kube_proxy="none").nodes[0]
    running = UnitFact("loaded", "active", "running", "enabled")
    return list(node_services.proxy_checks(node, Facts(units={"kube-proxy.service": running})))


def of_the_cluster() -> list[Check]:
    live = {NODE.name: ILL, "n9": {**ILL, "metadata": {"name": "n9"}}}
    return verify_cluster(session(), [NODE.name], live, network=True, progress=lambda _: None)


def of_pods() -> list[Check]:
    api: Any = Api()
    lost = "n1 ok n1\nn1:large failed\nn2 failed x\nservice failed x\n"
    return [
        *network_probe._not_running(api, ["n1"], ["n1"]),
        network_probe._address_check("n1", ["192.0.2.1"], ["172.20.0.0/16"]),
        *probe_answers.probe_results("n1", lost, ["n1", "n2"]),
        *service_addresses.service_range(["192.0.2.1"], ["10.68.0.0/16"]),
        probe_answers.apiserver_check({"n1": "dial tcp: no route to host", "n2": ""}),
        *node_services.override_checks("n1", [Finding("error", "a drop-in overrides it", "rm it")]),
    ]


UNREACHED = TlsResult(reachable=False, trusted=None, reason="connection refused")


def by_balancer(seen: TlsResult = UNREACHED, asked: list[object] | None = None) -> list[Check]:
    """Return the checks of a node with several apiservers, which is answered this."""
    urls = ["https://192.0.2.1:6443", "https://192.0.2.2:6443"]
    config = make_config(cluster={"apiserver": urls})

    def tls_to(address: str, port: int, ca_pem: bytes, name: str) -> TlsResult:
        assert ca_pem == config.ca_pem
        if asked is not None:
            asked.append((address, port, name))
        return seen

    host: Any = SimpleNamespace(
        node=config.nodes[0], tls_to=tls_to, http_get=lambda *_, **__: HttpAnswer(200, b"ok")
    )
    context: Any = SimpleNamespace(**{**vars(session()), "config": config})
    return verify_node(host, Facts(known=True), context, None)


def test_each_check_fails_at_least_once_and_says_what_to_do() -> None:
    """But the list of what is the site's own, which can't; a run alone makes `reachable`."""
    seen = (*of_a_node(), *still_running(), *by_balancer(), *of_the_cluster(), *of_pods())
    failed = [check for check in seen if not check.ok]
    assert all(check.detail and check.advice for check in failed)
    names = {"a unit" if ".service" in check.name else check.name for check in failed}
    named = {name.replace("Calico", "the pod network") for name in names}
    listed = {name for row in rows("What verify checks") for name in row[0].split(", ")}
    by_a_run = {name for by in PRODUCED.values() for name in by if name in listed}
    examples = {"such as kubelet.service", "such as Calico"}
    assert {name.replace("pod on n2", "pod on …") for name in named} | by_a_run == (
        listed - examples - {"site's own"}
    )


def test_a_node_without_a_node_object_is_not_ready() -> None:
    (ready,) = [check for check in of_a_node(None) if check.name == "Ready"]
    assert not ready.ok
    assert ready.advice.endswith(f"deploy-nodes --limit {NODE.name}")


def without_proxy(**units: UnitFact) -> list[Check]:
    node = make_config(kube_proxy="none").nodes[0]

    def http_get(port: int, *_: object, **__: object) -> HttpAnswer:
        assert port == 10248, "nobody asks a kube-proxy"
        return HttpAnswer(200, b"ok")

    host: Any = SimpleNamespace(node=node, http_get=http_get)
    running = UnitFact("loaded", "active", "running", "enabled")
    known = {"kubelet.service": running, "containerd.service": running}
    return verify_node(host, Facts(known=True, units={**known, **units}), session(), None)


def test_of_a_node_without_kube_proxy_is_reported_what_is_not_checked() -> None:
    checks = {check.name: check for check in without_proxy()}
    assert checks["kube-proxy"].ok
    assert "its health, mode and certificate are not checked" in checks["kube-proxy"].detail
    assert [name for name in checks if name.startswith("kube-proxy")] == ["kube-proxy"]


def test_a_kube_proxy_that_still_runs_is_named() -> None:
    running = UnitFact("loaded", "active", "running", "enabled")
    (check,) = [
        c for c in without_proxy(**{"kube-proxy.service": running}) if c.name == "kube-proxy"
    ]
    assert check.failed
    assert check.advice.endswith("deploy-nodes --limit n1")


@pytest.mark.parametrize(
    ("settings", "advice"), [("none", "in the place of kube-proxy"), ({}, "logs --unit kube-proxy")]
)
def test_a_service_that_does_not_answer_is_not_blamed_on_a_kube_proxy_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, settings: Any, advice: str
) -> None:
    found = probe_answers.probe_results("n1", "n1 ok n1\n", ["n1"])
    monkeypatch.setattr(verification, "try_network", lambda *_, **__: list(found))
    context = SimpleNamespace(**{**vars(session()), "config": make_config(kube_proxy=settings)})
    checks = verify_cluster(context, ["n1"], {}, network=True, progress=lambda _: None)  # type: ignore[arg-type]
    (check,) = [check for check in checks if check.name == "Service VIP"]
    assert not check.ok
    assert advice in check.advice


def test_a_pod_that_may_not_be_renewed_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def delete(_: str) -> None:
        raise ApiError(403, "Forbidden", "no right to delete pods")

    cni = SimpleNamespace(name="Calico", outdated=lambda *_: ("/api/v1/…/pods/calico-node-x",))
    monkeypatch.setattr(cni_rollout, "network", lambda _: cni)
    cluster: Any = SimpleNamespace(delete=delete)
    network = cni_rollout.PodNetwork(CONFIG, cluster, Journal())
    with pytest.raises(ClusterError, match="calico-node-x is older than its node's") as caught:
        network.renew_pods([ILL], lambda: None)
    assert caught.value.advice == "kubectl -n kube-system delete pod calico-node-x"


@pytest.mark.parametrize(
    ("states", "stuck", "expected"),
    [
        ([None], False, None),
        (["not ready on n1", "not ready on n1", None], False, None),
        (["not ready on n1"] * 100, False, "not ready on n1"),
        (["not ready on n1", None], True, "not ready on n1"),
    ],
)
def test_a_pod_network_just_after_a_restart_gets_a_moment_unless_it_fails_to_start(
    monkeypatch: pytest.MonkeyPatch, states: list[str | None], stuck: bool, expected: str | None
) -> None:
    monkeypatch.setattr(cni_rollout, "_SETTLING", 0.1)
    monkeypatch.setattr(cni_rollout, "_SETTLING_POLL", 0.01)
    cni = SimpleNamespace(
        name="Calico", not_ready=lambda *_: states.pop(0), is_stuck=lambda *_: stuck
    )
    monkeypatch.setattr(cni_rollout, "network", lambda _: cni)
    cluster: Any = object()
    assert cni_rollout.PodNetwork(CONFIG, cluster, Journal()).settled(["n1"]) == expected


def test_a_daemon_that_has_just_started_is_asked_again_until_it_is_well() -> None:
    answers = iter([HttpAnswer(0, b""), HttpAnswer(503, b"not synced"), HttpAnswer(200, b"ok")])
    host: Any = SimpleNamespace(node=NODE, http_get=lambda *_, **__: next(answers))
    at = health_endpoints.endpoints(NODE)[health_endpoints.KUBELET_HEALTH]
    assert verification._answer(host, at, "/healthz", 5.0).status == 200


@pytest.mark.parametrize(
    ("seen", "good", "detail"),
    [
        (TlsResult(reachable=True, trusted=True), True, "ok"),
        (UNREACHED, False, "connection refused"),
        (TlsResult(reachable=True, trusted=False, reason="not its name"), False, "not its name"),
        (TlsResult(None, None, "not checked"), True, "not checked"),
    ],
)
def test_the_way_of_a_node_with_several_apiservers_is_gone(
    seen: TlsResult, good: bool, detail: str
) -> None:
    """By its own balancer, and with the name that kubelet and kube-proxy verify."""
    asked: list[object] = []
    checks = {check.name: check for check in by_balancer(seen, asked)}
    assert (checks[BALANCER].ok, checks[BALANCER].detail) == (
        good,
        detail,
    )
    assert asked == [("127.0.0.1", 6444, "kubernetes.default.svc")]
    assert "apiserver-balancer.service" in checks
