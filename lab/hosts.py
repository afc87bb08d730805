"""
The hosts, as containers (`containers`) or virtual machines (`virtual_hosts`) with a disk each.

A host is bare when it is new; switching it off and on keeps its disk.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from . import cache, cgroups, containers, disks, network, processes, virtual_hosts
from .errors import LabError
from .layout import Host, Layout
from .shell import run


class Kind(Protocol):
    """What each kind of host does its own way."""

    SHUTDOWN_SECONDS: float

    def boot(self, layout: Layout, host: Host, warn: Callable[[str], None]) -> None:
        """Switch a host on and return when its systemd has started everything."""

    def execute(self, layout: Layout, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside a host that runs."""

    def ask_to_halt(self, layout: Layout, name: str) -> None:
        """Begin the orderly end of a host that runs."""

    def keepers(self, layout: Layout, name: str) -> list[int]:
        """Return the processes that tidy up after a host, and go by themselves when it is gone."""


def running(layout: Layout, name: str) -> bool:
    """Return whether a host runs."""
    return processes.find(layout.record(name)) is not None


def boot(layout: Layout, host: Host, base: Path, warn: Callable[[str], None]) -> None:
    """Switch a host on and return when its systemd has started everything; on already is fine."""
    if running(layout, host.name):
        return
    clear(layout, host.name)
    disks.furnish(layout, host, base)
    _kind(layout, host.name).boot(layout, host, warn)


def execute(layout: Layout, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as root inside a host: past a container's sshd, through a virtual host's."""
    if not running(layout, name):
        raise LabError(f"host {name} is off: `inv lab.on {name}`")
    return _kind(layout, name).execute(layout, name, *words)


def switch_off(layout: Layout, name: str) -> None:
    """Shut a host down in order, or by force if it takes too long."""
    kind = _kind(layout, name)
    if running(layout, name):
        kind.ask_to_halt(layout, name)
        processes.wait_gone(layout.record(name), kind.SHUTDOWN_SECONDS)
    clear(layout, name)


def clear(layout: Layout, name: str) -> None:
    """End whatever is left of a host at once, as by pulling its plug; its disk stays."""
    record = layout.record(name)
    # nspawn goes, and tidies, after its child; qemu has none.
    _kill(layout, name, set(_kind(layout, name).keepers(layout, name)))
    if not processes.wait_gone(record, 5.0):
        processes.stop(record, 0)
        _kill(layout, name, set())  # what it began while it was waited for: a host may reboot
    network.remove_interface(layout, name)
    root = layout.host_folder(name) / "root"
    while root.is_mount():
        run("umount", str(root))
    cgroups.remove(layout.cgroup(name))


def _kill(layout: Layout, name: str, spared: set[int]) -> None:
    """Kill all that ever ran for a host: it is in its cgroup, so nothing else can be hit."""
    for pid in cgroups.members(layout.cgroup(name)) - spared:
        processes.send(pid, signal.SIGKILL)


def remove(layout: Layout, name: str) -> None:
    """End a host and throw its disk away."""
    clear(layout, name)
    cache.remove(layout.host_folder(name))


def _kind(layout: Layout, name: str) -> Kind:
    return virtual_hosts if disks.is_virtual(layout, name) else containers
