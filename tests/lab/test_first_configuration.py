"""
From a control plane and addresses to nodes, with configurations that nobody edits.

What `config.init` writes for a cluster that was just made, and what `config.import` writes of
another tool's files for hosts that are added to one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from .harness import NODES, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .harness import Lab

pytestmark = pytest.mark.sites


@pytest.fixture(scope="module")
def site(first_lab: Lab) -> Lab:
    """Three bare hosts, and a control plane that has nothing in it."""
    if first_lab.objects("nodes"):
        first_lab.lab("fresh")
    return first_lab


def written(lab: Lab, name: str, *words: str) -> Path:
    """Return the configuration that a command has written; a check has nothing against it."""
    target = lab.scratch / f"{name}.yml"
    target.unlink(missing_ok=True)
    lab.inv(*words, "--artifacts", str(lab.layout.artifacts), "--out", str(target))
    check = lab.inv("config.check", "--json", config=target).document
    assert check["missing"] == check["warnings"] == check["pulled"] == []
    return target


def deployed(lab: Lab, config: Path, names: tuple[str, ...]) -> None:
    done = lab.inv("deploy-nodes", "--json", config=config)
    assert done.results == dict.fromkeys(names, "changed")
    assert done.failed_checks == []
    # Where the network is not fabnode's, a deployment does not wait for it.
    eventually(lambda: lab.ready() >= set(names), 120)
    # On a busy machine probes come late, and packets are lost; what is wrong stays so.
    eventually(lambda: lab.inv("verify", "--json", config=config), 180)
    assert lab.plan("--exit-code", config=config)["empty"]


def test_a_control_plane_and_addresses_are_enough_for_three_nodes(site: Lab) -> None:
    layout = site.layout
    hosts = site.scratch / "hosts"
    hosts.write_text("".join(f"{each.name} {each.address}\n" for each in layout.nodes(len(NODES))))
    config = written(
        site,
        "first",
        "config.init",
        f"--kubeconfig={layout.kubeconfig}",
        f"--hosts-file={hosts}",
        f"--key={layout.key}",
        f"--known-hosts={layout.known_hosts}",
    )
    text = config.read_text()
    # Neither is to be had of an empty cluster: both are chosen, and say so.
    assert "To be checked: there is no Service kube-system/kube-dns yet" in text
    assert "To be checked: chosen, for nothing in the cluster has a network for pods" in text
    deployed(site, config, NODES)


# The fabnode of the test before installed the network that a tool's cluster has of its own.
KUBEASZ = """\
[etcd]
{apiserver}
[kube_master]
{apiserver} k8s_nodename='master-1'
[kube_node]
{hosts}
[all:vars]
SECURE_PORT="6443"
CONTAINER_RUNTIME="containerd"
CLUSTER_NETWORK="calico"
PROXY_MODE="iptables"
SERVICE_CIDR="10.68.0.0/16"
CLUSTER_CIDR="{pods}"
NODE_PORT_RANGE="30000-32767"
CLUSTER_DNS_DOMAIN="cluster.local"
bin_dir="/opt/kube/bin"
ansible_user=root
ansible_ssh_private_key_file={key}
ansible_ssh_common_args='-o UserKnownHostsFile={known}'
"""
KUBEASZ_MORE = """\
K8S_VER: "{version}"
CLUSTER_NAME: "cluster1"
MAX_PODS: 100
ENABLE_LOCAL_DNS_CACHE: false
calico_ver: "v3.28.3"
"""
KUBESPRAY = """\
all:
  vars: {{ansible_user: root, ansible_ssh_private_key_file: {key}}}
  hosts:
    master-1: {{ansible_host: {apiserver}}}
{hosts}
  children:
    kube_control_plane: {{hosts: {{master-1: }}}}
    etcd: {{hosts: {{master-1: }}}}
    kube_node: {{hosts: {{{workers}}}}}
    k8s_cluster: {{children: {{kube_control_plane: , kube_node: }}}}
"""
KUBESPRAY_MORE = """\
kube_version: {version}
kube_network_plugin: calico
kube_service_addresses: 10.68.0.0/16
kube_pods_subnet: {pods}
container_manager: containerd
kube_proxy_mode: iptables
enable_nodelocaldns: false
kubelet_max_pods: 100
ansible_ssh_common_args: "-o UserKnownHostsFile={known}"
"""


def values(lab: Lab) -> dict[str, str]:
    layout = lab.layout
    first = yaml.safe_load((lab.scratch / "first.yml").read_text())["cluster"]
    return {
        "apiserver": str(layout.gateway),
        "pods": first["pod_cidr"],
        "version": first["version"],
        "key": str(layout.key),
        "known": str(layout.known_hosts),
    }


def kubeasz(known: dict[str, str], hosts: dict[str, str]) -> dict[str, str]:
    """Return the files of a kubeasz cluster with these workers, addresses by name."""
    lines = "\n".join(f"{address} k8s_nodename='{name}'" for name, address in hosts.items())
    return {
        "hosts": KUBEASZ.format(**known, hosts=lines),
        "config.yml": KUBEASZ_MORE.format(**known),
    }


def kubespray(known: dict[str, str], hosts: dict[str, str]) -> dict[str, str]:
    """Return the files of a kubespray inventory with these workers, addresses by name."""
    lines = "\n".join(
        f"    {name}: {{ansible_host: {address}, ip: {address}}}" for name, address in hosts.items()
    )
    workers = ", ".join(f"{name}: " for name in hosts)
    return {
        "hosts.yaml": KUBESPRAY.format(**known, hosts=lines, workers=workers),
        "group_vars/all/all.yml": KUBESPRAY_MORE.format(**known),
    }


@pytest.mark.parametrize(("tool", "names"), [(kubeasz, NODES), (kubespray, ("n3",))])
def test_an_inventory_of_another_tool_makes_nodes(
    site: Lab, tool: Callable[..., dict[str, str]], names: tuple[str, ...]
) -> None:
    site.lab("fresh", "--hosts", ",".join(names))  # the cluster keeps its network
    hosts = {name: str(site.layout.host(name).address) for name in names}
    source = site.scratch / tool.__name__
    for file, text in tool(values(site), hosts).items():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_text(text)
    config = written(
        site, tool.__name__, "config.import", str(source), f"--kubeconfig={site.layout.kubeconfig}"
    )
    assert "calico: none" in config.read_text()
    deployed(site, config, names)
