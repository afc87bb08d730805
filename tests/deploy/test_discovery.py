# ruff: noqa: E501 - one line per case reads best
"""What a cluster says of itself becomes a first configuration, whatever an account may read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fabnode.config.host_list import Host
from fabnode.config.loader import load as load_configuration
from fabnode.config.starter import ExistingNode, Findings, Known, Missing, write
from fabnode.deploy import chosen_networks, discovery
from fabnode.deploy.discovery import CA_FILE, discover, explore
from fabnode.kube.client import ApiError
from fabnode.kube.kubeconfig import Credentials
from fabnode.util.errors import InputError
from fabnode.util.families import families_of
from tests.kube.test_kubeconfig import CA, CERTIFICATE, OTHER_KEY, encoded, kubeconfig
from tests.support import write_cluster

Answers = dict[str, Any]

VERSION = "/version"
RANGES = "/apis/networking.k8s.io/v1/servicecidrs"
OLD_RANGES = "/apis/networking.k8s.io/v1beta1/servicecidrs"
POOLS = "/apis/crd.projectcalico.org/v1/ippools"
KUBERNETES = "/api/v1/namespaces/default/services/kubernetes"
DNS = "/api/v1/namespaces/kube-system/services/kube-dns"
KUBEADM = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
NODES = "/api/v1/nodes"
SETS = "/apis/apps/v1/daemonsets"
ENDPOINTS = "/api/v1/namespaces/default/endpoints/kubernetes"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
SERVICES = "/api/v1/services"
COREDNS = "/api/v1/namespaces/kube-system/services/coredns"
CONTROL_PLANE = (
    "/api/v1/namespaces/kube-system/pods"
    "?labelSelector=component%20in%20(kube-apiserver,kube-controller-manager)"
)


def items(*found: Any) -> Answers:
    return {"items": list(found)}


def service(address: str) -> Answers:
    return {"spec": {"clusterIP": address}}


def pool(cidr: str, **spec: Any) -> Answers:
    return {"metadata": {"name": "pool"}, "spec": {"cidr": cidr, **spec}}


def node(name: str = "cp-1", **spec: Any) -> Answers:
    return {"metadata": {"name": name}, "spec": spec}


def service_range(*cidrs: str) -> Answers:
    return items({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": list(cidrs)}})


def flags(*given: str) -> Answers:
    """Return a Pod of the control plane with these flags."""
    about = {"namespace": "kube-system", "name": "kube-controller-manager-cp-1"}
    return {"metadata": about, "spec": {"containers": [{"command": ["it", "-v", *given]}]}}


def daemon_set(namespace: str, name: str, image: str = "", manager: str = "kubectl") -> Answers:
    containers = [{"name": "install-cni", "image": "x:v9"}, {"name": name, "image": image}]
    about = {"namespace": namespace, "name": name, "managedFields": [{"manager": manager}]}
    return {"metadata": about, "spec": {"template": {"spec": {"containers": containers}}}}


WHOLE: Answers = {
    VERSION: {"gitVersion": "v1.36.3+vendor1"},
    RANGES: service_range("10.68.0.0/16"),
    POOLS: items(pool("172.20.0.0/16"), pool("fd00::/48"), pool("10.9.0.0/16", disabled=True)),
    DNS: service("10.68.0.2"),
    KUBERNETES: service("10.68.0.1"),
    NODES: items(
        {
            "metadata": {"name": "cp-1", "labels": {"disk": "ssd"}},
            "spec": {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": "c"}]},
        }
    ),
    SETS: items(),
}


class Api:
    """An API with these objects; what is not there is answered by 404, an int by that status."""

    server = "https://api.example:6443"

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def get(self, path: str) -> Any:
        self.asked.append(path)
        found = self.answers.get(path, 404)
        if isinstance(found, int):
            raise ApiError(found, "", f"status {found}")
        return found


def explored(
    changes: Answers,
    server: str = "https://192.0.2.1:6443",
    hosts: tuple[str, ...] = (),
    **more: Any,
) -> Findings:
    credentials = Credentials(server, context="admin", **more)
    api: Any = Api({**WHOLE, **changes})
    ca = Known("ca.pem", "x")
    return explore(api, credentials, kubeconfig="admin.kubeconfig", ca=ca, hosts=hosts)


def test_a_whole_cluster_tells_all() -> None:
    found = explored({})
    assert {key: fact.value for key, fact in found.cluster.items() if isinstance(fact, Known)} == {
        "version": "1.36.3",
        "apiserver": "https://192.0.2.1:6443",
        "ca": "ca.pem",
        "service_cidr": "10.68.0.0/16",
        "pod_cidr": "172.20.0.0/16",
        "dns_address": "10.68.0.2",
    }
    assert found.nodes == (ExistingNode("cp-1", {"disk": "ssd"}, ("a=b:NoSchedule", "c:")),)
    assert (found.network.other, found.network.calico, found.network.unseen) == ("", "", "")
    assert not found.own_kube_proxy


@pytest.mark.parametrize("path", [*WHOLE, KUBEADM])
def test_each_refusal_is_an_open_setting_and_no_failure(path: str) -> None:
    found = explored({path: 403})
    key = {
        VERSION: "version",
        POOLS: "pod_cidr",
        DNS: "dns_address",
    }.get(path)
    for name, fact in found.cluster.items():
        assert isinstance(fact, Missing) == (name == key), name
        assert not isinstance(fact, Missing) or "may not read" in fact.why
    assert isinstance(found.nodes, Missing) == (path == NODES)
    assert bool(found.network.unseen) == (path == SETS)


def test_an_account_without_rights_gets_a_file_that_says_so() -> None:
    found = explored(dict.fromkeys([*WHOLE, KUBEADM, OLD_RANGES], 403))
    lacking = {key for key, fact in found.cluster.items() if isinstance(fact, Missing)}
    assert lacking == {"version", "service_cidr", "pod_cidr", "dns_address"}
    text = write(found, [], command="inv config.init", example="inv config.example")
    assert text.count("(403)") == 8  # the four, one of them for two reasons; network, nodes twice


def test_another_status_is_a_failure() -> None:
    with pytest.raises(ApiError, match="500"):
        explored({POOLS: 500})


@pytest.mark.parametrize(
    ("changes", "wanted", "doubtful"),
    [
        ({RANGES: 404, OLD_RANGES: WHOLE[RANGES]}, "10.68.0.0/16", False),
        (
            {
                RANGES: items(
                    {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["fd00::/108"]}}
                )
            },
            "fd00::/108",
            False,
        ),
        ({RANGES: 404}, "10.68.0.0/16", True),
        ({RANGES: 404, KUBERNETES: service("10.96.0.1")}, "10.96.0.0/12", True),
        (
            {RANGES: 404, CONTROL_PLANE: items(flags("--service-cluster-ip-range=10.9.0.0/20"))},
            "10.9.0.0/20",
            False,
        ),
        (
            {
                RANGES: 404,
                CONTROL_PLANE: items(flags("--service-cluster-ip-range=fd00::/108,10.9.0.0/20")),
            },
            "fd00::/108,10.9.0.0/20",
            False,
        ),
        ({RANGES: 404, KUBERNETES: service("10.1.2.1")}, "10.1.2.0/23", True),
        ({RANGES: 404, KUBERNETES: service("10.1.2.9")}, None, False),
        ({RANGES: 404, KUBERNETES: service("None")}, None, False),
        ({RANGES: 404, KUBERNETES: 404}, None, False),
        (
            {
                RANGES: 404,
                KUBEADM: {
                    "data": {
                        "ClusterConfiguration": "networking: {serviceSubnet: 'fd::/9,10.8.0.0/14'}"
                    }
                },
            },
            "fd::/9,10.8.0.0/14",
            False,
        ),
        ({RANGES: 404, KUBEADM: {"data": {"ClusterConfiguration": "a: [b"}}}, "10.68.0.0/16", True),
    ],
)
def test_the_range_of_services(changes: Answers, wanted: str | None, doubtful: bool) -> None:
    fact = explored(changes).cluster["service_cidr"]
    assert isinstance(fact, Missing) == (wanted is None)
    if isinstance(fact, Known):
        assert (fact.value, fact.doubtful) == (wanted, doubtful)
        assert not doubtful or "--service-cluster-ip-range" in fact.source


@pytest.mark.parametrize(
    ("changes", "wanted", "doubtful"),
    [
        ({POOLS: 404, "/apis/projectcalico.org/v3/ippools": WHOLE[POOLS]}, "172.20.0.0/16", False),
        ({POOLS: items(pool("10.1.0.0/16", allowedUses=["Tunnel"]))}, "10.244.0.0/16", True),
        ({POOLS: items(pool("10.1.0.0/16"), pool("10.2.0.0/16"))}, None, False),
        ({POOLS: 404}, "10.244.0.0/16", True),
        ({POOLS: 404, KUBEADM: 403}, None, False),
        ({POOLS: 404, CONTROL_PLANE: 403}, None, False),
        ({POOLS: 404, SETS: 403}, None, False),
        ({POOLS: 404, SETS: items(daemon_set("kube-system", "cilium"))}, None, False),
        ({POOLS: 404, CONTROL_PLANE: items(flags("--cluster-cidr=10.7.0.0/17"))}, "10.7.0.0/17", 0),
        ({POOLS: 404, CONTROL_PLANE: items(flags("--cluster-cidr=fd00::/48"))}, "10.244.0.0/16", 1),
        ({POOLS: 404, RANGES: service_range("10.244.0.0/14")}, "10.200.0.0/16", True),
        ({POOLS: 404, NODES: items(node(podCIDR="10.5.7.0/24"))}, "10.5.0.0/16", True),
        (
            {POOLS: 404, NODES: items(node(podCIDR="10.5.7.0/24"), node(podCIDR="10.6.0.0/24"))},
            "10.4.0.0/14",
            True,
        ),
        (
            {POOLS: 404, NODES: items(node(podCIDR="10.5.7.0/24"), node(podCIDR="192.0.2.0/24"))},
            None,
            False,
        ),
        ({POOLS: 404, NODES: items(node(podCIDR="fd00::/64"))}, None, False),
        (
            {
                POOLS: 404,
                KUBEADM: {
                    "data": {"ClusterConfiguration": "networking: {podSubnet: 10.244.0.0/16}"}
                },
            },
            "10.244.0.0/16",
            False,
        ),
    ],
)
def test_the_network_of_pods(changes: Answers, wanted: str | None, doubtful: bool) -> None:
    fact = explored(changes).cluster["pod_cidr"]
    assert isinstance(fact, Missing) == (wanted is None)
    if isinstance(fact, Known):
        assert (fact.value, fact.doubtful) == (wanted, doubtful)


def test_a_chosen_network_of_pods_meets_nothing_that_is_known() -> None:
    """Neither hosts that are named, nor nodes, nor any apiserver."""
    address = {"addresses": [{"type": "InternalIP", "address": "172.20.0.9"}]}
    changes = {
        POOLS: 404,
        NODES: items({**node(), "status": address}),
        SLICES: slices("172.24.0.1", "172.24.0.2"),
    }
    hosts = ("10.244.3.4", "n2.example.org")
    fact = explored(changes, "https://10.200.0.1:6443", hosts).cluster["pod_cidr"]
    assert isinstance(fact, Known)
    assert (fact.value, fact.doubtful) == ("10.128.0.0/16", True)
    text = write(explored(changes, hosts=hosts), [], command="x", example="y")
    assert "# To be checked: chosen, for nothing in the cluster has a network for pods yet" in text


def test_with_every_usual_network_in_use_none_is_chosen() -> None:
    hosts = tuple(f"{start}.0.1" for start in chosen_starts())
    fact = explored({POOLS: 404}, hosts=hosts).cluster["pod_cidr"]
    assert isinstance(fact, Missing)


def chosen_starts() -> list[str]:
    return [each.rpartition(".0.0/")[0] for each in chosen_networks._OF_PODS[4]]


@pytest.mark.parametrize(
    ("changes", "wanted", "why"),
    [
        ({}, "10.68.0.2", "Of the Service kube-system/kube-dns."),
        ({DNS: 404, COREDNS: service("10.68.0.3")}, "10.68.0.3", "kube-system/coredns."),
        ({DNS: 404}, "10.68.0.10", "where kubeadm has it. Give it to that Service when DNS is"),
        ({DNS: 404, RANGES: service_range("10.68.0.0/28")}, "10.68.0.10", "tenth address"),
        ({DNS: 404, RANGES: service_range("10.68.0.0/29")}, None, "choose an address in service"),
        ({DNS: 404, RANGES: 404, KUBERNETES: 404}, None, "choose an address in service_cidr"),
        (
            {
                DNS: 404,
                SERVICES: items(
                    {
                        "metadata": {"namespace": "web", "name": "shop"},
                        "spec": {"clusterIP": "10.68.0.10"},
                    }
                ),
            },
            None,
            "the tenth address of service_cidr, 10.68.0.10, is that of the Service web/shop",
        ),
        ({DNS: 404, COREDNS: 403}, None, "may not read the Service kube-system/coredns"),
    ],
)
def test_the_address_of_dns(changes: Answers, wanted: str | None, why: str) -> None:
    fact = explored(changes).cluster["dns_address"]
    assert why in (fact.source if isinstance(fact, Known) else fact.why)
    assert (fact.value if isinstance(fact, Known) else None) == wanted


def slices(*addresses: str, port: int = 6443) -> Answers:
    """Return the apiservers' EndpointSlice."""
    endpoints = [{"addresses": [each], "conditions": {"ready": True}} for each in addresses]
    return {"endpoints": endpoints, "ports": [{"name": "https", "port": port}]}


