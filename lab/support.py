"""Whether this machine can carry a lab."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from .shell import succeeds

# linux/capability.h: what mounts, bridges and hosts' own sysctls need.
NEEDED_CAPABILITIES = {"NET_ADMIN": 12, "SYS_CHROOT": 18, "SYS_ADMIN": 21, "MKNOD": 27}

TUN = Path("/dev/net/tun")


def why_not(folder: Path | None = None, *, vm: bool = False) -> str | None:
    """
    Return, in one sentence, why no lab can be here, or None if one can.

    ``folder`` is where its state would be; its file system must carry overlays.

    :param vm: the lab's hosts would be virtual machines.
    """
    if sys.platform != "linux":
        return "a lab needs Linux"
    if platform.machine() not in ("x86_64", "aarch64"):
        return f"a lab needs an amd64 or arm64 machine, not {platform.machine()}"
    if os.geteuid() != 0:
        return "a lab needs root: it makes mounts, a bridge and containers"
    for name, bit in NEEDED_CAPABILITIES.items():
        if not _capabilities() >> bit & 1:
            return f"a lab needs the capability CAP_{name}, which is not granted here"
    for command in ("systemd-nspawn", "mmdebstrap", "ip", "nsenter", "mount"):
        if shutil.which(command) is None:
            return f"a lab needs {command}: `lab/bootstrap.sh` installs it"
    if vm and (reason := why_no_virtual_hosts()):
        return reason
    if not any(Path("/sys/fs/cgroup").iterdir()):
        return "a lab needs cgroups, and /sys/fs/cgroup is empty"
    return _why_no_overlay(folder or Path.cwd())


def why_no_virtual_hosts() -> str | None:
    """Return, in one sentence, why no virtual hosts can be here, or None if they can."""
    if platform.machine() != "x86_64":
        return f"virtual hosts are of amd64 and need such a machine, not {platform.machine()}"
    if not TUN.exists():
        return "virtual hosts need /dev/net/tun: `modprobe tun`"
    for command in ("qemu-system-x86_64", "mke2fs"):
        if shutil.which(command) is None:
            return f"virtual hosts need {command}: `lab/bootstrap.sh vm-test` installs it"
    return None


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("CapEff:")[2].split()[0], 16)


def _why_no_overlay(parent: Path) -> str | None:
    with tempfile.TemporaryDirectory(dir=parent, prefix=".overlay-") as name:
        folder = Path(name)
        for part in ("lower", "upper", "work", "root"):
            (folder / part).mkdir()
        layers = "lowerdir=lower,upperdir=upper,workdir=work"
        mount = f"cd '{folder}' && mount -t overlay overlay -o {layers} root"
        if not succeeds("sh", "-c", mount):
            return f"a lab needs overlay mounts, and the file system of {parent} carries none"
        succeeds("umount", str(folder / "root"))
    return None
