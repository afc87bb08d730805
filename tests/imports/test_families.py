# ruff: noqa: E501 - one line per case reads best
"""IPv6, and both families, of each tool: networks, DNS, addresses, apiservers, jump hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fabnode.config.imports import settle
from fabnode.config.starter import Known, Missing
from fabnode.util.families import family_of

from .support import decisions, imported, taken, text_of, unmarked, without, written

KUBESPRAY = """\
[kube_control_plane]
cp1 ansible_host=192.0.2.1 ip=10.3.0.1 ip6=fd00:3::1
[kube_node]
w1 ansible_host=192.0.2.11 ip=10.3.0.11 ip6=fd00:3::11 access_ip6=2001:db8::11
w2 ansible_host=192.0.2.12 ip6=fd00:3::12
[all:vars]
ansible_user=root
kube_version=v1.35.1
"""
SERVICES6, PODS6 = "fd00:10:68::/112", "fd00:172:20::/108"
FOUR = "kube_service_addresses: 10.68.0.0/16\nkube_pods_subnet: 172.20.0.0/16\n"
SIX = f"kube_service_addresses_ipv6: {SERVICES6}\nkube_pods_subnet_ipv6: {PODS6}\n"
BOTH = (f"10.68.0.0/16,{SERVICES6}", f"172.20.0.0/16,{PODS6}")
OWN = ("fd85:ee78:d8a6:8607::1000/116", "fd85:ee78:d8a6:8607::1:0/112")  # kubespray's defaults
OF_BOTH = {"w1": "10.3.0.11,fd00:3::11", "w2": "192.0.2.12,fd00:3::12"}


@pytest.mark.parametrize(
    ("variables", "networks", "addresses", "apiserver"),
    [
        (FOUR + SIX, ("10.68.0.0/16", "172.20.0.0/16"), {"w1": "10.3.0.11", "w2": ""}, "10.3.0.1"),
        (FOUR + SIX + "ipv6_stack: true\n", BOTH, OF_BOTH, "10.3.0.1"),
        (FOUR + SIX + "enable_dual_stack_networks: true\n", BOTH, OF_BOTH, "10.3.0.1"),
        (
            FOUR
            + SIX
            + "enable_dual_stack_networks: true\n"
            + 'ipv6_stack: "{{ enable_dual_stack_networks | default(false) }}"\n',
            BOTH,
            OF_BOTH,
            "10.3.0.1",
        ),
        (
            FOUR + "ipv6_stack: true\n",
            (f"10.68.0.0/16,{OWN[0]}", f"172.20.0.0/16,{OWN[1]}"),
            OF_BOTH,
            "10.3.0.1",
        ),
        (
            FOUR + SIX + "ipv4_stack: false\nipv6_stack: true\n",
            (SERVICES6, PODS6),
            {"w1": "fd00:3::11", "w2": "fd00:3::12"},
            "[fd00:3::1]",
        ),
        (
            # A pair in one variable, as some write it for releases that had no second one.
            f"kube_service_addresses: '{BOTH[0]}'\nkube_pods_subnet: '{BOTH[1]}'\n",
            BOTH,
            OF_BOTH,
            "10.3.0.1",
        ),
    ],
    ids=["off", "both", "old switch", "kubespray's line", "defaults", "IPv6 alone", "pairs"],
)
def test_kubespray(
    variables: str,
    networks: tuple[str, str],
    addresses: dict[str, str],
    apiserver: str,
    tmp_path: Path,
) -> None:
    files = {"hosts.ini": KUBESPRAY, "group_vars/all.yml": variables}
    found = imported(written(tmp_path, files))
    got = taken(found)
    assert (got["cluster.service_cidr"], got["cluster.pod_cidr"]) == networks
    assert got["cluster.apiserver"] == f"https://{apiserver}:6443"
    assert {host.name: host.ip or "" for host in found.hosts} == addresses
    names = without(found)
    assert "access_ip6" in names
    off = "ipv4_stack: false" in variables
    assert ("kube_service_addresses" in names, "kube_pods_subnet" in names) == (off, off)
    assert unmarked(text_of(found)) == set()
    assert not {key for key in decisions(found) if key.startswith("nodes[")}


def test_kubespray_of_ipv6_alone_with_a_dns_cache_of_ipv4(tmp_path: Path) -> None:
    files = {
        "hosts.ini": KUBESPRAY,
        "group_vars/all.yml": SIX + "ipv4_stack: false\nipv6_stack: true\n",
    }
    found = imported(written(tmp_path, files))
    assert "169.254.25.10" in decisions(found)["cluster.dns_address"]
    assert "is of IPv4, which Services have not" in decisions(found)["cluster.dns_address"]
    with (tmp_path / "group_vars/all.yml").open("a") as file:
        file.write("nodelocaldns_ip: 169.254.25.10\n")
    again = decisions(imported(tmp_path))["cluster.dns_address"]
    assert "is of IPv4, which Services have not" in again
    (tmp_path / "group_vars/all.yml").write_text(
        SIX + "ipv4_stack: false\nipv6_stack: true\nenable_nodelocaldns: false\n"
    )
    assert taken(imported(tmp_path))["cluster.dns_address"] == "fd00:10:68::3"


@pytest.mark.parametrize(
    ("variables", "key", "why"),
    [
        ("ipv6_stack: \"{{ lookup('env', 'X') }}\"", "", "ipv6_stack is an expression"),
        (
            "ipv6_stack: true\nkube_service_addresses_ipv6: fd00",
            "cluster.service_cidr",
            "no network",
        ),
        (
            "ipv6_stack: true\nkube_service_addresses_ipv6: 10.9.0.0/16",
            "cluster.service_cidr",
            "two networks of one family",
        ),
        (
            "ipv6_stack: true\nkube_pods_subnet_ipv6: \"{{ lookup('env', 'X') }}\"",
            "cluster.pod_cidr",
            "kube_pods_subnet_ipv6 is an expression",
        ),
        (
            "ipv6_stack: true",
            "cluster.service_cidr",
            "names none of kube_service_addresses_ipv6 (kubespray's default is fd85",
        ),
    ],
)
def test_what_of_kubespray_needs_a_decision(
    variables: str, key: str, why: str, tmp_path: Path
) -> None:
    files = {"hosts.ini": KUBESPRAY, "group_vars/all.yml": f"{FOUR}{variables}\n"}
    found = imported(written(tmp_path, files))
    assert why in decisions(found)[key]
    assert unmarked(text_of(found)) == set()


@pytest.mark.parametrize(
    ("line", "ip", "why"),
    [
        ("ansible_host=fd00:3::5", None, "no IPv4 address of it is known"),
        ("ansible_host=fd00:3::5 ip=10.3.0.5", "10.3.0.5", ""),
        ("ansible_host=10.3.0.5 ip6=fd00:3::5", "10.3.0.5,fd00:3::5", ""),
        ("ansible_host=10.3.0.5 ip6=nowhere", None, "hosts.ini:5) is no address"),
        ("ansible_host=10.3.0.5 ip=fd00:3::5 ip6=fd00:3::6", None, "a second IPv6 address"),
        ("ansible_host=fe80::1%eth0 ip=10.3.0.5 ip6=fd00:3::5", "10.3.0.5,fd00:3::5", ""),
    ],
)
def test_addresses_of_a_host(
    line: str, ip: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hosts = KUBESPRAY.replace("w2 ansible_host=192.0.2.12 ip6=fd00:3::12", f"w2 {line}")
    hosts += "ipv6_stack=true\n"
    found = imported(written(tmp_path, {"hosts.ini": hosts}) / "hosts.ini")
    text, host = text_of(found), found.hosts[1]
    if ip:
        assert host.ip == ip
    if why:
        assert why in " ".join(decisions(found).values())
    else:
        assert "{name: w2, address: " in text.replace('"', "")
        assert unmarked(text) == set()


K0S = """\
apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: c1}
spec:
  hosts:
  - {role: controller, ssh: {address: "fd00:3::1"}}
  - role: worker
    hostname: w1
    privateAddress: fd00:3::2
    ssh: {address: "2001:db8::2", bastion: {address: "2001:db8::9", user: jump}}
  k0s:
    version: v1.35.1+k0s.0
    config:
      spec:
        api: API
        network: NETWORK