def test_several_apiservers_are_suggested_where_the_kubeconfig_names_one() -> None:
    found = explored({SLICES: slices("192.0.2.2", "192.0.2.1", "192.0.2.3")})
    assert isinstance(fact := found.cluster["apiserver"], Known)
    assert (fact.value, fact.doubtful) == ("https://192.0.2.1:6443", False)
    text = write(found, [], command="x", example="y")
    lines = text.splitlines()
    at = lines.index("  apiserver: https://192.0.2.1:6443")
    several = ", ".join(f'"https://192.0.2.{n}:6443"' for n in (1, 2, 3)).replace('"', "")
    assert f"  # apiserver: [{several}]" in lines[at:]
    assert "docs/several-apiservers.md" in text


@pytest.mark.parametrize(
    ("changes", "server"),
    [
        ({SLICES: slices("192.0.2.1")}, "https://192.0.2.1:6443"),
        ({SLICES: slices("192.0.2.1", "192.0.2.2")}, "https://192.0.2.9:6443"),  # a balancer
        ({SLICES: slices("192.0.2.1", "192.0.2.2")}, "https://192.0.2.1:8443"),
        ({SLICES: slices("192.0.2.1", "192.0.2.2", port=443)}, "https://192.0.2.1:6443"),
        ({SLICES: slices("192.0.2.1", "fd00::1", "x; rm")}, "https://192.0.2.1:6443"),
        ({SLICES: {"endpoints": 1, "ports": "x"}}, "https://192.0.2.1:6443"),
        ({SLICES: 403}, "https://192.0.2.1:6443"),
    ],
)
def test_one_apiserver_or_what_stands_before_several_is_named_alone(
    changes: Answers, server: str
) -> None:
    text = write(explored(changes, server), [], command="x", example="y")
    assert "# apiserver:" not in text
    assert f"  apiserver: {server}\n" in text


