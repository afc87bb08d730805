"""A plan carried out for real on this machine, with stand-ins for systemd and the runtime."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tarfile
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fabnode.node.conventions import STATE
from fabnode.node.facts import Facts, PathFact, UnitFact, Watchlist
from fabnode.node.plan import Change, Plan, make_plan
from fabnode.node.resources import (
    Absent,
    Binary,
    ClientCertificate,
    Command,
    Directory,
    ExistingSecret,
    File,
    Image,
    Module,
    RemovedUnit,
    Retired,
    Sysctl,
    Unit,
    UnpinnedImage,
)
from fabnode.pki.certificates import openssh_public_bytes
from fabnode.remote.apply import _readable, apply, start
from fabnode.remote.apply_protocol import ApplyEvent
from fabnode.remote.apply_script import actions
from fabnode.remote.payload import stream
from fabnode.remote.payload_cache import GZIP, ZSTD, Packed, Packer
from fabnode.remote.probe import script
from fabnode.remote.probe_output import parse
from fabnode.ssh.errors import ApplyError, ConnectionLostError, HostMisbehavedError
from fabnode.ssh.exec import Result
from fabnode.util.errors import HostError

from .local import SHELLS, Tools, give_away, only_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Literal

    from fabnode.node.resources import Resource
    from fabnode.remote.apply import Applied

RUNNING = "printf 'ActiveState=active\\nSubState=running\\nNRestarts=0\\n'"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Node:
    """This machine in place of a node: `Host` as far as apply needs it."""

    name = "n1"
    command_timeout = 60

    def __init__(self, folder: Path, shell: list[str]) -> None:
        self.root_dir = folder / "root"
        self.state = folder / "state"
        self.lock = folder / "lock"
        self.root_dir.mkdir()
        self.tools = Tools(folder / "tools")
        self.tools.add("systemctl", f"case $1 in show) {RUNNING} ;; esac")
        self.tools.add("journalctl", "echo 'kubelet: no such flag'")
        self.tools.add("modprobe")
        self.tools.add(
            "ctr",
            "case $* in *import*) cat >/dev/null ;; *ls*) cat $IMAGES ;;\n"
            '*=pinned) grep -qxF "$5" $IMAGES || { echo "$5: not found" >&2; exit 1; } ;; esac',
        )
        self.tools.add("sleep", 'exec /bin/sleep "$@"')
        if os.getuid():
            self.tools.add("chown")
        self.packer = Packer(folder / "packed")
        self.shell = shell
        self.events: list[ApplyEvent] = []
        self.stdin = b""

    def path(self, name: str) -> str:
        return str(self.root_dir / name)

    def root(
        self,
        script: str,
        *,
        stdin: Iterable[bytes],
        timeout: float,
        on_line: Callable[[bytes], None],
    ) -> Result:
        command = start(str(self.state), str(self.lock))
        assert script == start()
        self.stdin = b"".join(stdin)
        done = self.tools.run([*self.shell, "-c", command], self.stdin)
        for line in done.stdout.splitlines():
            on_line(line)
        return Result(done.returncode, done.stdout, done.stderr, len(self.stdin))

    def apply(self, *resources: Resource, facts: Facts | None = None, zstd: bool = True) -> Applied:
        plan = make_plan("n1", resources, facts or Facts())
        return apply(self, plan, self.packer, self.events.append, zstd=zstd)

    def begin(self, payload: bytes) -> subprocess.Popen[bytes]:
        """Start an apply that was sent all this, and return while it works."""
        process = subprocess.Popen(
            [*self.shell, "-c", start(str(self.state), str(self.lock))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.tools.env,
        )
        assert process.stdin
        process.stdin.write(payload)
        process.stdin.close()
        return process

    def leftovers(self) -> list[str]:
        inside = [p.name for p in self.state.iterdir() if p.name.startswith("apply.")]
        return inside + [p.name for p in self.root_dir.rglob(".*.fabnode")]


@pytest.fixture(params=SHELLS)
def node(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setenv("IMAGES", str(tmp_path / "images"))
    (tmp_path / "images").write_text("docker.io/library/x:1\n")
    return Node(tmp_path, request.param)


def await_line(process: subprocess.Popen[bytes], line: bytes) -> None:
    """Read what a running apply says until it says `line`."""
    assert process.stdout
    lines: list[bytes] = []
    while line not in lines:
        lines.append(process.stdout.readline())
        assert lines[-1], lines


def hang_up(process: subprocess.Popen[bytes]) -> None:
    """Listen no more, as a deployer that was killed."""
    assert process.stdout
    process.stdout.close()


def test_files_come_with_content_mode_and_folders(node: Node) -> None:
    content = os.urandom(3000) + b"\n'\"$`"
    node.apply(
        Directory(node.path("kube"), 0o750),
        File(node.path("kube/a b'c"), content, 0o600, secret=True),
        File(node.path("deep/er/empty"), b""),
    )
    made = Path(node.path("kube/a b'c"))
    assert made.read_bytes() == content
    assert made.stat().st_mode & 0o777 == 0o600
    assert Path(node.path("kube")).stat().st_mode & 0o777 == 0o750
    assert Path(node.path("deep/er")).stat().st_mode & 0o777 == 0o755
    assert Path(node.path("deep/er/empty")).read_bytes() == b""
    assert node.state.stat().st_mode & 0o777 == 0o700
    assert node.leftovers() == []


def test_what_is_in_the_way_is_replaced_not_followed(node: Node) -> None:
    target = Path(node.path("precious"))
    target.write_text("mine")
    link, folder_link, fifo = (Path(node.path(n)) for n in ("link", "folder-link", "fifo"))
    link.symlink_to(target)
    folder_link.symlink_to(node.root_dir)
    os.mkfifo(fifo)
    node.apply(*(File(str(path), b"new") for path in (link, folder_link, fifo)))
    assert target.read_text() == "mine"
    for path in (link, folder_link, fifo):
        assert not path.is_symlink()
        assert path.read_bytes() == b"new"


def test_a_hard_link_keeps_what_it_is_elsewhere(node: Node) -> None:
    """Neither new content nor another mode gets to the file's other name."""
    content = Path(node.path("precious"))
    content.write_text("mine")
    content.chmod(0o640)
    for name, wanted in (("a", b"new"), ("b", b"mine")):
        Path(node.path(name)).hardlink_to(content)
        seen = PathFact("file", 0o640, sha256=sha(b"mine"))
        facts = Facts(known=True, paths={node.path(name): seen})
        node.apply(File(node.path(name), wanted, 0o600), facts=facts)
        assert Path(node.path(name)).stat().st_mode & 0o777 == 0o600
        assert Path(node.path(name)).read_bytes() == wanted
    assert content.read_text() == "mine"
    assert content.stat().st_mode & 0o777 == 0o640
    assert node.leftovers() == []


def test_a_state_that_leads_elsewhere_is_refused(node: Node) -> None:
    elsewhere = Path(node.path("elsewhere"))
    elsewhere.mkdir(mode=0o755)
    (elsewhere / "apply.1").write_text("mine")
    node.state.parent.mkdir(parents=True, exist_ok=True)
    node.state.symlink_to(elsewhere)
    with pytest.raises(ApplyError, match="is a symlink, but a directory is needed there"):
        node.apply(File(node.path("a"), b"new"))
    assert (elsewhere / "apply.1").read_text() == "mine"
    assert elsewhere.stat().st_mode & 0o777 == 0o755
    assert not Path(node.path("a")).exists()


