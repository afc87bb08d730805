"""Programs that a host has elsewhere: what is asked for, what is believed, what is planned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.deploy.part_travel import parts
from fabnode.deploy.probe_scope import watchlist
from fabnode.node import copies
from fabnode.node.artifacts import Artifact
from fabnode.node.copies import Wanted
from fabnode.node.facts import Facts, PathFact, Watchlist
from fabnode.node.plan import make_plan
from fabnode.node.resources import Absent, Binary, File, Retired
from tests.support import make_config

if TYPE_CHECKING:
    from fabnode.node.resources import Resource

A, B = "a" * 64, "b" * 64
PROGRAM = Binary("/usr/local/bin/x", Path("/nowhere/x"), A)
THERE = "/opt/bin/x"


def facts(*paths: str, target: PathFact | None = None, digest: str = A) -> Facts:
    found = {} if target is None else {PROGRAM.path: target}
    return Facts(known=True, paths=found, copies={digest: paths} if paths else {})


@pytest.mark.parametrize(
    ("held", "contents"),
    [
        ([Artifact(Path("/a/x"), A, 7)], ((7, A),)),
        ([Artifact(Path("/a/x"), A, 7), Artifact(Path("/b/x"), B, 8)], ((7, A), (8, B))),
        ([Artifact(Path("/a/x"), B, 7)], None),  # the site's own, of the same name
        ([Artifact(Path("/a/y"), A, 7)], None),
        ([Artifact(Path("/a/x"), A)], None),
        ([Artifact(Path("/a/x"), "", 7)], None),
        ([], None),
    ],
    ids=["one", "two architectures", "another's", "another name", "no size", "no digest", "none"],
)
def test_hosts_are_asked_for_copies_of_what_is_known(
    held: list[Artifact], contents: tuple[tuple[int, str], ...] | None
) -> None:
    resources = (PROGRAM, PROGRAM, File("/etc/x", b""))
    expected = () if contents is None else (Wanted(PROGRAM.path, contents),)
    assert copies.wanted(resources, held) == expected
    config = make_config(paths={"programs": "/opt/bin"})
    watch = watchlist(resources, config=config, node=config.nodes[0], deep=False, held=held)
    assert watch.programs == expected
    assert watch.copy_folders[:3] == ("/opt/bin", "/opt/cni/bin", "/usr/local/bin")
    assert len(set(watch.copy_folders)) == len(watch.copy_folders) == len(copies.FOLDERS)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (THERE, True),
        ("/state/kept/3", True),
        ("/opt/bin/y", False),
        ("/etc/x", False),
        ("/opt/bin/../etc/x", False),
        ("/state/kept/tag", False),
        ("/state/kept/3/x", False),
        ("/state/kept/3\n", False),
        ("/", False),
    ],
)
def test_no_host_names_a_path_that_nobody_asked_about(path: str, asked: bool) -> None:
    programs = (Wanted(PROGRAM.path, ((7, A),)),)
    watch = Watchlist(programs=programs, copy_folders=("/opt/bin",), state="/state")
    assert copies.unasked(facts(path), watch) == ("" if asked else path)
    assert copies.unasked(facts(), watch) == ""


CASES = [
    ("missing", facts(THERE), (), THERE),
    ("differs", facts(THERE, target=PathFact("file", 0o755, sha256=B)), (), THERE),
    ("a symlink is in its place", facts(THERE, target=PathFact("symlink")), (), THERE),
    ("the first of several", facts("/usr/bin/x", THERE), (), "/usr/bin/x"),
    ("other content", facts(THERE, digest=B), (), ""),
    ("none", facts(), (), ""),
    ("the target itself", facts(PROGRAM.path), (), ""),
    ("one that goes", facts(THERE), (Retired(THERE, (), "old"),), ""),
    ("one that must not be", facts(THERE, "/usr/bin/x"), (Absent(THERE),), "/usr/bin/x"),
    ("one that is replaced", facts(THERE), (Binary(THERE, Path("y"), B),), ""),
    ("one that stays", facts(THERE), (Binary(THERE, Path("x"), A),), THERE),
]


@pytest.mark.parametrize(
    ("found", "others", "source"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_a_host_has_elsewhere_is_copied_and_no_part(
    found: Facts, others: tuple[Resource, ...], source: str
) -> None:
    plan = make_plan("n1", (PROGRAM, *others), found)
    (change,) = (each for each in plan.changes if each.resource == PROGRAM)
    assert change.copied_from == source
    assert (f"(copied from {source} on the host)" in change.why) is bool(source)
    assert (PROGRAM in parts(plan)) is not bool(source)


@pytest.mark.parametrize(
    "target",
    [
        PathFact("file", 0o755, sha256=A),
        PathFact("file", 0o700, sha256=A),
    ],
    ids=["right", "other mode"],
)
def test_what_is_in_its_place_is_not_copied(target: PathFact) -> None:
    plan = make_plan("n1", (PROGRAM,), facts(THERE, target=target))
    assert not any(change.copied_from for change in plan.changes)
    assert parts(plan) == ()
