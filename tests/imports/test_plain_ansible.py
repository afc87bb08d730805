"""Inventories of other playbooks: hosts, how they are reached, and what is called as usual."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabnode.util.problems import ConfigError

from .support import decisions, imported, taken, text_of, unmarked, without, written

# As a playbook around kubeadm has it.
KUBEADM = {
    "hosts.ini": "[master]\n192.0.2.20\n[node]\n192.0.2.[31:33]\n[kube-cluster:children]\n"
    "master\nnode\n",
    "group_vars/all.yml": "kube_version: v1.31.4\ntoken: b0f7b8.8d18\n"
    'service_cidr: "10.97.0.0/16"\n'
    'pod_network_cidr: "10.245.0.0/16"\nnetwork: calico\nadmin_config: /etc/kubernetes/x.conf\n',
    "group_vars/kube-cluster.yml": "cri: containerd\n",
}
# Groups of groups, with dashes; what is no worker beside them.
GROUPS = {
    "hosts": "[k8s:children]\nk8s-control-plane\nk8s-worker\n[balancers]\nlb1\n"
    "[k8s-control-plane]\ncp1\n[etcd-nodes]\netcd1\n[storage:children]\nk8s-worker\n"
    "[k8s-worker:children]\nbig-workers\nk8s-workers\n[k8s-workers]\nw1\nw2\n[big-workers]\nb1\n",
    "group_vars/all.yml": "KUBERNETES_VERSION: 1.31\nsvc_cidr: '{{ site.services }}'\n"
    "pod_subnet: 10.8.0.0/16\ncluster_cidr: 10.8.0.0/14\ncluster_dns: nowhere\n",
}
# As for k3s.
SERVERS = {
    "inventory.yml": """\
cluster:
  children:
    server: {hosts: {192.0.2.41: }}
    agent:
      hosts:
        192.0.2.42:
        192.0.2.43: {ansible_port: 2222}
  vars:
    ansible_port: 22
    ansible_user: debian
    version_of_it: v1.31.12+k3s1
    token: "changeme!"
    endpoint: "{{ hostvars[groups['server'][0]]['ansible_host'] }}"
    ansible_ssh_common_args: -o UserKnownHostsFile=/srv/keys -o StrictHostKeyChecking=accept-new
""",
}


def test_what_is_called_as_usual_is_taken_and_marked(tmp_path: Path) -> None:
    written(tmp_path, KUBEADM)
    found = imported(tmp_path / "hosts.ini")
    got = taken(found)
    assert got["cluster.version"] == "1.31.4"
    assert got["cluster.service_cidr"] == "10.97.0.0/16"
    assert got["cluster.pod_cidr"] == "10.245.0.0/16"
    assert {key for key in got if key.startswith("nodes[")} == {
        f"nodes[192.0.2.{n}]" for n in (31, 32, 33)
    }
    for key in ("version", "service_cidr", "pod_cidr"):
        assert "taken by its name" in decisions(found)[f"cluster.{key}"]
    assert "does not say" in decisions(found)["cluster.dns_address"]
    assert {"token", "network", "cri"} <= without(found).keys()
    assert "8d18" not in text_of(found) + str(found.report)
    assert unmarked(text_of(found)) == set()


def test_groups_of_groups_and_what_has_no_plain_value(tmp_path: Path) -> None:
    found = imported(written(tmp_path, GROUPS))
    got = taken(found)
    assert {key for key in got if key.startswith("nodes[")} == {
        f"nodes[{n}]" for n in ("b1", "w1", "w2")
    }
    assert got["cluster.pod_cidr"] == "10.8.0.0/16"
    assert without(found)["cluster_cidr"] == "pod_subnet takes its place"
    open_ = decisions(found)
    assert "svc_cidr: it is not evaluated" in open_["cluster.service_cidr"]
    assert "cluster_dns: it is no address" in open_["cluster.dns_address"]
    assert "does not say" in open_["cluster.version"]  # names are as they are written
    assert unmarked(text_of(found)) == set()


def test_servers_and_agents(tmp_path: Path) -> None:
    found = imported(written(tmp_path, SERVERS) / "inventory.yml")
    got = taken(found)
    assert got["ssh.user"] == "debian"
    assert got["ssh.known_hosts"] == ["/srv/keys"]
    assert {key for key in got if key.startswith("nodes[")} == {
        f"nodes[192.0.2.{n}]" for n in (42, 43)
    }
    assert "changeme" not in text_of(found) + str(found.report)
    assert unmarked(text_of(found)) == set()


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        ("-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no", None),
        ("-o UserKnownHostsFile=~/keys", ["~/keys"]),
        ("-o 'UserKnownHostsFile /a /b'", ["/a", "/b"]),
        ("-o UserKnownHostsFile=keys", None),
        ("-o UserKnownHostsFile=%d/keys", None),
    ],
)
def test_files_of_host_keys(arguments: str, known: list[str] | None, tmp_path: Path) -> None:
    text = (
        f'[workers]\nw ansible_host=192.0.2.1\n[all:vars]\nansible_ssh_common_args="{arguments}"\n'
    )
    written(tmp_path, {"hosts": text})
    found = imported(tmp_path / "hosts", tool="ansible")
    assert taken(found).get("ssh.known_hosts") == known
    assert "ssh.gateway" not in decisions(found)
    assert unmarked(text_of(found)) == set()


def test_the_machine_that_ansible_runs_on_is_no_control_plane(tmp_path: Path) -> None:
    text = """\
