"""Preflight: each thing that would go wrong is found before anything is changed, with its fix."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fabnode.node import layout
from fabnode.node.facts import Facts, Listener, PathFact, Space, UnitFact
from fabnode.pki.certificates import CertificateFile
from fabnode.releases.version import Release
from fabnode.steps.environment import MIB, room
from fabnode.steps.finding import Finding
from fabnode.steps.preflight import Surroundings, findings
from tests.support import IPV6, authority, certificate, make_config, pem

from .support import assert_finding, make_inputs

_CLUSTER = make_config()
ROOM = room(_CLUSTER, _CLUSTER.nodes[0])
BASIC = frozenset({"ip", "ss"})
GOOD = Facts(
    known=True,
    hostname="n1",
    machine_id="a" * 32,
    addresses=("192.0.2.11",),
    space={path: Space(9000 * MIB, 90_000, "ext2/ext3") for path in ROOM},
    kernel="6.1.0-30-amd64",
    tools=BASIC | {"iptables", "ipset", "nft"},
    nft="1.0.6",
)
LOADED = frozenset({"br_netfilter", "nf_conntrack", "overlay", "vxlan"})
NFTABLES, IPVS = {"kube_proxy": {"mode": "nftables"}}, {"kube_proxy": {"mode": "ipvs"}}
OLD = {"cluster": {"version": "1.18.20"}, "calico": {"version": "3.16.10"}}
SAME = {"server_version": Release(1, 18, 20)}
DOCKER = {"cluster": {"version": "1.30.4"}, "runtime": {"name": "docker"}}
BESIDE = {"server_version": Release(1, 30, 4)}
SHARED = {"bootstrap": {"mode": "token-file", "token": {"env": "TOKEN"}}}
PROXY, RUNNING = "kube-proxy.service", UnitFact("loaded", "active", "running")
CLIENT = layout.kubelet_client_certificate("/var/lib/kubelet")
AROUND = Surroundings(Release(1, 37, 2), 0.0, "", {"n2": "b" * 32})


SEVERAL = {"cluster": {"apiserver": [f"https://192.0.2.{n}:6443" for n in (1, 2, 3)]}}


def found(facts: dict[str, Any], around: dict[str, Any], **overrides: Any) -> tuple[Finding, ...]:
    inputs = make_inputs(make_config(**overrides), replace(GOOD, **facts))
    return findings(inputs, replace(AROUND, **around))


@pytest.mark.parametrize(
    ("arch", "text", "fix"),
    [
        ("arm64", "its architecture is arm64", "`inv binaries.fetch --arch arm64`"),
        ("riscv64", "its architecture is riscv64", "fabnode knows amd64 and arm64"),
        ("amd64", "", ""),
    ],
)
def test_a_machine_without_programs_for_it_is_stopped(arch: str, text: str, fix: str) -> None:
    inputs = make_inputs(make_config(), replace(GOOD, arch=arch))
    inputs = replace(inputs, artifacts=replace(inputs.artifacts, arch="amd64"))
    reported = [f for f in findings(inputs, AROUND) if f.level == "error"]
    assert len(reported) == bool(text)
    assert all(f.text.startswith(text) and fix in f.fix for f in reported)


def test_a_good_host_has_no_findings() -> None:
    assert found({}, {}) == ()


VS = "net.ipv4.vs.conn_reuse_mode"


@pytest.mark.parametrize(
    ("key", "without", "settings", "reported"),
    [
        ("net.nosuch.key", set(), {}, True),
        ("net.bridge.bridge-nf-filter-vlan-tagged", {"br_netfilter"}, {}, False),
        ("net.nosuch.key", {"br_netfilter", "overlay"}, {}, True),
        ("net.netfilter.nf_conntrack_max", {"nf_conntrack"}, {}, False),
        ("net.netfilter.nf_conntrack_max", {"nf_conntrack"}, {"kube_proxy": "none"}, True),
        (VS, {"ip_vs"}, {}, True),
        (VS, {"ip_vs"}, {"kube_proxy": {"mode": "ipvs"}}, False),
        ("net.nosuch.key", {"rds"}, {"host": {"modules": ["rds"]}}, False),
        ("net.nosuch.key", set(), {"host": {"modules": ["rds"]}}, True),
    ],
)
def test_a_setting_that_the_kernel_has_not_is_named_unless_a_module_may_bring_it(
    key: str, without: set[str], settings: dict[str, Any], *, reported: bool
) -> None:
    host = {**settings.get("host", {}), "sysctls": {key: 1}}
    config = make_config(calico={"enabled": False}, **{**settings, "host": host})
    all_modules = GOOD.modules | {"rds", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh"}
    facts = replace(
        GOOD, modules=all_modules - without, missing_sysctls=frozenset({key, "net.other.key"})
    )
    found = [f for f in findings(make_inputs(config, facts), AROUND) if "no setting" in f.text]
    assert [(f.level, f.text) for f in found] == (
        [("error", f"its kernel has no setting {key} (host.sysctls)")] if reported else []
    )


@pytest.mark.parametrize(
    ("facts", "around", "overrides", "level", "text"),
    [
        ({"clock_offset": 95.0}, {}, {}, "error", "its clock is 95 s ahead of the apiserver's"),
        ({"clock_offset": -31.0}, {}, {}, "error", "its clock is 31 s behind the apiserver's"),
        ({"clock_offset": 95.0}, {"clock_offset": 80.0}, {}, None, ""),
        ({"clock_offset": 95.0}, {"clock_offset": None}, {}, None, ""),
        ({}, {"api_from_node": "connection refused"}, {}, "error", "can't use the apiserver: conn"),
        ({}, {"api_from_node": None}, {}, "warning", "could not be checked"),
        (
            {},
            {"api_partly": ("https://192.0.2.2:6443: connection refused",)},
            {},
            "warning",
            "it can't use one of the apiservers, https://192.0.2.2:6443: connection refused",
        ),
        ({}, {}, SEVERAL, "error", "it has no haproxy, by which it is to reach several"),
        ({"tools": GOOD.tools | {"haproxy"}}, {}, SEVERAL, None, ""),
        (
            {"tools": GOOD.tools | {"haproxy"}, "listeners": (Listener(6444, "nginx"),)},
            {},
            SEVERAL,
            "error",
            "port 6444 of its balancer to the apiservers is taken by nginx",
        ),
        (
            {
                "tools": GOOD.tools | {"haproxy"},
                "listeners": (Listener(6444, "haproxy"),),
                "units": {"apiserver-balancer.service": RUNNING},
            },
            {},
            SEVERAL,
            None,
            "",
        ),
        ({"listeners": (Listener(6444, "nginx"),)}, {}, {}, None, ""),
        ({"machine_id": "b" * 32}, {}, {}, "error", "the same machine-id as n2"),
        (
            {},
            {"other_approvers": ("ClusterRoleBinding x",)},
            {},
            "error",
            "by ClusterRoleBinding x",
        ),
        (
            {},
            {"other_approvers": None},
            {},
            "warning",
            "lacks the right to check whether something else approves",
        ),
        (
            {"machine_id": ""},
            {"machine_ids": {"n2": ""}},
            {},
            "warning",
            "its /etc/machine-id holds",
        ),
        (
            {"addresses": ("192.0.2.99",)},
            {},
            {},
            "warning",
            "none of its interfaces has its address 192.0.2.11",
        ),
        ({}, {"server_version": Release(1, 36, 9)}, {}, "error", "newer than the apiserver's"),
        ({}, {"server_version": Release(1, 40, 0)}, {}, None, ""),
        ({}, {"server_version": Release(1, 41, 0)}, {}, "error", "more than 3 minors older"),
        ({"cgroup": 1}, {}, {}, "warning", "it has cgroup v1"),
        ({"cgroup": 2}, SAME, OLD, "error", "cgroup v2, which Kubernetes 1.18 can't use"),
        ({"cgroup": 1}, SAME, OLD, None, ""),
        ({"swap": 512 * MIB}, {}, {}, "error", "it has 512 MiB of swap"),
        ({"swap": 512 * MIB}, {}, {"kubelet": {"fail_swap_on": False}}, None, ""),
        ({"listeners": (Listener(10250, "nc"),)}, {}, {}, "error", "port 10250 of the kubelet is"),
        (
            {
                "listeners": (Listener(10250, "kubelet"), Listener(22, "sshd")),
                "units": {"kubelet.service": RUNNING},
            },
            {},
            {},
            None,
            "",
        ),
        ({"listeners": (Listener(22, "sshd"),)}, {}, {}, None, ""),
        ({"listeners": (Listener(10250, "kubelet"),)}, {}, {}, "error", "by a kubelet that is not"),
        ({"listeners": (Listener(10256, ""),)}, {}, {}, "error", "is taken by another process"),
        (
            {"listeners": (Listener(10256, "kube-proxy"),)},
            {},
            {},
            "error",
            "port 10256 of the kube-proxy is taken by a kube-proxy that is not its unit's",
        ),
        (
            {"listeners": (Listener(10256, "kube-proxy"),), "units": {PROXY: RUNNING}},
            {},
            {},
            None,
            "",
        ),
        ({"listeners": (Listener(10256, ""),), "units": {PROXY: RUNNING}}, {}, {}, None, ""),
        (
            {"listeners": (Listener(10256, "cilium-agent"),), "tools": BASIC},
            {},
            {"kube_proxy": "none", "calico": {"enabled": False}},
            None,
            "",
        ),
        (
            {},
            {},
            {"kube_proxy": "none"},
            "warning",
            "kube_proxy is none, and pods of Calico ask for the apiserver by its Service",
        ),
        ({}, {"network_knows_api": True}, {"kube_proxy": "none"}, None, ""),
        ({}, {}, SHARED, "error", "it has no ssh-keygen, by which its key is compared"),
        ({"tools": GOOD.tools | {"ssh-keygen"}}, {}, SHARED, None, ""),
        (
            {"machine_id": "b" * 32},
            {"at_its_address": ("n2",)},
            {},
            "error",
            "its address 192.0.2.11 is registered by another Node object: n2",
        ),
        ({}, {"at_its_address": ("n1",)}, {}, None, ""),
        ({"missing_modules": frozenset({"vxlan"})}, {}, {}, "error", "kernel has no vxlan"),
        (
            {"modules_disabled": True, "modules": LOADED - {"vxlan"}},
            {},
            {},
            "error",
            "its kernel no longer loads modules (kernel.modules_disabled), vxlan among them",
        ),
        ({"modules_disabled": True, "modules": LOADED}, {}, {}, None, ""),
        ({}, {}, NFTABLES, None, ""),
        ({}, {}, IPVS, None, ""),
        ({"tools": BASIC}, {}, {}, "error", "no iptables, needed for kube-proxy's iptables"),
        ({"tools": BASIC | {"iptables"}}, {}, IPVS, "error", "it has no ipset, needed for"),
        ({"tools": BASIC | {"iptables"}}, {}, NFTABLES, "error", "it has no nft, needed for"),
        ({"nft": "1.0.0"}, {}, NFTABLES, "error", "its nft is 1.0.0, and 1.0.1 is needed for"),
        ({"nft": "nonsense"}, {}, NFTABLES, None, ""),
        ({"kernel": "5.10.0-13"}, {}, NFTABLES, "error", "its kernel is 5.10.0-13, and 5.13 is"),
        ({"kernel": "5.10.0-13"}, {}, {}, None, ""),
        ({"missing_modules": frozenset({"ip_vs"})}, {}, {}, None, ""),
        (
            {"missing_sysctls": frozenset({"net.nosuch.key"})},
            {},
            {"host": {"sysctls": {"net.nosuch.key": 1}}},
            "error",
            "its kernel has no setting net.nosuch.key (host.sysctls)",
        ),
        (
            {"missing_modules": frozenset({"ip_vs"})},
            {},
            {"kube_proxy": {"mode": "ipvs"}},
            "error",
            "no ip_vs, needed for kube-proxy's ipvs mode",
        ),
        (
            {"missing_modules": frozenset({"ipip"})},
            {},
            {"calico": {"backend": "bird"}},
            "error",
            "no ipip, needed for Calico's IPIP",
        ),
        (
            {"servers": {layout.KUBELET_KUBECONFIG: "https://other:6443"}},
            {},
            {},
            "error",
            "its kubelet was set up for https://other:6443",
        ),
        ({}, BESIDE, DOCKER, "error", "has no docker"),
        ({"units": {"docker.service": UnitFact("loaded")}}, BESIDE, DOCKER, None, ""),
        (
            {"paths": {"/etc/kubernetes/kubelet.conf": PathFact("file")}},
            {},
            {},
            "error",
            "set up by kubeadm, and not for this cluster",
        ),
        (
            {"static_pods": ("etcd.yaml", "kube-apiserver.yaml")},
            {},
            {},
            "error",
            "it runs its cluster's control plane as static pods",
        ),
        (
            {"static_pods": ("nginx-proxy.yml",)},
            {},
            {},
            "warning",
            "its static pods end: nginx-proxy.yml in /etc/kubernetes/manifests",
        ),
        (
            {"static_pods": ("kube-apiserver.yaml",)},
            {},
            {"kubelet": {"config": {"staticPodPath": "/etc/kubernetes/manifests"}}},
            None,
            "",
        ),
        (
            {"pod_cgroups": frozenset({"cgroupfs"})},
            {},
            {},
            "warning",
            "its pods restart once: the kubelet's cgroup driver was cgroupfs, and is systemd from",
        ),
        ({"pod_cgroups": frozenset({"cgroupfs", "systemd"})}, {}, {}, None, ""),
        (
            {
                "paths": {layout.KUBELET_KUBECONFIG: PathFact("file", 0o600)},
                "clients": {layout.KUBELET_KUBECONFIG: "/etc/kubernetes/ssl/node.pem"},
            },
            {},
            {},
            "warning",
            "it is taken over: its kubelet uses /etc/kubernetes/kubelet.kubeconfig, without a",
        ),
    ],
)
def test_each_trouble_is_found_with_its_fix(
    facts: dict[str, Any],
    around: dict[str, Any],
    overrides: dict[str, Any],
    level: str | None,
    text: str,
) -> None:
    """One trouble gives exactly one finding, of the right weight; near misses give none."""
    seen = found(facts, around, **overrides)
    assert_finding(seen, level, text)


OURS = certificate("system:node:n1")
NAMESAKE = certificate("system:node:n1", by=authority("another-cluster"))
OTHER_NODE = certificate("system:node:n9")
TODAY, EXPIRED, TOO_EARLY = timedelta(), timedelta(days=400), timedelta(days=-2)
OTHER_SERVER = "https://other:6443"


@pytest.mark.parametrize(
    ("held", "server", "age", "text"),
    [
        ("", "", TODAY, ""),
        ("", OTHER_SERVER, TODAY, "its kubelet was set up for https://other:6443"),
        (OURS, "", TODAY, ""),
        (OURS, "", EXPIRED, ""),
        (OURS, OTHER_SERVER, TODAY, ""),  # the same cluster's apiserver at a new address
        (NAMESAKE, "", TODAY, "its kubelet belongs to another cluster"),
        (NAMESAKE, "", EXPIRED, "its kubelet belongs to another cluster"),
        (NAMESAKE, "", TOO_EARLY, "its kubelet belongs to another cluster"),
        (NAMESAKE, OTHER_SERVER, EXPIRED, "its kubelet belongs to another cluster"),
        (OTHER_NODE, "", TODAY, "its kubelet has joined as system:node:n9"),
        (OTHER_NODE, "", EXPIRED, "its kubelet has joined as system:node:n9"),
        ("rubbish", "", TODAY, ""),
        ("rubbish", OTHER_SERVER, TODAY, "its kubelet was set up for https://other:6443"),
        ("", "https://192.0.2.1:6443/", TODAY, ""),
        ("", "https://[::1", TODAY, "its kubelet was set up for https://[::1"),
        ("", "https://192.0.2.1:x", TODAY, "its kubelet was set up for https://192.0.2.1:x"),
    ],
)
def test_a_node_of_another_cluster_is_refused_however_old_its_certificate(
    held: str, server: str, age: timedelta, text: str
) -> None:
    facts = replace(
        GOOD,
        certificates={CLIENT: CertificateFile.of(held)} if held else {},
        servers={layout.KUBELET_KUBECONFIG: server} if server else {},
    )
    inputs = replace(make_inputs(make_config(), facts), now=datetime.now(UTC) + age)
    seen = findings(inputs, AROUND)
    assert [f.level for f in seen] == (["error"] if text else [])
    assert all(f.text.startswith(text) for f in seen)


@pytest.mark.parametrize(
    ("server", "known"),
    [
        ("https://[2001:db8::1]:6443", True),
        ("https://[2001:DB8:0::1]:6443", True),
        ("https://[2001:db8::1]", False),
        ("https://[2001:db8::9]:6443", False),
    ],
)
def test_an_apiserver_of_ipv6_is_known_however_it_is_written(server: str, known: bool) -> None:
    facts = replace(GOOD, servers={layout.KUBELET_KUBECONFIG: server})
    inputs = replace(make_inputs(make_config(**IPV6), facts), now=datetime.now(UTC))
    refused = any(
        f.text == f"its kubelet was set up for {server}" for f in findings(inputs, AROUND)
    )
    assert refused is not known


KUBECONFIG, KUBEADM = layout.KUBELET_KUBECONFIG, layout.KUBEADM_KUBECONFIG
TAKEN_OVER = "it is taken over: its kubelet uses "
ELSEWHERE = "/etc/kubernetes/ssl/node.pem"
PROXY_OF_ITS_OWN = {KUBECONFIG: "https://127.0.0.1:6443"}


def by_others(path: str, held: str = "", **facts: Any) -> dict[str, Any]:
    """Return the facts of a node whose kubeconfig at this path holds another tool's certificate."""
    return {
        "paths": {path: PathFact("file", 0o600)},
        "certificates": {path: CertificateFile.of(held)} if held else {},
        **facts,
    }


