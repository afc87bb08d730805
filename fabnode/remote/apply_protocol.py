"""Parser of the apply script's progress lines: events while it runs, and its result."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from pathlib import PurePosixPath
from shlex import quote
from typing import TYPE_CHECKING, Literal

from ..node.host_tools import FAULT_QUOTED
from ..node.resources import Binary, Command, Directory, File, Image, Module, Sysctl
from ..node.unit_words import last_words
from ..ssh.errors import ApplyError, HostMisbehavedError
from ..util.sanitize import clean, last_lines
from . import unit_monitor
from .limits import RECORD_LINES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..node.plan import Change, Plan
    from ..ssh.exec import Result
    from .payload import Course

_MOST_KEYS = 20  # a kubelet that restarts may create another one
_LOG_LINES = 25  # of a unit's journal, shown with a failure
_LONGEST = 2**14
_LONGEST_WHY = 200
_RETURNED = "its kubelet runs with its old credentials again"
_PREVIOUS = {
    True: "{unit} has its previous files again, and runs",
    False: "{unit} has its previous files again, but does not start with them either",
}
_MOST_STARTED = 20
_UNIT = re.compile(r"[A-Za-z0-9@:._-]{1,100}", re.ASCII).fullmatch
_TIME = re.compile(r"[0-9]{9,10}", re.ASCII).fullmatch
_NUMBER = re.compile(r"[0-9]{1,9}").fullmatch
_PACKED_FORM = "its packed form"  # scripts/apply/digests.sh
_DAMAGED = (
    "run the same command again: it examines what is packed here before that; if it fails again,"
    " check disk and memory of this machine and of that host"
)
_JOURNAL = re.compile(r"^the journal of (\S+) ends with:$", re.MULTILINE)  # scripts/apply/units.sh


@dataclass(frozen=True, slots=True)
class ApplyEvent:
    """
    Something happened on the node.

    :param change: what is being done; None for waiting until started units are steady.
    :param seconds: for `done`: how long it took.
    :param key: for `key`: the public half of the key that waits on the node, in OpenSSH's form.
    :param record: for `record`: lines that describe the host before its first change.
    """

    state: Literal["start", "done", "fail", "key", "record"]
    change: Change | None
    seconds: float = 0.0
    key: str = ""
    record: tuple[str, ...] = ()


class Exchange:
    """
    Follows the lines that `scripts/apply` prints.

    :param on_event: called at each action's start and end.
    :param course: notified of parts that come from neighbours; None: none do.
    :ivar started: units that were started and came up, each with the time (unix, by the host's own
        clock) of the last start.
    """

    def __init__(
        self,
        node: str,
        plan: Plan,
        on_event: Callable[[ApplyEvent], None],
        course: Course | None = None,
    ) -> None:
        self._node = node
        self._plan = plan
        self._on_event = on_event
        self._course = course
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._failed: str | None = None
        self._busy = False
        self._ended = False
        self._returned = False  # credentials that were to be superseded
        self._restored: dict[str, bool] = {}  # units with their previous files: is it up?
        self._begun: str | None = None  # the action that is being done
        self._keys = 0
        self._record: list[str] = []  # the host as it was before its first change
        self._units = frozenset(change.name for change in plan.restarts)
        self.seconds: list[float] = []
        self.started: dict[str, float] = {}

    def line(self, line: bytes) -> None:
        """Handle a line. Raises HostMisbehavedError for one that the script never prints."""
        if len(line) > _LONGEST and not line.startswith(b"log\t"):  # a tool's lines may be long
            raise HostMisbehavedError(self._node, f"it answered a line of {len(line)} bytes")
        match line.decode("utf-8", "replace").split("\t"):
            # Each action begins once, in its turn: a host can't flood us with the same again.
            case ["baseline", *text] if self._begun is None and not self.seconds:
                self._record.append("\t".join(text))
                if len(self._record) > RECORD_LINES:
                    raise HostMisbehavedError(
                        self._node, f"it records more than {RECORD_LINES} lines"
                    )
            case ["start", number] if not self._begun and number == str(len(self.seconds)):
                if self._record:
                    self._on_event(ApplyEvent("record", None, record=tuple(self._record)))
                    self._record = []
                self._begun = number
                self._on_event(ApplyEvent("start", self._change(number)))
            case ["done", number, hundredths] if number == self._begun and _NUMBER(hundredths):
                self._begun = None
                self.seconds.append(int(hundredths) / 100)
                self._on_event(ApplyEvent("done", self._change(number), self.seconds[-1]))
            case ["fail", number] if number == self._begun and self._failed is None:
                self._on_event(ApplyEvent("fail", self._change(number)))
                self._failed = number
            case ["key", number, key] if number == self._begun and self._keys < _MOST_KEYS:
                self._keys += 1
                self._on_event(ApplyEvent("key", self._change(number), key=key))
            case ["started", unit, seconds] if self._begun and self._is_start(unit, seconds):
                self.started[unit] = float(seconds)
            case ["part", *words] if self._course:
                self._part(self._course, words)
            case ["log", _, *text]:
                self._log.append("\t".join(text)[:_LONGEST])
            case ["returned"]:
                self._returned = True
            case ["restored", unit, ("up" | "down") as state] if unit in self._units:
                self._restored[unit] = state == "up"
            case ["busy"]:
                self._busy = True
            case ["end"]:
                self._ended = True
            case ["beat"]:
                pass
            case other:
                raise HostMisbehavedError(
                    self._node, f"it answered {other[0][:60]!r} instead of running the script"
                )

    def _is_start(self, unit: str, seconds: str) -> bool:
        known = unit in self.started or len(self.started) < _MOST_STARTED
        return known and bool(_UNIT(unit)) and bool(_TIME(seconds))

    def _part(self, course: Course, words: list[str]) -> None:
        """Pass on what the host says of a part; whether it was to get that one, others judge."""
        match words:
            case ["-", "ready"]:
                course.begun()
            case [sha256, ("held" | "shared") as state]:
                course.held(sha256, shared=state == "shared")
            case [sha256, ("unreachable" | "broken" | "wrong") as why, *text]:
                course.missed(sha256, why, clean("\t".join(text))[:_LONGEST_WHY])
            case _:
                raise HostMisbehavedError(self._node, f"it reports a part {words[:2]!r:.80}")

    def failure(self, result: Result) -> ApplyError | None:
        """Return why the plan was not carried out; None when it was."""
        # tar's complaints come by stderr, as do the shell's own (a log that can't be written).
        output = last_lines(
            "\n".join((*self._log, result.stderr.decode("utf-8", "replace"))), _LOG_LINES
        )
        if self._busy:
            cause, advice = (
                "another run of fabnode is changing this node",
                "wait for that run to end",
            )
            return ApplyError(self._node, cause, advice, action="begin", detail=output)
        if self._failed is not None:
            change = self._change(self._failed)
            action = f"{change.action} {change.name}" if change else "wait for its units"
            reason, unit = _reason(output)
            cause = f"{action}: {reason}"
            if self._returned:
                cause = f"{_RETURNED}: {cause}"  # first: a cause may be long, and cut
            for restored, up in self._restored.items():
                cause = f"{_PREVIOUS[up].format(unit=restored)}: {cause}"
            advice = unit_monitor.see(self._node, unit) if unit else _advice(change)
            if _PACKED_FORM in reason:
                advice = _DAMAGED
            return ApplyError(self._node, cause, advice, action=action, detail=output, unit=unit)
        count, total = len(self.seconds), len(self._plan.changes)
        if result.code or not self._ended or count < total:
            reason = output.split("\n")[0] or f"{count} of {total} actions, status {result.code}"
            cause = f"the apply script failed there: {reason}"
            advice = FAULT_QUOTED
            return ApplyError(self._node, cause, advice, action="begin", detail=output)
        return None

    @property
    def failed_part(self) -> str:
        """The sha256 of the artifact that could not be installed or imported; empty: none."""
        change = self._change(self._failed) if self._failed is not None else None
        resource = change.resource if change else None
        return resource.sha256 if isinstance(resource, Binary | Image) else ""

    def _change(self, number: str) -> Change | None:
        changes = self._plan.changes
        if not number.isdecimal() or len(number) > 6 or int(number) > len(changes):
            raise HostMisbehavedError(self._node, f"it reports an action {number[:20]!r}")
        return changes[int(number)] if int(number) < len(changes) else None


def _advice(change: Change | None) -> str:
    if change and change.copied_from:
        return "run the same command again: what the host has not got then is sent"
    match change and change.resource:
        case Command():
            return "correct the hook, or what it needs on that host, and run the same command again"
        case Module(name=name):
            return f"`modprobe -v {quote(name)}` there shows why; then run the same command again"
        case Sysctl(key=key, value=value):
            return f"`sysctl -w {quote(f'{key}={value}')}` there shows why it can't be set"
        case File(path=path) | Binary(path=path) | Directory(path=path):
            folder = quote(str(PurePosixPath(path).parent))
            return f"`df -h {folder}; df -i {folder}; lsattr -d {folder}` there; {FAULT_QUOTED}"
        case _:
            return FAULT_QUOTED


def _reason(detail: str) -> tuple[str, str]:
    """Return the cause of a failure in a line, and the unit whose journal it is from."""
    first, _, rest = detail.partition("\n")
    if found := _JOURNAL.search(rest):
        return first + last_words(rest[found.end() :], found[1]), found[1]
    return first or "it failed", ""
