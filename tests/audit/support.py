"""Evidence for the judges: a sound host, and what is wrong put into it."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode.audit.finding import Finding
from fabnode.audit.judge import judge
from fabnode.node.examination import (
    Anchor,
    Asked,
    Evidence,
    Program,
    Provenance,
    SecretFile,
    Text,
    UnitSeen,
)

from ..support import authority, pem

NOW = datetime.datetime.now(datetime.UTC)
KUBELET_UNIT = "/etc/systemd/system/kubelet.service"
PROXY_UNIT = "/etc/systemd/system/kube-proxy.service"
KUBELET_YAML = "/var/lib/kubelet/config.yaml"
PROXY_YAML = "/var/lib/kube-proxy/config.yaml"
CA = "/etc/kubernetes/ssl/ca.pem"
OWN = "/var/lib/kubelet/pki/kubelet-client-current.pem"

SOUND_KUBELET = """\
kind: KubeletConfiguration
authentication:
  x509:
    clientCAFile: /etc/kubernetes/ssl/ca.pem
readOnlyPort: 0
"""


def text(content: str, **how: Any) -> Text:
    data = content.encode()
    return Text(how.pop("mode", 0o644), hashlib.sha256(data).hexdigest(), data, **how)


def unit_file(command: str, *more: str) -> Text:
    return text("\n".join(["[Service]", f"ExecStart={command}", *more, ""]))


def public(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PublicFormat.OpenSSH
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, form).decode()


def issued(
    name: str, organization: str = "k8s", *, years: float = 1, ca: bool = False, own: bool = False
) -> tuple[str, str]:
    """
    Return a certificate of the cluster's CA, and the public half of its key.

    :param own: it is signed by another CA's key under the same name.
    """
    signer, signer_key = authority()
    key = ec.generate_private_key(ec.SECP256R1())
    if own:
        signer_key = ec.generate_private_key(ec.SECP256R1())
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(signer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(hours=1))
        .not_valid_after(NOW + datetime.timedelta(days=365.25 * years))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(signer_key, hashes.SHA256())
    )
    return pem(certificate).decode(), public(key)


def self_signed(name: str, organization: str = "k8s") -> tuple[str, str]:
    """Return a certificate that the cluster's CA did not sign, though it says so."""
    return issued(name, organization, own=True)


def secret(path: str, **what: Any) -> SecretFile:
    what.setdefault("blocks", len(what.get("certificates", ())) + len(what.get("keys", ())))
    how = {"mode": 0o600, "uid": 0, "reachable": True, "controlled": True, **what}
    return SecretFile(path, **how)


def anchor(*certificates: str, **what: Any) -> Anchor:
    """Return a file of root's with these certificates, that a program goes by."""
    what.setdefault("provenance", Provenance.ROOT_ONLY)
    what.setdefault("blocks", len(certificates))
    return Anchor(certificates=certificates, **what)


def sound(**changes: Any) -> Evidence:
    """Return a host on which no findings, but for `changes`."""
    kubelet = ("/usr/bin/kubelet", f"--config={KUBELET_YAML}", "--v=2")
    proxy = ("/usr/bin/kube-proxy", f"--config={PROXY_YAML}")
    certificate, key = issued("system:node:n1", "system:nodes")
    it = Evidence(
        uptime=1000.0,
        programs={"kubelet": Program(kubelet), "kube-proxy": Program(proxy)},
        units={
            "kubelet.service": UnitSeen("active", "running", 0, 100.0, (KUBELET_UNIT,)),
            "kube-proxy.service": UnitSeen("active", "running", 0, 100.0, (PROXY_UNIT,)),
        },
        texts={
            KUBELET_UNIT: unit_file(" ".join(kubelet)),
            PROXY_UNIT: unit_file(" ".join(proxy)),
            KUBELET_YAML: text(SOUND_KUBELET),
            PROXY_YAML: text("kind: KubeProxyConfiguration\nmode: iptables\n"),
        },
        files={
            CA: secret(CA, mode=0o644, certificates=(pem(authority()[0]).decode(),)),
            OWN: secret(OWN, certificates=(certificate,), keys=(key,)),
        },
        anchors={CA: anchor(pem(authority()[0]).decode())},
        rules={"filter": ("-A INPUT -j ACCEPT",), "nat": ()},
        proxied=True,
    )
    return replace(it, **changes)


def with_files(*files: SecretFile, **changes: Any) -> Evidence:
    it = sound(**changes)
    return replace(it, files={**it.files, **{file.path: file for file in files}})


def with_texts(texts: dict[str, Text], **changes: Any) -> Evidence:
    it = sound(**changes)
    return replace(it, texts={**it.texts, **texts})


def judged(evidence: Evidence, asked: Asked | None = None) -> list[Finding]:
    return list(
        judge(
            evidence,
            asked or Asked(pods=401, read_only=0),
            node="n1",
            ca_pem=pem(authority()[0]),
            now=NOW,
        )
    )


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding
