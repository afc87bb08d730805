"""
Bundle: one file with everything that nodes get, for sites without internet access.

It is a tar of `bundle.json` and then the files that this names, each with size and sha256,
compressed by zstd. The same files give the same bytes. A bundle is not trusted: one with an unknown
name, a member that is not a plain file, or content that differs from `bundle.json` is refused; it
is used as a whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import zstandard

from ..cni.registry import NETWORKS
from ..util.atomic_write import atomic_write
from ..util.digests import is_sha256
from ..util.errors import InputError
from .cache_eviction import evict_old, mark_used

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..cni.protocol import Manifest

INDEX = "bundle.json"
FORMAT = 1

_NAME = re.compile(
    r"(?:bin|cni)/(?:(?:amd64|arm64)/)?[A-Za-z0-9][A-Za-z0-9._+-]{0,79}"
    r"|images/[0-9]{3}-[A-Za-z0-9._+-]{1,80}"
    rf"|(?:{'|'.join(known.setting for known in NETWORKS)})\.yaml"
)
_LARGEST_INDEX = 4 * 2**20
_LARGEST = 64 * 2**30  # bytes of all files
_BLOCK = 2**20
_WINDOW = 2**27


class BundleError(InputError):
    """A bundle can't be written or used; the text begins with its path."""


def manifest_name(source: Manifest) -> str:
    """Return how a bundle names the manifest of a pod network, by its setting."""
    return f"{source.setting.partition('.')[0]}.yaml"


@dataclass(frozen=True, slots=True)
class Part:
    """A file that goes into a bundle."""

    source: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """An unpacked bundle: its folder, Kubernetes release and files."""

    folder: Path
    kubernetes: str
    files: tuple[str, ...]

    def path(self, name: str) -> Path | None:
        """Return the path of a file by its name in the bundle, or None."""
        return self.folder / name if name in self.files else None

    @property
    def images(self) -> tuple[Path, ...]:
        """Its image archives, in order."""
        return tuple(self.folder / name for name in self.files if name.startswith("images/"))


