"""Events as plain lines: for pipes, for logs, and above a live table."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from ..journal.events import RUN
from ..journal.summary import CLUSTER

if TYPE_CHECKING:
    from ..journal.events import Event

QUIET_FOR = 10.0  # seconds between two lines that only say that a node is still at work
_MARKS = {"failed": "FAILED: ", "warning": "warning: ", "skipped": "skipped: "}


class Lines:
    """One line for each thing worth knowing later, and now and then one: work goes on."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to this stream."""
        self._stream = stream
        self._last: dict[str | None, float] = {}

    def event(self, event: Event) -> None:
        """Write the event's line, if it is worth one."""
        if not self._is_worth_a_line(event):
            self._last.setdefault(event.node, event.at)
            return
        self._last[event.node] = event.at
        self._stream.write(line_of(event) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave nothing unwritten."""
        self._stream.flush()

    def _is_worth_a_line(self, event: Event) -> bool:
        if event.state == "progress":
            return event.at - self._last.get(event.node, event.at) >= QUIET_FOR
        return is_lasting(event)


def frames_the_run(event: Event) -> bool:
    """Does it only say that the run begins or ends? The command and the end table say that."""
    return event.node is None and event.step == RUN and event.state in ("start", "done", "failed")


def is_lasting(event: Event) -> bool:
    """Is it worth knowing when the run is over? Nothing to do isn't, unless it says something."""
    if frames_the_run(event) or event.state in ("start", "progress"):
        return False
    return event.state != "done" or bool(event.text)


def line_of(event: Event) -> str:
    """Return an event as a line for people: node, step, what happened, how long it took."""
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
    """Return a length of time as people read it: `40 ms`, `1.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"
