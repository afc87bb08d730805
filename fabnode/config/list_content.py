"""What a list of hosts is made of: the content of a file, or the output of a command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from ..util.problems import InvalidValueError
from ..util.sanitize import clean, cut
from .yaml_document import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MOST_OF_ERRORS = 2**14  # bytes of standard error that are kept
_LAST_LINES = 3  # of it that are shown
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
_FRAME = " \t│╷╵"  # which Terraform draws around its messages
_DRAINED = 5  # seconds for the rest of a pipe, once the command has ended


class CommandError(InvalidValueError):
    """A command that gave no list; the text completes a sentence about it."""


class Outputs:
    """
    Outputs of commands, each of which runs once.

    Loading a configuration runs its commands again; who loads it several times for one purpose, and
    wants the same hosts each time, uses one of these.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[Path, tuple[str, ...]], bytes] = {}
        self._lock = threading.Lock()

    def of(self, command: tuple[str, ...], folder: Path, timeout: float) -> bytes:
        """
        Return what a command prints. It gets no input, and the environment as it is.

        :param folder: where it runs; a program with a slash in it is found from there.
        :param timeout: seconds, after which it is ended, and all that it started in its group.
        :raises CommandError: it can't be started, fails, takes too long, or prints too much.
        """
        key = (folder, command)
        with self._lock:
            if key not in self._known:
                self._known[key] = _output(command, folder, timeout)
            return self._known[key]


def _output(command: tuple[str, ...], folder: Path, timeout: float) -> bytes:
    first, *arguments = command
    argv = [str(folder / first) if "/" in first else first, *arguments]
    try:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        hint = "install it, or name it by its path" if isinstance(error, FileNotFoundError) else ""
        raise CommandError(f"can't be started: {error.strerror}", hint) from error
    assert process.stdout, "a pipe"
    assert process.stderr, "a pipe"
    output = _Reader(process.stdout, MAX_BYTES, too_much=lambda: _end(process))
    errors = _Reader(process.stderr, _MOST_OF_ERRORS)
    try:
        code = process.wait(timeout)
        output.join(_DRAINED)
    except subprocess.TimeoutExpired:
        message = f"did not end within {timeout:.0f} s{errors.reason()}"
        raise CommandError(message, "allow it more by `timeout`") from None
    finally:
        _end(process)
    if output.overflown:
        raise CommandError(f"prints more than {MAX_BYTES // 2**20} MiB: no list of hosts")
    if code:
        errors.join(_DRAINED)
        why = f"signal {-code}" if code < 0 else f"status {code}"
        raise CommandError(f"ended with {why}{errors.reason()}")
    return output.content()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Reader(threading.Thread):
    """Reads a pipe to its end; keeps its last bytes, or none but says that there are too many."""

    def __init__(
        self, pipe: IO[bytes], most: int, too_much: Callable[[], None] | None = None
    ) -> None:
        super().__init__(daemon=True)  # a process that left the group may keep the pipe open
        self.overflown = False
        self._pipe = pipe
        self._most = most
        self._too_much = too_much
        self._content = bytearray()
        self.start()

    def run(self) -> None:
        """Read until the end."""
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), 2**16):
                self._content += chunk
                if len(self._content) > self._most and self._too_much:
                    self.overflown = True
                    self._too_much()
                    return
                del self._content[: -self._most]

    def content(self) -> bytes:
        """Return what was read."""
        return bytes(self._content)

    def reason(self) -> str:
        """
        Return what was read as the end of a sentence, without colours and control characters.

        That is from the first line with the word error on; where there is none, the last lines.
        """
        text = _COLOUR.sub(b"", self.content())
        lines = [line for each in text.split(b"\n") if (line := clean(each).strip(_FRAME))]
        first = (n for n, line in enumerate(lines) if "error" in line.lower())
        shown = lines[next(first, -_LAST_LINES) :]
        return f": {cut(' / '.join(shown))}" if shown else ""
