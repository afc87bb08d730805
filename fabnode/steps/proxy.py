"""Step proxy: kube-proxy's binary, kubeconfig, configuration, unit; or that it is gone."""

from __future__ import annotations

from ..node import layout
from ..node.conventions import PROXY_HEALTH_PORT, PROXY_METRICS_PORT, PROXY_SERVICE
from ..node.resources import (
    Absent,
    Binary,
    Directory,
    File,
    RemovedUnit,
    Resource,
    Retired,
    Unit,
)
from ..pki.kubeconfig import kubeconfig
from ..releases.component_options import ComponentOptions, component_options
from ..releases.matrix import matrix
from ..releases.version import MinorRange
from .inputs import Inputs
from .render import render, with_extra, with_extra_flags
from .step import Step

UNIT = PROXY_SERVICE


def desired(inputs: Inputs) -> tuple[Resource, ...]:
    """Return all that kube-proxy reads, and its unit; where there is to be none, that it goes."""
    config = inputs.config
    binary = f"{config.paths.programs}/kube-proxy"
    if why := inputs.without_proxy:
        return _removed(binary, why)
    artifact = inputs.artifacts.binaries["kube-proxy"]
    access = kubeconfig(
        cluster=config.cluster.name,
        server=config.cluster.server,
        server_name=config.cluster.server_name,
        ca=config.ca_pem,
        user="kube-proxy",
        credentials={"client-certificate": layout.PROXY_PEM, "client-key": layout.PROXY_PEM},
    )
    options = _options(inputs)
    settings: Resource = Absent(layout.PROXY_CONFIG)
    if options.fields is not None:
        extra = inputs.node.kube_proxy.config
        settings = File(layout.PROXY_CONFIG, with_extra(_HEADER | options.fields, extra), 0o600)
    unit = render(
        "proxy/kube-proxy.service",
        bin=config.paths.programs,
        flags=with_extra_flags(options.flags, inputs.node.kube_proxy.extra_args),
        mode=inputs.node.kube_proxy.mode,
        after=" ".join((*inputs.balancer_units, layout.NETWORK_ONLINE)),
    )
    return (
        Directory("/var/lib/kube-proxy"),
        Binary(binary, artifact.path, artifact.sha256),
        File(layout.PROXY_KUBECONFIG, access, 0o600),
        settings,
        File(layout.PROXY_UNIT, unit, 0o600),
        Unit(
            UNIT,
            reads=(
                binary,
                layout.PROXY_PEM,
                layout.PROXY_KUBECONFIG,
                *([layout.PROXY_CONFIG] if options.fields is not None else []),
                layout.PROXY_UNIT,
            ),
            restart=inputs.unregistered,
        ),
    )


def _removed(binary: str, why: str) -> tuple[Resource, ...]:
    """
    Return what removes a kube-proxy, whoever made it a unit of this name.

    Its program comes last: with it goes what it wrote into the kernel (`--cleanup`, in all
    releases). Rules left there would go on sending Services' packets to pods of that moment.
    """
    files = (layout.PROXY_KUBECONFIG, layout.PROXY_CONFIG)
    return (
        RemovedUnit(UNIT, layout.PROXY_UNIT, why),
        *(Absent(path, why=why) for path in files),
        Retired(binary, ("--cleanup",), f"{why}; before, it takes its rules out of the kernel"),
    )


_HEADER = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}


def _options(inputs: Inputs) -> ComponentOptions:
    """Return kube-proxy's settings, as fields and flags of its release."""
    node, minor = inputs.node, inputs.version.minor
    mode = matrix().kube_proxy.modes[node.kube_proxy.mode]
    settings = {
        "bindAddress": node.ip,
        "hostnameOverride": node.name,
        "clientConnection.kubeconfig": layout.PROXY_KUBECONFIG,
        "mode": node.kube_proxy.mode,
        # Traffic from outside the pod network is masqueraded, that of pods is not: NetworkPolicy
        # needs the real source address.
        "clusterCIDR": inputs.config.cluster.pod_cidr,
        "iptables.masqueradeAll": False,
        "healthzBindAddress": f"{_everywhere(inputs)}:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": f"127.0.0.1:{PROXY_METRICS_PORT}",
        # 0: leave the limits as they are. In a container they are its machine's.
        "conntrack.maxPerCore": 0 if inputs.conntrack_of_machine else None,
        "featureGates": {mode.gate: True} if minor in MinorRange(0, mode.gate_until) else None,
    }
    flags = {"--config": layout.PROXY_CONFIG, "--v": 2}
    return component_options(matrix().kube_proxy, minor, flags=flags, settings=settings)


def _everywhere(inputs: Inputs) -> str:
    """Return all addresses of a host; `[::]` is those of IPv4 as well (Go, net.Listen)."""
    return "[::]" if 6 in inputs.config.cluster.families else "0.0.0.0"  # noqa: S104


STEP = Step("proxy", "Install and run kube-proxy.", desired=desired, requires=("proxy-cert",))
