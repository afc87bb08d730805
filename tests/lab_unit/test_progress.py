"""Progress without a terminal: plain lines that a log can hold."""

from __future__ import annotations

import io
import re
import time

import pytest

from lab import progress


def test_finished_work_is_one_plain_line_with_its_duration() -> None:
    out = io.StringIO()
    with progress.Progress(out).work("build etcd") as report:
        report("3 of at most 7 packages")
    assert re.fullmatch(r"build etcd: done \(\d+\.\d s\)\n", out.getvalue())


def test_failed_work_says_so() -> None:
    out = io.StringIO()
    with pytest.raises(RuntimeError), progress.Progress(out).work("build etcd"):
        raise RuntimeError
    assert re.fullmatch(r"build etcd: failed \(\d+\.\d s\)\n", out.getvalue())


def test_long_work_is_mentioned_with_how_far_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REMIND_SECONDS", 0.01)
    out = io.StringIO()
    with progress.Progress(out).work("build etcd") as report:
        report("3 of at most 7 packages")
        for _ in range(500):
            if out.getvalue().count("\n") > 1:
                break
            time.sleep(0.01)
    assert re.search(r"^build etcd: 3 of at most 7 packages, \d+\.\d s …$", out.getvalue(), re.M)
    assert "\x1b" not in out.getvalue()


def test_durations_read_as_people_write_them() -> None:
    assert progress.seconds(4.21) == "4.2 s"
    assert progress.seconds(185) == "3 min 05 s"
