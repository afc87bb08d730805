"""Caches that don't grow for ever: what nobody used for a month goes."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 30 * 24 * 3600  # seconds


def used(path: Path) -> None:
    """Note that a file or folder of a cache is used."""
    with suppress(OSError):  # somebody else's cache, which is theirs to keep
        os.utime(path)


def forget_old(folder: Path) -> None:
    """Remove what was used for the last time a month ago."""
    limit = time.time() - KEPT
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # another run forgets as well
            if path.stat().st_mtime >= limit:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
