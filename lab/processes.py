"""
Long-lived processes: started, recognised after any pause, ended.

A process writes its own record (``/proc/self/stat`` and the boot's id) before it
becomes the program, so no crash of the lab loses one, and a recycled pid is
never taken for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

from fabnode.util.wait import Wait

from .errors import LabError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_LAUNCH = """
set -e
record=$1; shift
cat /proc/$$/stat /proc/sys/kernel/random/boot_id > "$record.new"
mv "$record.new" "$record"
for group in $FABNODE_CGROUPS; do echo $$ > "$group/cgroup.procs"; done
unset FABNODE_CGROUPS
exec "$@"
"""


def start(
    command: list[str], record: Path, log: Path, cgroups: list[Path] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program that outlives this one, its output appended to ``log``."""
    record.parent.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    groups = " ".join(str(group) for group in cgroups or [])
    with log.open("ab") as out:
        return subprocess.Popen(
            ["/bin/sh", "-c", _LAUNCH, "lab", str(record), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {"FABNODE_CGROUPS": groups},
            start_new_session=True,
        )


def find(record: Path) -> int | None:
    """Return the pid of a recorded process if that very process still runs."""
    try:
        stat, boot = record.read_text().strip().rsplit("\n", 1)
        pid = int(stat.split()[0])
        same = start_time(Path(f"/proc/{pid}/stat").read_text()) == start_time(stat)
    except (OSError, ValueError, IndexError):
        return None
    return pid if same and boot == BOOT_ID.read_text().strip() else None


def ended(record: Path) -> bool:
    """Return whether a process that was started and recorded runs no more."""
    return record.exists() and find(record) is None


def start_time(stat: str) -> int | None:
    """
    Return when a process started (clock ticks since boot), from its ``/proc/…/stat``.

    None for a zombie, which runs no more. proc(5): the command, in parentheses,
    may hold anything; state and start time are fields 3 and 22.
    """
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def children(pid: int) -> list[int]:
    """Return the direct children of a process."""
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def name(pid: int) -> str:
    """Return the name of a process's program, its first 15 letters; empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except OSError:
        return ""


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that has just gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_gone(record: Path, seconds: float) -> bool:
    """Wait until a recorded process is gone; return whether it went in time."""
    wait = Wait("the end of a process", seconds, 0.02)
    while (pid := find(record)) is not None:
        _reap(pid)
        if wait.over:
            return False
        wait.pause()
    record.unlink(missing_ok=True)
    return True


def stop(record: Path, seconds: float = 10) -> None:
    """End a recorded process: SIGTERM, and SIGKILL if it takes too long."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 10.0)):
        if (pid := find(record)) is not None:
            send(pid, number)
        if wait_gone(record, patience):
            return
    raise LabError(f"process {find(record)} ({record.name}) does not end, even by SIGKILL")


def _reap(pid: int) -> None:
    """Collect a child of our own, so that it does not stay as a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
