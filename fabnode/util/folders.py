"""The user's folders for fabnode, by the XDG base directory specification."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from shlex import quote

from .errors import InputError


class ForeignFolderError(InputError):
    """A cache folder that another user could fill."""


def state_dir() -> Path:
    """Return the folder for what fabnode keeps between runs (XDG_STATE_HOME)."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def cache_path() -> Path:
    """Return the path of the cache folder (XDG_CACHE_HOME), whether it exists or not."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def cache_dir() -> Path:
    """
    Return the cache folder, to which nobody else has access.

    What lies in it is believed (digests) or installed, so it has to be the user's own.

    :raises ForeignFolderError: it is somebody else's, or others could write in it until now.
    """
    folder = cache_path()
    with suppress(OSError):  # where it can't be made, whoever writes there fails with the reason
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        found = folder.stat()
        if found.st_uid != os.geteuid():
            raise ForeignFolderError(
                f"{folder} belongs to uid {found.st_uid}, who could change what is installed from"
                " it",
                "run as that user, or set XDG_CACHE_HOME to a folder of your own",
            )
        if found.st_mode & 0o022:
            raise ForeignFolderError(
                f"others may write in {folder} (mode {found.st_mode & 0o7777:04o}), and what is"
                " installed from it may be theirs",
                f"remove it: rm -r {quote(str(folder))}",
            )
        if found.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError:
        pass
    return folder


def _xdg(variable: str, default: str) -> Path:
    # The specification ignores relative paths.
    base = Path(os.environ.get(variable, ""))
    return (base if base.is_absolute() else Path.home() / default) / "fabnode"
