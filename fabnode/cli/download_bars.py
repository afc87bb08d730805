"""Progress bars of downloads."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ..artifacts.fetch import Wanted


class DownloadBars:
    """A bar for each download on a terminal, and a line for each that has ended."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self._progress = Progress(
            *columns,
            TransferSpeedColumn(),
            console=console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._lock = threading.Lock()

    def __enter__(self) -> DownloadBars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, item: Wanted) -> Callable[[int, int], None]:
        """Show a bar; return the callback that updates it with (bytes present, bytes in total)."""
        task = self._progress.add_task(f"{item.source.name} ({item.source.arch})", total=None)

        def update(present: int, total: int) -> None:
            self._progress.update(task, completed=present, total=total or None)

        return update

    def done(self, item: Wanted, placed: Sequence[Path]) -> None:
        """Print what was written."""
        source = item.source
        news = f"{len(placed)} files written" if placed else "is up to date"
        news = news if len(placed) != 1 else f"{placed[0]} written"
        with self._lock:
            self._progress.console.print(f"{source.name} ({source.arch}): {news}", soft_wrap=True)
