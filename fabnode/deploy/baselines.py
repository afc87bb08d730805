"""
Deployer's copies of the records that hosts keep of their state before the first change.

The host's own record takes precedence; the copy is for a host that lost it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..node.surroundings import Surroundings
from ..remote.limits import RECORD_BYTES, MalformedError
from ..remote.survey_output import parse_record
from ..util.folders import state_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def store(node: str, lines: Sequence[str]) -> Path:
    """
    Write a record beside the earlier ones of this node; none is ever overwritten.

    :raises OSError: it can't be written.
    """
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{node}-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}Z.txt"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def find(node: str, machine: str) -> Surroundings | None:
    """
    Return the newest record of a node that is of this very machine; None: there is none.

    :param machine: its machine-id; nothing is of an unknown one.
    """
    try:
        paths = sorted(_folder().glob(f"{node}-*Z.txt"), reverse=True)
    except OSError:
        return None
    for path in paths:
        try:
            if path.stat().st_size > 2 * RECORD_BYTES:
                continue
            found = parse_record(path.read_text("utf-8").splitlines())
        except (OSError, ValueError, MalformedError):
            continue
        if machine and found.machine == machine:
            return found
    return None


def _folder() -> Path:
    return state_dir() / "baselines"
