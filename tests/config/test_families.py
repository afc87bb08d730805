# ruff: noqa: E501 - one line per case reads best
"""Address families in a configuration: one or both of them, in either order, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fabnode.config.validators import is_host, is_scoped
from fabnode.util.merging import merge_deep
from tests.support import DUAL, IPV6, make_config

from .test_settings import messages

if TYPE_CHECKING:
    from pathlib import Path

N1 = {"name": "n1", "address": "192.0.2.11", "ip": "192.0.2.11,2001:db8::11"}
SIX = {"name": "n1", "address": "2001:db8::11"}


def dual(**changes: Any) -> Any:
    return merge_deep({**DUAL, "nodes": [N1]}, changes)


def ipv6(**changes: Any) -> Any:
    return merge_deep({**IPV6, "nodes": [SIX]}, changes)


@pytest.mark.parametrize(
    ("ip", "ips"),
    [
        ("192.0.2.11,2001:db8::11", ("192.0.2.11", "2001:db8::11")),
        ("2001:DB8:0::11, 192.0.2.11", ("2001:db8::11", "192.0.2.11")),
        (["192.0.2.11", "2001:db8::11"], ("192.0.2.11", "2001:db8::11")),
    ],
)
def test_a_node_has_an_address_of_each_family_in_either_order(
    ip: object, ips: tuple[str, ...]
) -> None:
    config = make_config(**dual(nodes=[{**N1, "ip": ip}]))
    assert config.nodes[0].ips == ips
    assert config.nodes[0].ip == ips[0]


def test_one_value_is_as_ever() -> None:
    config = make_config()
    assert config.cluster.service_cidrs == (config.cluster.service_cidr,) == ("10.68.0.0/16",)
    assert config.cluster.families == (4,)
    assert config.nodes[0].ips == ("192.0.2.11",)


def test_both_families_and_ipv6_alone_are_read() -> None:
    config = make_config(**dual(cluster={"service_cidr": ["fd00:10:68:0::/108", "10.68.0.0/16"]}))
    assert config.cluster.service_cidrs == ("fd00:10:68::/108", "10.68.0.0/16")
    assert config.cluster.families == (6, 4)
    assert config.cluster.pod_cidrs == ("172.20.0.0/16", "fd00:172:20::/56")
    alone = make_config(**ipv6())
    assert alone.cluster.families == (6,)
    assert alone.cluster.endpoints == (("2001:db8::1", 6443),)
    assert alone.nodes[0].ips == ("2001:db8::11",)


@pytest.mark.parametrize(
    "overrides",
    [
        dual(cluster={"dns_address": "10.68.0.2,fd00:10:68::2"}),
        dual(cluster={"dns_address": "fd00:10:68::2"}),
        dual(cluster={"dns_address": "169.254.20.10"}),
        dual(calico={"backend": "bird", "encapsulation": "Never"}),
        dual(nodes=[{**N1, "address": "fe80::1%eth0"}]),
        dual(nodes=[{**N1, "address": "n1.example.org"}]),
        dual(ssh={"gateway": "ops@[2001:db8::9]:2222"}),
        ipv6(ssh={"gateway": "2001:db8::9"} | {"gateway": "[2001:db8::9]"}),
        ipv6(cluster={"apiserver": [f"https://[2001:db8::{n}]:6443" for n in (1, 2, 3)]}),
        ipv6(cluster={"dns_address": "fe80::20:10"}),
        ipv6(artifacts={"distribution": "relay"}),
    ],
)  # fmt: skip
def test_what_is_right_is_taken(overrides: dict[str, Any]) -> None:
    assert make_config(**overrides).nodes


@pytest.mark.parametrize(
    ("overrides", "sentences"),
    [
        (
            dual(cluster={"pod_cidr": "172.20.0.0/16"}),
            ["cluster.pod_cidr: is of IPv4, and service_cidr of IPv4 and IPv6; give both the same: one network, or one of IPv4 and one of IPv6"],
        ),
        (
            dual(cluster={"service_cidr": "10.68.0.0/16,10.69.0.0/16"}),
            ["cluster.service_cidr: has two values of IPv4, got '10.68.0.0/16,10.69.0.0/16'; give one of IPv4 and one of IPv6, or one alone"],
        ),
        (
            dual(cluster={"service_cidr": "10.68.0.0/16,fd00::/108,fd01::/108"}),
            ["cluster.service_cidr: must be one value, or two: one of IPv4 and one of IPv6, got '10.68.0.0/16,fd00::/108,fd01::/108'; give one of IPv4 and one of IPv6, or one alone"],
        ),
        (
            dual(cluster={"service_cidr": "10.68.0.0/16,fd00:10:68::1/108"}),
            ["cluster.service_cidr: must be a network such as 10.68.0.0/16 or fd00:10:68::/108, got '10.68.0.0/16,fd00:10:68::1/108'; did you mean fd00:10:68::/108?"],
        ),
        (
            dual(cluster={"pod_cidr": "172.20.0.0/16,fd00:10:68::/64"}),
            ["cluster.pod_cidr: fd00:10:68::/64 overlaps service_cidr fd00:10:68::/108; choose a network for pods that nothing else uses"],
        ),
        (
            dual(cluster={"pod_cidr": "172.20.0.0/16,fd00:172:20::/124"}),
            ["cluster.pod_cidr: fd00:172:20::/124 is smaller than the blocks that Calico allocates; use /122 or larger"],
        ),
        (
            dual(cluster={"dns_address": "fd00::9"}),
            ["cluster.dns_address: fd00::9 is outside service_cidr fd00:10:68::/108; use the address of the Service kube-dns, or a link-local one (fe80::/10), as of NodeLocal DNSCache"],
        ),
        (
            ipv6(cluster={"dns_address": "10.68.0.2"}),
            ["cluster.dns_address: is of IPv4, which Services have not (service_cidr); give one of IPv6"],
        ),
        (
            ipv6(cluster={"dns_address": "169.254.20.10"}),  # of a cache on each node
            ["cluster.dns_address: is of IPv4, which Services have not (service_cidr); give one of IPv6"],
        ),
        (
            dual(nodes=[{"name": "n1", "address": "192.0.2.11"}]),
            ["nodes[n1].address: 'n1' has no IPv6 address, which Services have; add it to `ip`, as in `ip: 192.0.2.11,fd00:1::42`"],
        ),
        (
            dual(nodes=[{"name": "n1", "address": "n1.example.org", "ip": "2001:db8::11"}]),
            ["nodes[n1].ip: 'n1' has no IPv4 address, which Services have; add it to `ip`, as in `ip: 2001:db8::11,192.168.1.42`"],
        ),
        (
            {"nodes": [N1]},
            ["nodes[n1].ip: 'n1' has an IPv6 address, and Services have none; take it out of `ip`, or give service_cidr and pod_cidr that family"],
        ),
        (
            dual(nodes=[{**N1, "ip": "192.0.2.11,fe80::11"}]),
            ["nodes[n1].ip: fe80::11 is a link-local address, which no kubelet serves on; give an address that other nodes reach it by"],
        ),
        (
            dual(nodes=[{**N1, "ip": "192.0.2.11,fe80::11%eth0"}]),
            ["nodes[n1].ip: must be an IPv4 or IPv6 address, got '192.0.2.11,fe80::11%eth0'; without an interface"],
        ),
        (
            dual(nodes=[{**N1, "ip": "192.0.2.11,fd00:10:68::9"}]),
            ["nodes[n1].ip: fd00:10:68::9 is inside service_cidr fd00:10:68::/108; the two must not overlap"],
        ),
        (
            ipv6(nodes=[{"name": "n1", "address": "fe80::1"}]),
            ["nodes[n1].address: needs the interface of this machine by which it is reached, got 'fe80::1'; write it after a percent sign: fe80::1%eth0"],
        ),
        (
            ipv6(nodes=[{"name": "n1", "address": "fe80::1%eth0"}]),
            ["nodes[n1].address: 'fe80::1%eth0' has an interface in it, but the kubelet needs an address of its own; add the address as `ip`"],
        ),
        (
            dual(cluster={"version": "1.20.2"}, calico="none"),
            ["cluster.service_cidr: IPv4 and IPv6 need Kubernetes 1.21 or newer; give one network here, in pod_cidr and as `ip` of nodes"],
        ),
        (
            ipv6(cluster={"version": "1.17.0"}, calico="none"),
            ["cluster.service_cidr: IPv6 alone needs Kubernetes 1.18 or newer; give a network of IPv4"],
        ),
        (
            dual(cluster={"version": "1.28.0"}, kubelet={"cloud_provider": "external"}),
            ["kubelet.cloud_provider: needs Kubernetes 1.29 or newer for nodes of two families; give nodes an address of one family"],
        ),
        (
            dual(calico={"backend": "bird"}),
            ["calico.encapsulation: IPIP carries IPv4 alone, and pods have IPv6; use `encapsulation: Never` with bird, or `backend: vxlan`"],
        ),
        (
            dual(cluster={"version": "1.21.0"}, calico={"version": "3.22.5"}),
            ["calico.version: VXLAN of Calico 3.22.5 carries no IPv6; use Calico 3.23 or newer"],
        ),
        (
            ipv6(host={"sysctls": {"net.ipv6.conf.all.forwarding": "0"}}),
            ["host.sysctls.net.ipv6.conf.all.forwarding: is set by fabnode; remove it"],
        ),
        (
            ipv6(cluster={"apiserver": "https://2001:db8::1"}),
            ["cluster.apiserver: must be an https URL without a path, such as https://10.0.0.1:6443, got 'https://2001:db8::1'; an IPv6 address stands in brackets: https://[2001:db8::1]:6443"],
        ),
        (
            ipv6(cluster={"apiserver": "https://[2001:db8::1"}),
            ["cluster.apiserver: must be an https URL without a path, such as https://10.0.0.1:6443, got 'https://[2001:db8::1'"],
        ),
        (
            ipv6(cluster={"apiserver": "https://[fd00:10:68::1]:6443"}),
            ["cluster.apiserver: fd00:10:68::1 is inside service_cidr fd00:10:68::/108; the two must not overlap"],
        ),
        (
            ipv6(cluster={"apiserver": ["https://[::1]:6443", "https://[2001:db8::2]:6443"]}),
            ["cluster.apiserver[0]: ::1 is each node itself; write the addresses by which nodes reach the apiservers"],
        ),
        (
            ipv6(cluster={"apiserver": ["https://[fe80::1]:6443", "https://[2001:db8::2]:6443", "https://[ff02::1]:6443"]}),
            [
                "cluster.apiserver[0]: fe80::1 is a link-local address, which means nothing without an interface; write the addresses by which nodes reach the apiservers",
                "cluster.apiserver[2]: ff02::1 is no address of one host among others; write the addresses by which nodes reach the apiservers",
            ],
        ),
        (
            ipv6(cluster={"apiserver": "https://[fe80::1]:6443"}),
            ["cluster.apiserver: https://[fe80::1]:6443 is a link-local address, which means nothing without an interface; write the addresses by which nodes reach the apiservers"],
        ),
        (
            ipv6(cluster={"apiserver": "https://[::]:6443"}),
            ["cluster.apiserver: https://[::]:6443 is no address of one host among others; write the addresses by which nodes reach the apiservers"],
        ),
        (
            ipv6(cluster={"apiserver": "https://[fe80::1%eth0]:6443"}),
            ["cluster.apiserver: must be an https URL without a path, such as https://10.0.0.1:6443, got 'https://[fe80::1%eth0]:6443'"],
        ),
        (
            ipv6(cluster={"apiserver": ["https://[2001:db8::1]:6443", "https://[2001:DB8:0::1]:6443"]}),
            ["cluster.apiserver[1]: https://[2001:DB8:0::1]:6443 is in the list already; name each apiserver once"],
        ),
        (
            ipv6(cluster={"apiserver": ["https://[2001:db8::1]:6443", "https://[2001:db8::2]"]}),
            ["cluster.apiserver[1]: https://[2001:db8::2] has port 443, and https://[2001:db8::1]:6443 has 6443; the apiservers of one cluster listen on one port"],
        ),
        (
            ipv6(cluster={"apiserver": ["https://2001:db8::1", "https://[2001:db8::2]"]}),
            ["cluster.apiserver[0]: must be an https URL without a path, such as https://10.0.0.1:6443, got 'https://2001:db8::1'; an IPv6 address stands in brackets: https://[2001:db8::1]:6443"],
        ),
        (
            {"cluster": {"service_cidr": 10}},
            ["cluster.service_cidr: must be text, got 10; put it in quotes: \"10\""],
        ),
        (
            dual(nodes=[N1, {"name": "n2", "address": "192.0.2.12", "ip": "192.0.2.12,2001:db8::11"}]),
            ["nodes[n2].ip: '2001:db8::11' is also the address of 'n1'"],
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_named(
    tmp_path: Path, overrides: dict[str, Any], sentences: list[str]
) -> None:
    assert messages(tmp_path, **overrides) == sentences


@pytest.mark.parametrize(
    ("text", "host", "scoped"),
    [
        ("2001:db8::1", True, False),
        ("fe80::1%eth0", False, True),
        ("2001:db8::1%eth0", False, False),
        ("::ffff:192.0.2.1", False, False),
        ("fe80::1%", False, False),
        ("fe80::1%a b", False, False),
        ("[2001:db8::1]", False, False),
        ("2001:db8::g", False, False),
    ],
)
def test_hosts_and_scopes(text: str, host: bool, scoped: bool) -> None:
    assert is_host(text) is host
    assert is_scoped(text) is scoped
