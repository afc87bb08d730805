"""Where a node reaches several apiservers: a balancer of its own."""

from __future__ import annotations

from typing import Final

BALANCER_ADDRESS: Final = "127.0.0.1"
BALANCER_PORT: Final = 6444
"""Not 6443: an apiserver on the node itself would have it on all its addresses."""
