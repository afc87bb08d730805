"""Runs the scripts meant for nodes on this machine, with stand-ins for what they must not touch."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SHELLS = [
    pytest.param(["dash"], marks=pytest.mark.skipif(not shutil.which("dash"), reason="no dash")),
    pytest.param(
        ["bash", "--posix"], marks=pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
    ),
]
"""Shells that a node may have as /bin/sh."""

BUSYBOX = pytest.param(
    ["busybox", "sh"],
    marks=pytest.mark.skipif(not shutil.which("busybox"), reason="no busybox"),
)
"""A shell that brings its own commands, stand-ins or not."""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's programs are run by path")


class Tools:
    """
    A folder of stand-in commands, first in the PATH of what is run.

    Each notes how it was called in `calls`, then does what its script says.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder / "calls.log"
        folder.mkdir()

    def add(self, name: str, script: str = "") -> None:
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self._log}\n{script}\n')
        path.chmod(0o755)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    def calls_of(self, name: str) -> list[str]:
        return [call for call in self.calls if call.split()[0] == name]

    def forget(self) -> None:
        self._log.unlink(missing_ok=True)

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "LC_ALL": "C"}

    def run(
        self, command: list[str], stdin: bytes, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command, input=stdin, capture_output=True, env=self.env, timeout=timeout, check=False
        )


WAYS = ("file", "mode", "folder", "link", "way", "sticky")
"""Ways in which a program that lies at a path may be others'."""


def give_away(program: Path, way: str) -> None:
    """Have others control a program, in one of these ways; `roots`: by a link, yet root's alone."""
    folder = program.parent
    match way:
        case "file":
            os.chown(program, 65534, 65534)
        case "mode":
            program.chmod(0o775)
        case "folder":
            folder.chmod(0o2775)
        case "sticky":
            os.chown(program, 65534, 65534)
            folder.chmod(0o1777)
        case "link" | "roots" | "way":
            elsewhere = folder.parent / f"{program.name} is there" / "bin"
            elsewhere.mkdir(parents=True)
            program.rename(elsewhere / program.name)
            program.symlink_to(f"../{elsewhere.parent.name}/bin/{program.name}")
            if way == "link":
                os.chown(elsewhere / program.name, 65534, 65534)
            elif way == "way":
                elsewhere.parent.chmod(0o777)
