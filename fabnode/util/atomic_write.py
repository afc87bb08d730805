"""Atomic file replacement: a file is complete at its path, or what was there before stays."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE = 0o600


@contextmanager
def atomic_write(
    target: Path, *, mode: int | None = PRIVATE, durable: bool = False
) -> Iterator[IO[bytes]]:
    """
    Yield a draft, which replaces `target` when the block ends without an error.

    A symlink at `target` is replaced, not followed; a device, pipe or socket is refused; the mode
    of an existing file is lost.

    :param mode: permission bits of the new file, whatever the umask; None: 0666 less the umask.
    :param durable: synced to disk before it replaces the old one, so that a power cut leaves one
        of the two. For files that nobody can make again.
    :raises OSError: it can't be written; `target` is as it was and no draft is left.
    """
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if target.exists() and not target.is_symlink() and not target.is_file():
        # Root's `--out /dev/null` would make a file of the whole machine's.
        raise OSError(errno.EINVAL, "it is a device, a pipe or a socket", str(target))
    with draft_of(target, mode=mode) as file:
        yield file
        file.flush()
        if durable:
            os.fsync(file.fileno())
        file.close()  # the last errors of a write come with it
        Path(file.name).replace(target)


@contextmanager
def draft_of(target: Path, *, mode: int | None = PRIVATE) -> Iterator[IO[bytes]]:
    """
    Yield a new hidden file beside `target`, removed at the end unless it was renamed.

    Its removal never hides the error that ended the block.

    :param mode: as of `atomic_write`.
    :raises OSError: it can't be created; the error names `target`, which users know.
    """
    path = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}")
    try:
        file = open(  # noqa: SIM115 - closed below, before the first error would be hidden
            path, "xb", opener=lambda name, flags: os.open(name, flags, mode or 0o666)
        )
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    try:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        yield file
        file.close()
    except BaseException:
        with suppress(OSError):
            file.close()  # it writes what is buffered, and may fail at that
        raise
    finally:
        with suppress(OSError):
            path.unlink()