# --- of IPv6, and of both families ----------------------------------------------------------------

SIX_RANGE, SIX_PODS = "fd00:10:68::/108", "fd00:172:20::/56"
DUAL: Answers = {
    RANGES: service_range("10.68.0.0/16", SIX_RANGE),
    POOLS: items(pool("172.20.0.0/16"), pool(SIX_PODS)),
    DNS: {"spec": {"clusterIP": "10.68.0.2", "clusterIPs": ["10.68.0.2"]}},
}
SIX: Answers = {
    RANGES: service_range(SIX_RANGE),
    # Calico's own of IPv4, of which no pod gets an address.
    POOLS: items(pool(SIX_PODS), pool("192.168.0.0/16")),
    DNS: service("fd00:10:68::2"),
    KUBERNETES: service("fd00:10:68::1"),
}


@pytest.mark.parametrize(
    ("cluster", "server", "wanted"),
    [
        (
            DUAL,
            "https://192.0.2.1:6443",
            (f"10.68.0.0/16,{SIX_RANGE}", f"172.20.0.0/16,{SIX_PODS}", "10.68.0.2"),
        ),
        (
            {**DUAL, RANGES: service_range(SIX_RANGE, "10.68.0.0/16")},
            "https://[2001:db8::1]:6443",
            (f"{SIX_RANGE},10.68.0.0/16", f"{SIX_PODS},172.20.0.0/16", "10.68.0.2"),
        ),
        (SIX, "https://[2001:db8::1]:6443", (SIX_RANGE, SIX_PODS, "fd00:10:68::2")),
    ],
)
def test_a_cluster_of_other_families_tells_all_and_loads(
    cluster: Answers, server: str, wanted: tuple[str, ...], tmp_path: Path
) -> None:
    found = explored(cluster, server)
    assert tuple(value(found, key) for key in ("service_cidr", "pod_cidr", "dns_address")) == wanted
    hosts = [Host("n1", "n1.example.org", seen=("192.0.2.11", "2001:db8::11"))]
    text = write(found, hosts, command="x", example="y")
    assert "To be checked" not in text
    config = load_configuration(write_cluster(tmp_path, text))
    assert config.cluster.apiserver == server
    assert set(config.cluster.families) == set(families_of(config.nodes[0].ips))


