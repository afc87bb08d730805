"""Cache of compressed artifacts, filled ahead of sending."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import threading
import time
import zlib
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import zstandard

from ..util.atomic_write import atomic_write
from ..util.errors import FabnodeError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import IO, BinaryIO

ZSTD, GZIP = ".zst", ".gz"
_KEPT = 30 * 24 * 3600  # seconds an artifact stays after its last use
_GZIP_LEVEL = (
    4  # gzip is for hosts without zstd: a third more bytes than 6 would give, in half the time
)
_BLOCK = 2**20


class ArtifactChangedError(FabnodeError):
    """An artifact whose content no longer has its digest; the text names it."""


@dataclass(frozen=True, slots=True)
class Packed:
    """
    The compressed form of an artifact.

    :param sha256: of the compressed form itself, by which hosts check it; `size` in bytes.
    """

    path: Path
    sha256: str
    size: int


class Packer:
    """
    Compresses artifacts; several threads may ask for the same one, and it is done once.

    :param folder: made 0700 when needed; what nobody used for a month is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._index = folder / "index.json"
        self._known = self._read_index()

    def packed(self, source: Path, sha256: str, suffix: str) -> Packed:
        """
        Return the compressed form of `source`, whose content has this digest.

        What an earlier run left is used only if it still holds that content: it is unpacked to see
        that, unless its size, time and inode are as they were when that was last seen.

        :param suffix: ZSTD or GZIP; both formats hold a checksum of the content.
        :raises ArtifactChangedError: its content has another digest by now.
        :raises OSError: it can't be read, or there is no room for its packed form.
        """
        target = self._folder / f"{sha256}{suffix}"
        with self._lock:
            lock = self._locks[target.name]
        with lock:
            mark, known = _mark(target), self._known.get(target.name, {})
            if mark is None or known.get("mark") != mark:
                if not _holds(target, sha256):
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._forget_old()
                    _pack(source, target, sha256)
                with target.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
                known = {"mark": _mark(target), "sha256": digest}
                self._keep({target.name: known})
            _use(target)
            return Packed(target, known["sha256"], known["mark"][0])

    def doubt(self, digests: Iterable[str]) -> None:
        """Have the next run unpack the compressed forms of these contents, to see them whole."""
        if names := [f"{sha256}{suffix}" for sha256 in digests for suffix in (ZSTD, GZIP)]:
            self._keep({name: {} for name in names})

    def _read_index(self) -> dict[str, dict[str, Any]]:
        """Return what was seen of compressed forms, by their name; `mark` as of `_mark`."""
        with suppress(OSError, ValueError):
            return dict(json.loads(self._index.read_text()))
        return {}

    def _keep(self, entries: dict[str, dict[str, Any]]) -> None:
        """Change entries of the index; failure only makes the next run slower."""
        with self._lock:
            self._known.update(entries)
            with suppress(OSError), atomic_write(self._index) as file:
                # Those of other runs as well, and none of what is gone.
                whole = {**self._read_index(), **entries}
                kept = {
                    name: e for name, e in whole.items() if e and (self._folder / name).exists()
                }
                file.write(json.dumps(kept).encode())

    def _forget_old(self) -> None:
        limit = time.time() - _KEPT
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another run forgets as well
                if path != self._index and path.stat().st_atime < limit:
                    path.unlink()


def _mark(target: Path) -> list[int] | None:
    """Return what changes with a file's content: size, time and inode; None: there is none."""
    try:
        stat = target.stat()
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _use(target: Path) -> None:
    """Note that a file is used now, by its time of access, whatever the file system notes."""
    os.utime(target, ns=(time.time_ns(), target.stat().st_mtime_ns))


def _holds(target: Path, sha256: str) -> bool:
    """Return whether a packed form is there, whole, and of that content."""
    found = hashlib.sha256()
    try:
        with target.open("rb") as file, _decompressing(file, target.suffix) as content:
            while block := content.read(_BLOCK):
                found.update(block)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        return False
    return found.hexdigest() == sha256


def _pack(source: Path, target: Path, sha256: str) -> None:
    with source.open("rb") as file, atomic_write(target) as out:
        content = _Hashing(file)
        _compress(content, out, target.suffix)
        if content.digest.hexdigest() != sha256:
            raise ArtifactChangedError(f"{source} changed since it was read")


class _Hashing:
    """A file that is hashed while it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self.digest.update(block)
        return block


def _compress(content: _Hashing, out: IO[bytes], suffix: str) -> None:
    if suffix == ZSTD:
        compressor = zstandard.ZstdCompressor(threads=-1, write_checksum=True)
        compressor.copy_stream(cast("BinaryIO", content), out, read_size=_BLOCK)
        return
    # Without a name, which would be the draft's: the same content gives the same bytes.
    with gzip.GzipFile(
        filename="", fileobj=out, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0
    ) as zipped:
        shutil.copyfileobj(content, zipped, _BLOCK)


def _decompressing(file: BinaryIO, suffix: str) -> Any:
    if suffix == ZSTD:
        return zstandard.ZstdDecompressor().stream_reader(file, closefd=False)
    return gzip.GzipFile(fileobj=file, mode="rb")
