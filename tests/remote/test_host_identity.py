"""Who a host is: what is taken of what it reports, and what of its addresses may be its node's."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from fabnode.remote.host_identity import HostIdentity, parse
from fabnode.remote.script_assembly import assemble
from fabnode.ssh.errors import HostMisbehavedError

from .local import SHELLS

if TYPE_CHECKING:
    from fabnode.util.families import Family

HEAD = b"machine x86_64\nname web-1.example.org\n"


def addresses(*lines: str) -> tuple[tuple[str, str], ...]:
    text = "".join(
        f"address 2: {line}\\       valid_lft forever preferred_lft forever\n" for line in lines
    )
    return parse("n1", HEAD + text.encode()).addresses


@pytest.mark.parametrize("shell", SHELLS)
def test_this_machine_reports_itself(shell: list[str]) -> None:
    done = subprocess.run(
        [*shell, "-s"], input=assemble("identity"), capture_output=True, check=True
    )
    found = parse("n1", done.stdout)
    name = subprocess.run(["uname", "-n"], capture_output=True, check=True, text=True)
    assert found.name == name.stdout.strip()
    assert found.architecture in ("amd64", "arm64")
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "armv7l"), ("riscv64", "riscv64")],
)
def test_architectures_are_called_as_programs_are(machine: str, architecture: str) -> None:
    assert HostIdentity(machine, "x").architecture == architecture


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["eth0    inet 192.0.2.11/24 brd 192.0.2.255 scope global eth0"], ["eth0 192.0.2.11"]),
        (["eth0@if5    inet 192.0.2.11/24 scope global eth0"], ["eth0 192.0.2.11"]),
        (["ens3    inet6 2001:db8::11/64 scope global dynamic mngtmpaddr"], ["ens3 2001:db8::11"]),
        (["ens3    inet6 2001:DB8:0::11/128 scope global "], ["ens3 2001:db8::11"]),
        (["br-ex    inet 192.0.2.11/24 scope global br-ex"], ["br-ex 192.0.2.11"]),
        (["lo    inet 192.0.2.11/32 scope global lo"], []),
        (["br-0123456789ab    inet 172.18.0.1/16 scope global x"], []),
        (["docker0    inet 172.17.0.1/16 scope global docker0"], []),
        (["cali12    inet 10.1.1.1/32 scope global", "tunl0    inet 10.1.1.0/32 scope global"], []),
        (["vxlan.calico    inet 10.1.1.0/32 scope global x"], []),
        (["kube-ipvs0    inet 10.68.0.1/32 scope global kube-ipvs0"], []),
        (["ens3    inet6 2001:db8::a/64 scope global temporary dynamic "], []),
        (["ens3    inet6 2001:db8::a/64 scope global deprecated dynamic "], []),
        (["ens3    inet6 2001:db8::a/64 scope global dadfailed tentative "], []),
        (["ens3    inet 192.0.2.99/24 scope global secondary ens3:vip"], []),
        (["ens3    inet6 fe80::1/64 scope link "], []),
        (["ens3    inet 169.254.0.9/16 scope global ens3"], []),
        (["ens3    inet 127.0.0.2/8 scope global ens3"], []),
        (["ens3    inet 192.0.2.300/24 scope global", "ens3    ether x", "ens3", ""], []),
    ],
)  # fmt: skip
def test_lasting_addresses_of_its_outside_are_taken(lines: list[str], wanted: list[str]) -> None:
    assert [" ".join(pair) for pair in addresses(*lines)] == wanted


def test_interfaces_of_default_routes_are_known() -> None:
    routes = (
        b"default default via 192.0.2.1 dev eth1 proto dhcp metric 100\ndefault default dev ppp0\n"
    )
    assert parse("n1", HEAD + routes).defaults == {"eth1", "ppp0"}
    assert parse("n1", HEAD + b"default unreachable default\ndefault\n").defaults == set()


SEVERAL = HostIdentity(
    "x86_64",
    "n1",
    (
        ("eth0", "192.0.2.11"),
        ("eth0", "2001:db8::11"),
        ("eth1", "198.51.100.11"),
        ("eth1", "2001:db8:1::11"),
        ("eth1", "2001:db8:1::12"),
    ),
    frozenset({"eth1"}),
)


@pytest.mark.parametrize(
    ("family", "beside", "wanted"),
    [
        (6, ["192.0.2.11"], ("2001:db8::11",)),  # of the same interface
        (4, ["2001:db8:1::12"], ("198.51.100.11",)),
        (6, ["198.51.100.11"], ("2001:db8:1::11", "2001:db8:1::12")),
        (4, [], ("198.51.100.11",)),  # of the default route's
        (4, ["203.0.113.1"], ("198.51.100.11",)),  # behind address translation
    ],
)
def test_addresses_beside_a_known_one_come_first(
    family: Family, beside: list[str], wanted: tuple[str, ...]
) -> None:
    assert SEVERAL.of_family(family, beside) == wanted


def test_without_a_default_route_all_count() -> None:
    alone = HostIdentity("x86_64", "n1", SEVERAL.addresses)
    assert alone.of_family(4, []) == ("192.0.2.11", "198.51.100.11")


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"machine x86_64\n",
        b"name n1\n",
        b"machine x86 64\nname n1\n",
        b"machine x86_64\nname n1;rm\n",
        b"machine x86_64\nname " + b"x" * 300 + b"\n",
        b"\x00\xff\x1b[2J" * 100,
    ],
)
def test_what_is_no_host_s_name_is_refused(output: bytes) -> None:
    with pytest.raises(HostMisbehavedError, match="does not tell its name"):
        parse("n1", output)


def test_many_lines_are_bounded() -> None:
    lines = b"".join(
        b"address 2: e%d inet 10.0.%d.%d/8\n" % (n, n // 250, n % 250) for n in range(9000)
    )
    assert len(parse("n1", HEAD + lines).addresses) == 256
