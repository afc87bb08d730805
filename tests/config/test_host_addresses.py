# ruff: noqa: E501 - one line per case reads best
"""Addresses that a first configuration gives a host: those that Services' families want."""

from __future__ import annotations

import pytest

from fabnode.config.host_addresses import HostAddresses, host_addresses
from fabnode.config.host_list import Host, numbered, parse
from fabnode.util.families import Family
from fabnode.util.problems import ConfigError

A, B, SIX, OTHER = "192.0.2.11", "192.0.2.12", "2001:db8::11", "2001:db8::12"
NAME = "n1.example.org"
UNSEEN: dict[Family, str] = {6: "this machine knows no IPv6 address of it."}


@pytest.mark.parametrize(
    ("host", "families", "wanted"),
    [
        (Host("n1", A), (4,), HostAddresses("")),
        (Host("n1", A, B), (4,), HostAddresses(B)),
        (Host("n1", NAME, seen=(A, SIX)), (4,), HostAddresses(A)),
        (Host("n1", NAME, seen=(A, SIX)), (6,), HostAddresses(SIX)),
        (Host("n1", NAME, seen=(A, SIX)), (6, 4), HostAddresses(f"{SIX},{A}")),
        (Host("n1", NAME, seen=(A, SIX)), (4, 6), HostAddresses(f"{A},{SIX}")),
        (Host("n1", A, f"{SIX},{A}"), (4, 6), HostAddresses(f"{SIX},{A}")),  # the given order stays
        (Host("n1", A, seen=(SIX,)), (6, 4), HostAddresses(f"{A},{SIX}")),
        (Host("n1", A, seen=(B, SIX)), (4, 6), HostAddresses(f"{A},{SIX}")),
        (Host("n1", SIX), (6,), HostAddresses("")),
        (Host("n1", "fe80::1%eth0", seen=(SIX,)), (6,), HostAddresses(SIX)),
        (
            Host("n1", A),
            (4, 6),
            HostAddresses("", (6,), f"Services have IPv4 and IPv6, and no IPv6 address of it is known. Write both, as {A},fd00:1::42"),
        ),
        (
            Host("n1", NAME, B, unseen=UNSEEN),
            (4, 6),
            HostAddresses("", (6,), f"Services have IPv4 and IPv6, and {UNSEEN[6]} Write both, as {B},fd00:1::42"),
        ),
        (
            Host("n1", A),
            (6,),
            HostAddresses("", (6,), "no IPv6 address of it is known.", f"{A} is left out of ip, for Services are of IPv6 alone."),
        ),
        (Host("n1", A, f"{A},{SIX}"), (4,), HostAddresses("", left_out=f"{SIX} is left out of ip, for Services are of IPv4 alone.")),
        (Host("n1", A, seen=(SIX,)), (6,), HostAddresses(SIX, left_out=f"{A} is left out of ip, for Services are of IPv6 alone.")),
        (Host("n1", NAME, why="it is a name."), (4,), HostAddresses("", (4,), "it is a name.")),
        (Host("n1", NAME), (4, 6), HostAddresses("", (4, 6), "no IPv4 and IPv6 address of it is known.")),
        # Where nobody knows what Services have: what was given, or one address.
        (Host("n1", A), (), HostAddresses("")),
        (Host("n1", NAME, seen=(A, SIX)), (), HostAddresses(A)),
        (Host("n1", NAME, f"{A},{SIX}"), (), HostAddresses(f"{A},{SIX}")),
        (Host("n1", NAME), (), HostAddresses("", (), "no address of it is known.")),
    ],
)  # fmt: skip
def test_a_host_gets_an_address_of_each_family_of_services(
    host: Host, families: tuple[Family, ...], wanted: HostAddresses
) -> None:
    assert host_addresses(host, families) == wanted


def test_a_line_may_have_an_address_of_each_family() -> None:
    text = f"n1 {A} {SIX}\nn2 {OTHER} {B}\n{A} n3\nn4 {OTHER}\n"
    found = parse(numbered(text), "hosts")
    assert [(host.name, host.address, host.ip) for host in found] == [
        ("n1", A, f"{A},{SIX}"),
        ("n2", OTHER, f"{OTHER},{B}"),
        ("n3", A, None),
        ("n4", OTHER, None),
    ]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"n1 {A} {B}", f"hosts:1: 'n1 {A} {B}' is more than a name and an address; one host a line: NAME ADDRESS, or only one of them; after both, an address of the other family"),
        (f"n1 {A} {SIX} {B}", f"hosts:1: 'n1 {A} {SIX} {B}' is more than a name and an address; one host"),
        (f"n1 {A} fe80::1%eth0", f"hosts:1: 'n1 {A} fe80::1%eth0' is more than a name and an address; one host"),
        (f"{A} {SIX} n1", f"hosts:1: '{A} {SIX} n1' is more than a name and an address; one host"),
        (SIX, f"hosts:1: '{SIX}': an IPv6 address is no name of a node; write one before it, as in node-1 {SIX}"),
        ("n1 fe80::1", "hosts:1: 'fe80::1': needs the interface of this machine by which it is reached; write it after a percent sign: fe80::1%eth0"),
        ("n1 2001:db8::g", "hosts:1: '2001:db8::g': must be an IPv4 or IPv6 address, or a host name"),
    ],
)  # fmt: skip
def test_other_lines_are_refused_with_a_hint(line: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(numbered(f"{line}\n"), "hosts")
    assert str(caught.value).startswith(sentence)
