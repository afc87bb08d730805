"""Parser of `scripts/doctor`'s output. Pure; MalformedError for hostile output."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..node.symptoms import Line, Listening, Runtime, Symptoms, UnitSeen
from ..util.sanitize import clean
from .limits import JOURNAL_LETTERS, JOURNAL_LINES, LISTENERS, NAMES, MalformedError, Tally, fits

if TYPE_CHECKING:
    from ..node.symptoms import ProbeTargets

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
# `1764460000.123456 host program[12]: text`, as of `journalctl -o short-unix`
_JOURNAL = re.compile(r"(\d{1,12}\.\d{1,6}) \S{1,255} (.*)", re.ASCII)
_PROGRAM = re.compile(r"(?P<program>[^\s\[\]:]{1,100})(\[\d{1,10}\])?: (?P<text>.*)")
_RESULT = re.compile(r"[a-z-]{0,40}", re.ASCII)
_NAME = 255
_STATES = frozenset("RSDZTtXxKWPI")
_ANSWERS: dict[str, Runtime] = {"answers": "answers", "refuses": "refuses", "hangs": "hangs"}


def parse(output: bytes, *, nonce: str, place: ProbeTargets) -> Symptoms:
    """
    Return the symptoms in the program's output.

    :param nonce: what the last line must hold, which shows that the answer is complete.
    :param place: what was asked for; nothing else is accepted.
    :raises MalformedError: for anything the program would not print.
    """
    lines = output.decode("utf-8", "replace").split("\n")
    if lines[-2:] != [f"end\t{nonce}", ""]:
        raise MalformedError("the answer is cut off")
    found = _Found(place)
    for line in lines[:-2]:
        if not found.take(clean(line, lines=True).split("\t")):
            raise MalformedError(f"an unexpected line {line[:60]!r}")
    return found.symptoms()


@dataclass(slots=True)
class _Found:
    """Symptoms while their lines come in."""

    place: ProbeTargets
    now: float = 0.0
    services: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    journals: dict[str, list[Line]] = field(default_factory=lambda: defaultdict(list))
    older: set[str] = field(default_factory=set)
    listening: list[Listening] = field(default_factory=list)
    confs: list[str] = field(default_factory=list)
    plugins: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unwritable: list[str] = field(default_factory=list)
    memory: int = 0
    tasks: tuple[int, int] = (0, 0)
    socket: bool = True
    runtime: Runtime = "unknown"
    resolves: bool | None = None
    tally: Tally = field(default_factory=Tally)

    def take(self, fields: list[str]) -> bool:
        """Store what a line reports; False: no such line exists. The last field may hold tabs."""
        count = self.tally.one_more
        match fields:
            case ["now", value]:
                self.now = _number(value)
            case ["service", unit, setting] if unit in self.place.services:
                key, _, value = setting.partition("=")
                self.services[unit][key] = fits(value, 40, "a setting")
            case ["journal" | "cut" as kind, unit, *rest] if unit in self.place.services:
                count("lines", JOURNAL_LINES, unit)
                text = fits("\t".join(rest), JOURNAL_LETTERS, "a line")
                self._line(unit, text, cut=kind == "cut")
            case ["older", unit] if unit in self.place.services:
                self.older.add(unit)
            case ["listens", port, *name] if port.isascii() and port.isdigit():
                count("listeners", LISTENERS)
                if int(port) not in self.place.ports:
                    return False
                self.listening.append(Listening(int(port), fits("\t".join(name), _NAME, "a name")))
            case ["conf" | "plugin" as kind, name]:
                count("names", NAMES, kind)
                into = self.confs if kind == "conf" else self.plugins
                into.append(fits(name, _NAME, "a name"))
            case ["missing", path] if path in self.place.folders:
                self.missing.append(path)
            case ["unwritable", path] if path in self.place.folders:
                self.unwritable.append(path)
            case ["memory", ""]:
                pass  # before Linux 3.14
            case ["memory", kib]:
                self.memory = int(_number(kib)) * 1024
            case ["tasks", used, most]:
                self.tasks = int(_number(used)), int(_number(most))
            case ["no_socket"]:
                self.socket = False
            case ["runtime", answer] if answer in _ANSWERS:
                self.runtime = _ANSWERS[answer]
            case ["resolves", "yes" | "no" as answer]:
                self.resolves = answer == "yes"
            case _:
                return False
        return True

    def _line(self, unit: str, text: str, *, cut: bool) -> None:
        """Store a line of a journal; of those that systemd wrote its name stays away."""
        if not (found := _JOURNAL.fullmatch(text)):
            return  # `-- Boot …`, or the rest of a line that has several
        of = _PROGRAM.fullmatch(found[2])
        line = of["text"] if of else found[2]
        self.journals[unit].append(Line(float(found[1]), line, cut))

    def symptoms(self) -> Symptoms:
        """Return what was found."""
        # The runtime takes the first by its name, of those that end so (containerd/go-cni).
        ends = (".conf", ".conflist", ".json")
        return Symptoms(
            now=self.now,
            units={
                unit: _unit(
                    self.services[unit],
                    tuple(self.journals[unit]),
                    older=unit in self.older,
                )
                for unit in self.place.services
            },
            listening=tuple(self.listening),
            confs=tuple(sorted(name for name in self.confs if name.endswith(ends))),
            plugins=frozenset(self.plugins),
            memory=self.memory,
            tasks=self.tasks[0],
            most_tasks=self.tasks[1],
            missing=tuple(dict.fromkeys(self.missing)),
            unwritable=tuple(dict.fromkeys(self.unwritable)),
            socket=self.socket,
            runtime=self.runtime,
            resolves=self.resolves,
        )


def _unit(shown: dict[str, str], journal: tuple[Line, ...], *, older: bool) -> UnitSeen:
    result, process = shown.get("Result", ""), shown.get("Process", "")
    if not _RESULT.fullmatch(result) or (process and process not in _STATES):
        raise MalformedError("an unexpected state of a service")
    status = shown.get("ExecMainStatus", "") or "0"
    return UnitSeen(result, int(_number(status)), process, journal, older)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise MalformedError(f"{text[:40]!r} is not a number")
    return float(text)
