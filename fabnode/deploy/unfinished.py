"""
Records of resets that were begun, on the host and with the deployer that began it; of sets kept.

Neither needs the cluster, which knows nothing of a reset, and of a removal nothing any more once
its Node object has gone. Each is written before the first change, and goes with the last one or
when the host is made a node again. The deployer's is of one cluster: others have nodes of that
name. A set that a host keeps before an upgrade is noted here as well.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..node import layout
from ..node.plan import Change
from ..node.resources import Trace
from ..upkeep.objects import line
from ..util import program
from ..util.folders import state_dir
from ..util.whoami import whoami

if TYPE_CHECKING:
    from pathlib import Path

    from ..config.configuration import Config
    from ..node.reset import Reset

_LONGEST = 300


def text_of(task: str) -> str:
    """Return what is recorded of a task that begins now: what, by whom, since when."""
    return f"{task} by {whoami()} since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def change_of(todo: Reset, state: str, text: str) -> tuple[Change, ...]:
    """Return the change that records it on its host; none where fabnode has no folder there."""
    if not any(change.kind == "records" for change in todo.changes):
        return ()
    return (Change(Trace("begun", state, (text,)), "create", "until all of it is done"),)


def begin(config: Config, node: str, text: str) -> str:
    """Record with this deployer that a node's reset has begun; return what is recorded."""
    if earlier := find(config, node):
        return earlier
    _write(_path(config, node), text)
    return text


def end(config: Config, node: str) -> None:
    """Forget it."""
    _remove(_path(config, node))


def keep(config: Config, node: str, text: str) -> None:
    """Record with this deployer that a host keeps what ran before an upgrade; it says so itself."""
    _write(_path(config, node, _KEPT), text)


def forget(config: Config, node: str) -> None:
    """Forget what is kept there: it is not any more."""
    _remove(_path(config, node, _KEPT))


def kept(config: Config, node: str) -> str:
    """Return what this deployer has recorded of a set that a host keeps; empty: there is none."""
    return _read(_path(config, node, _KEPT))


def find(config: Config, node: str) -> str:
    """Return what this deployer has recorded of a node; empty: nothing is unfinished."""
    return _read(_path(config, node))


def shown(text: str) -> str:
    """Return a record as it is shown, whoever wrote it."""
    return line(text[:_LONGEST].strip())


def read_command(state: str) -> str:
    """Return the command that prints a host's record; nothing where root has written none."""
    path = f"{state}/resetting"
    owned = [
        f'[ "$(stat -c %u:%F {each} 2>/dev/null)" = "0:{kind}" ]'
        for each, kind in ((state, "directory"), (path, "regular file"))
    ]
    return f"{' && '.join(owned)} && head -c {_LONGEST} {path} || :"


NOT_KEPT = "nothing is kept"


def kept_command(state: str) -> str:
    """Return the command that prints `NOT_KEPT` where a host keeps nothing of before an upgrade."""
    return f"[ -f {layout.kept_tag(state)} ] || echo {NOT_KEPT}"


def in_flight(node: str, text: str) -> str:
    """Return an unfinished reset or removal in a line, with what goes on with it."""
    task = text.partition(" ")[0]
    again = f": {program.task(f'{task} --limit {node}')} goes on" if task in _TASKS else ""
    return f"unfinished: {text}{again}"


_TASKS = frozenset({"reset", "remove-node"})
_RESETS, _KEPT = "unfinished", "kept"


def _write(path: Path, text: str) -> None:
    with suppress(OSError):  # the host's own record tells as much
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(f"{text}\n", "utf-8")


def _read(path: Path) -> str:
    try:
        return shown(path.read_text("utf-8", "replace"))
    except OSError:
        return ""


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _path(config: Config, node: str, kind: str = _RESETS) -> Path:
    cluster = hashlib.sha256(config.ca_pem).hexdigest()[:16]
    return state_dir() / kind / f"{node}-{cluster}.txt"
