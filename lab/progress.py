"""What `lab.up` shows while it works: plain lines, and on a terminal what is under way."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

REMIND_SECONDS = 15.0  # without a terminal, how often unfinished work is mentioned


class Progress:
    """
    Reports work that may run in several threads at once.

    Every piece of work ends in one line with its duration. While it runs, a
    terminal shows one live line for all that is under way; anything else gets
    a reminder every 15 s.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._live = self._out.isatty()
        self._lock = threading.Lock()
        self._running: dict[str, _Work] = {}
        self._started = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line."""
        with self._lock:
            self._line(text)

    @contextmanager
    def work(self, label: str) -> Iterator[Callable[[str], None]]:
        """Show a piece of work until it ends; the yielded function tells how far it is."""
        work = _Work(label)
        with self._lock:
            self._running[label] = work
        stop = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(work, stop), daemon=True)
        ticker.start()
        done = "failed"
        try:
            yield work.report
            done = "done"
        finally:
            stop.set()
            ticker.join()
            with self._lock:
                self._running.pop(label, None)
                self._line(f"{label}: {done} ({seconds(time.monotonic() - work.started)})")

    def _tick(self, work: _Work, stop: threading.Event) -> None:
        while not stop.wait(0.5 if self._live else REMIND_SECONDS):
            with self._lock:
                if self._live:
                    self._draw()
                else:
                    self._line(f"{work} …")

    def _line(self, text: str) -> None:
        clear = "\r\x1b[K" if self._live else ""
        print(f"{clear}{text}", file=self._out, flush=True)

    def _draw(self) -> None:
        text = " · ".join(str(work) for work in self._running.values())
        print(f"\r\x1b[K{text[:110]}", end="", file=self._out, flush=True)


class _Work:
    def __init__(self, label: str) -> None:
        self.label = label
        self.started = time.monotonic()
        self._far = ""

    def report(self, far: str) -> None:
        self._far = far

    def __str__(self) -> str:
        far = f" {self._far}," if self._far else ""
        return f"{self.label}:{far} {seconds(time.monotonic() - self.started)}"


def seconds(count: float) -> str:
    """Return a duration as people write it: ``4.2 s``, ``3 min 05 s``."""
    if count < 60:
        return f"{count:.1f} s"
    return f"{int(count) // 60} min {int(count) % 60:02d} s"
