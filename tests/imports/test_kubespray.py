"""kubespray's inventories: workers, variables, defaults, and what stays open."""

from __future__ import annotations

from pathlib import Path

import pytest

from .support import (
    NOWHERE,
    decisions,
    imported,
    marked,
    taken,
    text_of,
    unmarked,
    without,
    written,
)

HOSTS = """\
[kube_control_plane]
cp1 ansible_host=192.0.2.1 ip=10.3.0.1
[etcd:children]
kube_control_plane
[kube_node]
w1 ansible_host=192.0.2.11 ip=10.3.0.11 node_labels="{'disk': 'ssd'}"
w2 ansible_host=192.0.2.12 ip=10.3.0.12 kubelet_max_pods=60
[all:vars]
ansible_user=ops
ansible_become=true
ansible_become_password=hunter2-sudo
"""
CLUSTER = """\
kube_version: v1.35.1
kube_service_addresses: 10.233.0.0/18
kube_pods_subnet: 10.233.64.0/18
kube_network_plugin: calico
kube_proxy_mode: ipvs
kube_proxy_strict_arp: true
cluster_name: example.local
dns_domain: "{{ cluster_name }}"
enable_nodelocaldns: false
skydns_server: "{{ kube_service_subnets.split(',') | first | ansible.utils.ipaddr(3) }}"
container_manager: containerd
containerd_storage_dir: /data/containerd
kubelet_max_pods: 200
kubelet_config_extra_args: {imageGCHighThresholdPercent: 70}
eviction_hard: {memory.available: 300Mi}
kube_oidc_url: https://login.example.org
node_taints: ["dedicated=batch:NoSchedule"]
site_own: 1
kubeadm_certificate_key: "{{ lookup('password', 'x') }}"
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    return written(
        tmp_path,
        {
            "inventory.ini": HOSTS,
            "group_vars/all/all.yml": "bin_dir: /opt/bin\nhttp_proxy: http://u:hunter2@proxy:3128\n",
            "group_vars/k8s_cluster/k8s-cluster.yml": CLUSTER,
        },
    )


def test_what_is_taken(inventory: Path) -> None:
    found = imported(inventory / "inventory.ini")
    assert taken(found) | {"kubelet.max_pods": 200} == {
        "cluster.version": "1.35.1",
        "cluster.service_cidr": "10.233.0.0/18",
        "cluster.pod_cidr": "10.233.64.0/18",
        "cluster.dns_domain": "example.local",
        "cluster.dns_address": "10.233.0.3",
        "cluster.apiserver": "https://10.3.0.1:6443",
        "calico.enabled": False,
        "paths.programs": "/opt/bin",
        "runtime.name": "containerd",
        "runtime.root": "/data/containerd",
        "kubelet.max_pods": 200,
        "kubelet.config": {
            "evictionHard": {"memory.available": "300Mi"},
            "imageGCHighThresholdPercent": 70,
        },
        "kube_proxy.mode": "ipvs",
        "kube_proxy.config": {"ipvs": {"strictARP": True}},
        "ssh.user": "ops",
        "ssh.sudo_password": {"prompt": True},
        "labels": {"disk": "ssd"},
        "taints": ["dedicated=batch:NoSchedule"],
        "nodes[w1]": "192.0.2.11",
        "nodes[w2]": "192.0.2.12",
    }
    assert found.hosts[0].settings["labels"] == {"disk": "ssd"}
    assert (found.hosts[0].address, found.hosts[0].ip) == ("192.0.2.11", "10.3.0.11")
    own = {each.name: each.settings.get("kubelet") for each in found.hosts}
    assert own["w1"] != own["w2"]  # one of the two stands for all
    assert {"max_pods": 60} in own.values() or {"max_pods": 200} in own.values()


def test_the_file_is_valid_but_for_what_it_marks(inventory: Path) -> None:
    found = imported(inventory / "inventory.ini", access=NOWHERE)
    text = text_of(found)
    assert marked(text) == {"cluster.ca", "cluster.kubeconfig"}
    assert unmarked(text) == set()
    line = next(line for line in text.splitlines() if "k8s-cluster.yml:1:" in line)
    assert line.startswith(f"  # {inventory}/group_vars/k8s_cluster/")


def test_each_setting_is_in_one_list(inventory: Path) -> None:
    found = imported(inventory)
    names = without(found)
    assert "fabnode makes workers" in names["kube_oidc_url"]
    assert "proxies" in names["http_proxy"]
    assert names["site_own"] == "fabnode has no such setting"
    assert "control plane" in names["host cp1"]
    assert "control plane" in names["kubeadm_certificate_key"]
    assert not set(names) & {"kube_version", "dns_domain", "ansible_user", "node_taints"}
    shown = text_of(found) + repr(found.report)
    assert "hunter2" not in shown


def test_what_kubespray_does_where_nothing_is_set(tmp_path: Path) -> None:
    written(
        tmp_path,
        {"hosts.ini": "[kube-master]\nm\n[kube-node]\nw\n[k8s-cluster:children]\nkube-node\n"},
    )
    found = imported(tmp_path / "hosts.ini")
    assert taken(found)["cluster.dns_address"] == "169.254.25.10"
    open_ = decisions(found)
    assert "own default" in open_["cluster.version"]
    assert "kubespray's default" in open_["cluster.service_cidr"]
    assert "first of the control plane" in open_["cluster.apiserver"]
    assert "names no user" in open_["ssh.user"]
    assert "is a name" in open_["nodes[w].ip"]
    text = text_of(found)
    assert "# To be checked: kubespray's default; the inventory does not say." in text
    assert unmarked(text) == set()


@pytest.mark.parametrize(
    ("line", "key", "why"),
    [
        ("kube_version: \"{{ lookup('env', 'V') }}\"", "cluster.version", "expression"),
        ("kube_version: !vault x", "cluster.version", "is encrypted"),
        ("kube_version: !!python/name:os.system x", "cluster.version", "YAML tag"),
        ("kube_version: 1.3", "cluster.version", "the number 1.3"),
        ("kube_version: 1.99.0", "cluster.version", "not supported"),
        ("container_manager: crio", "runtime.name", "no crio"),
        ("cloud_provider: openstack", "kubelet.cloud_provider", "only external"),
        ("kubelet_max_pods: many", "kubelet.max_pods", "no whole number"),
        ("kubelet_max_pods: 0", "kubelet.max_pods", "can't be used"),
        ("kubelet_config_extra_args: {maxPodz: 5}", "kubelet.config", "maxPodz"),
        ("node_taints: [x]", "taints", "taints are written as"),
        ("kube_service_addresses: fd00::/108", "cluster.pod_cidr", "of IPv4, and service_cidr"),
        ("kube_service_addresses: 10.233.0.0/33", "cluster.service_cidr", "no network"),
        (
            "loadbalancer_apiserver: {address: 10.233.0.9, port: 8443}",
            "cluster.apiserver",
            "inside",
        ),
    ],
)
def test_what_needs_a_decision(line: str, key: str, why: str, inventory: Path) -> None:
    path = inventory / "group_vars/k8s_cluster/zz.yml"
    path.write_text(line)
    (inventory / "group_vars/all/all.yml").write_text("")
    found = imported(inventory)
    assert why in decisions(found)[key]
    text = text_of(found)
    assert unmarked(text) == set()
    if key.startswith(("cluster.", "runtime.", "kubelet.")):
        assert key.partition(".")[2] in {k.rpartition(".")[2] for k in marked(text)}


@pytest.mark.parametrize(
    ("variables", "gateway"),
    [
        ("ansible_ssh_common_args='-J ops@bastion:2222'", "ops@bastion:2222"),
        ("ansible_ssh_common_args='-o ProxyJump=bastion -o StrictHostKeyChecking=no'", "bastion"),
        (
            """ansible_ssh_common_args='-o ProxyCommand="ssh -W %h:%p -q ops@bastion"'""",
            "ops@bastion",
        ),
    ],
)
def test_jump_hosts(variables: str, gateway: str, tmp_path: Path) -> None:
    text = (
        f"[kube_node]\nw ansible_host=192.0.2.1\n[kube_control_plane]\nc\n[all:vars]\n{variables}\n"
    )
    written(tmp_path, {"hosts": text})
    assert taken(imported(tmp_path / "hosts"))["ssh.gateway"] == gateway


def test_a_bastion_group_is_the_jump_host(tmp_path: Path) -> None:
    text = (
        "[kube_node]\nw ansible_host=192.0.2.1\n[kube_control_plane]\nc\n"
        "[bastion]\nb ansible_host=192.0.2.9 ansible_user=jump\n"
    )
    written(tmp_path, {"hosts": text})
    assert taken(imported(tmp_path / "hosts"))["ssh.gateway"] == "jump@192.0.2.9"


def test_a_worker_of_the_control_plane_is_left_out(tmp_path: Path) -> None:
    text = (
        "[kube_control_plane]\na ansible_host=192.0.2.1\n[kube_node]\na\nb ansible_host=192.0.2.2\n"
    )
    written(tmp_path, {"hosts": text})
    found = imported(tmp_path / "hosts")
    assert [host.name for host in found.hosts if not host.left_out] == ["b"]
    assert "of the control plane as well" in decisions(found)["nodes[a]"]
    assert '  # - {name: "a", address: 192.0.2.1}' in text_of(found).splitlines()


def test_names_and_addresses_that_do_not_fit(tmp_path: Path) -> None:
    text = (
        "[kube_control_plane]\nc\n[kube_node]\nNode_1 ansible_host=192.0.2.1\n"
        "x ansible_host=192.0.2.1\ny ansible_host=10.233.0.5\n-z\nv6 ansible_host=fd00::1\n"
    )
    written(tmp_path, {"hosts": text})
    found = imported(tmp_path / "hosts")
    open_ = decisions(found)
    assert [host.name for host in found.hosts if not host.left_out] == ["node-1", "v6"]
    assert "no name of a node" in open_["nodes[node-1]"]
    assert "shares a name or an address" in open_["nodes[x]"]
    assert "for pods or Services" in open_["nodes[y]"]
    assert "no name of a node" in open_["nodes[-z]"]
    assert "Services are of IPv4 alone" in open_["nodes[v6].ip"]
    assert unmarked(text_of(found)) <= {"nodes[v6].address"}


def test_labels_are_what_kubespray_sets(tmp_path: Path) -> None:
    """It formats them as Python does."""
    text = "kube_node:\n  hosts:\n    w: {node_labels: {a: true, b: 1.30, c: ''}}\nk8s_cluster:\n"
    path = written(tmp_path, {"hosts.yml": text}) / "hosts.yml"
    assert taken(imported(path))["labels"] == {"a": "True", "b": "1.3", "c": ""}


def test_mirrors_become_registries(inventory: Path) -> None:
    (inventory / "group_vars/all/all.yml").write_text(
        "containerd_registries_mirrors:\n- prefix: docker.io\n  mirrors:\n"
        "  - {host: https://mirror.example.org, capabilities: [pull]}\n"
        "  - {host: https://registry-1.docker.io}\n"
    )
    wanted = {"docker.io": {"mirrors": ["https://mirror.example.org"]}}
    assert taken(imported(inventory))["images.registries"] == wanted
