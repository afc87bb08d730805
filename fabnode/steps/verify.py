"""Step verify: checks of nodes, and of the network by pods; `checks/` has them."""

from __future__ import annotations

from .step import Scope, Step

STEP = Step("verify", "Check nodes, and the network with pods.", Scope.CHECK)
