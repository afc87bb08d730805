"""Plan of repairs from findings; a repair that is not safe becomes advice in its finding."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..node.resources import EditedFile, ExistingSecret, Quarantined, Reload, Restart, RulesOnce
from .edit import CannotEditError, replace_line, set_flag, set_value, words
from .finding import (
    DeduplicateRules,
    Finding,
    Line,
    Quarantine,
    Repair,
    RestartUnit,
    RestrictMode,
    Setting,
)
from .settings import Settings, flags, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..node.examination import Evidence, Text
    from ..node.resources import Resource

_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    Something to be done, and why.

    :param old: the text before, of a file that is edited.
    """

    resource: Resource
    why: str
    old: bytes | None = None


@dataclass(frozen=True, slots=True)
class Repairs:
    """
    Repairs of a host.

    :param findings: all of them; those that can't be repaired have the reason.
    """

    findings: tuple[Finding, ...]
    wanted: tuple[Wanted, ...]


def repairs(evidence: Evidence, findings: Iterable[Finding]) -> Repairs:
    """Return what is to be done about the findings, in the order in which it is done."""
    bench = _Bench(evidence)
    kept = []
    for finding in findings:
        before = bench.copy()
        try:
            for repair in finding.repairs:
                bench.take(repair, finding.check)
        except CannotEditError as error:
            bench = before
            kept.append(replace(finding, repairs=(), by_hand=str(error)))
        else:
            kept.append(finding)
    return Repairs(tuple(kept), bench.wanted())


class _Bench:
    """Files as they will be, and what else is to be done."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._texts: dict[str, str] = {}
        self._why: dict[str, list[str]] = {}
        self._modes: dict[str, int] = {}
        self._aside: dict[str, str] = {}
        self._rules: dict[str, tuple[str, ...]] = {}
        self._restarts: dict[str, str] = {}

    def copy(self) -> _Bench:
        new = _Bench(self._evidence)
        new._texts = dict(self._texts)
        new._why = {path: list(why) for path, why in self._why.items()}
        new._modes = dict(self._modes)
        new._aside = dict(self._aside)
        new._rules = dict(self._rules)
        new._restarts = dict(self._restarts)
        return new

    def take(self, repair: Repair, check: str) -> None:
        """Add one repair to the others. Raises CannotEditError."""
        match repair:
            case RestrictMode(path=path):
                self._modes[path] = self._evidence.files[path].mode & ~_OTHERS
            case Quarantine(path=path):
                self._aside.setdefault(path, check)
            case DeduplicateRules(table=table, rules=rules):
                self._rules[table] = rules
            case RestartUnit(unit=unit):
                self._may_start(unit)
                self._restarts.setdefault(unit, check)
            case Line(path=path, old=old, new=new):
                self._edit(path, replace_line(self._text(path), old, new), check)
            case Setting():
                self._set(repair, check)

    def _set(self, wanted: Setting, check: str) -> None:
        if not wanted.value and wanted.value is not False and wanted.value != 0:
            raise CannotEditError(
                "no file that is root's alone holds the cluster's CA and nothing else: none can be"
                " its clientCAFile"
            )
        self._may_start(unit_of(wanted.program))
        settings = Settings(self._evidence, wanted.program)
        source = settings.get(wanted.flag, wanted.keys, default=None).source
        if source == "unknown":
            raise CannotEditError(f"{settings.path} could not be read")
        if source == "flag" or not settings.has_file:
            path = self._unit_file(wanted, settings)
            new = set_flag(self._text(path), wanted.program, wanted.flag, wanted.value)
        else:
            path = settings.path
            new = set_value(self._text(path), wanted.keys, wanted.value)
        self._edit(path, new, check)
        self._restarts.setdefault(f"{wanted.program}.service", f"{path} changes")

    def _may_start(self, unit: str) -> None:
        """Refuse to start a unit that would run, or use, what others may have written."""
        for does, known in (("runs", self._evidence.unguarded), ("goes by", self._evidence.swayed)):
            if paths := known.get(unit):
                raise CannotEditError(
                    f"{unit} would start again, and {does} {paths[0]}, which others than root may"
                    " write"
                )

    def _unit_file(self, wanted: Setting, settings: Settings) -> str:
        """Return the unit file that the program's command line comes from."""
        unit = self._evidence.units.get(f"{wanted.program}.service")
        holding = [
            path
            for path in (unit.files if unit else ())
            if re.search(r"^ExecStart\s*=\s*\S", self._text(path), re.MULTILINE)
        ]
        if not holding:
            raise CannotEditError("no unit file that could be read starts it")
        path = holding[-1]
        running = settings.flags.get(wanted.flag)
        original = flags(words(self._original(path), wanted.program)).get(wanted.flag)
        if running != original:
            raise CannotEditError(
                f"--{wanted.flag} comes from elsewhere than {path}, or that changed since the start"
            )
        return path

    def _original(self, path: str) -> str:
        text = self._known(path)
        assert text.content is not None
        return text.content.decode("utf-8")

    def _text(self, path: str) -> str:
        return self._texts[path] if path in self._texts else self._original(path)

    def _known(self, path: str) -> Text:
        """Return a text that may be edited. Raises CannotEditError."""
        text = self._evidence.texts.get(path)
        if text is not None and not text.controlled:
            raise CannotEditError(f"{path} is a symlink, or others than root can change it")
        if text is None or text.content is None:
            raise CannotEditError(f"{path} was not read: it may hold secrets")
        if not text.sha256:
            raise CannotEditError(f"lines of {path} that may hold secrets stayed on the host")
        try:
            text.content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CannotEditError(f"{path} is no text") from error
        return text

    def _edit(self, path: str, new: str, check: str) -> None:
        self._texts[path] = new
        self._why.setdefault(path, []).append(check)

    def wanted(self) -> tuple[Wanted, ...]:
        """Return it all: what only root sees first, restarts last."""
        found: list[Wanted] = []
        for path, check in self._aside.items():
            found.append(Wanted(Quarantined(path), check))
        for path, mode in self._modes.items():
            if path not in self._aside:
                old = self._evidence.files[path].mode
                found.append(Wanted(ExistingSecret(path, mode), f"mode {old:04o} → {mode:04o}"))
        units_changed = False
        for path, new in self._texts.items():
            text = self._evidence.texts[path]
            why = ", ".join(dict.fromkeys(self._why[path]))
            resource = EditedFile(path, new.encode(), text.sha256, text.mode)
            found.append(Wanted(resource, why, text.content))
            units_changed |= "/systemd/" in path
        if units_changed:
            found.append(Wanted(Reload(), "unit files change"))
        found += [
            Wanted(RulesOnce(table, rules), _counted(self._evidence.rules, table, rules))
            for table, rules in self._rules.items()
        ]
        found += [Wanted(Restart(unit), why) for unit, why in self._restarts.items()]
        return tuple(found)


def _counted(rules: Mapping[str, tuple[str, ...]], table: str, several: tuple[str, ...]) -> str:
    counts = Counter(rules[table])
    extra = sum(counts[rule] - 1 for rule in several)
    return f"{extra} later copies of {len(several)} rules"
