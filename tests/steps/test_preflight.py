"""Preflight: each thing that would go wrong is found before anything is changed, with its fix."""

from __future__ import annotations

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
from tests.support import authority, certificate, make_config

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
NFTABLES, IPVS = {"kube_proxy": {"mode": "nftables"}}, {"kube_proxy": {"mode": "ipvs"}}
OLD = {"cluster": {"version": "1.18.20"}, "calico": {"version": "3.16.10"}}
SAME = {"server_version": Release(1, 18, 20)}
DOCKER = {"cluster": {"version": "1.30.4"}, "runtime": {"name": "docker"}}
BESIDE = {"server_version": Release(1, 30, 4)}
PROXY, RUNNING = "kube-proxy.service", UnitFact("loaded", "active", "running")
CLIENT = layout.kubelet_client_certificate("/var/lib/kubelet")
AROUND = Surroundings(Release(1, 37, 2), 0.0, "", {"n2": "b" * 32})


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


@pytest.mark.parametrize(
    ("facts", "around", "overrides", "level", "text"),
    [
        ({"clock_offset": 95.0}, {}, {}, "error", "its clock is 95 s ahead of the apiserver's"),
        ({"clock_offset": -31.0}, {}, {}, "error", "its clock is 31 s behind the apiserver's"),
        ({"clock_offset": 95.0}, {"clock_offset": 80.0}, {}, None, ""),
        ({"clock_offset": 95.0}, {"clock_offset": None}, {}, None, ""),
        ({}, {"api_from_node": "connection refused"}, {}, "error", "can't use the apiserver: conn"),
        ({}, {"api_from_node": None}, {}, "warning", "could not be checked"),
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
            "may not check whether something else approves",
        ),
        ({"machine_id": ""}, {"machine_ids": {"n2": ""}}, {}, None, ""),
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
        ({"listeners": (Listener(10250, "kubelet"), Listener(22, "sshd"))}, {}, {}, None, ""),
        ({"listeners": (Listener(10256, ""),)}, {}, {}, "error", "is taken by another process"),
        ({"listeners": (Listener(10256, ""),), "units": {PROXY: RUNNING}}, {}, {}, None, ""),
        (
            {"machine_id": "b" * 32},
            {"at_its_address": ("n2",)},
            {},
            "error",
            "its address 192.0.2.11 is registered by another Node object: n2",
        ),
        ({}, {"at_its_address": ("n1",)}, {}, None, ""),
        ({"missing_modules": frozenset({"vxlan"})}, {}, {}, "error", "kernel has no vxlan"),
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
            "set up by kubeadm",
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
    ],
)
@pytest.mark.parametrize("kubeadm", [False, True])
def test_a_node_of_another_cluster_is_refused_however_old_its_certificate(
    held: str, server: str, age: timedelta, text: str, kubeadm: bool
) -> None:
    facts = replace(
        GOOD,
        certificates={CLIENT: CertificateFile.of(held)} if held else {},
        servers={layout.KUBELET_KUBECONFIG: server} if server else {},
        paths={"/etc/kubernetes/kubelet.conf": PathFact("file")} if kubeadm else {},
    )
    inputs = replace(make_inputs(make_config(), facts), now=datetime.now(UTC) + age)
    wanted = [*filter(None, [text]), *(["its kubelet was set up by kubeadm"] if kubeadm else [])]
    seen = findings(inputs, AROUND)
    assert len(seen) == len(wanted)
    assert all(
        f.level == "error" and f.text.startswith(w) for f, w in zip(seen, wanted, strict=True)
    )


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