"""
DUAL = "{enabled: true, IPv6podCIDR: fd00:1::/108, IPv6serviceCIDR: fd00:2::/108}"


@pytest.mark.parametrize(
    ("network", "api", "services", "pods", "dns", "apiserver"),
    [
        (
            f"{{dualStack: {DUAL}}}",
            "{}",
            "10.96.0.0/12,fd00:2::/108",
            "10.244.0.0/16,fd00:1::/108",
            "10.96.0.10",
            "[fd00:3::1]:6443",
        ),
        (
            f"{{dualStack: {DUAL}, serviceCIDR: 10.97.0.0/16, primaryAddressFamily: IPv6}}",
            '{externalAddress: "fd00:3::99", port: 7443}',
            "fd00:2::/108,10.97.0.0/16",
            "fd00:1::/108,10.244.0.0/16",
            "10.97.0.10",
            "[fd00:3::99]:7443",
        ),
        (
            f"{{dualStack: {DUAL}}}",
            '{address: "fd00:3::1"}',
            "fd00:2::/108,10.96.0.0/12",
            "fd00:1::/108,10.244.0.0/16",
            "10.96.0.10",
            "[fd00:3::1]:6443",
        ),
        (
            "{podCIDR: 'fd00:1::/108', serviceCIDR: 'fd00:2::/108'}",
            "{}",
            "fd00:2::/108",
            "fd00:1::/108",
            "fd00:2::a",
            "[fd00:3::1]:6443",
        ),
        (
            f"{{dualStack: {DUAL.replace('true', 'false')}}}",
            "{}",
            "10.96.0.0/12",
            "10.244.0.0/16",
            "10.96.0.10",
            "[fd00:3::1]:6443",
        ),
    ],
    ids=["both", "IPv6 first", "the API's address", "IPv6 alone", "off"],
)
def test_k0sctl(
    network: str, api: str, services: str, pods: str, dns: str, apiserver: str, tmp_path: Path
) -> None:
    text = K0S.replace("API", api).replace("NETWORK", network)
    found = imported(written(tmp_path, {"k0sctl.yaml": text}) / "k0sctl.yaml")
    got = taken(found)
    assert (got["cluster.service_cidr"], got["cluster.pod_cidr"]) == (services, pods)
    assert got["cluster.dns_address"] == dns
    assert got["cluster.apiserver"] == f"https://{apiserver}"
    assert got["ssh.gateway"] == "jump@[2001:db8::9]"
    assert (found.hosts[0].address, found.hosts[0].ip) == ("2001:db8::2", "fd00:3::2")
    if "," in services:
        assert "no IPv4 address of it is known" in decisions(found)["nodes[w1].ip"]
    assert unmarked(text_of(found)) <= {"nodes[w1].ip", "nodes[w1].address"}


def test_k0sctl_with_half_of_a_dual_stack(tmp_path: Path) -> None:
    text = K0S.replace("API", "{}").replace(
        "NETWORK", "{dualStack: {enabled: true, IPv6podCIDR: fd00:1::/108}}"
    )
    found = imported(written(tmp_path, {"k0sctl.yaml": text}) / "k0sctl.yaml")
    assert "IPv6serviceCIDR is not there" in decisions(found)["cluster.service_cidr"]


KUBEADM = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: "fd00:3::1"}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.35.1
controlPlaneEndpoint: ENDPOINT
networking: {podSubnet: "PODS", serviceSubnet: "SERVICES"}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDNS: SERVERS
"""


