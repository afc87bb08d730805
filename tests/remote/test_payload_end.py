"""A payload that ends while its shell waits for news of parts: every shell notices."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PARTS = Path(__file__).parents[2] / "fabnode" / "remote" / "scripts" / "apply"
WAITS = """
mkfifo wake && exec 7<>wake && . {payload}
wakes=yes
(exit 2) &
tar=$!
wait_member m1.zst
"""


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
def test_tar_that_has_ended_is_noticed_while_parts_are_awaited(shell: str, tmp_path: Path) -> None:
    """Nobody writes to the pipe: a dead child must not pass for one that goes on unpacking."""
    script = WAITS.format(payload=PARTS / "payload.sh")
    done = subprocess.run(
        [*shell.split(), "-c", script],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (1, b"the payload ended too early\n")
