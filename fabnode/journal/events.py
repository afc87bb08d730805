"""Event: one thing that happened in a run, and its form as a line of JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

State = Literal["start", "progress", "done", "changed", "warning", "failed", "skipped", "info"]
STATES: frozenset[str] = frozenset(get_args(State))
NOTHING: Mapping[str, Any] = MappingProxyType({})
RUN = "run"  # the step of events about the run as a whole


@dataclass(frozen=True, slots=True)
class Event:
    """
    One thing that happened.

    `start` and one of `done` (nothing to do), `changed`, `failed` enclose a step; `progress` is
    what the step does now, or, with `seconds`, a part of it that has ended. `skipped` ends a node
    that was not worked on.

    :param at: seconds since 1970.
    :param node: None for what concerns the cluster or the run as a whole.
    :param seconds: duration of what ended with this event.
    :param data: `changes` (list of str), `bytes` sent, `passed` (bytes of parts that
        neighbours passed on), `advice` (the next command), `detail` (the
        node's output on a failure, several lines), `waited` and `limit` (seconds) of a wait in
        progress, `interrupted` (true) where the user ended it, and other data of a step.
    """

    at: float
    node: str | None
    step: str
    state: State
    text: str = ""
    seconds: float | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the event as one line of JSON, without the newline."""
        fields: dict[str, Any] = {
            "at": round(self.at, 4),
            "node": self.node,
            "step": self.step,
            "state": self.state,
        }
        if self.text:
            fields["text"] = self.text
        if self.seconds is not None:
            fields["seconds"] = round(self.seconds, 4)
        if self.data:
            fields["data"] = dict(self.data)
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def read(lines: Iterable[str]) -> list[Event]:
    """
    Return the events in these lines.

    A line that is not an event is skipped: the last one of a killed run may be incomplete, and a
    journal of a later release may hold events that this one doesn't know.
    """
    return [event for line in lines if (event := _event(line)) is not None]


def _event(line: str) -> Event | None:
    try:
        fields = json.loads(line)
        node = fields["node"]
        seconds = fields.get("seconds")
        data = fields.get("data", {})
        if fields["state"] not in STATES or not isinstance(data, dict):
            return None
        at = float(fields["at"])
        if not math.isfinite(at):
            return None
        return Event(
            at=at,
            node=None if node is None else str(node),
            step=str(fields["step"]),
            state=fields["state"],
            text=str(fields.get("text", "")),
            seconds=None if seconds is None else float(seconds),
            data=data,
        )
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
