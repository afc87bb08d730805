"""Quoting of words and paths in systemd's unit files (systemd.syntax, systemd.service)."""

from __future__ import annotations

from .errors import InputError

_NEVER = set("\\$")


class NoUnitTextError(InputError):
    """A text that can't stand in a unit file; the sentence names it and why."""


def specifiers(text: str) -> str:
    """
    Return a path for a setting that takes one to the end of the line, such as WorkingDirectory.

    :raises NoUnitTextError: where it holds what unit files have another meaning for.
    """
    if bad := {c for c in text if c in _NEVER or not c.isprintable()}:
        shown = " ".join(sorted(map(repr, bad)))
        raise NoUnitTextError(f"a path in a unit may not have {shown} in it: {text!r}")
    if text != text.strip():
        raise NoUnitTextError(f"a path in a unit may not begin or end with a blank: {text!r}")
    return text.replace("%", "%%")


def word(text: str) -> str:
    """
    Return one word of a command line, whatever quotes and blanks are in it.

    :raises NoUnitTextError: as `specifiers` does.
    """
    return '"' + specifiers(text).replace('"', '\\"') + '"'
