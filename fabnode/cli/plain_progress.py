"""Events as plain lines, for pipes, logs, and above the live table."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from ..journal.events import RUN
from ..journal.summary import CLUSTER

if TYPE_CHECKING:
    from ..journal.events import Event

QUIET_FOR = 10.0  # seconds between two lines that only show that a node is still at work
_MARKS = {"failed": "FAILED: ", "warning": "warning: ", "skipped": "skipped: "}


class PlainLines:
    """Sink that writes a line for each result, and now and then one for work in progress."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to this stream."""
        self._stream = stream
        self._last: dict[str | None, float] = {}

    def event(self, event: Event) -> None:
        """Write the event's line, if it gets one."""
        if not self._is_worth_a_line(event):
            self._last.setdefault(event.node, event.at)
            return
        self._last[event.node] = event.at
        self._stream.write(line_of(event) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def _is_worth_a_line(self, event: Event) -> bool:
        if event.state == "progress":
            return event.at - self._last.get(event.node, event.at) >= QUIET_FOR
        return is_lasting(event)


def is_run_boundary(event: Event) -> bool:
    """Return whether an event only marks the start or end of the run, which are shown anyway."""
    return event.node is None and event.step == RUN and event.state in ("start", "done", "failed")


def is_lasting(event: Event) -> bool:
    """Return whether an event matters after the run: results, and `done` only with a text."""
    if is_run_boundary(event) or event.state in ("start", "progress"):
        return False
    return event.state != "done" or bool(event.text)


def line_of(event: Event) -> str:
    """Format an event: node, step, what happened, duration; indented lines of detail and advice."""
    head = f"{event.node or CLUSTER:<12}  {event.step:<20}"
    first, *rest = (_MARKS.get(event.state, "") + event.text).split("\n")
    took = f"  {duration(event.seconds)}" if event.seconds is not None else ""
    lines = [f"{head}  {first}{took}".rstrip(), *(f"    {line}".rstrip() for line in rest)]
    if detail := event.data.get("detail"):
        lines += [f"    | {line}".rstrip() for line in str(detail).splitlines()]
    if advice := event.data.get("advice"):
        lines.append(f"    next: {advice}")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Format a duration: `40 ms`, `1.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"
