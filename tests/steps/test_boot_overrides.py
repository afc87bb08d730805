"""What the next boot would do otherwise: settings of the kernel and modules, by others' files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from fabnode.node import config_files
from fabnode.node.facts import Facts
from fabnode.node.resources import File, Sysctl
from fabnode.steps import prepare
from fabnode.steps.boot_overrides import findings
from tests.support import make_config

from .support import assert_finding, make_inputs
from .test_environment import JOINED

if TYPE_CHECKING:
    from fabnode.node.config_files import ConfigFiles
    from fabnode.node.resources import Resource
    from fabnode.steps.finding import Finding

LINK = "/etc/sysctl.d/99-sysctl.conf"
MAIN = "/etc/sysctl.conf"
CIS = "/etc/modprobe.d/overlay.conf"
OFF = ("net.ipv4.ip_forward = 0",)


def found(
    files: ConfigFiles, facts: Facts | None = None, more: tuple[Resource, ...] = ()
) -> tuple[Finding, ...]:
    facts = replace(facts or Facts(known=True), config_files=files)
    inputs = make_inputs(make_config(host={"sysctls": {"vm.max_map_count": 262144}}), facts)
    inputs = replace(inputs, now=datetime.now(UTC))
    return tuple(findings(inputs, (*prepare.desired(inputs), *more)))


ZRAM = "/run/systemd/generator/dev-zram0.swap"
GPT = "/run/systemd/generator.late/dev-disk-by\\x2ddesignator-swap.swap"
MAKER = ("Documentation=man:zram-generator(8)", "What=/dev/zram0")

CASES: list[tuple[ConfigFiles, str | None, str]] = [
    ({ZRAM: MAKER}, "error", "systemd turns swap on at the next boot (dev-zram0.swap), with"),
    ({GPT: ("What=/dev/sda3",)}, "error", "systemd turns swap on at the next boot (dev-disk-by"),
    ({ZRAM: MAKER, "/etc/systemd/system/dev-zram0.swap": ()}, None, ""),
    ({ZRAM: ("SourcePath=/etc/fstab", "What=/dev/sda3")}, None, ""),
    ({"/etc/systemd/system/old.swap": ("What=/old",)}, None, ""),
    ({LINK: OFF}, "error", f"{LINK} sets net.ipv4.ip_forward to 0 where 1 is wanted"),
    ({LINK: OFF, MAIN: OFF}, "error", f"{MAIN} sets net.ipv4.ip_forward to 0"),
    *(
        ({f"{folder}/zz.conf": OFF}, "error", f"{folder}/zz.conf sets net.ipv4.ip_forward")
        for folder in config_files.SYSCTL_FOLDERS
    ),
    ({LINK: ("net/ipv4/ip_forward=0",)}, "error", "net.ipv4.ip_forward to 0"),
    ({LINK: ("-net.ipv4.ip_forward = 0",)}, "error", "net.ipv4.ip_forward to 0"),
    # Other names of the same value, and patterns of them.
    *(
        (
            {LINK: (f"{name} = 0",)},
            "error",
            f"{LINK} sets net.ipv4.ip_forward (as {name.replace('/', '.')}) to 0 where 1 is wanted",
        )
        for name in (
            "net.ipv4.conf.all.forwarding",
            "net/ipv4/conf/all/forwarding",
            "net.ipv4.conf.*.forwarding",
        )
    ),
    ({LINK: ("net.ipv4.conf.default.forwarding=0", "net.ipv4.*.forwarding=0")}, None, ""),
    ({"/etc/sysctl.d/60-x.conf": ("net.ipv4.conf.all.forwarding = 0",)}, None, ""),
    ({LINK: ("vm.max_map_count=65530",)}, "error", "to 65530 where 262144 is wanted"),
    ({CIS: ("install overlay /bin/false",)}, "error", f"{CIS} keeps the module overlay from"),
    ({CIS: ("blacklist br-netfilter",)}, "error", "(blacklist br_netfilter)".replace("_", "-")),
    (
        {config_files.KERNEL_COMMAND_LINE: ("ro module_blacklist=x,overlay",)},
        "error",
        "the kernel's command line keeps the module overlay from",
    ),
    (
        {config_files.FSTAB: ("/dev/sda1 / ext4 defaults 0 1", "UUID=1 none swap sw 0 0")},
        "error",
        "/etc/fstab turns swap on at the next boot (UUID=1), with which the kubelet won't start",
    ),
    # Near misses.
    ({config_files.FSTAB: ("/dev/sda2 none swap sw,noauto 0 0",)}, None, ""),
    ({"/etc/sysctl.d/60-cis.conf": OFF}, None, ""),  # before 99-fabnode.conf
    ({"/usr/lib/sysctl.d/99-fabnode.conf": OFF}, None, ""),  # hidden by that
    ({"/etc/sysctl.d/99-fabnode.conf": OFF}, None, ""),  # an older one of ours
    ({LINK: (), "/usr/lib/sysctl.d/99-sysctl.conf": OFF}, None, ""),
    ({LINK: ("net.ipv4.ip_forward = 1", "kernel.x = 0")}, None, ""),
    ({LINK: ("net.*.ip_forward = 0",)}, None, ""),  # a key's own line wins
    ({CIS: ("install squashfs /bin/false", "blacklist pcspkr")}, None, ""),
    ({CIS: ("install overlay /sbin/modprobe -i overlay",)}, None, ""),
    ({config_files.KERNEL_COMMAND_LINE: ("ro quiet",)}, None, ""),
]


@pytest.mark.parametrize(("files", "level", "text"), CASES)
def test_each_override_is_found_with_its_fix(
    files: ConfigFiles, level: str | None, text: str
) -> None:
    assert_finding(found(files), level, text)


def test_a_node_that_has_joined_is_warned() -> None:
    """It runs well until it boots, and its certificates must be renewable meanwhile."""
    joined = Facts(known=True, **JOINED)  # type: ignore[arg-type]
    files = {LINK: OFF, CIS: ("blacklist overlay",)}
    assert {each.level for each in found(files, joined)} == {"warning"}


def test_what_is_part_of_the_kernel_needs_no_loading() -> None:
    built_in = Facts(known=True, built_in=frozenset({"overlay"}))
    assert found({CIS: ("blacklist overlay",)}, built_in) == ()


def test_settings_of_a_step_of_the_sites_own_count_as_well() -> None:
    key, path = "net.ipv4.tcp_keepalive_time", "/etc/sysctl.d/91-keepalive.conf"
    own = (File(path, f"{key} = 240\n".encode()), Sysctl(key, "240"))
    assert found({path: (f"{key} = 7200",)}, more=own) == ()
    (finding,) = found({LINK: (f"{key} = 7200",)}, more=own)
    assert f"{LINK} sets {key} to 7200 where 240 is wanted" in finding.text


def test_further_settings_are_written_and_set() -> None:
    inputs = make_inputs(make_config(host={"sysctls": {"vm.max_map_count": 262144}}))
    resources = prepare.desired(inputs)
    assert Sysctl("vm.max_map_count", "262144") in resources
    (file,) = (each for each in resources if getattr(each, "path", "").endswith("99-fabnode.conf"))
    assert isinstance(file, File)
    assert b"\nvm.max_map_count = 262144\n" in (file.content or b"")


def test_swap_at_boot_is_of_no_matter_where_it_is_on_already_or_wanted() -> None:
    files = {config_files.FSTAB: ("/dev/sda2 none swap sw 0 0",)}
    assert found(files, Facts(known=True, swap=2**30)) == ()  # an error of preflight's own
    inputs = make_inputs(
        make_config(kubelet={"fail_swap_on": False}), Facts(known=True, config_files=files)
    )
    assert tuple(findings(inputs, ())) == ()
