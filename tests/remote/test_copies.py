"""Programs that a host has elsewhere: found by a probe and copied, for real on this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.deploy.part_travel import parts
from fabnode.node.copies import Wanted
from fabnode.node.facts import Facts, Watchlist
from fabnode.node.plan import make_plan
from fabnode.node.resources import Binary
from fabnode.remote import limits
from fabnode.remote.apply import apply
from fabnode.remote.apply_script import Pull, actions
from fabnode.remote.probe import probe, script
from fabnode.remote.probe_output import parse
from fabnode.remote.script_assembly import assemble
from fabnode.ssh.errors import ApplyError, HostMisbehavedError
from fabnode.ssh.exec import Result

from .local import BUSYBOX, SHELLS, WAYS, Tools, give_away, only_root
from .test_apply import Node

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = only_root

RIGHT = b"#!/bin/sh\ntouch ran\n" + b"x" * 5000
SHA256 = hashlib.sha256(RIGHT).hexdigest()


@dataclass
class Host:
    """Folders of this machine in place of a host's."""

    root: Path
    shell: list[str]
    tools: Tools

    @property
    def target(self) -> Path:
        return self.root / "bin" / "x"

    @property
    def folders(self) -> tuple[Path, ...]:
        return (self.root / "bin", self.root / "far" / "bin", self.root / "opt" / "bin")

    def put(self, content: bytes = RIGHT, folder: int = 1) -> Path:
        path = self.folders[folder] / "x"
        path.write_bytes(content)
        path.chmod(0o755)
        return path

    def probe(self, contents: tuple[tuple[int, str], ...] = ((len(RIGHT), SHA256),)) -> Facts:
        watch = Watchlist(
            opaque=(str(self.target),),
            state=str(self.root / "state"),
            programs=(Wanted(str(self.target), contents),),
            copy_folders=tuple(map(str, self.folders)),
        )
        done = self.tools.run([*self.shell, "-s"], script(watch, "nonce"))
        assert (done.returncode, done.stderr) == (0, b"")
        return parse(done.stdout, nonce="nonce", sent=0, received=0)

    def found(self) -> tuple[str, ...]:
        return self.probe().copies.get(SHA256, ())


@pytest.fixture(params=[*SHELLS, BUSYBOX])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    tools = Tools(tmp_path / "tools")
    for name in ("systemctl", "ctr", "modprobe"):
        tools.add(name)
    tools.add("sha256sum", f'exec {shutil.which("sha256sum")} "$@"')
    host = Host(tmp_path / "host", request.param, tools)
    for folder in host.folders:
        folder.mkdir(parents=True)
    return host


def test_a_program_is_found_in_other_folders_in_their_order(host: Host) -> None:
    assert host.found() == ()
    far, near = host.put(folder=2), host.put(folder=1)
    assert host.found() == (str(near), str(far))
    host.target.write_bytes(b"another")
    assert host.found() == (str(near), str(far))


def test_nothing_is_looked_for_where_the_program_is(host: Host) -> None:
    host.put(folder=0)
    host.put(folder=1)
    other = (9, "b" * 64)  # of another architecture
    assert host.probe((other, (len(RIGHT), SHA256))).copies == {}
    assert not [call for call in host.tools.calls_of("sha256sum") if "far" in call]


@pytest.mark.parametrize(
    ("content", "hashed"),
    [(RIGHT[:-1] + b"y", True), (RIGHT + b"y", False), (b"", False)],
    ids=["same size", "another size", "empty"],
)
def test_only_what_has_the_size_is_hashed(host: Host, content: bytes, hashed: bool) -> None:
    path = host.put(content)
    assert host.found() == ()
    if host.shell[0] != "busybox":
        calls = host.tools.calls_of("sha256sum")
        assert bool([call for call in calls if str(path) in call]) is hashed


@pytest.mark.parametrize("what", ["link", "FIFO", "folder"])
def test_only_files_are_copies(host: Host, what: str) -> None:
    path = host.folders[1] / "x"
    match what:
        case "link":
            host.put().rename(host.root / "elsewhere")
            path.symlink_to(host.root / "elsewhere")
        case "FIFO":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    assert host.found() == ()


@pytest.mark.parametrize("way", [way for way in WAYS if way != "link"])
def test_what_others_may_change_is_no_copy(host: Host, way: str) -> None:
    """Whoever may would have runs fail, by another content right before it is copied."""
    path = host.put()
    give_away(path, way)
    assert host.found() == ()


def test_what_an_upgrade_kept_is_found(host: Host) -> None:
    kept = host.root / "state" / "kept"
    kept.mkdir(parents=True)
    kept.parent.chmod(0o700)
    kept.chmod(0o700)
    for number in (3, 4):
        (kept / str(number)).write_bytes(RIGHT)
    (kept / "list").write_text(f"unit x.service\n- /etc/x\n3 {host.target}\n4 /usr/bin/y\n")
    assert host.found() == ()  # the set is not whole
    (kept / "tag").write_text("tag\n")
    assert host.found() == (str(kept / "3"),)
    kept.chmod(0o770)
    assert host.found() == ()


