"""Only what a node asks for in its own name is certified; all else stays pending and is told."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabfile.kube import tokens
from fabfile.kube.api import Api
from fabfile.kube.credentials import load
from fabfile.trust.verdict import CLIENT, SERVING

from .harness import LONG, eventually

if TYPE_CHECKING:
    from .harness import Lab

pytestmark = pytest.mark.long

APISERVER_CLIENT = "kubernetes.io/kube-apiserver-client"


@dataclass(frozen=True)
class Request:
    """
    A signing request; its defaults are n1's own first request for a client certificate.

    :param by: whose credentials it is made with: `token` is n1's bootstrap token, `node` is n1's
        client certificate.
    :param said: what fabnode says of it; nothing: it is approved.
    """

    said: str = ""
    name: str = "system:node:n1"
    organization: str = "system:nodes"
    names: tuple[str, ...] = ()
    signer: str = CLIENT
    usages: tuple[str, ...] = ("digital signature", "client auth")
    by: str = "token"


SERVER = ("digital signature", "server auth")

ROGUES = {
    "another name": Request("its subject is", name="mallory"),
    "cluster administrator": Request("system:masters", organization="system:masters"),
    "another node": Request("its subject is", name="system:node:n2"),
    "name in a client certificate": Request("its names are", names=("n1",)),
    "foreign DNS name": Request(
        "its names are", names=("n1", "kubernetes"), signer=SERVING, usages=SERVER, by="node"
    ),
    "foreign address": Request(
        "its names are", names=("n1", "192.0.2.1"), signer=SERVING, usages=SERVER, by="node"
    ),
    "other usages": Request("its usages are", usages=("digital signature", "server auth")),
    "client for serving": Request("its usages are", signer=SERVING, by="node"),
    "serving by token": Request("requester", signer=SERVING, usages=SERVER),
    "certificate for anything": Request("its signer", signer=APISERVER_CLIENT),
}


class Requester:
    """Makes requests as a host would that holds n1's token, or n1's certificate."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._api = Api(load(lab.layout.kubeconfig), patience=30)
        self._token = tokens.create(self._api, "n1", minutes=10)
        self.made: list[str] = []

    def make(self, title: str, request: Request) -> str:
        """Send a request and return its object's name."""
        name = f"test-{title.replace(' ', '-').lower()}"
        document = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name},
            "spec": {
                "request": base64.b64encode(pkcs10(request)).decode(),
                "signerName": request.signer,
                "usages": list(request.usages),
            },
        }
        path = self._lab.scratch / f"{request.by}.kubeconfig"
        path.write_text(yaml.safe_dump(self._kubeconfig(request.by)))
        done = subprocess.run(
            [str(self._lab.layout.kubectl), f"--kubeconfig={path}", "create", "-f", "-"],
            input=json.dumps(document),
            capture_output=True,
            text=True,
            check=False,
            timeout=LONG,
        )
        assert done.returncode == 0, done.stderr
        self.made.append(name)
        return name

    def close(self) -> None:
        """Remove the token and the requests."""
        tokens.delete(self._api, self._token.token)
        for name in self.made:
            self._lab.kubectl("delete", "csr", name)

    def _kubeconfig(self, by: str) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load(self._lab.layout.kubeconfig.read_text())
        user: dict[str, str] = {"token": self._token.value}
        if by == "node":
            pem = self._lab.on("n1", "cat /var/lib/kubelet/pki/kubelet-client-current.pem")
            both = base64.b64encode(pem.encode()).decode()
            user = {"client-certificate-data": both, "client-key-data": both}
        document["users"][0]["user"] = user
        return document


def pkcs10(request: Request) -> bytes:
    """Return a PKCS#10 request in PEM, with a key that nobody keeps."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, request.organization),
            x509.NameAttribute(NameOID.COMMON_NAME, request.name),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if request.names:
        names = [general(name) for name in request.names]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def state(lab: Lab, name: str) -> str:
    """Return what became of a request: the types of its conditions, or `Pending`."""
    status = json.loads(lab.kubectl("get", "csr", name, "-o", "json"))["status"]
    return ",".join(c["type"] for c in status.get("conditions", ())) or "Pending"


@pytest.fixture
def requester(cluster: Lab) -> Iterator[Requester]:
    made = Requester(cluster)
    yield made
    made.close()


def test_rogue_requests_stay_pending_and_are_told(cluster: Lab, requester: Requester) -> None:
    made = {title: requester.make(title, request) for title, request in ROGUES.items()}
    said = cluster.inv("approve-csr").text
    for title, request in ROGUES.items():
        (line,) = (line for line in said.splitlines() if f"{made[title]} " in line)
        assert "pending" in line
        assert request.said in line, line
        assert state(cluster, made[title]) == "Pending", title
    good = requester.make("good", Request())
    said = cluster.inv("approve-csr").text
    assert state(cluster, good) == "Approved"
    assert f"approved client request {good}" in said
    assert {state(cluster, name) for name in made.values()} == {"Pending"}
    again = requester.make("again", Request())
    said = cluster.inv("approve-csr").text
    assert state(cluster, again) == "Pending", "a token is good for one certificate"
    assert "was approved before" in said


def test_dry_run_says_and_approves_nothing(cluster: Lab, requester: Requester) -> None:
    good = requester.make("good", Request())
    bad = requester.make("bad", ROGUES["cluster administrator"])
    writes = len(cluster.writes())
    said = cluster.inv("approve-csr", "--dry-run").text
    assert f"would approve client request {good}" in said
    assert bad in said
    assert state(cluster, good) == state(cluster, bad) == "Pending"
    assert cluster.writes(writes) == []


def test_watch_judges_requests_as_they_come(cluster: Lab, requester: Requester) -> None:
    run = cluster.begin("approve-csr", "--watch")
    good = requester.make("good", Request())
    eventually(lambda: state(cluster, good) == "Approved")
    bad = requester.make("bad", ROGUES["another node"])
    eventually(lambda: bad in run.said())
    serving = Request(
        names=("n1", str(cluster.layout.host("n1").address)),
        signer=SERVING,
        usages=SERVER,
        by="node",
    )
    rotated = requester.make("rotated", serving)
    eventually(lambda: state(cluster, rotated) == "Approved")
    assert state(cluster, bad) == "Pending"
    run.kill(signal.SIGINT)
    done = run.wait().expect(130)
    assert "interrupted" in done.text


def test_a_node_renews_its_own_client_certificate(cluster: Lab, requester: Requester) -> None:
    """By the right that fabnode gives to nodes, without anybody's approval."""
    renewed = requester.make("renewed", Request(by="node"))
    eventually(lambda: state(cluster, renewed) == "Approved")
    assert f"left {renewed}" not in cluster.inv("approve-csr").text


def test_deployment_is_not_used_by_rogues(cluster: Lab, requester: Requester) -> None:
    """They are judged the same while a deployment runs, and don't keep it from ending well."""
    bad = requester.make("bad", ROGUES["cluster administrator"])
    done = cluster.deploy(config=cluster.config(kubelet={"max_pods": 92}))
    assert set(done.results.values()) == {"changed"}
    assert state(cluster, bad) == "Pending"
