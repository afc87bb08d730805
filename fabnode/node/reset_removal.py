"""Second phase of a reset: what is left of a node is removed, and what was there is restored."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .facts import PathFact
from .layout import UNITS
from .plan import Change
from .reset_case import RESTORED_UNITS, Case, trace_change
from .reset_network import network_changes
from .resources import Reload, Trace

_VALUE = re.compile(r"[0-9 \t-]{1,60}", re.ASCII)


def removal_changes(case: Case) -> Iterator[Change]:
    """Yield what removes the rest of a node, and puts back what its deployment replaced."""
    yield from network_changes(case)
    for path in case.survey.cgroups:
        yield trace_change(Trace("cgroup", path, (path,)), "remove", "the kubelet's, of its pods")
    yield from _files(case)
    yield from _trees(case)
    yield from _modes(case)
    yield from _folders(case)
    yield from _settings(case)
    yield from _units(case)
    if any(path.startswith(case.scope.state) for path in case.survey.own):
        trace = Trace("records", case.scope.state, ())
        yield trace_change(trace, "remove", "fabnode's own records")


def _files(case: Case) -> Iterator[Change]:
    for path in case.scope.files:
        if _was_there(case, path):
            yield trace_change(Trace("previous", path, (path,)), "restore", "it was there before")
        elif case.before and path in case.before.paths:
            continue  # put back already
        elif not _may_be_ours(case, path):
            continue
        elif path in case.now.paths and case.now.paths[path].kind in {"file", "symlink"}:
            yield trace_change(Trace("file", path, (path,)), "remove", "fabnode's")


def _was_there(case: Case, path: str) -> bool:
    """
    Return whether the file that was kept of a path is the one of before the first change.

    Whoever could once write in fabnode's folder may have put another one there. The record,
    which is written in the same moment, says whose it was.
    """
    kept = case.survey.kept.get(path)
    was = case.before.paths.get(path) if case.before else None
    if kept is None or was is None:
        return False
    return (kept.kind, kept.uid, kept.gid) == (was.kind, was.uid, was.gid)


def _may_be_ours(case: Case, path: str) -> bool:
    """
    Say whether a file that is there can be a deployment's.

    The configuration of today may name more than those that were deployed, such as crictl where
    the deployer has only just got it: what lies there then is somebody else's.
    """
    if path in case.scope.made or path in case.survey.managed:
        return True
    return case.before is not None and path in case.before.asked


def _trees(case: Case) -> Iterator[Change]:
    for path in case.scope.trees:
        if path not in case.now.paths or case.why_kept(path):
            continue
        there_before = bool(case.before and path in case.before.paths)
        # Somebody's disk or file system stays mounted there, and so does its folder.
        stays = there_before or any(path == mount.place for mount in case.now.mounts)
        if stays and path not in case.now.filled:
            continue
        words = (path, "keep" if stays else "-")
        why = "emptied, as it was" if there_before else "made by a node's components"
        yield trace_change(Trace("tree", path, words), "remove", why)


def _modes(case: Case) -> Iterator[Change]:
    """Folders that were there before get their mode and owner back."""
    known = case.before.paths if case.before else {}
    for path in (*case.scope.trees, *case.scope.folders):
        was, now = known.get(path), case.now.paths.get(path)
        if was is None or now is None or {was.kind, now.kind} != {"directory"}:
            continue
        if path in case.scope.trees and case.why_kept(path):
            continue
        if (was.mode, was.uid, was.gid) != (now.mode, now.uid, now.gid):
            words = (path, f"{was.mode:04o}", f"{was.uid}:{was.gid}")
            why = f"{_access(now)} → {_access(was)}"
            yield trace_change(Trace("mode", path, words), "restore", why)


def _folders(case: Case) -> Iterator[Change]:
    for path in sorted(case.scope.folders, key=lambda each: -each.count("/")):
        if path in case.now.paths and not (case.before and path in case.before.paths):
            yield trace_change(Trace("folder", path, (path,)), "remove", "if nothing is in it")


def _settings(case: Case) -> Iterator[Change]:
    for path in case.scope.settings:
        was = case.before.settings.get(path) if case.before else None
        value = case.now.settings.get(path)
        if was is not None and value is not None and was != value and _VALUE.fullmatch(was):
            trace = Trace("setting", path, (path, was))
            yield trace_change(
                trace, "restore", f"{' '.join(value.split())} → {' '.join(was.split())}"
            )


def _units(case: Case) -> Iterator[Change]:
    gone = [path for path in case.survey.own if path.startswith(f"{UNITS}/")]
    if gone:
        yield Change(Reload(), "reload", "unit files are gone")
    for name in RESTORED_UNITS:
        was = case.before.unit(name) if case.before else None
        if was is None or (was.load, was.enabled) != ("loaded", "enabled"):
            continue
        if gone or case.now.unit(name).enabled != "enabled":
            trace = Trace("enabled", name, (name,))
            yield trace_change(trace, "restore", "it was enabled before; it is not started")


def _access(fact: PathFact) -> str:
    return f"{fact.mode:04o} of {fact.uid}:{fact.gid}"
