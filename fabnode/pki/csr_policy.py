"""
Policy for certificate signing requests: whether fabnode may approve one, with the reason.

`docs/trust.md` is the policy, in the same order as the code here:

1. The signer is one that fabnode answers for.
2. The request is still pending.
3. The requester is known. For a first client certificate it is the bootstrap token that was made
   for one configured node and given to that node alone; where all nodes share the token of the
   cluster's token file, it is that token's user, and the node is the one that the request names,
   if it got the token in this run. For a serving certificate it is the node itself, by the
   client certificate it got that way.
4. It is not older than that token, or than its issue to the node,
5. and no other request of that token (shared: in that node's name, since then) was approved before.
6. Its usages are the set that Kubernetes asks of that signer, with or without `key encipherment`
   (kubernetes `pkg/apis/certificates/helpers.go`; optional since 1.25).
7. It is one PEM block of at most 16 KiB and nothing around it, of a readable PKCS#10 request that
   asks for extensions once at most: a request that Go, which signs it, reads differently than we
   do must not be approved.
8. Its own signature holds.
9. Its subject is `O=system:nodes, CN=system:node:<name>` of that very node and nothing else.
10. It asks for no extension (client), or for alternative names alone: exactly the node's name and
    addresses (serving), one or, of a node of two families, both.
11. Its key is the one that waits on that node's host. A shared token proves nothing of where a
    request came from, so there a key must wait and be the same; with a token of its own, it must be
    the same where one waits (kubelets without rotation keep it on disk), and serving certificates
    have none.

Anything else stays pending: fabnode denies nothing by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from .certificates import BadCertificateError, Pem, public_bytes, read

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
SERVING = "kubernetes.io/kubelet-serving"
SHARED_USER, SHARED_GROUP = "kubelet-bootstrap", "system:kubelet-bootstrap"
"""User and group that the apiserver authenticates the token file's token as."""

_USAGES = {
    CLIENT: frozenset({"digital signature", "client auth"}),
    SERVING: frozenset({"digital signature", "server auth"}),
}
_AND_KEY = ", with the key that waits on its host"
_OPTIONAL_USAGE = frozenset({"key encipherment"})

_EXTENSION_REQUEST = x509.ObjectIdentifier("1.2.840.113549.1.9.14")  # PKCS #9

# As Go writes it. Readers of PEM differ in what they skip before a block, and take the first.
_ONE_BLOCK = re.compile(
    rb"-----BEGIN CERTIFICATE REQUEST-----\n"
    rb"(?:[A-Za-z0-9+/=]+\n)+"
    rb"-----END CERTIFICATE REQUEST-----\n?"
)
MOST_BYTES = 2**14  # a hundred thousand names would take a second to read, for each request
_LONGEST = 200  # characters of what a requester wrote


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """
    A CertificateSigningRequest object, as the API shows it.

    :param username, groups: set by the apiserver from the requester's authentication.
    :param pem: `spec.request`, decoded.
    :param state: the kind of its first condition, or Pending.
    :param decision: reason and message of whoever approved it.
    :param certificate: what was issued, PEM; empty until then.
    """

    name: str
    uid: str
    resource_version: str
    created: datetime
    username: str
    groups: tuple[str, ...]
    signer: str
    usages: tuple[str, ...]
    pem: bytes
    state: Literal["Pending", "Approved", "Denied", "Failed"]
    certificate: bytes = b""
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A bootstrap token that was made for one node; `created` is the apiserver's time."""

    id: str
    node: str
    created: datetime

    @property
    def username(self) -> str:
        """Whom the apiserver takes its holder for."""
        return f"system:bootstrap:{self.id}"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """Issue of the shared token to a node; `created` is the apiserver's time of it."""

    node: str
    created: datetime


