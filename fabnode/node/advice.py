"""
Commands that advice names for root, decided by who controls the path.

Where others than root may put something else in a path's place, that may be a link by the time
somebody follows the advice: `chmod` and `chown` of root's would then change another file.
"""

from __future__ import annotations

from posixpath import dirname
from shlex import quote
from typing import TYPE_CHECKING

from .facts import OTHERS_WRITE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .facts import PathFact

_STICKY = 0o1000


def exchanged_in(path: str, paths: Mapping[str, PathFact]) -> str:
    """
    Return the outermost folder in which others may put something else on the way to a path.

    Empty where there is none: what was not looked at belongs to the system. In a sticky folder
    others exchange their own, not what is root's.
    """
    found = ""
    while path != "/":
        entry, path = paths.get(path), dirname(path)
        folder = paths.get(path)
        if folder is None:
            continue
        kept = folder.mode & _STICKY and (entry is None or not entry.uid)
        if folder.uid or (folder.mode & OTHERS_WRITE and not kept):
            found = path
    return found


def taken_back(path: str, paths: Mapping[str, PathFact]) -> str:
    """
    Return how a path becomes root's alone: commands, or what to fix before.

    A folder's owner and mode say who may write there from now on; who has a file open goes on
    writing it, whatever they are.
    """
    if folder := exchanged_in(path, paths):
        return (
            f"fix {folder} first, then check again: until then others may put a link in the place"
            f" of {path}, and a chown or chmod would change another file"
        )
    found = paths[path]
    if found.kind == "file":
        return f"run on the host: {_recreating(path, found.mode & 0o755)}"
    commands = []
    if found.uid:
        commands.append(f"chown root:root {quote(path)}")
    if found.mode & OTHERS_WRITE:
        commands.append(f"chmod go-w {quote(path)}")
    return f"run on the host: {'; '.join(commands)}"


def _recreating(path: str, mode: int) -> str:
    """Return how a file in a folder of root's alone becomes another inode, with what was read."""
    old, new = quote(path), quote(f"{path}.new")
    return (
        f"install -m {mode:o} {old} {new}, check {new}, then mv {new} {old} (a chown or"
        " chmod leaves it to who has it open)"
    )


def removed(path: str, paths: Mapping[str, PathFact]) -> str:
    """Return how a file is removed: `rm`, once nobody else leads its folder elsewhere."""
    folder = exchanged_in(path, paths)
    return f"{f'fix {folder}, which others may exchange, and ' if folder else ''}rm {quote(path)}"


def closed(path: str, uid: int, *, controlled: bool, written: bool = False) -> str:
    """
    Return how a file is closed to others.

    :param uid: its owner. :param controlled: nobody but root can put something in its place.
    :param written: others could write it, not only read it.
    """
    if controlled and not uid and written:
        return f"replace the secret in it; to keep the file: {_recreating(path, 0o600)}"
    if controlled:
        return f"chmod 600 {quote(path)}"
    if uid:
        # No command for root: as root it may change another file, and as that user (setpriv, su)
        # it is a process of theirs with root's terminal.
        return f"have its owner, uid {uid}, run chmod 600 {quote(path)}"
    return (
        "move it into a folder that is root's alone: here others may put a link in its place, and"
        " a chmod of root's would change another file"
    )


def regained(path: str) -> str:
    """Return how a program, configuration or folder that others may write becomes root's alone."""
    return (
        f"`namei -l {quote(path)}` shows whose each is on its way: from / on, make folders root's"
        " alone (chown, chmod go-w) and check what is in them; rewrite a file from a checked copy:"
        " whoever could write it may still have it open"
    )


def replaced(path: str) -> str:
    """Return how a file that root's programs use, and others may write, becomes root's."""
    return (
        "rewrite it from a checked copy, in a folder that is root's alone"
        f" up to /, and have the setting name that. No chown or chmod of {path}: who may write it"
        " keeps it open, and may put a link to another file in its place"
    )
