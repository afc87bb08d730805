"""What is known of a node that may be ill: from one probe of its host, and from the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..node.facts import UNKNOWN, Facts
from ..node.symptoms import Symptoms

Access = Literal[
    "",
    "unreachable",
    "answers",
    "host-key",
    "login",
    "sudo",
    "hangs",
    "misbehaves",
]


@dataclass(frozen=True, slots=True)
class HostSeen:
    """
    A host as it was seen.

    :param access: why it could not be probed; empty: it could; answers: something at its address
        does, but takes no SSH connection. :param fault: that in a clause, `advice` what to do about
        it.
    :param api_reached: whether the apiserver is reached from there; None: not known.
    :param api_fault: why not, or why its certificate is invalid there; empty: no fault.
    :param health: what the kubelet's health endpoint answers; empty: it is healthy, or not asked.
    :param overrides: what overrides fabnode's settings there, each with its fix.
    :param of_others: programs and drop-ins of services that others than root may change, each with
        its fix. :param files_of_others: likewise files that a deployment rewrites.
    :param lost: programs of the node that are not there or can't be executed.
    :param drift: files and settings that are not as configured, in clauses.
    """

    access: Access = ""
    fault: str = ""
    advice: str = ""
    facts: Facts = UNKNOWN
    symptoms: Symptoms = field(default_factory=Symptoms)
    api_reached: bool | None = None
    api_fault: str = ""
    health: str = ""
    overrides: tuple[tuple[str, str], ...] = ()
    of_others: tuple[tuple[str, str], ...] = ()
    files_of_others: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A signing request of a node's. `age`: seconds."""

    name: str
    kind: Literal["client", "serving"]
    state: Literal["Pending", "Approved", "Denied", "Failed"]
    issued: bool
    age: float


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a Node: `status` is True, False or Unknown."""

    status: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """
    A node as the API has it.

    :param known: False: the API could not be asked, because of `fault`.
    :param registered: whether there is a Node object.
    :param leaving: what keeps a deleted Node object; empty: it is not deleted.
    :param heartbeat_age: seconds since its kubelet last reported.
    :param cordon: owner of its cordon; empty: none. :param operation: of fabnode's own, what it was
        made for: cordon, drain, maintain, upgrade. :param locked_out: a removal of it has begun.
    :param excluded: load balancers leave it out since a cordon that is lifted.
    :param removed: day on which it was removed, where it is not registered; empty: it was not.
    :param taints: that are not configured and keep pods away; each with what to do about it.
    :param tainted_by: the program that wrote its taints last.
    :param machine_id, addresses, kubelet, pods, most_pods: as it reports them.
    :param network: why its pod network does not run; empty: it does. :param network_advice: next.
    :param network_pod: `namespace/name` and uid of that network's pod there.
    :param reaches_kubelet: whether the apiserver gets through to its kubelet; None: not asked.
    :param skew: why its kubelet's release does not fit the apiserver's; empty: it does.
    :param unseen: what our account had no right to read, so that its causes are not named.
    """

    known: bool = True
    fault: str = ""
    advice: str = ""
    registered: bool = True
    leaving: str = ""
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    heartbeat_age: float = 0.0
    cordon: str = ""
    operation: str = ""
    locked_out: bool = False
    excluded: bool = False
    removed: str = ""
    taints: tuple[tuple[str, str], ...] = ()
    tainted_by: str = ""
    machine_id: str = ""
    addresses: tuple[str, ...] = ()
    kubelet: str = ""
    pods: int = 0
    most_pods: int = 0
    requests: tuple[Request, ...] = ()
    network: str = ""
    network_advice: str = ""
    network_pod: tuple[str, str] = ("", "")
    reaches_kubelet: bool | None = None
    skew: str = ""
    unseen: tuple[str, ...] = ()

    @property
    def ready(self) -> str:
        """Status of its condition Ready; empty where it has none."""
        found = self.conditions.get("Ready")
        return found.status if found else ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What the configuration wants of a node, as far as causes use it.

    :param name, ip, second_ip: the node's. :param apiserver: its URL, or those of several.
    :param server: the one in kubeconfigs of nodes, their balancer's where there are several
        (`balanced`).
    :param runtime: the service of its container runtime. :param proxy: whether it has kube-proxy.
    :param programs: folder of programs. :param kubelet_root, runtime_root: folders of their data.
    :param cni_conf: folder that configures the pods' network. :param conf_name: its file there;
        empty: not known. :param own_plugins: programs without which pods get no network.
    :param sandbox_image: of pods.
    """

    name: str
    ip: str
    apiserver: str
    ca_pem: bytes = field(repr=False)
    runtime: str = "containerd.service"
    proxy: bool = True
    programs: str = "/usr/local/bin"
    kubelet_root: str = "/var/lib/kubelet"
    runtime_root: str = "/var/lib/containerd"
    cni_conf: str = "/etc/cni/net.d"
    cni_bin: str = "/opt/cni/bin"
    conf_name: str = ""
    server: str = ""
    balanced: bool = False
    own_plugins: tuple[str, ...] = ()
    sandbox_image: str = ""
    second_ip: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one node. `now` is the deployer's time, unix seconds."""

    wanted: Wanted
    host: HostSeen
    node: NodeSeen
    now: float
