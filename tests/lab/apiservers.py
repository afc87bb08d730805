"""A lab with three apiservers: which of them dies or hangs, and what goes on meanwhile."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import yaml

from fabnode.node import layout as on_host
from fabnode.node.conventions import BALANCER_SERVICE
from lab import processes

from .harness import NODES, eventually
from .workload import NAMESPACE, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .harness import Lab

FIRST, SECOND = "kube-apiserver", "kube-apiserver-2"  # the third is the controllers'
COUNT = 3
NOTICED = 30.0  # seconds until a balancer leaves an apiserver that hangs; by its settings 16
LONGER_THAN_GRACE = 50.0  # seconds; a node whose kubelet does not report for 40 s is not Ready


def up(lab: Lab) -> None:
    """Have all of the lab's apiservers run again."""
    face = ("--control-planes", str(COUNT), "--family", lab.layout.family)
    lab.lab("up", "--nodes", str(len(NODES)), *face)


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
        up(lab)


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
            answer = self._lab.on(self._host, f"curl -s -m 10 '{self._url}'", code=None)
            self.failed += answer.strip() not in NODES

    def __enter__(self) -> Requests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)


def join_without_the_first(lab: Lab) -> None:
    """Make three nodes while the apiserver of the deployer's kubeconfig is dead."""
    with without(lab, FIRST):
        done = lab.deploy()
        assert done.results == dict.fromkeys(NODES, "changed")
        assert "going on with" in done.err
        found = lab.plan("--exit-code")
        assert found["empty"]
        texts = [f["text"] for node in found["nodes"] for f in node["findings"]]
        assert len([t for t in texts if t.startswith("it can't use one of the apiservers")]) == 3
        assert {status for status, _ in ready(lab).values()} == {"True"}


def deploy_while_the_first_dies(lab: Lab) -> None:
    """Kill an apiserver while kubelets are changed."""
    changed = lab.config(kubelet={"max_pods": 77})
    running = lab.begin("deploy-nodes", "--json", config=changed)
    try:
        assert running.begun("n1", "kubelet")
        kill(lab, FIRST)
        done = running.wait().expect(0)
    finally:
        up(lab)
    assert done.results == dict.fromkeys(NODES, "changed")
    assert lab.plan("--exit-code", config=changed)["empty"]
    lab.deploy()


def outlive_the_first_two(lab: Lab) -> None:
    """See requests, logs, pods and nodes go on while two of three are dead."""
    pods = Workload(lab)
    pods.start()
    url = pods.service()
    eventually(lambda: lab.on("n1", f"curl -s -m 5 '{url}'", code=None).strip() in NODES or None)
    containers, before = pods.containers(), ready(lab)
    starts = lab.starts()
    with Requests(lab, "n1", url) as requests, without(lab, FIRST, SECOND):
        end = time.monotonic() + LONGER_THAN_GRACE
        while time.monotonic() < end:
            assert ready(lab) == before
            for node in NODES:
                served = ask(lab, "-n", NAMESPACE, "logs", f"web-{node}")
                assert served.strip() == f"serving on {node}"
            time.sleep(2)
    assert ready(lab) == before
    assert pods.containers() == containers
    assert lab.restarted(starts) == set()
    assert requests.sent > 20
    assert requests.failed == 0, f"{requests.failed} of {requests.sent}"


def first_is(state: str, lab: Lab) -> bool:
    """Return whether all balancers have logged last that the first apiserver is UP, or DOWN."""
    last = f"grep -o 'apiservers/{lab.layout.gateway} is [A-Z]*' | tail -n 1"
    lines = [lab.on(node, f"journalctl -b -u {BALANCER_SERVICE} | {last}") for node in NODES]
    return all((line.strip() or "UP").endswith(state) for line in lines)


def leave_the_first_that_hangs(lab: Lab) -> None:
    """Stop an apiserver, which then still accepts connections: only who asks it notices."""
    before, starts = ready(lab), lab.starts()
    pid = processes.find(lab.layout.record(FIRST))
    assert pid
    # It was dead a moment ago: a balancer that has not taken it back has nothing to leave.
    eventually(lambda: first_is("UP", lab))
    processes.send(pid, signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        eventually(lambda: first_is("DOWN", lab))
        assert time.monotonic() - stopped < NOTICED
        while time.monotonic() - stopped < LONGER_THAN_GRACE:
            assert ready(lab) == before
            time.sleep(2)
    finally:
        processes.send(pid, signal.SIGCONT)
    assert lab.restarted(starts) == set()


def change_the_list(lab: Lab) -> None:
    """Take an apiserver out of the list: that is one plan, and starts nothing but balancers."""
    pods = Workload(lab)
    pods.start()
    starts, containers = lab.starts(), pods.containers()
    fewer = lab.config(cluster={"apiserver": lab.layout.apiservers(COUNT)[1:]})
    for node in lab.plan("--exit-code", code=3, config=fewer)["nodes"]:
        names = [change["name"] for change in node["changes"]]
        assert names == [on_host.BALANCER_CONFIG, BALANCER_SERVICE]
    lab.deploy(config=fewer)
    assert lab.plan("--exit-code", config=fewer)["empty"]
    assert lab.restarted(starts) == set()
    assert pods.containers() == containers
    lab.deploy()


def take_the_list_that_is_suggested(lab: Lab) -> None:
    """Have a first configuration suggest the three apiservers as a list, and take it."""
    target = lab.scratch / "suggested.yml"
    target.unlink(missing_ok=True)
    lab.inv(
        *("config.init", f"--kubeconfig={lab.layout.kubeconfig}", f"--out={target}"),
        *(f"--key={lab.layout.key}", f"--known-hosts={lab.layout.known_hosts}"),
        *("--artifacts", str(lab.layout.artifacts)),
        f"--hosts=n1 {lab.layout.host('n1').address}",
    )
    lines = target.read_text().splitlines()
    (single,) = (line for line in lines if line.startswith("  apiserver: "))
    (several,) = (line for line in lines if line.startswith("  # apiserver: "))
    assert yaml.safe_load(single) == {"apiserver": lab.layout.apiserver}
    listed = {"apiserver": sorted(lab.layout.apiservers(COUNT))}
    assert yaml.safe_load(several.replace("# ", "", 1)) == listed
    lines.remove(single)
    target.write_text("\n".join(lines).replace("  # apiserver: ", "  apiserver: ") + "\n")
    lab.inv("config.check", config=target)
