"""
Plan: resources of a node that differ from its facts, and units to restart. Pure.

The dry run is this plan, and applying carries out this very plan: there is no second opinion.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from ..util.errors import FabnodeError
from ..util.image_reference import ImageReference
from ..util.sanitize import clean, cut
from . import copies
from .resources import (
    Absent,
    Binary,
    ClientCertificate,
    Command,
    Directory,
    ExistingSecret,
    File,
    Image,
    Module,
    Reload,
    RemovedUnit,
    Resource,
    Restart,
    Retired,
    RulesOnce,
    Superseded,
    Sysctl,
    Trace,
    Unit,
    UnpinnedImage,
    own_parents,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .facts import Facts, PathFact

Action = Literal[
    "create",
    "update",
    "mode",
    "remove",
    "load",
    "set",
    "import",
    "pin",
    "unpin",
    "start",
    "restart",
    "enable",
    "join",
    "quarantine",
    "delete",
    "reload",
    "run",
    "stop",
    "unmount",
    "restore",
    "keep",
]

# States of a unit that is started at boot, or is not the kind that can be enabled.
_ENABLED = {"enabled", "static", "alias", "indirect", "generated"}
_STOPPED = {"inactive", "failed", "unknown"}
_SHORT = 12

_CONTEXT, _COMPARED, _SHOWN, _LONGEST = 3, 1000, 400, 2000  # lines, but the last: letters of one
_LINES = re.compile(r"(?<=[-+])\d+")  # where a hunk begins, in its head


class ConflictError(FabnodeError):
    """Something is in the way that fabnode does not remove by itself; the text names it all."""

    advice = "check what it is, and move it away"


@dataclass(frozen=True, slots=True)
class Change:
    """
    One thing to do on a node.

    :param action: `mode` touches mode and owner only, of what root alone could write;
        `restart` and `start` enable as well.
    :param why: one clause. Of a secret's content: that it differs, and no digest by which
        a guess could be tried.
    :param diff: unified diff of a text file that is no secret, cleaned and cut; None for all else.
    :param reload: systemd has to reload its unit files before.
    :param copied_from: a program's: which file of the host becomes it; empty: it is sent.
    :param stamp: for units: path → sha256 of what is in place when it starts, None where the
        content is made only when the plan is carried out.
    """

    resource: Resource
    action: Action
    why: str
    diff: str | None = field(default=None, repr=False)
    reload: bool = False
    copied_from: str = ""
    stamp: Mapping[str, str | None] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """What is changed: a path, a unit, a module, a key, an image."""
        match self.resource:
            case (
                Module(name=name)
                | Unit(name=name)
                | RemovedUnit(name=name)
                | UnpinnedImage(name=name)
            ):
                return name
            case Sysctl(key=key):
                return key
            case Image(names=names):
                return ", ".join(names)
            case Restart(unit=name):
                return name
            case Command(title=title):
                return title
            case Trace(name=name):
                return name
            case RulesOnce(table=table):
                return f"duplicate rules of iptables {table}"
            case Reload():
                return "systemd"
            case resource:
                return resource.path

    @property
    def kind(self) -> str:
        """The resource's class in lower case: `file`, `unit`, …."""
        if isinstance(self.resource, Trace):
            return self.resource.kind
        return type(self.resource).__name__.lower()

    @property
    def writes(self) -> bool:
        """Whether it puts new content at a path."""
        return self.action in {"create", "update"} and isinstance(self.resource, File | Binary)

    def to_json(self) -> dict[str, Any]:
        """Return what may be shown: no content but the diff, no secret."""
        fields: dict[str, Any] = {
            "action": self.action,
            "kind": self.kind,
            "name": self.name,
            "why": self.why,
        }
        return fields if self.diff is None else {**fields, "diff": self.diff}


@dataclass(frozen=True, slots=True)
class Plan:
    """
    All that has to change on one node, in the order in which it is done.

    :param due: markers of commands that are due once the first change is made (see `Command`).
    """

    node: str
    changes: tuple[Change, ...] = ()
    due: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the node is as it should be."""
        return not self.changes

    @property
    def restarts(self) -> tuple[Change, ...]:
        """The changes that start or restart a unit."""
        return tuple(c for c in self.changes if c.action in {"start", "restart"})

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON holds it, without secrets."""
        return {
            "node": self.node,
            "changes": [change.to_json() for change in self.changes],
            "restarts": [change.name for change in self.restarts],
        }


