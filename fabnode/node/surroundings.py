"""Surroundings of a node: what its components change or add to on a host beside files, as seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .facts import PathFact
from .machine_ids import MachineIds

# Of the kernel's settings, those that a node's components write, as files.
SETTINGS = (
    # kubelet: pkg/kubelet/cm/container_manager_linux.go setupKernelTunables, unless it is told to
    # protect the defaults
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/panic_on_oops",
    "/proc/sys/kernel/keys/root_maxkeys",
    "/proc/sys/kernel/keys/root_maxbytes",
    # kube-proxy: pkg/proxy/conntrack, pkg/proxy/iptables/proxier.go, pkg/proxy/ipvs/proxier.go
    "/proc/sys/net/netfilter/nf_conntrack_max",
    "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal",
    "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established",
    "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait",
    "/proc/sys/net/netfilter/nf_conntrack_udp_timeout",
    "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream",
    "/sys/module/nf_conntrack/parameters/hashsize",
    "/proc/sys/net/ipv4/conf/all/route_localnet",
    "/proc/sys/net/ipv4/conf/all/arp_ignore",
    "/proc/sys/net/ipv4/conf/all/arp_announce",
    "/proc/sys/net/ipv4/vs/conntrack",
    "/proc/sys/net/ipv4/vs/conn_reuse_mode",
    "/proc/sys/net/ipv4/vs/expire_nodest_conn",
    "/proc/sys/net/ipv4/vs/expire_quiescent_template",
)


def setting_file(key: str) -> str:
    """Return the file of a setting's key; dots and slashes trade places, as sysctl(8) has it."""
    return "/proc/sys/" + key.translate(str.maketrans("./", "/."))


@dataclass(frozen=True, slots=True)
class UnitState:
    """A unit in systemd's words: LoadState, ActiveState, UnitFileState, and where its file is."""

    load: str = "not-found"
    active: str = "inactive"
    enabled: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class MountPoint:
    """Something mounted: the file system's type, which part of it, and where."""

    kind: str
    root: str
    place: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What was seen on a host at one moment. Lines are as the host's own programs print them.

    :param interfaces: name → line of `ip -o -d link`. :param addresses: lines of `ip -o addr`.
    :param routes, rules: by family, `4` and `6`.
    :param filters: by program (`iptables-nft`, `ip6tables-legacy`, …): lines of its `-save`.
    :param nft: lines of `nft -s list ruleset`, without counters.
    :param mounts: in the order in which they were mounted.
    :param swaps: files and devices that are swapped to. :param users: each as `name:uid`.
    :param settings: file of a kernel setting → its value.
    :param asked: paths that were asked about.
    :param paths: of those, the ones that are there; `filled`: folders that hold any.
    :param cut: of what there was more than is taken.
    """

    machine: str = ""
    interfaces: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    routes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nft: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    mounts: tuple[MountPoint, ...] = ()
    modules: frozenset[str] = frozenset()
    swaps: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, UnitState] = field(default_factory=dict)
    paths: Mapping[str, PathFact] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()
    cut: frozenset[str] = frozenset()

    def unit(self, name: str) -> UnitState:
        """Return a unit's state; not-found where it was not asked for."""
        return self.units.get(name, NO_STATE)

    def tables(self) -> dict[str, tuple[str, ...]]:
        """Return nft's tables, `family name` → its lines."""
        found: dict[str, list[str]] = {}
        name = ""
        for line in self.nft:
            if line.startswith("table ") and line.endswith("{"):
                name = line.removeprefix("table ").removesuffix("{").strip()
                found[name] = []
            elif line == "}":
                name = ""
            elif name:
                found[name].append(line)
        return {name: tuple(lines) for name, lines in found.items()}


NO_STATE = UnitState()


@dataclass(frozen=True, slots=True)
class Sandbox:
    """
    A pod's sandbox. :param daemon: whether a DaemonSet made it, by its labels.

    :param netns: file that keeps its network namespace; empty: it has the host's.
    """

    id: str
    namespace: str
    name: str
    daemon: bool
    netns: str = ""

    @property
    def pod(self) -> str:
        """Namespace and name."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Survey:
    """
    A host as a reset finds it.

    :param before: as it was before the first change; None: nobody recorded that.
    :param own: files and folders there that only a deployment by fabnode writes.
    :param managed: files that a deployment has written.
    :param kept: files that a deployment replaced and that wait to be put back, by their paths.
    :param sandboxes: None: containerd does not answer.
    :param namespaces: of containerd's, each with its number of containers and of images.
    :param containers: ids of those in the kubelet's that are no pod's, whoever runs them there.
    :param shims: how many processes hold containers of this containerd's, but for those that it
        tells are no pod's.
    :param processes: how many there are in cgroups of the kubelet's pods, whatever started them.
    :param cgroups: of the kubelet's pods. :param untrusted: programs that others may have written,
        so that they were not run: containerd was not asked.
    :param quarantine: whether files of others lie in it.
    :param begun: a reset that is not done: what, by whom, since when.
    :param ids: which machine it is.
    """

    now: Surroundings
    before: Surroundings | None = None
    own: tuple[str, ...] = ()
    managed: frozenset[str] = frozenset()
    kept: Mapping[str, PathFact] = field(default_factory=dict)
    sandboxes: tuple[Sandbox, ...] | None = None
    namespaces: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    containers: tuple[str, ...] = ()
    shims: int = 0
    processes: int = 0
    cgroups: tuple[str, ...] = ()
    untrusted: tuple[str, ...] = ()
    quarantine: bool = False
    begun: str = ""
    ids: MachineIds = field(default_factory=MachineIds)
