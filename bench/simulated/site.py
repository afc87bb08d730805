"""What a user of the simulated hosts has: a configuration, artifacts, a key, known hosts."""

from __future__ import annotations

import io
import json
import tarfile
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import yaml

from tests.kube.apiserver import serving_pair
from tests.support import authority, pem

if TYPE_CHECKING:
    from pathlib import Path

    import asyncssh

_LOOPBACK = IPv4Address("127.20.0.1")  # of the first host; all of 127.0.0.0/8 is this machine
_FIRST = IPv4Address("10.20.0.1")  # the first host's address in the cluster's network
_PLUGINS = ("bandwidth", "bridge", "host-local", "loopback", "portmap", "tuning")
_PROGRAMS = ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "runc")
_RELEASE, _CALICO = "1.37.2", "3.28.5"
_IMAGES = {
    "pause": "registry.k8s.io/pause:3.10.1",
    "cni": f"docker.io/calico/cni:v{_CALICO}",
    "node": f"docker.io/calico/node:v{_CALICO}",
    "controllers": f"docker.io/calico/kube-controllers:v{_CALICO}",
    "busybox": "docker.io/library/busybox:1.37.0",
}


def addresses(hosts: int) -> list[str]:
    """Return the loopback addresses of so many hosts."""
    return [str(_LOOPBACK + number) for number in range(hosts)]


def write_files(folder: Path, manifest: Path | None) -> None:
    """Write all but the configuration. :param manifest: Calico's, where there is one."""
    (folder / "ca.pem").write_bytes(pem(authority()[0]))
    (folder / "serving.pem").write_bytes(serving_pair())
    for place, names in (("bin", _PROGRAMS), ("cni", _PLUGINS)):
        (folder / place).mkdir()
        for name in names:
            (folder / place / name).write_text(f"#!/bin/sh\n# {name}\n")
    (folder / "images").mkdir()
    for name, reference in _IMAGES.items():
        _archive(folder / "images" / f"{name}.tar", reference)
    if manifest:
        (folder / "calico.yaml").write_bytes(manifest.read_bytes())


def write_cluster(folder: Path, hosts: int, *, ssh_port: int, api_port: int) -> Path:
    """Write the configuration of the hosts; return its path."""
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "simulated",
                "cluster": {
                    "server": f"https://127.0.0.1:{api_port}",
                    "certificate-authority": str(folder / "ca.pem"),
                },
            }
        ],
        "users": [{"name": "bench", "user": {"token": "simulated"}}],
        "contexts": [{"name": "bench", "context": {"cluster": "simulated", "user": "bench"}}],
        "current-context": "bench",
    }
    _private(folder / "admin.kubeconfig", yaml.safe_dump(kubeconfig))
    calico: Any = {"version": _CALICO, "allow_untested": True, "manifest": "calico.yaml"}
    document = {
        "cluster": {
            "version": _RELEASE,
            "apiserver": f"https://127.0.0.1:{api_port}",
            "ca": "ca.pem",
            "kubeconfig": "admin.kubeconfig",
            "service_cidr": "10.68.0.0/16",
            "pod_cidr": "172.20.0.0/14",
            "dns_address": "10.68.0.2",
        },
        "ssh": {
            "port": ssh_port,
            "keys": ["id"],
            "known_hosts": ["known_hosts"],
            "connect_timeout": 60,
        },
        "artifacts": {"binaries": "bin", "cni_plugins": "cni", "images": ["images"]},
        "calico": calico if (folder / "calico.yaml").exists() else {"enabled": False},
        "nodes": [
            {"name": f"n{number}", "address": address, "ip": str(_FIRST + number - 1)}
            for number, address in enumerate(addresses(hosts), 1)
        ],
    }
    path = folder / "cluster.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def write_keys(folder: Path, user: asyncssh.SSHKey) -> None:
    """Write the user's private key."""
    _private(folder / "id", user.export_private_key("openssh").decode())


def write_known_hosts(folder: Path, hosts: int, port: int, key: asyncssh.SSHKey) -> None:
    """Write a line for each host, as its first login would."""
    public = key.export_public_key().decode().strip()
    lines = (f"[{address}]:{port} {public}\n" for address in addresses(hosts))
    (folder / "known_hosts").write_text("".join(lines))


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _archive(path: Path, reference: str) -> None:
    """Write an image archive as `docker save` does, with nothing in its layer."""
    index = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    parts = {"manifest.json": json.dumps(index), "config.json": "{}", "layer.tar": reference}
    with tarfile.open(path, "w") as archive:
        for name, text in parts.items():
            head = tarfile.TarInfo(name)
            head.size = len(text)
            archive.addfile(head, io.BytesIO(text.encode()))