def make_plan(node: str, resources: Iterable[Resource], facts: Facts) -> Plan:
    """Return the plan that makes `resources` true on the node. Raises ConflictError."""
    return Plan(node, compare(tuple(resources), facts))


def compare(resources: tuple[Resource, ...], facts: Facts) -> tuple[Change, ...]:
    """
    Return what differs, in the order of `resources`; what is asked for twice is done once.

    A certificate that comes by itself is waited for at the end: what else there is to do is done
    meanwhile. One whose key has to be reported before it can come is waited for in its place.
    What others use until they have changed is removed after that.

    :raises ConflictError: a directory is where a file belongs, or the like.
    """
    wanted = tuple(dict.fromkeys(resources))
    conflicts = [text for resource in wanted if (text := _conflict(resource, facts))]
    if conflicts:
        raise ConflictError("; ".join(dict.fromkeys(conflicts)))
    changes: list[Change] = []
    for resource in wanted:
        changes += _changes(resource, facts, wanted, changes)
    return tuple(sorted(changes, key=lambda change: _turn(change.resource)))


def _turn(resource: Resource) -> int:
    """Return when something is done: 0 in its place, 1 after that, 2 at the end."""
    if isinstance(resource, ClientCertificate) and not resource.key:
        return 2
    return int(isinstance(resource, RemovedUnit) and resource.last)


def short(digest: str | None) -> str:
    """Return a digest as it is shown."""
    return digest[:_SHORT] if digest else "not known yet"


def _conflict(resource: Resource, facts: Facts) -> str:
    for parent in own_parents(getattr(resource, "path", "")):
        # A symlink would lead what we write to where nobody expects it.
        if facts.path(parent).kind not in {"directory", "absent"}:
            return (
                f"{parent} is a {_described(facts.path(parent))}, but a directory is needed there"
            )
    match resource:
        case (
            File(path=path)
            | Binary(path=path)
            | Absent(path=path)
            | Retired(path=path)
            | RemovedUnit(path=path)
        ) if facts.path(path).kind == "directory":
            return f"{path} is a directory, but a file is needed there"
        case Directory(path=path) if facts.path(path).kind not in {"directory", "absent"}:
            return f"{path} is a {_described(facts.path(path))}, but a directory is needed there"
        case Superseded(path=path) if facts.path(path).kind not in {"file", "absent"}:
            return f"{path} is a {_described(facts.path(path))}, but a file is expected there"
        case ExistingSecret(path=path) if facts.known and facts.path(path).kind != "file":
            return f"{path} should be kept but is {_described(facts.path(path))}"
        case ExistingSecret(path=path) if facts.known and not facts.path(path).roots_alone:
            return f"{path} should be kept, but others than root could write it"
    return ""


def _changes(
    resource: Resource, facts: Facts, wanted: tuple[Resource, ...], before: list[Change]
) -> Iterator[Change]:
    match resource:
        case File():
            yield from _file(resource, facts.path(resource.path))
        case Binary():
            for change in _binary(resource, facts.path(resource.path)):
                yield _copied(change, resource, facts, wanted)
        case Directory(path=path) if facts.path(path).kind == "absent":
            yield Change(resource, "create", f"mode {resource.mode:04o}")
        case Directory() | ExistingSecret():
            yield from _mode(resource, facts.path(resource.path))
        case Absent(path=path, remade_by=unit) if unit and facts.path(path).kind != "absent":
            yield Change(resource, "remove", f"{unit} recreates it")
        case Absent(path=path, why=why) if facts.path(path).kind != "absent":
            there = _described(facts.path(path))
            yield Change(resource, "remove", why or f"a {there} that must not exist")
        case Superseded(path=path, why=why) if facts.path(path).kind != "absent":
            yield Change(resource, "quarantine", why)
        case Retired(path=path, why=why) if facts.path(path).kind != "absent":
            yield Change(resource, "remove", why)
        case RemovedUnit(name=name, path=path, why=why):
            found, present = facts.unit(name), facts.path(path).kind != "absent"
            stopped = found.active in _STOPPED and not found.enabled.startswith("enabled")
            if present or not stopped:
                yield Change(resource, "remove", why)
        case Module(name=name) if name not in facts.modules:
            yield Change(resource, "load", resource.why or "is not loaded")
        case Sysctl(key=key, value=value):
            now = facts.sysctls.get(key)
            if now is None or now.split() != value.split():
                yield Change(resource, "set", f"{clean(now) if now else 'unset'} → {value}")
        case Image():
            yield from _image(resource, facts)
        case UnpinnedImage(name=name) if name in facts.pinned:
            yield Change(resource, "unpin", "no archive of artifacts.images brings it any more")
        case Unit():
            yield from _unit(resource, facts, wanted, before)
        case ClientCertificate(missing=why) if why:
            yield Change(resource, "join", why)