@pytest.mark.parametrize(
    ("endpoint", "services", "servers", "dns", "apiserver"),
    [
        ("''", "10.96.0.0/16,fd00:2::/112", "[]", "10.96.0.10", "[fd00:3::1]:6443"),
        ("'[fd00:3::9]:8443'", "fd00:2::/112, 10.96.0.0/16", "[]", "fd00:2::a", "[fd00:3::9]:8443"),
        ("'fd00:3::9'", "fd00:2::/112", "['fd00:2::53']", "fd00:2::53", "[fd00:3::9]:6443"),
        (
            "'[fd00:3::9]'",
            "10.96.0.0/16,fd00:2::/112",
            "[10.96.0.53, 10.96.0.54, 'fd00:2::53']",
            "10.96.0.53,fd00:2::53",
            "[fd00:3::9]:6443",
        ),
        ("api.example.org", "fd00:2::/112", "[]", "fd00:2::a", "api.example.org:6443"),
    ],
)
def test_kubeadm(
    endpoint: str, services: str, servers: str, dns: str, apiserver: str, tmp_path: Path
) -> None:
    pods = ",".join(
        "fd00:1::/56" if ":" in each else "10.244.0.0/16" for each in services.split(",")
    )
    text = KUBEADM.replace("ENDPOINT", endpoint).replace("SERVERS", servers)
    text = text.replace("PODS", pods).replace("SERVICES", services)
    found = imported(written(tmp_path, {"k.yaml": text}) / "k.yaml")
    got = taken(found)
    assert got["cluster.service_cidr"] == services.replace(" ", "")
    assert got["cluster.pod_cidr"] == pods
    assert got["cluster.dns_address"] == dns
    assert got["cluster.apiserver"] == f"https://{apiserver}"
    assert unmarked(text_of(found)) <= {"nodes"}


