"""Artifacts compressed once, ahead of sending: a cache in the user's cache folder."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from typing import BinaryIO

ZSTD, GZIP = ".zst", ".gz"
_KEPT = 30 * 24 * 3600  # seconds an artifact stays after its last use
_GZIP_LEVEL = (
    4  # gzip is for hosts without zstd: a third more bytes than 6 would give, in half the time
)


class Packer:
    """
    Compresses artifacts; several threads may ask for the same one, and it is done once.

    :param folder: made 0700 when needed; what nobody used for a month is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def packed(self, source: Path, sha256: str, suffix: str) -> Path:
        """
        Return the compressed form of `source`, whose content has this digest.

        :param suffix: ZSTD or GZIP; both formats hold a checksum of the content.
        :raises OSError: it can't be read, or there is no room for its packed form.
        """
        target = self._folder / f"{sha256}{suffix}"
        with self._lock:
            lock = self._locks[target.name]
        with lock:
            if target.exists():
                target.touch()
            else:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._forget_old()
                _pack(source, target)
        return target

    def _forget_old(self) -> None:
        limit = time.time() - _KEPT
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another run forgets as well
                if path.stat().st_mtime < limit:
                    path.unlink()


def _pack(source: Path, target: Path) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".packing.")
    try:
        with source.open("rb") as content, os.fdopen(handle, "wb") as out:
            _compress(content, out, target.suffix)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _compress(content: BinaryIO, out: BinaryIO, suffix: str) -> None:
    if suffix == ZSTD:
        zstandard.ZstdCompressor(threads=-1, write_checksum=True).copy_stream(content, out)
        return
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0) as zipped:
        shutil.copyfileobj(content, zipped, 2**20)
