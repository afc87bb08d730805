"""Step: a name, its help, and a pure function to a node's desired resources."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from ..node.resources import Resource
from .inputs import Inputs

Desired = Callable[[Inputs], tuple[Resource, ...]]

_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_LONGEST_NAME = 40


class Scope(StrEnum):
    """
    Where a step acts.

    `NODE`: on a host, as part of its plan. `CLUSTER`: at the API, beside the nodes' work.
    `CHECK`: it judges or awaits a node, and the deployer has it in hand before and after.
    """

    NODE = "node"
    CLUSTER = "cluster"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class Step:
    """
    One step of a deployment.

    :param name: lower-case words with hyphens; names it in journal, plan, `fab` and configuration.
    :param help: one line, as `fab --list` shows it.
    :param desired: what a node has to have, for steps of scope `NODE` alone. Pure: no I/O, the same
        answer for the same inputs, and an answer for a host of which no facts are known.
    :param requires: names of steps that come with it when it is taken alone, since its unit reads
        what they write.
    :param after: name of the step that it follows; only for steps that a site adds.
    :raises ValueError: the name is malformed, or `desired` does not go with the scope.
    """

    name: str
    help: str
    scope: Scope = Scope.NODE
    desired: Desired | None = field(default=None, repr=False)
    requires: tuple[str, ...] = ()
    after: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no step."""
        if len(self.name) > _LONGEST_NAME or not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a step name: lower-case words with hyphens")
        if (self.desired is not None) != (self.scope is Scope.NODE):
            raise ValueError(f"step {self.name}: `desired` belongs to steps of scope node, alone")

    def resources(self, inputs: Inputs) -> tuple[Resource, ...]:
        """Return what this step wants of a node; nothing where it acts elsewhere."""
        return self.desired(inputs) if self.desired else ()
