"""Finding of `inv audit`, and the repairs that `inv harden` can carry out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..node.examination import Provenance

Severity = Literal["critical", "high", "medium", "low", "info"]
Check = Literal[
    "ca-key",
    "admin-credentials",
    "foreign-key",
    "other-name",
    "token-file",
    "static-token",
    "open-secret",
    "anonymous-kubelet",
    "always-allow",
    "foreign-client-ca",
    "foreign-apiserver",
    "others-may-write",
    "read-only-port",
    "foreign-listener",
    "docker-tcp",
    "insecure-registry",
    "flushed-rules",
    "flush-at-start",
    "restart-loop",
    "masquerade-all",
    "hidden-swap",
    "long-certificate",
    "rules-at-start",
    "duplicate-rules",
    "quarantined",
    "removed-node",
    "unseen",
]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")


@dataclass(frozen=True, slots=True)
class RestrictMode:
    """Remove a file's mode bits for others."""

    path: str


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Move a file to the quarantine, which only root can enter. Nothing is deleted."""

    path: str


@dataclass(frozen=True, slots=True)
class Setting:
    """
    Give a setting of kubelet or kube-proxy another value, where it is set now.

    :param flag: its name on the command line. :param keys: its place in the configuration file.
    :param value: as YAML and the command line have it.
    """

    program: str
    flag: str
    keys: tuple[str, ...]
    value: bool | int | str


@dataclass(frozen=True, slots=True)
class Line:
    """Replace a line of a unit file; it counts from the unit's next start on."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class DeduplicateRules:
    """Delete the later ones of rules that a table holds more than once."""

    table: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RestartUnit:
    """Restart a unit that pods don't depend on."""

    unit: str


Repair = RestrictMode | Quarantine | Setting | Line | DeduplicateRules | RestartUnit


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that is wrong.

    :param check: which fault; the table in docs/audit.md lists them all.
    :param subject: a path, a unit, a port: what it is about.
    :param text: what is wrong. :param seen: how that was seen.
    :param fix: what a person does about it.
    :param repairs: what `inv harden` does about it; nothing where it does not.
    :param by_hand: why it does not.
    :param provenance: of a file, who could have written it.
    """

    check: Check
    severity: Severity
    subject: str
    text: str
    seen: str
    fix: str
    repairs: tuple[Repair, ...] = ()
    by_hand: str = ""
    provenance: Provenance | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Identity of a finding in a later audit."""
        return self.check, self.subject
