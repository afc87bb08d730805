"""Joining with the one token of the cluster's token file: the key on the host makes up for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.kube.client import Api
from fabnode.kube.csr import REQUESTS
from fabnode.kube.kubeconfig import load
from fabnode.kube.login import Identity, Login
from fabnode.pki.certificates import new_request
from tests import attacks

from .requester import Request
from .secrecy import Watcher, reported

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Done, Lab

pytestmark = [pytest.mark.long, pytest.mark.attack]

PENDING_KEY = "/var/lib/kubelet/pki/kubelet-client.key.tmp"


class Holder:
    """Somebody who holds the shared token, and asks for what he likes."""

    def __init__(self, lab: Lab) -> None:
        self.token = lab.layout.bootstrap_token.read_text().strip()
        self._admin = Api(load(lab.layout.kubeconfig), patience=60)
        shared = replace(load(lab.layout.kubeconfig), login=Login(Identity(token=self.token)))
        self._api = Api(shared, patience=60)
        self._made: list[str] = []

    def ask(self, node: str, pem: bytes = b"") -> str:
        """Ask for a node's client certificate, with a key that nobody else has; return by name."""
        own = new_request(f"system:node:{node}", {"organization": "system:nodes"})
        request = Request(pem=pem or own.request_pem)
        name = str(self._api.create(REQUESTS, request.document)["metadata"]["name"])
        self._made.append(name)
        return name

    def state(self, name: str) -> str:
        """Return what became of a request: the types of its conditions, or `Pending`."""
        status = self._admin.get(f"{REQUESTS}/{name}").get("status") or {}
        return ",".join(c["type"] for c in status.get("conditions") or ()) or "Pending"

    def forget(self) -> None:
        """Remove the requests."""
        for name in self._made:
            self._admin.delete(f"{REQUESTS}/{name}")


@dataclass(frozen=True)
class Shared:
    """Two hosts that joined with the shared token, one named by its address, and a rogue's luck."""

    config: Path
    address: str
    plan: dict[str, Any]
    done: Done
    rogues: dict[str, str]
    holder: Holder
    seen: list[str]


@pytest.fixture(scope="module")
def shared(lab: Lab, joining: object) -> Iterator[Shared]:
    """Deploy n2, and n3 by its address, while a rogue holder of the token asks for both names."""
    lab.restore()  # what another module left of n1's settings
    address = str(lab.layout.host("n3").address)
    sharing = {"mode": "token-file", "token": {"file": str(lab.layout.bootstrap_token)}}
    lab.become_deployer(bootstrap=sharing)
    config = lab.config({"n3": {"name": address}}, bootstrap=sharing)
    lab.lab("fresh", "--hosts", "n2,n3")
    holder = Holder(lab)
    plan = lab.plan("--limit", f"n2,{address}", config=config)
    with Watcher(lab) as watcher:
        run = lab.begin("deploy-nodes", "--json", config=config)
        for node in ("n2", address):
            assert run.begun(node, "runtime"), "the token was handed to it by now"
        # The binding is made before any host is handed the token.
        rogues = {node: holder.ask(node) for node in ("n1", "n2", address)}
        done = run.wait()
    yield Shared(config, address, plan, done, rogues, holder, watcher.lines)
    holder.forget()
    lab.lab("fresh", "--hosts", "n3")
    lab.kubectl("delete", "node", address)
    lab.become_deployer()


def test_hosts_join_with_the_shared_token(shared: Shared, lab: Lab) -> None:
    shared.done.expect(0)
    wanted = {"n1": "unchanged", "n2": "changed", shared.address: "changed"}
    assert shared.done.results == wanted
    assert all(check["ok"] for check in shared.done.document["checks"])
    assert lab.ready() == set(wanted)


def test_the_plan_says_which_proof_is_missing(shared: Shared) -> None:
    for node in shared.plan["nodes"]:
        (join,) = (c for c in node["changes"] if c["action"] == "join")
        assert "doesn't show which host asks" in join["why"]
        assert "before approval the key that waits on this one is compared" in join["why"]


