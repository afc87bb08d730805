"""Nodes that kubeasz and kubespray made become fabnode's while their pods serve."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lab import processes

from .harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Lab

pytestmark = pytest.mark.sites

NODE = "n3"
PORT = 8099
OURS, KUBEADM = "/etc/kubernetes/kubelet.kubeconfig", "/etc/kubernetes/kubelet.conf"
QUARANTINE = "/var/lib/fabnode/quarantine"
PAIR = "/etc/kubernetes/ssl/kubelet.pem", "/etc/kubernetes/ssl/kubelet-key.pem"
MOVED = {"3.7": (OURS, *PAIR), "kubespray": (KUBEADM,)}
_MOST = 4000  # requests


class Load:
    """Requests to a pod on the node's own network, one after the other, until it is left."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.answered = 0
        self.lost: list[str] = []

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _ask(self) -> None:
        for _ in itertools.repeat(None, _MOST):
            if self._end.wait(0.05):
                return
            try:
                with urllib.request.urlopen(self._url, timeout=3) as answer:
                    assert answer.read().strip() == b"served"
                self.answered += 1
            except (OSError, AssertionError) as error:
                self.lost.append(f"{time.time():.1f} {error}")


@pytest.fixture
def made(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A node that another tool made, with a pod that serves; the shape that it has."""
    shape: str = request.param
    lab.lab("fresh", "--hosts", NODE)
    lab.lab("kubeasz", NODE, "--shape", shape)
    eventually(lambda: _serve(lab))
    lab.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/serves")
    yield shape
    lab.kubectl("delete", "pod", "serves", "--force", "--ignore-not-found")
    lab.lab("fresh", "--hosts", NODE)


def _serve(lab: Lab) -> bool:
    serve = (
        f"mkdir -p /tmp/w && echo served >/tmp/w/index.html && exec httpd -f -p {PORT} -h /tmp/w"
    )
    container = {
        "name": "main",
        "image": "docker.io/library/busybox:1.35.0",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", serve],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "serves", "namespace": "default"},
        "spec": {"nodeName": NODE, "hostNetwork": True, "containers": [container]},
    }
    lab.kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    return True


def url(lab: Lab) -> str:
    return f"http://{lab.layout.host(NODE).address}:{PORT}/"


def identity(lab: Lab) -> tuple[str, str, str, int]:
    """Return what another Node object or another container would have otherwise."""
    node = json.loads(lab.kubectl("get", "node", NODE, "-o", "json"))
    pod = json.loads(lab.kubectl("get", "pod", "serves", "-o", "json"))
    (status,) = pod["status"]["containerStatuses"]
    return (
        node["metadata"]["uid"],
        pod["metadata"]["uid"],
        status["containerID"],
        status["restartCount"],
    )


@contextmanager
def signer_away(lab: Lab) -> Iterator[None]:
    """Have nothing signed that is approved meanwhile."""
    pid = processes.find(lab.layout.record("kube-controller-manager"))
    assert pid
    processes.send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        processes.send(pid, signal.SIGCONT)


def planned(lab: Lab) -> dict[str, Any]:
    (node,) = lab.plan("--limit", NODE, "--exit-code", code=3)["nodes"]
    assert isinstance(node, dict)
    return node


@pytest.mark.parametrize("made", MOVED, indirect=True)
def test_a_node_of_another_tool_is_taken_over_without_a_lost_request(lab: Lab, made: str) -> None:
    secret = lab.on(NODE, "grep client-key-data /etc/kubernetes/kube-proxy.kubeconfig").split()[1]
    plan = planned(lab)
    moved = [change["name"] for change in plan["changes"] if change["action"] == "quarantine"]
    assert moved == list(MOVED[made])
    (joining,) = [change for change in plan["changes"] if change["action"] == "join"]
    assert joining["why"].startswith(f"node taken over: its kubelet uses {moved[0]}, certif")
    (finding,) = [found for found in plan["findings"] if "taken over" in found["text"]]
    assert finding["level"] == "warning"
    assert not [found for found in plan["findings"] if "restart once" in found["text"]]
    assert secret not in json.dumps(plan)
    before = identity(lab)
    with Load(url(lab)) as load:
        done = lab.deploy("--limit", NODE)
    assert load.lost == []
    assert load.answered > 100
    assert done.results == {NODE: "changed"}
    assert [check for check in done.document["checks"] if not check["ok"]] == []
    assert identity(lab) == before
    for path in moved:
        assert lab.on(NODE, f"stat -c %a {QUARANTINE}{path}").strip() == "600"
    assert "client-certificate-data" not in lab.on(NODE, f"cat {OURS}")
    assert lab.on(NODE, f"ls {KUBEADM} {' '.join(PAIR)}", code=None) == ""
    starts = lab.starts(NODE)
    assert lab.deploy("--limit", NODE).results == {NODE: "unchanged"}
    assert lab.restarted(starts) == set()
    lab.inv("verify", "--limit", NODE)


@pytest.mark.parametrize("made", MOVED, indirect=True)
def test_without_a_certificate_it_stays_what_it_was(lab: Lab, made: str) -> None:
    """The signer is away: the old credentials come back, and nobody is accused."""
    before = identity(lab)
    # For kube-proxy the deployer signs by itself, so that only the kubelet goes without.
    local = {"signing": "local", "ca_key": str(lab.layout.pki / "ca-key.pem")}
    away = lab.config(kube_proxy=local, timeouts={"join": 10})
    with Load(url(lab)) as load, signer_away(lab):
        failed = lab.deploy("--limit", NODE, code=1, config=away)
    assert load.lost == []
    assert "no certificate came" in failed.text
    assert "its kubelet runs with its old credentials again" in failed.text
    assert "not approved, or not signed" in failed.text
    assert "Node object is removed" not in failed.text
    eventually(lambda: NODE in lab.ready())
    assert identity(lab) == before
    assert lab.on(NODE, f"test -s {MOVED[made][0]} && echo there").strip() == "there"
    with Load(url(lab)) as load:
        assert lab.deploy("--limit", NODE).results == {NODE: "changed"}
    assert load.lost == []
    assert identity(lab) == before
