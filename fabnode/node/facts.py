"""Facts: the observed state of a node, as values that steps, plan and preflight decide by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

from ..pki.certificates import NO_CERTIFICATE, CertificateFile
from .conventions import LOCAL_PROGRAMS, STATE

if TYPE_CHECKING:
    from .copies import Wanted

OTHERS_WRITE = 0o022  # mode bits by which group or others may write


@dataclass(frozen=True, slots=True)
class PathFact:
    """
    A managed path as it was found.

    :param kind: `file`, `directory`, `symlink`, `other` (FIFO, device, socket) or `absent`.
    :param sha256: hex, for regular files; None otherwise.
    :param content: of text files that are no secret and at most 256 KiB; None otherwise.
    """

    kind: str
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    sha256: str | None = None
    content: bytes | None = field(default=None, repr=False)

    @property
    def roots_alone(self) -> bool:
        """Whether its owner and mode let root alone write it; its folders are not judged."""
        return not self.uid and not self.mode & OTHERS_WRITE


ABSENT = PathFact("absent")


@dataclass(frozen=True, slots=True)
class UnitFact:
    """
    A systemd unit, in systemd's own words (`systemctl show`).

    :param enabled: UnitFileState (`enabled`, `disabled`, `masked`, … or empty).
    :param started: ActiveEnterTimestamp in seconds since boot (monotonic); 0 where it never ran.
    :param restarts: NRestarts.
    :param drop_ins: those that systemd has read for it, in whichever folder (DropInPaths).
    :param reload: its file changed since systemd read it (NeedDaemonReload).
    :param stamp: path → sha256 at the last start that fabnode saw succeed; empty where none.
    """

    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    started: float = 0.0
    restarts: int = 0
    reload: bool = False
    drop_ins: tuple[str, ...] = ()
    stamp: Mapping[str, str] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Is it up? Exactly `active`: `inactive`, `activating` and the like are not."""
        return self.active == "active" and self.sub == "running"


