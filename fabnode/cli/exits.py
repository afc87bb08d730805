"""
How tasks of `inv` and `fab` end: errors to sentences and exit codes.

Exit codes: 0 success; 1 something failed on the way; 2 bad input, nothing was changed; 3 something
would change, or is due, where that was asked; 130 interrupted; 141 nobody reads the output any
more, as behind `| head`.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invoke.exceptions import Exit

from ..util.errors import FabnodeError
from ..util.sanitize import clean

_PR_SET_DUMPABLE = 4  # linux/prctl.h

FAILED, BAD_INPUT, WOULD_CHANGE, INTERRUPTED = 1, 2, 3, 130
NOBODY_READS = 141  # as shells report a program that SIGPIPE ended

# Objects made, less those gone, after which Python looks for cycles of dead ones. By its own 700 it
# does so a hundred times while what a deployment needs is imported, and finds next to nothing.
_BETWEEN_COLLECTIONS = 100_000

# At its end Python looks once more through all objects for cycles of dead ones, a fifth of what a
# command takes of the processor; what it would free goes with the process.
atexit.register(gc.freeze)


@contextmanager
def errors_as_exits() -> Iterator[None]:
    """
    Turn what users can cause into a sentence and an exit code, and leave no core dump.

    Errors quote an API, a bundle or a server: none of that steers the terminal.

    Around every task of `inv` and `fab`, as a decorator.
    """
    _forbid_dumps()
    gc.set_threshold(_BETWEEN_COLLECTIONS)
    try:
        with standard_streams():
            yield
    except FabnodeError as error:
        advice = f"\nnext: {error.advice}" if error.advice else ""
        raise Exit(clean(f"{error.message}{advice}", lines=True), error.exit_code) from error
    except KeyboardInterrupt as error:
        raise Exit("interrupted; the same command continues from here", INTERRUPTED) from error


def _forbid_dumps() -> None:
    # Tokens, keys and passwords are in our memory. Unlike a limit of zero this also keeps programs
    # that are handed dumps from getting one, and other processes of the user from reading it.
    import ctypes  # here: what only lists tasks has no secrets

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextmanager
def standard_streams() -> Iterator[None]:
    """
    Make up for those that are closed; a full disk is a sentence.

    An output that nobody reads any more, as behind `| head`, ends the program quietly.

    :raises Exit: where the output takes no more.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nothing = Path(os.devnull).open(mode)  # noqa: SIM115 - open as long as the program runs
            setattr(sys, name, nothing)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename or error.errno not in {errno.EPIPE, errno.ENOSPC}:
            raise
        # Python flushes once more when it ends; what is left goes nowhere then.
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            raise Exit(code=NOBODY_READS) from error
        raise Exit(f"the output ends here: {error.strerror}", FAILED) from error
