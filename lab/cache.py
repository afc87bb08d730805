"""
The cache: everything expensive, kept under a key made of what it was made from.

``${XDG_CACHE_HOME:-~/.cache}/fabnode/<kind>/<key>``. An entry is complete or
absent: it is made beside its place and renamed, under a lock that a crash
releases.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fabnode.util.folders import cache_path


def root() -> Path:
    """Return the folder of this user's cache."""
    return cache_path()


def digest(*parts: str | bytes | Path) -> str:
    """
    Return 12 hex digits that change whenever a part does.

    A path counts with its content; a folder with every name, mode and content in it.
    """
    total = hashlib.sha256()
    for part in parts:
        for piece in _pieces(part):
            total.update(hashlib.sha256(piece).digest())
    return total.hexdigest()[:12]


def _pieces(part: str | bytes | Path) -> Iterator[bytes]:
    if isinstance(part, str):
        yield part.encode()
    elif isinstance(part, bytes):
        yield part
    elif part.is_dir():
        for path in sorted(part.rglob("*")):
            yield f"{path.relative_to(part)} {path.stat().st_mode & 0o111}".encode()
            if path.is_file():
                yield path.read_bytes()
    else:
        yield part.read_bytes()


def entry(kind: str, key: str) -> Path:
    """Return where an entry is, or would be."""
    return root() / kind / key


def make_once(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return an entry, made first by ``make(path)`` unless it is there already."""
    place = entry(kind, key)
    if place.exists():
        return place
    with locked(place.with_name(f"{key}.lock")):
        if not place.exists():
            unfinished = place.with_name(f"{key}.unfinished")
            remove(unfinished)
            make(unfinished)
            unfinished.rename(place)
    return place


def remove(path: Path) -> None:
    """Remove a file or a whole folder, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file; whoever comes second waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
