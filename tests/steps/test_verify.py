"""Judgements of verify: where an ordinary pod could run, what a probe's log says."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.node.facts import Facts, UnitFact
from fabnode.pki.certificates import CertificateFile
from fabnode.steps.checks import (
    node_certificates,
    node_services,
    probe_answers,
    probe_pods,
    schedulability,
    service_addresses,
)
from fabnode.steps.checks.health_endpoints import Endpoint, endpoints
from fabnode.upkeep import operations
from fabnode.upkeep.operations import Operation
from fabnode.util.own_names import NODE_OPERATION
from tests.support import authority, make_config, pem, serving_certificate

READY = {"type": "Ready", "status": "True"}


def node(*taints: str, cordoned: bool = False, ready: bool = True) -> dict[str, Any]:
    made = []
    for taint in taints:
        key, _, effect = taint.partition(":")
        made.append({"key": key, "effect": effect})
    spec = {"taints": made, **({"unschedulable": True} if cordoned else {})}
    status = {"conditions": [READY if ready else {"type": "Ready", "status": "False"}]}
    return {"metadata": {"name": "n1"}, "spec": spec, "status": status}


def leaving(found: dict[str, Any]) -> dict[str, Any]:
    kept = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["example.org/controller"]}
    return {**found, "metadata": {**found["metadata"], **kept}}


@pytest.mark.parametrize(
    ("unit", "ok", "detail"),
    [
        (UnitFact("loaded", "active", "running"), True, "active (running)"),
        (
            UnitFact("loaded", "active", "running", started=997, restarts=77),
            False,
            "active (running), restarted 77 times by systemd, the last time 3 s ago",
        ),
        (
            UnitFact("loaded", "active", "running", started=100, restarts=77),
            True,
            "active (running), restarted 77 times by systemd",
        ),
        (
            UnitFact("loaded", "active", "running", started=997, restarts=2),
            True,
            "active (running), restarted 2 times by systemd",
        ),
        # A container's own uptime can't be compared with the kernel's clock.
        (
            UnitFact("loaded", "active", "running", started=5000, restarts=9),
            True,
            "active (running), restarted 9 times by systemd",
        ),
        (UnitFact("loaded", "activating", "auto-restart"), False, "activating (auto-restart)"),
    ],
)
def test_a_unit_that_restarts_all_the_time_is_not_good(
    unit: UnitFact, ok: bool, detail: str
) -> None:
    facts = Facts(known=True, uptime=1000, units={"kube-proxy.service": unit})
    (check,) = node_services.unit_checks("n1", facts, ["kube-proxy.service"])
    assert (check.ok, check.detail) == (ok, detail)
    assert check.advice == "fab -H n1 logs --unit kube-proxy"


UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized:NoSchedule"
PRESSURE = "node.kubernetes.io/disk-pressure:NoSchedule"


@pytest.mark.parametrize(
    ("live", "seen", "advice"),
    [
        (node(), "yes", ""),
        (node("dedicated:NoSchedule"), "yes", ""),  # the configuration's own
        (node("soft:PreferNoSchedule"), "yes", ""),
        (
            node("node.kubernetes.io/unschedulable:NoSchedule", cordoned=True),
            "cordoned",
            "kubectl uncordon n1",
        ),
        (node(UNINITIALIZED), f"tainted {UNINITIALIZED}", "controller manager"),
        (node(PRESSURE), f"tainted {PRESSURE}", "kubectl describe node n1"),
        (node("a:NoExecute"), "tainted a:NoExecute", "kubectl taint nodes n1 a:NoExecute-"),
        (node("dedicated:NoExecute"), "tainted dedicated:NoExecute", "kubectl taint"),
        (node("a:NoExecute", cordoned=True), "cordoned, tainted a:NoExecute", "kubectl uncordon"),
        (
            leaving(node()),
            "its Node object was deleted, and stays until example.org/controller is through",
            "find out who deleted it",
        ),
    ],
)
def test_where_an_ordinary_pod_could_run(live: dict[str, Any], seen: str, advice: str) -> None:
    nodes = [{"name": "n1", "address": "192.0.2.11", "taints": ["dedicated:NoSchedule"]}]
    check = schedulability.schedulable_check(make_config(nodes=nodes).nodes[0], live)
    assert (check.ok, check.detail) == (seen == "yes", seen)
    assert advice in check.advice
    assert not check.warning


def test_a_cordon_of_our_own_is_reported_with_the_command_that_lifts_it() -> None:
    begun = Operation("drain", "drained", "me@here", "2026-11-29T12:00:00Z", cordons=True)
    live = node(cordoned=True)
    live["metadata"]["annotations"] = {NODE_OPERATION: begun.to_json()}
    own = operations.own_cordon(live)
    check = schedulability.schedulable_check(make_config().nodes[0], live, own)
    since = "2026-11-29 12:00:00 UTC"
    assert check.detail == f"cordoned (ours: drain (drained) by me@here since {since})"
    assert check.advice == "inv uncordon --limit n1"


@pytest.mark.parametrize("live", [node("fabnode.io/removed:NoSchedule"), node(cordoned=True)])
def test_a_node_that_is_locked_out_is_not_simply_had_back(live: dict[str, Any]) -> None:
    check = schedulability.schedulable_check(make_config().nodes[0], live, "ours", locked_out=True)
    assert not check.ok
    assert check.detail.endswith("locked out: a removal of it has begun")
    assert check.advice == (
        "inv remove-node --limit n1 goes on with that; inv uncordon --limit n1 has it back, if"
        " nobody else got its keys"
    )


@pytest.mark.parametrize(
    ("live", "warning"),
    [
        (node(UNINITIALIZED), True),
        (node(UNINITIALIZED, "a:NoSchedule"), False),
        (node(UNINITIALIZED, cordoned=True), False),
        (node("node.cloudprovider.kubernetes.io/shutdown:NoSchedule"), False),
        (leaving(node(UNINITIALIZED)), False),
        (node(), False),
    ],
)
def test_a_node_that_waits_for_its_cloud_is_neither_good_nor_failed(
    live: dict[str, Any], *, warning: bool
) -> None:
    config = make_config(kubelet={"cloud_provider": "external"})
    check = schedulability.schedulable_check(config.nodes[0], live)
    assert check.ok is (live == node())
    assert check.warning is warning


@pytest.mark.parametrize(
    ("live", "warning", "advice"),
    [
        (node("agent:NoExecute"), True, "takes this startup taint off runs on n1"),
        (node("agent:NoExecute", "a:NoExecute"), False, "kubectl taint nodes n1 a:NoExecute-"),
        (node("agent:NoSchedule"), False, "kubectl taint nodes n1 agent:NoSchedule-"),
        (node("agent:NoExecute", cordoned=True), False, "kubectl uncordon n1"),
        (node(), False, ""),
    ],
)
def test_a_node_that_waits_for_its_startup_taint_to_go_is_neither_good_nor_failed(
    live: dict[str, Any], *, warning: bool, advice: str
) -> None:
    config = make_config(kubelet={"startup_taints": ["agent:NoExecute"]})
    check = schedulability.schedulable_check(config.nodes[0], live)
    assert check.ok is (live == node())
    assert check.warning is warning
    assert advice in check.advice


@pytest.mark.parametrize(
    ("live", "settles"),
    [
        (node(), False),
        (node("node.kubernetes.io/not-ready:NoSchedule"), True),
        (node("node.kubernetes.io/not-ready:NoSchedule", ready=False), False),
        (node(UNINITIALIZED), False),
    ],
)
def test_a_taint_of_kubernetes_goes_a_moment_after_its_reason(
    live: dict[str, Any], settles: bool
) -> None:
    assert schedulability.settles(live) is settles


@pytest.mark.parametrize(
    ("addresses", "names", "lacking"),
    [
        ([], ("n1", "192.0.2.11"), ""),
        ([("InternalIP", "192.0.2.11"), ("Hostname", "n1")], ("n1", "192.0.2.11"), ""),
        ([("InternalIP", "192.0.2.99")], ("n1", "192.0.2.11"), "192.0.2.99"),
        ([("ExternalIP", "198.51.100.1")], ("n1", "192.0.2.11"), ""),
        ([], ("n1", "192.0.2.99"), "192.0.2.11"),
        ([], ("other", "192.0.2.11"), "n1"),
    ],
)
def test_a_serving_certificate_has_the_nodes_names(
    addresses: list[tuple[str, str]], names: tuple[str, ...], lacking: str
) -> None:
    live = {"status": {"addresses": [{"type": kind, "address": a} for kind, a in addresses]}}
    wanted = node_certificates.serving_addresses(make_config().nodes[0], live)
    held = CertificateFile.of(serving_certificate("n1", *names))
    facts = Facts(known=True, certificates={"/s": held})
    assert held.certificate
    now = held.certificate.not_before
    (check,) = node_certificates.certificate_checks(
        "n1",
        facts,
        {node_certificates.SERVING_TITLE: "/s"},
        pem(authority()[0]),
        now,
        10,
        serving=wanted,
    )
    assert check.ok == (not lacking)
    assert f"it is not for {lacking}:" in check.detail or not lacking
    assert "deploy-nodes --limit n1" in check.advice or not lacking


GOOD = "n1 ok n1\nn1:large ok\nn2 ok n2\nn2:large ok\nservice ok n2\n"


@pytest.mark.parametrize(
    ("log", "bad"),
    [
        (GOOD, {}),
        (
            GOOD.replace("n2:large ok", "n2:large failed"),
            {probe_answers.LARGE: "lost on the way from n2, while small ones arrive"},
        ),
        ("n1 ok n1\nn1:large ok\nn2 failed x\nservice ok n1\n", {"pod on n2": "x"}),
        ("n1 ok n1\nn2 ok n2\nservice ok n1\n", {probe_answers.LARGE: "not tried"}),
        # wget was ended before it could say anything
        (
            GOOD.replace("service ok n2", "service failed "),
            {"Service VIP": "no answer within 10 s"},
        ),
        (
            "",
            dict.fromkeys(("pod on n1", "pod on n2", "Service VIP"), "no answer within 10 s"),
        ),
    ],
)
def test_what_a_probes_log_says(log: str, bad: dict[str, str]) -> None:
    checks = probe_answers.probe_results("n1", log, ["n1", "n2"])
    failed = {check.name: check for check in checks if not check.ok}
    assert failed.keys() == bad.keys()
    assert all(text in failed[name].detail for name, text in bad.items())
    assert all(check.advice for check in failed.values())


def test_of_another_node_only_its_way_to_the_runs_nodes_counts() -> None:
    checks = probe_answers.probe_results("n3", GOOD, ["n1"], service=False)
    assert [(check.name, check.ok) for check in checks] == [
        ("pod on n1", True),
        (probe_answers.LARGE, True),
    ]


@pytest.mark.parametrize(
    ("kubelet", "proxy", "found"),
    [
        ({}, {}, {"kubelet health": 10248, "kube-proxy health": 10256, "kube-proxy mode": 10249}),
        (
            {"healthzPort": 0},
            {"metricsBindAddress": ""},
            {"kube-proxy health": 10256},
        ),
        (
            {"healthzPort": 11248, "healthzBindAddress": "192.0.2.11"},
            {"healthzBindAddress": ":11256", "metricsBindAddress": "192.0.2.11:11249"},
            {"kubelet health": 11248, "kube-proxy health": 11256, "kube-proxy mode": 11249},
        ),
    ],
)
def test_health_is_asked_where_the_configuration_has_it(
    kubelet: dict[str, Any], proxy: dict[str, Any], found: dict[str, int]
) -> None:
    (node, *_) = make_config(kubelet={"config": kubelet}, kube_proxy={"config": proxy}).nodes
    assert {title: at.port for title, at in endpoints(node).items()} == found


@pytest.mark.parametrize(
    ("bound", "address"),
    [
        ("0.0.0.0:10249", "127.0.0.1"),
        ("[::]:10249", "127.0.0.1"),
        (":10249", "127.0.0.1"),
        ("192.0.2.11:10249", "192.0.2.11"),
        ("192.0.2.11", "192.0.2.11"),
        ("[fd00::1]:10249", "fd00::1"),
        ("fd00::1", "fd00::1"),
        ("::", "127.0.0.1"),
    ],
)
def test_what_is_bound_to_an_address_is_asked_there(bound: str, address: str) -> None:
    (node, *_) = make_config(kube_proxy={"config": {"metricsBindAddress": bound}}).nodes
    assert endpoints(node)["kube-proxy mode"] == Endpoint(address, 10249)


def dns(name: str, *addresses: str) -> dict[str, Any]:
    spec = {"clusterIP": addresses[0], "clusterIPs": list(addresses)}
    return {"metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("services", "address", "detail"),
    [
        ([], "10.68.0.2", ""),
        ([dns("kube-dns", "10.68.0.2")], "10.68.0.2", ""),
        ([dns("kube-dns", "fd00::2", "10.68.0.2")], "10.68.0.2", ""),
        ([dns("kube-dns-upstream", "10.68.0.9"), dns("kube-dns", "10.68.0.2")], "10.68.0.2", ""),
        ([dns("kube-dns", "10.68.0.10")], "169.254.20.10", ""),
        ([dns("headless", "None")], "10.68.0.2", ""),
        (
            [dns("kube-dns", "10.68.0.10")],
            "10.68.0.2",
            "pods ask 10.68.0.2 (cluster.dns_address), but the Service kube-dns has 10.68.0.10",
        ),
    ],
)
def test_pods_ask_the_clusters_dns(
    services: list[dict[str, Any]], address: str, detail: str
) -> None:
    assert [check.detail for check in service_addresses.dns_checks(services, [address])] == [
        detail
    ] * bool(detail)


@pytest.mark.parametrize("standing", [True, False])
def test_who_may_create_pods_for_the_probe_may_not_be_root_on_a_node(*, standing: bool) -> None:
    labels = probe_pods.namespace(standing=standing)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
