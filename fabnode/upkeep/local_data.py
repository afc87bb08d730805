"""Data that a pod has on its node alone: what is lost with the pod, and what stays behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .objects import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .objects import Object

HOSTNAME = "kubernetes.io/hostname"

Claims = dict[tuple[str, str], "Object"]
"""PersistentVolumes by namespace and name of the claim that they are bound to."""


def lost_with(pod: Object) -> tuple[str, ...]:
    """Return the volumes of a pod whose content ends with it (emptyDir)."""
    return tuple(
        f"emptyDir {line(volume['name'])}"
        + (f" ({line(medium)})" if (medium := (volume["emptyDir"] or {}).get("medium")) else "")
        for volume in _volumes(pod)
        if "emptyDir" in volume
    )


def stays_behind(pod: Object, claims: Mapping[tuple[str, str], Object]) -> tuple[str, ...]:
    """Return data of a pod that stays on this node when it goes: hostPath and local volumes."""
    found = [
        f"hostPath {line((volume['hostPath'] or {}).get('path'))} stays on this host"
        for volume in _volumes(pod)
        if "hostPath" in volume
    ]
    for claim in claims_of(pod):
        volume = claims.get(claim)
        if volume is not None and _is_local(volume):
            name = line(volume["metadata"]["name"])
            found.append(
                f"the volume {name} (claim {line(claim[1])}) is on this host: a pod with it can't"
                " run elsewhere, and waits until this node is uncordoned"
            )
    return tuple(found)


def claims_of(pod: Object) -> tuple[tuple[str, str], ...]:
    """Return namespace and name of the claims that a pod uses, its own ephemeral ones too."""
    metadata = pod["metadata"]
    namespace = metadata.get("namespace", "")
    found = []
    for volume in _volumes(pod):
        if "persistentVolumeClaim" in volume:
            found.append((namespace, str(volume["persistentVolumeClaim"].get("claimName"))))
        elif "ephemeral" in volume:
            found.append((namespace, f"{metadata['name']}-{volume['name']}"))
    return tuple(found)


def by_claim(volumes: list[Object]) -> Claims:
    """Return PersistentVolumes by the claim that they are bound to."""
    found: Claims = {}
    for volume in volumes:
        if bound := (volume.get("spec") or {}).get("claimRef"):
            found[str(bound.get("namespace", "")), str(bound.get("name"))] = volume
    return found


def _volumes(pod: Object) -> list[Object]:
    return list((pod.get("spec") or {}).get("volumes") or ())


def _is_local(volume: Object) -> bool:
    """Return whether a PersistentVolume is of one host, by its kind or by what it says of nodes."""
    spec = volume.get("spec") or {}
    if "local" in spec or "hostPath" in spec:
        return True
    required = (spec.get("nodeAffinity") or {}).get("required") or {}
    return any(
        expression.get("key") == HOSTNAME
        for term in required.get("nodeSelectorTerms") or ()
        for expression in term.get("matchExpressions") or ()
    )