def value(found: Findings, key: str) -> str | None:
    fact = found.cluster[key]
    return fact.value if isinstance(fact, Known) else None


def dual_node(*cidrs: str) -> Answers:
    return node(podCIDR=cidrs[0], podCIDRs=list(cidrs))


def services(*addresses: list[str]) -> Answers:
    return items(
        *(
            {
                "metadata": {"namespace": "web", "name": f"shop-{number}"},
                "spec": {"clusterIP": each[0], "clusterIPs": each},
            }
            for number, each in enumerate(addresses)
        )
    )


@pytest.mark.parametrize(
    ("changes", "wanted", "said"),
    [
        ({KUBERNETES: service("fd00:10:68::1")}, "fd00:10:68::/112", "first address, fd00:10:68::1"),
        # kubespray's
        ({KUBERNETES: service("fd85:ee78:d8a6:8607::1001")}, "fd85:ee78:d8a6:8607::1000/116", ""),
        ({KUBERNETES: service("fd00::9")}, None, "which begins no usual network"),
        ({KUBERNETES: service("::")}, None, "which begins no usual network"),
        (
            {SERVICES: services(["10.68.0.9"], ["10.68.0.8", "fd00:10:68::9:2"])},
            "10.68.0.0/16,fd00:10:68::9:0/112",
            "and others have fd00:10:68::9:2 and the like",
        ),
        (
            {
                KUBERNETES: service("fd00:10:68::1"),
                SERVICES: services(["fd00:10:68::7", "10.68.3.9"], ["10.68.7.7"]),
            },
            "fd00:10:68::/112,10.68.0.0/16",
            "and others have 10.68.3.9 and the like",
        ),
        (
            {SERVICES: services(["fd00:10:68::9"], ["fd00:10:69::9"])},
            None,
            "fd00:10:68::9, fd00:10:69::9, too far apart for one",
        ),
        (
            {NODES: items(dual_node("172.20.1.0/24", "fd00:172:20:1::/64"))},
            None,
            "and pods have IPv6 as well: only the apiserver's --service-cluster-ip-range",
        ),
        ({SERVICES: 403}, "10.68.0.0/16", "first address, 10.68.0.1"),
        (
            {KUBEADM: {"data": {"ClusterConfiguration": "networking: {serviceSubnet: 'fd00:1::/112'}"}}},
            "fd00:1::/112",
            "Of kubeadm's configuration.",
        ),
    ],
)  # fmt: skip
def test_networks_of_services_are_guessed_of_each_family(
    changes: Answers, wanted: str | None, said: str
) -> None:
    fact = explored({RANGES: 404, **changes}).cluster["service_cidr"]
    assert (fact.value if isinstance(fact, Known) else None) == wanted
    assert said in (fact.source if isinstance(fact, Known) else fact.why)


