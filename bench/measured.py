"""A command of the deployer, measured from outside: seconds, memory, threads, files."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .labs import FailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_POLL = 0.02  # seconds between readings of the process
_SHOWN = 4000  # characters of the output of a command that failed


@dataclass(frozen=True, slots=True)
class Usage:
    """
    What a command took.

    :param seconds: from its start to its end. :param cpu: seconds of processor time, the programs
        that it started included. :param peak: most memory it held, in bytes.
    :param threads, files: most of these at once, as seen now and then.
    """

    seconds: float
    cpu: float
    peak: int
    threads: int
    files: int
    output: str


def run(
    command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], timeout: float
) -> Usage:
    """
    Run a command to its end.

    :raises FailedError: it ended otherwise than well, or took too long.
    """
    with tempfile.TemporaryFile("w+") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        late = threading.Timer(timeout, process.kill)
        late.start()
        threads = files = 0
        # Its own process is looked at until it has ended, and waited for after that.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            held = _held(process.pid)
            threads, files = max(threads, held[0]), max(files, held[1])
            time.sleep(_POLL)
        _, status, used = os.wait4(process.pid, 0)
        late.cancel()
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        shown = text[-_SHOWN:]
        raise FailedError(f"{' '.join(command)} ended with {process.returncode}:\n{shown}")
    cpu = used.ru_utime + used.ru_stime
    return Usage(seconds, cpu, used.ru_maxrss * 1024, threads, files, text)


def _held(pid: int) -> tuple[int, int]:
    """Return how many threads and open files a process has; none where it has just ended."""
    process = Path("/proc") / str(pid)
    try:
        return sum(1 for _ in (process / "task").iterdir()), sum(
            1 for _ in (process / "fd").iterdir()
        )
    except OSError:
        return 0, 0
