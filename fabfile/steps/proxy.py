"""kube-proxy: binary, kubeconfig, configuration, unit."""

from __future__ import annotations

from ..model.resources import Binary, Directory, File, Resource, Unit
from ..trust.kubeconfig import kubeconfig
from . import layout
from .inputs import Inputs
from .render import render, render_yaml

NAME = "proxy"
HELP = "Install and run kube-proxy."

UNIT = "kube-proxy.service"


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return all that kube-proxy reads, and its unit."""
    binary = f"{layout.BIN}/kube-proxy"
    artifact = inputs.artifacts.binaries["kube-proxy"]
    cluster = inputs.cluster
    access = kubeconfig(
        cluster=cluster.cluster.name,
        server=cluster.cluster.apiserver,
        ca_pem=cluster.ca_pem,
        user="kube-proxy",
        credentials={"client-certificate": layout.PROXY_PEM, "client-key": layout.PROXY_PEM},
    )
    config = render_yaml(
        "proxy/config.yaml",
        inputs.node.kube_proxy.config,
        node=inputs.node,
        kube_proxy=inputs.node.kube_proxy,
        cluster=cluster.cluster,
        kubeconfig=layout.PROXY_KUBECONFIG,
    )
    unit = render(
        "proxy/kube-proxy.service",
        bin=layout.BIN,
        config=layout.PROXY_CONFIG,
        mode=inputs.node.kube_proxy.mode,
    )
    return (
        Directory("/var/lib/kube-proxy"),
        Binary(binary, artifact.path, artifact.sha256),
        File(layout.PROXY_KUBECONFIG, access),
        File(layout.PROXY_CONFIG, config),
        File(layout.PROXY_UNIT, unit),
        Unit(
            UNIT,
            reads=(
                binary,
                layout.PROXY_PEM,
                layout.PROXY_KUBECONFIG,
                layout.PROXY_CONFIG,
                layout.PROXY_UNIT,
            ),
        ),
    )
