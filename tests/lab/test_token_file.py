"""Joining with the one token of the cluster's token file: the key on the host makes up for it."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabfile.trust.verdict import CLIENT

from .harness import LONG
from .secrecy import Watcher, told

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Done, Lab

pytestmark = [pytest.mark.long, pytest.mark.attack]

PENDING_KEY = "/var/lib/kubelet/pki/kubelet-client.key.tmp"


@dataclass
class Holder:
    """Somebody who holds the shared token, and asks for what he likes."""

    lab: Lab
    made: list[str] = field(default_factory=list)

    @property
    def token(self) -> str:
        return self.lab.layout.bootstrap_token.read_text().strip()

    def ask(self, title: str, node: str, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        """Ask for a node's client certificate, with a key of one's own; return the request."""
        name = f"test-shared-{title}"
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
                x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node}"),
            ]
        )
        signed = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(subject)
            .sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        )
        document = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {
                "request": base64.b64encode(
                    signed.public_bytes(serialization.Encoding.PEM)
                ).decode(),
                "signerName": CLIENT,
                "usages": ["digital signature", "client auth"],
            },
        }
        done = subprocess.run(
            [str(self.lab.layout.kubectl), f"--kubeconfig={self._kubeconfig()}", "create", "-f-"],
            input=json.dumps(document),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONG,
        )
        assert done.returncode == 0, done.stderr
        self.made.append(name)
        return name

    def forget(self) -> None:
        """Remove the requests."""
        if self.made:
            self.lab.kubectl("delete", "csr", *self.made)
            self.made.clear()

    def _kubeconfig(self) -> Path:
        document: dict[str, Any] = yaml.safe_load(self.lab.layout.kubeconfig.read_text())
        document["users"][0]["user"] = {"token": self.token}
        path = self.lab.scratch / "holder.kubeconfig"
        path.touch(0o600)
        path.write_text(yaml.safe_dump(document))
        return path


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
    address = str(lab.layout.host("n3").address)
    config = lab.config(
        {"n3": {"name": address}},
        bootstrap={"mode": "token-file", "token": {"file": str(lab.layout.bootstrap_token)}},
    )
    lab.lab("fresh", "--hosts", "n2,n3")
    holder = Holder(lab)
    plan = lab.plan("--limit", f"n2,{address}", config=config)
    with Watcher(lab) as watcher:
        run = lab.begin("deploy-nodes", "--json", config=config)
        for node in ("n2", address):
            assert run.begun(node, "runtime"), "the token was handed to it by now"
        # The binding is made before any host is handed the token.
        rogues = {node: holder.ask(node, node) for node in ("n1", "n2", address)}
        done = run.wait()
    yield Shared(config, address, plan, done, rogues, holder, watcher.lines)
    holder.forget()
    lab.lab("fresh", "--hosts", "n3")
    lab.kubectl("delete", "node", address)


def state(lab: Lab, name: str) -> str:
    """Return what became of a request: the types of its conditions, or `Pending`."""
    status = json.loads(lab.kubectl("get", "csr", name, "-o", "json"))["status"]
    return ",".join(c["type"] for c in status.get("conditions", ())) or "Pending"


def test_hosts_join_with_the_shared_token(shared: Shared, lab: Lab) -> None:
    shared.done.expect(0)
    wanted = {"n1": "unchanged", "n2": "changed", shared.address: "changed"}
    assert shared.done.results == wanted
    assert all(check["ok"] for check in shared.done.document["checks"])
    assert lab.ready() == set(wanted)


def test_the_plan_says_which_proof_is_missing(shared: Shared) -> None:
    for node in shared.plan["nodes"]:
        (join,) = (c for c in node["changes"] if c["action"] == "join")
        assert "doesn't tell which host asks" in join["why"]
        assert "before approval the key that waits on this one is compared" in join["why"]


def test_a_rogue_holder_of_the_token_gets_nothing_and_is_reported(shared: Shared, lab: Lab) -> None:
    for node, request in shared.rogues.items():
        assert state(lab, request) == "Pending", node
        (line,) = (line for line in shared.done.text.splitlines() if f"left {request} " in line)
        said = "was not handed the shared token" if node == "n1" else "its key is not the one"
        assert f"{said}" in line
    approved = [line for line in shared.done.text.splitlines() if "approved client request" in line]
    assert len(approved) == 2
    assert all("with the key that waits on its host" in line for line in approved)


def test_rotation_is_on_and_nothing_of_the_joining_is_left(shared: Shared, lab: Lab) -> None:
    for host in ("n2", "n3"):
        assert "rotateCertificates: true" in lab.on(host, "cat /etc/kubernetes/kubelet.yaml")
        left = f"ls /etc/kubernetes/bootstrap.kubeconfig {PENDING_KEY}"
        assert lab.on(host, left, code=None) == ""
        held = f"grep -rlsF -e {shared.holder.token} /etc /root /home /run /tmp /var/lib /var/log"
        assert lab.on(host, held, code=None) == ""
    pods = lab.objects("pods", "-n", "kube-system", "-l", "k8s-app=calico-node")
    restarts = [s["restartCount"] for pod in pods for s in pod["status"]["containerStatuses"]]
    assert restarts == [0, 0, 0], "pods outlive the kubelet's second start"


def test_the_shared_token_shows_nowhere(shared: Shared) -> None:
    secret = {shared.holder.token}
    assert told(shared.done.text + json.dumps(shared.plan), secret) == []
    assert [line[:300] for line in shared.seen if told(line, secret)] == []
    (journal,) = (shared.done.state / "fabnode/runs").glob("*/journal.jsonl")
    assert told(journal.read_text(), secret) == []


def test_a_second_deployment_changes_nothing(shared: Shared, lab: Lab) -> None:
    starts = lab.starts("n2", "n3")
    done = lab.deploy(config=shared.config)
    assert set(done.results.values()) == {"unchanged"}
    assert lab.restarted(starts) == set()
    lab.inv("plan", "--deep", "--exit-code", config=shared.config)


def test_requests_are_judged_by_the_keys_that_wait_on_their_hosts(shared: Shared, lab: Lab) -> None:
    """`inv approve-csr` alone: it asks each host whose name is asked for, and no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()
    shared.holder.forget()
    lab.on("n1", f"umask 077; cat >{PENDING_KEY} <<END\n{pem}END")
    lab.on("n3", "systemctl stop ssh.socket ssh.service")
    try:
        other = shared.holder.ask("other-key", "n1")
        own = shared.holder.ask("own-key", "n1", key)
        keyless = shared.holder.ask("no-key", "n2")
        away = shared.holder.ask("away", shared.address)
        said = lab.inv("approve-csr", "--dry-run", config=shared.config).text
        assert f"would approve client request {own}" in said
        assert state(lab, own) == "Pending"
        said = lab.inv("approve-csr", config=shared.config).text
    finally:
        lab.on("n1", f"rm -f {PENDING_KEY}")
        lab.on("n3", "systemctl start ssh.service")
    assert state(lab, own) == "Approved"
    for request, why in (
        (other, "its key is not the one that waits on n1's host"),
        (keyless, "no key waits on n2's host"),
        (away, f"the key on {shared.address}'s host can't be looked at: "),
    ):
        assert state(lab, request) == "Pending"
        assert f"left {request} pending: {why}" in said, said
