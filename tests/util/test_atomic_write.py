"""A file is complete at its path or not there; no symlink is followed, no mode stays."""

from __future__ import annotations

import os
import resource
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

import pytest

from fabnode.util.atomic_write import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize("there", ["nothing", "open file", "symlink", "dangling symlink"])
def test_what_was_there_is_replaced(tmp_path: Path, there: str) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    if there == "open file":
        out.write_text("old")
        out.chmod(0o666)
    elif "symlink" in there:
        out.symlink_to(other)
        if there == "symlink":
            other.write_text("precious")
    with atomic_write(out) as file:
        file.write(b"new")
    assert out.read_text() == "new"
    assert not out.is_symlink()
    assert out.stat().st_mode & 0o777 == 0o600
    if there == "symlink":
        assert other.read_text() == "precious"
    assert set(tmp_path.iterdir()) <= {out, other}


def test_after_a_failure_what_was_there_is_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(out) as file:
        file.write(b"half" * (1 // 0))
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, None])
def test_a_mode_is_exact_and_none_leaves_it_to_the_umask(
    tmp_path: Path, mode: int | None, umask: int
) -> None:
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "out", mode=mode) as file:
            assert os.fstat(file.fileno()).st_mode & 0o777 & ~(mode or 0o666) == 0
    finally:
        os.umask(before)
    wanted = 0o666 & ~umask if mode is None else mode
    assert (tmp_path / "out").stat().st_mode & 0o777 == wanted


def test_a_draft_that_cannot_be_removed_does_not_hide_why_the_write_failed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    def fill(file: IO[bytes]) -> None:
        folder.rename(tmp_path / "moved")
        folder.write_text("a file: the draft's path leads nowhere")
        file.write(b"half" * (1 // 0))

    with pytest.raises(ZeroDivisionError), atomic_write(folder / "out") as file:
        fill(file)


@contextmanager
def restored_file_limit() -> Iterator[int]:
    """Yield the most that a file may be limited to; put back what holds before pytest prints."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("count", "error"), [(1, OSError), (0, ZeroDivisionError)])
def test_bytes_that_do_not_fit(tmp_path: Path, count: int, error: type[Exception]) -> None:
    """What is buffered is written on closing: it fails as a write does, and hides no error."""
    out = tmp_path / "out"
    out.write_text("old")

    def fill(file: IO[bytes], most: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
        file.write(b"new")
        file.write(b"half" * (1 // count))

    with restored_file_limit() as most, pytest.raises(error), atomic_write(out) as file:
        fill(file, most)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("durable", [True, False])
def test_only_what_must_survive_a_power_cut_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    with atomic_write(tmp_path / "out", durable=durable) as file:
        file.write(b"new")
    assert synced == ([len(b"new")] if durable else [])


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """As /dev/null, by root."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="device, a pipe") as error, atomic_write(pipe):
        pass
    assert error.value.filename == str(pipe)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "no" / "out"):
        pass
    assert caught.value.filename == str(tmp_path / "no" / "out")


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with atomic_write(out) as first:
        first.write(b"first")
        with suppress(ZeroDivisionError), atomic_write(out) as failing:
            failing.write(b"x" * (1 // 0))
        with atomic_write(out) as second:
            second.write(b"second")
    assert out.read_text() == "first"
    assert list(tmp_path.iterdir()) == [out]
