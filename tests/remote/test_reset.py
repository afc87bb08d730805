"""What a reset does on a host, carried out on this machine, in mount namespaces of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node.plan import Change, Plan
from fabnode.node.resources import Trace
from fabnode.remote.apply import apply
from fabnode.remote.apply_script import actions
from fabnode.remote.payload_cache import GZIP
from fabnode.remote.script_assembly import assemble
from fabnode.ssh.errors import ApplyError

from .local import SHELLS, give_away, only_root
from .test_apply import RUNNING, Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from fabnode.node.resources import TraceKind
    from fabnode.remote.apply import Applied

_CAN_MOUNT = (
    not os.getuid()
    and not subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode
)
mounts = pytest.mark.skipif(not _CAN_MOUNT, reason="mounts need root")


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    command: list[str] = request.param
    return command


@pytest.fixture
def node(shell: list[str], tmp_path: Path) -> Node:
    return Node(tmp_path, shell)


@pytest.fixture
def call(shell: list[str], tmp_path: Path) -> Callable[[str], tuple[int, str]]:
    """Call functions of the program in a mount namespace; return status and what they print."""
    program = tmp_path / "program.sh"
    # Without what sets a run's clean-up and its heartbeat.
    parts = assemble("apply").decode()
    head, _, rest = parts.partition("trap clean_up EXIT")
    program.write_text(head + rest.partition("heartbeat=$!")[2])
    state = tmp_path / "state"
    state.mkdir()

    def run(script: str) -> tuple[int, str]:
        text = f"state={state} work={state} tar=0; . {program}; set +e\n{script}"
        done = subprocess.run(
            ["unshare", "-m", "--propagation", "private", *shell, "-c", text],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


def carry_out(node: Node, kind: TraceKind, name: str, *words: str, content: bytes = b"") -> Applied:
    change = Change(Trace(kind, name, words, content), "remove", "")
    return apply(node, Plan("n1", (change,)), node.packer, node.events.append)


# --- folders and mounts ------------------------------------------------------------------------


def test_a_tree_goes_with_all_that_is_in_it(node: Node) -> None:
    tree = node.root_dir / "kubelet"
    (tree / "pods/a b/volumes").mkdir(parents=True)
    (tree / "pods/a b/volumes/.hidden").write_text("x")
    outside = node.root_dir / "outside"
    outside.mkdir()
    (outside / "data").write_text("stays")
    (tree / "link").symlink_to(outside)
    carry_out(node, "tree", str(tree), str(tree), "-")
    assert not tree.exists()
    assert (outside / "data").read_text() == "stays"


def test_a_tree_that_was_there_before_is_emptied(node: Node) -> None:
    tree = node.root_dir / "kubelet"
    tree.mkdir()
    for name in ("a", ".b", "..c"):
        (tree / name).write_text("x")
    carry_out(node, "tree", str(tree), str(tree), "keep")
    assert list(tree.iterdir()) == []


def test_a_tree_that_is_a_link_is_not_followed(node: Node) -> None:
    outside = node.root_dir / "outside"
    outside.mkdir()
    (outside / "data").write_text("stays")
    tree = node.root_dir / "kubelet"
    tree.symlink_to(outside)
    with pytest.raises(ApplyError, match="is a symlink, which is not followed"):
        carry_out(node, "tree", str(tree), str(tree), "-")
    assert (outside / "data").read_text() == "stays"
    assert tree.is_symlink()


@mounts
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_nothing_is_deleted_through_a_mount(
    call: Callable[[str], tuple[int, str]], tmp_path: Path, kind: str
) -> None:
    """A bind mount of the same file system is what `rm --one-file-system` would walk through."""
    tree, data = tmp_path / "kubelet", tmp_path / "data"
    place = tree / "pods/1/volume with blanks"
    place.mkdir(parents=True)
    data.mkdir()
    (data / "precious").write_text("stays")
    source = f"-t tmpfs none {shlex.quote(str(place))}"
    if kind == "bind":
        source = f"--bind {data} {shlex.quote(str(place))}"
    code, printed = call(
        f"mount {source}; touch {shlex.quote(str(place / 'more'))};"
        f" remove_tree {tree} -; echo status=$?; ls {shlex.quote(str(place))}"
    )
    assert code == 0
    assert "status=1" in printed
    assert f"something is mounted at {place}" in printed
    assert printed.endswith("more\nprecious\n" if kind == "bind" else "more\n")
    assert (data / "precious").read_text() == "stays"


@mounts
def test_mounts_go_the_last_first_and_what_they_showed_stays(
    call: Callable[[str], tuple[int, str]], tmp_path: Path
) -> None:
    tree, data = tmp_path / "kubelet", tmp_path / "data"
    inner = f"{tree}/a/inner"
    (tree / "a").mkdir(parents=True)
    data.mkdir()
    (data / "precious").write_text("stays")
    code, printed = call(
        f"mount -t tmpfs none {tree}/a; mkdir {inner}; mount --bind {data} {inner};"
        f" mount --bind {data} {inner}; mount -t tmpfs none {data};"  # one that is somebody else's
        f" unmount_below {tree} && remove_tree {tree} - && grep -c {tmp_path} /proc/self/mountinfo"
    )
    assert (code, printed) == (0, "1\n")
    assert (data / "precious").read_text() == "stays"
    assert not tree.exists()


@mounts
def test_a_mount_that_stays_is_named_and_ends_it(
    call: Callable[[str], tuple[int, str]], tmp_path: Path
) -> None:
    tree = tmp_path / "kubelet"
    (tree / "busy").mkdir(parents=True)
    code, printed = call(
        f"mount -t tmpfs none {tree}/busy; cd {tree}/busy; unmount_below {tree}; echo status=$?"
    )
    assert code == 0
    assert f"{tree}/busy can't be unmounted: " in printed
    assert "status=1" in printed


@mounts
def test_a_mount_beside_is_not_below(
    call: Callable[[str], tuple[int, str]], tmp_path: Path
) -> None:
    for name in ("kubelet", "kubelet-other"):
        (tmp_path / name).mkdir()
    code, printed = call(
        f"mount -t tmpfs none {tmp_path}/kubelet-other; mount -t tmpfs none {tmp_path}/kubelet;"
        f" unmount_below {tmp_path}/kubelet && grep -c {tmp_path} /proc/self/mountinfo"
    )
    assert (code, printed) == (0, "2\n"), "neither its neighbour nor the folder's own mount goes"


@mounts
def test_a_folder_that_is_a_mount_itself_is_emptied_and_stays_mounted(
    call: Callable[[str], tuple[int, str]], tmp_path: Path
) -> None:
    tree = tmp_path / "kubelet"
    tree.mkdir()
    code, printed = call(
        f"mount -t tmpfs none {tree}; touch {tree}/a {tree}/.b; remove_tree {tree} - &&"
        f" ls -A {tree} && grep -c {tree} /proc/self/mountinfo"
    )
    assert (code, printed) == (0, "1\n")


def test_a_folder_goes_only_if_it_is_empty(node: Node) -> None:
    for name in ("empty", "filled"):
        (node.root_dir / name).mkdir()
    (node.root_dir / "filled/file").write_text("")
    for name in ("empty", "filled", "absent"):
        carry_out(node, "folder", name, node.path(name))
    assert sorted(p.name for p in node.root_dir.iterdir()) == ["filled"]


def test_cgroups_go_the_inner_first(node: Node) -> None:
    (node.root_dir / "kubepods/burstable/pod1").mkdir(parents=True)
    carry_out(node, "cgroup", "kubepods", node.path("kubepods"))
    assert not (node.root_dir / "kubepods").exists()


# --- units, pods, network ----------------------------------------------------------------------


def test_a_unit_is_stopped_and_no_longer_enabled(node: Node) -> None:
    node.tools.add("systemctl", "case $1 in show) printf 'ActiveState=inactive\\n' ;; esac")
    carry_out(node, "service", "kubelet.service", "kubelet.service")
    assert node.tools.calls_of("systemctl") == [
        "systemctl stop -- kubelet.service",
        "systemctl disable -q -- kubelet.service",
        "systemctl reset-failed -- kubelet.service",
        "systemctl show -p ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic"
        " -- kubelet.service",
    ]


def test_a_unit_that_does_not_stop_ends_it(node: Node) -> None:
    node.tools.add("systemctl", f"case $1 in show) {RUNNING} ;; esac")
    with pytest.raises(ApplyError, match=r"kubelet\.service is still active"):
        carry_out(node, "service", "kubelet.service", "kubelet.service")


CTR = r"""
case "$*" in
*"containers ls"*"!="*) ;;
*"containers ls"*sandbox*) cat $PODS ;;
*"containers ls"*) cat $PODS ;;
*"tasks ls"*) cat $PODS ;;
*"tasks kill"*) ;;
*"tasks delete"*|*"containers delete"*) for id; do :; done; sed -i "/^$id$/d" $PODS ;;
esac
"""


@only_root
@pytest.mark.parametrize("works", [True, False])
def test_pods_end_by_cri_and_what_that_leaves_by_containerd(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    pods = tmp_path / "pods"
    pods.write_text("s1\ns2\n")
    monkeypatch.setenv("PODS", str(pods))
    node.tools.add("ctr", CTR)
    crictl = 'case $5 in rmp) sed -i "/^$6$/d" $PODS ;; esac' if works else "exit 1"
    node.tools.add("crictl", crictl)
    folder = node.tools.folder
    carry_out(node, "sandboxes", "x", f"{folder}/ctr", f"{folder}/crictl")
    assert pods.read_text() == ""
    asked = node.tools.calls_of("crictl")
    killed = [call for call in node.tools.calls_of("ctr") if "kill" in call]
    if works:
        assert [call.split()[5:] for call in asked] == [
            ["stopp", "s1"],
            ["rmp", "s1"],
            ["stopp", "s2"],
            ["rmp", "s2"],
        ]
        assert killed == []
    else:
        assert len(asked) == 1, "where it fails for one it is not tried for each"
        assert [call.split()[-1] for call in killed] == ["s1", "s2"]
    assert all("-n k8s.io" in call for call in node.tools.calls_of("ctr"))


@only_root
def test_containers_are_asked_to_end_and_waited_for(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the pods that are named; one that has gone is none to wait for."""
    polls = tmp_path / "polls"
    polls.write_text("")
    monkeypatch.setenv("POLLS", str(polls))
    node.tools.add(
        "ctr",
        r"""case "$*" in
*"containers ls"*web-1*) echo c1; echo c2 ;;
*"tasks kill c2") exit 1 ;;
*"tasks ls") echo x >>$POLLS; printf 'TASK PID STATUS\nc9 8 RUNNING\n'
	[ $(grep -c x $POLLS) -gt 2 ] && echo c1 7 STOPPED || echo c1 7 RUNNING ;;
esac""",
    )
    ctr = f"{node.tools.folder}/ctr"
    carry_out(node, "containers", "x", ctr, "30", "shop/web-1", "shop/gone")
    calls = node.tools.calls_of("ctr")
    assert [call.split()[-1] for call in calls if "kill" in call] == ["c1", "c2"]
    assert polls.read_text().count("x") == 3
    assert all("-n k8s.io" in call for call in calls)
    give_away(node.tools.folder / "ctr", "file")
    with pytest.raises(ApplyError, match="others than root may change"):
        carry_out(node, "containers", "x", ctr, "30", "shop/web-1")