@dataclass(frozen=True, slots=True)
class HostKey:
    """
    Public half of the key that waits on a host for its first certificate.

    :param public: SubjectPublicKeyInfo, DER; empty where no key waits.
    :param fault: why the host could not be asked; empty where it was.
    """

    public: bytes = b""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A configured node: its name, and its addresses, one of each family; the kubelet's first."""

    name: str
    address: str
    second: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    Decision on a request, with its reason.

    :param node: the configured node it is for, if known.
    :param kind: what the certificate would be.
    :param reason: one sentence; for an approval, what was proved.
    :param asks: whether only the key on the node's host remains to be compared.
    """

    approve: bool
    kind: Literal["client", "serving", "other"]
    node: str | None
    reason: str
    asks: bool = False


def judge(
    request: SigningRequest,
    candidates: Collection[Candidate],
    tokens: Collection[Token],
    approved: Collection[SigningRequest] = (),
    *,
    issued_tokens: Collection[IssuedToken] = (),
    keys: Mapping[str, HostKey] = MappingProxyType({}),
) -> Verdict:
    """
    Return the verdict on one request.

    :param candidates: the configured nodes that may be certified now.
    :param tokens: the bootstrap tokens that fabnode made for them.
    :param approved: requests that were approved before (by anyone).
    :param issued_tokens: the nodes that got the shared token.
    :param keys: by node, the key that waits on its host.
    """
    if request.signer == CLIENT and request.username == SHARED_USER:
        return _judge_shared(request, candidates, approved, issued_tokens, keys)
    if request.signer == CLIENT:
        return _judge_client(request, candidates, tokens, approved, keys)
    if request.signer == SERVING:
        return _judge_serving(request, candidates)
    return Verdict(
        False, "other", None, f"its signer {request.signer} does not issue kubelets' certificates"
    )


def _judge_client(
    request: SigningRequest,
    candidates: Collection[Candidate],
    tokens: Collection[Token],
    approved: Collection[SigningRequest],
    keys: Mapping[str, HostKey],
) -> Verdict:
    token = next((t for t in tokens if request.username == t.username), None)
    node = next((c for c in candidates if token and c.name == token.node), None)

    def left(reason: str) -> Verdict:
        return Verdict(False, "client", node.name if node else None, reason)

    if request.state != "Pending":
        return left(f"it is already {request.state}")
    if token is None:
        return left(f"its requester {request.username!r} has no token issued to a configured node")
    if node is None:
        return left(f"its token was issued to {token.node!r}, which is not a node of this run")
    if request.created < token.created:
        return left("it is older than its token")
    if any(r.username == request.username and r.uid != request.uid for r in approved):
        return left(f"another request with {node.name}'s token was approved before")
    if flaw := _flaw(request, node, dns=(), addresses=()):
        return left(flaw)
    key = keys.get(node.name, HostKey())
    if (key.fault or key.public) and (flaw := _key_flaw(request, node, key)):
        return left(flaw)
    reason = f"asked for with {node.name}'s own token, for {node.name}'s own name"
    return Verdict(True, "client", node.name, f"{reason}{_AND_KEY if key.public else ''}")


def _judge_shared(
    request: SigningRequest,
    candidates: Collection[Candidate],
    approved: Collection[SigningRequest],
    issued_tokens: Collection[IssuedToken],
    keys: Mapping[str, HostKey],
) -> Verdict:
    name = node_asked_for(request)
    node = next((c for c in candidates if c.name == name), None)
    issued_token = next((h for h in issued_tokens if h.node == name), None)

    def left(reason: str, *, asks: bool = False) -> Verdict:
        return Verdict(False, "client", node.name if node else None, reason, asks)

    if request.state != "Pending":
        return left(f"it is already {request.state}")
    if SHARED_GROUP not in request.groups:
        return left(f"its requester is not in the group {SHARED_GROUP}")
    if node is None:
        return left("its subject names no node of this run, and the shared token identifies none")
    if issued_token is None:
        return left(f"the shared token was not issued to {node.name} in this run")
    if request.created < issued_token.created:
        return left(f"it is older than the issue of the shared token to {node.name}")
    others = (r for r in approved if r.signer == CLIENT and r.uid != request.uid)
    if any(node_asked_for(r) == name and r.created >= issued_token.created for r in others):
        return left(f"another request in {node.name}'s name was approved before")
    if flaw := _flaw(request, node, dns=(), addresses=()):
        return left(flaw)
    if node.name not in keys:
        return left(f"the key that waits on {node.name}'s host is not known yet", asks=True)
    if flaw := _key_flaw(request, node, keys[node.name]):
        return left(flaw)
    reason = f"asked for with the shared token, for {node.name}'s name{_AND_KEY}"
    return Verdict(True, "client", node.name, reason)


def _judge_serving(request: SigningRequest, candidates: Collection[Candidate]) -> Verdict:
    node = next((c for c in candidates if request.username == f"system:node:{c.name}"), None)

    def left(reason: str) -> Verdict:
        return Verdict(False, "serving", node.name if node else None, reason)

    if request.state != "Pending":
        return left(f"it is already {request.state}")
    if node is None:
        return left(f"its requester {request.username!r} is not a configured node")
    if "system:nodes" not in request.groups:
        return left("its requester is not in the group system:nodes")
    dns, addresses = serving_names(node)
    if flaw := _flaw(request, node, dns=dns, addresses=addresses):
        return left(flaw)
    reason = f"asked for by {node.name} itself, for exactly its configured name and address"
    return Verdict(True, "serving", node.name, reason)


def node_asked_for(request: SigningRequest) -> str:
    """Return the node name in a request's subject, or empty."""
    try:
        subject = x509.load_pem_x509_csr(request.pem).subject
        names = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except Exception:  # an attacker's bytes
        return ""
    prefix = "system:node:"
    alone = len(names) == 1 and names[0].startswith(prefix)
    return names[0].removeprefix(prefix) if alone else ""


