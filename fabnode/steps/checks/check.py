"""Check: one thing that verify has checked, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""An object of the API, as JSON has it."""


@dataclass(frozen=True, slots=True)
class Check:
    """
    One thing that was checked: on a node, or (`node` None) of the cluster.

    :param detail: what was seen, good or bad.
    :param advice: one next step, where it is not good.
    :param warning: one that is not good does not fail the run.
    """

    node: str | None
    name: str
    ok: bool
    detail: str
    advice: str = ""
    warning: bool = False

    @property
    def failed(self) -> bool:
        """Whether this fails a run."""
        return not self.ok and not self.warning
