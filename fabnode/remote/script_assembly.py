"""Assembly of the shell programs that hosts run, each of parts in `scripts/`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from itertools import dropwhile

PROGRAMS = {
    # Defines what shows a unit's journal.
    "journal": ("shared/journal",),
    # Says which boot a host is in, and whether another one is due.
    "boot": ("boot/state",),
    # Says which machine a host is.
    "machine": ("shared/base", "shared/observation", "shared/records", "shared/machine"),
    # Reports who a host is: its name, architecture and addresses.
    "identity": ("identity/host",),
    # Carries a plan out: functions that the plan's actions call.
    "apply": (
        "shared/base",
        "shared/records",
        "shared/journal",
        "shared/surroundings",
        "shared/quiet",
        "shared/provenance",
        "shared/programs",
        "apply/actions",
        "apply/baseline",
        "apply/replaced",
        "apply/previous",
        "apply/lifetime",
        "apply/payload",
        "apply/digests",
        "apply/durable",
        "apply/files",
        "apply/download",
        "apply/neighbours",
        "apply/quarantine",
        "apply/superseded",
        "apply/kernel",
        "apply/units",
        "apply/joining",
        "apply/hooks",
        "apply/images",
        "apply/reset",
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


@cache
def assemble(program: str) -> bytes:
    """Return a program's parts as one text, without the comments that head each part."""
    folder = files(__package__) / "scripts"
    parts = [folder.joinpath(f"{part}.sh").read_text("utf-8") for part in PROGRAMS[program]]
    return "".join(_without_head(part) for part in parts).encode()


def _without_head(part: str) -> str:
    return "".join(dropwhile(lambda line: line.startswith("#"), part.splitlines(keepends=True)))