def _file(file: File, found: PathFact) -> Iterator[Change]:
    if file.content is None:
        action: Action = "create" if found.kind == "absent" else "update"
        yield Change(file, action, "made for this node when the plan is carried out")
        return
    new = hashlib.sha256(file.content).hexdigest()
    if found.kind == "file" and found.sha256 == new:
        yield from _mode(file, found)
    elif found.kind == "file":
        diff = None if file.secret else text_diff(file.path, found.content, file.content)
        change = "content" if diff else f"content {short(found.sha256)} → {short(new)}"
        if file.secret:
            change = "content differs"
        change = file.why or change
        yield Change(file, "update", change + _mode_differences(file, found), diff)
    else:
        diff = None if file.secret else text_diff(file.path, b"", file.content)
        yield _new(file, found, "" if diff or file.secret else f", content {short(new)}", diff)


def _binary(binary: Binary, found: PathFact) -> Iterator[Change]:
    if found.kind == "file" and found.sha256 == binary.sha256:
        yield from _mode(binary, found)
    elif found.kind == "file":
        change = f"content {short(found.sha256)} → {short(binary.sha256)}"
        yield Change(binary, "update", change + _mode_differences(binary, found))
    else:
        yield _new(binary, found, f", content {short(binary.sha256)}", None)


def _copied(change: Change, binary: Binary, facts: Facts, wanted: tuple[Resource, ...]) -> Change:
    """Return the change as it is done where the host has that very program elsewhere."""
    source = copies.source(binary, facts, wanted) if change.writes else ""
    if not source:
        return change
    why = f"{change.why} (copied from {source} on the host)"
    return replace(change, why=why, copied_from=source)


def _new(resource: File | Binary, found: PathFact, content: str, diff: str | None) -> Change:
    if found.kind == "absent":
        return Change(resource, "create", f"mode {resource.mode:04o}{content}", diff)
    return Change(resource, "update", f"replaces a {_described(found)}{content}", diff)


def _mode(
    resource: File | Binary | Directory | ExistingSecret, found: PathFact
) -> Iterator[Change]:
    differences = _mode_differences(resource, found)
    if differences and isinstance(resource, File | Binary) and not found.roots_alone:
        # Who has it open goes on writing it under any mode: only another inode is root's alone.
        yield Change(resource, "update", f"others than root could write it{differences}")
    elif differences:
        yield Change(resource, "mode", differences.removeprefix(", "))


def _mode_differences(resource: File | Binary | Directory | ExistingSecret, found: PathFact) -> str:
    differences = ""
    if found.mode != resource.mode:
        differences += f", mode {found.mode:04o} → {resource.mode:04o}"
    if (found.uid, found.gid) != (0, 0):
        differences += f", owner {found.uid}:{found.gid} → 0:0"
    return differences


def _image(image: Image, facts: Facts) -> Iterator[Change]:
    present = {ImageReference.parse(name).full for name in facts.images or ()}
    names = {name: ImageReference.parse(name).full for name in image.names}
    missing = [name for name, full in names.items() if full not in present]
    other = [
        name
        for name, full in names.items()
        if facts.image_archives.get(str(full), image.sha256) != image.sha256
    ]
    if missing:
        yield Change(image, "import", f"the runtime lacks {', '.join(missing)}")
    elif other:
        yield Change(image, "import", f"{', '.join(other)} came from another archive")
    elif image.store == "containerd" and (
        loose := [name for name, full in names.items() if str(full) not in facts.pinned]
    ):
        yield Change(image, "pin", f"the kubelet may remove {', '.join(loose)} from a full disk")