KUBEASZ = """\
[kube_master]
fd00:3::1
[kube_node]
fd00:3::11 k8s_nodename=w1
192.0.2.12 k8s_nodename=w2 ip6=fd00:3::12
fd00:3::13
[all:vars]
ansible_user=root
SECURE_PORT="6443"
CONTAINER_RUNTIME="containerd"
CLUSTER_NETWORK="calico"
SERVICE_CIDR="SERVICES"
CLUSTER_CIDR="PODS"
K8S_VER="1.35.1"
"""


@pytest.mark.parametrize("services", ["fd00:2::/112", "10.68.0.0/16,fd00:2::/112"])
def test_kubeasz(services: str, tmp_path: Path) -> None:
    """Its own playbooks know IPv4 alone; people's copies of them may not."""
    pods = "172.20.0.0/16,fd00:1::/56" if "," in services else "fd00:1::/56"
    text = KUBEASZ.replace("SERVICES", services).replace("PODS", pods)
    found = imported(written(tmp_path, {"hosts": text}) / "hosts")
    got, open_ = taken(found), decisions(found)
    assert (got["cluster.service_cidr"], got["cluster.pod_cidr"]) == (services, pods)
    assert got["cluster.apiserver"] == "https://[fd00:3::1]:6443"
    assert "an IPv6 address, and no name of a node" in open_["nodes[fd00:3::13]"]
    assert [host.name for host in found.hosts if not host.left_out] == ["w1", "w2"]
    missing = {"nodes[w1].address", "nodes[w1].ip"} if "," in services else set()
    assert unmarked(text_of(found)) <= missing


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ("pod_cidr=10.8.0.0/16 pod_cidr_ipv6=fd00:1::/56", "10.8.0.0/16,fd00:1::/56"),
        ("pod_cidr=10.8.0.0/16 pod_cidr_v6=fd00:1::/56", "10.8.0.0/16,fd00:1::/56"),
        ("pod_cidr=10.8.0.0/16,fd00:1::/56", "10.8.0.0/16,fd00:1::/56"),
        ("pod_cidr=fd00:1::/56", "fd00:1::/56"),
    ],
)
def test_other_inventories(variables: str, wanted: str, tmp_path: Path) -> None:
    text = f"[masters]\nm\n[workers]\nw ansible_host=fd00:3::11 {variables}\n"
    found = imported(written(tmp_path, {"hosts": text}) / "hosts")
    assert taken(found)["cluster.pod_cidr"] == wanted
    assert found.hosts[0].address == "fd00:3::11"
    assert not found.hosts[0].left_out
    assert not {"pod_cidr_ipv6", "pod_cidr_v6"} & without(found).keys()
    assert unmarked(text_of(found)) == set()


