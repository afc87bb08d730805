"""
Takeover of a node that another tool made: its kubelet's credentials, and where they go.

A kubelet whose kubeconfig holds a good certificate never bootstraps. kubeasz writes it to the path
that fabnode's kubelets use too; kubeadm and kubespray write another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..node import layout
from ..node.conventions import KUBELET_SERVICE
from ..node.facts import Facts
from ..node.resources import Superseded
from ..pki.certificates import CertificateFile, ProblemKind, problem, read
from ..util.pem import certificates
from .finding import Finding

if TYPE_CHECKING:
    from .inputs import Inputs  # which has to know who is taken over

_FOREIGN_NODE_FIX = (
    "remove it from the other cluster first; fabnode does not take over foreign nodes"
)
_NODE = "system:node:"
KUBECONFIGS = (layout.KUBELET_KUBECONFIG, layout.KUBEADM_KUBECONFIG)
# kubeasz's copy of what its kubeconfig holds; its kubelet serves with it.
PAIR = ("/etc/kubernetes/ssl/kubelet.pem", "/etc/kubernetes/ssl/kubelet-key.pem")


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    A kubeconfig by which another tool's kubelet goes.

    :param certificate: the client certificate in it, or in the file that it names; may be empty.
    :param believed: root alone could have written the kubeconfig.
    """

    path: str
    certificate: CertificateFile
    believed: bool = True

    def __str__(self) -> str:
        """Describe them for a plan."""
        held = self.certificate.certificate
        if not self.believed:
            return f"{self.path}, which others than root may write"
        if held is None:
            return f"{self.path}, without a certificate that can be read"
        return f"{self.path}, certificate {held.subject} until {held.not_after:%Y-%m-%d}"


def found(facts: Facts, root: str) -> tuple[Credentials, ...]:
    """
    Return the kubeconfigs of other tools, first that at fabnode's own path.

    :param root: the kubelet's folder.
    """
    return tuple(
        credentials for path in KUBECONFIGS if (credentials := _credentials(facts, path, root))
    )


def _credentials(facts: Facts, path: str, root: str) -> Credentials | None:
    fact = facts.path(path)
    if fact.kind != "file":
        return None
    own = layout.kubelet_client_certificate(root)
    at_ours = path == layout.KUBELET_KUBECONFIG
    held, named = facts.certificate(path), facts.clients.get(path, own if at_ours else "")
    # One that came back after a takeover without a certificate (`apply/superseded.sh`).
    copied = fact.sha256 and fact.sha256 == facts.path(layout.KUBEADM_KUBECONFIG).sha256
    if at_ours and not held.pem and named == own and not copied:
        return None  # as kubelets of fabnode's write it
    return Credentials(path, held if held.pem else facts.certificate(named), fact.roots_alone)


def superseded(facts: Facts, root: str, state: str) -> Iterator[Superseded]:
    """
    Return what goes to the quarantine before the kubelet starts with a bootstrap token.

    :param root: the kubelet's folder. :param state: fabnode's.
    """
    seen = {credentials.path: credentials for credentials in found(facts, root)}
    for path in (*KUBECONFIGS, *(PAIR if seen or not facts.known else ())):
        kind = facts.path(path).kind
        ours = path == layout.KUBELET_KUBECONFIG and kind == "file" and path not in seen
        if facts.known and (kind == "absent" or ours):
            continue
        what = f"another tool's credentials ({seen[path]})" if path in seen else "a copy of them"
        yield Superseded(
            path,
            proof=layout.kubelet_client_certificate(root),
            unit=KUBELET_SERVICE,
            kubeconfig=layout.KUBELET_KUBECONFIG if path in KUBECONFIGS else "",
            why=f"{what} go to {state}/quarantine",
        )


def findings(inputs: Inputs) -> Iterator[Finding]:
    """Yield what another tool made of this host: a node of elsewhere, or one to be taken over."""
    elsewhere = tuple(_other_cluster(inputs))
    yield from elsewhere
    yield from _static_pods(inputs)
    if not elsewhere:
        yield from _taken_over(inputs)


def _other_cluster(inputs: Inputs) -> Iterator[Finding]:
    facts, fix = inputs.facts, _FOREIGN_NODE_FIX
    others = found(facts, inputs.node.kubelet.root)
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
    elif server and server != inputs.config.cluster.apiserver and not _trusts_ours(inputs):
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
            f"it is taken over: its kubelet goes by {inputs.taken_over}",
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
