"""Calico for pods of two families, and of IPv6 alone: its manifest's settings, and its pools."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fabnode.cni import calico_families, calico_manifest
from fabnode.cni.calico_manifest import ManifestError
from fabnode.cni.registry import network
from fabnode.util.merging import merge_deep
from tests.support import DUAL, IPV6, make_config

from .test_calico import manifest

CNI = """\
{"plugins": [{"type": "calico", "mtu": __CNI_MTU__,
  "ipam": {
      "type": "calico-ipam"
  }, "policy": {"type": "k8s"}}]}
"""


def rendered(overrides: dict[str, Any], cni: str = CNI) -> tuple[dict[str, str], str, list[str]]:
    """Return calico-node's variables, the CNI configuration, and the question for readiness."""
    parts = manifest()
    parts[0]["data"]["cni_network_config"] = cni
    text = yaml.safe_dump_all(parts).encode()
    objects = calico_manifest.objects(text, make_config(**overrides), ["portmap"])
    shared, workload = objects[0], objects[1]
    (node,) = workload["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each["value"] for each in node["env"]}
    assert len(env) == len(node["env"])
    command = node["readinessProbe"]["exec"]["command"]
    return env, shared["data"]["cni_network_config"], command[1:]


def test_with_ipv4_alone_nothing_of_it_is_written() -> None:
    env, cni, _ = rendered({})
    assert cni == CNI
    assert not any("6" in name for name in env)


def test_both_families_have_a_pool_and_an_address_each() -> None:
    env, cni, ready = rendered(DUAL)
    assert env == {
        "IP": "autodetect",
        "CALICO_IPV4POOL_CIDR": "172.20.0.0/16",
        "CALICO_IPV4POOL_VXLAN": "Always",
        "CALICO_IPV4POOL_IPIP": "Never",
        "IP_AUTODETECTION_METHOD": "kubernetes-internal-ip",
        "IP6": "autodetect",
        "IP6_AUTODETECTION_METHOD": "kubernetes-internal-ip",
        "CALICO_IPV6POOL_CIDR": "fd00:172:20::/56",
        "CALICO_IPV6POOL_VXLAN": "Always",
        "CALICO_IPV6POOL_NAT_OUTGOING": "true",
        "FELIX_IPV6SUPPORT": "true",
    }
    words = '"type": "calico-ipam", "assign_ipv4": "true", "assign_ipv6": "true"'
    assert words in " ".join(cni.split())
    assert ready == ["-felix-ready"]


def test_ipv6_alone_has_no_address_of_ipv4() -> None:
    env, cni, _ = rendered(IPV6)
    assert env["IP"] == "none"
    assert env["IP6"] == "autodetect"
    assert env["CALICO_IPV4POOL_VXLAN"] == "Never", "a pool that Calico makes gets no tunnel"
    assert env["CALICO_ROUTER_ID"] == "hash"
    assert not {"CALICO_IPV4POOL_CIDR", "IP_AUTODETECTION_METHOD"} & env.keys()
    assert '"assign_ipv4": "false", "assign_ipv6": "true"' in cni


@pytest.mark.parametrize(
    ("overrides", "programs"),
    [({}, ["bird"]), (DUAL, ["bird", "bird6"]), (IPV6, ["bird6"])],
)
def test_bird_is_asked_by_family(overrides: dict[str, Any], programs: list[str]) -> None:
    calico = {"calico": {"backend": "bird", "encapsulation": "Never"}}
    env, _, ready = rendered(merge_deep(overrides, calico))  # type: ignore[arg-type]
    assert ready == ["-felix-ready", *(f"-{name}-ready" for name in programs)]
    assert env.get("CALICO_IPV6POOL_VXLAN", "Never") == "Never"


def test_a_manifest_whose_ipam_is_not_understood_is_refused() -> None:
    with pytest.raises(ManifestError, match="cni_network_config with calico-ipam"):
        rendered(DUAL, '{"ipam": {"type": "host-local"}}')
    assert rendered({}, '{"ipam": {"type": "host-local"}}')


def pool(family: int, cidr: str, **spec: Any) -> dict[str, Any]:
    name = {"name": f"default-ipv{family}-ippool"}
    return {"metadata": name, "spec": {"cidr": cidr, "vxlanMode": "Always", **spec}}


class Api:
    def __init__(self, *pools: dict[str, Any]) -> None:
        self.pools = pools

    def find(self, _: str) -> dict[str, Any]:
        return {"items": list(self.pools)}


FOUR, SIX = pool(4, "172.20.0.0/16"), pool(6, "fd00:172:20::/56")


@pytest.mark.parametrize(
    ("pools", "text"),
    [
        ((FOUR, SIX), ""),
        ((FOUR, pool(6, "fd00:172:20::/56", disabled=True)), "default-ipv6-ippool is disabled"),
        ((FOUR, pool(6, "fd12:3456::/48")), "no pool of fd00:172:20::/56 (cluster.pod_cidr)"),
        (
            (FOUR, pool(6, "fd00:172:20::/56", nodeSelector="has(a)")),
            "default-ipv6-ippool is for nodes with has(a) alone",
        ),
    ],
)
def test_the_pool_of_each_family_is_compared(pools: tuple[Any, ...], text: str) -> None:
    api: Any = Api(*pools)
    found = network(make_config(**DUAL)).drift(api)
    assert text in found.cause if found else not text


def test_encapsulation_follows_in_both_pools() -> None:
    api: Any = Api(FOUR, SIX)
    config = make_config(**merge_deep(DUAL, {"calico": {"encapsulation": "CrossSubnet"}}))  # type: ignore[arg-type]
    changed = network(config).followed(api)
    assert {each["spec"]["cidr"]: each["spec"]["vxlanMode"] for each in changed} == {
        "172.20.0.0/16": "CrossSubnet",
        "fd00:172:20::/56": "CrossSubnet",
    }


def test_a_pool_of_the_family_that_pods_have_not_is_no_drift() -> None:
    api: Any = Api(pool(4, "192.168.0.0/16"), SIX)
    assert network(make_config(**IPV6)).drift(api) is None
    modes = calico_families.pool_modes(make_config().calico, 6)
    assert modes == {"vxlanMode": "Always", "ipipMode": "Never"}


def test_interfaces_and_mtu_are_those_of_the_families() -> None:
    assert "vxlan-v6.calico" not in network(make_config()).interfaces
    assert "vxlan-v6.calico" in network(make_config(**DUAL)).interfaces
    with_mtu: Any = {"calico": {"mtu": 1400}}
    assert network(make_config(**with_mtu)).nic_mtu == 1450
    assert network(make_config(**merge_deep(DUAL, with_mtu))).nic_mtu == 1470  # type: ignore[arg-type]