@pytest.mark.parametrize(
    ("facts", "level", "text"),
    [
        (by_others(KUBECONFIG, OURS), "warning", f"{TAKEN_OVER}{KUBECONFIG}, certificate CN="),
        (by_others(KUBEADM, OURS), "warning", f"{TAKEN_OVER}{KUBEADM}, certificate CN="),
        (
            {
                "paths": {KUBEADM: PathFact("file", 0o600)},
                "clients": {KUBEADM: CLIENT},
                "certificates": {CLIENT: CertificateFile.of(OURS)},
            },
            "warning",
            f"{TAKEN_OVER}{KUBEADM}, certificate CN=",
        ),
        (
            by_others(KUBECONFIG, OURS, paths={KUBECONFIG: PathFact("file", 0o666)}),
            "warning",
            f"{TAKEN_OVER}{KUBECONFIG}, which others than root may write",
        ),
        (by_others(KUBECONFIG, certificate("kubelet")), "warning", f"{TAKEN_OVER}{KUBECONFIG}, "),
        (
            {
                "paths": {KUBEADM: PathFact("file", 0o600)},  # it names no certificate
                "certificates": {CLIENT: CertificateFile.of(OURS)},
            },
            "error",
            "its kubelet was set up by kubeadm, and not for this cluster",
        ),
        (by_others(KUBECONFIG, NAMESAKE), "error", "its kubelet belongs to another cluster"),
        (by_others(KUBEADM, NAMESAKE), "error", "its kubelet was set up by kubeadm, and not for"),
        (by_others(KUBECONFIG, OTHER_NODE), "error", "its kubelet has joined as system:node:n9"),
        # A proxy of the host's own leads to the apiserver: by its CA it is this cluster's.
        (
            by_others(
                KUBECONFIG,
                clients={KUBECONFIG: ELSEWHERE},
                servers=PROXY_OF_ITS_OWN,
                authorities={KUBECONFIG: pem(authority()[0]).decode()},
            ),
            "warning",
            TAKEN_OVER,
        ),
        (
            by_others(
                KUBECONFIG,
                clients={KUBECONFIG: ELSEWHERE},
                servers=PROXY_OF_ITS_OWN,
                authorities={KUBECONFIG: pem(authority("other")[0]).decode()},
            ),
            "error",
            "its kubelet was set up for https://127.0.0.1:6443",
        ),
    ],
)
def test_a_node_of_this_cluster_is_taken_over_and_no_other(
    facts: dict[str, Any], level: str, text: str
) -> None:
    inputs = make_inputs(make_config(), replace(GOOD, **facts))
    first, *rest = findings(replace(inputs, now=datetime.now(UTC)), AROUND)
    assert first.level == level
    assert first.text.startswith(text)
    assert not [finding for finding in rest if finding.level == level]


