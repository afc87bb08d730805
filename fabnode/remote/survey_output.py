"""Parser of `scripts/survey`'s output, and of the record from before the first change. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..node.facts import PathFact
from ..node.machine_ids import MachineIds
from ..node.surroundings import MountPoint, Sandbox, Surroundings, Survey, UnitState
from ..util.sanitize import clean
from .file_modes import kind_of, permissions_of
from .limits import (
    RECORD_LINES,
    SANDBOXES,
    SURVEY_LETTERS,
    SURVEY_LINES,
    MalformedError,
    Tally,
    fits,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_INTERFACE = re.compile(r"\d+: ([^:@\s]{1,40})(?:@[^:\s]+)?: ", re.ASCII)
_PATH = re.compile(r"([0-9a-f]{1,8})\|(\d{1,10})\|(\d{1,10})\|(\d{1,19})\|(/.*)", re.ASCII)
_NAME = re.compile(r"[\w.:@-]{1,253}", re.ASCII)
_ESCAPED = re.compile(r"\\([0-7]{3})")
_PROGRAMS = {f"{p}{b}" for p in ("iptables", "ip6tables") for b in ("", "-nft", "-legacy")}
_MANY = 100_000  # of lines of all kinds


def parse(output: bytes, *, nonce: str) -> Survey:
    """
    Return what a survey saw.

    :param nonce: what the last line must hold, which shows that the answer is complete.
    :raises MalformedError: for anything that the survey would not print.
    """
    lines = output.decode("utf-8", "replace").split("\n")
    if lines[-2:] != [f"end\t{nonce}", ""]:
        raise MalformedError("the answer is cut off")
    found = _Found()
    for line in lines[:-2]:
        if not found.take(clean(line, lines=True).split("\t")):
            raise MalformedError(f"an unexpected line {line[:60]!r}")
    return found.survey()


def parse_record(lines: Iterable[str]) -> Surroundings:
    """
    Return what the record from before the first change holds.

    :raises MalformedError: for anything that is no such record.
    """
    seen = _Seen()
    for line in lines:
        if not seen.take(clean(line, lines=True).split("\t")):
            raise MalformedError(f"an unexpected line {line[:60]!r} in the record")
    return seen.surroundings()


@dataclass(slots=True)
class _Seen:
    """Surroundings while their lines come in."""

    tally: Tally = field(default_factory=Tally)
    plain: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    families: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    filters: dict[str, list[str]] = field(default_factory=dict)
    interfaces: dict[str, str] = field(default_factory=dict)
    mounts: list[MountPoint] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    paths: dict[str, PathFact] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)

    def take(self, fields: list[str]) -> bool:
        """Store a line; False: there is no such line. The last field may hold tabs."""
        tag = fields[0]
        self.tally.one_more("lines", SURVEY_LINES, tag)
        fits("\t".join(fields), SURVEY_LETTERS + 80, "a line")
        match fields:
            case ["interface", *line] if match := _INTERFACE.match("\t".join(line)):
                self.interfaces[match[1]] = "\t".join(line)
            case [
                "machine"
                | "asked"
                | "address"
                | "nft"
                | "ipset"
                | "module"
                | "swap"
                | "user"
                | "unit"
                | "filled"
                | "lacks" as tag,
                *line,
            ]:
                self.plain[tag].append("\t".join(line))
            case ["route" | "rule" as tag, "4" | "6" as family, *line]:
                self.families[tag, family].append(" ".join("\t".join(line).split()))
            case ["filter", program, *line] if program in _PROGRAMS:
                self.filters.setdefault(program, []).append("\t".join(line))
            case ["mount", kind, root, place] if place.startswith("/"):
                self.mounts.append(MountPoint(kind, _unescaped(root), _unescaped(place)))
            case ["setting", *line]:
                path, _, value = "\t".join(line).partition(":")
                self.settings[path] = value
            case ["path", *line] if match := _PATH.fullmatch("\t".join(line)):
                self.paths[match[5]] = _path_fact(match)
            case ["cut", *what]:
                self.cut.add(" ".join(what))
            case _:
                return False
        return True

    def surroundings(self) -> Surroundings:
        """Return all of it."""
        plain = self.plain
        return Surroundings(
            machine="".join(plain["machine"][:1]),
            interfaces=self.interfaces,
            addresses=tuple(plain["address"]),
            routes={f: tuple(lines) for (tag, f), lines in self.families.items() if tag == "route"},
            rules={f: tuple(lines) for (tag, f), lines in self.families.items() if tag == "rule"},
            filters={name: tuple(lines) for name, lines in self.filters.items()},
            nft=tuple(plain["nft"]),
            sets=tuple(name for name in plain["ipset"] if _NAME.fullmatch(name)),
            mounts=tuple(self.mounts),
            modules=frozenset(plain["module"]),
            swaps=tuple(plain["swap"]),
            users=tuple(plain["user"]),
            settings=self.settings,
            units=_units(plain["unit"]),
            paths=self.paths,
            asked=frozenset(plain["asked"]),
            filled=frozenset(plain["filled"]),
            lacks=frozenset(plain["lacks"]),
            cut=frozenset(self.cut),
        )


@dataclass(slots=True)
class _Found:
    """A survey while its lines come in."""

    now: _Seen = field(default_factory=_Seen)
    before: list[str] | None = None
    own: list[str] = field(default_factory=list)
    kept: dict[str, PathFact] = field(default_factory=dict)
    managed: set[str] = field(default_factory=set)
    sandboxes: list[Sandbox] = field(default_factory=list)
    namespaces: dict[str, tuple[int, int]] = field(default_factory=dict)
    containers: list[str] = field(default_factory=list)
    answers: bool = False
    shims: int = 0
    processes: int = 0
    cgroups: list[str] = field(default_factory=list)
    untrusted: list[str] = field(default_factory=list)
    quarantine: bool = False
    begun: str = ""
    ids: MachineIds = field(default_factory=MachineIds)
    count: int = 0

    def take(self, fields: list[str]) -> bool:
        self.count += 1
        if self.count > _MANY:
            raise MalformedError(f"more than {_MANY} lines")
        match fields:
            case ["before", *line]:
                self.before = self.before or []
                if len(self.before) >= RECORD_LINES:
                    raise MalformedError(f"a record of more than {RECORD_LINES} lines")
                self.before.append("\t".join(line))
            case ["own", *path] if len(self.own) < 100:
                self.own.append("\t".join(path))
            case ["kept", *line] if match := _PATH.fullmatch("\t".join(line)):
                self.kept[match[5]] = _path_fact(match)
            case ["managed", *path]:
                self.managed.add("\t".join(path))
            case ["begun", *text]:
                self.begun = " ".join(text)[:300]
            case ["quarantine"]:
                self.quarantine = True
            case ["runtime"]:
                self.answers = True
            case ["namespace", name, containers, images] if _NAME.fullmatch(name):
                self.namespaces[name] = (_whole(containers), _whole(images))
            case ["sandbox", name, daemon, netns, namespace, pod] if (
                _NAME.fullmatch(name) and len(self.sandboxes) < SANDBOXES
            ):
                self.sandboxes.append(Sandbox(name, namespace, pod, daemon == "1", netns))
            case ["ids", machine, boot, hardware]:
                self.ids = MachineIds.of(machine, boot, hardware)
            case ["others_container", name] if _NAME.fullmatch(name):
                self.containers.append(name)
            case ["shims", count]:
                self.shims = _whole(count)
            case ["processes", count]:
                self.processes = _whole(count)
            case ["untrusted", *path] if len(self.untrusted) < 10:
                self.untrusted.append("\t".join(path))
            case ["cgroup", path] if len(self.cgroups) < 60:
                self.cgroups.append(path)
            case _:
                return self.now.take(fields)
        return True

    def survey(self) -> Survey:
        """Return all of it."""
        return Survey(
            now=self.now.surroundings(),
            before=None if self.before is None else parse_record(self.before),
            own=tuple(self.own),
            kept=self.kept,
            managed=frozenset(self.managed),
            sandboxes=tuple(self.sandboxes) if self.answers else None,
            namespaces=self.namespaces,
            containers=tuple(self.containers),
            shims=self.shims,
            processes=self.processes,
            cgroups=tuple(self.cgroups),
            untrusted=tuple(self.untrusted),
            quarantine=self.quarantine,
            begun=self.begun,
            ids=self.ids,
        )


def _units(lines: list[str]) -> dict[str, UnitState]:
    """Return units by their names; there is an empty line between two."""
    units: dict[str, UnitState] = {}
    one: dict[str, str] = {}
    for line in [*lines, ""]:
        key, equals, value = line.partition("=")
        if equals:
            one[key] = value
        elif one:
            units[one.get("Id", "")] = UnitState(
                one.get("LoadState", "not-found"),
                one.get("ActiveState", "inactive"),
                one.get("UnitFileState", ""),
                one.get("FragmentPath", ""),
            )
            one = {}
    return units


def _path_fact(match: re.Match[str]) -> PathFact:
    """Return what `stat` shows of a path."""
    bits = int(match[1], 16)
    owner, group, size = int(match[2]), int(match[3]), int(match[4])
    return PathFact(kind_of(bits), permissions_of(bits), owner, group, size)


def _unescaped(path: str) -> str:
    """Return a path of mountinfo as it is: blanks and such are octal there."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), path)


def _whole(text: str) -> int:
    if not text.strip().isdecimal() or len(text) > 12:
        raise MalformedError(f"not a number: {text[:40]!r}")
    return int(text)
