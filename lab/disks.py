"""
The hosts' disks: a base of all, and what makes a host that host (name, address, keys).

A container has a layer over the base, a virtual host a disk image of its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from . import cache, pki
from .layout import JUMP, Host, Layout
from .shell import run

# overlayfs does not stack on overlayfs: what unpacks images or mounts volumes is bound instead.
BOUND = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet"}
BOUND_WITH_DOCKER = BOUND | {"docker": "/var/lib/docker"}

IMAGE = "disk.img"
SIZE = "8G"  # what is never written takes nothing of the machine's disk


def known_host(layout: Layout, host: Host) -> str:
    """Return a host's line for known_hosts, its key made first if it has none."""
    public = pki.make_ssh_key(layout.folder / "ssh" / f"host-{host.name}", host.name)
    kind, key = public.split()[:2]
    return f"{host.address},{host.name} {kind} {key}"


def kernel(root: Path) -> Path | None:
    """Return the kernel that a base has for virtual hosts, its newest."""
    return max((root / "boot").glob("vmlinuz-*"), default=None)


def is_virtual(layout: Layout, name: str) -> bool:
    """Return whether a host that has a disk is a virtual machine."""
    return (layout.host_folder(name) / IMAGE).exists()


def furnish(layout: Layout, host: Host, base: Path) -> None:
    """
    Make a host's disk unless it has one: a layer over the base with what is its own.

    Where the base has a kernel, an image is made of both; the jump host stays a container.
    """
    folder = layout.host_folder(host.name)
    remembered = folder / "base"
    if remembered.exists() and Path(remembered.read_text()).is_dir():
        return
    cache.remove(folder)
    docker = (base / "root/usr/sbin/dockerd").exists()
    for name in ("upper", "work", "root", *(BOUND_WITH_DOCKER if docker else BOUND)):
        (folder / name).mkdir(parents=True)
    for inside, text in own_files(layout, host).items():
        path = folder / "upper" / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    known_host(layout, host)
    ssh = folder / "upper/etc/ssh"
    ssh.mkdir(exist_ok=True)
    shutil.copy(layout.folder / "ssh" / f"host-{host.name}", ssh / "ssh_host_ed25519_key")
    shutil.copy(layout.key.with_suffix(".pub"), ssh / "lab_key.pub")
    remembered.write_text(str(base / "root"))
    if kernel(base / "root") and host.name != JUMP:
        _make_image(folder)


def _make_image(folder: Path) -> None:
    """Make the disk image of a virtual host: one ext4 file system, without partitions."""
    image = folder / IMAGE
    mount(folder)
    try:
        unfinished = image.with_suffix(".unfinished")
        run("mke2fs", "-q", "-F", "-t", "ext4", "-d", str(folder / "root"), str(unfinished), SIZE)
        unfinished.rename(image)
    finally:
        run("umount", str(folder / "root"))


def own_files(layout: Layout, host: Host) -> dict[str, str]:
    """Return the text files that make a host itself, by their path in it."""
    return {
        "etc/hostname": f"{host.name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{host.address} {host.name}\n",
        # Nobody answers there; a resolver that names an address is what a real host has.
        "etc/resolv.conf": f"nameserver {layout.gateway}\noptions timeout:1 attempts:1\n",
        # Sorts before systemd's own 80-container-host0.network, which would ask DHCP. A container's
        # interface is host0, a virtual host's named by its place on the PCI bus.
        "etc/systemd/network/10-lab.network": _network(layout, host),
    }


def _network(layout: Layout, host: Host) -> str:
    """Return a host's addresses and routes as systemd-networkd takes them."""
    both, of_ipv4 = layout.family == "dual", layout.family == "ipv4"
    links, more = "LinkLocalAddressing=no\n", ""
    if of_ipv4 or both:
        links = (
            f"Address={host.address}/{layout.subnet.prefixlen}\nGateway={layout.gateway}\n{links}"
        )
    if not of_ipv4:
        # Neighbours are found by link-local addresses; nobody else has any of these.
        links = links.replace("=no", "=ipv6")
        own = f"{host.second if both else host.address}/{layout.subnet6.prefixlen}"
        more = (
            f"\n[Address]\nAddress={own}\nDuplicateAddressDetection=none\n"
            f"\n[Route]\nGateway={layout.subnet6[1]}\n"
        )
    return (
        f"[Match]\nName=host0 en*\n\n[Network]\n{links}"
        f"LLDP=no\nEmitLLDP=no\nIPv6AcceptRA=no\n{more}"
    )


def mount(folder: Path) -> None:
    """Mount a host's layer over its base."""
    lower = Path((folder / "base").read_text())
    layers = {"lowerdir": lower, "upperdir": folder / "upper", "workdir": folder / "work"}
    options = ",".join(f"{key}={escape(path)}" for key, path in layers.items())
    run("mount", "-t", "overlay", "overlay", "-o", options, str(folder / "root"))


def escape(path: Path) -> str:
    """Return a path as overlayfs and nspawn take it, where ``:`` and ``,`` separate."""
    return str(path).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
