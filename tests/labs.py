"""Labs of a test run: how they are made and taken down, and that none is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.errors import LabError

KEPT = "FABNODE_TEST_LAB"
PROJECT = Path(__file__).parent.parent


def invoke(*words: str) -> None:
    """
    Run a task of the project's.

    :raises LabError: it failed; with its output.
    """
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"{words}: {done.stdout} {done.stderr}")


def take_down_left() -> None:
    """Take down all labs of tests in this checkout, unless they are to be kept."""
    if KEPT in os.environ:
        return
    for folder in PROJECT.glob(".lab-test*"):
        invoke("lab.down", "--name", folder.name.removeprefix(".lab-"))
