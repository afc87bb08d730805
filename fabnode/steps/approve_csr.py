"""Who may be certified: exactly the configured nodes. The verdict itself is `trust.verdict`'s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..trust.verdict import Candidate

if TYPE_CHECKING:
    from ..model.config import Node

NAME = "approve-csr"
HELP = "Judge signing requests."


def candidate(node: Node) -> Candidate:
    """Return what a node may be certified for."""
    return Candidate(node.name, node.ip)
