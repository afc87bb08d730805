"""Cache of compressed artifacts, filled ahead of sending."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import json
import os
import shutil
import threading
import time
import zlib
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import zstandard

from ..util.atomic_write import atomic_write
from ..util.digests import is_sha256
from ..util.errors import FabnodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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
        self._made: dict[Path, Packed] = {}  # in this run
        self._index = folder / "seen.json"

    def packed(self, source: Path, sha256: str, suffix: str) -> Packed:
        """
        Return the compressed form of `source`, whose content has this digest.

        It is unpacked to see that it holds that content, once it is made, and again where its size,
        time or inode are not what they were then.

        :param suffix: ZSTD or GZIP; both formats hold a checksum of the content.
        :raises ArtifactChangedError: its content has another digest by now.
        :raises OSError: it can't be read, or there is no room for its packed form.
        """
        target = self._folder / f"{sha256}{suffix}"
        with self._lock:
            lock = self._locks[target.name]
        with lock:
            if target not in self._made:
                self._made[target] = self._seen(target) or self._see(source, target, sha256)
            _use(target)
            return self._made[target]

    def doubt(self, digests: Iterable[str]) -> None:
        """Have the next run unpack the compressed forms of these contents, to see them whole."""
        if names := [f"{sha256}{suffix}" for sha256 in digests for suffix in (ZSTD, GZIP)]:
            self._keep(dict.fromkeys(names))

    def _seen(self, target: Path) -> Packed | None:
        """Return a compressed form that was seen whole, and has not changed since."""
        found = self._read_index().get(target.name)
        with suppress(OSError):
            if found and found["mark"] == _mark(target):
                return Packed(target, found["sha256"], found["mark"][0])
        return None

    def _see(self, source: Path, target: Path, sha256: str) -> Packed:
        """Unpack a compressed form to see that it is whole; make it where it is not."""
        if (digest := _digest_of(target, sha256)) is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._forget_old()
            _pack(source, target, sha256)
            if (digest := _digest_of(target, sha256)) is None:
                raise OSError(errno.EIO, "what was written is not what comes back", str(target))
        mark = _mark(target)
        self._keep({target.name: {"mark": mark, "sha256": digest}})
        return Packed(target, digest, mark[0])

    def _read_index(self) -> dict[str, dict[str, Any]]:
        """Return what was seen of compressed forms, by their name; `mark` as of `_mark`."""
        try:
            found = json.loads(self._index.read_bytes())
        except (OSError, ValueError):
            return {}
        entries = found.items() if isinstance(found, dict) else ()
        return {name: entry for name, entry in entries if _is_entry(entry)}

    def _keep(self, entries: dict[str, dict[str, Any] | None]) -> None:
        """Change the index, where None takes an entry out; failure only makes runs slower."""
        with self._lock, suppress(OSError), _locked(self._folder):
            whole = {**self._read_index(), **entries}  # with those of other runs
            there = (name for name in whole if whole[name] and (self._folder / name).exists())
            text = json.dumps({name: whole[name] for name in there})
            with atomic_write(self._index) as file:
                file.write(text.encode())

    def _forget_old(self) -> None:
        limit = time.time() - _KEPT
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another run forgets as well
                if path != self._index and path.stat().st_atime < limit:
                    path.unlink()


def _mark(target: Path) -> list[int]:
    """Return what changes with a file's content: size, time and inode."""
    stat = target.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _is_entry(entry: object) -> bool:
    match entry:
        case {"mark": [int(), int(), int()], "sha256": str(digest)}:
            return is_sha256(digest)
    return False


def _use(target: Path) -> None:
    """Note that a file is used now, by its time of access, whatever the file system notes."""
    os.utime(target, ns=(time.time_ns(), target.stat().st_mtime_ns))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from doing likewise meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _digest_of(target: Path, sha256: str) -> str | None:
    """Return the digest of a compressed form that is whole and of that content; None: it is not."""
    content = hashlib.sha256()
    try:
        with target.open("rb") as file:
            with _decompressing(file, target.suffix) as unpacked:
                while block := unpacked.read(_BLOCK):
                    content.update(block)
            file.seek(0)
            packed = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error, zstandard.ZstdError):
        return None
    return packed if content.hexdigest() == sha256 else None


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
