"""Findings about programs that root runs on a host and that others than root may have written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..node import advice, host_tools, unit_files
from ..node.conventions import UNITS_PATH
from ..node.facts import Facts
from ..node.layout import UNITS
from ..node.replaced import replaced
from ..node.resources import Binary, File, RemovedUnit, Resource, Retired, Unit
from .finding import Finding

if TYPE_CHECKING:
    from ..node.plan import Plan

_SETTINGS = (".conf", ".service", ".socket", ".toml", ".swap")


def findings(facts: Facts, resources: Iterable[Resource]) -> Iterator[Finding]:
    """
    Yield which programs are not root's alone: those of these resources, and those not run for it.

    Such a program is never fixed in its place: whoever may write it may keep it open, and what is
    in it by then is unknown.
    """
    ours = {each.path for each in resources if isinstance(each, Binary | Retired)}
    for path in sorted(ours | facts.untrusted):
        found = facts.path(path)
        if found.kind == "file" and not found.roots_alone:
            yield Finding(
                "error",
                f"others than root may change {path}, a program that root runs: it belongs to"
                f" {found.uid}:{found.gid} and has mode {found.mode:04o}",
                f"{advice.removed(path, facts.paths)} on the host, and run this again: what is"
                " needed is reinstalled. No chown or chmod: who may write it keeps it open, and"
                " may have written it",
            )
        elif path in facts.untrusted and path.endswith(_SETTINGS):
            yield Finding(
                "error",
                f"{path}, which root's programs use, is not root's alone: the file, or a folder"
                " or link on the way to it, belongs to others",
                f"`namei -l {path}` on the host shows whose each is: check what is there, fix the"
                " folders, and rewrite it without the link",
            )
        elif path in facts.untrusted:
            yield Finding(
                "error",
                f"{path}, a program that root runs, is not root's alone: the file, or a folder or"
                " link on the way to it, belongs to others; it was not run",
                f"`namei -l {path}` on the host shows whose each is: fix the folders, and take the"
                " file or the link away",
            )


def unkept(facts: Facts, plan: Plan) -> Iterator[Finding]:
    """
    Yield what a plan replaces or removes and the host would not keep before, to go back to it.

    Links are kept as such. What others could write is not put back as root's; of programs,
    `findings` says that.
    """
    programs = {c.name for c in plan.changes if isinstance(c.resource, Binary | Retired)}
    _, paths = replaced(plan)
    for path in dict.fromkeys(paths):
        found = facts.path(path)
        if found.kind in {"other", "directory"}:
            yield Finding(
                "error",
                f"what is at {path} can't be kept before an upgrade replaces it: it is neither a"
                " file nor a link",
                "check on the host what made it, move it away, and run this again",
            )
        elif found.kind == "file" and not found.roots_alone and path not in programs:
            yield Finding(
                "error",
                f"others than root may change {path}, so that it is not kept before an upgrade"
                f" replaces it: it belongs to {found.uid}:{found.gid} and has mode"
                f" {found.mode:04o}",
                advice.taken_back(path, facts.paths),
            )


def named(facts: Facts, resources: Iterable[Resource], *, rewritten: bool) -> Iterator[Finding]:
    """
    Yield what units and settings name that is not root's alone, beside these resources themselves.

    :param rewritten: a deployment follows, so that what these resources' own files name by now does
        not count.
    """
    if facts.of_others and "find" in facts.lacking:
        yield Finding(
            "error",
            "without find it is not known who may change what root's programs use",
            f"install the packages {host_tools.packages(['find'])}",
        )
        return
    resources = tuple(resources)
    ours = {each.path for each in resources if isinstance(each, Binary | Retired)}
    files_of_ours = {each.path for each in resources if isinstance(each, File)}
    units = (each.name for each in resources if isinstance(each, Unit | RemovedUnit))
    in_effect = {path for unit in units for path in _unit_files(unit, facts)}
    for each in facts.of_others:
        if each.path in ours | facts.untrusted or (rewritten and each.by in files_of_ours):
            continue
        if each.by.startswith("/") and each.by not in in_effect:
            continue  # masked, or another file has its place
        if each.by == UNITS_PATH:
            found = facts.path(each.path)
            if found.kind != "directory" or found.roots_alone:  # see `folders`
                yield Finding(
                    "error",
                    f"units find {each.path} in their PATH before the system's programs, and others"
                    " than root may change it, or what leads there",
                    f"{advice.regained(each.path)}; a program that nothing needs there, take away",
                )
            continue
        fix = f"{advice.regained(each.path)}; or have {each.by} name another"
        if each.runs:
            yield Finding(
                "error",
                f"{each.by} names {each.path}, a program that root runs: others than root may"
                " change it, or what leads there",
                fix,
            )
        else:
            yield Finding(
                "error",
                f"{each.by} names {each.path}, which root's programs use: others than root may"
                " change it, or what leads there",
                fix,
            )


def _unit_files(unit: str, facts: Facts) -> tuple[str, ...]:
    """Return the files that count for a unit."""
    drop_ins = unit_files.drop_ins(unit, facts.config_files, facts.unit(unit).drop_ins)
    return (unit_files.unit_file(unit, facts.config_files), *drop_ins)


def folders(facts: Facts) -> Iterator[Finding]:
    """
    Yield the folders in which others than root could replace what root runs or reads.

    Every directory that was probed is one that holds something of ours, or leads there.
    """
    for path, found in sorted(facts.paths.items()):
        if found.kind == "directory" and not found.roots_alone:
            yield Finding(
                "error",
                f"others than root may change what is in {path}: it belongs to"
                f" {found.uid}:{found.gid} and has mode {found.mode:04o}",
                f"check its content, then {advice.taken_back(path, facts.paths)}",
            )


def files(facts: Facts, resources: Iterable[Resource]) -> tuple[str, ...]:
    """
    Return files of these resources that others may change; a deployment rewrites them.

    So it does with links in the place of files and programs, which may lead anywhere; but for the
    link to /dev/null by which a unit is masked: nothing starts by that.
    """
    found: set[str] = set()
    masks = {f"{UNITS}/{name}" for name, unit in facts.units.items() if unit.load == "masked"}
    for each in resources:
        if isinstance(each, File | Binary):
            seen = facts.path(each.path)
            open_file = isinstance(each, File) and seen.kind == "file" and not seen.roots_alone
            link = seen.kind == "symlink" and each.path not in masks
            if open_file or link:
                found.add(each.path)
    return tuple(sorted(found))
