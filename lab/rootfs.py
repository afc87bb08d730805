"""
The hosts' disk: a small Debian, made once and shared by all hosts under an overlay.

What every host has in common is here and in ``files/host``; what makes a host
that host (name, address, keys) is in ``hosts``.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from . import cache
from .errors import LabError
from .progress import Progress
from .versions import DEBIAN, DOCKER

COMMON_FILES = Path(__file__).parent / "files/host"
RUNC = Path(__file__).parent / "files/runc"

HOST_PACKAGES = (
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "ipset",
    "iproute2",
    "iptables",
    "ipvsadm",
    "kmod",
    "mount",
    "nftables",
    "openssh-server",
    "procps",
    "runc",
    "sudo",
    "systemd",
    "systemd-sysv",
    "util-linux",
    "zstd",
)
# An operator's docker. What Debian's docker.io would ask for besides is left out.
DOCKER_PACKAGES = ("adduser", "dmsetup", "docker.io", "libdevmapper1.02.1", "passwd", "tini")
# What a machine has and a container has not. The kernel's package makes its initrd.
VIRTUAL_PACKAGES = ("apparmor", "linux-image-cloud-amd64", "udev")
CALICO_PACKAGES = (
    "base-files",
    "bird",
    "busybox-static",
    "conntrack",
    "coreutils",
    "dash",
    "debianutils",
    "grep",
    "iproute2",
    "ipset",
    "iptables",
    "kmod",
    "libc-bin",
    "netbase",
    "procps",
    "runit",
    "sed",
)

# Nothing of a lab host's business, and each costs a boot of a hundred hosts some seconds.
MASKED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "nftables.service",
    "systemd-logind.service",
    "systemd-networkd-wait-online.service",
    "systemd-tmpfiles-setup-dev.service",  # mknod of what nspawn has put there already
)
ENABLED_UNITS = ("lab-mounts.service", "systemd-networkd.service")
NOT_WANTED = ("usr/share/doc/*", "usr/share/locale/*", "usr/share/man/*", "usr/share/info/*")


def host_base(runtime: str, suite: str, more: Iterable[str], progress: Progress) -> Path:
    """
    Return the folder with the hosts' base: ``root/`` and ``sudo-password``.

    It has the packages of ``more`` beside those of every host. With runtime docker, docker is
    installed and starts at boot: then it is the hosts' own. Users: root and ``dev`` (passwordless
    sudo) and ``ops`` (sudo with the password). No host keys and no machine-id: they are each host's
    own.
    """
    docker = runtime == DOCKER
    packages = (*HOST_PACKAGES, *(DOCKER_PACKAGES if docker else ()), *more)
    inputs = cache.digest(
        suite, *packages, *MASKED_UNITS, *ENABLED_UNITS, COMMON_FILES, RUNC, Path(__file__)
    )

    def make(folder: Path) -> None:
        brought = ", ".join([*(["docker"] if docker else []), *more])
        having = f" with {brought}" if brought else ""
        with progress.work(f"Debian {suite}{having} for the hosts") as report:
            folder.mkdir(parents=True)
            root = folder / "root"
            _bootstrap(suite, "minbase", packages, root, report)
            report("settings")
            _furnish(root)
            if docker:  # where it comes before Debian's own in docker's PATH
                shutil.copy(RUNC, root / "usr/local/sbin/runc")
            _make_users(root, folder / "sudo-password")

    return cache.make_once("rootfs", f"host-{inputs}", make)


def calico_base(progress: Progress) -> Path:
    """Return a folder with the programs calico/node calls, unpacked and nothing more."""
    return programs("calico", DEBIAN, CALICO_PACKAGES, progress)


def programs(purpose: str, suite: str, packages: Iterable[str], progress: Progress) -> Path:
    """Return a folder with Debian's programs for images, unpacked and nothing more."""
    packages = tuple(packages)
    inputs = cache.digest(suite, *packages, Path(__file__))

    def make(folder: Path) -> None:
        with progress.work(f"Debian programs for {purpose}'s images") as report:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _bootstrap(suite, "extract", packages, folder, report)

    return cache.make_once("rootfs", f"{purpose}-{inputs}", make)


def mmdebstrap(
    words: list[str], line: Callable[[str], None], environment: Mapping[str, str] = os.environ
) -> None:
    """Run mmdebstrap with what every Debian here has in common; ``line`` gets all it says."""
    if shutil.which("mmdebstrap") is None:
        raise LabError("mmdebstrap is missing: `lab/bootstrap.sh` installs what the lab needs")
    command = ["mmdebstrap", "--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"']
    command += [f"--dpkgopt=path-exclude=/{pattern}" for pattern in NOT_WANTED]
    command += ["--keyring=/usr/share/keyrings/debian-archive-keyring.gpg"]
    with subprocess.Popen(
        [*command, *words],
        env=environment,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for text in process.stdout:
            lines.append(text)
            line(text)
    if process.returncode:
        raise LabError(f"mmdebstrap failed: {''.join(lines[-15:]).strip()}")


def _bootstrap(
    suite: str, variant: str, packages: Iterable[str], root: Path, report: Callable[[str], None]
) -> None:
    def line(text: str) -> None:
        if text.startswith("I: "):
            report(text[3:].strip()[:50])

    words = [f"--variant={variant}", f"--include={','.join(packages)}"]
    words += ["--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    # Without one, mmdebstrap takes Debian's own.
    mirrors = filter(None, [os.environ.get("FABNODE_DEBIAN_MIRROR")])
    mmdebstrap([*words, suite, str(root), *mirrors], line)


def _furnish(root: Path) -> None:
    shutil.copytree(COMMON_FILES, root, dirs_exist_ok=True)
    (root / "etc/sudoers.d/dev").chmod(0o440)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    units = root / "etc/systemd/system"
    for unit in MASKED_UNITS:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    for unit in ENABLED_UNITS:
        wants = units / "multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        shipped = "/etc" if (units / unit).exists() else "/lib"
        (wants / unit).symlink_to(f"{shipped}/systemd/system/{unit}")


def _make_users(root: Path, password_file: Path) -> None:
    for command in (
        ["useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo", "ops"],
        ["useradd", "--create-home", "--shell", "/bin/bash", "dev"],
    ):
        subprocess.run(["chroot", str(root), *command], check=True)
    password = secrets.token_urlsafe(12)
    subprocess.run(
        ["chroot", str(root), "chpasswd"], input=f"ops:{password}\n", text=True, check=True
    )
    password_file.touch(mode=0o600)
    password_file.write_text(f"{password}\n")
