"""k0sctl.yaml and kubeadm's configuration in its versions, and what is recognised as what."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabnode.config.imports import outcome, recognise
from fabnode.config.imports.values import Place
from fabnode.util.problems import ConfigError

from .support import ACCESS, decisions, imported, taken, text_of, unmarked, without, written

K0S = """\
apiVersion: k0sctl.k0sproject.io/v1beta1
kind: Cluster
metadata: {name: c1}
spec:
  hosts:
  - role: controller
    ssh: {address: 192.0.2.1, user: ops, keyPath: ~/.ssh/id}
  - role: worker
    hostname: w1
    privateAddress: 10.3.0.2
    installFlags: [--debug, '--labels="disk=ssd,zone=b"', "--taints=a=b:NoSchedule"]
    environment: {HTTP_PROXY: "http://u:hunter2@proxy"}
    hooks: {apply: {before: [echo]}}
    ssh: {address: 192.0.2.2, user: ops, port: 2222, bastion: {address: 192.0.2.9, user: jump}}
  - role: worker
    hostname: w2
    installFlags: ['--kubelet-extra-args="--cloud-provider=external"']
    ssh: {address: 192.0.2.3, user: ops, port: 2222, bastion: {address: 192.0.2.9, user: jump}}
  - {role: controller+worker, ssh: {address: 192.0.2.4}}
  - {role: worker, reset: true, ssh: {address: 192.0.2.5}}
  k0s:
    version: v1.33.1+k0s.0
    config:
      spec:
        api: {externalAddress: api.example.org, sans: 192.0.2.1}
        network:
          provider: calico
          podCIDR: 10.244.0.0/16
          kubeProxy: {mode: ipvs, ipvs: {strictARP: false}}
        extensions: {helm: {charts: []}}
