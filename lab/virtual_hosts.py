"""
Hosts that are virtual machines: a kernel, modules, cgroups and a disk image of their own.

The machine's KVM is used where it boots a kernel, and emulation elsewhere.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from fabnode.util.wait import Wait

from . import cache, cgroups, disks, login, network, processes
from .errors import LabError
from .layout import Host, Layout

BOOT_SECONDS = 900.0  # seen on a busy machine: five minutes
SHUTDOWN_SECONDS = 90.0
KVM_DEVICE = Path("/dev/kvm")
KVM_SECONDS = 10

PROCESSORS = 2  # of the machine's, for a host and what emulates it
MEMORY_MIB = 2048

KVM = ("-accel", "kvm", "-cpu", "host", "-smp", "2")
# One processor: two that are emulated wait for each other. On two cores, two hosts with one each
# started programs in 0.6 and hashed in 0.3 of the time that they took with two (2026-12-01).
# Not `max`: by that of qemu 7.2, a guest with Linux 6.1.192 has mounts that fail ("protocol") and
# namespaces that are busy, so no udev and no network.
EMULATION = ("-accel", "tcg", "-cpu", "Westmere", "-smp", "1")

# Debian's initrd waits for `rootdelay`'s seconds for a disk, and sleeps as long: so there is none.
BOOT = "root=/dev/vda rw console=ttyS0"
# What real processors are protected from costs an emulated one a third of its time in the kernel.
BOOT_EMULATED = f"{BOOT} mitigations=off"


def boot(layout: Layout, host: Host, warn: Callable[[str], None]) -> None:
    """Switch a virtual host on and return when its systemd has started everything."""
    folder = layout.host_folder(host.name)
    root = Path((folder / "base").read_text())
    kernel = disks.kernel(root)
    if kernel is None:
        raise LabError(f"{root} has no kernel for host {host.name}: `inv lab.fresh` makes both")
    network.add_tap(layout, host.name)
    processes.start(
        command(layout, host, kernel, accelerator(kernel)),
        layout.record(host.name),
        folder / "console.log",
        cgroups.make(layout.cgroup(host.name), PROCESSORS),
    )
    _wait_booted(layout, host, warn)


def command(layout: Layout, host: Host, kernel: Path, accelerator: tuple[str, ...]) -> list[str]:
    """Return the command that is a host; its console is the command's output. Pure."""
    image = _escape(layout.host_folder(host.name) / disks.IMAGE)
    return [
        "qemu-system-x86_64",
        "-name",
        layout.machine(host.name),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-serial",
        "stdio",
        *accelerator,
        "-m",
        str(MEMORY_MIB),
        "-kernel",
        str(kernel),
        "-initrd",
        str(initrd(kernel)),
        "-append",
        BOOT_EMULATED if accelerator == EMULATION else BOOT,
        # What the guest has written survives a pulled plug, whatever it flushed: it is in the
        # machine's page cache. What is still in the guest's own is lost, as with a real one.
        "-drive",
        f"file={image},if=virtio,format=raw,cache=unsafe,discard=unmap",
        "-netdev",
        f"tap,id=cable,ifname={layout.cable(host.name)},script=no,downscript=no",
        "-device",  # no ROM to boot from the network, which is a package of its own
        f"virtio-net-pci,netdev=cable,mac={mac(host)},romfile=",
    ]


def initrd(kernel: Path) -> Path:
    """Return a kernel's initrd, which Debian puts beside it."""
    return kernel.with_name(kernel.name.replace("vmlinuz-", "initrd.img-"))


def mac(host: Host) -> str:
    """Return a host's hardware address, as unique on the machine as its address."""
    return "52:54:00:" + host.address.packed[1:].hex(":")


def accelerator(kernel: Path) -> tuple[str, ...]:
    """
    Return qemu's options for the fastest way to run guests here.

    A /dev/kvm may be there and guests hang all the same, as where the machine is a guest itself: so
    a kernel's first words are awaited, once per boot of the machine.
    """
    known = cache.digest(processes.BOOT_ID.read_text(), kernel.name, *KVM, *EMULATION)

    def make(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(KVM if _kvm_boots(kernel) else EMULATION))

    return tuple(cache.make_once("accelerator", known, make).read_text().split())


def execute(layout: Layout, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as root on a virtual host, by ssh."""
    command = login.command(layout, layout.host(name), "root")
    options = ["BatchMode=yes", "ConnectTimeout=10"]
    # One that goes down meanwhile, or loses its power, says nothing any more.
    options += ["ServerAliveInterval=10", "ServerAliveCountMax=6"]
    command[1:1] = [word for option in options for word in ("-o", option)]
    return subprocess.run(
        [*command, shlex.join(words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def ask_to_halt(layout: Layout, name: str) -> None:
    """Begin the orderly end of a virtual host that runs."""
    execute(layout, name, "systemctl", "--no-block", "poweroff")


def keepers(layout: Layout, name: str) -> list[int]:
    """Return no process: qemu is the host, and leaves nothing to be tidied."""
    del layout, name
    return []


def _kvm_boots(kernel: Path) -> bool:
    if not KVM_DEVICE.exists():
        return False
    words = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    words += ["-serial", "stdio", "-m", "256", "-kernel", str(kernel)]
    words += ["-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(
            ["qemu-system-x86_64", *KVM, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=KVM_SECONDS,
        )
    except subprocess.TimeoutExpired as hung:
        return b"Linux version" in (hung.stdout or b"")
    return b"Linux version" in done.stdout


def _wait_booted(layout: Layout, host: Host, warn: Callable[[str], None]) -> None:
    record, wait = layout.record(host.name), Wait(f"host {host.name}", BOOT_SECONDS, 1.0)
    state = "starting"
    while state not in ("running", "degraded"):
        if processes.ended(record) or wait.over:
            console = layout.host_folder(host.name) / "console.log"
            last = "\n".join(console.read_text(errors="replace").splitlines()[-8:])
            raise LabError(f"host {host.name} does not boot ({state}): {console} ends with\n{last}")
        wait.pause()
        left = str(max(1, int(wait.left)))
        done = execute(
            layout, host.name, "timeout", left, "systemctl", "is-system-running", "--wait"
        )
        state = done.stdout.strip() or done.stderr.strip()
    if state == "degraded":
        listed = execute(
            layout, host.name, "systemctl", "--failed", "--plain", "--no-legend"
        ).stdout
        units = ", ".join(line.split()[0] for line in listed.splitlines() if line)
        warn(f"host {host.name} is up, but degraded: {units} failed")


def _escape(path: Path) -> str:
    """Return a path as qemu takes it in an option, where ``,`` separates."""
    return str(path).replace(",", ",,")