TWO_KUBEADM = {
    "data": {"ClusterConfiguration": "networking: {podSubnet: '10.244.0.0/16, fd00:244::/56'}"}
}


@pytest.mark.parametrize(
    ("changes", "wanted", "said"),
    [
        ({POOLS: items(pool("172.20.0.0/16"))}, None, "there are no IPPools of Calico of IPv6; no Node"),
        ({POOLS: 404, KUBEADM: TWO_KUBEADM}, "10.244.0.0/16,fd00:244::/56", "Of kubeadm's"),
        (
            {POOLS: items(pool("172.20.0.0/16"), pool(SIX_PODS), pool("fd01::/48"))},
            None,
            f"several IPPools ({SIX_PODS}, fd01::/48)",
        ),
        (
            {POOLS: 404, CONTROL_PLANE: items(flags("--cluster-cidr=10.7.0.0/17,fd00:7::/48"))},
            "10.7.0.0/17,fd00:7::/48",
            "Of --cluster-cidr",
        ),
        ({POOLS: 404, CONTROL_PLANE: items(flags("--cluster-cidr=10.7.0.0/17"))},
            "10.244.0.0/16,fd00:10:244::/56", "chosen"),
        (
            {POOLS: 404, NODES: items(dual_node("10.5.7.0/24", "fd00:5:0:7::/64"))},
            "10.5.0.0/16,fd00:5::/56",
            "guessed",
        ),
        (
            {
                POOLS: 404,
                NODES: items(
                    dual_node("10.5.7.0/24", "fd00:5:0:7::/64"),
                    dual_node("10.5.8.0/24", "fd00:5:0:1207::/64"),
                ),
            },
            "10.5.0.0/16,fd00:5::/51",
            "guessed",
        ),
        (
            {
                POOLS: 404,
                NODES: items(
                    dual_node("10.5.7.0/24", "fd00:5:0:7::/64"),
                    dual_node("10.5.8.0/24", "fd00:6::/64"),
                ),
            },
            None,
            "lie too far apart",
        ),
        ({POOLS: 404, NODES: items(node(podCIDR="10.5.7.0/24"))}, None, "no Node has a podCIDR of IPv6"),
        ({POOLS: 404}, "10.244.0.0/16,fd00:10:244::/56", "chosen"),
        # Of Services nobody knows the families: pools of both do not tell these.
        (
            {RANGES: 403, KUBERNETES: 403, POOLS: DUAL[POOLS]},
            "172.20.0.0/16",
            "there is one of IPv6 too, and only Services tell who gets it",
        ),
        ({RANGES: 403, KUBERNETES: 403, POOLS: items(pool(SIX_PODS))}, SIX_PODS, "only IPPool"),
    ],
)  # fmt: skip
def test_networks_of_pods_have_the_families_of_services(
    changes: Answers, wanted: str | None, said: str
) -> None:
    fact = explored({**DUAL, **changes}).cluster["pod_cidr"]
    assert (fact.value if isinstance(fact, Known) else None) == wanted
    assert said in (fact.source if isinstance(fact, Known) else fact.why)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({**SIX, POOLS: 404}, "fd00:10:244::/56"),
        ({**SIX, POOLS: 404, RANGES: service_range("fd00:10:244::/112")}, "fd00:10:200::/56"),
        ({**DUAL, POOLS: 404, RANGES: service_range(SIX_RANGE, "10.244.0.0/16")},
            "fd00:10:244::/56,10.200.0.0/16"),
        ({POOLS: 404, RANGES: 404, KUBERNETES: 404}, "10.244.0.0/16"),
    ],
)  # fmt: skip
def test_a_network_of_pods_is_chosen_of_each_family(changes: Answers, wanted: str) -> None:
    assert value(explored(changes), "pod_cidr") == wanted


