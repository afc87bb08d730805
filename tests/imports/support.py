"""What imports tests share: a source's files in a folder, and what came of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from fabnode.config import loader, starter
from fabnode.config.imports import outcome, recognise
from fabnode.config.imports.outcome import Access, Outcome

ACCESS = Access(starter.Known("ca.pem", "x"), "admin.conf")
NOWHERE = Access(starter.Missing("it is elsewhere."), starter.Missing("it is elsewhere."))


def written(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder, and return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def imported(path: Path, *, tool: str = "", group: str = "", access: Access = ACCESS) -> Outcome:
    """Return what comes of a source."""
    facts = recognise.read(path, tool, [group] if group else [])
    return outcome.of(facts, access)


def text_of(found: Outcome) -> str:
    """Return the configuration that is written."""
    return starter.write(found.findings, found.hosts, command="import", example="example")


def taken(found: Outcome) -> dict[str, object]:
    """Return what was taken, by key."""
    return {each.key: each.value for each in found.report.taken}


def decisions(found: Outcome) -> dict[str, str]:
    """Return what is to be decided, by key."""
    return {each.key: each.why for each in found.report.decisions}


def without(found: Outcome) -> dict[str, str]:
    """Return what has no counterpart, by name."""
    return {each.name: each.why for each in found.report.without}


def marked(text: str) -> set[str]:
    """Return the keys that are commented out, each below a comment that says why."""
    found = re.findall(r"^( *)# .*\n\1# ([a-z_.]+):$", text, re.MULTILINE)
    return {key if not indent or "." in key else f"cluster.{key}" for indent, key in found}


def unmarked(text: str) -> set[str]:
    """Return the keys of problems that a configuration has beside those that it marks."""
    ends = {key.rpartition(".")[2] for key in marked(text)}
    return {p.key for p in loader.problems_of(text) if p.key.rpartition(".")[2] not in ends}
