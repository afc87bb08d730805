"""Three apiservers without a load balancer: nodes join, change and run on while one is dead."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from fabnode.node import layout as on_host
from fabnode.node.conventions import BALANCER_SERVICE
from lab import processes

from .harness import NODES, eventually
from .workload import NAMESPACE, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Lab

pytestmark = pytest.mark.sites

FIRST, SECOND = "kube-apiserver", "kube-apiserver-2"  # the third is the controllers'
COUNT = 3
UP = ("up", "--nodes", str(len(NODES)), "--control-planes", str(COUNT))
NOTICED = 30.0  # seconds until a balancer leaves an apiserver that hangs; by its settings 16
LONGER_THAN_GRACE = 50.0  # seconds; a node whose kubelet does not report for 40 s is not Ready


def kill(lab: Lab, name: str) -> None:
    """End an apiserver as by pulling its plug; its sockets are closed by the kernel."""
    pid = processes.find(lab.layout.record(name))
    assert pid
    processes.send(pid, signal.SIGKILL)


@contextmanager
def without(lab: Lab, *names: str) -> Iterator[None]:
    """Be without these apiservers, and with all of them again after that."""
    for name in names:
        kill(lab, name)
    try:
        yield
    finally:
        lab.lab(*UP)


def ask(lab: Lab, *words: str) -> str:
    """Run kubectl by way of the third apiserver."""
    return lab.kubectl(f"--server={lab.layout.apiservers(COUNT)[-1]}", *words)


def ready(lab: Lab) -> dict[str, tuple[str, str]]:
    """Return status and last change of each node's Ready."""
    items = json.loads(ask(lab, "get", "nodes", "-o", "json"))["items"]
    found = {}
    for node in items:
        (it,) = (c for c in node["status"]["conditions"] if c["type"] == "Ready")
        found[node["metadata"]["name"]] = (it["status"], it["lastTransitionTime"])
    return found


def balancers(lab: Lab) -> dict[str, str]:
    return {n: lab.on(n, f"systemctl is-active {BALANCER_SERVICE} || :").strip() for n in NODES}


class Requests:
    """Requests of a host to a Service, twice a second. `failed`: those without an answer."""

    def __init__(self, lab: Lab, host: str, url: str) -> None:
        self.sent, self.failed = 0, 0
        self._lab, self._host, self._url = lab, host, url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def _send(self) -> None:
        while not self._over.wait(0.5):
            self.sent += 1
            answer = self._lab.on(self._host, f"curl -s -m 10 {self._url}", code=None)
            self.failed += answer.strip() not in NODES

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)


@pytest.fixture(scope="module")
def bare(several_lab: Lab) -> Lab:
    if several_lab.objects("nodes"):
        several_lab.lab("fresh")
        several_lab.become_deployer()  # its account went with the cluster's store
    return several_lab


@pytest.fixture(scope="module")
def joined(bare: Lab) -> Lab:
    """Three nodes that joined while the apiserver of the deployer's kubeconfig was dead."""
    with without(bare, FIRST):
        done = bare.deploy()
        assert done.results == dict.fromkeys(NODES, "changed")
        assert "going on with" in done.err
        found = bare.plan("--exit-code")
        assert found["empty"]
        texts = [f["text"] for node in found["nodes"] for f in node["findings"]]
        assert len([t for t in texts if t.startswith("it can't use one of the apiservers")]) == 3
        assert {status for status, _ in ready(bare).values()} == {"True"}
    return bare


def test_nodes_join_while_one_apiserver_is_dead(joined: Lab) -> None:
    assert balancers(joined) == dict.fromkeys(NODES, "active")
    for node in NODES:
        text = joined.on(node, f"cat {on_host.KUBELET_KUBECONFIG}")
        assert "https://127.0.0.1:6444" in text
        assert "tls-server-name: kubernetes.default.svc" in text
        pid = f"$(systemctl show -p MainPID --value {BALANCER_SERVICE})"
        assert joined.on(node, f"ps -o user= -p {pid}").strip() != "root"
    joined.inv("verify")
    joined.inv("audit")
    assert joined.plan("--exit-code")["empty"]


