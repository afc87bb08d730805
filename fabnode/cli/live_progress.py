"""The live table: one row per node at work, what is worth knowing scrolls by above it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..journal.summary import CLUSTER
from .plain_progress import duration, frames_the_run, is_lasting, line_of

if TYPE_CHECKING:
    from ..journal.events import Event

ROOM = 4  # lines of the terminal that are left to what is not a row
_STYLES = {"failed": "red", "changed": "green", "warning": "yellow", "skipped": "magenta"}


@dataclass(slots=True)
class _Doing:
    """What a node is at."""

    step: str
    text: str
    since: float


class LiveTable:
    """Shows each node's step and what it does now; gone when the run is over."""

    def __init__(self, stream: IO[str]) -> None:
        """Take over the terminal at the first event."""
        self._console = Console(file=stream, highlight=False)
        self._began = time.time()
        self._busy: dict[str, _Doing] = {}
        self._seen: set[str] = set()
        self._failed: set[str] = set()
        self._live = Live(
            console=self._console,
            get_renderable=self._picture,
            refresh_per_second=5,
            transient=True,
        )

    def event(self, event: Event) -> None:
        """Take the event into the picture; what is worth knowing later scrolls by above."""
        if not self._live.is_started:
            self._live.start()
        if frames_the_run(event):
            return
        name = event.node or CLUSTER
        if event.node:
            self._seen.add(name)
        match event.state:
            case "start":
                self._busy[name] = _Doing(event.step, event.text, event.at)
            case "progress":
                doing = self._busy.setdefault(name, _Doing(event.step, "", event.at))
                doing.text = event.text
            case "done" | "changed" | "failed" | "skipped":
                self._busy.pop(name, None)
        if event.state == "failed":
            self._failed.add(name)
        if is_lasting(event):
            self._console.print(Text(line_of(event), style=_STYLES.get(event.state, "")))

    def close(self) -> None:
        """Take the table away."""
        if self._live.is_started:
            self._live.stop()

    def _picture(self) -> Group:
        """Draw the rows that fit, the longest at work first where not all do."""
        now = time.time()
        # Copied at once: events go on coming while this is drawn.
        busy = list(self._busy.items())
        room = max(1, self._console.size.height - ROOM)
        shown = sorted(busy, key=lambda item: item[1].since)[:room] if len(busy) > room else busy
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(style="cyan", no_wrap=True)
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        grid.add_column(justify="right", no_wrap=True, style="dim")
        for name, doing in sorted(shown):
            text = Text(doing.text.partition("\n")[0])
            grid.add_row(Text(name), Text(doing.step), text, duration(max(0.0, now - doing.since)))
        return Group(grid, Text(self._summary(len(busy), len(busy) - len(shown), now), "dim"))

    def _summary(self, busy: int, hidden: int, now: float) -> str:
        parts = [f"{len(self._seen)} nodes", f"{busy} at work"]
        if self._failed:
            parts.append(f"{len(self._failed)} failed")
        if hidden:
            parts.append(f"{hidden} not shown")
        return " · ".join([*parts, duration(now - self._began)])
