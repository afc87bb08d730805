"""Clusters of two families and of IPv6 alone: nodes join, and pods reach each other in each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.pki.certificates import read
from fabnode.util.families import Family, family_of, in_url

from .harness import NODES, eventually
from .test_calico_forms import fresh
from .test_proxy_modes import can
from .test_relay import moved, warnings
from .workload import NAMESPACE, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .harness import Lab

pytestmark = pytest.mark.sites

WAYS = (("n1", "n2"), ("n2", "n3"), ("n3", "n1"))
SERVING = "/var/lib/kubelet/pki/kubelet-server-current.pem"


def families(lab: Lab) -> tuple[Family, ...]:
    """Return those of the lab, that of its apiserver first."""
    return (4, 6) if lab.layout.family == "dual" else (6,)


def node_ips(lab: Lab, name: str) -> list[str]:
    host = lab.layout.host(name)
    return [str(each) for each in (host.address, host.second) if each]


@pytest.fixture(scope="module")
def joined(family_lab: Lab) -> Lab:
    """Three nodes."""
    if family_lab.objects("nodes"):
        family_lab.restore()
    else:
        done = family_lab.deploy()
        assert done.results == dict.fromkeys(NODES, "changed")
    return family_lab


@pytest.fixture(scope="module")
def work(joined: Lab) -> Workload:
    found = Workload(joined)
    found.start()
    return found


def addresses(work: Workload, node: str) -> dict[Family, str]:
    """Return those of the pod on a node."""
    pod = json.loads(work.kubectl("get", "pod", f"web-{node}", "-o", "json"))
    return {family_of(each["ip"]): each["ip"] for each in pod["status"]["podIPs"]}


def answers(
    work: Workload, by: Family, ways: Sequence[tuple[str, str]] = WAYS
) -> dict[tuple[str, str], str]:
    """Return what the pods of each way answered by a family."""
    return {
        (a, b): work.fetch(a, f"http://{in_url(addresses(work, b)[by])}:8080/") for a, b in ways
    }


def wait_for_answers(work: Workload, by: Family, wanted: dict[tuple[str, str], str]) -> None:
    eventually(lambda: answers(work, by) == wanted)


def wait_for_host(lab: Lab, host: str, url: str) -> None:
    """Wait until a host itself gets an answer of one of the pods."""
    eventually(lambda: lab.on(host, f"curl -s -m 5 '{url}'", code=None).strip() in NODES)


def wait_for_pod(work: Workload, node: str, url: str) -> None:
    """Wait until the pod on a node gets an answer of one of the pods."""
    eventually(lambda: work.fetch(node, url) in NODES)


EVERYTHING = {(a, b): b for a, b in WAYS}
NOTHING = dict.fromkeys(WAYS, "")


def test_a_second_deployment_changes_nothing(joined: Lab) -> None:
    before = joined.starts()
    assert joined.deploy().results == dict.fromkeys(NODES, "unchanged")
    assert joined.restarted(before) == set()
    assert joined.plan("--exit-code")["empty"]


def test_verify_tries_each_family(joined: Lab) -> None:
    checks = joined.inv("verify", "--json").document["checks"]
    assert all(check["ok"] for check in checks)
    names = {check["name"] for check in checks}
    if len(families(joined)) > 1:
        assert {"pod on n2 (IPv4)", "pod on n2 (IPv6)", "Service VIP (IPv6)"} <= names
    else:
        assert {"pod on n2", "Service VIP"} <= names


def test_nodes_register_and_are_certified_with_all_their_addresses(joined: Lab) -> None:
    for node in joined.objects("nodes"):
        name = node["metadata"]["name"]
        reported = node["status"]["addresses"]
        assert [a["address"] for a in reported if a["type"] == "InternalIP"] == node_ips(
            joined, name
        )
        pem = joined.on(name, f"sed '/PRIVATE KEY/,$d' {SERVING}")
        assert read(pem).names == {name, *node_ips(joined, name)}


def test_pods_have_an_address_of_each_family(joined: Lab, work: Workload) -> None:
    for node in NODES:
        assert set(addresses(work, node)) == set(families(joined))


def test_pods_reach_each_other_across_nodes(joined: Lab, work: Workload) -> None:
    for by in families(joined):
        wait_for_answers(work, by, EVERYTHING)


def service(joined: Lab, work: Workload) -> dict[str, Any]:
    """Return a Service of all pods, with all families and a port of nodes."""
    spec: dict[str, Any] = {
        "type": "NodePort",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 8080}],
    }
    if len(families(joined)) > 1:
        spec["ipFamilyPolicy"] = "RequireDualStack"
    item = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}
    work.kubectl("apply", "-f", "-", stdin=json.dumps(item))
    found: dict[str, Any] = json.loads(work.kubectl("get", "service", "web", "-o", "json"))
    return found["spec"]  # type: ignore[no-any-return]


def test_services_are_served_to_pods_and_hosts(joined: Lab, work: Workload) -> None:
    made = service(joined, work)
    assert {family_of(at) for at in made["clusterIPs"]} == set(families(joined))
    port = made["ports"][0]["nodePort"]
    for at in made["clusterIPs"]:
        url = f"http://{in_url(at)}/"
        for node in NODES:
            wait_for_pod(work, node, url)
            wait_for_host(joined, node, url)
    for at in node_ips(joined, "n2"):
        wait_for_host(joined, "n1", f"http://{in_url(at)}:{port}/")


# How to see on a host, without asking fabnode, what kube-proxy has written for IPv6.
OF_IPV6 = {
    "nftables": "nft list table ip6 kube-proxy | grep -c service-ips",
    "ipvs": "ip -6 -o addr show dev kube-ipvs0 | grep -c inet6",
    "iptables": "ip6tables-save -t nat | grep -c ^:KUBE-SVC-",
}


@pytest.mark.parametrize("mode", ["nftables", "ipvs"])
def test_kube_proxys_other_modes_serve_each_family(joined: Lab, work: Workload, mode: str) -> None:
    if mode == "ipvs" and not can(joined, "ipvs"):
        pytest.skip("the machine's kernel has no ip_vs")
    made = service(joined, work)
    port, containers = made["ports"][0]["nodePort"], work.containers()
    config = joined.config({"n2": {"kube_proxy": {"mode": mode}}})
    try:
        done = joined.deploy(config=config)
        assert done.results == {"n1": "unchanged", "n2": "changed", "n3": "unchanged"}
        assert joined.on("n2", "curl -s http://127.0.0.1:10249/proxyMode") == mode
        eventually(lambda: int(joined.on("n2", OF_IPV6[mode], code=None).strip() or 0) > 0)
        for at in made["clusterIPs"]:
            url = f"http://{in_url(at)}/"
            wait_for_pod(work, "n2", url)
            wait_for_host(joined, "n2", url)
        for at in node_ips(joined, "n2"):
            wait_for_host(joined, "n1", f"http://{in_url(at)}:{port}/")
        eventually(lambda: joined.on("n2", OF_IPV6["iptables"], code=None).strip() == "0")
        checks = joined.inv("verify", "--json", config=config).document["checks"]
        assert all(check["ok"] for check in checks)
    finally:
        joined.restore()
    assert work.containers() == containers
    assert joined.on("n2", OF_IPV6[mode], code=None).strip() in {"", "0"}


def policy(name: str, *rules: dict[str, Any]) -> str:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(rules)}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    return json.dumps({**kind, "metadata": {"name": name}, "spec": spec})


def test_a_network_policy_holds_in_each_family(joined: Lab, work: Workload) -> None:
    work.kubectl("apply", "-f", "-", stdin=policy("deny-all"))
    try:
        for by in families(joined):
            wait_for_answers(work, by, NOTHING)
        # One of a family's network lets that family in, and no other.
        for by in families(joined):
            block = {"ipBlock": {"cidr": {4: "0.0.0.0/0", 6: "::/0"}[by]}}
            work.kubectl("apply", "-f", "-", stdin=policy("one-family", {"from": [block]}))
            wait_for_answers(work, by, EVERYTHING)
            for other in set(families(joined)) - {by}:
                wait_for_answers(work, other, NOTHING)
    finally:
        work.kubectl("delete", "networkpolicy", "--all")
    for by in families(joined):
        wait_for_answers(work, by, EVERYTHING)


def test_the_apiserver_reaches_kubelets(joined: Lab, work: Workload) -> None:
    for node in NODES:
        assert f"serving on {node}" in joined.kubectl("-n", NAMESPACE, "logs", f"web-{node}")
        assert work.kubectl("exec", f"web-{node}", "--", "sh", "-c", "echo $NODE").strip() == node


def test_certificates_and_nodes_are_judged_as_elsewhere(joined: Lab) -> None:
    assert joined.inv("certs", "--json").document
    assert joined.inv("doctor", "--json").document
    assert joined.inv("audit", "--json").document


def test_a_host_is_reached_by_its_link_local_address(joined: Lab) -> None:
    """The interface is this machine's; known_hosts have the address with it, as ssh writes it."""
    shown = joined.on("n1", "ip -6 -o addr show dev host0 scope link")
    address = f"{shown.split()[3].partition('/')[0]}%{joined.layout.bridge}"
    known = joined.scratch / "known_hosts"
    text = joined.layout.known_hosts.read_text()
    (line,) = (each for each in text.splitlines() if each.split()[0].endswith(",n1"))
    known.write_text(f"{text}{address} {line.partition(' ')[2]}\n")
    n1 = {"address": address, "ip": ",".join(node_ips(joined, "n1"))}
    config = joined.config({"n1": n1}, ssh={"known_hosts": [str(known)]})
    assert joined.plan("--limit", "n1", "--exit-code", config=config)["empty"]


