"""A container that reboots is started again; one that halts, or is broken, is not."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lab.containers import MACHINE

if TYPE_CHECKING:
    from pathlib import Path

NO_CGROUP, NO_CABLE = "fabnode-nothing", "vb-nothing"


@pytest.mark.parametrize(
    ("ends", "starts", "status"),
    [("0", 1, 0), ("1", 1, 1), ("133 133 0", 3, 0), ("133 1", 2, 1)],
)
def test_only_a_reboot_is_a_new_start(ends: str, starts: int, status: int, tmp_path: Path) -> None:
    count = tmp_path / "starts"
    script = f'echo start >> {count}; shift "$(($(wc -l < {count}) - 1))"; exit "$1"'
    words = ["sh", "-c", script, "container", *ends.split()]
    done = subprocess.run([MACHINE, NO_CGROUP, NO_CABLE, *words], check=False)
    assert done.returncode == status
    assert len(count.read_text().splitlines()) == starts
