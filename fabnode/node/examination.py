"""Evidence: what `inv audit` observed of an existing node, as values without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from .facts import OTHERS_WRITE


class Provenance(Enum):
    """
    Who could have written what was found.

    Only what is root's alone may accuse, name a CA, decide what is in use, be named in a repair or
    be moved.
    """

    ROOT_ONLY = "root-only"
    OTHERS_MAY_WRITE = "others-may-write"


def provenance(uid: int, mode: int, *, controlled: bool) -> Provenance:
    """
    Return a file's provenance.

    :param uid: its owner. :param mode: its bits; an ACL's mask stands in those of the group.
    :param controlled: nobody but root can put something else in its place: every folder above is
        root's, and writable for nobody else (or sticky, but for the one that it lies in).
    """
    alone = controlled and uid == 0 and not mode & OTHERS_WRITE
    return Provenance.ROOT_ONLY if alone else Provenance.OTHERS_MAY_WRITE


@dataclass(frozen=True, slots=True)
class Program:
    """
    The program of a unit, which runs or is to: kubelet, kube-proxy, dockerd.

    :param args: the command line of the unit's main process where that is root's in every way,
        else that of its unit file.
    :param cwd: its working directory, to which relative paths refer; empty where that is unknown.
    """

    args: tuple[str, ...]
    running: bool = True
    cwd: str = ""


@dataclass(frozen=True, slots=True)
class UnitSeen:
    """
    A systemd unit in systemd's own words.

    :param since: when it became active, seconds since boot; 0 where it never did.
    :param files: its unit file, then its drop-ins.
    """

    active: str = "inactive"
    sub: str = "dead"
    restarts: int = 0
    since: float = 0.0
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """
    A unit file or configuration.

    :param sha256: of all of it; empty where that was not read, or not sent whole.
    :param content: None where it holds what may be a secret, so that it stayed on the host, and
        where others than root could have written it. Without the lines that set the environment.
    :param controlled: it is root's alone, and no symlink.
    """

    mode: int
    sha256: str
    content: bytes | None = field(repr=False)
    controlled: bool = True


@dataclass(frozen=True, slots=True)
class SecretFile:
    """
    A file with a private key, a certificate, a kubeconfig or tokens.

    :param reachable: others may enter every directory above it.
    :param controlled: nobody but root can put something else in its place.
    :param certificates: PEM. :param blocks: how many PEM blocks it has, of any kind.
    :param keys: one for each private key: its public half, as
        `ssh-… BASE64` or `spki BASE64`, or empty where the host could not derive it.
    :param tokens: what kind: `bootstrap`, `jwt`, `static`, `password`, `csv`.
    :param kubeconfig: it is one.
    :param used_by: unit files, cron tables and processes that name it, and links to it that
        settings name or kubelets make.
    :param late: a public half could have been derived, and was not in time.
    """

    path: str
    mode: int
    uid: int
    reachable: bool
    controlled: bool
    certificates: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    kubeconfig: bool = False
    used_by: tuple[str, ...] = ()
    blocks: int = 0
    late: bool = False

    @property
    def provenance(self) -> Provenance:
        """Who could have written it, or put it there."""
        return provenance(self.uid, self.mode, controlled=self.controlled)

    @property
    def secret(self) -> bool:
        """Whether it holds what others must not have."""
        return bool(self.keys or self.tokens)


@dataclass(frozen=True, slots=True)
class Anchor:
    """
    A file or folder that decides whom a program obeys, named by its settings.

    :param provenance: who could have written it, or put something else in its place.
    :param certificates: PEM; of a kubeconfig, those of its apiservers' CAs. None are read where
        others may write. :param blocks: how many PEM blocks that has, of any kind.
    :param names: of a kubeconfig, what it names: key → values, for `certificate-authority`,
        `client-certificate`, `client-key`, `tokenFile`, `command` (paths),
        `insecure-skip-tls-verify`, `server` (both only where they void TLS).
    """

    provenance: Provenance
    certificates: tuple[str, ...] = ()
    blocks: int = 0
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listener:
    """
    A socket that listens on a port of the kubelet's.

    :param address: an IP address without zeros that need not be written.
    :param kubelets: it is root's, and a process of the kubelet's unit holds it.
    """

    port: int
    address: str
    kubelets: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """
    A host as one examination found it.

    :param uptime: seconds. :param swaps: devices and files that it swaps to.
    :param control_plane: what of a control plane runs on it, or is to.
    :param managed: units that fabnode started.
    :param unguarded: unit → files that it runs as root though others may write them. :param swayed:
        unit → files and folders that decide what it runs, though others may write them; `systemd`
        for what it starts at a boot.
    :param anchors: path → what decides whom a program obeys; what isn't there is missing.
    :param rules: iptables table → the rules of its built-in chains, as `iptables -S` prints them,
        in order; a table that could not be read is missing.
    :param proxied: kube-proxy's chain KUBE-SERVICES stands in the nat table, and is jumped to;
        None where that could not be read.
    :param listeners: on the kubelet's ports, at the addresses where it is asked and at all; None
        where that could not be read.
    :param quarantined: what an earlier `inv harden` put aside.
    :param users_known: whether it is known who names root's files.
    :param unseen: what could not be examined, and why.
    :param limited: what was not examined because a limit was reached, or because others than
        root may write it: something may have been hidden that way.
    """

    uptime: float = 0.0
    swaps: tuple[str, ...] = ()
    control_plane: tuple[str, ...] = ()
    managed: frozenset[str] = frozenset()
    programs: Mapping[str, Program] = field(default_factory=dict)
    units: Mapping[str, UnitSeen] = field(default_factory=dict)
    texts: Mapping[str, Text] = field(default_factory=dict)
    unguarded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    swayed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: Mapping[str, SecretFile] = field(default_factory=dict)
    anchors: Mapping[str, Anchor] = field(default_factory=dict)
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    proxied: bool | None = False
    listeners: frozenset[Listener] | None = None
    quarantined: tuple[str, ...] = ()
    users_known: bool = True
    unseen: tuple[str, ...] = ()
    limited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Serving:
    """
    The certificates that a host's kubelet may show.

    :param known: DER, of files that are root's alone. :param complete: it can show no other.
    """

    known: frozenset[bytes] = frozenset()
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """
    What a host's kubelet answered somebody without credentials. None: it could not be asked.

    :param pods: status of `https://…:10250/pods`; 0 where nobody answers there.
    :param read_only: status of `http://…:10255/pods`.
    :param strangers: ports on which another program than the kubelet listens: an answer from there
        counts for nothing.
    :param silent: ports on which the kubelet listens, and no answer was to be had.
    :param redirected: ports on which it listens, and somebody showed another certificate.
    :param unproven: ports on which it listens, where it is not known which program answered.
    """

    pods: int | None = None
    read_only: int | None = None
    strangers: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()
    redirected: tuple[int, ...] = ()
    unproven: tuple[int, ...] = ()
