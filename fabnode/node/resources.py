"""
Resources: the desired state of a node as files, binaries, images, kernel settings, units.

A step returns resources; `node.plan` compares them with the node's facts and `remote.apply` makes
the difference true, in the order in which the steps gave them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class File:
    """
    A file with exactly this content, owned by root.

    :param content: None: made only when the plan is carried out (a token, an issued certificate),
        so that it always counts as a change.
    :param secret: its content is never shown, nor read back from the node; only digests are.
    :param ephemeral: needed for a moment only; units that read it restart when it is written, but
        it is no part of what their last start is stamped with.
    :param why: what differs in a file that is not read back from the node.
    """

    path: str
    content: bytes | None = field(repr=False)
    mode: int = 0o644
    secret: bool = False
    ephemeral: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class ExistingSecret:
    """
    A secret file that is already right on the node and whose content the deployer doesn't know.

    Only its mode is compared (a certificate that is not due, with its key).
    """

    path: str
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory, owned by root."""

    path: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Binary:
    """A large file of the deployer's, identified by its digest (sha256, hex)."""

    path: str
    source: Path
    sha256: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Absent:
    """
    A file that must not be there.

    :param remade_by: the unit that creates it again when it starts (a certificate that is to be
        replaced): it is restarted, and what was there comes back if that fails.
    :param why: why it must not; empty: it just must not.
    """

    path: str
    remade_by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Retired:
    """
    A program of fabnode's that goes, once it has taken away what it left in the kernel.

    :param cleanup: its arguments for that.
    """

    path: str
    cleanup: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Module:
    """A kernel module that is loaded, or built in. `why`: who needs it."""

    name: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel setting as it is now; what a boot sets stands in a File under /etc/sysctl.d."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Image:
    """
    A container image that is in the runtime's store, from an archive (docker-archive or OCI tar).

    In containerd's store it is pinned: the kubelet, which removes unused images from a full disk,
    could not have it pulled again where there is no registry.

    :param names: the references the archive brings; it is imported when one is missing.
    :param sha256: digest of the archive, hex.
    :param store: the runtime in whose store it has to be.
    :param ctr: containerd's program that imports it.
    """

    names: tuple[str, ...]
    source: Path
    sha256: str
    store: Literal["containerd", "docker"] = "containerd"
    ctr: str = "ctr"


@dataclass(frozen=True, slots=True)
class UnpinnedImage:
    """An image of containerd's that fabnode once imported, and that the kubelet may collect."""

    name: str
    ctr: str = "ctr"


@dataclass(frozen=True, slots=True)
class Unit:
    """
    A systemd service that is enabled, running, and was started after all it reads was in place.

    :param reads: paths (of File, Binary, ExistingSecret) whose change asks for a restart. Their
        digests at the last successful start are the unit's stamp on the node, by which the
        next run completes one that was killed between writing and restarting.
    :param restart: why it has to start again although nothing that it reads has changed.
    """

    name: str
    reads: tuple[str, ...] = ()
    restart: str = ""


@dataclass(frozen=True, slots=True)
class RemovedUnit:
    """
    A systemd service that neither runs nor is started at boot, and has no file of fabnode's.

    :param path: of that file; one that lies elsewhere, in a package's folder, stays.
    :param last: once all else is done: others use it until then.
    """

    name: str
    path: str
    why: str
    last: bool = False


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """
    The kubelet's client certificate, which the kubelet itself asks for once it runs.

    Carrying it out means: watch `unit` until the certificate at `path` is there, then remove the
    `bootstrap` kubeconfig. A unit that fails meanwhile ends the wait at once, with its journal.

    :param key: where the kubelet keeps its key meanwhile, whose public half is then reported; empty
        where it keeps it in memory.
    :param missing: why one has to come; empty where facts already show one that is good.
    :param timeout: seconds.
    """

    path: str
    unit: str
    bootstrap: str
    key: str
    missing: str
    timeout: int


