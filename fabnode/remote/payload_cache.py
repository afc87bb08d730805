"""Cache of compressed artifacts, filled ahead of sending."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import threading
import time
import zlib
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import zstandard

from ..util.atomic_write import atomic_write
from ..util.errors import FabnodeError

if TYPE_CHECKING:
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


class Packer:
    """
    Compresses artifacts; several threads may ask for the same one, and it is done once.

    :param folder: made 0700 when needed; what nobody used for a month is removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._verified: set[Path] = set()
        self._digests: dict[Path, str] = {}

    def packed(self, source: Path, sha256: str, suffix: str) -> Path:
        """
        Return the compressed form of `source`, whose content has this digest.

        What an earlier run left is used only if it still holds that content, which is seen once a
        run.

        :param suffix: ZSTD or GZIP; both formats hold a checksum of the content.
        :raises ArtifactChangedError: its content has another digest by now.
        :raises OSError: it can't be read, or there is no room for its packed form.
        """
        target = self._folder / f"{sha256}{suffix}"
        with self._lock:
            lock = self._locks[target.name]
        with lock:
            if target in self._verified or _holds(target, sha256):
                target.touch()
            else:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._forget_old()
                _pack(source, target, sha256)
            self._verified.add(target)
        return target

    def digest(self, packed: Path) -> str:
        """
        Return the sha256 of a packed form itself, which is computed once.

        :raises OSError: it can't be read.
        """
        with self._lock:
            lock = self._locks[packed.name]
        with lock:
            if packed not in self._digests:
                with packed.open("rb") as file:
                    self._digests[packed] = hashlib.file_digest(file, "sha256").hexdigest()
            return self._digests[packed]

    def _forget_old(self) -> None:
        limit = time.time() - _KEPT
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another run forgets as well
                if path.stat().st_mtime < limit:
                    path.unlink()


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
