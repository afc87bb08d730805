"""Inputs of a step: all that it may derive a node's desired state from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from ..cni.registry import network
from ..config.configuration import Config, Node
from ..node import layout, other_credentials
from ..node.artifacts import Artifacts, ImageArchive
from ..node.conventions import BALANCER_SERVICE, KUBELET_SERVICE
from ..node.facts import Facts
from ..node.resources import Image
from ..pki.certificates import problem
from ..pki.renewal import CLIENT, KEEP, Renewal
from ..releases import compatibility
from ..releases.version import Release
from ..util.pem import certificates

_REGISTERED = 15.0  # seconds after which a kubelet that reaches the API has registered


@dataclass(frozen=True, slots=True)
class Issued:
    """
    What was issued to this node while the plan is carried out; all None while it is only shown.

    :param bootstrap_kubeconfig: with a token for this node.
    :param proxy_pem: kube-proxy's certificate and key.
    """

    bootstrap_kubeconfig: bytes | None = field(default=None, repr=False)
    proxy_pem: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Inputs:
    """
    One node and all that is known about it. `now` is UTC.

    :param renewal: certificates to be renewed although they are good.
    :param registered: whether the API has its Node object; True where that is not known.
    """

    config: Config
    node: Node
    facts: Facts
    artifacts: Artifacts
    issued: Issued
    now: datetime
    renewal: Renewal = KEEP
    registered: bool = True

    @property
    def version(self) -> Release:
        """Kubernetes release that this node is to run."""
        return self.config.cluster.version

    @property
    def shim(self) -> str | None:
        """What stands between kubelet and docker: dockershim or cri-dockerd; None: containerd."""
        return (
            compatibility.shim(self.version.minor) if self.node.runtime.name == "docker" else None
        )

    @property
    def joined(self) -> bool:
        """Whether the node holds a client certificate of this cluster, in its own name, to keep."""
        return self.unjoined is None

    @property
    def unjoined(self) -> str | None:
        """Why the node has to ask for a client certificate; None where it has joined."""
        facts = self.facts
        path = layout.kubelet_client_certificate(self.node.kubelet.root)
        held = facts.certificate(path)
        nothing = "it has no client certificate of this cluster"
        if self.taken_over:
            return f"node taken over: its kubelet uses {self.taken_over}"
        if facts.path(layout.KUBELET_KUBECONFIG).kind != "file" or not held.certificate:
            return nothing
        if held.certificate.common_name != f"system:node:{self.node.name}":
            return nothing
        if fault := problem(held, self.config.ca_pem, self.now):
            return f"its client certificate is unusable: {fault}"
        if path in facts.loose:
            return "others than root could write its client certificate and key"
        trusted = facts.authorities.get(layout.KUBELET_KUBECONFIG, "")
        if trusted != layout.CA and certificates(trusted.encode()) != certificates(
            self.config.ca_pem
        ):
            return "its kubelet.kubeconfig holds another CA than the configuration"
        if why := self.renewal.reason(CLIENT, held):
            return f"its client certificate is to be renewed: {why}"
        return None

    @property
    def taken_over(self) -> other_credentials.Credentials | None:
        """The credentials of another tool by which this node's kubelet goes; None: none."""
        others = other_credentials.found(self.facts, self.node.kubelet.root)
        ours = self.facts.path(layout.KUBELET_KUBECONFIG).kind == "file"
        # Beside one of ours, what is at another tool's path is only left over.
        used = [each for each in others if each.path == layout.KUBELET_KUBECONFIG or not ours]
        return used[0] if used else None

    @property
    def unregistered(self) -> str:
        """
        Why kubelet and kube-proxy start again although all that they read is right; empty: no need.

        A kubelet registers its Node when it starts, and never again. One that has only just started
        may be about to.
        """
        lost = self.kubelet_settled and self.joined and not self.registered
        return "its Node object is missing" if lost else ""

    @property
    def balancer_units(self) -> tuple[str, ...]:
        """The unit by which this node reaches several apiservers; none where there is one."""
        return (BALANCER_SERVICE,) if self.config.cluster.balanced else ()

    @property
    def without_proxy(self) -> str:
        """Why this node is to have no kube-proxy; empty where it is to have one."""
        return "" if self.node.kube_proxy.enabled else "kube_proxy is none"

    @property
    def kubelet_settled(self) -> bool:
        """Whether the kubelet has run for long enough to have registered, and requested all."""
        unit = self.facts.unit(KUBELET_SERVICE)
        return unit.running and self.facts.uptime - unit.started > _REGISTERED

    @property
    def first_images(self) -> tuple[ImageArchive, ...]:
        """
        The archives without which a node gets no network, in the order in which they are needed.

        The sandbox image is every pod's, the pod network's first images come next. All
        others can follow while the node joins, which is mostly waiting.
        """
        wanted = [self.node.runtime.sandbox_image, *network(self.config).first_images]
        found = [
            archive
            for part in wanted
            for archive in self.artifacts.images
            if any(part in name for name in archive.names)
        ]
        return tuple(dict.fromkeys(found))

    def images(self, archives: Iterable[ImageArchive]) -> tuple[Image, ...]:
        """Return these archives as images that have to be in this node's runtime."""
        store, ctr = self.node.runtime.name, f"{self.config.paths.programs}/ctr"
        return tuple(
            Image(a.names, a.artifact.path, a.artifact.sha256, store, ctr) for a in archives
        )

    @property
    def conntrack_of_machine(self) -> str:
        """
        A file by which connection tracking is set, where the host has none though it tracks; or "".

        So it is in containers: its limits are the machine's. A kube-proxy that is to set them reads
        that file, and ends (kubernetes pkg/proxy/conntrack/sysctls.go: SetMax).
        """
        missing = (path for path, state in self.facts.conntrack.items() if state == "missing")
        return next(missing, "") if "nf_conntrack" in self.facts.modules else ""

    @property
    def cgroup_driver(self) -> str:
        """
        Who manages cgroups; runtime and kubelet must agree.

        systemd where it rules a cgroup v2 tree, as Kubernetes recommends; plain cgroupfs on v1.
        """
        return "systemd" if self.facts.cgroup == 2 else "cgroupfs"