def test_a_node_may_have_its_addresses_in_the_other_order(joined: Lab) -> None:
    if len(families(joined)) == 1:
        pytest.skip("it has one")
    swapped = [*reversed(node_ips(joined, "n2"))]
    config = joined.config({"n2": {"ip": swapped}})
    try:
        done = joined.deploy(config=config)
        assert done.results == {"n1": "unchanged", "n2": "changed", "n3": "unchanged"}
        (node,) = (n for n in joined.objects("nodes") if n["metadata"]["name"] == "n2")
        reported = node["status"]["addresses"]
        assert [a["address"] for a in reported if a["type"] == "InternalIP"] == swapped
        checks = joined.inv("verify", "--json", config=config).document["checks"]
        assert all(check["ok"] for check in checks)
        assert joined.deploy(config=config).results == dict.fromkeys(NODES, "unchanged")
    finally:
        joined.restore()


LEFT = r"""
ip -6 route show table all | grep -E 'proto (80|bird)' || :
ip -o link show | grep -E 'cali|kube-ipvs' || :
ip6tables-save 2>/dev/null | grep -E '^:(cali|KUBE)' || :
"""


def test_a_reset_leaves_nothing_of_either_family(joined: Lab) -> None:
    assert joined.on("n3", LEFT).strip()
    joined.inv("reset", "--limit", "n3", "--pods", "*/*", "--yes", "--json")
    joined.as_configured = False
    assert not joined.on("n3", LEFT).strip()
    joined.restore()
    assert "Service VIP" in str(joined.inv("verify", "--json").document["checks"])