"""
V1BETA3 = """\
apiVersion: kubeadm.k8s.io/v1beta3
kind: InitConfiguration
bootstrapTokens: [{token: abcdef.hunter2hunter2hu}]
localAPIEndpoint: {advertiseAddress: 192.0.2.1}
---
apiVersion: kubeadm.k8s.io/v1beta3
kind: ClusterConfiguration
clusterName: c1
kubernetesVersion: v1.30.4
controlPlaneEndpoint: api.example.org
networking: {podSubnet: 10.244.0.0/16, dnsDomain: example.local}
etcd: {local: {dataDir: /var/lib/etcd}}
imageRepository: registry.example.org
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 60
cgroupDriver: systemd
clusterDNS: [10.96.0.99]
syncFrequency: 0s
kubeReserved: {cpu: 100m}
authentication: {anonymous: {enabled: false}, webhook: {cacheTTL: 0s, enabled: true}}
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: ipvs
ipvs: {scheduler: lc, strictARP: null}
"""


def test_k0sctl(tmp_path: Path) -> None:
    found = imported(written(tmp_path, {"k0sctl.yaml": K0S}) / "k0sctl.yaml")
    assert taken(found) == {
        "cluster.name": "c1",
        "cluster.version": "1.33.1",
        "cluster.pod_cidr": "10.244.0.0/16",
        "cluster.service_cidr": "10.96.0.0/12",
        "cluster.dns_address": "10.96.0.10",
        "cluster.apiserver": "https://api.example.org:6443",
        "calico.enabled": False,
        "kube_proxy.mode": "ipvs",
        "ssh.user": "ops",
        "ssh.port": 2222,
        "ssh.gateway": "jump@192.0.2.9",
        "labels": {"disk": "ssd", "zone": "b"},
        "taints": ["a=b:NoSchedule"],
        "kubelet.cloud_provider": "external",
        "nodes[w1]": "192.0.2.2",
        "nodes[w2]": "192.0.2.3",
    }
    assert [(h.name, h.ip) for h in found.hosts if not h.left_out] == [
        ("w1", "10.3.0.2"),
        ("w2", None),
    ]
    open_ = decisions(found)
    assert "k0s reset" in open_["nodes"]
    assert "control plane as well" in open_["nodes[192.0.2.4]"]
    assert "k0s's default" in open_["cluster.service_cidr"]
    names = without(found)
    assert "docs/extending.md" in names["spec.hosts[1].hooks"]
    assert "proxies" in names["spec.hosts[1].environment"]
    assert names["spec.hosts[4]"] == "it is to be reset"
    text = text_of(found)
    assert unmarked(text) == set()
    assert "hunter2" not in text + repr(found.report)


@pytest.mark.parametrize("version", ['"${K0S_VERSION}"', "$V", '"${V:-1.30.1+k0s.0}"'])
def test_what_stands_for_the_environment_is_not_filled_in(version: str, tmp_path: Path) -> None:
    text = K0S.replace("v1.33.1+k0s.0", version).replace("192.0.2.3", "$ADDRESS")
    found = imported(written(tmp_path, {"k0sctl.yaml": text}) / "k0sctl.yaml")
    assert "environment" in decisions(found)["cluster.version"]
    assert "stands for something" in decisions(found)["nodes[w2]"]
    assert unmarked(text_of(found)) <= {"nodes[w2].address"}


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("role: controller\n", "role: boss\n", "spec.hosts[0].role"),
        ("  hosts:", "  others:", "spec.hosts"),
    ],
)
def test_a_k0sctl_yaml_that_is_none(old: str, new: str, key: str, tmp_path: Path) -> None:
    path = written(tmp_path, {"k.yaml": K0S.replace(old, new)}) / "k.yaml"
    with pytest.raises(ConfigError) as caught:
        imported(path)
    assert caught.value.problems[0].key == key
    assert caught.value.problems[0].line


def test_kubeadm(tmp_path: Path) -> None:
    found = imported(written(tmp_path, {"k.yaml": V1BETA3}) / "k.yaml")
    assert taken(found) == {
        "cluster.name": "c1",
        "cluster.version": "1.30.4",
        "cluster.apiserver": "https://api.example.org:6443",
        "cluster.pod_cidr": "10.244.0.0/16",
        "cluster.service_cidr": "10.96.0.0/12",
        "cluster.dns_address": "10.96.0.99",
        "cluster.dns_domain": "example.local",
        "kubelet.max_pods": 60,
        "kubelet.config.kubeReserved": {"cpu": "100m"},
        "kube_proxy.mode": "ipvs",
        "kube_proxy.config.ipvs": {"scheduler": "lc"},
    }
    names = without(found)
    assert "must agree" in names["kubelet.cgroupDriver"]
    assert "control plane" in names["InitConfiguration"]
    assert "no hosts were named" in decisions(found)["nodes"]
    assert "DaemonSet" in decisions(found)["kube_proxy"]
    text = text_of(found)
    assert "hunter2" not in text + repr(found.report)
    assert unmarked(text) == {"nodes"} or unmarked(text) == set()


@pytest.mark.parametrize(
    ("text", "version", "apiserver"),
    [
        (
            "apiVersion: kubeadm.k8s.io/v1alpha2\nkind: MasterConfiguration\n"
            "kubernetesVersion: v1.11.3\napi: {advertiseAddress: 192.0.2.1, bindPort: 6444}\n"
            "networking: {podSubnet: 10.244.0.0/16}\n",
            "1.11.3",
            "https://192.0.2.1:6444",
        ),
        (
            "apiVersion: kubeadm.k8s.io/v1beta1\nkind: ClusterConfiguration\n"
            "kubernetesVersion: v1.13.0\ncontrolPlaneEndpoint: 192.0.2.1:8443\n"
            "apiServer: {extraArgs: {anonymous-auth: 'false'}}\n"
            "networking: {podSubnet: 10.244.0.0/16}\n",
            "1.13.0",
            "https://192.0.2.1:8443",
        ),
        (
            "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n"
            "kubernetesVersion: v1.34.1\ncontrolPlaneEndpoint: api.example.org:6443\n"
            "apiServer: {extraArgs: [{name: anonymous-auth, value: 'false'}]}\n"
            "networking: {podSubnet: '10.244.0.0/16,fd00:1::/56', serviceSubnet: 10.96.0.0/16}\n",
            "1.34.1",
            "https://api.example.org:6443",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubeadm-config}\ndata:\n"
            "  ClusterConfiguration: |\n    apiVersion: kubeadm.k8s.io/v1beta2\n"
            "    kubernetesVersion: v1.21.4\n    kind: ClusterConfiguration\n"
            "    networking: {podSubnet: 10.244.0.0/16}\n"
            "  ClusterStatus: |\n    apiEndpoints: {n1: {advertiseAddress: 192.0.2.1}}\n"
            "    apiVersion: kubeadm.k8s.io/v1beta2\n    kind: ClusterStatus\n",
            "1.21.4",
            "https://192.0.2.1:6443",
        ),
    ],
    ids=["v1alpha2", "v1beta1", "v1beta4", "ConfigMap"],
)
def test_versions_of_kubeadm(text: str, version: str, apiserver: str, tmp_path: Path) -> None:
    found = imported(written(tmp_path, {"k.yaml": text}) / "k.yaml")
    assert taken(found)["cluster.version"] == version
    assert taken(found)["cluster.apiserver"] == apiserver
    if "fd00" in text:
        why = "is of IPv4 and IPv6, and service_cidr of IPv4"
        assert why in decisions(found)["cluster.pod_cidr"]
    else:
        assert taken(found)["cluster.pod_cidr"] == "10.244.0.0/16"
    if "ConfigMap" in text:
        place = next(t.place for t in found.report.taken if t.key == "cluster.version")
        assert place == Place(str(tmp_path / "k.yaml"), 7)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.yml", "cluster: {}\nnodes: []\n", "configuration of fabnode's already"),
        ("config.yml", "K8S_VER: 1.30.1\n", "without hosts"),
        ("x.yml", "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", "of no tool"),
        ("x.yml", "", "holds nothing"),
        ("x.yml", "- a\n", "of no tool"),
        ("hosts", "[web]\nn1\n", "no group that is called like workers"),
    ],
)
def test_what_is_none_of_these(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        imported(written(tmp_path, {name: text}) / name)
    assert caught.value.exit_code == 2
    assert all(problem.file for problem in caught.value.problems)


def test_other_inventories_give_hosts(tmp_path: Path) -> None:
    text = "[my_workers]\nw1 ansible_host=192.0.2.1 ansible_user=ops\n[masters]\nm\n[web]\nx\n"
    path = written(tmp_path, {"hosts": text}) / "hosts"
    found = imported(path)
    assert taken(found) == {"ssh.user": "ops", "nodes[w1]": "192.0.2.1"}
    assert "does not say" in decisions(found)["cluster.version"]
    assert [host.name for host in imported(path, group="web").hosts] == ["x"]
    with pytest.raises(ConfigError, match="has no group db"):
        imported(path, group="db")


@pytest.mark.parametrize("tool", recognise.TOOLS)
def test_a_tool_that_is_named_is_tried(tool: str, tmp_path: Path) -> None:
    path = written(tmp_path, {"hosts": "[kube_node]\nw1\n[kube_master]\nm\n"}) / "hosts"
    if tool in {"k0sctl", "kubeadm"}:
        with pytest.raises(ConfigError):
            recognise.read(path, tool)
    else:
        facts = recognise.read(path, tool)
        assert facts.tool.lower() == tool
        assert outcome.of(facts, ACCESS).hosts[0].name in {"w1"}


def test_a_file_that_is_too_large_or_no_text(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(b"[a]\n" + b"#" * 3 * 2**20)
    with pytest.raises(ConfigError, match="larger than 2 MiB"):
        imported(path)
    path.write_bytes(b"[a]\n\xff\xfe\n")
    with pytest.raises(ConfigError, match="no text in UTF-8") as caught:
        imported(path)
    assert caught.value.problems[0].line == 2
    with pytest.raises(ConfigError, match="no such file"):
        imported(tmp_path / "nothing")
