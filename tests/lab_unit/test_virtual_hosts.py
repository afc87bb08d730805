"""What a virtual host is to qemu, what it needs of the machine, how a lab of them differs."""

from __future__ import annotations

import platform
import shutil
import subprocess
from ipaddress import IPv4Network
from itertools import pairwise
from pathlib import Path

import pytest

from lab import cluster, configuration, disks, support, virtual_hosts
from lab import state as states
from lab.errors import LabInputError
from lab.layout import Layout
from lab.state import State

ONE = State(1, "1.37.2", jump=False, subnet="10.99.9.0/24", vm=True)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout("t", tmp_path / "a,b/.lab-t", IPv4Network("10.99.9.0/24"))


def options(words: list[str], name: str) -> list[str]:
    return [value for option, value in pairwise(words) if option == name]


def test_a_host_is_its_kernel_its_disk_and_its_cable(layout: Layout) -> None:
    kernel = Path("/base/boot/vmlinuz-6.1.0-9-cloud-amd64")
    words = virtual_hosts.command(layout, layout.node(2), kernel, virtual_hosts.EMULATION)
    assert words[0] == "qemu-system-x86_64"
    assert options(words, "-kernel") == [str(kernel)]
    assert options(words, "-initrd") == ["/base/boot/initrd.img-6.1.0-9-cloud-amd64"]
    (line,) = options(words, "-append")
    assert "root=/dev/vda" in line.split()
    assert "rootdelay" not in line, "the initrd sleeps that long"
    (disk,) = options(words, "-drive")
    assert disk.startswith(f"file={layout.folder.parent.parent}/a,,b/.lab-t/hosts/n2/disk.img,if=")
    assert options(words, "-netdev") == ["tap,id=cable,ifname=vb-t-n2,script=no,downscript=no"]
    assert options(words, "-device") == [
        "virtio-net-pci,netdev=cable,mac=52:54:00:63:09:0c,romfile="
    ]
    assert options(words, "-accel") == ["tcg"]
    assert options(words, "-cpu") == ["Westmere"]
    assert options(words, "-smp") == ["1"]
    assert "-no-reboot" not in words, "a host that reboots comes back"


@pytest.mark.parametrize(
    ("accelerator", "off"), [(virtual_hosts.EMULATION, True), (virtual_hosts.KVM, False)]
)
def test_an_emulated_processor_alone_needs_no_protection(
    accelerator: tuple[str, ...], off: bool, layout: Layout
) -> None:
    kernel = Path("/base/boot/vmlinuz-6.1.0-9-cloud-amd64")
    (line,) = options(virtual_hosts.command(layout, layout.node(2), kernel, accelerator), "-append")
    assert ("mitigations=off" in line.split()) is off


def test_cables_of_hosts_are_removed_by_the_name_nspawn_gives_them(layout: Layout) -> None:
    longest = Layout("a234567", layout.folder, layout.subnet).cable("n200")
    assert longest == "vb-a234567-n200"
    assert len(longest) <= 15


def test_the_newest_kernel_of_a_base_is_booted(tmp_path: Path) -> None:
    assert disks.kernel(tmp_path) is None
    (tmp_path / "boot").mkdir()
    for name in ("vmlinuz-6.1.0-8", "vmlinuz-6.1.0-9", "initrd.img-6.1.0-9"):
        (tmp_path / "boot" / name).touch()
    assert disks.kernel(tmp_path) == tmp_path / "boot/vmlinuz-6.1.0-9"


@pytest.mark.parametrize(
    ("printed", "wanted"),
    [
        (b"[    0.000000] Linux version 6.1.0", virtual_hosts.KVM),
        (b"", virtual_hosts.EMULATION),
        (subprocess.TimeoutExpired("qemu", 10, b"Linux version 6"), virtual_hosts.KVM),
        (subprocess.TimeoutExpired("qemu", 10, None), virtual_hosts.EMULATION),
    ],
)
def test_kvm_is_taken_where_a_kernel_boots_by_it_and_asked_once(
    printed: bytes | Exception,
    wanted: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        tries.append(words)
        if isinstance(printed, Exception):
            raise printed
        return subprocess.CompletedProcess(words, 0, printed)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(virtual_hosts, "KVM_DEVICE", tmp_path)
    monkeypatch.setattr(subprocess, "run", run)
    kernel = tmp_path / "vmlinuz-6.1.0-9"
    assert virtual_hosts.accelerator(kernel) == wanted
    assert virtual_hosts.accelerator(kernel) == wanted
    assert len(tries) == 1


def test_without_kvm_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(virtual_hosts, "KVM_DEVICE", tmp_path / "kvm")
    monkeypatch.delattr(subprocess, "run")
    assert virtual_hosts.accelerator(tmp_path / "vmlinuz-6.1.0-9") == virtual_hosts.EMULATION


@pytest.mark.parametrize("missing", ["qemu-system-x86_64", "mke2fs"])
def test_a_missing_program_comes_with_what_installs_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(support, "TUN", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else name)
    assert support.why_no_virtual_hosts() == (
        f"virtual hosts need {missing}: `lab/bootstrap.sh vm-test` installs it"
    )


def test_another_architecture_or_docker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "need such a machine, not aarch64" in str(support.why_no_virtual_hosts())
    with pytest.raises(LabInputError, match="virtual hosts have no docker"):
        cluster.check("t", State(1, "1.20.2", jump=False, subnet="", runtime="docker", vm=True))


def test_virtual_hosts_are_remembered_and_need_no_settings_for_containers(layout: Layout) -> None:
    states.save(layout, ONE)
    loaded = states.load("t", layout.folder.parent)
    assert loaded == (layout, ONE)
    text = configuration.cluster(layout, layout.nodes(1), ONE, [])
    assert "conntrack" not in text
    assert "restrict_oom_score_adj" not in text
