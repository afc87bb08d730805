"""Folders of caches and state: where the XDG rules put them, and for nobody else to fill."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fabnode.util.folders import ForeignFolderError, cache_dir, cache_path, state_dir


@pytest.mark.parametrize(
    ("variable", "folder", "default"),
    [("XDG_STATE_HOME", state_dir, ".local/state"), ("XDG_CACHE_HOME", cache_path, ".cache")],
)
def test_folders_follow_xdg(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    folder: Callable[[], Path],
    default: str,
) -> None:
    """An absolute variable counts; a relative or empty one is ignored, as its rules say."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(variable, "/x")
    assert folder() == Path("/x/fabnode")
    for value in ("", "relative"):
        monkeypatch.setenv(variable, value)
        assert folder() == tmp_path / default / "fabnode"


@pytest.mark.parametrize("mode", [None, 0o700, 0o755])
def test_nobody_else_has_access_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if mode is not None:
        (tmp_path / "fabnode").mkdir()
        (tmp_path / "fabnode").chmod(mode)
    assert cache_dir().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_cache_that_others_could_fill_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Closing it now would make what they left in it the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "fabnode").mkdir()
    (tmp_path / "fabnode").chmod(mode)
    with pytest.raises(ForeignFolderError, match="others may write in"):
        cache_dir()
    assert (tmp_path / "fabnode").stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_a_cache_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "fabnode").mkdir()
    os.chown(tmp_path / "fabnode", 65534, 65534)
    with pytest.raises(ForeignFolderError, match="belongs to uid 65534"):
        cache_dir()
