"""
The control plane's keys and certificates.

Names and organisations are those the components authorise by: see
"PKI certificates and requirements" in the Kubernetes documentation.
"""

from __future__ import annotations

import datetime
import ipaddress
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fabnode.util.atomic_write import atomic_write
from fabnode.util.families import split_values

from .layout import MAX_CONTROL_PLANES, Layout

VALID_DAYS = 3650
TRUSTED = "trusted-ca.pem"  # whom the control plane trusts: the CA, and while it changes, two


@dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate to issue; ``names`` are DNS names and addresses, for servers only."""

    file: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()


def leaves(layout: Layout) -> tuple[Leaf, ...]:
    """Return the cluster's certificates, but the nodes' own: those are fabnode's to get."""
    first_services = [str(ipaddress.ip_network(c)[1]) for c in split_values(layout.service_cidr)]
    service = [f"kubernetes.default.svc.{domain}" for domain in ("cluster.local",)]
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", *service, "localhost"]
    addresses = [str(address) for address in layout.control_planes(MAX_CONTROL_PLANES)]
    return (
        Leaf(
            "apiserver",
            "kube-apiserver",
            # Each by its own address, and all by one name.
            names=(*names, *addresses, *first_services, "127.0.0.1"),
        ),
        Leaf("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Leaf("controller-manager", "system:kube-controller-manager"),
        Leaf("scheduler", "system:kube-scheduler"),
        Leaf("admin", "fabnode-lab-admin", "system:masters"),
    )


def make(layout: Layout) -> None:
    """Make what is missing in the pki folder; everything secret is 0600."""
    folder = layout.pki
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A CA of its own for etcd: a client certificate of the cluster opens no etcd.
    for authority, wanted in (
        ("ca", leaves(layout)),
        (
            "etcd-ca",
            (
                Leaf("etcd", "etcd", names=(str(layout.gateway), "127.0.0.1")),
                Leaf("apiserver-etcd-client", "kube-apiserver-etcd-client"),
                Leaf("calico-etcd-client", "calico"),
            ),
        ),
    ):
        if not (folder / f"{authority}.pem").exists():
            _make_authority(folder, authority, f"{layout.name}-{authority}")
        for leaf in wanted:
            if not (folder / f"{leaf.file}.pem").exists():
                _issue(folder, authority, leaf)
    if not (folder / TRUSTED).exists():
        trust(layout, (folder / "ca.pem").read_bytes())
    if not (folder / "service-account.pub").exists():
        key = ec.generate_private_key(ec.SECP256R1())
        write_secret(folder / "service-account-key.pem", private_pem(key))
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (folder / "service-account.pub").write_bytes(public)
    if not layout.token_file.exists():
        token = secrets.token_hex(16)
        write_secret(layout.bootstrap_token, f"{token}\n".encode())
        line = f'{token},kubelet-bootstrap,10001,"system:kubelet-bootstrap"\n'
        write_secret(layout.token_file, line.encode())


def trust(layout: Layout, *authorities: bytes) -> None:
    """Have the control plane, once it is restarted, trust these CAs."""
    (layout.pki / TRUSTED).write_bytes(b"".join(authorities))


def new_authority(layout: Layout) -> bytes:
    """Make another CA, which signs nothing yet; return it, PEM."""
    _make_authority(layout.pki, "new-ca", f"{layout.name}-ca-2")
    return (layout.pki / "new-ca.pem").read_bytes()


def promote(layout: Layout) -> None:
    """Have the new CA, once the control plane is restarted, sign what is asked for."""
    for name in ("ca-key.pem", "ca.pem"):
        (layout.pki / f"new-{name}").replace(layout.pki / name)


def issue_again(layout: Layout) -> None:
    """Have the control plane's own certificates come from the CA as it is now."""
    for leaf in leaves(layout):
        (layout.pki / f"{leaf.file}.pem").unlink()
    make(layout)


def make_ssh_key(place: Path, comment: str) -> str:
    """Make an Ed25519 key for SSH unless it is there; return the public line."""
    public = place.with_name(f"{place.name}.pub")
    if not public.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        key = ed25519.Ed25519PrivateKey.generate()
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        write_secret(place, secret)
        line = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        public.write_text(f"{line.decode()} {comment}\n")
    return public.read_text().strip()


def write_secret(place: Path, content: bytes) -> None:
    """Write a file that is never, not for a moment, readable by others."""
    with atomic_write(place) as file:
        file.write(content)


def private_pem(key: PrivateKeyTypes) -> bytes:
    """Return a private key as PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _make_authority(folder: Path, file: str, common_name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name, "")
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    builder = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    _write(folder, file, key, builder.sign(key, hashes.SHA256()))


def _issue(folder: Path, authority: str, leaf: Leaf) -> None:
    signer = x509.load_pem_x509_certificate((folder / f"{authority}.pem").read_bytes())
    signer_key = serialization.load_pem_private_key(
        (folder / f"{authority}-key.pem").read_bytes(), password=None
    )
    assert isinstance(signer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    # etcd is a client of itself (its gRPC gateway), so its certificate has both usages.
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if leaf.names:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
    builder = (
        _builder(_name(leaf.common_name, leaf.organization), signer.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key.public_key()), False
        )
    )
    if leaf.names:
        names = [_general_name(name) for name in leaf.names]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write(folder, leaf.file, key, builder.sign(signer_key, hashes.SHA256()))


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
    )


def _name(common_name: str, organization: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write(
    folder: Path, file: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> None:
    write_secret(folder / f"{file}-key.pem", private_pem(key))
    (folder / f"{file}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
