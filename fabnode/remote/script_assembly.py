"""Assembly of the shell programs that hosts run, each of parts in `scripts/`."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

PROGRAMS = {
    # Defines what shows a unit's journal.
    "journal": ("shared/journal",),
    # Says which boot a host is in, and whether another one is due.
    "boot": ("boot/state",),
    # Says which machine a host is.
    "machine": ("shared/base", "shared/observation", "shared/records", "shared/machine"),
    # Reports who a host is: its name, architecture and addresses.
    "identity": ("identity/host",),
    # Carries a plan out: functions that the plan's actions call. Only the parts that are called are
    # sent (`needed`); what they do at a run's end, they do in this order.
    "apply": (
        "shared/base",
        "shared/records",
        "shared/journal",
        "shared/surroundings",
        "shared/quiet",
        "shared/provenance",
        "shared/programs",
        "apply/lifetime",
        "apply/actions",
        "apply/baseline",
        "apply/superseded",
        "apply/replaced",
        "apply/previous",
        "apply/payload",
        "apply/digests",
        "apply/durable",
        "apply/files",
        "apply/owners",
        "apply/programs",
        "apply/download",
        "apply/neighbours",
        "apply/quarantine",
        "apply/kernel",
        "apply/units",
        "apply/joining",
        "apply/hooks",
        "apply/images",
        "apply/pods",
        "apply/reset",
        "apply/unfinished",
        "apply/kept",
    ),
    # Serves parts to other hosts of a run, and what answers one connection of theirs.
    "serve": (
        "shared/records",
        "shared/state",
        "relay/serve",
    ),
    "answer": ("relay/answer",),
    # Observes a node before a plan is made. Each part prints what its name says.
    "probe": (
        "shared/base",
        "shared/observation",
        "shared/quiet",
        "shared/provenance",
        "shared/programs",
        "shared/named",
        "shared/state",
        "probe/records",
        "probe/needs",
        "probe/machine",
        "probe/network",
        "probe/firewall",
        "probe/listeners",
        "probe/tools",
        "probe/space",
        "probe/mounts",
        "probe/kernel",
        "probe/units",
        "probe/configuration",
        "probe/owners",
        "probe/files",
        "probe/copies",
        "probe/certificates",
        "probe/stamps",
        "probe/pods",
        "probe/images",
        "probe/end",
    ),
    # Observes a node that may be ill, right after the probe.
    "doctor": (
        "shared/base",
        "shared/observation",
        "shared/records",
        "shared/quiet",
        "shared/provenance",
        "shared/programs",
        "doctor/services",
        "doctor/host",
    ),
    # Observes a host for a reset: what a node and its pods added, and what was there before.
    "survey": (
        "shared/base",
        "shared/observation",
        "shared/records",
        "shared/surroundings",
        "shared/quiet",
        "shared/provenance",
        "shared/programs",
        "shared/state",
        "shared/machine",
        "survey/records",
        "survey/pods",
        "survey/end",
    ),
    # Observes a host for the audit. Five parts hold functions: provenance, others_files, keys,
    # search, secrets.
    "examine": (
        "shared/base",
        "shared/observation",
        "shared/records",
        "shared/started",
        "shared/provenance",
        "examine/units",
        "examine/provenance",
        "shared/named",
        "examine/others_files",
        "examine/programs",
        "examine/runtimes",
        "examine/listeners",
        "examine/texts",
        "examine/anchors",
        "examine/keys",
        "examine/search",
        "examine/secrets",
        "examine/roots",
        "examine/others",
        "examine/users",
        "examine/packets",
        "examine/end",
    ),
}


ALWAYS = ("shared/base", "apply/lifetime")
"""Parts of an apply that act without being called."""

_FUNCTION = re.compile(r"^([a-z_][a-z0-9_]*)\(\)", re.MULTILINE)
_WORD = re.compile(r"[a-z_][a-z0-9_]*")


def needed(calls: str) -> tuple[str, ...]:
    """
    Return the parts of an apply whose functions are called. Pure.

    A part is needed where the calls, or a part that is needed, name one of its functions. Not every
    such word is a call: at worst a part is sent in vain, but none is missing.

    :param calls: the actions of the plan.
    """
    found = {*ALWAYS, *_named(calls)}
    todo = list(found)
    while todo:
        more = _named_by(todo.pop()) - found
        found |= more
        todo += more
    return tuple(part for part in PROGRAMS["apply"] if part in found)


@cache
def assemble(program: str) -> bytes:
    """Return a program's parts as one text, without the lines of comments."""
    return joined(PROGRAMS[program])


@cache
def joined(parts: tuple[str, ...]) -> bytes:
    """Return parts as one text, without the lines of comments."""
    return "".join(map(_text, parts)).encode()


@cache
def _text(part: str) -> str:
    text = files(__package__).joinpath("scripts", f"{part}.sh").read_text("utf-8")
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.lstrip().startswith("#"))


@cache
def _parts_by_function() -> dict[str, str]:
    return {name: part for part in PROGRAMS["apply"] for name in _FUNCTION.findall(_text(part))}


@cache
def _named_by(part: str) -> frozenset[str]:
    return _named(_text(part))


def _named(text: str) -> frozenset[str]:
    by_function = _parts_by_function()
    return frozenset(by_function[word] for word in by_function.keys() & _WORD.findall(text))