def test_the_search_has_a_limit(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = host.put(folder=1), host.put(folder=2)
    assert host.found() == (str(near), str(far))
    monkeypatch.setattr("fabnode.remote.probe.COPIES", 1)
    assert host.found() == (str(near),)
    monkeypatch.setattr("fabnode.remote.probe.COPIES", limits.COPIES)
    monkeypatch.setattr("fabnode.remote.probe.COPIED_BYTES", len(RIGHT) + 1)
    assert host.found() == (str(near),)


@pytest.mark.parametrize(("path", "fault"), [("/opt/bin/x", ""), ("/etc/shadow", "nobody asked")])
def test_a_host_that_names_another_path_is_not_believed(path: str, fault: str) -> None:
    class Claiming:
        name = "n1"

        def root(self, _: str, *, stdin: list[bytes], **__: object) -> Result:
            nonce = stdin[0].split(b"nonce=", 1)[1].split()[0].decode()
            lines = ("clock\t1.5", "kernel\t6.1", f"copy\t{SHA256}\t{path}", f"end\t{nonce}")
            return Result(0, "".join(f"{line}\n" for line in lines).encode(), b"")

    wanted = Wanted("/usr/bin/x", ((len(RIGHT), SHA256),))
    watch = Watchlist(programs=(wanted,), copy_folders=("/opt/bin",))
    host: Any = Claiming()
    with pytest.raises(HostMisbehavedError, match=fault) if fault else nullcontext():
        assert probe(host, watch).copies == {SHA256: (path,)}


@pytest.mark.parametrize("pull", [None, Pull("http://x")], ids=["sent", "fetched"])
def test_what_is_copied_is_neither_sent_nor_fetched(pull: Pull | None, tmp_path: Path) -> None:
    here, sent = tmp_path / "x", tmp_path / "y"
    here.write_bytes(RIGHT)
    sent.write_bytes(b"y")
    wanted = (Binary("/usr/bin/x", here, SHA256), Binary("/usr/bin/y", sent, "b" * 64))
    found = Facts(known=True, copies={SHA256: ("/opt/bin/x",)})
    todo = actions(make_plan("n1", wanted, found), ".gz", pull)
    copied = f"run_action 0 copy_program /opt/bin/x {len(RIGHT)} /usr/bin/x 0755 {SHA256}"
    assert copied in todo.script.splitlines()
    assert [member.source for member in todo.members] == ([] if pull else [sent])


# --- the copy -------------------------------------------------------------------------------------


@pytest.fixture(params=SHELLS)
def node(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.chdir(tmp_path)
    return Node(tmp_path, request.param)


@pytest.fixture
def there(node: Node) -> Path:
    path = Path(node.path("far/bin/x"))
    path.parent.mkdir(parents=True)
    path.write_bytes(RIGHT)
    path.chmod(0o755)
    return path


@pytest.fixture
def copy(node: Node, there: Path, tmp_path: Path) -> Callable[[], int]:
    """Copy it to where it is wanted; return how many bytes were sent for that."""
    (tmp_path / "x").write_bytes(RIGHT)
    binary = Binary(node.path("bin/x"), tmp_path / "x", SHA256)
    plan = make_plan("n1", (binary,), Facts(known=True, copies={SHA256: (str(there),)}))

    def run() -> int:
        assert parts(plan) == ()
        return apply(node, plan, node.packer).sent

    return run


def test_a_program_is_copied_and_not_sent(node: Node, there: Path, copy: Callable[[], int]) -> None:
    target = Path(node.path("bin/x"))
    assert copy() < len(assemble("apply")) + 16_000
    assert (target.read_bytes(), target.stat().st_mode & 0o7777) == (RIGHT, 0o755)
    assert target.stat().st_ino != there.stat().st_ino
    assert there.read_bytes() == RIGHT
    assert SHA256 in (node.state / "digests").read_text()
    assert str(target) in (node.state / "written").read_text()
    assert node.leftovers() == []
    assert not list(node.root_dir.parent.rglob("ran"))  # it would have made that


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("gone", "is gone, or others than root may change it by now"),
        ("link", "is gone, or others than root may change it by now"),
        ("FIFO", "is gone, or others than root may change it by now"),
        ("others", "is gone, or others than root may change it by now"),
        ("other content", "promised was"),
        ("longer", "promised was"),
    ],
)
def test_what_changed_since_the_probe_is_not_installed(
    node: Node, there: Path, copy: Callable[[], int], what: str, why: str
) -> None:
    target = Path(node.path("bin/x"))
    target.parent.mkdir()
    target.write_bytes(b"older")
    match what:
        case "others":
            os.chown(there, 65534, 65534)
        case "other content":
            there.write_bytes(RIGHT[:-1] + b"y")
        case "longer":
            there.write_bytes(RIGHT * 1000)
        case _:
            there.unlink()
            if what == "link":
                (there.parent / "y").write_bytes(RIGHT)
                there.symlink_to("y")
            elif what == "FIFO":
                os.mkfifo(there)
    with pytest.raises(ApplyError, match=f"{there}, .*to be copied to {target}.*{why}") as failed:
        copy()
    assert "run the same command again" in (failed.value.advice or "")
    assert target.read_bytes() == b"older"
    assert node.leftovers() == []


def test_a_copy_is_root_s_alone_until_it_is_checked(
    node: Node, there: Path, copy: Callable[[], int], tmp_path: Path
) -> None:
    """And a link that somebody put where it is made is not followed."""
    seen, victim = tmp_path / "seen", tmp_path / "victim"
    victim.write_bytes(b"")
    Path(node.path("bin")).mkdir()
    Path(node.path("bin/.x.fabnode")).symlink_to(victim)
    head = shutil.which("head")
    node.tools.add("head", f'stat -c %a {node.path("bin/.x.fabnode")} >{seen}; exec {head} "$@"')
    copy()
    assert seen.read_text() == "600\n"
    assert victim.read_bytes() == b""