@dataclass(frozen=True, slots=True)
class EditedFile:
    """
    Somebody else's text file with a few lines changed, its owner root.

    :param before: digest of what was read (sha256, hex): of anything else it is kept.
    """

    path: str
    content: bytes = field(repr=False)
    before: str
    mode: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that is moved to fabnode's quarantine on the node, which only root can enter."""

    path: str


@dataclass(frozen=True, slots=True)
class Superseded:
    """
    Credentials of another tool's, which are moved to the quarantine before `unit` starts with ours.

    :param proof: the certificate that supersedes them. Where it is not there when the run ends,
        they come back, and the unit starts again.
    :param kubeconfig: where the unit reads its own: they come back there too; empty for a key.
    """

    path: str
    proof: str
    unit: str
    kubeconfig: str
    why: str


@dataclass(frozen=True, slots=True)
class RulesOnce:
    """Rules of iptables' built-in chains, as `iptables -S` prints them, of which one is enough."""

    table: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """
    A command of the site's own, run as root when something else has changed (a hook).

    :param marker: path of an empty file that is there while the command is due: from before the
        first change until it has succeeded, however many runs that takes.
    :param environment: pairs of name and value that it gets besides.
    :param timeout: seconds.
    """

    title: str
    argv: tuple[str, ...]
    marker: str
    environment: tuple[tuple[str, str], ...]
    timeout: int


@dataclass(frozen=True, slots=True)
class Reload:
    """systemd reloads its unit files; nothing is restarted."""


@dataclass(frozen=True, slots=True)
class Restart:
    """A unit is restarted, and neither enabled nor stamped: somebody else's."""

    unit: str


TraceKind = Literal[
    "service",
    "begun",
    "containers",
    "sandboxes",
    "mounts",
    "rules",
    "set",
    "table",
    "route",
    "address",
    "interface",
    "cgroup",
    "file",
    "previous",
    "tree",
    "mode",
    "folder",
    "setting",
    "enabled",
    "records",
    "halted",
    "pods",
    "kept",
    "set kept",
    "forgotten",
    "reset",
]


@dataclass(frozen=True, slots=True)
class Trace:
    """
    Something of a node on its host that a reset or an upgrade removes, keeps or puts back.

    :param name: what is shown. :param words: arguments of what does it (`reset.sh`, `pods.sh` and
        `kept.sh` in `scripts/apply`).
    :param content: the input of what does it, for rules of packet filters.
    :param timeout: seconds that it may take.
    """

    kind: TraceKind
    name: str
    words: tuple[str, ...]
    content: bytes = field(default=b"", repr=False)
    timeout: int = 0


Resource = (
    File
    | ExistingSecret
    | Directory
    | Binary
    | Absent
    | Retired
    | Module
    | Sysctl
    | Image
    | UnpinnedImage
    | Unit
    | RemovedUnit
    | ClientCertificate
    | EditedFile
    | Quarantined
    | Superseded
    | RulesOnce
    | Command
    | Reload
    | Restart
    | Trace
)


def content_of(path: str, resources: Iterable[Resource]) -> bytes | None:
    """Return what these resources want in a file; None where they want no such file."""
    files = (each for each in resources if isinstance(each, File))
    return next((each.content for each in files if each.path == path), None)


# Directories that are a system's own: some systems make symlinks of them, and may.
_SYSTEM = frozenset(
    f"/{path}"
    for path in (
        *("etc", "opt", "usr", "var", "run", "var/lib", "usr/local", "usr/local/bin"),
        *("etc/systemd", "etc/systemd/system", "etc/modules-load.d", "etc/sysctl.d"),
    )
)
_MADE_IN = ("/etc/", "/opt/", "/var/lib/")


@lru_cache(1024)  # asked of the same few paths for every node
def own_parents(path: str) -> tuple[str, ...]:
    """Return the directories above a path that are there for fabnode's or Kubernetes' sake."""
    found = [str(parent) for parent in PurePosixPath(path).parents]
    return tuple(p for p in reversed(found) if p.startswith(_MADE_IN) and p not in _SYSTEM)
