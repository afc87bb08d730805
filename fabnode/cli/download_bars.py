"""How downloads show."""

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


class Bars:
    """A bar for each download on a terminal; and anywhere, a line for each that is done."""

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

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, item: Wanted) -> Callable[[int, int], None]:
        """Show a bar; return what moves it."""
        task = self._progress.add_task(f"{item.source.name} ({item.source.arch})", total=None)

        def moved(there: int, total: int) -> None:
            self._progress.update(task, completed=there, total=total or None)

        return moved

    def done(self, item: Wanted, placed: Sequence[Path]) -> None:
        """Say that it is in place."""
        source = item.source
        news = f"{len(placed)} files written" if placed else "was there already"
        news = news if len(placed) != 1 else f"{placed[0]} written"
        with self._lock:
            self._progress.console.print(f"{source.name} ({source.arch}): {news}", soft_wrap=True)
