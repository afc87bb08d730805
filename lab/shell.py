"""Short commands of the machine: run, checked, their errors made readable."""

from __future__ import annotations

import subprocess

from .errors import LabError


def run(*command: str) -> str:
    """Run a command and return what it printed; a failure says which and why."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise LabError(f"{command[0]} is missing: `lab/bootstrap.sh` installs it") from None
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Return whether a command ends well; a missing one does not."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
