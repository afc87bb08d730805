"""What a node is given where pods have IPv6, beside IPv4 or alone."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fabnode.config.configuration import Config
from fabnode.node.facts import DefaultRoute, Facts
from fabnode.node.resources import File, Sysctl
from fabnode.steps import host_ipv6
from fabnode.steps.checks import node_certificates, probe_answers, probe_pods, service_addresses
from fabnode.steps.order import NODE_STEPS
from fabnode.util.merging import merge_deep
from tests.support import DUAL, IPV6, make_config, serving_certificate

from .support import make_inputs


def files(config: Config) -> dict[str, str]:
    return {
        resource.path: resource.content.decode()
        for step in NODE_STEPS
        for resource in step.resources(make_inputs(config))
        if isinstance(resource, File) and resource.content is not None
    }


def test_kubelet_and_proxy_get_both_families() -> None:
    found = files(make_config(**DUAL))
    assert "--node-ip=192.0.2.11,2001:db8::11 " in found["/etc/systemd/system/kubelet.service"]
    kubelet = yaml.safe_load(found["/etc/kubernetes/kubelet.yaml"])
    assert kubelet["address"] == "192.0.2.11", "where the apiserver asks: its first address"
    assert kubelet["clusterDNS"] == ["10.68.0.2"]
    proxy = yaml.safe_load(found["/etc/kubernetes/kube-proxy.yaml"])
    assert proxy["clusterCIDR"] == "172.20.0.0/16,fd00:172:20::/56"
    assert proxy["bindAddress"] == "192.0.2.11"
    assert proxy["healthzBindAddress"] == "[::]:10256"
    containerd = found["/etc/systemd/system/containerd.service"]
    assert "2001:db8::11" in containerd
    assert "fd00:172:20::/56" in containerd


def test_ipv6_alone_names_no_address_of_ipv4() -> None:
    found = files(make_config(**IPV6))
    assert "--node-ip=2001:db8::11 " in found["/etc/systemd/system/kubelet.service"]
    kubelet = yaml.safe_load(found["/etc/kubernetes/kubelet.yaml"])
    assert kubelet["address"] == "2001:db8::11"
    assert kubelet["clusterDNS"] == ["fd00:10:68::2"]
    access = yaml.safe_load(found["/etc/kubernetes/kube-proxy.kubeconfig"])
    assert access["clusters"][0]["cluster"]["server"] == "https://[2001:db8::1]:6443"


def test_several_apiservers_stand_in_brackets() -> None:
    urls = [f"https://[2001:db8::{n}]:6443" for n in (1, 2)]
    found = files(make_config(**merge_deep(IPV6, {"cluster": {"apiserver": urls}})))  # type: ignore[arg-type]
    balancer = found["/etc/kubernetes/apiserver-balancer.cfg"]
    assert "  server 2001:db8::1 [2001:db8::1]:6443\n" in balancer
    assert "  bind 127.0.0.1:6444\n" in balancer


@pytest.mark.parametrize(("overrides", "forwards"), [({}, False), (DUAL, True), (IPV6, True)])
def test_a_kernel_forwards_ipv6_where_pods_have_it(
    overrides: dict[str, Any], forwards: bool
) -> None:
    inputs = make_inputs(make_config(**overrides))
    (prepare,) = (step for step in NODE_STEPS if step.name == "prepare")
    found = {each.key: each.value for each in prepare.resources(inputs) if isinstance(each, Sysctl)}
    assert found["net.ipv4.ip_forward"] == "1"
    assert ("net.ipv6.conf.all.forwarding" in found) is forwards


GOOD = (DefaultRoute("eth0"),)
ADVERTISED = DefaultRoute("eth0.7", advertised=True, accept_ra=1)
KEY = "net.ipv6.conf.eth0/7.accept_ra"


@pytest.mark.parametrize(
    ("facts", "overrides", "level", "text"),
    [
        ({"ipv6": "on", "ipv6_defaults": GOOD}, DUAL, None, ""),
        ({"ipv6": "absent"}, {}, None, ""),
        ({"ipv6": ""}, DUAL, None, ""),
        ({"ipv6": "absent"}, DUAL, "error", "its kernel has no IPv6"),
        ({"ipv6": "off"}, IPV6, "error", "IPv6 is turned off there"),
        ({"ipv6": "on"}, DUAL, "warning", "no default route by IPv6"),
        ({"ipv6": "on", "ipv6_defaults": (ADVERTISED,)}, DUAL, "error", "router advertisements"),
        (
            {"ipv6": "on", "ipv6_defaults": (ADVERTISED,)},
            merge_deep(DUAL, {"host": {"sysctls": {KEY: 2}}}),
            None,
            "",
        ),
        (
            {"ipv6": "on", "ipv6_defaults": (DefaultRoute("e", advertised=True, accept_ra=2),)},
            DUAL,
            None,
            "",
        ),
        ({"ipv6": "on", "ipv6_defaults": GOOD, "kernel": "4.18.0-1"}, DUAL, "warning", "4.19.1"),
    ],
)
def test_what_of_a_host_keeps_pods_from_ipv6_is_found(
    facts: dict[str, Any], overrides: Any, level: str | None, text: str
) -> None:
    inputs = make_inputs(make_config(**overrides), Facts(known=True, **facts))
    found = list(host_ipv6.findings(inputs))
    assert [each.level for each in found] == ([level] if level else [])
    assert all(text in each.text and each.fix for each in found)


def test_the_advice_names_the_setting_of_that_interface() -> None:
    facts = Facts(known=True, ipv6="on", ipv6_defaults=(ADVERTISED,))
    (found,) = host_ipv6.findings(make_inputs(make_config(**DUAL), facts))
    assert found.fix == f'set host: {{sysctls: {{{KEY}: "2"}}}} for it or its group'


def test_a_serving_certificate_has_both_addresses() -> None:
    node = make_config(**DUAL).nodes[0]
    assert node_certificates.serving_addresses(node, None) == ("n1", "192.0.2.11", "2001:db8::11")
    names = ("n1", "192.0.2.11", "2001:db8::11")
    assert "BEGIN CERTIFICATE" in serving_certificate("n1", *names)


def test_pods_ask_each_other_and_the_service_by_each_family() -> None:
    targets = {"n1": ["172.20.0.1", "fd00:172:20::1"], "n2": ["172.20.1.1", "fd00:172:20:1::1"]}
    pods = probe_pods.client_pods("busybox", ["n1"], targets, ["10.68.0.9", "fd00:10:68::9"])
    command = pods[0]["spec"]["containers"][0]["command"]
    assert command[-6:] == [
        "n1/IPv4=http://172.20.0.1:8080/",
        "n1/IPv6=http://[fd00:172:20::1]:8080/",
        "n2/IPv4=http://172.20.1.1:8080/",
        "n2/IPv6=http://[fd00:172:20:1::1]:8080/",
        "service/IPv4=http://10.68.0.9:8080/",
        "service/IPv6=http://[fd00:10:68::9]:8080/",
    ]
    *_, service = probe_pods.probe_objects("busybox", ["n1"], (4, 6))
    assert service["spec"]["ipFamilyPolicy"] == "PreferDualStack"
    *_, single = probe_pods.probe_objects("busybox", ["n1"], (6,))
    assert "ipFamilyPolicy" not in single["spec"]


LOG = """\
n1/IPv4 ok n1
n1/IPv4:large ok
n1/IPv6 failed wget: can't connect
n2/IPv4 ok n2
n2/IPv4:large ok
n2/IPv6 ok n2
n2/IPv6:large failed
service/IPv4 ok n1
service/IPv6 ok n2
"""


def test_a_family_that_does_not_work_is_named() -> None:
    checks = probe_answers.probe_results("n1", LOG, ["n1", "n2"], families=(4, 6))
    assert [(check.name, check.ok) for check in checks] == [
        ("pod on n1 (IPv4)", True),
        ("pod on n1 (IPv6)", False),
        ("pod on n2 (IPv4)", True),
        ("pod on n2 (IPv6)", True),
        ("Service VIP (IPv4)", True),
        ("Service VIP (IPv6)", True),
        ("large packets", False),
    ]
    assert "n2/IPv6" in checks[-1].detail


def test_a_service_that_lacks_a_family_is_named() -> None:
    cidrs = ("10.68.0.0/16", "fd00:10:68::/108")
    assert not list(service_addresses.service_range(["10.68.0.9", "fd00:10:68::9"], cidrs))
    (check,) = service_addresses.service_range(["10.68.0.9"], cidrs)
    assert "got no IPv6 address" in check.detail
