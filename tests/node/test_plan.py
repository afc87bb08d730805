"""What has to change: resources against facts, in tables."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node.facts import Facts, PathFact, UnitFact
from fabnode.node.plan import ConflictError, Plan, compare, make_plan, text_diff
from fabnode.node.resources import (
    Absent,
    Binary,
    ClientCertificate,
    Directory,
    ExistingSecret,
    File,
    Image,
    Module,
    Sysctl,
    Unit,
    UnpinnedImage,
)

if TYPE_CHECKING:
    from typing import Any

    from fabnode.node.resources import Resource


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def found(content: bytes, mode: int = 0o644, **more: Any) -> PathFact:
    return PathFact("file", mode=mode, sha256=sha(content), content=content, **more)


def reported(resources: tuple[Resource, ...], facts: Facts) -> list[tuple[str, str, str]]:
    return [(c.action, c.name, c.why) for c in compare(resources, facts)]


A = File("/etc/a", b"new\n")
BIN = Binary("/usr/bin/x", Path("/nowhere/x"), sha(b"x2"))

PATHS = [
    ("right", A, found(b"new\n"), []),
    ("missing", A, None, [("create", "/etc/a", "mode 0644")]),
    ("other content", A, found(b"old\n"), [("update", "/etc/a", "content")]),
    ("other mode", A, found(b"new\n", 0o600), [("mode", "/etc/a", "mode 0600 → 0644")]),
    ("other group", A, found(b"new\n", gid=7), [("mode", "/etc/a", "owner 0:7 → 0:0")]),
    # Under any mode who has it open goes on writing: what is installed is another inode.
    (
        "other owner",
        A,
        found(b"new\n", uid=7),
        [("update", "/etc/a", "others than root could write it, owner 7:0 → 0:0")],
    ),
    (
        "open for its group to write",
        A,
        found(b"new\n", 0o664),
        [("update", "/etc/a", "others than root could write it, mode 0664 → 0644")],
    ),
    (
        "a binary that anybody can write",
        BIN,
        PathFact("file", 0o757, sha256=sha(b"x2")),
        [("update", "/usr/bin/x", "others than root could write it, mode 0757 → 0755")],
    ),
    (
        "other content and mode",
        A,
        found(b"old\n", 0o600),
        [("update", "/etc/a", "content, mode 0600 → 0644")],
    ),
    ("a symlink", A, PathFact("symlink", 0o777), [("update", "/etc/a", "replaces a symlink")]),
    (
        "a FIFO",
        A,
        PathFact("other", 0o644),
        [("update", "/etc/a", "replaces a device, FIFO or socket")],
    ),
    (
        "a secret differs, and no digest lets anybody guess at it",
        File("/etc/a", b"s2", 0o600, secret=True),
        PathFact("file", 0o600, sha256=sha(b"s1")),
        [("update", "/etc/a", "content differs")],
    ),
    (
        "a new secret's digest is not shown either",
        File("/etc/a", b"s2", 0o600, secret=True),
        None,
        [("create", "/etc/a", "mode 0600")],
    ),
    (
        "not made yet: always a change",
        File("/etc/a", None, 0o600, secret=True),
        found(b"old", 0o600),
        [("update", "/etc/a", "made for this node when the plan is carried out")],
    ),
    ("a binary that is right", BIN, PathFact("file", 0o755, sha256=sha(b"x2")), []),
    (
        "another binary",
        BIN,
        PathFact("file", 0o755, sha256=sha(b"x1")),
        [("update", "/usr/bin/x", f"content {sha(b'x1')[:12]} → {sha(b'x2')[:12]}")],
    ),
    ("a directory", Directory("/etc/a"), PathFact("directory", 0o755), []),
    ("no directory", Directory("/etc/a", 0o700), None, [("create", "/etc/a", "mode 0700")]),
    (
        "a directory of another mode",
        Directory("/etc/a", 0o700),
        PathFact("directory", 0o755),
        [("mode", "/etc/a", "mode 0755 → 0700")],
    ),
    ("kept", ExistingSecret("/etc/a"), found(b"key", 0o600), []),
    (
        "kept, but open",
        ExistingSecret("/etc/a"),
        found(b"key", 0o644),
        [("mode", "/etc/a", "mode 0644 → 0600")],
    ),
    ("absent", Absent("/etc/a"), None, []),
    (
        "to be removed",
        Absent("/etc/a"),
        found(b""),
        [("remove", "/etc/a", "a file that must not exist")],
    ),
]


@pytest.mark.parametrize(
    ("resource", "there", "changes"), [case[1:] for case in PATHS], ids=[case[0] for case in PATHS]
)
def test_paths(
    resource: File | ExistingSecret | Directory | Binary | Absent,
    there: PathFact | None,
    changes: list[tuple[str, str, str]],
) -> None:
    facts = Facts(known=True, paths={resource.path: there} if there else {})
    assert reported((resource,), facts) == changes


@pytest.mark.parametrize("resource", [A, BIN, Absent("/etc/a")])
def test_a_directory_in_the_way_is_not_removed(resource: File | Binary | Absent) -> None:
    facts = Facts(known=True, paths={resource.path: PathFact("directory", 0o755)})
    with pytest.raises(ConflictError, match=f"{resource.path} is a directory"):
        compare((resource,), facts)


@pytest.mark.parametrize("how", [{"mode": 0o620}, {"mode": 0o602}, {"mode": 0o600, "uid": 7}])
def test_a_secret_that_others_could_write_is_not_kept(how: dict[str, int]) -> None:
    facts = Facts(known=True, paths={"/etc/a": found(b"key", **how)})
    with pytest.raises(ConflictError, match="/etc/a should be kept, but others than root could"):
        compare((ExistingSecret("/etc/a"),), facts)


def test_a_file_in_a_directorys_way_is_not_removed() -> None:
    with pytest.raises(ConflictError, match="/etc/a is a file, but a directory is needed there"):
        compare((Directory("/etc/a"),), Facts(known=True, paths={"/etc/a": found(b"")}))


@pytest.mark.parametrize(
    ("resource", "link"),
    [
        (Directory("/etc/kubernetes"), "/etc/kubernetes"),
        (Directory("/etc/kubernetes/pki"), "/etc/kubernetes"),
        (File("/etc/cni/net.d/10.conf", b""), "/etc/cni"),
        (Absent("/var/lib/kubelet/pki/old.pem"), "/var/lib/kubelet/pki"),
        (ExistingSecret("/etc/kubernetes/pki/kube-proxy.pem"), "/etc/kubernetes/pki"),
    ],
)
def test_a_directory_that_leads_elsewhere_is_not_followed(resource: Resource, link: str) -> None:
    facts = Facts(known=True, paths={link: PathFact("symlink", 0o777)})
    with pytest.raises(
        ConflictError, match=f"{link} is a symlink, but a directory is needed there"
    ):
        compare((resource,), facts)


def test_directories_of_the_system_may_be_symlinks() -> None:
    """As some systems have it, whose /usr is read-only."""
    links = dict.fromkeys(("/opt", "/usr/local", "/var/lib"), PathFact("symlink", 0o777))
    wanted = (File("/opt/cni/bin/x", b""), Directory("/var/lib/fabnode"))
    assert len(compare(wanted, Facts(known=True, paths=links))) == 2


def test_all_conflicts_are_reported_at_once() -> None:
    facts = Facts(known=True, paths=dict.fromkeys(("/etc/a", "/usr/bin/x"), PathFact("directory")))
    with pytest.raises(ConflictError, match=r"/etc/a.*; /usr/bin/x"):
        compare((A, BIN), facts)


def test_kernel() -> None:
    facts = Facts(
        known=True, modules=frozenset({"overlay"}), sysctls={"a.b": "1\t 2", "a.c": "0", "a.e": "x"}
    )
    assert reported(
        (
            Module("overlay"),
            Module("ip_vs", "ipvs mode"),
            Sysctl("a.b", "1 2"),
            Sysctl("a.c", "1"),
            Sysctl("a.d", "1"),
        ),
        facts,
    ) == [
        ("load", "ip_vs", "ipvs mode"),
        ("set", "a.c", "0 → 1"),
        ("set", "a.d", "unset → 1"),
    ]


IMAGE = Image(("calico/node:v3", "registry.k8s.io/pause:3"), Path("/x.tar"), sha(b"tar"))
HELD = frozenset({"docker.io/calico/node:v3", "registry.k8s.io/pause:3"})


@pytest.mark.parametrize(
    ("images", "archives", "why"),
    [
        (HELD, {}, None),
        (frozenset({"calico/node:v3", "registry.k8s.io/pause:3"}), {}, None),  # docker's names
        (HELD, {"docker.io/calico/node:v3": sha(b"tar")}, None),
        (None, {}, "the runtime lacks calico/node:v3, registry.k8s.io/pause:3"),
        (HELD - {"registry.k8s.io/pause:3"}, {}, "the runtime lacks registry.k8s.io/pause:3"),
        (
            HELD,
            {"docker.io/calico/node:v3": sha(b"older")},
            "calico/node:v3 came from another archive",
        ),
    ],
)
def test_images(images: frozenset[str] | None, archives: dict[str, str], why: str) -> None:
    facts = Facts(known=True, images=images, pinned=HELD, image_archives=archives)
    changes = compare((IMAGE,), facts)
    assert [(c.action, c.why) for c in changes] == ([("import", why)] if why else [])


@pytest.mark.parametrize(
    ("pinned", "why"),
    [
        (HELD, None),
        (frozenset(), "may remove calico/node:v3, registry.k8s.io/pause:3 from a full disk"),
        (HELD - {"docker.io/calico/node:v3"}, "may remove calico/node:v3 from a full disk"),
    ],
)
def test_images_of_archives_are_pinned_once_where_the_runtime_can(
    pinned: frozenset[str], why: str | None
) -> None:
    facts = Facts(known=True, images=HELD, pinned=pinned)
    changes = compare((IMAGE,), facts)
    assert [(c.action, c.why) for c in changes] == ([("pin", f"the kubelet {why}")] if why else [])
    assert compare((dataclasses.replace(IMAGE, store="docker"),), facts) == ()


def test_an_image_that_no_archive_brings_any_more_is_unpinned_once() -> None:
    former, facts = UnpinnedImage("docker.io/calico/node:v3"), Facts(known=True, pinned=HELD)
    assert reported((former,), facts) == [
        ("unpin", former.name, "no archive of artifacts.images brings it any more")
    ]
    assert reported((former,), Facts(known=True)) == []


KUBELET = Unit("kubelet.service", ("/usr/bin/x", "/etc/a", "/etc/kept", "/etc/token"))
READS = (
    BIN,
    A,
    ExistingSecret("/etc/kept"),
    File("/etc/token", b"t", 0o600, secret=True, ephemeral=True),
    KUBELET,
)
STAMP = {"/usr/bin/x": sha(b"x2"), "/etc/a": sha(b"new\n"), "/etc/kept": sha(b"kept")}
UP = UnitFact("loaded", "active", "running", "enabled", stamp=STAMP)
THERE = {
    "/usr/bin/x": PathFact("file", 0o755, sha256=sha(b"x2")),
    "/etc/a": found(b"new\n"),
    "/etc/kept": found(b"kept", 0o600),
    "/etc/token": found(b"t", 0o600),
}


def unit_changes(unit: UnitFact, paths: dict[str, PathFact] | None = None) -> list[tuple[str, str]]:
    facts = Facts(known=True, paths={**THERE, **(paths or {})}, units={KUBELET.name: unit})
    return [(c.action, c.why) for c in compare(READS, facts) if isinstance(c.resource, Unit)]


def with_(unit: UnitFact, **fields: Any) -> UnitFact:
    return dataclasses.replace(unit, **fields)


def test_a_unit_with_all_in_place_is_left_alone() -> None:
    assert unit_changes(UP) == []


@pytest.mark.parametrize(
    ("unit", "paths", "expected"),
    [
        (with_(UP, active="failed", sub="failed"), {}, ("start", "it is failed (failed)")),
        (
            with_(UP, active="activating", sub="auto-restart"),
            {},
            ("start", "it is activating (auto-restart)"),
        ),
        (with_(UP, sub="exited"), {}, ("start", "it is active (exited)")),
        (UnitFact(), {}, ("start", "it is missing")),
        (with_(UP, enabled="disabled"), {}, ("enable", "it is disabled")),
        (
            with_(UP, enabled="disabled"),
            {"/etc/a": found(b"old")},
            ("restart", "/etc/a changes; it is disabled"),
        ),
        (
            with_(UP, reload=True),
            {},
            ("restart", "its unit file changed since systemd read it"),
        ),
        (UP, {"/etc/a": found(b"old")}, ("restart", "/etc/a changes")),
        (
            UP,
            {"/etc/a": found(b"old"), "/etc/token": found(b"u", 0o600)},
            ("restart", "/etc/a, /etc/token change"),
        ),
        # A run was killed after it wrote and before it restarted: nothing differs but the stamp.
        (
            with_(UP, stamp={**STAMP, "/etc/a": sha(b"old")}),
            {},
            ("restart", "it was started before /etc/a changed"),
        ),
        (with_(UP, stamp={}), {}, ("restart", "fabnode has no record of its start")),
        # It reads less than it did.
        (
            with_(UP, stamp={**STAMP, "/etc/gone": sha(b"gone")}),
            {},
            ("restart", "it was started before /etc/gone changed"),
        ),
        # A certificate was replaced on the node by other means.
        (
            UP,
            {"/etc/kept": found(b"other", 0o600)},
            ("restart", "it was started before /etc/kept changed"),
        ),
    ],
)
def test_units_start_or_restart_for_a_reason(
    unit: UnitFact, paths: dict[str, PathFact], expected: tuple[str, str]
) -> None:
    assert unit_changes(unit, paths) == [expected]


def test_a_mode_alone_restarts_nothing() -> None:
    assert unit_changes(UP, {"/etc/a": found(b"new\n", 0o600)}) == []


def test_the_stamp_holds_what_lasts() -> None:
    change = compare(READS, Facts(known=True, paths=THERE))[-1]
    assert dict(change.stamp) == STAMP


def test_a_unit_file_that_changes_is_read_again() -> None:
    unit_file = File("/etc/systemd/system/kubelet.service", b"[Service]\n")
    unit = Unit("kubelet.service", (unit_file.path, "/etc/a"))
    facts = Facts(known=True, paths={"/etc/a": found(b"old")}, units={unit.name: UP})
    assert compare((unit_file, A, unit), facts)[-1].reload
    facts = Facts(
        known=True,
        paths={unit_file.path: found(b"[Service]\n"), "/etc/a": found(b"old")},
        units={unit.name: UP},
    )
    assert not compare((unit_file, A, unit), facts)[-1].reload


def test_a_client_certificate_is_waited_for_until_it_is_there() -> None:
    wanted = ClientCertificate(
        "/pem", "kubelet.service", "/boot", "/key", missing="it has none", timeout=9
    )
    assert reported((wanted,), Facts()) == [("join", "/pem", "it has none")]
    good = ClientCertificate("/pem", "kubelet.service", "/boot", "/key", missing="", timeout=9)
    assert compare((good,), Facts()) == ()


@pytest.mark.parametrize(("key", "order"), [("", ["/etc/a", "/pem"]), ("/key", ["/pem", "/etc/a"])])
def test_what_comes_by_itself_is_waited_for_at_the_end(key: str, order: list[str]) -> None:
    """One whose key must be reported first would never come."""
    wanted = ClientCertificate("/pem", "kubelet.service", "/boot", key, "it has none", timeout=9)
    assert [change.name for change in compare((wanted, A), Facts())] == order


def test_order_is_kept_and_what_is_asked_for_twice_is_done_once() -> None:
    plan = make_plan("n1", [Directory("/etc/k"), A, Directory("/etc/k")], Facts())
    assert [c.name for c in plan.changes] == ["/etc/k", "/etc/a"]


def test_text_is_shown_as_a_diff() -> None:
    (change,) = compare((A,), Facts(known=True, paths={"/etc/a": found(b"old\nsame\n")}))
    assert change.diff == "--- /etc/a\n+++ /etc/a\n@@ -1,2 +1 @@\n-old\n-same\n+new"


def test_a_diff_cannot_steer_the_terminal() -> None:
    facts = Facts(known=True, paths={"/etc/a": found(b"\x1b]0;pwned\x07\x1b[2J\xe2\x80\xae\n")})
    (change,) = compare((A,), facts)
    assert change.diff
    assert not any(ord(char) < 32 and char != "\n" for char in change.diff)
    assert "‮" not in change.diff


def test_bytes_that_are_no_text_have_no_diff() -> None:
    (change,) = compare((A,), Facts(known=True, paths={"/etc/a": found(b"\xff\xfe")}))
    assert change.diff is None
    assert sha(b"\xff\xfe")[:12] in change.why


def test_no_secret_is_in_what_is_shown() -> None:
    secret = File("/etc/s", b"TOP-SECRET", 0o600, secret=True)
    plan = make_plan("n1", [secret, Unit("u", ("/etc/s",))], Facts())
    assert "TOP-SECRET" not in json.dumps(plan.to_json()) + repr(plan)


def test_json() -> None:
    facts = Facts(known=True, paths={"/etc/a": found(b"new\n", 0o600)})
    assert make_plan("n1", [A, Unit("u.service")], facts).to_json() == {
        "node": "n1",
        "changes": [
            {"action": "mode", "kind": "file", "name": "/etc/a", "why": "mode 0600 → 0644"},
            {
                "action": "start",
                "kind": "unit",
                "name": "u.service",
                "why": "it is missing",
            },
        ],
        "restarts": ["u.service"],
    }
    assert Plan("n1").empty


def test_a_long_diff_is_cut_and_says_by_how_much() -> None:
    """A host's own file may have a quarter of a million lines, and none is ours."""
    old = "".join(f"{n}\n" for n in range(50_000)).encode()
    diff = text_diff("/x", old, b"a\n" * 20)
    assert diff is not None
    lines = diff.split("\n")
    assert len(lines) == 402
    assert lines[-2:] == [
        "… 623 more lines of this diff are not shown",
        "… 49000 more lines were not compared",
    ]


def test_a_diff_of_long_files_begins_where_they_differ() -> None:
    old = [f"{n}" for n in range(5000)]
    new = [*old[:4000], "new", *old[4001:]]
    diff = text_diff("/x", "\n".join(old).encode(), "\n".join(new).encode())
    assert diff is not None
    assert diff.split("\n")[2:] == [
        "@@ -3998,7 +3998,7 @@",
        " 3997",
        " 3998",
        " 3999",
        "-4000",
        "+new",
        " 4001",
        " 4002",
        " 4003",
    ]
