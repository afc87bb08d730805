"""The wait for a node: registered, labelled, Ready, with a serving certificate."""

from __future__ import annotations

from .step import Scope, Step

STEP = Step("ready", "Wait until the node is Ready; label it.", Scope.CHECK)