def test_without_services_a_network_is_chosen_by_the_addresses_that_there_are() -> None:
    changes = {POOLS: 404, RANGES: 404, KUBERNETES: 404}
    hosts = ("2001:db8::11", "fe80::1%eth0", "n2.example.org")
    found = explored(changes, "https://[2001:db8::1]:6443", hosts)
    assert value(found, "pod_cidr") == "fd00:10:244::/56"


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({DNS: {"spec": {"clusterIPs": ["10.68.0.2", "fd00:10:68::2"]}}}, "10.68.0.2,fd00:10:68::2"),
        ({DNS: {"spec": {"clusterIP": "fd00:10:68::2", "clusterIPs": ["fd00:10:68::2", "10.68.0.2"]}}},
            "fd00:10:68::2,10.68.0.2"),
        ({DNS: {"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}}, None),
        ({DNS: 404}, "10.68.0.10"),
        ({DNS: 404, SERVICES: services(["fd00:10:68::9", "10.68.0.10"])}, None),
        ({DNS: 404, RANGES: service_range(SIX_RANGE, "10.68.0.0/16")}, "fd00:10:68::a"),
    ],
)  # fmt: skip
def test_the_address_of_dns_is_of_the_first_family_or_of_both(
    changes: Answers, wanted: str | None
) -> None:
    assert value(explored({**DUAL, **changes}), "dns_address") == wanted


@pytest.mark.parametrize(
    ("server", "addresses", "several"),
    [
        ("https://[2001:db8::1]:6443", ("2001:db8::1", "2001:db8::2"), True),
        ("https://[2001:DB8:0::1]:6443/", ("2001:db8::1", "2001:db8::2"), True),
        ("https://[2001:db8::9]:6443", ("2001:db8::1", "2001:db8::2"), False),  # a balancer
        ("https://[2001:db8::1]:6443", ("2001:db8::1", "192.0.2.2", "fe80::1%eth0"), False),
    ],
)
def test_apiservers_of_ipv6_stand_in_brackets(
    server: str, addresses: tuple[str, ...], several: bool
) -> None:
    text = write(
        explored({**SIX, SLICES: slices(*addresses)}, server), [], command="x", example="y"
    )
    assert f'  apiserver: "{server}"\n' in text
    line = '  # apiserver: ["https://[2001:db8::1]:6443", "https://[2001:db8::2]:6443"]\n'
    assert (line in text) is several
    assert ("# apiserver:" in text) is several


def test_an_apiserver_on_a_loopback_of_ipv6_is_open_and_others_are_named() -> None:
    found = explored({SLICES: slices("2001:db8::1")}, "https://[0:0::1]:6443")
    assert isinstance(fact := found.cluster["apiserver"], Missing)
    assert fact.why.endswith("The Service kubernetes leads to https://[2001:db8::1]:6443.")


def test_kubeadm_tells_the_domain() -> None:
    text = "networking: {dnsDomain: k8s.example.org}"
    found = explored({KUBEADM: {"data": {"ClusterConfiguration": text}}})
    assert isinstance(fact := found.cluster["dns_domain"], Known)
    assert fact.value == "k8s.example.org"
    assert "  dns_domain: k8s.example.org\n" in write(found, [], command="x", example="y")


@pytest.mark.parametrize(
    ("found", "other", "calico"),
    [
        (daemon_set("kube-system", "cilium"), "the DaemonSet kube-system/cilium", ""),
        (daemon_set("kube-flannel", "kube-flannel-ds"), "the DaemonSet kube-flannel/kube-fl", ""),
        (
            daemon_set("calico-system", "calico-node", "quay.io/calico/node:v3.31.2", "fabnode"),
            "Calico 3.31.2 by the DaemonSet calico-system/calico-node",
            "",
        ),
        (
            daemon_set("kube-system", "calico-node", "quay.io:5000/calico/node:v3.31.2@sha256:0"),
            "Calico 3.31.2 by the DaemonSet kube-system/calico-node",
            "",
        ),
        (daemon_set("kube-system", "calico-node", "calico/node:v3.31.2", "fabnode"), "", "3.31.2"),
        (daemon_set("monitoring", "node-exporter", "x:v1"), "", ""),
    ],
)
def test_the_pod_network_that_is_there(found: Answers, other: str, calico: str) -> None:
    network = explored({SETS: items(found)}).network
    assert network.other.startswith(other)
    assert bool(network.other) == bool(other)
    assert network.calico == calico


def test_a_kube_proxy_by_a_daemon_set_is_seen() -> None:
    assert explored({SETS: items(daemon_set("kube-system", "kube-proxy"))}).own_kube_proxy
    assert not explored({SETS: items(daemon_set("other", "kube-proxy"))}).own_kube_proxy


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_an_apiserver_that_nodes_would_look_for_on_themselves_is_open(host: str) -> None:
    subsets = [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 6443}]}]
    found = explored({ENDPOINTS: {"subsets": subsets}}, server=f"https://{host}:6443")
    fact = found.cluster["apiserver"]
    assert isinstance(fact, Missing)
    assert fact.why.endswith("The Service kubernetes leads to https://192.0.2.1:6443.")


