"""
A node as others would have made it, with their faults: for `inv audit` and `inv harden`.

Its certificates are signed here and good for fifty years, the CA's key and an administrator's
kubeconfig lie on it, its kubelet answers everybody, and each start adds iptables rules once more.
Two shapes: `3.7`, kubeasz's of today with configuration files, and `chapter`, that of 2017 with
flags, as far as today's kubelet knows them. `kubespray` has none of these faults: its kubelet's
credentials lie where kubeadm has them, and were issued for a year.
"""

from __future__ import annotations

import base64
import datetime
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fabnode.util.image_reference import ImageReference
from fabnode.util.wait import Wait

from . import cgroups, disks, hosts, pki
from .errors import LabError, LabInputError
from .layout import DNS_ADDRESS, POD_CIDR, Host, Layout
from .progress import Progress
from .shell import run
from .state import State
from .versions import BUSYBOX_IMAGE, PAUSE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = Path(__file__).parent / "files/kubeasz"
BIN = {"3.7": "/opt/kube/bin", "chapter": "/root/local/bin", "kubespray": "/usr/local/bin"}
YEARS = 50
STATIC_TOKEN = "d18f94b5fa585c7123f56803d925d2e7"  # noqa: S105 - the one kubeasz once shipped to all
STARTS = 3
_FAIL_CGROUP_V1 = 31  # the first minor release that knows this field of kubelet.yaml


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


def make(layout: Layout, state: State, host: Host, shape: str, progress: Progress) -> None:
    """Make a bare host a node of that shape; return when it is Ready."""
    if shape not in BIN:
        raise LabInputError(f"--shape wants one of {', '.join(BIN)}, not {shape!r}")
    if state.runtime != "containerd" or int(state.kubernetes.split(".")[1]) < _FAIL_CGROUP_V1:
        raise LabInputError(f"lab.kubeasz wants a lab of 1.{_FAIL_CGROUP_V1} or later, containerd")
    if disks.is_virtual(layout, host.name):
        raise LabInputError("such nodes are made of containers: `inv lab.up` without --vm")
    if not hosts.running(layout, host.name):
        raise LabError(f"host {host.name} is off: `inv lab.on {host.name}`")
    if hosts.execute(layout, host.name, "test", "-e", "/etc/kubernetes").returncode == 0:
        raise LabError(f"{host.name} is a node already: `inv lab.fresh --hosts {host.name}`")
    with progress.work(f"make {host.name} a node as kubeasz {shape}") as report:
        report("files")
        _copy_programs(layout, host, BIN[shape])
        for path, content, mode in files(layout, host, shape):
            _write(_outside(layout, host, path), content, mode)
        report("units")
        _on(layout, host, "systemctl daemon-reload && systemctl enable -q --now containerd")
        _on(layout, host, f"timeout 30 sh -c 'until {BIN[shape]}/ctr version; do sleep 0.1; done'")
        _import_images(layout, host, BIN[shape])
        _on(layout, host, "systemctl enable -q --now kubelet kube-proxy")
        report("Ready")
        _wait_ready(layout, host)
        report("more starts")
        for _ in range(STARTS - 1):
            _on(layout, host, "systemctl restart kubelet")
        _wait_ready(layout, host)


