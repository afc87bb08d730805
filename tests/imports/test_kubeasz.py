"""kubeasz's clusters: hosts and config.yml, of current and of old releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from .support import decisions, imported, taken, text_of, unmarked, without, written

HOSTS = """\
[etcd]
192.0.2.1
[kube_master]
192.0.2.1 k8s_nodename='master-01'
[kube_node]
192.0.2.11 k8s_nodename='Worker_01'
192.0.2.12
[ex_lb]
#192.0.2.6 LB_ROLE=backup EX_APISERVER_VIP=192.0.2.250 EX_APISERVER_PORT=8443
[all:vars]
SECURE_PORT="6443"
CONTAINER_RUNTIME="containerd"
CLUSTER_NETWORK="flannel"
PROXY_MODE="ipvs"
SERVICE_CIDR="10.68.0.0/16"
CLUSTER_CIDR="172.20.0.0/16"
CLUSTER_DNS_DOMAIN="cluster.local."
bin_dir="/opt/kube/bin"
cluster_dir="{{ base_dir }}/clusters/x"
k8s_nodename=''
ansible_user=root
"""
CONFIG = """\
CLUSTER_NAME: "c1"
K8S_VER: "1.33.1"
K8S_NODENAME: "{%- if k8s_nodename != '' -%} {{ k8s_nodename }} {%- else -%} \\
  k8s-{{ inventory_hostname }} {%- endif -%}"
SANDBOX_IMAGE: "easzlab.io.local:5000/easzlab/pause:3.9"
CONTAINERD_STORAGE_DIR: "/data/containerd"
DOCKER_STORAGE_DIR: "/data/docker"
KUBELET_ROOT_DIR: "/data/kubelet"
MAX_PODS: 200
KUBE_RESERVED_ENABLED: "yes"
calico_ver: "v3.28.3"
ENABLE_LOCAL_DNS_CACHE: false
HARBOR_PASSWORD: hunter2
metricsserver_install: "yes"
PROXY_MODE: "iptables"
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    return written(tmp_path, {"hosts": HOSTS, "config.yml": CONFIG})


def test_what_is_taken_of_both_files(cluster: Path) -> None:
    found = imported(cluster)
    assert taken(found) == {
        "cluster.name": "c1",
        "cluster.version": "1.33.1",
        "cluster.service_cidr": "10.68.0.0/16",
        "cluster.pod_cidr": "172.20.0.0/16",
        "cluster.dns_domain": "cluster.local",
        "cluster.dns_address": "10.68.0.2",
        "cluster.apiserver": "https://192.0.2.1:6443",
        "calico.enabled": False,
        "runtime.name": "containerd",
        "runtime.root": "/data/containerd",
        "kubelet.root": "/data/kubelet",
        "kubelet.max_pods": 200,
        "kube_proxy.mode": "iptables",  # config.yml is given as extra variables
        "ssh.user": "root",
        "nodes[worker-01]": "192.0.2.11",
        "nodes[k8s-192-0-2-12]": "192.0.2.12",
    }
    text = text_of(found)
    assert unmarked(text) == set()
    assert "calico: none" in text.splitlines()
    assert "hunter2" not in text + repr(found.report)


def test_what_is_open_and_what_has_no_counterpart(cluster: Path) -> None:
    found = imported(cluster / "hosts")
    open_ = decisions(found)
    assert "its own machine" in open_["runtime.sandbox_image"]
    assert "write it into kubelet.config as kubeReserved" in open_[""]
    assert "To be checked: " in text_of(found)
    names = without(found)
    assert "add-ons" in names["metricsserver_install"]
    assert "calico: none" in names["calico_ver"]
    assert "own layout" in names["bin_dir"]
    assert "fabnode runs no registry" in names["HARBOR_PASSWORD"]


def test_docker_has_its_own_root(cluster: Path) -> None:
    text = HOSTS.replace('"containerd"', '"docker"')
    (cluster / "hosts").write_text(text)
    (cluster / "config.yml").write_text(CONFIG.replace("1.33.1", "1.20.4"))
    found = taken(imported(cluster))
    assert (found["runtime.name"], found["runtime.root"]) == ("docker", "/data/docker")


def test_what_the_template_leaves_open(cluster: Path) -> None:
    (cluster / "config.yml").write_text('K8S_VER: "__k8s_ver__"\nENABLE_LOCAL_DNS_CACHE: true\n')
    found = imported(cluster)
    assert "placeholder" in decisions(found)["cluster.version"]
    assert taken(found)["cluster.dns_address"] == "169.254.20.10"
    assert "names have to be" in decisions(found)["nodes"]


@pytest.mark.parametrize(
    ("line", "apiserver"),
    [
        ('KUBE_APISERVER="https://{{ MASTER_IP }}:8443"', "https://192.0.2.100:8443"),
        ('KUBE_APISERVER="https://127.0.0.1:6443"', "https://192.0.2.1:6443"),
    ],
)
def test_old_releases(line: str, apiserver: str, tmp_path: Path) -> None:
    text = (
        "[kube-master]\n192.0.2.1\n[kube-node]\n192.0.2.2\n[all:vars]\nMASTER_IP=192.0.2.100\n"
        f"{line}\nSERVICE_CIDR=10.68.0.0/16\nCLUSTER_CIDR=172.20.0.0/16\n"
        'CLUSTER_NETWORK="calico"\nCLUSTER_DNS_SVC_IP="10.68.0.9"\nBOOTSTRAP_TOKEN="hunter2"\n'
        "TMP_NODES=\"{% for h in groups['etcd'] %}x{% endfor %}\"\n"
    )
    written(tmp_path, {"hosts": text})
    found = imported(tmp_path / "hosts")
    assert taken(found)["cluster.apiserver"] == apiserver
    assert taken(found)["cluster.dns_address"] == "10.68.0.9"
    assert "neither hosts nor config.yml" in decisions(found)["cluster.version"]
    assert "hunter2" not in text_of(found) + repr(found.report)


def test_a_balancer_for_outside_is_to_be_checked(cluster: Path) -> None:
    (cluster / "hosts").write_text(HOSTS.replace("#192.0.2.6", "192.0.2.6"))
    found = imported(cluster)
    assert taken(found)["cluster.apiserver"] == "https://192.0.2.250:8443"
    assert "clients outside" in decisions(found)["cluster.apiserver"]
