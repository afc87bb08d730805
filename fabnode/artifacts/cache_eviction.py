"""Cache eviction: files that were not used for a month are removed."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_AGE = 30 * 24 * 3600  # seconds


def mark_used(path: Path) -> None:
    """Mark a file or folder of a cache as used now."""
    with suppress(OSError):  # a cache of another user
        os.utime(path)


def evict_old(folder: Path) -> None:
    """Remove what was not used for a month."""
    limit = time.time() - MAX_AGE
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another run evicts as well
            if path.stat().st_mtime >= limit:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
