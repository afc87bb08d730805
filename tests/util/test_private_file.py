"""Files for their owner only replace what was there: no symlink is followed, no mode stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fabnode.util.private_file import replacing

if TYPE_CHECKING:
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
    with replacing(out) as file:
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
    with pytest.raises(ZeroDivisionError), replacing(out) as file:
        file.write(b"half" * (1 // 0))
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]
