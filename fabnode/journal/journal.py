"""
Journal of a run: its events, written as JSON lines and passed to sinks such as the screen.

Each run has a folder, `<state>/fabnode/runs/<UTC time>-<pid>/`, accessible to its owner only.
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
from .log_rotation import rotate
from .redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..util.wait import Waiting

MAX_RUNS = 50
FILE = "journal.jsonl"
_MAX_BYTES = 8 * 2**20  # of an endless run's file
_RETRY = "fix that and run the same command again; it resumes where this run stopped"
_RUN_FOLDER = re.compile(r"\d{8}T\d{6}\.\d{6}Z-\d+")


class Sink(Protocol):
    """Receiver of events. Called from many threads, but never from two at once."""

    def event(self, event: Event) -> None:
        """Handle an event."""

    def close(self) -> None:
        """Restore the terminal: the run is over."""


def runs(state: Path | None = None) -> list[Path]:
    """Return the folders of stored runs, oldest first."""
    try:
        found = list(((state or state_dir()) / "runs").iterdir())
    except OSError:
        return []
    return sorted(p for p in found if _RUN_FOLDER.fullmatch(p.name))


class Journal:
    """
    The events of one run. Thread-safe; text is redacted before it is stored or shown.

    A sink or file that fails is dropped: reporting must not stop the run.
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
        Write to `file`, if given; `open` creates a run's own.

        :param endless: whether the run may go on for years: `events` stays empty.
        """
        self.folder = folder
        self._endless = endless
        self.events: list[Event] = []
        self._file = file
        self._sinks = list(sinks)
        self._redactor = Redactor()
        self._current_step: dict[str | None, str] = {}  # by node, the step begun last
        self._ended: set[str | None] = set()  # nodes with a step that has ended
        self._failures: dict[str | None, list[BaseException]] = {}
        self._through = False
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls, sinks: Sequence[Sink] = (), state: Path | None = None, *, endless: bool = False
    ) -> Self:
        """
        Create the folder and file of a new run; remove all but the newest 50 runs.

        :param endless: whether only the newest events are stored, in two files.
        """
        try:
            folder = _make_folder(state or state_dir())
            descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            journal = cls(None, sinks, endless=endless)
            journal.warn(f"this run has no journal on disk: {error}")
            return journal
        # Line-buffered, so that events survive a SIGKILL.
        file = os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
        return cls(file, sinks, folder, endless=endless)

    def secret(self, value: str | bytes) -> None:
        """Redact this value in the text and data of all later events."""
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
        """Record an event, at the current time."""
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
                self._current_step[node] = step
            elif state in ("done", "changed", "failed", "skipped"):
                self._ended.add(node)
            self._write(event)
            for sink in list(self._sinks):
                try:
                    sink.event(event)
                except (OSError, ValueError):  # its stream is closed, or has no reader any more
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
        """Record the failure of a step: its cause, the next command, and detail or trace."""
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
        Record the end of the work on a node unless one of its steps has recorded it already.

        :param error: what ended the work early; None: it returned.
        :param step: where it ended; default: the step that the node began last.
        """
        with self._lock:
            if error is None:
                if node not in self._ended:
                    self.emit(node, RUN, "done", seconds=seconds)
            elif not any(known is error for known in self._failures.get(node, ())):
                self.fail(node, step or self._current_step.get(node, RUN), error, seconds=seconds)

    def begin(self, command: str, nodes: Sequence[str] = (), **facts: str) -> None:
        """Record the start of the run: the command as typed, its nodes, and further facts."""
        self.emit(None, RUN, "start", command, data={"nodes": list(nodes), **facts})

    def end(self, code: int) -> None:
        """Record the end of the run with its exit code; only the first call counts."""
        if not self._through:
            self._through = True
            self.emit(None, RUN, "failed" if code else "done", data={"exit": code})

    def info(self, text: str) -> None:
        """Record information about the run as a whole."""
        self.emit(None, RUN, "info", text)

    def warn(self, text: str) -> None:
        """Record a warning about the run as a whole."""
        self.emit(None, RUN, "warning", text)

    @contextmanager
    def step(self, node: str | None, step: str, text: str = "") -> Iterator[Step]:
        """
        Enclose a step: `start` now, and at the end `done`, `changed` or `failed`.

        An exception inside ends the step as failed, with its `advice` if it has any, and is
        re-raised.
        """
        self.emit(node, step, "start", text)
        log = Step(self, node, step)
        began = time.monotonic()
        try:
            yield log
        except BaseException as error:
            seconds = time.monotonic() - began
            self.fail(node, log.blamed or step, error, seconds=seconds, data=log.data)
            raise
        seconds = time.monotonic() - began
        state: State = "changed" if log.is_changed else "done"
        self.emit(node, step, state, ", ".join(log.texts), seconds=seconds, data=log.data)

    def detach_sinks(self) -> None:
        """Close and remove the sinks, so that others can print; the file goes on."""
        with self._lock:
            for sink in self._sinks:
                with suppress(OSError, ValueError):
                    sink.close()
            self._sinks.clear()

    def close(self) -> None:
        """Close sinks and file; remove the run's folder if nothing was recorded."""
        with self._lock:
            self.detach_sinks()
            if self._file is not None:
                self._file.close()
                self._file = None
                if self.folder is not None and not self.events and not self._endless:
                    shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return the journal; the end of the block closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the journal."""
        self.close()

    def _write(self, event: Event) -> None:
        if self._file is None:
            return
        try:
            self._file.write(event.to_json() + "\n")
            if self._endless and self.folder and self._file.tell() > _MAX_BYTES:
                self._file = rotate(self._file, self.folder / FILE)
        except (OSError, ValueError) as error:
            file, self._file = self._file, None
            with suppress(OSError):
                file.close()
            self.warn(f"the journal of this run ends here: {error}")


class Step:
    """A running step of one node: reports its progress, warnings and changes."""

    __slots__ = ("_journal", "_name", "_node", "blamed", "data", "is_changed", "texts")

    def __init__(self, journal: Journal, node: str | None, name: str) -> None:
        """Created by `Journal.step`."""
        self._journal = journal
        self._node = node
        self._name = name
        self.blamed = ""  # another step, of which a failure of this one comes
        self.is_changed = False
        self.texts: list[str] = []
        self.data: dict[str, Any] = {}

    def progress(self, text: str, *, seconds: float | None = None) -> None:
        """Report what the step does now; with `seconds`, a part that has ended and its duration."""
        self._journal.emit(self._node, self._name, "progress", text, seconds=seconds)

    def waiting(self, at: Waiting) -> None:
        """Report the state of something that the step waits for."""
        text = f"waiting for {at.awaited}{at.state and f': {at.state}'}"
        data = {"waited": round(at.waited, 1), "limit": at.limit}
        self._journal.emit(self._node, self._name, "progress", text, data=data)

    def warn(self, text: str, advice: str = "") -> None:
        """Report a problem that does not end the step, and what to do about it."""
        data = {"advice": advice} if advice else NOTHING
        self._journal.emit(self._node, self._name, "warning", text, data=data)

    def changed(self, text: str, **data: Any) -> None:
        """Mark the step as having changed something; `text` joins the event that ends it."""
        self.is_changed = True
        self.note(text, **data)

    def note(self, text: str, **data: Any) -> None:
        """Add text and data to the event that ends the step."""
        if text:
            self.texts.append(text)
        self.data.update(data)


def cause(error: BaseException) -> str:
    """Return the text of an exception for users."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, FabnodeError) and error.message:
        return error.message
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _failure(error: BaseException, folder: Path | None) -> dict[str, Any]:
    """Return advice and detail of an error, or the trace of an unexpected one."""
    if isinstance(error, KeyboardInterrupt):
        return {"interrupted": True}
    if not isinstance(error, FabnodeError):
        where = f" ({folder / FILE} has its trace)" if folder else ""
        return {"advice": f"{_RETRY}{where}", "trace": traceback.format_exception(error)}
    found = {
        "advice": error.advice or _RETRY,
        "detail": error.detail,
        "concludes": error.concludes,
    }
    return {name: value for name, value in found.items() if value}


def _make_folder(state: Path) -> Path:
    """Create a new run's folder, and remove the oldest runs."""
    state.parent.mkdir(parents=True, exist_ok=True)
    for folder in (state, state / "runs"):
        folder.mkdir(mode=0o700, exist_ok=True)
    for old in runs(state)[: -(MAX_RUNS - 1)]:
        shutil.rmtree(old, ignore_errors=True)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{os.getpid()}"
    folder = state / "runs" / name
    folder.mkdir(mode=0o700)
    return folder