def test_who_has_joined_under_another_name_is_to_be_called_by_it() -> None:
    first, *_ = found(by_others(KUBECONFIG, OTHER_NODE), {})
    assert "call it n9 in the configuration" in first.fix


def test_errors_come_before_warnings() -> None:
    levels = [f.level for f in found({"cgroup": 1, "swap": MIB}, {})]
    assert levels == ["error", "warning"]


@pytest.mark.parametrize(
    ("path", "mode", "uid", "gid", "fix"),
    [
        ("/etc", 0o755, 0, 0, ""),
        ("/var/lib/kubelet", 0o750, 0, 0, ""),
        ("/usr/local/bin", 0o2755, 0, 50, ""),
        ("/usr/local/bin", 0o2775, 0, 50, "chmod go-w /usr/local/bin"),
        ("/data/kubelet", 0o755, 1000, 1000, "chown root:root /data/kubelet"),
        ("/opt/cni", 0o775, 1000, 0, "chown root:root /opt/cni; chmod go-w /opt/cni"),
        ("/", 0o757, 0, 0, "chmod go-w /"),
        ("/tmp", 0o1777, 0, 0, "chmod go-w /tmp"),
        ("/a b", 0o757, 0, 0, "chmod go-w '/a b'"),
    ],
)
def test_a_folder_that_others_may_change_is_refused(
    path: str, mode: int, uid: int, gid: int, fix: str
) -> None:
    fact = PathFact("directory", mode, uid, gid)
    reported = found({"paths": {path: fact, "/etc/x": PathFact("file", 0o666, 1000, 1000)}}, {})
    assert [f.fix for f in reported] == (
        [f"check its content, then run on the host: {fix}"] if fix else []
    )
    for finding in reported:
        assert finding.level == "error"
        assert (
            f"what is in {path}: it belongs to {uid}:{gid} and has mode {mode:04o}" in finding.text
        )