def write(out: Path, parts: Mapping[str, Part], kubernetes: str) -> str:
    """
    Write a bundle and return its sha256.

    :param parts: by their names in the bundle.
    :raises BundleError: a file changed meanwhile, or can't be read, or the bundle not written.
    """
    names = sorted(parts)
    if odd := [name for name in names if not _NAME.fullmatch(name)]:
        raise BundleError(f"{parts[odd[0]].source}: bundles can't hold a file of that name")
    try:
        sizes = {name: parts[name].source.stat().st_size for name in names}
        files = {name: {"sha256": parts[name].sha256, "size": sizes[name]} for name in names}
        index = {"format": FORMAT, "kubernetes": kubernetes, "files": files}
        text = json.dumps(index, indent=1, sort_keys=True).encode()
        with atomic_write(out, mode=None) as file:
            with (
                _compressing(file) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
            ):
                tar.addfile(_header(INDEX, len(text)), io.BytesIO(text))
                for name in names:
                    with parts[name].source.open("rb") as content:
                        hashed = _Hashing(content)
                        tar.addfile(_header(name, sizes[name]), hashed)
                    if hashed.hexdigest() != parts[name].sha256:
                        raise BundleError(f"{parts[name].source} changed while it was read")
            file.flush()
            with Path(file.name).open("rb") as made:
                return hashlib.file_digest(made, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{error.filename or out}: {error.strerror or error}") from error


def unpack(path: Path, cache: Path, promised: str = "") -> Bundle:
    """
    Return a bundle's files, unpacked into a folder of the cache unless they are there, whole.

    :param promised: sha256 of the bundle, hex: another one is refused before anything is used.
        Empty: whatever it is.
    :raises BundleError: it is not one that `write` would have made, or not the one promised.
    """
    try:
        with path.open("rb") as raw:
            file = _Hashing(raw)
            with _decompressing(cast("IO[bytes]", file)) as packed:
                text, index = _index(packed)
                folder = cache / hashlib.sha256(text).hexdigest()
                if _is_complete(folder, index["files"]):
                    _check_digest(file, promised)
                    mark_used(folder)
                else:
                    shutil.rmtree(folder, ignore_errors=True)
                    _unpack(packed, index["files"], folder, lambda: _check_digest(file, promised))
    except _RefusedError as refused:
        raise BundleError(f"{path}: {refused}") from None
    except (tarfile.TarError, zstandard.ZstdError, EOFError, UnicodeError) as error:
        raise BundleError(f"{path}: it is not a bundle, or is truncated ({error})") from error
    except OSError as error:
        raise BundleError(f"{error.filename or path}: {error.strerror or error}") from error
    return Bundle(folder, index["kubernetes"], tuple(sorted(index["files"])))


def _check_digest(file: _Hashing, promised: str) -> None:
    if not promised:
        return
    while file.read(_BLOCK):  # what follows the archive counts as well
        pass
    if file.hexdigest() != promised:
        raise _RefusedError(f"its sha256 is {file.hexdigest()}, expected {promised}")


def _is_complete(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> bool:
    """Return whether an earlier run unpacked these files there, and they are unchanged."""
    try:
        for name, promised in files.items():
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != promised["sha256"]:
                    return False
    except OSError:
        return False
    return folder.is_dir()


class _RefusedError(Exception):
    """Content that no bundle of fabnode has."""


def _member(packed: IO[bytes]) -> tuple[str, int] | None:
    """
    Return name and size of the next file in the tar; None at its end.

    The headers are parsed here rather than by tarfile, which follows whatever they contain: links,
    sparse files, names of any length.
    """
    block = _exactly(packed, tarfile.BLOCKSIZE)
    if not block.strip(b"\0"):
        return None
    info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    if info.type != tarfile.REGTYPE or info.size < 0:
        raise _RefusedError(f"{info.name[:100]!r} in it is not a plain file")
    return info.name, info.size


def _exactly(packed: IO[bytes], size: int) -> bytes:
    found = b""
    while len(found) < size:
        block = packed.read(size - len(found))
        if not block:
            raise EOFError("its end is missing")
        found += block
    return found


def _contents(packed: IO[bytes], size: int) -> Iterator[bytes]:
    """Yield the content of a file, then skip the padding of its last block."""
    left = size
    while left:
        block = _exactly(packed, min(left, _BLOCK))
        left -= len(block)
        yield block
    _exactly(packed, -size % tarfile.BLOCKSIZE)


def _index(packed: IO[bytes]) -> tuple[bytes, dict[str, Any]]:
    """Return the index as text and as validated data."""
    name, size = _member(packed) or ("", 0)
    if name != INDEX:
        raise _RefusedError(f"it is not a bundle: its first file is not {INDEX}")
    if size > _LARGEST_INDEX:
        raise _RefusedError(f"{INDEX} is too large")
    text = b"".join(_contents(packed, size))
    try:
        index = json.loads(text)
        known = index["format"]
        files, kubernetes = index["files"], index["kubernetes"]
        good = isinstance(kubernetes, str) and all(
            isinstance(name, str)
            and _NAME.fullmatch(name)
            and set(entry) == {"sha256", "size"}
            and is_sha256(entry["sha256"])
            and type(entry["size"]) is int
            and entry["size"] >= 0
            for name, entry in files.items()
        )
        total = sum(entry["size"] for entry in files.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _RefusedError(f"{INDEX} is not one of fabnode's") from None
    if known != FORMAT:
        raise _RefusedError(f"it has format {str(known)[:20]}, but this fabnode reads {FORMAT}")
    if not good:
        raise _RefusedError(f"{INDEX} has entries that no bundle has")
    if total > _LARGEST:
        raise _RefusedError(f"its files would be {total >> 30} GiB")
    return text, index


def _unpack(
    packed: IO[bytes],
    files: Mapping[str, Mapping[str, Any]],
    folder: Path,
    check: Callable[[], None],
) -> None:
    """Unpack into the folder; `check` runs before the folder gets its name."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    evict_old(folder.parent)
    wanted, free = (
        sum(entry["size"] for entry in files.values()),
        shutil.disk_usage(folder.parent).free,
    )
    if wanted > free:
        raise _RefusedError(
            f"unpacked it takes {wanted >> 20} MiB, and {folder.parent} has {free >> 20} free"
        )
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unpacking."))
    try:
        left = dict(files)
        while member := _member(packed):
            name, size = member
            promised = left.pop(name, None)
            if promised is None or size != promised["size"]:
                raise _RefusedError(f"{name[:100]!r} in it differs from {INDEX}")
            target = draft / name  # one of our names: see _NAME
            target.parent.mkdir(parents=True, exist_ok=True)
            found = hashlib.sha256()
            with target.open("xb") as out:
                for block in _contents(packed, size):
                    found.update(block)
                    out.write(block)
            if found.hexdigest() != promised["sha256"]:
                raise _RefusedError(f"{name} has another sha256 than in {INDEX}")
        if left:
            raise _RefusedError(f"{min(left)}, which {INDEX} lists, is missing")
        check()
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():  # or another run has unpacked the same meanwhile
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


class _Hashing:
    """Reader that hashes what it reads."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read, as files do."""
        block = self._content.read(size)
        self._hash.update(block)
        return block

    def hexdigest(self) -> str:
        """Return the sha256 of what was read so far."""
        return self._hash.hexdigest()


@contextmanager
def _compressing(file: IO[bytes]) -> Iterator[IO[bytes]]:
    # A fixed number of threads: what comes out must not depend on the machine.
    compressor = zstandard.ZstdCompressor(level=3, threads=2, write_checksum=True)
    with compressor.stream_writer(file, closefd=False) as packed:
        yield packed


@contextmanager
def _decompressing(file: IO[bytes]) -> Iterator[IO[bytes]]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    with decompressor.stream_reader(file, closefd=False) as packed:
        yield packed


def _header(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info
