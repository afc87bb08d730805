"""Step approve-csr: the configured nodes as candidates of the policy in `pki.csr_policy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pki.csr_policy import Candidate
from .step import Scope, Step

if TYPE_CHECKING:
    from ..config.configuration import Node


def candidate(node: Node) -> Candidate:
    """Return what a node may be certified for."""
    return Candidate(node.name, *node.ips)


STEP = Step("approve-csr", "Judge signing requests.", Scope.CLUSTER)
