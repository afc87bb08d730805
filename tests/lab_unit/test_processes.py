"""Processes are recognised for certain, or not at all: a wrong one must never be killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from lab import processes


def started(tmp_path: Path, *command: str) -> Path:
    record = tmp_path / "run" / "it"
    processes.start(list(command), record, tmp_path / "log")
    deadline = time.monotonic() + 5
    while not record.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return record


def test_a_process_is_found_by_its_record_and_ended(tmp_path: Path) -> None:
    record = started(tmp_path, "sleep", "60")
    pid = processes.find(record)
    assert pid is not None
    deadline = time.monotonic() + 10
    while not (shown := Path(f"/proc/{pid}/cmdline").read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.01)  # none until the program has been started
    assert b"sleep" in shown
    processes.stop(record)
    assert processes.find(record) is None
    assert not record.exists()


def test_what_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    record = started(tmp_path, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 60; done")
    deadline = time.monotonic() + 5
    while "ready" not in (tmp_path / "log").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    pid = processes.find(record)
    processes.stop(record, seconds=0.2)
    assert pid is not None
    assert processes.find(record) is None


@pytest.mark.parametrize("part", ["start time", "boot"])
def test_a_recycled_pid_is_not_taken_for_the_process(tmp_path: Path, part: str) -> None:
    stat = Path("/proc/self/stat").read_text()
    boot = processes.BOOT_ID.read_text()
    record = tmp_path / "record"
    record.write_text(stat + boot)
    assert processes.find(record) == os.getpid()
    if part == "boot":
        boot = "00000000-0000-0000-0000-000000000000\n"
    else:
        head, _, tail = stat.rpartition(")")
        fields = tail.split()
        fields[19] = str(int(fields[19]) - 1)
        stat = f"{head}) {' '.join(fields)}\n"
    record.write_text(stat + boot)
    assert processes.find(record) is None
    assert processes.ended(record)


def test_a_command_name_with_parentheses_and_blanks_confuses_nothing() -> None:
    assert processes.start_time(f"7 (a) (b c) S {' '.join(str(n) for n in range(4, 53))}") == 22
    assert processes.start_time(f"7 (x) Z {' '.join(str(n) for n in range(4, 53))}") is None


@pytest.mark.parametrize("text", ["", "junk", "1 (init) S\n", "\n\n"])
def test_a_damaged_record_is_no_process(tmp_path: Path, text: str) -> None:
    record = tmp_path / "record"
    record.write_text(text)
    assert processes.find(record) is None


def test_a_signal_to_a_process_that_is_gone_is_no_error(tmp_path: Path) -> None:
    record = started(tmp_path, "sleep", "60")
    pid = processes.find(record)
    processes.stop(record)
    assert pid is not None
    processes.send(pid, signal.SIGTERM)
