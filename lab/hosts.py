"""
The hosts: systemd-nspawn containers with their own systemd, sshd, disk, cgroup and cable.

A host is bare when it is new; switching it off and on keeps its disk.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from fabnode.util.wait import Wait

from . import cache, cgroups, network, pki, processes
from .errors import LabError
from .layout import Host, Layout
from .shell import run

BOOT_SECONDS = 180.0
SHUTDOWN_SECONDS = 30.0

# overlayfs does not stack on overlayfs: what unpacks images or mounts volumes is bound instead.
BOUND = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet"}
BOUND_WITH_DOCKER = BOUND | {"docker": "/var/lib/docker"}


def running(layout: Layout, name: str) -> bool:
    """Return whether a host runs."""
    return processes.find(layout.record(name)) is not None


def boot(layout: Layout, host: Host, base: Path, warn: Callable[[str], None]) -> None:
    """Switch a host on and return when its systemd has started everything; on already is fine."""
    if running(layout, host.name):
        return
    clear(layout, host.name)
    _furnish(layout, host, base)
    folder = layout.host_folder(host.name)
    _mount(folder)
    processes.start(
        command(layout, host),
        layout.record(host.name),
        folder / "console.log",
        cgroups.make(layout.cgroup(host.name)),
    )
    _wait_booted(layout, host.name, warn)


def command(layout: Layout, host: Host) -> list[str]:
    """Return the command that is a host."""
    folder = layout.host_folder(host.name)
    bound = BOUND_WITH_DOCKER if (folder / "docker").is_dir() else BOUND
    binds = [f"--bind={_escape(folder / name)}:{inside}" for name, inside in bound.items()]
    if Path("/lib/modules").is_dir():
        binds.append("--bind-ro=/lib/modules")
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--settings=no",
        "--register=no",
        "--keep-unit",
        f"--directory={folder / 'root'}",
        f"--machine={layout.machine(host.name)}",
        f"--hostname={host.name}",
        f"--network-bridge={layout.bridge}",
        "--capability=all",
        "--system-call-filter=@module @known",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--bind=/dev/kmsg",
        *binds,
    ]


def execute(layout: Layout, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command inside a host, past its sshd."""
    leader = _leader(layout, name)
    if leader is None:
        raise LabError(f"host {name} is off: `inv lab.on {name}`")
    spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--root")
    enter = ["nsenter", f"--target={leader}", *spaces]
    return subprocess.run([*enter, *words], capture_output=True, text=True, check=False)


def switch_off(layout: Layout, name: str) -> None:
    """Shut a host down in order, or by force if it takes longer than half a minute."""
    record = layout.record(name)
    if (pid := processes.find(record)) is not None:
        processes.send(pid, signal.SIGTERM)  # nspawn asks the systemd inside to halt
        processes.wait_gone(record, SHUTDOWN_SECONDS)
    clear(layout, name)


def clear(layout: Layout, name: str) -> None:
    """End whatever is left of a host at once, as by pulling its plug; its disk stays."""
    record = layout.record(name)
    # All that ever ran for this host is in its cgroup, so nothing else can be hit.
    for pid in cgroups.members(layout.cgroup(name)) - {processes.find(record)}:
        processes.send(pid, signal.SIGKILL)
    if not processes.wait_gone(record, 5.0):  # nspawn goes, and tidies, after its child
        processes.stop(record, 0)
    network.remove_interface(layout, name)
    root = layout.host_folder(name) / "root"
    while root.is_mount():
        run("umount", str(root))
    cgroups.remove(layout.cgroup(name))


def remove(layout: Layout, name: str) -> None:
    """End a host and throw its disk away."""
    clear(layout, name)
    cache.remove(layout.host_folder(name))


def known_host(layout: Layout, host: Host) -> str:
    """Return a host's line for known_hosts, its key made first if it has none."""
    public = pki.make_ssh_key(layout.folder / "ssh" / f"host-{host.name}", host.name)
    kind, key = public.split()[:2]
    return f"{host.address},{host.name} {kind} {key}"


def _furnish(layout: Layout, host: Host, base: Path) -> None:
    """Make a host's disk unless it has one: a layer over the base with what is its own."""
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


def own_files(layout: Layout, host: Host) -> dict[str, str]:
    """Return the text files that make a host itself, by their path in it."""
    return {
        "etc/hostname": f"{host.name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{host.address} {host.name}\n",
        # Nobody answers there; a resolver that names an address is what a real host has.
        "etc/resolv.conf": f"nameserver {layout.gateway}\noptions timeout:1 attempts:1\n",
        # Sorts before systemd's own 80-container-host0.network, which would ask DHCP.
        "etc/systemd/network/10-lab.network": (
            "[Match]\nName=host0\n\n[Network]\n"
            f"Address={host.address}/{layout.subnet.prefixlen}\nGateway={layout.gateway}\n"
            "LinkLocalAddressing=no\nLLDP=no\nEmitLLDP=no\nIPv6AcceptRA=no\n"
        ),
    }


def _mount(folder: Path) -> None:
    lower = Path((folder / "base").read_text())
    layers = {"lowerdir": lower, "upperdir": folder / "upper", "workdir": folder / "work"}
    options = ",".join(f"{key}={_escape(path)}" for key, path in layers.items())
    run("mount", "-t", "overlay", "overlay", "-o", options, str(folder / "root"))


def _escape(path: Path) -> str:
    """Return a path as overlayfs and nspawn take it, where ``:`` and ``,`` separate."""
    return str(path).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _leader(layout: Layout, name: str) -> int | None:
    """Return the pid of a host's systemd."""
    nspawn = processes.find(layout.record(name))
    return next(iter(processes.children(nspawn)), None) if nspawn else None


def _wait_booted(layout: Layout, name: str, warn: Callable[[str], None]) -> None:
    record, wait = layout.record(name), Wait(f"host {name}", BOOT_SECONDS, 0.05)
    state = "starting"
    while state not in ("running", "degraded"):
        if processes.ended(record) or wait.over:
            console = layout.host_folder(name) / "console.log"
            last = "\n".join(console.read_text(errors="replace").splitlines()[-8:])
            raise LabError(f"host {name} does not boot ({state}): {console} ends with\n{last}")
        wait.pause()
        leader = _leader(layout, name)
        if leader and Path(f"/proc/{leader}/root/run/systemd/private").exists():
            left = max(1, int(wait.left))
            command = ("timeout", str(left), "systemctl", "is-system-running", "--wait")
            state = execute(layout, name, *command).stdout.strip()
    if state == "degraded":
        failed = execute(layout, name, "systemctl", "--failed", "--plain", "--no-legend").stdout
        units = ", ".join(line.split()[0] for line in failed.splitlines() if line)
        warn(f"host {name} is up, but degraded: {units} failed")
