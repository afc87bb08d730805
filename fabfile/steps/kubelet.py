"""The kubelet: binary, configuration, unit, and its join by TLS bootstrapping."""

from __future__ import annotations

from ..model.resources import Binary, ClientCertificate, Directory, File, Resource, Unit
from . import layout
from .inputs import Inputs
from .render import render, render_yaml

NAME = "kubelet"
HELP = "Install the kubelet and have it join."

UNIT = "kubelet.service"

# kubelet fields came and went: failCgroupV1 since 1.31, true by default from 1.35 on.
_FAIL_CGROUP_V1 = 31


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return all that the kubelet reads, its unit, and its client certificate."""
    node, kubelet = inputs.node, inputs.node.kubelet
    binary = f"{layout.BIN}/kubelet"
    artifact = inputs.artifacts.binaries["kubelet"]
    certificate = layout.kubelet_client_certificate(kubelet.root)
    unit = render(
        "kubelet/kubelet.service",
        node=node,
        kubelet=kubelet,
        bin=layout.BIN,
        config=layout.KUBELET_CONFIG,
        bootstrap=layout.BOOTSTRAP_KUBECONFIG,
        kubeconfig=layout.KUBELET_KUBECONFIG,
        cert_dir=f"{kubelet.root}/pki",
    )
    return (
        Directory("/etc/kubernetes"),
        Directory("/etc/kubernetes/pki"),
        Directory(kubelet.root, 0o750),
        File(layout.CA, inputs.cluster.ca_pem),
        Binary(binary, artifact.path, artifact.sha256),
        File(layout.KUBELET_CONFIG, _config(inputs)),
        File(layout.KUBELET_UNIT, unit),
        Unit(
            UNIT,
            reads=(
                binary,
                layout.CA,
                layout.KUBELET_CONFIG,
                layout.KUBELET_UNIT,
                layout.BOOTSTRAP_KUBECONFIG,
            ),
        ),
        ClientCertificate(
            path=certificate,
            unit=UNIT,
            bootstrap=layout.BOOTSTRAP_KUBECONFIG,
            present=inputs.joined,
            timeout=inputs.cluster.timeouts.join,
        ),
    )


def _config(inputs: Inputs) -> bytes:
    facts = inputs.facts
    on_v1 = facts.cgroup == 1 and inputs.version.minor >= _FAIL_CGROUP_V1
    # Behind systemd-resolved, /etc/resolv.conf names a stub on 127.0.0.53 that pods can't reach.
    upstream = "/run/systemd/resolve/resolv.conf" if facts.systemd_resolved else ""
    return render_yaml(
        "kubelet/config.yaml",
        inputs.node.kubelet.config,
        node=inputs.node,
        kubelet=inputs.node.kubelet,
        cluster=inputs.cluster.cluster,
        ca=layout.CA,
        cgroup_driver=inputs.cgroup_driver,
        fail_cgroup_v1=False if on_v1 else None,
        resolv_conf=upstream,
    )