@pytest.mark.attack
def test_a_rogue_holder_of_the_token_gets_nothing_and_is_reported(shared: Shared, lab: Lab) -> None:
    attacks.tried(len(shared.rogues))
    attacks.judged(len(shared.rogues))
    states = {node: shared.holder.state(request) for node, request in shared.rogues.items()}
    attacks.wrong([node for node, state in states.items() if state != "Pending"])
    for node, request in shared.rogues.items():
        (line,) = (line for line in shared.done.text.splitlines() if f"left {request} " in line)
        printed = "the shared token was not issued to" if node == "n1" else "its key is not the one"
        assert f"{printed}" in line
    approved = [line for line in shared.done.text.splitlines() if "approved client request" in line]
    assert len(approved) == 2
    assert all("with the key that waits on its host" in line for line in approved)


def test_rotation_is_on_and_nothing_of_the_joining_is_left(shared: Shared, lab: Lab) -> None:
    for host in ("n2", "n3"):
        assert "rotateCertificates: true" in lab.on(host, "cat /etc/kubernetes/kubelet.yaml")
        left = f"ls /etc/kubernetes/bootstrap.kubeconfig {PENDING_KEY}"
        assert lab.on(host, left, code=None) == ""
        places = "/etc /root /home /run /tmp /var/lib/fabnode /var/lib/kubelet /var/log"
        assert lab.on(host, f"grep -rlsF -e {shared.holder.token} {places}", code=None) == ""


def test_the_shared_token_shows_nowhere(shared: Shared) -> None:
    secret = {shared.holder.token}
    assert reported(shared.done.text + json.dumps(shared.plan), secret) == []
    assert [line[:300] for line in shared.seen if reported(line, secret)] == []
    (journal,) = (shared.done.state / "fabnode/runs").glob("*/journal.jsonl")
    assert reported(journal.read_text(), secret) == []


def test_a_second_deployment_changes_nothing(shared: Shared, lab: Lab) -> None:
    starts = lab.starts("n2", "n3")
    done = lab.deploy(config=shared.config)
    assert set(done.results.values()) == {"unchanged"}
    assert lab.restarted(starts) == set()
    lab.inv("plan", "--deep", "--exit-code", config=shared.config)


def test_a_node_named_by_its_address_is_called_by_it(shared: Shared, lab: Lab) -> None:
    assert (
        f"{shared.address}  kubelet.service"
        in lab.fab("-H", shared.address, "status", config=shared.config).out
    )


def test_requests_are_judged_by_the_keys_that_wait_on_their_hosts(shared: Shared, lab: Lab) -> None:
    """`inv approve-csr` alone: it asks the hosts whose names are asked for; one is off."""
    holder = shared.holder
    lab.kubectl("delete", "csr", "--all")  # what was approved a moment ago counts
    waiting = new_request("system:node:n1", {"organization": "system:nodes"})
    lab.on("n1", f"umask 077; cat >{PENDING_KEY} <<END\n{waiting.key_pem.decode()}END")
    lab.on("n3", "systemctl stop ssh.socket ssh.service")
    try:
        other, keyless, away = (holder.ask(node) for node in ("n1", "n2", shared.address))
        printed = lab.inv("approve-csr", code=1, config=shared.config).text
        for request, why in (
            (other, "its key is not the one that waits on n1's host"),
            (keyless, "no key waits on n2's host"),
            (away, f"the key on {shared.address}'s host can't be read: "),
        ):
            assert f"left {request} pending: {why}" in printed, printed
        own = holder.ask("n1", waiting.request_pem)
        printed = lab.inv("approve-csr", "--dry-run", code=1, config=shared.config).text
        assert f"would approve client request {own}" in printed
        assert holder.state(own) == "Pending"
        printed = lab.inv("approve-csr", code=1, config=shared.config).text
        assert f"approved client request {own}" in printed
    finally:
        lab.on("n1", f"rm -f {PENDING_KEY}")
        lab.on("n3", "systemctl start ssh.service")
    assert holder.state(own) == "Approved"
    assert {holder.state(request) for request in (other, keyless, away)} == {"Pending"}