def test_symlinks_and_fifos_in_its_state_are_removed_not_used(node: Node) -> None:
    precious = Path(node.path("precious"))
    precious.write_text("mine")
    node.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("digests", "images.new"):
        (node.state / name).symlink_to(precious)
    os.mkfifo(node.state / "images")
    (node.state / "stamps").symlink_to(node.root_dir)
    node.lock.unlink(missing_ok=True)
    node.lock.symlink_to(precious)
    node.apply(File(node.path("a"), b"new"))
    node.lock.unlink()
    os.mkfifo(node.lock)
    node.apply(File(node.path("b"), b"new"))
    assert precious.read_text() == "mine"
    assert not (node.state / "stamps").is_symlink()
    assert Path(node.path("b")).read_bytes() == b"new"


def test_a_file_that_is_open_keeps_its_old_content_for_who_has_it(node: Node) -> None:
    path = Path(node.path("running"))
    path.write_text("old")
    with path.open() as reader:
        node.apply(File(str(path), b"new"))
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_mode_alone_moves_no_content(node: Node) -> None:
    path = Path(node.path("a"))
    path.write_text("kept")
    facts = Facts(known=True, paths={str(path): PathFact("file", 0o644, sha256=sha(b"kept"))})
    node.apply(ExistingSecret(str(path), 0o600), facts=facts)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "kept"


def test_who_has_a_file_open_goes_on_writing_nothing_that_is_read(node: Node) -> None:
    """A mode would end nothing: its content is right, and yet it is installed as another inode."""
    path = Path(node.path("kubelet.yaml"))
    path.write_text("right")
    path.chmod(0o666)
    facts = Facts(known=True, paths={str(path): PathFact("file", 0o666, sha256=sha(b"right"))})
    with path.open("r+") as kept:
        node.apply(File(str(path), b"right"), facts=facts)
        kept.write("wrong")
    assert path.read_text() == "right"
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_what_others_could_write_by_now_gets_no_other_mode(node: Node, mode: int) -> None:
    path = Path(node.path("a"))
    path.write_text("kept")
    path.chmod(mode)
    facts = Facts(known=True, paths={str(path): PathFact("file", 0o644, sha256=sha(b"kept"))})
    with pytest.raises(ApplyError, match="others than root could write it, and no mode takes"):
        node.apply(ExistingSecret(str(path), 0o600), facts=facts)
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_what_somebody_else_owns_by_now_does_not_become_roots(node: Node) -> None:
    path = Path(node.path("a"))
    path.write_text("kept")
    os.chown(path, 65534, 65534)
    facts = Facts(known=True, paths={str(path): PathFact("file", 0o644, sha256=sha(b"kept"))})
    with pytest.raises(ApplyError, match="others than root could write it"):
        node.apply(ExistingSecret(str(path), 0o600), facts=facts)
    assert path.stat().st_uid == 65534


def test_removal(node: Node) -> None:
    path = Path(node.path("a"))
    path.write_text("x")
    node.apply(Absent(str(path)), facts=Facts(known=True, paths={str(path): PathFact("file")}))
    assert not path.exists()


@pytest.mark.parametrize("zstd", [True, False], ids=["zstd", "gzip"])
def test_binaries_travel_packed(node: Node, tmp_path: Path, zstd: bool) -> None:
    content = b"\x7fELF" + b"abc" * 100_000
    source = tmp_path / "binary"
    source.write_bytes(content)
    applied = node.apply(Binary(node.path("bin/x"), source, sha(content)), zstd=zstd)
    made = Path(node.path("bin/x"))
    assert made.read_bytes() == content
    assert made.stat().st_mode & 0o777 == 0o755
    assert applied.sent == len(node.stdin) < len(content) / 2


