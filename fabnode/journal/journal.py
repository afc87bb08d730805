"""
What happens in a run, as events: kept as JSON lines on disk, passed on to whoever shows them.

Each run has a folder of its own, `<state>/fabnode/runs/<UTC time>-<pid>/`, open to its owner only.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from ..util.errors import FabnodeError
from ..util.folders import state_dir
from .events import NOTHING, RUN, Event, State
from .log_rotation import turned
from .redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

KEPT_RUNS = 50
FILE = "journal.jsonl"
_MOST_BYTES = 8 * 2**20  # of an endless run's file
_AGAIN = "mend that and run the same command again; it goes on where this one stopped"
_RUN_FOLDER = re.compile(r"\d{8}T\d{6}\.\d{6}Z-\d+")


class Sink(Protocol):
    """Somebody who shows events. Called from many threads, but never from two at once."""

    def event(self, event: Event) -> None:
        """Take notice of an event."""

    def close(self) -> None:
        """The run is over: leave the terminal as it was found."""


def runs(state: Path | None = None) -> list[Path]:
    """Return the folders of the runs that are kept, oldest first."""
    try:
        found = list(((state or state_dir()) / "runs").iterdir())
    except OSError:
        return []
    return sorted(p for p in found if _RUN_FOLDER.fullmatch(p.name))


class Journal:
    """
    The events of one run. Safe to use from many threads; text is redacted before it goes anywhere.

    A sink or disk that fails is left out from then on: showing what happens must not stop it.
    """

    def __init__(
        self,
        file: IO[str] | None = None,
        sinks: Sequence[Sink] = (),
        folder: Path | None = None,
        *,
        endless: bool = False,
    ) -> None:
        """
        Write to `file`, where one is given; `open` makes a run's own.

        :param endless: `events` stays empty, for the run may go on for years.
        """
        self.folder = folder
        self._endless = endless
        self.events: list[Event] = []
        self._file = file
        self._sinks = list(sinks)
        self._redactor = Redactor()
        self._at: dict[str | None, str] = {}  # the step that each node began last
        self._ended: set[str | None] = set()  # nodes of which some step has ended
        self._failures: dict[str | None, list[BaseException]] = {}
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls, sinks: Sequence[Sink] = (), state: Path | None = None, *, endless: bool = False
    ) -> Self:
        """
        Make the folder and file of a new run; old runs beyond the newest 50 are removed.

        :param endless: of the run's events only the newest are kept, in two files.
        """
        try:
            folder = _make_folder(state or state_dir())
            descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            journal = cls(None, sinks, endless=endless)
            journal.warn(f"no journal of this run is kept: {error}")
            return journal
        # Written line by line, so that what was said survives a SIGKILL.
        file = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        return cls(file, sinks, folder, endless=endless)

    def secret(self, value: str | bytes) -> None:
        """Never let this value through, in no text and no data of events to come."""
        with self._lock:
            self._redactor.add(value)

    def emit(
        self,
        node: str | None,
        step: str,
        state: State,
        text: str = "",
        *,
        seconds: float | None = None,
        data: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Say what happened, now."""
        with self._lock:
            event = Event(
                at=time.time(),
                node=node,
                step=step,
                state=state,
                text=self._redactor.text(text),
                seconds=seconds,
                data=self._redactor.data(dict(data)) if data else NOTHING,
            )
            if not self._endless:
                self.events.append(event)
            if state == "start":
                self._at[node] = step
            elif state in ("done", "changed", "failed", "skipped"):
                self._ended.add(node)
            self._write(event)
            for sink in list(self._sinks):
                try:
                    sink.event(event)
                except (OSError, ValueError):  # its stream is closed, or nobody reads it any more
                    self._sinks.remove(sink)

    def fail(
        self,
        node: str | None,
        step: str,
        error: BaseException,
        *,
        seconds: float | None = None,
        data: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Record what ended a step: its cause, the next command, and detail or trace."""
        with self._lock:
            self._failures.setdefault(node, []).append(error)
            data = {**data, **_failure(error, self.folder)}
            self.emit(node, step, "failed", cause(error), seconds=seconds, data=data)

    def settle(
        self,
        node: str | None,
        error: BaseException | None = None,
        *,
        step: str = "",
        seconds: float | None = None,
    ) -> None:
        """
        Record how the work on a node ended, where its steps did not: nothing is recorded twice.

        :param error: what ended the work early; None: it returned.
        :param step: where that was, by default the step that the node began last.
        """
        with self._lock:
            if error is None:
                if node not in self._ended:
                    self.emit(node, RUN, "done", seconds=seconds)
            elif not any(known is error for known in self._failures.get(node, ())):
                self.fail(node, step or self._at.get(node, RUN), error, seconds=seconds)

    def begin(self, command: str, nodes: Sequence[str] = (), **facts: str) -> None:
        """Open the run: the command as it was typed, the nodes it is about, what else is known."""
        self.emit(None, RUN, "start", command, data={"nodes": list(nodes), **facts})

    def end(self, code: int) -> None:
        """Say that the run is through, with the exit code it ends with."""
        self.emit(None, RUN, "failed" if code else "done", data={"exit": code})

    def info(self, text: str) -> None:
        """Say something about the run as a whole."""
        self.emit(None, RUN, "info", text)

    def warn(self, text: str) -> None:
        """Warn of something that concerns the run as a whole."""
        self.emit(None, RUN, "warning", text)

    @contextmanager
    def step(self, node: str | None, step: str, text: str = "") -> Iterator[Step]:
        """
        Enclose a step: `start` now, and at the end `done`, `changed` or `failed`.

        What is raised inside ends the step as failed, with its `advice` where it has one, and is
        passed on.
        """
        self.emit(node, step, "start", text)
        log = Step(self, node, step)
        began = time.monotonic()
        try:
            yield log
        except BaseException as error:
            self.fail(node, step, error, seconds=time.monotonic() - began, data=log.data)
            raise
        seconds = time.monotonic() - began
        state: State = "changed" if log.is_changed else "done"
        self.emit(node, step, state, ", ".join(log.texts), seconds=seconds, data=log.data)

    def leave_screen(self) -> None:
        """Have the sinks leave the terminal to whoever prints next; the file goes on."""
        with self._lock:
            for sink in self._sinks:
                with suppress(OSError, ValueError):
                    sink.close()
            self._sinks.clear()

    def close(self) -> None:
        """End the run: sinks leave the terminal, the file is complete, or gone if it is empty."""
        with self._lock:
            self.leave_screen()
            if self._file is not None:
                self._file.close()
                self._file = None
                if self.folder is not None and not self.events and not self._endless:
                    shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Close the journal at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the run."""
        self.close()

    def _write(self, event: Event) -> None:
        if self._file is None:
            return
        try:
            self._file.write(event.to_json() + "\n")
            if self._endless and self.folder and self._file.tell() > _MOST_BYTES:
                self._file = turned(self._file, self.folder / FILE)
        except (OSError, ValueError) as error:
            file, self._file = self._file, None
            with suppress(OSError):
                file.close()
            self.warn(f"the journal of this run ends here: {error}")


class Step:
    """A step of one node while it runs: say here what it does and what it changed."""

    __slots__ = ("_journal", "_name", "_node", "data", "is_changed", "texts")

    def __init__(self, journal: Journal, node: str | None, name: str) -> None:
        """Belong to this journal; made by `Journal.step`."""
        self._journal = journal
        self._node = node
        self._name = name
        self.is_changed = False
        self.texts: list[str] = []
        self.data: dict[str, Any] = {}

    def progress(self, text: str, *, seconds: float | None = None) -> None:
        """Say what it does now; with `seconds`, what part of it is through and took so long."""
        self._journal.emit(self._node, self._name, "progress", text, seconds=seconds)

    def warn(self, text: str, advice: str = "") -> None:
        """Say what the user should know although work goes on, and what to do about it."""
        data = {"advice": advice} if advice else NOTHING
        self._journal.emit(self._node, self._name, "warning", text, data=data)

    def changed(self, text: str, **data: Any) -> None:
        """The step changed something; what, stands in the line that ends it."""
        self.is_changed = True
        self.note(text, **data)

    def note(self, text: str, **data: Any) -> None:
        """Put this in the line that ends the step, and the data with it."""
        if text:
            self.texts.append(text)
        self.data.update(data)


def cause(error: BaseException) -> str:
    """Return what an exception says, as people read it."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, FabnodeError) and error.message:
        return error.message
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _failure(error: BaseException, folder: Path | None) -> dict[str, Any]:
    """Return what helps with an error: advice and detail, or, where nobody foresaw it, a trace."""
    if isinstance(error, KeyboardInterrupt):
        return {}
    if not isinstance(error, FabnodeError):
        where = f" ({folder / FILE} has its trace)" if folder else ""
        return {"advice": f"{_AGAIN}{where}", "trace": traceback.format_exception(error)}
    found = {"advice": error.advice or _AGAIN, "detail": error.detail}
    return {name: text for name, text in found.items() if text}


def _make_folder(state: Path) -> Path:
    """Make a new run's folder, and room for it."""
    state.parent.mkdir(parents=True, exist_ok=True)
    for folder in (state, state / "runs"):
        folder.mkdir(mode=0o700, exist_ok=True)
    for old in runs(state)[: -(KEPT_RUNS - 1)]:
        shutil.rmtree(old, ignore_errors=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{os.getpid()}"
    folder = state / "runs" / name
    folder.mkdir(mode=0o700)
    return folder