def test_jump_hosts_of_ipv6(tmp_path: Path) -> None:
    text = (
        "[workers]\nw ansible_host=192.0.2.1\n[masters]\nm\n[all:vars]\n"
        "ansible_ssh_common_args='-J ops@[2001:db8::9]:2222'\n"
    )
    found = imported(written(tmp_path, {"hosts": text}) / "hosts")
    assert taken(found)["ssh.gateway"] == "ops@[2001:db8::9]:2222"
    assert unmarked(text_of(found)) == set()


def test_nodes_in_networks_of_pods_and_twins_of_ipv6(tmp_path: Path) -> None:
    text = KUBEASZ.replace("SERVICES", "fd00:2::/112").replace("PODS", "fd00:3::10/124")
    text = text.replace("192.0.2.12 k8s_nodename=w2", "w2 ansible_host=fd00:3::99")
    text = text.replace("fd00:3::13", "w3 ansible_host=fd00:4::1\nw4 ansible_host=fd00:4::1")
    open_ = decisions(imported(written(tmp_path, {"hosts": text}) / "hosts"))
    assert "for pods or Services" in open_["nodes[w1]"]
    assert "shares a name or an address" in open_["nodes[w4]"]


@pytest.mark.parametrize(
    ("hosts", "listed"),
    [
        ("[kube_control_plane]\na ip=10.3.0.1\nb ip=10.3.0.2\n", "[{0}10.3.0.1:6443, {0}10.3.0.2:6443]"),
        ("[kube_control_plane]\na ip6=fd00::1\nb ip6=fd00::2\n", "[{0}[fd00::1]:6443, {0}[fd00::2]:6443]"),
        ("[kube_control_plane]\na ip=10.3.0.1\n", ""),
        ("[kube_control_plane]\na ip=10.3.0.1\nb\n", ""),  # by a name alone
    ],
)  # fmt: skip
def test_several_apiservers_are_a_list_to_choose(hosts: str, listed: str, tmp_path: Path) -> None:
    text = f"{hosts}[kube_node]\nw ansible_host=10.3.0.9 ip6=fd00::9\n[all:vars]\n"
    if "ip6=fd00::1" in hosts:
        text += "ipv4_stack=false\nipv6_stack=true\n"
    found = imported(written(tmp_path, {"hosts": text}) / "hosts")
    lines = text_of(found).replace('"', "").splitlines()
    chosen = [each for each in lines if each.startswith("  # apiserver: ")]
    assert chosen == ([f"  # apiserver: {listed.format('https://')}"] if listed else [])
    assert ("docs/several-apiservers.md" in decisions(found)["cluster.apiserver"]) == (
        "\nb" in hosts
    )


@pytest.mark.parametrize(
    ("service_cidr", "dns"),
    [("10.68.0.0/16", 4), ("fd00:10:68::/108", 6), ("fd00:10:68::/108,10.68.0.0/16", 6)],
)
def test_what_stands_for_an_unknown_dns_address_is_of_a_family_of_services(
    service_cidr: str, dns: int
) -> None:
    """So that it is no problem of its own where all other settings are judged."""
    unknown: dict[str, Any] = dict.fromkeys(("pod_cidr", "dns_address"), Missing("nobody knows"))
    filled = settle._filled({"service_cidr": Known(service_cidr, ""), **unknown})
    assert isinstance(found := filled["dns_address"], Known)
    assert family_of(found.value) == dns
