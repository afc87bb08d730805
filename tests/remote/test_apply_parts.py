"""Which parts of its script an apply sends: those that its actions call, and none is missing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from fabnode.node.plan import Change, Plan
from fabnode.node.resources import (
    Absent,
    Binary,
    ClientCertificate,
    Command,
    Directory,
    EditedFile,
    ExistingSecret,
    File,
    Image,
    Module,
    Quarantined,
    Reload,
    RemovedUnit,
    Resource,
    Restart,
    Retired,
    RulesOnce,
    Superseded,
    Sysctl,
    Trace,
    TraceKind,
    Unit,
    UnpinnedImage,
)
from fabnode.remote import payload
from fabnode.remote.apply_script import Pull, actions
from fabnode.remote.payload_cache import ZSTD
from fabnode.remote.script_assembly import ALWAYS, PROGRAMS, joined, needed
from fabnode.remote.survey import Observed, record_call

from .test_script_assembly import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNPACKED = "state=/x work=/x tar=1\n"  # set by the command that unpacks
RECORD = record_call(Observed((), (), ()))
PULL = Pull("https://files.example", b"a CA")
SOURCE = Path(__file__)  # stands for any artifact
AT_EXIT = re.compile(r'\b(?:at_exit|reports)="\$\w+ (\w+)"')
BUILTINS = (
    ". : [ break case cd command continue echo eval exec exit export false kill printf pwd read \
readonly return set shift test trap true type ulimit umask unset wait"
)
OF_HOSTS = "awk cat chmod chown cp curl cut date docker env find flock grep gzip head id ip \
ipset iptables journalctl ln mkdir mkfifo modprobe mv nft nice openssl readlink rm rmdir sed \
setpriv sha256sum sleep ssh-keygen stat sync systemctl tail tar timeout tr umount wc wget zstd"
OF_OTHERS = frozenset(f"{BUILTINS} {OF_HOSTS}".split())


def one(resource: Resource, action: Any = "create", **more: Any) -> tuple[Change, ...]:
    return (Change(resource, action, "", **more),)


FILE, BINARY = File("/etc/x", b""), Binary("/usr/local/bin/x", SOURCE, "0" * 64)
IMAGE = Image(("x:1",), SOURCE, "0" * 64)
UNIT = Unit("x.service", ("/etc/x",))
STARTED = Change(UNIT, "restart", "", stamp={"/etc/x": "0" * 64})
JOINED = ClientCertificate("/pem", "x.service", "/bootstrap", "/key", "", 5)
CHANGES: dict[str, tuple[Change, ...]] = {
    "file": one(FILE),
    "mode": one(ExistingSecret("/etc/key"), "mode"),
    "folder": one(Directory("/etc/y")),
    "program": one(BINARY),
    "copied program": one(BINARY, copied_from="/usr/bin/x"),
    "absent": one(Absent("/etc/z"), "remove"),
    "made again": one(Absent("/etc/z", "x.service"), "remove"),
    "retired": one(Retired("/usr/local/bin/z", ("--cleanup",), ""), "remove"),
    "module": one(Module("overlay"), "load"),
    "setting": one(Sysctl("vm.swappiness", "1"), "set"),
    "image": one(IMAGE, "import"),
    "docker's image": one(Image(("x:1",), SOURCE, "0" * 64, "docker"), "import"),
    "pinned": one(IMAGE, "pin"),
    "unpinned": one(UnpinnedImage("x:1"), "unpin"),
    "unit": (Change(FILE, "update", ""), STARTED),
    "enabled": one(UNIT, "enable"),
    "removed unit": one(RemovedUnit("y.service", "/etc/y.service", ""), "remove"),
    "join": (STARTED, Change(JOINED, "join", "")),
    "edited": one(EditedFile("/etc/x", b"", "0" * 64, 0o644), "update"),
    "quarantined": one(Quarantined("/etc/key"), "quarantine"),
    "superseded": one(Superseded("/etc/key", "/pem", "x.service", "", ""), "quarantine"),
    "rules": one(RulesOnce("nat", ("-A X",)), "delete"),
    "hook": one(Command("x", ("true",), "/var/lib/fabnode/hooks/x", (("A", "b"),), 5), "run"),
    "reload": one(Reload(), "reload"),
    "restart": one(Restart("x.service"), "restart"),
    **{f"trace: {kind}": one(Trace(kind, "x", ("y",)), "remove") for kind in get_args(TraceKind)},
    "nothing": (),
}
WAYS = {
    "sent": (None, "", False),
    "pulled": (PULL, "", False),
    "recorded": (None, RECORD, True),
    "made a node": (None, "", True),
}


def script(changes: tuple[Change, ...], way: str = "sent") -> str:
    pull, record, remakes = WAYS[way]
    return actions(Plan("n1", changes), ZSTD, pull, record, remakes).script


def test_each_kind_of_resource_is_among_the_changes() -> None:
    kinds = {type(change.resource) for changes in CHANGES.values() for change in changes}
    assert kinds == set(get_args(Resource))


def tool(name: str, *arguments: str, text: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield all nodes of a syntax tree of shfmt's."""
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from nodes(each)


def words(call: dict[str, Any]) -> list[str]:
    """Return a call's words, those of one literal alone; the others are empty."""
    found = []
    for word in call.get("Args") or ():
        parts = word["Parts"]
        plain = len(parts) == 1 and parts[0]["Type"] in {"Lit", "SglQuoted"}
        found.append(parts[0].get("Value", "") if plain else "")
    return found


