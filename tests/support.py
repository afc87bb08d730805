"""Things many tests need: a valid configuration with its files, quickly made."""

from __future__ import annotations

import datetime
import ipaddress
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode.config.loader import load
from fabnode.pki.certificates import new_request, sign_client
from fabnode.util.merging import merge_deep

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.config.configuration import Config

DOCUMENT: dict[str, Any] = {
    "cluster": {
        "version": "1.37.2",
        "apiserver": "https://192.0.2.1:6443",
        "ca": "ca.pem",
        "kubeconfig": "admin.kubeconfig",
        "service_cidr": "10.68.0.0/16",
        "pod_cidr": "172.20.0.0/16",
        "dns_address": "10.68.0.2",
    },
    "calico": {"allow_untested": True},
    "nodes": [
        {"name": "n1", "address": "192.0.2.11"},
        {"name": "n2", "address": "192.0.2.12"},
        {"name": "n3", "address": "192.0.2.13"},
    ],
}
"""The smallest configuration: three nodes, all else default."""

DUAL: dict[str, Any] = {
    "cluster": {
        "service_cidr": "10.68.0.0/16,fd00:10:68::/108",
        "pod_cidr": ["172.20.0.0/16", "fd00:172:20::/56"],
    },
    "nodes": [
        {"name": f"n{n}", "address": f"192.0.2.1{n}", "ip": f"192.0.2.1{n},2001:db8::1{n}"}
        for n in (1, 2, 3)
    ],
}
"""What makes of it one of two families."""

IPV6: dict[str, Any] = {
    "cluster": {
        "apiserver": "https://[2001:db8::1]:6443",
        "service_cidr": "fd00:10:68::/108",
        "pod_cidr": "fd00:172:20::/56",
        "dns_address": "fd00:10:68::2",
    },
    "nodes": [{"name": f"n{n}", "address": f"2001:db8::1{n}"} for n in (1, 2, 3)],
}
"""What makes of it one of IPv6 alone."""


@cache
def authority(
    common_name: str = "test-ca", days: int = 365
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return a self-signed CA and its key, the same for the whole test run."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def certificate(
    common_name: str,
    organization: str = "system:nodes",
    days: int = 365,
    by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
) -> str:
    """Return a client certificate of the test CA, or of another, as PEM."""
    ca, key = by or authority()
    request = new_request(common_name, {"organization": organization})
    return sign_client(request.request_pem, pem(ca), private_pem(key), days=days).decode()


def serving_certificate(
    node: str = "n1",
    *names: str,
    by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
) -> str:
    """
    Return a kubelet's serving certificate, as PEM.

    :param names: DNS names and addresses in it; none: those of the node in DOCUMENT.
    """
    ca, key = by or authority()
    found = names or (node, {each["name"]: each["address"] for each in DOCUMENT["nodes"]}[node])
    parts = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
        x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node}"),
    ]
    general: list[x509.GeneralName] = []
    for name in found:
        try:
            general.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            general.append(x509.DNSName(name))
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(parts))
        .issuer_name(ca.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName(general), critical=False)
        .sign(key, hashes.SHA256())
    )
    return pem(made).decode()


def write_cluster(directory: Path, text: str | None = None, **overrides: Any) -> Path:
    """
    Write a configuration and the files it names, and return its path.

    :param text: the YAML itself; left out: DOCUMENT with `overrides` merged in, mappings deep.
    """
    certificate, key = authority()
    (directory / "ca.pem").write_bytes(pem(certificate))
    (directory / "ca-key.pem").write_bytes(private_pem(key))
    (directory / "ca-key.pem").chmod(0o600)
    (directory / "admin.kubeconfig").write_text("apiVersion: v1\nkind: Config\n")
    (directory / "admin.kubeconfig").chmod(0o600)
    path = directory / "cluster.yml"
    path.write_text(text if text is not None else yaml.safe_dump(merge_deep(DOCUMENT, overrides)))
    return path


def make_config(directory: Path | None = None, **overrides: Any) -> Config:
    """
    Return a valid Config: DOCUMENT with `overrides` merged in (lists are replaced).

    `make_config(kubelet={"max_pods": 60})`. Files that it names live in `directory`; without one
    they are gone again, which is right for all that only reads the Config.
    """
    if directory is not None:
        return load(write_cluster(directory, **overrides))
    with tempfile.TemporaryDirectory(prefix="fabnode-test-") as temporary:
        return load(write_cluster(Path(temporary), **overrides))


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once this holds; ten seconds at most."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
