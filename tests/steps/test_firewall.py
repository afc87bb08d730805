"""Firewalls that drop by default: rules as nft, firewalld, ufw and iptables print them."""

from __future__ import annotations

from textwrap import dedent

import pytest

from fabnode.cni.protocol import Port
from fabnode.steps.firewall import closed, unforwarded

KUBELET, VXLAN = Port("tcp", 10250, "kubelet"), Port("udp", 4789, "VXLAN")
BGP, IPIP = Port("tcp", 179, "BGP"), Port("ipip", 0, "IPIP")
ALL = (KUBELET, VXLAN, BGP, IPIP)


def nft(*rules: str, policy: str = "drop", others: str = "") -> str:
    body = "\n".join(f"        {rule}" for rule in rules)
    return (
        "table inet fw {\n    chain in {\n"
        f"        type filter hook input priority filter; policy {policy};\n{body}\n    }}\n"
        f"{others}}}\n"
    )


LO = 'iif "lo" accept'
STATE = "ct state established,related accept"
SSH = "tcp dport 22 accept"

FIREWALLD = dedent("""\
    table inet firewalld {
        chain filter_INPUT {
            type filter hook input priority filter + 10; policy accept;
            ct state { established, related } accept
            ct status dnat accept
            iifname "lo" accept
            jump filter_INPUT_ZONES
            ct state { invalid } drop
            reject with icmpx admin-prohibited
        }
        chain filter_INPUT_ZONES {
            iifname "eth0" goto filter_IN_public
            goto filter_IN_public
        }
        chain filter_IN_public {
            jump filter_IN_public_allow
            meta l4proto { icmp, ipv6-icmp } accept
        }
        chain filter_IN_public_allow {
            tcp dport 22 ct state { new, untracked } accept
            ip6 daddr fe80::/64 udp dport 546 ct state { new, untracked } accept
            EXTRA
        }
        chain filter_FORWARD {
            type filter hook forward priority filter + 10; policy accept;
            reject with icmpx admin-prohibited
        }
    }
    """)
UFW = dedent("""\
    -P INPUT DROP
    -P FORWARD DROP
    -P OUTPUT ACCEPT
    -N ufw-before-input
    -N ufw-user-input
    -N ufw-after-input
    -A INPUT -j ufw-before-input
    -A INPUT -j ufw-user-input
    -A INPUT -j ufw-after-input
    -A ufw-after-input -p udp -m udp --dport 137 -j ufw-skip-to-policy-input
    -A ufw-before-input -i lo -j ACCEPT
    -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    -A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
    -A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
    -A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
    -A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
    """)
RHEL = dedent("""\
    -P INPUT ACCEPT
    -A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
    -A INPUT -p icmp -j ACCEPT
    -A INPUT -i lo -j ACCEPT
    -A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
    -A INPUT -j REJECT --reject-with icmp-host-prohibited
    """)


def missing(text: str, program: str = "nft") -> set[Port]:
    """Return the ports that some filter seems not to admit."""
    gates = closed([(program, line) for line in text.splitlines()], ALL)
    return {port for gate in gates for port in gate.missing}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((LO, STATE, SSH), set(ALL)),
        ((LO, STATE, SSH, "tcp dport 10250 accept"), {VXLAN, BGP, IPIP}),
        (
            (LO, "tcp dport { 22, 179, 10000-11000 } counter packets 1 bytes 2 accept"),
            {VXLAN, IPIP},
        ),
        ((LO, "udp dport 4789 ip saddr 10.0.0.0/8 accept"), {KUBELET, BGP, IPIP}),
        ((LO, "ip protocol 4 accept"), {KUBELET, VXLAN, BGP}),
        ((LO, "ip saddr 10.0.0.0/8 accept"), set()),
        ((LO, "meta l4proto tcp accept"), {VXLAN, IPIP}),
        ((LO, "tcp dport @services accept"), {VXLAN, IPIP}),
        ((LO, STATE, "icmp type echo-request accept"), set(ALL)),
        ((LO, STATE, SSH, "drop"), set(ALL)),
        ((LO, "accept"), set()),
        ((), set(ALL)),
    ],
)
def test_rules_of_nft(rules: tuple[str, ...], expected: set[Port]) -> None:
    assert missing(nft(*rules)) == expected


@pytest.mark.parametrize(
    "text",
    [
        nft(LO, policy="accept"),
        nft(LO, "tcp dport 23 drop", policy="accept"),
        nft(LO, "ct state invalid drop", "limit rate over 9/second drop", policy="accept"),
        nft().replace("hook input", "hook forward"),
        nft().replace("table inet", "table ip6"),
        nft().replace("table inet", "table bridge"),
        "",
        "nonsense {\n}\n}\n",
    ],
)
def test_a_firewall_that_admits_by_default_is_none(text: str) -> None:
    assert closed([("nft", line) for line in text.splitlines()], ALL) == ()