@cache
def defined_and_called(text: str) -> tuple[set[str], set[str]]:
    """Return the functions that a script defines, and all that it calls by a name."""
    tree = json.loads(tool("shfmt", "-ln", "posix", "--to-json", text=text).stdout)
    defined, called = set(), set()
    for node in nodes(tree):
        if node.get("Type") == "FuncDecl":
            defined.add(node["Name"]["Value"])
        if node.get("Type") == "CallExpr" and (call := words(node)):
            called.add(call[0])
            if call[0] == "run_action":
                called.add(call[2])
            if call[0] == "command":
                called.add(call[-1])
    called.update(AT_EXIT.findall(text))
    return defined, called - {""}


def unknown(parts: Iterable[str], calls: str) -> set[str]:
    """Return what these call that is neither theirs, nor the shell's, nor a host's."""
    found = [defined_and_called(joined((part,)).decode()) for part in parts]
    found.append(defined_and_called(calls))
    defined, called = (set[str]().union(*names) for names in zip(*found, strict=True))
    return called - defined - OF_OTHERS


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_called_is_sent(name: str, way: str) -> None:
    calls = script(CHANGES[name], way)
    assert unknown(needed(calls), calls) == set()


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_is_called_is_sent_where_hosts_pass_on_parts(name: str) -> None:
    calls = payload._FOLLOW + script(CHANGES[name])
    assert unknown(needed(calls), calls) == set()


def test_a_part_that_is_missing_would_be_seen() -> None:
    """So that the tests above can't pass for another reason."""
    scripts = [script(changes, way) for changes in CHANGES.values() for way in WAYS]
    calls = payload._FOLLOW + "".join(scripts)
    parts = set(needed(calls))
    assert parts == set(PROGRAMS["apply"])
    assert [part for part in parts if not unknown(parts - {part}, calls)] == []


SETS: dict[tuple[str, ...], str] = {}
"""Sets of parts that are sent, and all that calls just these."""
for _changes in CHANGES.values():
    _calls = script(_changes)
    SETS[needed(_calls)] = SETS.get(needed(_calls), "") + _calls


@pytest.mark.parametrize("parts", SETS, ids=lambda parts: parts[-1])
def test_shellcheck_finds_nothing_in_what_is_sent(parts: tuple[str, ...]) -> None:
    """
    Variables that nobody sets, above all; SC2086 and SC2016 as for whole programs.

    Some are set for a part that is not sent (SC2034).
    """
    text = f"{UNPACKED}{whole(parts).decode()}{SETS[parts]}"
    done = tool("shellcheck", "-s", "sh", "-e", "SC2016,SC2034,SC2086", "-", text=text)
    assert (done.stdout, done.returncode) == ("", 0)


BARE = {*ALWAYS, "shared/records", "shared/quiet", "apply/actions", "apply/durable"}
WITH_FILES = (
    BARE
    | {f"apply/{name}" for name in ("files", "payload", "digests", "previous", "units")}
    | {"shared/journal"}
)
UNPACKING = {"apply/payload", "apply/digests"}
JUDGED = {"shared/programs", "shared/provenance"}  # programs, by whose they are


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("nothing", BARE - {"apply/actions"}),
        ("reload", BARE),
        ("module", BARE),
        ("setting", BARE | {"apply/kernel", "apply/payload"}),
        ("file", WITH_FILES),
        ("program", WITH_FILES),
        ("mode", WITH_FILES),
        ("unit", WITH_FILES),
        ("copied program", WITH_FILES | JUDGED | {"apply/owners", "apply/programs"}),
        ("image", BARE | UNPACKING | JUDGED | {"apply/owners", "apply/images"}),
        ("quarantined", WITH_FILES | {"apply/quarantine"}),
        ("superseded", WITH_FILES | {"apply/quarantine", "apply/superseded"}),
        ("join", WITH_FILES | {"apply/joining", "apply/replaced"}),
        ("made again", BARE | {"apply/replaced"}),
        ("hook", BARE | {"apply/hooks"}),
        ("trace: kept", WITH_FILES | {"apply/kept"}),
        ("trace: pods", BARE | JUDGED | {"apply/owners", "apply/pods"}),
        ("trace: tree", WITH_FILES | {"apply/reset"}),
        ("trace: reset", BARE | {"apply/unfinished"}),
    ],
)
def test_parts_that_are_not_called_stay_here(name: str, parts: set[str]) -> None:
    assert set(needed(script(CHANGES[name]))) == parts


def test_parts_keep_their_order() -> None:
    found = needed(script(CHANGES["superseded"]) + script(CHANGES["made again"]))
    assert list(found) == [part for part in PROGRAMS["apply"] if part in found]
    # What is replaced comes back after what is superseded, and would be taken for new otherwise.
    assert found.index("apply/superseded") < found.index("apply/replaced")
    assert found[:1] == ALWAYS[:1]


@pytest.mark.parametrize("part", ["surroundings", "baseline"])
def test_the_host_is_recorded_by_parts_of_their_own(part: str) -> None:
    whole = {each.rpartition("/")[2] for each in needed(script(CHANGES["file"], "recorded"))}
    assert part in whole
    for way in ("sent", "made a node"):  # the second one is every deployment of all steps
        sent = needed(script(CHANGES["file"], way))
        assert part not in {each.rpartition("/")[2] for each in sent}
