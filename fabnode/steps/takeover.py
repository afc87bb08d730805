"""Takeover of a node that another tool made: findings, and nodes that must not be taken over."""

from __future__ import annotations

from collections.abc import Iterator

from ..config.apiservers import endpoint
from ..config.sections import ClusterSettings
from ..node import layout, other_credentials
from ..pki.certificates import ProblemKind, problem, read
from ..util.pem import certificates
from .finding import Finding
from .inputs import Inputs

_FOREIGN_NODE_FIX = (
    "remove it from the other cluster first; fabnode does not take over foreign nodes"
)
_NODE = "system:node:"


def findings(inputs: Inputs) -> Iterator[Finding]:
    """Yield what another tool made of this host: a node of elsewhere, or one to be taken over."""
    elsewhere = tuple(_other_cluster(inputs))
    yield from elsewhere
    yield from _static_pods(inputs)
    if not elsewhere:
        yield from _taken_over(inputs)


def _other_cluster(inputs: Inputs) -> Iterator[Finding]:
    facts, fix = inputs.facts, _FOREIGN_NODE_FIX
    others = other_credentials.found(facts, inputs.node.kubelet.root)
    at_ours = next((each for each in others if each.path == layout.KUBELET_KUBECONFIG), None)
    held = facts.certificate(layout.kubelet_client_certificate(inputs.node.kubelet.root))
    if at_ours and at_ours.certificate.pem:
        held = at_ours.certificate
    server = facts.servers.get(layout.KUBELET_KUBECONFIG, "")
    fault = problem(held, inputs.config.ca_pem, inputs.now)
    kind = fault.kind if fault else None
    if held.pem and kind is ProblemKind.FOREIGN_CA:
        yield Finding("error", f"its kubelet belongs to another cluster ({fault})", fix)
    elif held.pem and kind is not ProblemKind.UNREADABLE:
        # Signed by our CA: the node is this cluster's, whatever its age and apiserver address.
        name = read(held).common_name
        node = name.removeprefix(_NODE)
        if node != inputs.node.name and (node != name or not at_ours):
            yield Finding(
                "error",
                f"its kubelet has joined as {name}",
                f"where this host is that node, call it {node} in the configuration;"
                " else remove it from the cluster first",
            )
    elif server and not _is_known(server, inputs.config.cluster) and not _trusts_ours(inputs):
        yield Finding("error", f"its kubelet was set up for {server}", fix)
    for each in others:
        fault = problem(each.certificate, inputs.config.ca_pem, inputs.now)
        not_ours = fault and fault.kind in {ProblemKind.FOREIGN_CA, ProblemKind.UNREADABLE}
        if each.path == layout.KUBEADM_KUBECONFIG and not_ours:
            yield Finding(
                "error",
                "its kubelet was set up by kubeadm, and not for this cluster",
                "run `kubeadm reset` on it",
            )


def _is_known(server: str, cluster: ClusterSettings) -> bool:
    """Return whether a URL is one of this cluster's API, however it is written."""
    try:
        return endpoint(server) in {endpoint(cluster.server), *cluster.endpoints}
    except ValueError:  # what a host has there may be anything
        return False


def _trusts_ours(inputs: Inputs) -> bool:
    """Say whether the kubeconfig there holds this cluster's CA; then its server is a proxy's."""
    trusted = inputs.facts.authorities.get(layout.KUBELET_KUBECONFIG, "")
    return bool(trusted) and certificates(trusted.encode()) == certificates(inputs.config.ca_pem)


def _static_pods(inputs: Inputs) -> Iterator[Finding]:
    """Find pods that a kubelet of fabnode's would not start again."""
    names = inputs.facts.static_pods
    if inputs.joined or not names or "staticPodPath" in inputs.node.kubelet.config:
        return
    if "kube-apiserver.yaml" in names:
        yield Finding(
            "error",
            "it runs its cluster's control plane as static pods",
            "leave control planes to the tool that made them, and take this host out of the"
            " configuration",
        )
    else:
        yield Finding(
            "warning",
            f"its static pods end: {', '.join(names)} in {layout.STATIC_PODS}",
            f"where they are needed, set kubelet.config.staticPodPath: {layout.STATIC_PODS}",
        )


def _taken_over(inputs: Inputs) -> Iterator[Finding]:
    if inputs.joined:
        return
    if inputs.taken_over:
        yield Finding(
            "warning",
            f"it is taken over: its kubelet uses {inputs.taken_over}",
            f"these go to {inputs.config.paths.state}/quarantine on the host, and it asks for a"
            " certificate of its own; its Node object and its pods stay",
        )
    drivers = inputs.facts.pod_cgroups
    if drivers and inputs.cgroup_driver not in drivers:
        yield Finding(
            "warning",
            f"its pods restart once: the kubelet's cgroup driver was {', '.join(sorted(drivers))},"
            f" and is {inputs.cgroup_driver} from then on",
            f"move them away before: `kubectl drain --ignore-daemonsets {inputs.node.name}`",
        )