@only_root
def test_shims_that_stay_behind_are_ended_and_dockers_are_not(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with containerd 2.3: of seven, one did not end with its containers."""
    (tmp_path / "pods").touch()
    monkeypatch.setenv("PODS", str(tmp_path / "pods"))
    node.tools.add("ctr", CTR)
    shim = node.tools.folder / "containerd-shim-runc-v2"
    other = node.tools.folder / "another"
    for program in (shim, other):
        shutil.copy(sys.executable, program)
    words = ("-c", "import time; time.sleep(60)", "-namespace")
    environment = {"PYTHONHOME": sys.base_prefix}
    started = [
        subprocess.Popen([program, *words, namespace, "-id"], env=environment)
        for program, namespace in ((shim, "k8s.io"), (shim, "moby"), (other, "k8s.io"))
    ]
    try:
        for each, program in zip(started, (shim, shim, other), strict=True):
            assert Path(f"/proc/{each.pid}/exe").readlink() == program
        shim.unlink()  # as an upgrade replaces it
        carry_out(node, "sandboxes", "x", str(node.tools.folder / "ctr"), "-")
        assert started[0].wait(20) == -signal.SIGTERM
        assert [each.poll() for each in started[1:]] == [None, None]
    finally:
        for each in started:
            each.kill()
            each.wait()


# As containerd filters: by the presence of a label, or by what it is not.
LABELLED = r"""
others='!=sandbox,labels."io.cri-containerd.kind"!=container'
case "$*" in
*"containers ls"*"$others") cat $OTHERS ;;
*"containers ls"*sandbox*) head -n 1 $PODS ;;
*"containers ls"*kind*) cat $PODS ;;
*"containers ls"*|*"tasks ls"*) cat $PODS $OTHERS ;;
*"tasks delete"*|*"containers delete"*) for id; do :; done; sed -i "/^$id$/d" $PODS $OTHERS ;;
esac
"""


@only_root
@pytest.mark.parametrize("kind", ["sandboxes", "pods"])
def test_containers_of_others_beside_pods_are_neither_ended_nor_deleted(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: TraceKind
) -> None:
    """`nerdctl -n k8s.io`: they are in the kubelet's namespace, and no pod's."""
    for name, ids in (("PODS", "s1\nc1\n"), ("OTHERS", "admins\n")):
        (tmp_path / name).write_text(ids)
        monkeypatch.setenv(name, str(tmp_path / name))
    node.tools.add("ctr", LABELLED)
    shim = node.tools.folder / "containerd-shim-runc-v2"
    shutil.copy(sys.executable, shim)
    words = ("-c", "import time; time.sleep(60)", "-namespace", "k8s.io", "-id")
    environment = {"PYTHONHOME": sys.base_prefix}
    started = [
        subprocess.Popen([shim, *words, each, "-address", "/s"], env=environment)
        for each in ("s1", "admins")
    ]
    try:
        for each in started:
            assert Path(f"/proc/{each.pid}/exe").readlink() == shim
        carry_out(node, kind, "x", f"{node.tools.folder}/ctr", "-")
        assert started[0].wait(20) == -signal.SIGTERM
        assert started[1].poll() is None
    finally:
        for each in started:
            each.kill()
            each.wait()
    touched = [c.split()[-1] for c in node.tools.calls_of("ctr") if "kill" in c or "delete" in c]
    assert sorted(set(touched)) == ["c1", "s1"]
    assert (tmp_path / "PODS").read_text() == ""
    assert (tmp_path / "OTHERS").read_text() == "admins\n"


@only_root
@pytest.mark.parametrize("name", ["ctr", "crictl"])
def test_no_program_of_others_ends_pods(node: Node, name: str) -> None:
    for each in ("ctr", "crictl"):
        node.tools.add(each)
    give_away(node.tools.folder / name, "file")
    folder = node.tools.folder
    with pytest.raises(ApplyError, match=f"others than root may change {folder}/{name}"):
        carry_out(node, "sandboxes", "x", f"{folder}/ctr", f"{folder}/crictl")
    assert node.tools.calls_of("ctr") == node.tools.calls_of("crictl") == []


@only_root
def test_a_container_that_does_not_end_is_named(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods = tmp_path / "pods"
    pods.write_text("s1\n")
    monkeypatch.setenv("PODS", str(pods))
    node.tools.add("ctr", 'case "$*" in *!=*) ;; *ls*) cat $PODS ;; *) exit 1 ;; esac')
    with pytest.raises(ApplyError, match="containers that do not end: s1"):
        carry_out(node, "sandboxes", "x", f"{node.tools.folder}/ctr", "-")


def test_an_interface_of_another_kind_is_left(node: Node) -> None:
    node.tools.add("ip", "echo '1: lo: <LOOPBACK,UP> mtu 65536 qdisc noqueue link/loopback'")
    with pytest.raises(ApplyError, match="lo is no interface of the kind vxlan"):
        carry_out(node, "interface", "lo", "lo", "vxlan")
    assert [call for call in node.tools.calls_of("ip") if "delete" in call] == []


def test_rules_go_to_the_program_of_their_back_end(node: Node, tmp_path: Path) -> None:
    node.tools.add("iptables-nft-restore", f"cat >{tmp_path}/restored")
    rules = b"*nat\n-D PREROUTING -j KUBE-SERVICES\n-F KUBE-SERVICES\n-X KUBE-SERVICES\nCOMMIT\n"
    carry_out(node, "rules", "iptables-nft nat", "iptables-nft", content=rules)
    assert (tmp_path / "restored").read_bytes() == rules
    assert node.tools.calls_of("iptables-nft-restore") == ["iptables-nft-restore -w 10 --noflush"]


# --- records -----------------------------------------------------------------------------------


def test_fabnodes_own_folder_goes_last_and_the_quarantine_stays(node: Node) -> None:
    for name in ("stamps", "before/etc", "hooks", "kept/1", "kept.new"):
        (node.state / name).mkdir(parents=True)
    for name in ("baseline", "digests", "images", "written"):
        (node.state / name).write_text("x")
    for by in ("one", "two"):
        carry_out(node, "begun", "x", f"reset by {by}")
    assert (node.state / "resetting").read_text() == "reset by one\n"
    carry_out(node, "records", str(node.state))
    assert not node.state.exists()
    (node.state / "quarantine").mkdir(parents=True)
    (node.state / "digests").write_text("x")
    carry_out(node, "records", str(node.state))
    assert [p.name for p in node.state.iterdir()] == ["quarantine"]


def test_every_kind_of_trace_has_a_function() -> None:
    from typing import get_args

    from fabnode.node.resources import TraceKind

    defined = assemble("apply").decode()
    for kind in get_args(TraceKind):
        change = Change(Trace(kind, "x", ("y",)), "remove", "")
        script = actions(Plan("n1", (change,)), GZIP).script
        (line,) = [each for each in script.splitlines() if each.startswith("run_action")]
        assert f"\n{line.split()[2]}() {{" in defined or f"\n{line.split()[2]}() (" in defined


def test_a_folder_gets_its_mode_back_and_a_link_does_not(
    call: Callable[[str], tuple[int, str]], tmp_path: Path
) -> None:
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir(0o750)
    link.symlink_to(folder)
    owner = f"{os.getuid()}:{os.getgid()}"
    assert call(f"restore_mode {folder} 0705 {owner}")[0] == 0
    assert folder.stat().st_mode & 0o7777 == 0o705
    status, text = call(f"restore_mode {link} 0777 {owner}")
    assert (status, "is a symlink" in text) == (1, True)
    assert folder.stat().st_mode & 0o7777 == 0o705


def test_the_record_of_the_host_as_it_was_goes_last(
    call: Callable[[str], tuple[int, str]], tmp_path: Path
) -> None:
    """Where the rest is still there without it, what was put back would be taken for fabnode's."""
    state = tmp_path / "state"
    for name in ("baseline", "digests", "images", "written"):
        (state / name).write_text("")
    for name in ("before", "stamps"):
        (state / name).mkdir()
    status, text = call(f'rm() {{ command rm "$@"; ls -m {state}; }}; remove_state')
    assert status == 0
    assert [line for line in text.splitlines() if line][-1] == "baseline"