@pytest.mark.parametrize("end", ["drop", "counter drop", 'log prefix "x" drop', "reject"])
def test_a_last_rule_drops_like_a_policy(end: str) -> None:
    assert missing(nft(LO, SSH, end, policy="accept")) == set(ALL)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("", set(ALL)),
        ("tcp dport 10250 ct state { new, untracked } accept", {VXLAN, BGP, IPIP}),
        ("udp dport 4789 accept", {KUBELET, BGP, IPIP}),
    ],
)
def test_firewalld(extra: str, expected: set[Port]) -> None:
    assert missing(FIREWALLD.replace("EXTRA", extra)) == expected


@pytest.mark.parametrize("text", [UFW, RHEL])
@pytest.mark.parametrize(
    ("chain", "rule", "expected"),
    [
        ("", "", set(ALL)),
        ("INPUT", "-p tcp -m multiport --dports 179,10250:10260 -j ACCEPT", {VXLAN, IPIP}),
        ("INPUT", "-s 10.0.0.0/8 -j ACCEPT", set()),
        ("INPUT", "-p ipencap -j ACCEPT", {KUBELET, VXLAN, BGP}),
        ("INPUT", "-p 4 -j ACCEPT", {KUBELET, VXLAN, BGP}),
        ("unused", "-p tcp --dport 10250 -j ACCEPT", set(ALL)),
        ("INPUT", '-m comment --comment "a -j ACCEPT b" -j MARK', set(ALL)),
        ("INPUT", "-m mark --mark 0x10000/0x10000 -j ACCEPT", set(ALL)),
    ],
)
def test_rules_of_iptables(text: str, chain: str, rule: str, expected: set[Port]) -> None:
    more = f"-A {chain} {rule}\n" if rule else ""
    assert missing(text + more, "iptables") == expected


def test_the_place_and_the_ports_are_named() -> None:
    (gate,) = closed([("nft", line) for line in nft(LO).splitlines()], (KUBELET, IPIP))
    assert gate.place == "nft table inet fw"
    assert [str(port) for port in gate.missing] == ["10250/tcp (kubelet)", "IPIP (IPIP)"]


FORWARD = "type filter hook forward priority filter; policy drop;"
POLICIES = """\
        chain filter_FORWARD {
            type filter hook forward priority filter + 10; policy accept;
            ct state { established, related } accept
            ct status dnat accept
            iifname "lo" accept
            jump filter_FORWARD_ZONES
            reject with icmpx admin-prohibited
        }
        chain filter_FORWARD_ZONES {
            iifname "eth0" goto filter_FWD_public
            goto filter_FWD_public
        }
        chain filter_FWD_public {
            oifname "eth0" accept
            EXTRA
        }
"""


def forward(*rules: str, table: str = "inet fw") -> str:
    lines = "\n".join((FORWARD, *rules))
    return f"table {table} {{\nchain f {{\n{lines}\n}}\n}}\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (forward(STATE), "nft table inet fw"),
        (forward(STATE, LO, 'oifname "eth0" accept', "tcp dport 80 accept"), "nft table inet fw"),
        (forward(table="ip x"), "nft table ip x"),
        (FIREWALLD.replace("EXTRA", "tcp dport 10250 accept"), "nft table inet firewalld"),
        (f"table inet firewalld {{\n{POLICIES}}}\n", "nft table inet firewalld"),
        # What is admitted, or may be.
        (forward("ip daddr 172.20.0.0/16 accept"), ""),
        (forward('oifname "cali*" accept'), ""),
        (forward('oifname { "eth0", "cali*" } accept'), ""),
        (forward("oifname @inside accept"), ""),
        (forward('oifname != "eth1" accept'), ""),
        (forward("accept"), ""),
        (forward().replace("policy drop", "policy accept"), ""),
        (f"table inet f {{\n{POLICIES.replace('EXTRA', 'ip saddr 172.20.0.0/16 accept')}}}\n", ""),
        # Pod networks' own rules come first there.
        (forward(table="ip filter"), ""),
        (forward(table="ip6 x"), ""),  # rules of IPv4 are judged
        (nft(), ""),
    ],
)
def test_what_is_forwarded_to_pods(text: str, place: str) -> None:
    rules = [("nft", line) for line in text.splitlines()]
    assert unforwarded(rules, ("cali", "vxlan.calico")) == ((place,) if place else ())
    assert unforwarded([("iptables", line) for line in UFW.splitlines()], ("cali",)) == ()
