"""Owners of pods: who replaces a pod, and by which tool its owner came into the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .objects import line

if TYPE_CHECKING:
    from .objects import Object

_RELEASE = "meta.helm.sh/release-name"
_TOOLS = (
    # where it is written, the key, its title; the more specific ones first
    ("annotations", _RELEASE, "Helm release"),
    ("labels", "helm.toolkit.fluxcd.io/name", "Flux HelmRelease"),
    ("labels", "kustomize.toolkit.fluxcd.io/name", "Flux Kustomization"),
    ("labels", "argocd.argoproj.io/instance", "Argo CD application"),
    ("annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
    ("labels", "app.kubernetes.io/managed-by", "managed by"),
)


@dataclass(frozen=True, slots=True)
class Owner:
    """
    A controller in the chain above a pod.

    :param exists: None: it could not be asked for, as with custom kinds.
    :param tool: the tool that installed it, such as `Helm release shop`; empty: nothing says.
    """

    kind: str
    name: str
    exists: bool | None
    tool: str = ""

    @property
    def text(self) -> str:
        """Kind, name and tool."""
        gone = ", which no longer exists" if self.exists is False else ""
        return f"{self.kind} {self.name}{gone}" + (f" ({self.tool})" if self.tool else "")


Chain = tuple[Owner, ...]
"""From the pod's own controller upward; empty: nobody replaces it."""


def tool_of(item: Object) -> str:
    """Return the tool that installed an object, by its own labels or annotations; may be empty."""
    metadata = item.get("metadata") or {}
    for place, key, title in _TOOLS:
        if value := (metadata.get(place) or {}).get(key):
            return f"{title} {line(value)}"
    return ""


def chain_text(chain: Chain) -> str:
    """Return a chain in one line: `ReplicaSet web-5d ← Deployment web (Helm release shop)`."""
    return " ← ".join(owner.text for owner in chain)