@pytest.mark.parametrize("more", [{"tls_server_name": "api"}, {"proxy": "http://p:3128"}])
def test_what_only_this_machine_has_on_the_way_is_to_be_checked(more: dict[str, Any]) -> None:
    fact = explored({}, **more).cluster["apiserver"]
    assert isinstance(fact, Known)
    assert fact.doubtful


@pytest.mark.parametrize("bad", [{}, {"gitVersion": "latest"}])
def test_an_apiserver_without_a_release_leaves_the_version_open(bad: Answers) -> None:
    assert isinstance(explored({VERSION: bad}).cluster["version"], Missing)


@pytest.mark.parametrize("odd", [{}, {"items": None}, {"items": [1, {}]}, {"items": {}}])
def test_odd_lists_are_empty_lists(odd: Answers) -> None:
    found = explored(dict.fromkeys((RANGES, POOLS, NODES, SETS), odd))
    assert isinstance(fact := found.cluster["pod_cidr"], Known)
    assert fact.doubtful


Of = Callable[..., Path]


@pytest.fixture
def of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Of:
    """Return a maker of kubeconfigs, whose cluster is WHOLE."""
    monkeypatch.setattr(discovery, "Api", lambda *_, **__: Api(WHOLE))
    return lambda **cluster: kubeconfig(tmp_path, {"token": "t0p-secret"}, **cluster)