def test_a_folder_in_one_of_others_is_no_path_for_a_command_of_roots() -> None:
    """Its owner may put a link there before somebody follows the advice."""
    folders = {
        "/": PathFact("directory", 0o755),
        "/data": PathFact("directory", 0o755, 1000, 1000),
        "/data/kubelet": PathFact("directory", 0o777),
        "/data/kubelet/pki": PathFact("directory", 0o775),
    }
    outer, inner, innermost = found({"paths": folders}, {})
    assert outer.fix.endswith("run on the host: chown root:root /data")
    for finding in (inner, innermost):
        assert finding.fix.startswith("check its content, then fix /data first, then check again")
        assert not re.search(r"(chown|chmod) \S+ /", finding.fix)


@pytest.mark.parametrize(
    ("registered", "held", "level"),
    [
        ("a" * 32, OURS, "warning"),
        ("b" * 32, OURS, "error"),
        ("", OURS, "error"),
        ("a" * 32, "", "error"),
        ("a" * 32, NAMESAKE, "error"),
        ("a" * 32, OTHER_NODE, "error"),
    ],
)
def test_no_other_node_stops_one_by_claiming_its_machine_id(
    registered: str, held: str, level: str
) -> None:
    """A kubelet reports what it likes: who is registered and holds a certificate was first."""
    facts = replace(GOOD, certificates={CLIENT: CertificateFile.of(held)} if held else {})
    inputs = replace(make_inputs(make_config(), facts), now=datetime.now(UTC))
    around = replace(AROUND, machine_ids={"n1": registered, "n2": "a" * 32})
    (finding,) = [f for f in findings(inputs, around) if "machine-id" in f.text]
    assert finding.level == level
    assert "n2" in finding.text
    assert "n1" in finding.text + finding.fix
    assert finding.fix.startswith("check n2") == (level == "warning")
