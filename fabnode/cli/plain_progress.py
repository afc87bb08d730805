"""Events as plain lines, for pipes, logs, and above the live table."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from ..journal.events import RUN, Event
from ..journal.summary import CLUSTER
from .folding import FoldedWarnings, named

if TYPE_CHECKING:
    from collections.abc import Iterable

QUIET_FOR = 10.0  # seconds between two lines that only show that a node is still at work
REPORT_EVERY = 60.0  # seconds between two lines about work from which no news comes
_TICK = 1.0
_MARKS = {"failed": "FAILED: ", "warning": "warning: ", "skipped": "skipped: "}
_WAITING = "waiting for "


@dataclass(slots=True)
class _Activity:
    """
    A step in progress; times are seconds since 1970.

    :param limit: seconds that it waits at most; 0: it is no wait. :param shown: of its last line.
    """

    text: str
    since: float
    shown: float
    limit: float = 0.0

    def update(self, event: Event) -> None:
        self.text = event.text
        self.limit = float(event.data.get("limit", 0))
        if self.limit:
            began = event.at - float(event.data["waited"])
            if began > self.since + _TICK:  # another wait of the same step
                self.since = self.shown = began

    def line(self, now: float) -> str:
        """Return what it is at and for how long, in one line."""
        text = self.text.partition("\n")[0]
        minutes = f"{int((now - self.since) // 60)} min"
        if not self.limit:
            return f"still working,  {minutes}{text and f': {text}'}"
        return f"still waiting, {minutes} of {self.limit / 60:.3g}: {text.removeprefix(_WAITING)}"


class PlainLines:
    """
    Sink that writes a line for each result, and one a minute for work in progress.

    Warnings that nodes share are one line.
    """

    def __init__(
        self, stream: IO[str], *, every: float = REPORT_EVERY, tick: float = _TICK
    ) -> None:
        """
        Write to this stream.

        :param every: seconds between two lines about the same work; `tick`: between inspections.
        """
        self._stream = stream
        self._every = every
        self._tick = tick
        self._last: dict[str | None, float] = {}
        self._busy: dict[tuple[str | None, str], _Activity] = {}
        self._warnings = FoldedWarnings()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._ticker: threading.Thread | None = None

    def event(self, event: Event) -> None:
        """Write the event's line, if it gets one."""
        with self._lock:
            self._begin()
            if is_run_boundary(event):
                return
            self._follow(event)
            if event.state == "warning" and event.node:
                self._warnings.add(event)
                return
            if event.state == "failed":
                self._write(self._warnings.due())
            if self._is_worth_a_line(event):
                self._last[event.node] = event.at
                self._write([event])
            else:
                self._last.setdefault(event.node, event.at)

    def report(self, now: float) -> None:
        """Write a line about each step from which none came for a minute, and warnings held."""
        with self._lock:
            self._write(self._warnings.due(now))
            silent: dict[tuple[str, str], list[str]] = {}
            for (node, step), doing in self._busy.items():
                if now - doing.shown >= self._every:
                    doing.shown = now
                    silent.setdefault((step, doing.line(now)), []).append(node or CLUSTER)
            for (step, text), nodes in silent.items():
                head, rest = named(nodes)
                text = f"{text}\n{rest}" if rest else text
                self._write([Event(now, head, step, "progress", text)])

    def close(self) -> None:
        """Write what was held, and end."""
        self._closed.set()
        with self._lock:
            self._write(self._warnings.due())
            self._stream.flush()

    def _begin(self) -> None:
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._keep_reporting, daemon=True)
            self._ticker.start()

    def _keep_reporting(self) -> None:
        # The stream's other end may go away: the next event of the run reports that.
        with suppress(OSError, ValueError):
            while not self._closed.wait(self._tick):
                self.report(time.time())

    def _follow(self, event: Event) -> None:
        key = event.node, event.step
        match event.state:
            case "start":
                self._busy[key] = _Activity(event.text, event.at, event.at)
            case "progress":
                doing = self._busy.setdefault(key, _Activity("", event.at, event.at))
                doing.update(event)
            case "failed" if event.node:
                # A step may fail for what an earlier one did, and is at an end with it.
                self._busy = {k: doing for k, doing in self._busy.items() if k[0] != event.node}
            case "done" | "changed" | "failed" | "skipped":
                self._busy.pop(key, None)

    def _write(self, events: Iterable[Event]) -> None:
        for event in events:
            self._stream.write(line_of(event) + "\n")
        self._stream.flush()

    def _is_worth_a_line(self, event: Event) -> bool:
        if event.state != "progress":
            return is_lasting(event)
        if "limit" in event.data:
            return False  # a wait is reported every minute
        if worth := event.at - self._last.get(event.node, event.at) >= QUIET_FOR:
            self._busy[event.node, event.step].shown = event.at
        return worth


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
    mark = "" if event.data.get("interrupted") else _MARKS.get(event.state, "")
    first, *rest = (mark + event.text).split("\n")
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