def _unit(
    unit: Unit, facts: Facts, wanted: tuple[Resource, ...], before: list[Change]
) -> Iterator[Change]:
    found = facts.unit(unit.name)
    stamp = _stamp(unit, facts, wanted)
    written = [
        c.resource.path for c in before if isinstance(c.resource, File | Binary) and c.writes
    ]
    changed = [path for path in unit.reads if path in written]
    changed += [
        c.name
        for c in before
        if isinstance(c.resource, Absent) and c.resource.remade_by == unit.name
    ]
    # Unit files and their drop-ins, and that it is enabled now: systemd notices when it reloads.
    new_unit_file = found.reload or any("/systemd/system/" in path for path in changed)
    enabled = found.enabled in _ENABLED
    disabled = "" if enabled else f"it is {clean(found.enabled) or 'not enabled'}"
    reload = new_unit_file or not enabled
    if not found.running:
        state = f"{found.active} ({found.sub})" if found.load != "not-found" else "missing"
        yield Change(unit, "start", f"it is {clean(state)}", reload=reload, stamp=stamp)
    elif why := "; ".join(
        filter(
            None,
            (
                _restart_reason(found.stamp, stamp, changed)
                or ("its unit file changed since systemd read it" if new_unit_file else ""),
                unit.restart,
            ),
        )
    ):
        # A restart enables as well: the plan names that, although it is no reason to restart.
        why += f"; {disabled}" if disabled else ""
        yield Change(unit, "restart", why, reload=reload, stamp=stamp)
    elif disabled:
        yield Change(unit, "enable", disabled)


def _restart_reason(
    old: Mapping[str, str], new: Mapping[str, str | None], changed: list[str]
) -> str:
    if changed:
        return f"{', '.join(changed)} change{'s' if len(changed) == 1 else ''}"
    if old == new:
        return ""
    if not old:
        return "fabnode has no record of its start"
    differing = [path for path in {**new, **old} if old.get(path) != new.get(path)]
    return f"it was started before {', '.join(clean(path) for path in differing)} changed"


def _stamp(unit: Unit, facts: Facts, wanted: tuple[Resource, ...]) -> dict[str, str | None]:
    """Return what is in place when the unit starts; ephemeral files are no part of it."""
    digests: dict[str, str | None] = {}
    for resource in wanted:
        match resource:
            case File(path=path, content=content, ephemeral=False) if path in unit.reads:
                digests[path] = None if content is None else hashlib.sha256(content).hexdigest()
            case Binary(path=path, sha256=sha256) if path in unit.reads:
                digests[path] = sha256
            case ExistingSecret(path=path) if path in unit.reads:
                digests[path] = facts.path(path).sha256
    return digests


@lru_cache(64)  # many nodes lack the same files, or have the same others
def text_diff(path: str, old: bytes | None, new: bytes) -> str | None:
    """Return how a text changes, cleaned and cut; None where one is unknown or no text."""
    if old is None:
        return None
    try:
        before, after = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        return None
    return clean("\n".join(_unified(path, before, after)), lines=True)


def _unified(path: str, before: list[str], after: list[str]) -> Iterator[str]:
    """
    Return a unified diff, line by line, cut to what may be shown, with a note of that.

    difflib takes the square of what it compares, and one text is a host's: that is bounded as well,
    beginning where the texts begin to differ.
    """
    start = 0
    if max(len(before), len(after)) > _COMPARED:
        pairs = zip(before, after, strict=False)
        same = next((n for n, (old, new) in enumerate(pairs) if old != new), None)
        start = max(0, (min(len(before), len(after)) if same is None else same) - _CONTEXT)
    ours, theirs = before[start : start + _COMPARED], after[start : start + _COMPARED]
    source = path if before else "/dev/null"
    lines = list(difflib.unified_diff(ours, theirs, source, path, n=_CONTEXT, lineterm=""))
    for line in lines[:_SHOWN]:
        moved = start and line.startswith("@@ ")
        yield cut(_LINES.sub(lambda n: str(int(n[0]) + start), line) if moved else line, _LONGEST)
    if len(lines) > _SHOWN:
        yield f"… {len(lines) - _SHOWN} more lines of this diff are not shown"
    end = start + _COMPARED
    if before[end:] != after[end:]:
        rest = max(len(before), len(after)) - end
        yield f"… {rest} more lines were not compared"


def _described(found: PathFact) -> str:
    return {"other": "device, FIFO or socket", "absent": "missing"}.get(found.kind, found.kind)
