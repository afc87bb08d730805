"""Log rotation: a full file is moved to `PATH.1`, and a new one begun."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def rotate(file: IO[str], path: Path) -> IO[str]:
    """
    Close a file, move it to `PATH.1`, and return a new one (0600) at the same path.

    An earlier `PATH.1` is replaced.

    :raises OSError: where the file can't be moved or created.
    """
    file.close()
    path.replace(path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace")
