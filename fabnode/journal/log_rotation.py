"""A file of lines that is not to grow without end: the older half makes way."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def turned(file: IO[str], path: Path) -> IO[str]:
    """
    Close a file, and return a new one at the same path (0600).

    The full one is kept beside it, as `PATH.1`, in the place of the one before.

    :raises OSError: where that can't be done.
    """
    file.close()
    path.replace(path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
