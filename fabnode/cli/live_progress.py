"""Live table on a terminal: a row per node at work; results scroll by above it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..journal.summary import CLUSTER
from ..util.words import counted
from .folding import FoldedWarnings
from .plain_progress import duration, is_lasting, is_run_boundary, line_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..journal.events import Event

ROOM = 4  # lines of the terminal that are left to what is not a row
_STYLES = {"failed": "red", "changed": "green", "warning": "yellow", "skipped": "magenta"}


@dataclass(slots=True)
class _Activity:
    """What a node is doing."""

    step: str
    text: str
    since: float


class LiveTable:
    """Sink that shows each node's current step; removed from the screen when the run is over."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to this terminal, from the first event on."""
        self._console = Console(file=stream, highlight=False)
        self._began = time.time()
        self._busy: dict[str, _Activity] = {}
        self._seen: set[str] = set()
        self._failed: set[str] = set()
        self._warnings = FoldedWarnings()
        self._live = Live(
            console=self._console,
            get_renderable=self._picture,
            refresh_per_second=5,
            transient=True,
        )

    def event(self, event: Event) -> None:
        """Update the node's row; print results above the table."""
        if not self._live.is_started:
            self._live.start()
        if is_run_boundary(event):
            return
        name = event.node or CLUSTER
        if event.node:
            self._seen.add(name)
        match event.state:
            case "start":
                self._busy[name] = _Activity(event.step, event.text, event.at)
            case "progress":
                doing = self._busy.setdefault(name, _Activity(event.step, "", event.at))
                doing.text = event.text
            case "done" | "changed" | "failed" | "skipped":
                self._busy.pop(name, None)
        if event.state == "failed":
            self._failed.add(name)
        folds = event.state == "warning" and event.node
        if folds:
            self._warnings.add(event)
        self._print(self._warnings.due(None if event.state == "failed" else event.at))
        if is_lasting(event) and not folds:
            self._print([event])

    def close(self) -> None:
        """Print warnings that are held; remove the table."""
        self._print(self._warnings.due())
        if self._live.is_started:
            self._live.stop()

    def _print(self, events: Iterable[Event]) -> None:
        for event in events:
            self._console.print(Text(line_of(event), style=_STYLES.get(event.state, "")))

    def _picture(self) -> Group:
        """Return the rows that fit; where not all do, those at work longest."""
        now = time.time()
        # A copy: events arrive while this is drawn.
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
        parts = [counted(len(self._seen), "node"), f"{busy} at work"]
        if self._failed:
            parts.append(f"{len(self._failed)} failed")
        if hidden:
            parts.append(f"{hidden} not shown")
        return " · ".join([*parts, duration(now - self._began)])
