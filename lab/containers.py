"""
Hosts that are systemd-nspawn containers, with their own systemd, sshd, cgroup and cable.

A host that reboots comes back, as `files/machine` sees to. Each boot has a boot id of its own:
nspawn makes one.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from fabnode.util.wait import Wait

from . import cgroups, disks, processes
from .errors import LabError
from .layout import Host, Layout

BOOT_SECONDS = 180.0
SHUTDOWN_SECONDS = 30.0

MACHINE = Path(__file__).parent / "files/machine"
_NSPAWN = "systemd-nspawn"


def boot(layout: Layout, host: Host, warn: Callable[[str], None]) -> None:
    """Switch a container on and return when its systemd has started everything."""
    folder = layout.host_folder(host.name)
    disks.mount(folder)
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
    bound = disks.BOUND_WITH_DOCKER if (folder / "docker").is_dir() else disks.BOUND
    binds = [f"--bind={disks.escape(folder / name)}:{inside}" for name, inside in bound.items()]
    if Path("/lib/modules").is_dir():
        binds.append("--bind-ro=/lib/modules")
    return [
        str(MACHINE),
        layout.cgroup(host.name),
        layout.cable(host.name),
        _NSPAWN,
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


def ask_to_halt(layout: Layout, name: str) -> None:
    """Begin the orderly end of a container that runs: nspawn asks the systemd inside to halt."""
    for pid in keepers(layout, name)[-1:]:
        processes.send(pid, signal.SIGTERM)


def keepers(layout: Layout, name: str) -> list[int]:
    """
    Return the processes around a container: the one that starts it again, and its nspawn.

    Both are outside of it. The second is missing for a moment when a host reboots.
    """
    recorded = processes.find(layout.record(name))
    if recorded is None:
        return []
    nspawns = [pid for pid in processes.children(recorded) if processes.name(pid) == _NSPAWN]
    return [recorded, *nspawns]


def _leader(layout: Layout, name: str) -> int | None:
    """Return the pid of a host's systemd."""
    around = keepers(layout, name)
    if len(around) < 2:
        return None
    return next(iter(processes.children(around[1])), None)


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
