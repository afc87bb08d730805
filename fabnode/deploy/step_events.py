"""Mapping of apply actions on a node to journal events of the steps they belong to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..journal.events import RUN
from ..ssh.errors import ApplyError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..journal.journal import Journal
    from ..node.plan import Change
    from ..node.resources import Resource
    from ..remote.apply_protocol import ApplyEvent


class StepLog:
    """
    Opens a step with its first action and closes it when another step's begins, or at the end.

    Use as a context manager around the applying: what is raised inside fails the open step, or the
    one that was to begin. Bytes that were `sent`, and those that neighbours `passed` on, go into
    the event that ends the last one, once they are known.

    :param changes: those to be made, in order.
    :param text: what they come to, for people; empty: how many there were, and what restarted.
    """

    def __init__(
        self,
        journal: Journal,
        node: str,
        step_of: Mapping[Resource, str],
        changes: Sequence[Change],
        text: str = "",
    ) -> None:
        self._journal = journal
        self._node = node
        self._step_of = step_of
        self._changes = changes
        self._text = text
        self._first = step_of[changes[0].resource] if changes else RUN
        self._step = ""
        self._began = 0.0
        self._done: list[Change] = []
        self.sent = self.passed = 0

    def __enter__(self) -> StepLog:
        """Nothing is open yet."""
        self._began = time.monotonic()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Close the open step: changed, or failed with what was raised."""
        if error is None:
            self._close()
            return
        seconds = time.monotonic() - self._began
        changes = [f"{change.action} {change.name}" for change in self._done]
        data = {"changes": changes} if changes else {}
        step = self._step_of_unit(error) or self._step or self._first
        self._journal.fail(self._node, step, error, seconds=seconds, data=data)

    def _step_of_unit(self, error: BaseException) -> str:
        """Return the step that wants the unit that does not stay up: it began before, maybe."""
        unit = error.unit if isinstance(error, ApplyError) else ""
        return next((self._step_of[c.resource] for c in self._changes if c.name == unit), "")

    def event(self, event: ApplyEvent) -> None:
        """Record an action's event."""
        if event.change is None:
            return
        step = self._step_of[event.change.resource]
        if step != self._step:
            self._close()
            self._step, self._began, self._done = step, time.monotonic(), []
            self._journal.emit(self._node, step, "start")
        what = f"{event.change.action} {event.change.name}"
        if event.state == "start":
            self._journal.emit(self._node, step, "progress", what)
        elif event.state == "done":
            self._done.append(event.change)
            self._journal.emit(self._node, step, "progress", what, seconds=event.seconds)

    def _close(self) -> None:
        if not self._step:
            return
        seconds = time.monotonic() - self._began
        changes = [f"{change.action} {change.name}" for change in self._done]
        units = [
            f"{c.name} {'started' if c.action == 'start' else 'restarted'} ({c.why})"
            for c in self._done
            if c.action in {"start", "restart"}
        ]
        others = len(changes) - len(units)
        text = self._text or ", ".join(
            [*([f"{others} change{'s' if others > 1 else ''}"] if others else []), *units]
        )
        data: dict[str, object] = {"changes": changes}
        if self.sent:
            data["bytes"] = self.sent
        if self.passed:
            data["passed"] = self.passed
        self._journal.emit(self._node, self._step, "changed", text, seconds=seconds, data=data)
        self._step = ""
