"""Modes of files as `stat` prints them: what a path is, and what may be done with it."""

from __future__ import annotations

_KINDS = {0x8000: "file", 0x4000: "directory", 0xA000: "symlink"}


def kind_of(bits: int) -> str:
    """Return the kind of a path, as `PathFact` has it."""
    return _KINDS.get(bits & 0xF000, "other")


def permissions_of(bits: int) -> int:
    """Return the permissions of a path, with setuid, setgid and the sticky bit."""
    return bits & 0o7777
