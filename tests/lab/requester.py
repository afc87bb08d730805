"""Signing requests as a hostile holder of one node's token, or of its certificate, makes them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fabnode.kube import bootstrap_tokens
from fabnode.kube.client import Api, ApiError
from fabnode.kube.csr import REQUESTS
from fabnode.kube.kubeconfig import Credentials, load
from fabnode.kube.login import Identity, Login
from fabnode.pki.csr_policy import CLIENT, SERVING
from tests import forgery

from .harness import eventually

if TYPE_CHECKING:
    from .harness import Lab

CLIENT_USAGES = ("digital signature", "client auth")
SERVER_USAGES = ("digital signature", "server auth")
LABEL = {"fabnode.io/attack": "yes"}


@dataclass(frozen=True)
class Request:
    """
    A signing request; its defaults are n1's own first request for a client certificate.

    :param by: whose credentials it is made with: `token` is n1's bootstrap token, `node` is n1's
        client certificate.
    :param said: what fabnode says of it; nothing: it is approved.
    :param pem: in place of what the other fields would make.
    """

    printed: str = ""
    name: str = "system:node:n1"
    organizations: tuple[str, ...] = ("system:nodes",)
    names: tuple[str, ...] = ()
    signer: str = CLIENT
    usages: Sequence[str] = CLIENT_USAGES
    by: str = "token"
    pem: bytes = b""

    @property
    def document(self) -> dict[str, Any]:
        """The object, without a name."""
        attributes = [forgery.attribute(forgery.EXTENSIONS, self.names)] if self.names else []
        subject = forgery.subject(self.name, *self.organizations)
        pem = self.pem or forgery.request(self.name, *attributes, subject_der=subject)
        return {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"generateName": "attack-", "labels": LABEL},
            "spec": {
                "request": base64.b64encode(pem).decode(),
                "signerName": self.signer,
                "usages": list(self.usages),
            },
        }


def serving(lab: Lab, **changes: Any) -> Request:
    """Return n1's own request for a serving certificate, with changes."""
    address = str(lab.layout.host("n1").address)
    own = Request(names=("n1", address), signer=SERVING, usages=SERVER_USAGES, by="node")
    return replace(own, **changes)


class Requester:
    """Holds a bootstrap token of n1's and n1's certificate; asks for things."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        admin = load(lab.layout.kubeconfig)
        self.admin = Api(admin, patience=60)
        self.token = bootstrap_tokens.create(self.admin, "n1", minutes=10)
        both = lab.on("n1", "cat /var/lib/kubelet/pki/kubelet-client-current.pem").encode()
        self._apis = {
            "token": self._api(admin, Identity(token=self.token.value)),
            "node": self._api(admin, Identity(client_pem=both)),
        }

    def _api(self, admin: Credentials, own: Identity) -> Api:
        return Api(replace(admin, login=Login(own)), patience=60)

    def make(self, request: Request) -> str | None:
        """Send a request and return its object's name; None where the API refuses it."""
        try:
            made = self._apis[request.by].create(REQUESTS, request.document)
        except ApiError as error:
            if error.status not in {400, 403, 422}:
                raise
            return None
        return str(made["metadata"]["name"])

    def get(self, name: str) -> dict[str, Any]:
        """Return a request's object."""
        return self.admin.get(f"{REQUESTS}/{name}")

    def states(self) -> dict[str, str]:
        """Return what became of each request made here: its condition, or `Pending`."""
        found = self.admin.get(REQUESTS, labelSelector="fabnode.io/attack=yes")["items"]
        return {item["metadata"]["name"]: _state(item) for item in found}

    def close(self) -> None:
        """Remove the token and the requests."""
        bootstrap_tokens.delete(self.admin, self.token.token)
        self.admin.delete(f"{REQUESTS}?labelSelector=fabnode.io/attack%3Dyes")
        eventually(lambda: self.states() == {})


def _state(item: dict[str, Any]) -> str:
    status = item.get("status") or {}
    found = ",".join(condition["type"] for condition in status.get("conditions") or ())
    return found or ("Issued" if status.get("certificate") else "Pending")


@contextmanager
def requester(lab: Lab) -> Iterator[Requester]:
    """Yield a requester; afterwards nothing of it is left."""
    made = Requester(lab)
    try:
        yield made
    finally:
        made.close()


def verdicts(events: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return request → what a run's journal says of it."""
    reported = {}
    for event in events:
        if name := event.get("data", {}).get("request"):
            reported[name] = event["text"]
    return reported