def test_a_kubelet_that_starts_again_verifies_by_name(joined: Lab) -> None:
    """What the kubelet itself writes when it joins has no such name, and would refuse all."""
    since = time.time()
    joined.on("n1", "systemctl restart kubelet")

    def beat() -> bool:
        lease = ask(joined, "-n", "kube-node-lease", "get", "lease", "n1", "-o", "json")
        renewed = json.loads(lease)["spec"]["renewTime"]
        return time.mktime(time.strptime(renewed[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone > since

    eventually(beat, 60)


def test_a_renewal_leaves_the_name_in_the_kubelets_kubeconfig(joined: Lab) -> None:
    """A renewal is a join: the kubelet writes that file again."""
    before = ready(joined)
    joined.inv("rotate-certs", "--issued-before", "now", "--limit", "n2")
    text = joined.on("n2", f"cat {on_host.KUBELET_KUBECONFIG}")
    assert "tls-server-name: kubernetes.default.svc" in text
    assert joined.plan("--exit-code")["empty"]
    assert ready(joined) == before


def test_another_apiserver_dies_during_a_deployment(joined: Lab) -> None:
    changed = joined.config(kubelet={"max_pods": 77})
    running = joined.begin("deploy-nodes", "--json", config=changed)
    try:
        assert running.begun("n1", "kubelet")
        kill(joined, FIRST)
        done = running.wait().expect(0)
    finally:
        joined.lab(*UP)
    assert done.results == dict.fromkeys(NODES, "changed")
    assert joined.plan("--exit-code", config=changed)["empty"]
    joined.deploy()


def test_pods_requests_and_logs_go_on_while_one_is_dead(joined: Lab) -> None:
    pods = Workload(joined)
    pods.start()
    url = pods.service()
    eventually(lambda: joined.on("n1", f"curl -s -m 5 {url}", code=None).strip() in NODES or None)
    containers, before = pods.containers(), ready(joined)
    starts = joined.starts()
    with Requests(joined, "n1", url) as requests, without(joined, FIRST, SECOND):
        end = time.monotonic() + LONGER_THAN_GRACE
        while time.monotonic() < end:
            assert ready(joined) == before
            for node in NODES:
                served = ask(joined, "-n", NAMESPACE, "logs", f"web-{node}")
                assert served.strip() == f"serving on {node}"
            time.sleep(2)
    assert ready(joined) == before
    assert pods.containers() == containers
    assert joined.restarted(starts) == set()
    assert requests.sent > 20
    assert requests.failed == 0, f"{requests.failed} of {requests.sent}"


def first_is(state: str, lab: Lab) -> bool:
    """Return whether all balancers have logged last that the first apiserver is UP, or DOWN."""
    last = f"grep -o 'apiservers/{lab.layout.gateway} is [A-Z]*' | tail -n 1"
    lines = [lab.on(node, f"journalctl -b -u {BALANCER_SERVICE} | {last}") for node in NODES]
    return all((line.strip() or "UP").endswith(state) for line in lines)


def test_an_apiserver_that_hangs_is_left(joined: Lab) -> None:
    """It still accepts connections: only who asks it notices."""
    before, starts = ready(joined), joined.starts()
    pid = processes.find(joined.layout.record(FIRST))
    assert pid
    # It was dead a moment ago: a balancer that has not taken it back has nothing to leave.
    eventually(lambda: first_is("UP", joined))
    processes.send(pid, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        eventually(lambda: first_is("DOWN", joined))
        assert time.monotonic() - stopped < NOTICED
        while time.monotonic() - stopped < LONGER_THAN_GRACE:
            assert ready(joined) == before
            time.sleep(2)
    finally:
        processes.send(pid, signal.SIGCONT)
    assert joined.restarted(starts) == set()


def test_another_list_is_one_plan_and_starts_nothing_but_balancers(joined: Lab) -> None:
    pods = Workload(joined)
    pods.start()
    starts, containers = joined.starts(), pods.containers()
    fewer = joined.config(cluster={"apiserver": joined.layout.apiservers(COUNT)[1:]})
    for node in joined.plan("--exit-code", code=3, config=fewer)["nodes"]:
        names = [change["name"] for change in node["changes"]]
        assert names == [on_host.BALANCER_CONFIG, BALANCER_SERVICE]
    joined.deploy(config=fewer)
    assert joined.plan("--exit-code", config=fewer)["empty"]
    assert joined.restarted(starts) == set()
    assert pods.containers() == containers
    joined.deploy()


def test_a_balancer_that_was_stopped_is_the_cause(joined: Lab) -> None:
    joined.disturb("n2", f"systemctl stop {BALANCER_SERVICE}")
    try:
        eventually(lambda: ready(joined)["n2"][0] != "True" or None, 120)
        found = joined.inv("doctor", "--json", "--limit", "n2", code=3)
        (node,) = found.document["nodes"]
        assert node["causes"][0]["key"] == "balancer-down"
        joined.inv("doctor", "--fix", "--limit", "n2")
    finally:
        joined.on("n2", f"systemctl start {BALANCER_SERVICE}")
    eventually(lambda: ready(joined)["n2"][0] == "True" or None, 120)


def test_a_first_configuration_suggests_the_list(joined: Lab) -> None:
    """The kubeconfig names one of three: whether a balancer stands before them, nobody can tell."""
    kubeconfig = f"--kubeconfig={joined.layout.kubeconfig}"
    text = joined.inv("config.init", kubeconfig, "--hosts=n1 192.0.2.1", "--dry-run").out
    listed = ", ".join(sorted(joined.layout.apiservers(COUNT)))
    assert f"  apiserver: {joined.layout.apiserver}\n" in text
    assert f"  # apiserver: [{listed}]\n" in text


def test_one_apiserver_again_and_no_balancer(joined: Lab) -> None:
    pods = Workload(joined)
    pods.start()
    containers = pods.containers()
    single = joined.config(cluster={"apiserver": joined.layout.apiserver})
    joined.deploy(config=single)
    assert joined.plan("--exit-code", config=single)["empty"]
    for node in NODES:
        left = joined.on(node, f"ls {on_host.BALANCER_CONFIG} {on_host.BALANCER_UNIT}", code=None)
        assert left == ""
        text = joined.on(node, f"cat {on_host.KUBELET_KUBECONFIG}")
        assert joined.layout.apiserver in text
        assert "tls-server-name" not in text
    assert pods.containers() == containers
    joined.deploy()
    assert balancers(joined) == dict.fromkeys(NODES, "active")
    assert pods.containers() == containers


def test_a_removed_node_has_no_balancer_left(joined: Lab) -> None:
    joined.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
    joined.inv("remove-node", "--limit", "n3", "--yes", config=joined.layout.configuration)
    left = joined.on("n3", f"ls {on_host.BALANCER_CONFIG} {on_host.BALANCER_UNIT}", code=None)
    assert left == ""
    assert joined.on("n3", f"systemctl is-active {BALANCER_SERVICE} || :").strip() != "active"
