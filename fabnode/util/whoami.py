"""Who runs this: the name that a run leaves on objects in the cluster."""

from __future__ import annotations

import getpass
import os
import socket


def whoami() -> str:
    """Return `user@host`; the uid stands for a user whom passwd does not name."""
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in passwd
        return str(os.getuid())
