# ruff: noqa: E501 - one line per case reads best
"""Hosts of a first configuration get the names, addresses and architectures that they report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fabnode.config.host_list import Host
from fabnode.config.starter import Findings, Known, Network
from fabnode.deploy.found_artifacts import Artifacts
from fabnode.deploy.identified_hosts import identified, with_architectures
from fabnode.remote.host_identity import HostIdentity

if TYPE_CHECKING:
    from pathlib import Path

A, B, SIX = "192.0.2.11", "192.0.2.12", "2001:db8::11"
BOTH = (("eth0", A), ("eth0", SIX))


def identity(name: str = "web-1", addresses: tuple[tuple[str, str], ...] = BOTH) -> HostIdentity:
    return HostIdentity("x86_64", name, addresses, frozenset({"eth0"}))


@pytest.mark.parametrize(
    ("host", "found", "seen", "unseen"),
    [
        (Host("n1", A), identity(), (SIX,), {}),
        (Host("n1", SIX), identity(), (A,), {}),
        (Host("n1", "n1.example.org"), identity(), (A, SIX), {}),
        (Host("n1", "fe80::1%eth0"), identity(), (A, SIX), {}),
        (Host("n1", A, f"{A},{SIX}"), identity(), (), {}),
        (Host("n1", "n1.example.org", seen=(B,)), identity(), (B, SIX), {}),
        (Host("n1", A), identity(addresses=(("eth0", A),)), (), {6: "it has no IPv6 address of its own."}),
        (
            Host("n1", A),
            identity(addresses=(*BOTH, ("eth0", "fd00::11"))),
            (),
            {6: f"it has several IPv6 addresses: {SIX}, fd00::11."},
        ),
        (
            Host("n1", "n1.example.org", unseen={4: "this machine knows no IPv4 address of it.", 6: "x"}),
            identity(addresses=(("eth0", A),)),
            (A,),
            {6: "it has no IPv6 address of its own."},
        ),
    ],
)  # fmt: skip
def test_a_host_gets_the_addresses_that_nobody_gave(
    host: Host, found: HostIdentity, seen: tuple[str, ...], unseen: dict[int, str]
) -> None:
    (made,) = identified([host], {"n1": found})
    assert (made.name, made.address, made.ip) == (host.name, host.address, host.ip)
    assert (made.seen, dict(made.unseen)) == (seen, unseen)


@pytest.mark.parametrize(
    ("hosts", "names", "wanted"),
    [
        ([A, B], ["web-1", "web-2"], ["web-1", "web-2"]),
        ([A, B], ["Web-1.example.org", "web-2"], ["web-1.example.org", "web-2"]),
        ([A, B], ["web", "web"], [A, B]),  # of one image
        ([A, B], ["localhost", "debian"], [A, B]),
        ([A, B], ["web_1", "x" * 64], [A, B]),
        ([A, f"n1 {B}"], ["n1", "n9"], [A, "n1"]),  # that name is taken
        ([f"n1 {A}", B], ["web-1", "web-2"], ["n1", "web-2"]),
        ([A, B], ["web-1", ""], ["web-1", B]),  # which was not asked
    ],
)
def test_a_host_that_was_given_by_its_address_has_its_own_name(
    hosts: list[str], names: list[str], wanted: list[str]
) -> None:
    given = [Host(each.split()[0], each.split()[-1]) for each in hosts]
    found = {
        host.name: identity(name, (("eth0", host.address),))
        for host, name in zip(given, names, strict=True)
        if name
    }
    assert [each.name for each in identified(given, found)] == wanted
    assert [each.name for each in identified(given, found, keep_addresses=True)] == [
        each.name for each in given
    ]


def test_hosts_that_are_mixed_up_are_named() -> None:
    made = identified(
        [Host("n1", A), Host("n2", B)],
        {"n1": identity("n2", (("eth0", A),)), "n2": identity("n1", (("eth0", B),))},
    )
    assert [each.doubts for each in made] == [
        (f"{A} calls itself n2, which is another host's name here.",),
        (f"{B} calls itself n1, which is another host's name here.",),
    ]


def test_hosts_that_were_not_asked_stay_as_they_are() -> None:
    hosts = [Host("n1", A), Host("n2", "n2.example.org", why="it is a name.")]
    assert identified(hosts, {}) == hosts


def findings() -> Findings:
    return Findings(kubeconfig="x", origin="x", cluster={}, network=Network(), remarks=("before",))


def program(machine: int) -> bytes:
    return b"\x7fELF\x02\x01" + bytes(12) + machine.to_bytes(2, "little") + bytes(8)


@pytest.mark.parametrize(
    ("machines", "kubelets", "wanted", "remark"),
    [
        ({"n1": "x86_64"}, ["bin"], None, ""),
        ({"n1": "x86_64"}, [], None, ""),
        ({"n1": "aarch64", "n2": "aarch64"}, [], ["arm64"], ""),
        ({"n1": "aarch64", "n2": "x86_64"}, ["bin/amd64", "bin/arm64"], ["amd64", "arm64"], ""),
        (
            {"n1": "aarch64", "n2": "x86_64"},
            ["bin"],
            ["amd64", "arm64"],
            "n1: arm64, and the kubelets in {bin} are for amd64: put those of arm64 in a folder arm64 there.",
        ),
        ({"n1": "armv7l"}, [], None, "n1: there are no programs for armv7l, amd64 and arm64 alone."),
        (
            {f"n{n}": "riscv64" for n in range(7)},
            [],
            None,
            "n0, n1, n2, n3, n4 and 2 more hosts: there are no programs for riscv64, amd64 and arm64 alone.",
        ),
        ({}, ["bin"], None, ""),
    ],
)  # fmt: skip
def test_programs_are_wanted_for_what_hosts_are(
    machines: dict[str, str],
    kubelets: list[str],
    wanted: list[str] | None,
    remark: str,
    tmp_path: Path,
) -> None:
    for place in kubelets:
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "kubelet").write_bytes(program(183 if "arm64" in place else 62))
    parts = Artifacts(tmp_path, tmp_path / "bin") if kubelets else None
    hosts = [(name, HostIdentity(machine, name)) for name, machine in machines.items()]
    made = with_architectures(findings(), hosts, parts)
    fact = made.settings.get("artifacts.architectures")
    assert (fact.value if isinstance(fact, Known) else None) == wanted
    remarks = [remark.replace("{bin}", str(tmp_path / "bin"))] if remark else []
    assert list(made.remarks) == ["before", *remarks]