def files(layout: Layout, host: Host, shape: str) -> list[tuple[str, bytes, int]]:
    """Return all that such a deployment leaves on a node: path, content, mode."""
    values = {
        "name": host.name,
        "address": str(host.address),
        "bin": BIN[shape],
        "dns": DNS_ADDRESS,
        "pods": POD_CIDR,
        "pause": PAUSE_IMAGE,
        "driver": cgroups.driver(),
        "systemd": str(cgroups.driver() == "systemd").lower(),
    }

    def text(name: str) -> bytes:
        return (FILES / name).read_text().format(**values).encode()

    if shape == "kubespray":
        return _as_kubespray(layout, host, text)
    node = issue(layout, f"system:node:{host.name}", "system:nodes", host)
    proxy = issue(layout, "system:kube-proxy", "k8s")
    admin = issue(layout, "admin", "system:masters")
    ca, ca_key = ((layout.pki / name).read_bytes() for name in ("ca.pem", "ca-key.pem"))
    ssl = "/etc/kubernetes/ssl"
    found = [
        ("/etc/systemd/system/containerd.service", text("containerd.service"), 0o644),
        ("/etc/containerd/config.toml", text("containerd.toml"), 0o644),
        ("/etc/cni/net.d/10-default.conflist", text("10-default.conflist"), 0o644),
        ("/etc/systemd/system/kubelet.service", text(f"{shape}/kubelet.service"), 0o644),
        ("/var/lib/kubelet/config.yaml", text(f"{shape}/kubelet.yaml"), 0o644),
        ("/etc/systemd/system/kube-proxy.service", text(f"{shape}/kube-proxy.service"), 0o644),
        (f"{ssl}/ca.pem", ca, 0o644),
        (f"{ssl}/ca-key.pem", ca_key, 0o644),
        (f"{ssl}/kubelet.pem", node.certificate, 0o644),
        (f"{ssl}/kubelet-key.pem", node.key, 0o644),
        ("/etc/kubernetes/kubelet.kubeconfig", _kubeconfig(layout, ca, node), 0o600),
        ("/etc/kubernetes/kube-proxy.kubeconfig", _kubeconfig(layout, ca, proxy), 0o600),
        ("/etc/kubernetes/bootstrap.kubeconfig", _kubeconfig(layout, ca, None), 0o600),
        ("/root/.kube/config", _kubeconfig(layout, ca, admin), 0o600),
        ("/var/lib/kube-proxy/.keep", b"", 0o644),
    ]
    if shape == "3.7":
        found.append(
            ("/var/lib/kube-proxy/kube-proxy-config.yaml", text("3.7/kube-proxy.yaml"), 0o644)
        )
    else:
        found += [
            (f"{ssl}/admin.pem", admin.certificate, 0o644),
            (f"{ssl}/admin-key.pem", admin.key, 0o644),
        ]
    return found


def _as_kubespray(
    layout: Layout, host: Host, text: Callable[[str], bytes]
) -> list[tuple[str, bytes, int]]:
    ca = (layout.pki / "ca.pem").read_bytes()
    node = issue(layout, f"system:node:{host.name}", "system:nodes", years=1)
    proxy = issue(layout, "system:kube-proxy", "k8s", years=1)
    pair = "/var/lib/kubelet/pki/kubelet-client-current.pem"
    named = {"client-certificate": pair, "client-key": pair}
    return [
        ("/etc/systemd/system/containerd.service", text("containerd.service"), 0o644),
        ("/etc/containerd/config.toml", text("containerd.toml"), 0o644),
        ("/etc/cni/net.d/10-default.conflist", text("10-default.conflist"), 0o644),
        ("/etc/systemd/system/kubelet.service", text("kubespray/kubelet.service"), 0o644),
        ("/etc/kubernetes/kubelet-config.yaml", text("kubespray/kubelet.yaml"), 0o644),
        ("/etc/systemd/system/kube-proxy.service", text("3.7/kube-proxy.service"), 0o644),
        ("/var/lib/kube-proxy/kube-proxy-config.yaml", text("3.7/kube-proxy.yaml"), 0o644),
        ("/etc/kubernetes/ssl/ca.crt", ca, 0o644),
        (pair, node.certificate + node.key, 0o600),
        ("/etc/kubernetes/kubelet.conf", _kubeconfig_of(layout, ca, named), 0o600),
        ("/etc/kubernetes/kube-proxy.kubeconfig", _kubeconfig(layout, ca, proxy), 0o600),
        ("/var/lib/kube-proxy/.keep", b"", 0o644),
    ]