class Damaged(Packer):
    """What it packed changes after it was seen whole, and nothing shows that: a damaged disk."""

    def packed(self, source: Path, sha256: str, suffix: str) -> Packed:
        made = super().packed(source, sha256, suffix)
        before, content = made.path.stat(), made.path.read_bytes()
        made.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        os.utime(made.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return made


class Lost(Packer):
    """What it packed can't be read any more."""

    def packed(self, source: Path, sha256: str, suffix: str) -> Packed:
        return replace(super().packed(source, sha256, suffix), path=source.with_name("lost"))


@pytest.mark.parametrize("zstd", [True, False], ids=["zstd", "gzip"])
def test_a_pushed_binary_is_hashed_before_it_is_installed(
    node: Node, tmp_path: Path, zstd: bool
) -> None:
    source, path = tmp_path / "binary", Path(node.path("x"))
    source.write_bytes(b"right")
    path.write_text("older")
    node.packer = Damaged(tmp_path / "damaged")
    with pytest.raises(ApplyError, match=f"{path}: its packed form: .*promised was") as caught:
        node.apply(Binary(str(path), source, sha(b"right")), zstd=zstd)
    assert caught.value.advice.startswith("run the same command again")
    assert path.read_text() == "older"
    record = node.state / "digests"
    assert not record.exists() or sha(b"right") not in record.read_text()
    assert node.leftovers() == []
    node.packer = Packer(tmp_path / "damaged")  # which no longer trusts what it packed
    node.apply(Binary(str(path), source, sha(b"right")), zstd=zstd)
    assert path.read_text() == "right"


@pytest.mark.parametrize("zstd", [True, False], ids=["zstd", "gzip"])
def test_a_pushed_image_is_hashed_before_it_is_loaded(
    node: Node, tmp_path: Path, zstd: bool
) -> None:
    source = tmp_path / "image"
    source.write_bytes(b"right")
    node.packer = Damaged(tmp_path / "damaged")
    with pytest.raises(ApplyError, match=r"the archive of .*x:1: .*promised was"):
        node.apply(Image(("x:1",), source, sha(b"right")), zstd=zstd)
    assert node.tools.calls_of("ctr") == []
    assert not (node.state / "images").exists()
    node.packer = Packer(tmp_path / "packed")
    node.apply(Image(("x:1",), source, sha(b"right")), zstd=zstd)
    assert sha(b"right") in (node.state / "images").read_text()


@pytest.mark.parametrize("store", ["containerd", "docker"])
def test_an_archive_that_does_not_unpack_to_its_end_is_not_imported(
    node: Node, tmp_path: Path, store: Literal["containerd", "docker"]
) -> None:
    """Whatever ends the unpacking: what the runtime made of its beginning is taken away again."""
    source = tmp_path / "image"
    source.write_bytes(b"layers" * 1000)
    for tool in ("ctr", "docker"):
        node.tools.add(tool, "cat >/dev/null")
    node.tools.add("zstd", "echo layers; exit 137")
    wanted = Image(("docker.io/library/x:1",), source, sha(source.read_bytes()), store=store)
    with pytest.raises(ApplyError, match="x:1 does not unpack to its end"):
        node.apply(wanted)
    assert not (node.state / "images").exists()
    removal = {"containerd": "ctr -n k8s.io images rm", "docker": "docker rmi"}[store]
    assert f"{removal} docker.io/library/x:1" in node.tools.calls


def test_a_runtime_that_does_not_read_an_archive_to_its_end_is_no_fault(
    node: Node, tmp_path: Path
) -> None:
    """What is behind the end of a tar, a runtime may leave in the pipe."""
    source = tmp_path / "image"
    source.write_bytes(os.urandom(2**20))
    node.tools.add("ctr", "case $* in *import*) head -c 10 >/dev/null ;; esac")
    node.apply(Image(("x:1",), source, sha(source.read_bytes())))
    assert (node.state / "images").exists()


def test_a_packed_form_that_cant_be_read_is_no_longer_trusted(node: Node, tmp_path: Path) -> None:
    source = tmp_path / "binary"
    source.write_bytes(b"right")
    node.packer = Lost(tmp_path / "damaged")
    with pytest.raises(HostError, match="can't be packed on this machine"):
        node.apply(Binary(node.path("x"), source, sha(b"right")))
    assert (tmp_path / "damaged/seen.json").read_text() == "{}"


def test_what_cant_be_packed_here_is_no_fault_of_the_connection(node: Node, tmp_path: Path) -> None:
    source = tmp_path / "binary"
    source.write_bytes(b"changed since")
    for there in (True, False):
        if not there:
            source.unlink()
        plan = Plan("n1", (Change(Binary(node.path("x"), source, sha(b"right")), "create", ""),))
        todo = actions(plan, ZSTD)
        with pytest.raises(HostError, match="can't be packed on this machine") as caught:
            list(_readable("n1", stream(todo, node.packer, ZSTD), todo, node.packer))
        assert not isinstance(caught.value, ConnectionLostError)
        assert str(source) in caught.value.message


def test_a_link_put_where_the_sibling_goes_is_not_followed(node: Node, tmp_path: Path) -> None:
    """Where somebody else may write beside a file: neither content nor mode gets elsewhere."""
    precious = Path(node.path("precious"))
    precious.write_text("mine")
    precious.chmod(0o640)
    source = tmp_path / "binary"
    source.write_bytes(b"new")
    kept = Path(node.path("kept"))
    kept.write_text("kept")
    Path(node.path("kept's other name")).hardlink_to(kept)
    for name in "ab":
        Path(node.path(f".{name}.fabnode")).write_text("left by a run that was killed")
    node.tools.add(
        "rm",
        f'/bin/rm "$@"\ncase "$*" in "-f "*.fabnode) /bin/ln -s {precious} "$2" ;; esac',
    )
    facts = Facts(known=True, paths={str(kept): PathFact("file", 0o644, sha256=sha(b"kept"))})
    for resource in (
        File(node.path("a"), b"new", 0o666),
        Binary(node.path("b"), source, sha(b"new"), 0o666),
        ExistingSecret(str(kept), 0o666),
    ):
        with pytest.raises(ApplyError):
            node.apply(resource, facts=facts if isinstance(resource, ExistingSecret) else None)
        assert precious.read_text() == "mine"
        assert precious.stat().st_mode & 0o777 == 0o640


def test_the_mode_of_what_a_symlink_leads_to_stays(node: Node) -> None:
    precious, link = Path(node.path("precious")), Path(node.path("link"))
    precious.touch(0o640)
    link.symlink_to(precious)
    facts = Facts(known=True, paths={str(link): PathFact("file", 0o644, sha256=sha(b""))})
    with pytest.raises(ApplyError, match="is a symlink"):
        node.apply(ExistingSecret(str(link), 0o666), facts=facts)
    assert precious.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_a_state_of_somebody_else_is_refused(node: Node) -> None:
    node.state.mkdir(mode=0o755)
    os.chown(node.state, 65534, 65534)
    with pytest.raises(ApplyError, match="belongs to somebody else than root"):
        node.apply(File(node.path("a"), b"new"))
    assert not Path(node.path("a")).exists()


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_state_that_others_could_fill_is_refused(node: Node, mode: int) -> None:
    """Closed now, it would make what they left in it fabnode's record."""
    node.state.mkdir()
    node.state.chmod(mode)
    with pytest.raises(ApplyError, match="others than root may write in"):
        node.apply(File(node.path("a"), b"new"))
    assert not Path(node.path("a")).exists()
    assert node.state.stat().st_mode & 0o777 == mode


@only_root
@pytest.mark.parametrize("planted", ["before/etc", "baseline", "stamps", "stamps/a", "kept/list"])
@pytest.mark.parametrize("how", ["theirs", "open", "a link"])
def test_what_others_left_in_a_state_that_is_closed_by_now_is_refused(
    node: Node, planted: str, how: str
) -> None:
    """Its mode was taken back; what somebody put there meanwhile would be restored by a reset."""
    path = node.state / planted
    path.parent.mkdir(parents=True, exist_ok=True)
    if how == "a link":
        path.symlink_to(node.root_dir)
    else:
        path.mkdir()
        path.chmod(0o777 if how == "open" else 0o755)
    if how != "open":
        os.chown(path, 65534, 65534, follow_symlinks=False)
    with pytest.raises(ApplyError, match=rf"others than root put .*/{planted} there"):
        node.apply(File(node.path("a"), b"new"))
    assert not Path(node.path("a")).exists()


@pytest.mark.parametrize("why", ["exit 127", "echo; exit 1", "kill -9 $$"])
def test_a_state_that_could_not_be_searched_is_not_believed(
    node: Node, request: pytest.FixtureRequest, why: str
) -> None:
    """A host without find shows nothing of others', as an honest one."""
    if "busybox" in request.node.name:
        pytest.skip("it has a find of its own")
    node.tools.add("find", why)
    node.state.mkdir()
    with pytest.raises(ApplyError, match=r"was not searched .* install findutils"):
        node.apply(File(node.path("a"), b"new"))
    assert not Path(node.path("a")).exists()


@only_root
def test_what_was_kept_of_a_host_may_belong_to_anybody(node: Node) -> None:
    kept = node.state / "before/etc/crictl.yaml"
    kept.parent.mkdir(parents=True)
    kept.write_text("an admin's")
    os.chown(kept, 1000, 1000)
    node.apply(File(node.path("a"), b"new"))
    assert kept.exists()


def test_what_is_written_is_listed_once_for_a_reset(node: Node) -> None:
    one, two = node.path("one"), node.path("two")
    for content in (b"old", b"new"):
        node.apply(File(one, content), File(two, content))
    assert (node.state / "written").read_text().splitlines() == [one, two]


def test_the_next_probe_needs_not_hash_what_was_written(node: Node, tmp_path: Path) -> None:
    path = node.path("a")
    node.apply(File(path, b"content"))
    record = node.state / "digests"
    assert sha(b"content") in record.read_text()
    record.write_text(record.read_text().replace(sha(b"content"), "ab" * 32))
    code = script(Watchlist(opaque=(path,), state=str(node.state)), "n")
    printed = node.tools.run([*node.shell, "-s"], code).stdout
    seen = parse(printed, nonce="n", sent=0, received=0)
    assert seen.path(path).sha256 == "ab" * 32  # as recorded, hence not hashed


def test_kernel(node: Node) -> None:
    node.apply(Module("ip_vs"))
    assert "modprobe -- ip_vs" in node.tools.calls
    # What lives below /proc/sys is nothing a test may write to.
    change = Change(Sysctl("net.ipv4.conf.eth0/1.x", "1"), "set", "")
    script = actions(Plan("n1", (change,)), ZSTD).script
    assert "write_sysctl /proc/sys/net/ipv4/conf/eth0.1/x 1" in script


KUBELET = "kubelet.service"


def kubelet(node: Node) -> tuple[File, File, Unit]:
    config = File(node.path("config"), b"1")
    unit_file = File(node.path("etc/systemd/system/kubelet.service"), b"[Service]")
    return config, unit_file, Unit(KUBELET, (config.path, unit_file.path))


def test_a_unit_is_started_stamped_and_reported(node: Node) -> None:
    config, unit_file, unit = kubelet(node)
    applied = node.apply(config, unit_file, unit)
    calls = [c for c in node.tools.calls_of("systemctl") if " show " not in c]
    assert calls == [
        "systemctl enable -q --no-reload -- kubelet.service",
        "systemctl daemon-reload",
        "systemctl reset-failed -- kubelet.service",
        "systemctl restart -- kubelet.service",
    ]
    stamp = (node.state / "stamps" / KUBELET).read_text()
    assert stamp == f"{sha(b'1')} {config.path}\n{sha(b'[Service]')} {unit_file.path}\n"
    assert [(e.state, e.change and e.change.name) for e in node.events] == [
        ("start", config.path),
        ("done", config.path),
        ("start", unit_file.path),
        ("done", unit_file.path),
        ("start", KUBELET),
        ("done", KUBELET),
        ("start", None),
        ("done", None),
    ]
    assert len(applied.seconds) == 4


PROXY = "kube-proxy.service"


@only_root
@pytest.mark.parametrize("cleanup", ["exit 0", "echo 'no ipset'; exit 1"])
def test_a_unit_is_removed_with_its_file_and_its_program_cleans_up(
    node: Node, cleanup: str
) -> None:
    file, program, ran = (Path(node.path(name)) for name in ("etc/u", "bin/kube-proxy", "ran"))
    for path, text in ((file, "[Service]"), (program, f"#!/bin/sh\necho $* >>{ran}\n{cleanup}")):
        path.parent.mkdir()
        path.write_text(text)
        path.chmod(0o755)
    (node.state / "stamps").mkdir(parents=True)
    (node.state / "stamps" / PROXY).write_text("from an earlier start")
    facts = Facts(
        known=True,
        paths={str(file): PathFact("file"), str(program): PathFact("file")},
        units={PROXY: UnitFact("loaded", "active", "running", "enabled")},
    )
    removed = RemovedUnit(PROXY, str(file), "none")
    node.apply(removed, Retired(str(program), ("--cleanup",), "none"), facts=facts)
    assert node.tools.calls_of("systemctl") == [
        f"systemctl disable -q --now -- {PROXY}",
        "systemctl daemon-reload",
        f"systemctl reset-failed -- {PROXY}",
    ]
    assert not file.exists()
    assert not program.exists()
    assert ran.read_text() == "--cleanup\n"
    assert not (node.state / "stamps" / PROXY).exists()


@only_root
@pytest.mark.parametrize("way", ["file", "mode", "folder"])
def test_a_program_that_goes_and_is_others_does_not_clean_up(node: Node, way: str) -> None:
    program, ran = Path(node.path("bin/kube-proxy")), Path(node.path("ran"))
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    program.chmod(0o755)
    give_away(program, way)
    facts = Facts(known=True, paths={str(program): PathFact("file")})
    with pytest.raises(ApplyError, match=f"others than root may change {program}"):
        node.apply(Retired(str(program), ("--cleanup",), "none"), facts=facts)
    assert not ran.exists()


@only_root
@pytest.mark.parametrize("way", ["file", "folder", "link", "roots", ""])
def test_images_are_imported_by_a_client_that_is_roots_alone(
    node: Node, tmp_path: Path, way: str
) -> None:
    ctr = node.tools.folder / "ctr"
    (node.tools.folder / "calls.log").touch()
    give_away(ctr, way)
    wanted = replace(image(tmp_path, "x:1"), ctr=str(ctr))
    stored = Facts(pinned=frozenset({"q.io/old:1"}))
    unpinned = UnpinnedImage("q.io/old:1", str(ctr))
    if way in {"roots", ""}:
        (tmp_path / "images").write_text("docker.io/library/x:1\n")
        node.apply(wanted, unpinned, facts=stored)
        return
    for resource in (wanted, unpinned):
        with pytest.raises(ApplyError, match=f"others than root may change {ctr}"):
            node.apply(resource, facts=stored)
    assert node.tools.calls_of("ctr") == []


def test_a_unit_that_does_not_stop_is_a_failure_and_keeps_its_file(node: Node) -> None:
    node.tools.add("systemctl", "case $1 in disable | stop) echo 'Job canceled.'; exit 1 ;; esac")
    file = Path(node.path("u"))
    file.touch()
    facts = Facts(known=True, paths={str(file): PathFact("file")})
    with pytest.raises(ApplyError, match=r"remove kube-proxy\.service: Job canceled"):
        node.apply(RemovedUnit(PROXY, str(file), "none"), facts=facts)
    assert file.exists()


def test_systemd_rereads_nothing_where_no_unit_file_changed(node: Node) -> None:
    config, unit_file, unit = kubelet(node)
    facts = Facts(
        known=True,
        paths={unit_file.path: PathFact("file", 0o644, sha256=sha(b"[Service]"))},
        units={KUBELET: UnitFact("loaded", "active", "running", "enabled")},
    )
    node.apply(config, unit_file, unit, facts=facts)
    assert "systemctl restart -- kubelet.service" in node.tools.calls
    assert "systemctl daemon-reload" not in node.tools.calls


def test_enabling_alone_restarts_nothing(node: Node) -> None:
    config, unit_file, unit = kubelet(node)
    node.apply(config, unit_file, unit)
    node.tools.forget()
    stamp = dict(
        line.split(" ", 1)[::-1]
        for line in (node.state / "stamps" / KUBELET).read_text().splitlines()
    )
    facts = Facts(
        known=True,
        paths={
            config.path: PathFact("file", 0o644, sha256=sha(b"1")),
            unit_file.path: PathFact("file", 0o644, sha256=sha(b"[Service]")),
        },
        units={KUBELET: UnitFact("loaded", "active", "running", "disabled", stamp=stamp)},
    )
    node.apply(config, unit_file, unit, facts=facts)
    assert node.tools.calls_of("systemctl") == [
        "systemctl enable -q --no-reload -- kubelet.service",
        "systemctl daemon-reload",
    ]


def test_a_unit_that_won_t_start_shows_its_journal_and_is_not_stamped(node: Node) -> None:
    node.tools.add("systemctl", "case $1 in restart) echo 'Job failed.'; exit 1 ;; esac")
    (node.state / "stamps").mkdir(parents=True)
    (node.state / "stamps" / KUBELET).write_text("from an earlier start")
    with pytest.raises(ApplyError) as caught:
        node.apply(*kubelet(node))
    assert caught.value.action == "start kubelet.service"
    assert "kubelet: no such flag" in caught.value.detail
    assert caught.value.message.endswith("its last line: kubelet: no such flag")
    assert caught.value.advice == "fab -H n1 logs --unit kubelet"
    assert not (node.state / "stamps" / KUBELET).exists()
    assert node.leftovers() == []
    assert node.events[-1].state == "fail"


FRAMES = ["main.main()", "\t/src/kubelet.go:37 +0x2a"] * 30
STACK = "\n".join(["", "goroutine 1 [running]:", *FRAMES])
PANIC = "panic: unrecognized feature gate: NoSuch"
EXITED = f"{KUBELET}: Main process exited, code=exited, status=2/INVALIDARGUMENT"
LAST = "E1128 20:00:02.5 7 run.go:72] no such flag"


@pytest.mark.parametrize(
    ("journal", "end"),
    [
        (
            f"I1128 20:00:01.5 7 x.go:1] Starting\n{PANIC}\n{STACK}\n"
            f"{EXITED}\n{KUBELET}: Scheduled restart job, restart counter is at 2.\nI1128 x",
            f"; it ended with: {PANIC}",
        ),
        (
            f"fatal error: concurrent map writes\n{STACK}\n{EXITED}",
            "; it ended with: fatal error: concurrent map writes",
        ),
        (
            f"F1128 20:00:01.5 7 server.go:9] no kubeconfig\n{STACK}\n{EXITED}",
            "; it ended with: no kubeconfig",
        ),
        (  # an earlier one, before it was mended
            f"{PANIC}\n{STACK}\n{EXITED}\n{LAST}\n{EXITED}",
            "; its last line: no such flag",
        ),
        (
            f"{PANIC}\n{EXITED}\n{LAST}\n{EXITED}",
            "; its last line: no such flag",
        ),
    ],
)
def test_a_unit_that_panicked_is_reported_with_what_it_panicked_about(
    node: Node, journal: str, end: str
) -> None:
    node.tools.add("systemctl", "case $1 in restart) echo 'Job failed.'; exit 1 ;; esac")
    node.tools.add("journalctl", f"cat <<'EOF'\n{journal}\nEOF")
    with pytest.raises(ApplyError) as caught:
        node.apply(*kubelet(node))
    assert caught.value.message.endswith(end)
    assert len(caught.value.detail.splitlines()) <= 25


def test_a_unit_that_does_not_stay_up_is_reported_at_once(node: Node, tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    node.tools.add(
        "systemctl",
        f"case $1 in show) n=$(cat {count}); echo $((n + 1)) >{count}\n"
        "printf 'ActiveState=activating\\nSubState=auto-restart\\nNRestarts=%s\\n' $n ;; esac",
    )
    with pytest.raises(ApplyError, match="does not stay up") as caught:
        node.apply(*kubelet(node))
    assert "kubelet: no such flag" in caught.value.detail
    assert caught.value.message.endswith("its last line: kubelet: no such flag")
    assert caught.value.advice == "fab -H n1 logs --unit kubelet"
    assert not (node.state / "stamps" / KUBELET).exists()


class Daemon:
    """A unit in place of docker's: it comes up only with a configuration that holds `good`."""

    name = "docker.service"

    def __init__(self, node: Node, before: str | None = "good: 1") -> None:
        self.node = node
        self.config = Path(node.path("etc/docker/daemon.json"))
        self.config.parent.mkdir(parents=True)
        if before is not None:
            self.config.write_text(before)
        self.runs = node.root_dir / "runs"
        self.runs.touch()
        starts = f"[ ! -e {self.config} ] || grep -q good {self.config}"
        state = f"if [ -e {self.runs} ]; then {RUNNING}; else echo ActiveState=failed; fi"
        node.tools.add(
            "systemctl",
            f"case $* in show*) {state} ;; *is-active*) [ -e {self.runs} ] ;;\n"
            f"restart*) rm -f {self.runs}; {{ {starts}; }} && touch {self.runs} ||\n"
            "{ echo 'Job failed.'; exit 1; } ;; esac",
        )

    def deploy(self, content: str) -> None:
        config = File(str(self.config), content.encode())
        self.node.apply(config, Unit(self.name, (config.path,)))

    @property
    def files(self) -> dict[str, str]:
        return {each.name: each.read_text() for each in self.config.parent.iterdir()}


def test_a_daemon_that_does_not_come_up_gets_its_file_back_and_runs(node: Node) -> None:
    daemon = Daemon(node)
    inode = daemon.config.stat().st_ino
    with pytest.raises(ApplyError) as caught:
        daemon.deploy("bad")
    assert daemon.files == {"daemon.json": "good: 1"}
    assert daemon.config.stat().st_ino == inode
    assert daemon.runs.exists()
    assert caught.value.message == (
        "docker.service has its previous files again, and runs: start docker.service:"
        " Job failed.; its last line: kubelet: no such flag"
    )
    assert caught.value.advice == "fab -H n1 logs --unit docker"
    assert not (node.state / "stamps" / daemon.name).exists()  # so that the next plan restarts it


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_may_change_does_not_come_back(node: Node, mode: int) -> None:
    """Whoever has it open goes on writing it, whatever its mode is by then."""
    daemon = Daemon(node)
    daemon.config.chmod(mode)
    with pytest.raises(ApplyError, match=r"^start docker.service: Job failed"):
        daemon.deploy("bad")
    assert daemon.files == {"daemon.json": "bad"}


def test_a_daemon_without_a_file_before_has_none_again(node: Node) -> None:
    daemon = Daemon(node, before=None)
    with pytest.raises(ApplyError, match=r"^docker.service has its previous files again, and"):
        daemon.deploy("bad")
    assert daemon.files == {}
    assert daemon.runs.exists()


def test_a_daemon_that_comes_up_leaves_no_previous_file(node: Node) -> None:
    daemon = Daemon(node)
    daemon.deploy("good: 2")
    assert daemon.files == {"daemon.json": "good: 2"}


def test_a_daemon_that_was_down_keeps_the_new_file(node: Node) -> None:
    """Nothing is worth restoring: the file that it failed with would fail again."""
    daemon = Daemon(node, before="bad: 1")
    daemon.runs.unlink()
    with pytest.raises(ApplyError, match=r"^start docker.service: Job failed"):
        daemon.deploy("bad: 2")
    assert daemon.files == {"daemon.json": "bad: 2"}


def test_previous_files_that_do_not_help_either_are_reported_so(node: Node) -> None:
    daemon = Daemon(node, before="bad: but it runs with it since long ago")
    with pytest.raises(ApplyError, match="again, but does not start with them either: start"):
        daemon.deploy("bad: 2")
    assert daemon.files == {"daemon.json": "bad: but it runs with it since long ago"}


def test_what_a_killed_run_replaced_is_still_what_comes_back(node: Node) -> None:
    """It wrote a file with which the daemon was never started."""
    daemon = Daemon(node)
    config = File(str(daemon.config), b"bad: 2")
    plan = make_plan("n1", (config, Unit(daemon.name, (config.path,))), Facts())
    whole = b"".join(stream(actions(plan, GZIP), node.packer, GZIP))
    rest = whole.index(b"m1\0")  # the unit's stamp, without which it is not restarted
    command = start(str(node.state), str(node.lock))
    assert node.tools.run([*node.shell, "-c", command], whole[:rest]).returncode == 1
    assert daemon.files["daemon.json"] == "bad: 2"
    with pytest.raises(ApplyError, match="has its previous files again, and runs"):
        daemon.deploy("bad: 3")
    assert daemon.files == {"daemon.json": "good: 1"}


def join(
    node: Node, seconds: int = 20, *, key: str = "key"
) -> tuple[File, Unit, ClientCertificate]:
    boot = File(node.path("bootstrap"), b"token", 0o600, secret=True, ephemeral=True)
    unit = Unit(KUBELET, (boot.path,))
    return (
        boot,
        unit,
        ClientCertificate(
            node.path("pem"), KUBELET, boot.path, key and node.path(key), "it has none", seconds
        ),
    )


@pytest.mark.parametrize("key", ["key", ""])
def test_joining_waits_for_the_certificate_and_then_takes_the_token_away(
    node: Node, key: str
) -> None:
    node.tools.add(
        "systemctl",
        f"case $1 in show) {RUNNING} ;;\n"
        f"restart) (/bin/sleep 0.5; [ -e {node.path('bootstrap')} ] && echo >{node.path('pem')} x) "
        ">/dev/null 2>&1 & ;; esac",
    )
    node.apply(*join(node, key=key))
    assert not Path(node.path("bootstrap")).exists()
    assert (node.state / "stamps" / KUBELET).read_text() == ""


def test_a_certificate_that_does_not_come_ends_in_words_and_without_the_token(node: Node) -> None:
    with pytest.raises(ApplyError, match=r"no certificate came to .* within 1 s") as caught:
        node.apply(*join(node, seconds=1))
    assert "kubelet: no such flag" in caught.value.detail
    assert not Path(node.path("bootstrap")).exists()


@pytest.mark.parametrize(
    ("line", "cause", "last"),
    [
        (
            "E1128 20:00:01.5 7 x.go:1] proxyconnect tcp: dial tcp 192.0.2.1:3128: i/o timeout",
            "it can't speak to the apiserver",
            "proxyconnect tcp: dial tcp 192.0.2.1:3128: i/o timeout",
        ),
        ("I1128 20:00:01.5 7 x.go:1] waiting", "not approved, or not signed", "node is missing"),
        (
            "E1128 20:00:01.5 7 x.go:1] failed to pull image: dial tcp: lookup docker.io on x",
            "not approved, or not signed",
            "node is missing",
        ),
    ],
)
def test_a_certificate_that_does_not_come_is_reported_with_the_last_connection_error(
    node: Node, line: str, cause: str, last: str
) -> None:
    after = "E1128 20:00:02.5 7 y.go:2] node is missing"
    node.tools.add("journalctl", f"echo '{line}'; echo '{after}'")
    with pytest.raises(ApplyError) as caught:
        node.apply(*join(node, seconds=1))
    reported = str(caught.value)
    assert cause in reported
    assert f"; its last line: {last}" in reported


def test_a_key_that_waits_for_its_certificate_is_reported_by_its_public_half_only(
    node: Node, tmp_path: Path
) -> None:
    """As kubelets without rotation write it (SEC 1, 0600), at first half and then whole."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    whole, place = tmp_path / "whole", node.path("key")
    whole.touch(0o600)
    whole.write_bytes(pem)
    steps = f"head -c 60 {whole} >{place}; /bin/sleep 0.4; cat {whole} >{place}; /bin/sleep 0.8"
    node.tools.add(
        "systemctl",
        f"case $1 in show) {RUNNING} ;;\n"
        f"restart) (umask 077; {steps}; echo >{node.path('pem')} x) >/dev/null 2>&1 & ;; esac",
    )
    node.apply(*join(node))
    (reported,) = [event for event in node.events if event.state == "key"]
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert openssh_public_bytes(reported.key) == public
    assert reported.change is not None
    assert reported.change.action == "join"


def test_a_key_that_cant_be_read_is_reported_when_no_certificate_comes(node: Node) -> None:
    node.tools.add("ssh-keygen", "echo 'no such format' >&2; exit 1")
    Path(node.path("key")).write_text("rubbish")
    with pytest.raises(ApplyError, match="no certificate came to") as caught:
        node.apply(*join(node, seconds=1))
    assert "no such format" in caught.value.detail
    assert not [event for event in node.events if event.state == "key"]


def test_a_kubelet_that_dies_while_it_joins_is_not_waited_for(node: Node, tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    node.tools.add(
        "systemctl",
        f"case $1 in show) [ ! -e {dead} ] && {RUNNING} || printf 'ActiveState=failed\\n' ;;\n"
        f"restart) (/bin/sleep 0.5; touch {dead}) >/dev/null 2>&1 & ;; esac",
    )
    began = time.monotonic()
    with pytest.raises(ApplyError, match="does not stay up: it is failed"):
        node.apply(*join(node, seconds=60))
    assert time.monotonic() - began < 30
    assert not Path(node.path("bootstrap")).exists()


def test_what_a_kubelet_did_before_it_was_waited_for_counts_as_well(
    node: Node, tmp_path: Path
) -> None:
    """It died again and again while other things were done, and hangs now."""
    seen = tmp_path / "seen"
    node.tools.add(
        "systemctl",
        f"case $1 in show) [ -e {seen} ] && n=5 || n=0; touch {seen}\n"
        "printf 'ActiveState=activating\\nSubState=start\\nNRestarts=%s\\n' $n ;; esac",
    )
    with pytest.raises(ApplyError, match=r"does not stay up: .* started again 5 times"):
        node.apply(*join(node, seconds=60, key=""))


def renewed(node: Node) -> tuple[File, Absent, Unit, ClientCertificate]:
    """A pair that the kubelet is to make again, as it keeps it: a link to a dated file."""
    old = Path(node.path("old.pem"))
    old.write_text("old")
    Path(node.path("pem")).symlink_to(old)
    boot, unit, certificate = join(node, 1)
    return boot, Absent(node.path("pem"), remade_by=KUBELET), unit, certificate


def there(node: Node) -> Facts:
    return Facts(known=True, paths={node.path("pem"): PathFact("symlink", 0o777)})


def test_a_pair_is_out_of_the_way_when_the_kubelet_starts_and_gone_in_the_end(node: Node) -> None:
    node.tools.add(
        "systemctl",
        f"case $1 in show) {RUNNING} ;;\n"
        f"restart) [ -e {node.path('pem')} ] || echo new >{node.path('pem')} ;; esac",
    )
    node.apply(*renewed(node), facts=there(node))
    assert Path(node.path("pem")).read_text() == "new\n"
    assert sorted(p.name for p in Path(node.path("pem")).parent.glob("*pem*")) == ["old.pem", "pem"]


def test_the_old_pair_comes_back_when_no_new_one_does(node: Node) -> None:
    with pytest.raises(ApplyError, match="no certificate came"):
        node.apply(*renewed(node), facts=there(node))
    assert Path(node.path("pem")).read_text() == "old"
    assert node.tools.calls_of("systemctl")[-1] == f"systemctl restart --no-block -- {KUBELET}"
    assert not Path(node.path("bootstrap")).exists()


def test_the_token_goes_when_something_else_fails(node: Node) -> None:
    boot, unit, certificate = join(node)
    node.tools.add("modprobe", "echo 'no such module' >&2; exit 1")
    with pytest.raises(ApplyError, match=r"load ip_vs: no such module.*`modprobe -v ip_vs` there"):
        node.apply(boot, Module("ip_vs"), unit, certificate)
    assert not Path(node.path("bootstrap")).exists()


def image(tmp_path: Path, *names: str) -> Image:
    source = tmp_path / "image.tar"
    source.write_bytes(b"layers" * 1000)
    return Image(names, source, sha(source.read_bytes()))


def test_images_are_imported_and_recorded(node: Node, tmp_path: Path) -> None:
    node.state.mkdir()
    (node.state / "images").write_text(
        f"{'cd' * 32} docker.io/library/x:1\n{'cd' * 32} docker.io/library/other:1\n"
    )
    wanted = image(tmp_path, "x:1")
    node.apply(wanted)
    assert "ctr -n k8s.io images import --no-unpack -" in node.tools.calls
    assert f"ctr -n k8s.io images label docker.io/library/x:1 {PIN}=pinned" in node.tools.calls
    assert (node.state / "images").read_text() == (
        f"{'cd' * 32} docker.io/library/other:1\n{wanted.sha256} docker.io/library/x:1\n"
    )


def test_a_runtime_is_asked_once_for_its_options_and_once_for_each_name(
    node: Node, tmp_path: Path
) -> None:
    """Each start of `ctr` takes a node tens of milliseconds, with several archives at once."""
    (tmp_path / "images").write_text("docker.io/library/x:1\ndocker.io/library/y:1\n")
    node.apply(image(tmp_path, "x:1"), image(tmp_path, "y:1"))
    asked = [call.split()[-1] for call in node.tools.calls_of("ctr")]
    assert asked == ["--help", "-", f"{PIN}=pinned", "-", f"{PIN}=pinned"]


def test_an_image_that_cant_be_pinned_is_not_called_missing(node: Node, tmp_path: Path) -> None:
    node.tools.add(
        "ctr",
        "case $* in *import*) cat >/dev/null ;; *ls*) cat $IMAGES ;;\n"
        "*) echo no lease >&2; exit 1 ;; esac",
    )
    with pytest.raises(ApplyError, match="no lease") as caught:
        node.apply(image(tmp_path, "x:1"))
    assert "does not bring" not in str(caught.value)


@pytest.mark.parametrize("answer", ["exit 1", "cat", "echo 'no such digest'"])
def test_an_openssl_that_does_not_hash_is_done_without(
    node: Node, tmp_path: Path, answer: str
) -> None:
    node.tools.add("openssl", answer)
    node.apply(image(tmp_path, "x:1"), File(node.path("a"), b"content"))
    assert node.tools.calls_of("openssl") == ["openssl dgst -sha256 -r"]
    node.packer = Damaged(tmp_path / "damaged")
    with pytest.raises(ApplyError, match=r"the archive of .*x:1: .*promised was"):
        node.apply(image(tmp_path, "x:1"))


PIN = "io.cri-containerd.pinned"


def test_pins_come_and_go_without_their_archive(node: Node, tmp_path: Path) -> None:
    wanted = image(tmp_path, "x:1")
    stored = Facts(images=frozenset({"docker.io/library/x:1"}), pinned=frozenset({"q.io/old:1"}))
    node.apply(wanted, UnpinnedImage("q.io/old:1"), facts=stored)
    assert node.tools.calls_of("ctr") == [
        f"ctr -n k8s.io images label docker.io/library/x:1 {PIN}=pinned",
        f"ctr -n k8s.io images label q.io/old:1 {PIN}=",
    ]
    assert b"layers" not in node.stdin


def test_with_docker_images_go_into_its_store(node: Node, tmp_path: Path) -> None:
    node.tools.add("docker", "[ $1 != load ] || cat >/dev/null")
    wanted = replace(image(tmp_path, "x:1"), store="docker")
    node.apply(wanted)
    assert "docker load -q" in node.tools.calls
    assert not any(call.startswith("ctr") for call in node.tools.calls)
    assert (node.state / "images").read_text() == f"{wanted.sha256} docker.io/library/x:1\n"


def test_an_archive_without_its_image_is_an_error_now_and_not_at_each_run(
    node: Node, tmp_path: Path
) -> None:
    with pytest.raises(ApplyError, match=r"the archive does not bring docker\.io/library/y:1"):
        node.apply(image(tmp_path, "y:1"))


def test_a_full_disk_is_reported_and_leaves_nothing_half_written(node: Node) -> None:
    path = Path(node.path("a"))
    path.write_text("old")
    node.tools.add("cat", 'echo "cat: write error: No space left on device" >&2; exit 1')
    with pytest.raises(ApplyError, match="No space left on device"):
        node.apply(File(str(path), b"new"))
    assert path.read_text() == "old"
    assert node.leftovers() == []


def test_a_failure_ends_the_rest_and_keeps_what_was_done(node: Node) -> None:
    node.tools.add("modprobe", "exit 1")
    first, last = Path(node.path("first")), Path(node.path("last"))
    with pytest.raises(ApplyError):
        node.apply(File(str(first), b""), Module("x"), File(str(last), b""))
    assert first.exists()
    assert not last.exists()


def test_a_secret_is_in_the_stream_only(node: Node) -> None:
    secret = File(node.path("s"), b"TOP-SECRET", 0o600, secret=True)
    plan = make_plan("n1", [secret], Facts())
    assert b"TOP-SECRET" in b"".join(stream(actions(plan, ZSTD), node.packer, ZSTD))
    assert "TOP-SECRET" not in start() + actions(plan, ZSTD).script


def test_a_file_without_content_yet_is_not_sent() -> None:
    plan = make_plan("n1", [File("/etc/token", None, 0o600, secret=True)], Facts())
    with pytest.raises(ValueError, match="/etc/token has no content yet"):
        actions(plan, ZSTD)


def test_leftovers_of_killed_runs_go(node: Node) -> None:
    node.state.mkdir()
    (node.state / "apply.123").mkdir()
    (node.state / "apply.123" / "m1").write_text("payload")
    node.apply(Directory(node.path("x")))
    assert node.leftovers() == []


def test_a_stream_that_breaks_off_changes_only_what_arrived(node: Node) -> None:
    first, last = Path(node.path("first")), Path(node.path("last"))
    plan = make_plan("n1", [File(str(first), b"1"), File(str(last), b"2" * 5000)], Facts())
    whole = b"".join(stream(actions(plan, ZSTD), node.packer, ZSTD))
    command = start(str(node.state), str(node.lock))
    done = node.tools.run([*node.shell, "-c", command], whole[:-6000])
    assert done.returncode == 1
    assert b"the payload ended too early" in done.stdout
    assert first.read_text() == "1"
    assert not last.exists()
    assert node.leftovers() == []


def test_the_node_stops_when_nobody_listens_any_more(node: Node) -> None:
    """The deployer is killed while a unit is waited for: the node ends its run by itself."""
    plan = make_plan("n1", join(node, seconds=300), Facts())
    whole = b"".join(stream(actions(plan, ZSTD), node.packer, ZSTD))
    process = node.begin(whole)
    await_line(process, b"start\t2\n")
    hang_up(process)
    assert process.wait(20) != 0
    assert not Path(node.path("bootstrap")).exists()
    assert node.leftovers() == []


def test_the_node_tidies_up_though_nobody_hears_its_next_word(node: Node) -> None:
    """The deployer is killed between two beats: the next line is the first to fail."""
    node.tools.add(
        "systemctl", f"case $1 in show) {RUNNING} ;; restart) exec /bin/sleep 0.3 ;; esac"
    )
    plan = make_plan("n1", join(node, seconds=300), Facts())
    whole = b"".join(stream(actions(plan, ZSTD), node.packer, ZSTD))
    process = node.begin(whole)
    await_line(process, b"start\t1\n")
    hang_up(process)
    assert process.wait(20) != 0
    assert not Path(node.path("bootstrap")).exists()
    assert node.leftovers() == []


def test_a_file_that_was_being_written_goes_with_its_run(node: Node, tmp_path: Path) -> None:
    """The deployer is killed while a binary is unpacked beside its place."""
    source = tmp_path / "kubelet"
    source.write_bytes(b"x" * 100)
    node.tools.add("zstd", "echo half; /bin/sleep 2")
    binary = Binary(node.path("kubelet"), source, sha(source.read_bytes()))
    plan = make_plan("n1", [binary], Facts())
    whole = b"".join(stream(actions(plan, ZSTD), node.packer, ZSTD))
    process = node.begin(whole)
    await_line(process, b"start\t0\n")
    hang_up(process)
    assert process.wait(20) != 0
    assert node.leftovers() == []
    assert not Path(binary.path).exists()


def test_two_runs_never_interleave(node: Node) -> None:
    """The second waits until the first, whose deployer is gone, has ended."""
    waiting = subprocess.Popen(
        ["flock", str(node.lock), "sh", "-c", "echo held; read -r _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert waiting.stdin
    assert waiting.stdout
    waiting.stdout.readline()
    marker = Path(node.path("made"))
    plan = make_plan("n1", [File(str(marker), b"")], Facts())
    second = node.begin(b"".join(stream(actions(plan, ZSTD), node.packer, ZSTD)))
    time.sleep(0.3)
    assert not marker.exists()
    waiting.stdin.close()
    assert second.wait(20) == 0
    assert marker.exists()


@pytest.mark.parametrize("tool", ["flock", "tar", "mkdir", "chmod"])
def test_a_tool_that_the_node_lacks_is_named(node: Node, tool: str) -> None:
    """A shell ends with 127 then; that no lock could be had is not that another run holds it."""
    node.tools.add(tool, f"echo 'sh: {tool}: not found' >&2; exit 127")
    with pytest.raises(ApplyError, match=f"failed there: sh: {tool}: not found") as caught:
        node.apply(File(node.path("a"), b"a"))
    assert "run the same command again" in caught.value.advice
    assert not Path(node.path("a")).exists()


def test_a_lock_that_another_holds_is_reported_as_that(node: Node) -> None:
    with Path(node.lock).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        real = shutil.which("flock")
        node.tools.add("flock", f'shift 4; exec {real} -E 75 -w 0 "$@"')  # as it is called, at once
        with pytest.raises(ApplyError, match="another run of fabnode is changing this node"):
            node.apply(File(node.path("a"), b"a"))


def test_a_flock_without_time_limits_is_not_taken_for_a_held_lock(node: Node) -> None:
    """Busybox's knows no -w, and ends with the status that others have for a held lock."""
    node.tools.add("flock", "echo 'flock: invalid option -- E' >&2; exit 1")
    with pytest.raises(ApplyError, match="failed there: flock: invalid option"):
        node.apply(File(node.path("a"), b"a"))


class Answering:
    """A node of which no more is there than the lines that it answers."""

    name = "n1"
    command_timeout = 60

    def __init__(self, *lines: bytes) -> None:
        self.lines = lines

    def root(
        self,
        script: str,
        *,
        stdin: Iterable[bytes],
        timeout: float,
        on_line: Callable[[bytes], None],
    ) -> Result:
        for line in self.lines:
            on_line(line)
        return Result(0, b"", b"")


def test_an_empty_plan_does_not_touch_the_node() -> None:
    class Untouchable(Answering):
        def root(self, *_: object, **__: object) -> Result:
            pytest.fail("it was asked to run something")

    assert apply(Untouchable(), Plan("n1"), Packer(Path("/nowhere"))).sent == 0


@pytest.mark.parametrize(
    "line", [b"start\t99", b"done\t0\tx", b"fail\t-1", b"hello", b"", b"start\t" + b"9" * 5000]
)
def test_what_no_node_says_is_not_believed(line: bytes) -> None:
    plan = make_plan("n1", [Directory("/x")], Facts())
    with pytest.raises(HostMisbehavedError):
        apply(Answering(line), plan, Packer(Path("/nowhere")))


@pytest.mark.parametrize(
    "lines",
    [[b"start\t0", b"done\t0\t1"], [b"end"], [b"start\t0", b"end"], []],
    ids=["no end", "an end and no action", "an action without its end", "silence"],
)
def test_a_node_that_ends_before_the_end_is_not_taken_for_done(lines: list[bytes]) -> None:
    plan = make_plan("n1", [Directory("/x")], Facts())
    with pytest.raises(ApplyError):
        apply(Answering(*lines), plan, Packer(Path("/nowhere")))


def test_the_stream_is_a_tar(tmp_path: Path) -> None:
    source = tmp_path / "x"
    source.write_bytes(b"binary" * 1000)
    plan = make_plan(
        "n1",
        [Binary("/usr/bin/x", source, sha(source.read_bytes())), File("/etc/a", b"a")],
        Facts(),
    )
    todo = actions(plan, GZIP)
    data = b"".join(stream(todo, Packer(tmp_path / "packed"), GZIP))
    assert len(data) % tarfile.BLOCKSIZE == 0
    with tarfile.open(fileobj=BytesIO(data)) as tar:
        names = tar.getnames()
    plain = [name for member in ("apply.sh", "actions") for name in (member, f"{member}.ok")]
    assert names == [*plain, "m0.gz", "m0.gz.sha256", "m0.gz.ok", "m1", "m1.ok"]


def test_signals_clean_up_too(node: Node) -> None:
    plan = make_plan("n1", join(node, seconds=300), Facts())
    process = node.begin(b"".join(stream(actions(plan, ZSTD), node.packer, ZSTD)))
    await_line(process, b"start\t2\n")
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert not Path(node.path("bootstrap")).exists()
    assert node.leftovers() == []


def hook(node: Node, *argv: str, timeout: int = 20) -> tuple[File, Plan]:
    """A file that changes, and a plan with it and a command behind it."""
    file = File(node.path("etc/x"), b"x")
    command = Command(
        "hook after x", argv, f"{STATE}/hooks/abc", (("FABNODE_NODE", "n1"),), timeout
    )
    plan = make_plan("n1", (file,), Facts())
    changes = (*plan.changes, Change(command, "run", "x changes"))
    return file, replace(plan, changes=changes, due=(command.marker, f"{STATE}/hooks/here"))


def test_a_hook_gets_its_arguments_as_they_are_and_an_environment(node: Node) -> None:
    out = node.path("out")
    script = 'printf "%s|" "$FABNODE_NODE" "$PWD" "$(umask)" "$@" >"$0"'
    _, plan = hook(node, "sh", "-c", script, out, "a b", "$(id)", "")
    apply(node, plan, node.packer, node.events.append)
    assert Path(out).read_text() == "n1|/|0022|a b|$(id)||"
    assert [path.name for path in (node.state / "hooks").iterdir()] == ["here"]


@pytest.mark.parametrize(
    ("script", "timeout", "cause"),
    [
        ("seq 99; echo 'no room'; exit 3", 20, "it ended with status 3: no room"),
        ("echo begun; exec /bin/sleep 60", 1, "it did not end within 1 s: begun"),
    ],
)
def test_a_hook_that_fails_is_reported_and_stays_due(
    node: Node, script: str, timeout: int, cause: str
) -> None:
    file, plan = hook(node, "sh", "-c", script, timeout=timeout)
    with pytest.raises(ApplyError) as caught:
        apply(node, plan, node.packer, node.events.append)
    assert caught.value.message.endswith(f"run hook after x: {cause}")
    assert caught.value.advice.startswith("correct the hook, or what it needs on that host")
    assert len(caught.value.detail.splitlines()) <= 25
    assert Path(file.path).exists()
    assert {path.name for path in (node.state / "hooks").iterdir()} == {"abc", "here"}
    assert node.leftovers() == []


def test_what_a_hook_leaves_running_keeps_nothing_of_ours_open(node: Node) -> None:
    """Else the next run would find the lock taken, and this one's connection would stay open."""
    pid = node.path("pid")
    _, plan = hook(node, "sh", "-c", '/bin/sleep 20 & echo $! >"$0"', pid)
    began = time.monotonic()
    apply(node, plan, node.packer, node.events.append)
    node.apply(File(node.path("etc/y"), b"y"))
    assert time.monotonic() - began < 15
    os.kill(int(Path(pid).read_text()), signal.SIGKILL)