def serving_names(node: Candidate) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Return the DNS names and the IP addresses of a node's serving certificate.

    The kubelet puts there what its Node's addresses say (kubernetes
    `pkg/kubelet/certificate/kubelet.go`, addressesToHostnamesAndIPs): a node named by an IP
    address has no DNS name.
    """
    addresses = (node.address, node.second) if node.second else (node.address,)
    if _is_address(node.name):
        return (), tuple(sorted({node.name, *addresses}))
    return (node.name,), addresses


def missing_names(held: Pem, names: Collection[str]) -> tuple[str, ...]:
    """Return those names and addresses of a server that its certificate is not good for."""
    try:
        found = read(held).names
    except BadCertificateError:
        found = frozenset()
    return tuple(name for name in names if name not in found)


def _flaw(
    request: SigningRequest, node: Candidate, *, dns: tuple[str, ...], addresses: tuple[str, ...]
) -> str | None:
    """Return what is wrong with the request itself, or None."""
    wanted = _USAGES[request.signer]
    if len(set(request.usages)) != len(request.usages) or not (
        wanted <= set(request.usages) <= wanted | _OPTIONAL_USAGE
    ):
        return f"its usages are {_cut(_listed(request.usages))}, not {_listed(sorted(wanted))}"
    if len(request.pem) > MOST_BYTES:
        return f"it is longer than a kubelet's request: {len(request.pem)} bytes"
    if not _ONE_BLOCK.fullmatch(request.pem):
        return "it is not exactly one PEM block of a request"
    try:
        csr = x509.load_pem_x509_csr(request.pem)
        attributes = [attribute.oid for attribute in csr.attributes]
        signed = csr.is_signature_valid
        subject = sorted((a.oid.dotted_string, str(a.value)) for a in csr.subject)
        extensions = {extension.oid for extension in csr.extensions}
        names = _alternative_names(csr)
        public_bytes(csr)
    except Exception:  # an attacker's bytes: however parsing fails, the answer is no
        return "it is not a readable PKCS#10 request"
    if attributes not in ([], [_EXTENSION_REQUEST]):
        return "it carries more than one request for extensions"
    if not signed:
        return "its own signature is invalid"
    expected = sorted(
        [
            (NameOID.ORGANIZATION_NAME.dotted_string, "system:nodes"),
            (NameOID.COMMON_NAME.dotted_string, f"system:node:{node.name}"),
        ]
    )
    if subject != expected:
        asked = _cut(repr(csr.subject.rfc4514_string()))
        return f"its subject is {asked}, not 'O=system:nodes, CN=system:node:{node.name}'"
    expected_names = sorted([*(("dns", n) for n in dns), *(("ip", a) for a in addresses)])
    if names != expected_names:
        return f"its names are {_cut(_shown(names))}, not {_shown(expected_names)}"
    allowed = {ExtensionOID.SUBJECT_ALTERNATIVE_NAME} if expected_names else set()
    if others := extensions - allowed:
        return f"it asks for the extension {min(oid.dotted_string for oid in others)}"
    return None


def _key_flaw(request: SigningRequest, node: Candidate, key: HostKey) -> str | None:
    """Return why the request's key is not the one that waits on the node's host, or None."""
    if key.fault:
        return f"the key on {node.name}'s host can't be read: {key.fault}"
    if not key.public:
        return f"no key waits on {node.name}'s host to compare it with"
    if public_bytes(x509.load_pem_x509_csr(request.pem)) != key.public:
        return f"its key is not the one that waits on {node.name}'s host"
    return None


def _alternative_names(csr: x509.CertificateSigningRequest) -> list[tuple[str, str]]:
    """Return kind and value of every subject alternative name, sorted, of whatever kind."""
    try:
        extension = csr.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        return []
    if not isinstance(extension.value, x509.SubjectAlternativeName):
        raise TypeError("unreadable subjectAltName")
    kinds = {"DNSName": "dns", "IPAddress": "ip"}
    named = [(type(name).__name__, str(name.value)) for name in extension.value]
    return sorted((kinds.get(kind, kind), value) for kind, value in named)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _listed(items: Collection[str]) -> str:
    return ", ".join(items) or "none"


def _cut(text: str) -> str:
    """Shorten an attacker's text for use in a reason."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _shown(names: list[tuple[str, str]]) -> str:
    return ", ".join(f"{kind}:{value!r}" for kind, value in names) or "none"
