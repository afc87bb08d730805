"""What a lab writes for its users: fabnode's configuration, kubeconfigs, known_hosts. Pure."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from fabnode.util.families import in_url

from .layout import Host, Layout
from .pki import TRUSTED
from .state import State
from .versions import BUSYBOX_IMAGE, CALICO, DOCKER, PAUSE_IMAGE

# A host of the lab shares the machine's disk and memory with all others: a disk that is
# rather full is no reason to evict pods.
EVICTION = {
    "memory.available": "100Mi",
    "nodefs.available": "1%",
    "nodefs.inodesFree": "1%",
    "imagefs.available": "1%",
}

# Seconds: an emulated machine takes several times as long as others. On a busy one 1400 were
# too few for the stream of a join that has calico/node's image in it (2026-11-30).
EMULATED_COMMAND = 1800
EMULATED = {"api": 120, "join": 300, "ready": 600, "calico": 900, "probe": 600}

# Docker has no such setting; there the hosts' runc sees to it (files/runc).
RUNTIME: dict[str, dict[str, Any]] = {"containerd": {"restrict_oom_score_adj": True}, DOCKER: {}}


def cluster(layout: Layout, nodes: list[Host], state: State, images: list[Path]) -> str:
    """Return the fabnode configuration of a lab, as YAML."""
    ssh: dict[str, Any] = {
        "user": "root",
        "keys": [str(layout.key)],
        "known_hosts": [str(layout.known_hosts)],
    }
    if state.jump:
        ssh["gateway"] = f"{layout.jump().user}@{in_url(str(layout.jump().address))}:22"
    several = layout.apiservers(state.control_planes)
    whole: dict[str, Any] = {
        "cluster": {
            "name": layout.name,
            "version": state.kubernetes,
            "apiserver": several if len(several) > 1 else layout.apiserver,
            "ca": str(layout.pki / "ca.pem"),
            "kubeconfig": str(layout.kubeconfig),
            "service_cidr": layout.service_cidr,
            "pod_cidr": layout.pod_cidr,
            "dns_address": layout.dns_address,
            "dns_domain": "cluster.local",
        },
        "ssh": ssh,
        "artifacts": {
            "binaries": str(layout.artifacts / "bin"),
            "cni_plugins": str(layout.artifacts / "cni"),
            "images": [str(layout.artifacts / "images" / image.name) for image in images],
        },
        "runtime": {"name": state.runtime, "sandbox_image": PAUSE_IMAGE, **RUNTIME[state.runtime]},
        "kubelet": {
            "fail_swap_on": False,
            "config": {
                "evictionHard": EVICTION,
                "imageGCHighThresholdPercent": 99,
                "imageGCLowThresholdPercent": 98,
            },
        },
        # nf_conntrack_max is the machine's, and not for containers to write.
        "kube_proxy": {"config": {"conntrack": {"maxPerCore": 0, "min": 0}}},
        "calico": {
            "version": CALICO,
            "manifest": str(layout.artifacts / "calico.yaml"),
            "backend": "vxlan",
            "encapsulation": "Always",
            "controllers_host_network": True,
            "allow_untested": True,
        },
        "verify": {"image": BUSYBOX_IMAGE},
        "nodes": [_node(layout, state, node) for node in nodes],
    }
    if state.runtime == DOCKER:
        _as_long_ago(whole, layout)
    if state.vm:
        del whole["kube_proxy"], whole["runtime"]["restrict_oom_score_adj"]
        whole["timeouts"], ssh["command_timeout"] = EMULATED, EMULATED_COMMAND
    head = f"# Written by `inv lab.up` for the lab {layout.name!r}; it will be written again.\n"
    return head + yaml.safe_dump(whole, sort_keys=False)


def _as_long_ago(whole: dict[str, Any], layout: Layout) -> None:
    """Make it the shape of an old cluster: the token file's one user, Calico's data in etcd."""
    whole["bootstrap"] = {"mode": "token-file", "token": {"file": str(layout.bootstrap_token)}}
    whole["calico"] |= {
        "manifest": str(layout.artifacts / "calico-etcd.yaml"),
        "datastore": "etcd",
        "etcd": {
            "endpoints": [layout.etcd],
            "ca": str(layout.pki / "etcd-ca.pem"),
            "cert": str(layout.pki / "calico-etcd-client.pem"),
            "key": str(layout.pki / "calico-etcd-client-key.pem"),
        },
    }


def _node(layout: Layout, state: State, node: Host) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": state.node_name(node), "address": str(node.address)}
    if node.second:
        entry["ip"] = f"{node.address},{node.second}"
    if node.user != "root":
        entry["ssh"] = {"user": node.user}
    if node.user == "ops":
        entry["ssh"]["sudo_password"] = {"file": str(layout.sudo_password)}
    return entry


def kubeconfig(layout: Layout, user: str, server: str = "") -> str:
    """Return a kubeconfig with the certificate ``user`` of the lab's pki folder inside."""

    def data(file: str) -> str:
        return base64.b64encode((layout.pki / file).read_bytes()).decode()

    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": layout.name,
                "cluster": {
                    "server": server or layout.apiserver,
                    "certificate-authority-data": data(TRUSTED),
                },
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": data(f"{user}.pem"),
                    "client-key-data": data(f"{user}-key.pem"),
                },
            }
        ],
        "contexts": [{"name": layout.name, "context": {"cluster": layout.name, "user": user}}],
        "current-context": layout.name,
    }
    return yaml.safe_dump(whole, sort_keys=False)