controller: {hosts: {localhost: {ansible_connection: local}, here: {ansible_connection: local}}}
all_nodes: {hosts: {n1: {ansible_host: 192.0.2.1}}}
"""
    written(tmp_path, {"hosts.yml": text})
    found = imported(tmp_path / "hosts.yml", group="all_nodes")
    assert not {name for name in without(found) if name.startswith("host ")}
    assert "called like a control plane's" in decisions(found)["nodes"]
    assert "called like a control plane's" in " ".join(text_of(found).replace("#", "").split())


@pytest.mark.parametrize("group", ["control", "mains", "k8s_leaders", "kube_control_plane"])
def test_control_planes_are_called_in_many_ways(group: str, tmp_path: Path) -> None:
    text = f"[{group}]\nc\n[kube_workers]\nw pod_cidr=10.200.0.0/24\nx pod_cidr=10.200.1.0/24\n"
    found = imported(written(tmp_path, {"hosts": f"{text}[all:vars]\nk8s_version=1.19.4-00\n"}))
    assert "host c" in without(found)
    assert "nodes" not in decisions(found)
    assert taken(found)["cluster.version"] == "1.19.4"
    assert "cluster.pod_cidr" not in taken(found)  # which each of them has one of


def test_hosts_in_no_group_at_all(tmp_path: Path) -> None:
    written(tmp_path, {"hosts.yml": "all: {hosts: {control-plane: , w1: }}\n"})
    with pytest.raises(ConfigError, match="its groups: none, and --group all takes every host"):
        imported(tmp_path / "hosts.yml")
    found = imported(tmp_path / "hosts.yml", group="all")
    assert [host.name for host in found.hosts] == ["control-plane", "w1"]
    assert "see that none of these hosts is one of it" in decisions(found)["nodes"]


def test_groups_that_nobody_would_guess_have_to_be_named(tmp_path: Path) -> None:
    text = "all:\n  children:\n    board: {hosts: {a: , b: }}\n    extra: {hosts: {c: }}\n"
    written(tmp_path, {"hosts.yml": text})
    with pytest.raises(ConfigError, match="--group; its groups: board, extra"):
        imported(tmp_path / "hosts.yml")
    found = imported(tmp_path / "hosts.yml", group="board")
    assert {"nodes[a]", "nodes[b]"} == {k for k in taken(found) if k.startswith("nodes[")}