def test_parts_go_from_host_to_host_by_ipv6_where_nodes_have_that_first(joined: Lab) -> None:
    """Which is the only one here, or made the first one."""
    swapped = {name: {"ip": [*reversed(node_ips(joined, name))]} for name in NODES}
    relays = {"distribution": "relay"}
    config = joined.config(swapped if len(families(joined)) > 1 else None, artifacts=relays)
    joined.lab("fresh", "--hosts", ",".join(NODES))
    joined.as_configured = False
    run = joined.begin("deploy-nodes", "--json", config=config)
    listens = "ss -6 -Hltn 'sport = :10280'"
    eventually(lambda: [each for each in NODES if joined.on(each, listens, code=None)])
    done = run.wait(joined.patience).expect(0)
    assert done.results == dict.fromkeys(NODES, "changed")
    print(moved(done), warnings(done))
    sent, passed = (sum(each) for each in zip(*moved(done).values(), strict=True))
    assert passed > sent, moved(done)
    assert not any("does not reach" in text for text in warnings(done))
    joined.restore()


def test_pods_reach_each_other_by_bgp_in_each_family(joined: Lab) -> None:
    """All in one network, so that nothing needs a tunnel. The cluster is another one after it."""
    made = fresh(joined, {"backend": "bird", "encapsulation": "Never"}, len(NODES))
    done = made.deploy()
    assert done.results == dict.fromkeys(NODES, "changed")
    assert all(check["ok"] for check in done.document["checks"])
    pods = Workload(joined)
    pods.start()
    for by in families(joined):
        wait_for_answers(pods, by, EVERYTHING)
        show = {4: "ip route show proto bird", 6: "ip -6 route show proto bird"}[by]
        routes = joined.on("n1", show)
        for node in ("n2", "n3"):
            (own,) = (at for at in node_ips(joined, node) if family_of(at) == by)
            assert f"via {own} dev host0" in routes
    assert joined.on("n1", "ls /sys/class/net | grep -E 'vxlan|tunl' || true") == ""