NO_UNIT = UnitFact()


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP port somebody listens on. `process` is empty where the node does not know it."""

    port: int
    process: str


@dataclass(frozen=True, slots=True)
class Space:
    """
    What the file system of a folder has left.

    :param free: bytes. :param inodes: free inodes; None where it has no fixed number of them.
    :param kind: its type by `stat -f` (`ext2/ext3`, `xfs`, `overlayfs`, …); may be unknown.
    """

    free: int
    inodes: int | None = None
    kind: str = ""


@dataclass(frozen=True, slots=True)
class HostNetwork:
    """
    A network that the host reaches by an interface: of an address there, or of a route of IPv4.

    :param address: the host's own in it; None for a route. :param direct: without a gateway.
    """

    interface: str
    network: IPv4Network | IPv6Network
    address: IPv4Address | IPv6Address | None = None
    direct: bool = True


@dataclass(frozen=True, slots=True)
class DefaultRoute:
    """
    A default route of IPv6.

    :param advertised: the kernel itself made it from a router advertisement.
    :param accept_ra: its interface's setting: 1 takes such unless the host forwards, 2 always.
    """

    interface: str
    advertised: bool = False
    accept_ra: int = 0


@dataclass(frozen=True, slots=True)
class Mount:
    """
    The mount that a folder is on.

    :param options: its own (`ro`, `noexec`, …). :param shared: whether what is mounted below it is
        seen in other mount namespaces, such as those of containers.
    """

    options: frozenset[str]
    shared: bool


@dataclass(frozen=True, slots=True)
class Named:
    """
    A path that root's programs use.

    :param by: what names it: a unit file, a drop-in, a setting.
    :param runs: a program that is run as root; otherwise what decides what is run.
    """

    path: str
    by: str
    runs: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """
    A node, as one probe saw it.

    :param known: False for the facts of a node that was never probed.
    :param os_id, os_version: ID and VERSION_ID of os-release.
    :param arch: `amd64`, `arm64`, or otherwise what `uname -m` prints.
    :param cgroup: 2 or 1.
    :param clock_offset: node's clock minus the deployer's, seconds (halfway between sending the
        probe and its first answer).
    :param space: of file systems, by path asked for.
    :param readonly: of the folders asked about, those that can't be written in.
    :param mounts: of the folders asked about, what each is mounted by.
    :param booted: whether systemd is the init. :param kmsg: whether /dev/kmsg is there.
    :param modules_disabled: whether the kernel no longer loads modules.
    :param controllers: cgroup controllers of the kernel; empty where unknown.
    :param networks: networks of interfaces, but link-local ones, and of IPv4's routes, without the
        default route.
    :param ipv6: whether the kernel has IPv6: `on`, `off` (disabled), `absent`; empty: not known.
    :param ipv6_defaults: its default routes.
    :param mtus: of interfaces, without those of pods, by name.
    :param conntrack: files by which the kernel's connection tracking is set and that can't be
        written: path → `missing` or `readonly`.
    :param resolv_conf: text of /etc/resolv.conf; None: it is not there. `resolv_link`: where a
        dangling one leads.
    :param systemd_resolved: whether pods need systemd-resolved's own file instead: it is
        missing or names a resolver on the loopback alone.
    :param proxies: variables such as HTTPS_PROXY that systemd gives to all services, without user
        and password.
    :param firewall: rules of packet filters that drop what no rule admits, as their programs list
        them; each with the program's name (`nft`, `iptables`).
    :param lacking: programs that fabnode or the kubelet need and that are not there.
    :param modules: kernel features present: loaded, built in or seen working.
    :param built_in: those of them that are part of the kernel.
    :param missing_modules: asked for, not present, and `modprobe -n` can't find them either.
    :param sysctls: key → value, of the keys asked for that exist and can be read.
    :param missing_sysctls: keys asked for that the kernel has not; a module may bring some.
    :param config_files: files by which others may override what fabnode sets: path → lines without
        comments; of settings of the kernel those that are asked for.
    :param certificates: path → certificates found there, nothing else of the file.
    :param loose: paths of these that lead to a file which others than root own or may write.
    :param servers: path → the `server:` of a kubeconfig found there.
    :param authorities: path → the CA that a kubeconfig there trusts: a file's path, or PEM.
    :param clients: path → the file of the client certificate that a kubeconfig there names.
    :param pod_cgroups: drivers (`systemd`, `cgroupfs`) by which the kubelet's pods have cgroups.
    :param static_pods: names of files in the folder of static pods.
    :param images: references in the runtime's store; None: the runtime doesn't answer, or its
        client is one of `untrusted`.
    :param untrusted: programs that the probe did not run, since others than root may change them or
        what leads there.
    :param of_others: what units and settings name though others than root may change it, or what
        leads there.
    :param pinned: of these, those that the kubelet may not collect (containerd's only).
    :param image_archives: image reference → digest of the archive fabnode loaded it from.
    :param copies: sha256 of programs that are missing or differ → other files that have it and are
        root's alone, as the folders were asked about.
    :param tools: of the helper programs asked about (zstd, …) those present.
    :param nft: version of nft, where nf_tables was asked for and nft is present.
    """

    known: bool = False
    hostname: str = ""
    machine_id: str = ""
    boot_id: str = ""
    os_id: str = ""
    os_version: str = ""
    kernel: str = ""
    arch: str = "amd64"
    cgroup: int = 2
    memory: int = 0
    swap: int = 0
    clock_offset: float = 0.0
    uptime: float = 0.0
    addresses: tuple[str, ...] = ()
    networks: tuple[HostNetwork, ...] = ()
    ipv6: str = ""
    ipv6_defaults: tuple[DefaultRoute, ...] = ()
    mtus: Mapping[str, int] = field(default_factory=dict)
    conntrack: Mapping[str, str] = field(default_factory=dict)
    resolv_conf: str | None = ""
    resolv_link: str = ""
    systemd_resolved: bool = False
    proxies: Mapping[str, str] = field(default_factory=dict)
    firewall: tuple[tuple[str, str], ...] = ()
    space: Mapping[str, Space] = field(default_factory=dict)
    readonly: frozenset[str] = frozenset()
    mounts: Mapping[str, Mount] = field(default_factory=dict)
    booted: bool = True
    kmsg: bool = True
    modules_disabled: bool = False
    controllers: frozenset[str] = frozenset()
    lacking: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    built_in: frozenset[str] = frozenset()
    missing_modules: frozenset[str] = frozenset()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    missing_sysctls: frozenset[str] = frozenset()
    config_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    listeners: tuple[Listener, ...] = ()
    paths: Mapping[str, PathFact] = field(default_factory=dict)
    units: Mapping[str, UnitFact] = field(default_factory=dict)
    certificates: Mapping[str, CertificateFile] = field(default_factory=dict)
    loose: frozenset[str] = frozenset()
    servers: Mapping[str, str] = field(default_factory=dict)
    authorities: Mapping[str, str] = field(default_factory=dict)
    clients: Mapping[str, str] = field(default_factory=dict)
    pod_cgroups: frozenset[str] = frozenset()
    static_pods: tuple[str, ...] = ()
    images: frozenset[str] | None = None
    untrusted: frozenset[str] = frozenset()
    of_others: tuple[Named, ...] = ()
    pinned: frozenset[str] = frozenset()
    image_archives: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tools: frozenset[str] = frozenset()
    nft: str = ""

    def path(self, path: str) -> PathFact:
        """Return what was found at `path`; absent where it was not asked for."""
        return self.paths.get(path, ABSENT)

    def certificate(self, path: str) -> CertificateFile:
        """Return the certificates in a file; none where it was not asked for."""
        return self.certificates.get(path, NO_CERTIFICATE)

    def unit(self, name: str) -> UnitFact:
        """Return the unit's state; not-found where it was not asked for."""
        return self.units.get(name, NO_UNIT)


UNKNOWN = Facts()


@dataclass(frozen=True, slots=True)
class Watchlist:
    """
    What a probe must report.

    :param text: paths whose content is wanted; `opaque`: only digest and mode (secrets, binaries).
    :param folders: directories that others than root should not be able to write in, up to /; where
        one is a symlink, those that it leads through are reported as well.
    :param certificates: PEM files or kubeconfigs of which only certificates are wanted.
    :param servers: kubeconfigs whose `server:` and CA are wanted.
    :param store: the runtime whose images are wanted: containerd or docker. :param ctr: the program
        that lists containerd's.
    :param ports: TCP ports of interest: if nobody listens on any of them, no listener is reported.
    :param free: directories whose file system is wanted (of the nearest that exists).
    :param writable: directories that fabnode writes in. :param mounts: those whose mount is wanted.
    :param state: the one with its records.
    :param obeyed: paths of settings, each judged with all that is in it by who may change it.
    :param local_programs: folders that come before the system's in the PATH of units.
    :param cni_conf: directory whose files configure the pods' network.
    :param programs: those of which copies are looked for where they are missing or differ, in
        `copy_folders`, the first ones first.
    :param deep: hash every file again instead of trusting size, times and inode of the last time.
    """

    text: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    certificates: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    store: str = "containerd"
    ctr: str = "ctr"
    state: str = STATE
    cni_conf: str = ""
    obeyed: tuple[Named, ...] = ()
    local_programs: tuple[str, ...] = LOCAL_PROGRAMS
    programs: tuple[Wanted, ...] = ()
    copy_folders: tuple[str, ...] = ()
    deep: bool = False
