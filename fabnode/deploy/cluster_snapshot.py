"""What a run read from the API before its first change: version, clock, nodes, tokens, requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..releases.matrix import matrix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..kube.client import Object
    from ..pki.csr_policy import Token
    from ..releases.version import Release


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """
    The cluster as the run found it.

    :param clock_offset: apiserver's clock minus ours, seconds.
    :param nodes: Node objects by name.
    :param tokens, requests: what earlier runs left behind, requests by name and node.
    :param other_approvers: who else approves first certificates; None: no right to ask.
    """

    version: Release
    clock_offset: float | None
    nodes: Mapping[str, Object]
    tokens: tuple[Token, ...]
    requests: tuple[tuple[str, str], ...]
    other_approvers: tuple[str, ...] | None = ()

    @property
    def has_leases(self) -> bool:
        """Whether there are Leases here, by which deployers keep out of each other's way."""
        return self.version.minor in matrix().api["coordination/v1"]