def test_a_ca_within_the_kubeconfig_becomes_a_file_without_anything_else(
    of: Of, tmp_path: Path
) -> None:
    found = discover(
        of(**{"certificate-authority-data": encoded(b"subject=x\n" + CA)}), "", tmp_path
    )
    assert found.ca_pem.encode() == CA
    assert found.findings.cluster["ca"] == Known(CA_FILE, "Out of the kubeconfig.")
    assert found.findings.kubeconfig == "admin.kubeconfig"
    assert found.findings.origin == "the kubeconfig's context c"


def test_a_ca_of_its_own_is_named_by_its_path(of: Of, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(CA)
    path = of(**{"certificate-authority": "ca.pem"})
    (tmp_path / "site").mkdir()
    found = discover(path, "c", tmp_path / "site")
    assert found.ca_pem == ""
    assert found.findings.cluster["ca"] == Known(str(tmp_path / "ca.pem"), "Of the kubeconfig.")
    assert found.findings.kubeconfig == str(tmp_path / "admin.kubeconfig")


def test_a_key_beside_a_ca_goes_nowhere(of: Of, tmp_path: Path) -> None:
    both = CA + OTHER_KEY.encode()
    assert (
        "KEY"
        not in discover(of(**{"certificate-authority-data": encoded(both)}), "", tmp_path).ca_pem
    )
    (tmp_path / "ca.pem").write_bytes(both)
    fact = discover(of(**{"certificate-authority": "ca.pem"}), "", tmp_path).findings.cluster["ca"]
    assert isinstance(fact, Missing)
    assert "holds a private key" in fact.why


def test_what_is_no_ca_is_open_and_never_written(of: Of, tmp_path: Path) -> None:
    for cluster in ({}, {"certificate-authority-data": encoded(CERTIFICATE)}):
        found = discover(of(**cluster), "", tmp_path)
        assert found.ca_pem == ""
        assert isinstance(found.findings.cluster["ca"], Missing)


def test_another_context_than_the_current_one_is_refused(of: Of, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--context other: the current context of .* is c") as no:
        discover(of(), "other", tmp_path)
    assert "--flatten --minify --context other" in no.value.advice


def test_what_was_found_loads(of: Of, tmp_path: Path) -> None:
    path = of(**{"certificate-authority-data": encoded(CA)})
    path.chmod(0o600)
    found = discover(path, "", tmp_path)
    (tmp_path / CA_FILE).write_text(found.ca_pem)
    host = {"name": "n1", "address": "192.0.2.11"}
    text = write(found.findings, [], command="x", example="y")
    text = text.replace("# nodes:", f"nodes: {json.dumps([host])}")
    (tmp_path / "cluster.yml").write_text(text)
    assert str(load_configuration(tmp_path / "cluster.yml").cluster.version) == "1.36.3"
    assert "t0p-secret" not in text + found.ca_pem
