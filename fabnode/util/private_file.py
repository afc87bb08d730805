"""A file for its owner only, which is complete or not there."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def replacing(out: Path) -> Iterator[IO[bytes]]:
    """
    Yield a new file (0600) that takes the place of `out` when all went well.

    A symlink at `out` is replaced, not followed, and the mode of what was there does not stay.

    :raises OSError: where it can't be written; nothing is left then.
    """
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    draft.unlink(missing_ok=True)
    file = os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    try:
        with file:
            yield file
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
