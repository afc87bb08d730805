"""Paths as people write them: `~` and `~somebody` are home directories."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import InputError


def typed_path(text: str | Path, option: str = "") -> Path:
    """
    Return the path that somebody has typed, with its home directory put in.

    :param option: what it was given with; it begins the error.
    :raises InputError: there is no such home directory, or no path may have such characters.
    """
    shown = f"{option} {text}" if option else str(text)
    try:
        if b"\0" in os.fsencode(text):
            raise ValueError
        return Path(text).expanduser()
    except ValueError:  # among them, what can't be encoded
        raise InputError(f"{shown!r}: no path has such characters", "type it again") from None
    except RuntimeError:
        raise InputError(
            f"{shown}: no user of this machine has that home directory",
            "write the path out from / on",
        ) from None