def issue(
    layout: Layout, name: str, organization: str, host: Host | None = None, years: int = YEARS
) -> Pair:
    """Sign a certificate with the lab's CA as cfssl would have: RSA."""
    ca = x509.load_pem_x509_certificate((layout.pki / "ca.pem").read_bytes())
    ca_key = serialization.load_pem_private_key(
        (layout.pki / "ca-key.pem").read_bytes(), password=None
    )
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = datetime.datetime.now(datetime.UTC)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=years * 365.25))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if host:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        names = [x509.DNSName(host.name), x509.IPAddress(host.address)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False).sign(
        ca_key, hashes.SHA256()
    )
    return Pair(
        signed.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,  # as cfssl writes it
            serialization.NoEncryption(),
        ),
    )


def _kubeconfig(layout: Layout, ca: bytes, pair: Pair | None) -> bytes:
    """Return a kubeconfig with a pair in it, or with the static token."""

    def data(content: bytes) -> str:
        return base64.b64encode(content).decode()

    user = {"token": STATIC_TOKEN}
    if pair:
        user = {
            "client-certificate-data": data(pair.certificate),
            "client-key-data": data(pair.key),
        }
    return _kubeconfig_of(layout, ca, user)


def _kubeconfig_of(layout: Layout, ca: bytes, user: dict[str, str]) -> bytes:
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "kubernetes",
                "cluster": {
                    "server": layout.apiserver,
                    "certificate-authority-data": base64.b64encode(ca).decode(),
                },
            }
        ],
        "contexts": [{"name": "default", "context": {"cluster": "kubernetes", "user": "user"}}],
        "current-context": "default",
        "users": [{"name": "user", "user": user}],
    }
    return yaml.safe_dump(whole).encode()


def _copy_programs(layout: Layout, host: Host, folder: str) -> None:
    for source, inside in (
        (layout.artifacts / "bin", folder),
        (layout.artifacts / "cni", "/opt/cni/bin"),
    ):
        target = _outside(layout, host, inside)
        target.mkdir(parents=True, exist_ok=True)
        for program in source.iterdir():
            shutil.copy(program, target)


def _import_images(layout: Layout, host: Host, folder: str) -> None:
    for name in (PAUSE_IMAGE, BUSYBOX_IMAGE):
        product = ImageReference.parse(name).repository.rpartition("/")[2]
        (archive,) = (p for p in (layout.artifacts / "images").iterdir() if product in p.name)
        inside = f"/root/{archive.name}"
        shutil.copy(archive, _outside(layout, host, inside))
        _on(layout, host, f"{folder}/ctr -n k8s.io images import {inside} && rm {inside}")


def _outside(layout: Layout, host: Host, path: str) -> Path:
    """Return where a host's path is on this machine."""
    folder = layout.host_folder(host.name)
    for name, inside in disks.BOUND.items():
        if path.startswith(f"{inside}/"):
            return folder / name / path.removeprefix(f"{inside}/")
    return folder / "root" / path.removeprefix("/")


def _write(place: Path, content: bytes, mode: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    pki.write_secret(place, content)
    place.chmod(mode)


def _on(layout: Layout, host: Host, script: str) -> None:
    done = hosts.execute(layout, host.name, "sh", "-c", script)
    if done.returncode:
        raise LabError(f"{host.name}: `{script}` failed: {(done.stderr or done.stdout).strip()}")


def _wait_ready(layout: Layout, host: Host) -> None:
    kubectl = (str(layout.kubectl), "--kubeconfig", str(layout.kubeconfig))
    wait = Wait(f"{host.name} to join", 60, 0.2)
    while not run(*kubectl, "get", "node", "--ignore-not-found", host.name).strip():
        if wait.over:
            raise LabError(f"{host.name} does not join: `inv lab.ssh {host.name}` and look there")
        wait.pause()
    run(*kubectl, "wait", "--for=condition=Ready", "--timeout=120s", f"node/{host.name}")
