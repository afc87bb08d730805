"""What a node ran is kept before an upgrade, and restored as one set: on this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node.facts import Facts, PathFact, UnitFact
from fabnode.node.plan import Change, Plan
from fabnode.node.resources import Absent, File, RemovedUnit, Trace, Unit
from fabnode.remote.apply import apply
from fabnode.ssh.errors import ApplyError

from .local import BUSYBOX, SHELLS, only_root
from .test_apply import RUNNING, Node

if TYPE_CHECKING:
    from fabnode.node.resources import TraceKind
    from fabnode.remote.apply import Applied

KUBELET, PROXY = "kubelet.service", "kube-proxy.service"


@pytest.fixture(params=SHELLS)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Node:
    return Node(tmp_path, request.param)


def carry_out(node: Node, kind: TraceKind, *words: str) -> Applied:
    change = Change(Trace(kind, kind, words), "keep", "")
    node.tools.forget()
    node.events.clear()
    return apply(node, Plan("n1", (change,)), node.packer, node.events.append)


def put(node: Node, name: str, content: str) -> str:
    path = node.root_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return str(path)


def read(path: str) -> str:
    return Path(path).read_text()


def test_a_set_goes_back_as_a_whole(node: Node) -> None:
    program, config = put(node, "bin/kubelet", "old"), put(node, "kubelet.yaml", "old settings")
    state, fresh = put(node, "kubelet/cpu_manager_state", "v1"), str(node.root_dir / "new.yaml")
    carry_out(node, "kept", "tag", KUBELET, PROXY, program, config, fresh, f"={state}")
    for path in (program, config, fresh):
        node.apply(File(path, b"new"))
    Path(state).write_text("v2")  # in its place, as some kubelets write it
    carry_out(node, "set kept", "tag")
    assert [read(path) for path in (program, config, state)] == ["old", "old settings", "v1"]
    assert not (node.root_dir / "new.yaml").exists()
    calls = [call for call in node.tools.calls_of("systemctl") if " show " not in call]
    assert calls == [
        "systemctl daemon-reload",
        f"systemctl reset-failed -- {KUBELET}",
        f"systemctl restart -- {KUBELET}",
        f"systemctl reset-failed -- {PROXY}",
        f"systemctl restart -- {PROXY}",
    ]


class Units:
    """Stands in for systemd: folders of units' files, of those that run, of those enabled."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.files = node.root_dir / "systemd/system"
        self.on, self.enabled = folder / "on", folder / "enabled"
        for each in (self.files, self.on, self.enabled):
            each.mkdir(parents=True)
        on, enabled, files = self.on, self.enabled, self.files
        node.tools.add(
            "systemctl",
            f"""for unit; do :; done
there() {{ [ -e {files}/$unit ] || {{ echo "Unit $unit not found." >&2; exit 5; }}; }}
case $1 in
show)
	case $* in
	*LoadState*) [ -e {files}/$unit ] && echo LoadState=loaded || echo LoadState=not-found ;;
	*) if [ -e {on}/$unit ]; then {RUNNING}; else echo ActiveState=inactive; fi ;;
	esac ;;
is-enabled) there; [ -e {enabled}/$unit ] && echo enabled || {{ echo disabled; exit 1; }} ;;
restart) there; touch {on}/$unit ;;
stop) there; rm -f {on}/$unit ;;
enable) there; touch {enabled}/$unit ;;
disable) there; rm -f {enabled}/$unit; case $* in *--now*) rm -f {on}/$unit ;; esac ;;
esac""",
        )

    def make(self, name: str, *, runs: bool = True, enabled: bool = True) -> str:
        path = self.files / name
        path.write_text(f"old {name}")
        if runs:
            (self.on / name).touch()
        if enabled:
            (self.enabled / name).touch()
        return str(path)

    @property
    def state(self) -> dict[str, str]:
        """Units with a file that run or are enabled, or both."""
        names = {p.name for folder in (self.files, self.on, self.enabled) for p in folder.iterdir()}
        return {
            name: " ".join(f.name for f in (self.on, self.enabled) if (f / name).exists())
            for name in sorted(names)
        }


@pytest.fixture
def units(node: Node, tmp_path: Path) -> Units:
    return Units(node, tmp_path / "units")


def test_a_unit_that_was_removed_runs_again(node: Node, units: Units) -> None:
    """No more kube-proxy with this upgrade, which fails: else the node has no Services."""
    kubelet, proxy = units.make(KUBELET), units.make(PROXY)
    program, secret = put(node, "bin/kube-proxy", "old"), put(node, "proxy.pem", "key")
    Path(secret).chmod(0o600)
    before = units.state
    carry_out(node, "kept", "tag", PROXY, KUBELET, kubelet, proxy, program, secret)
    node.apply(
        RemovedUnit(PROXY, proxy, ""),
        *(Absent(path) for path in (secret, program)),
        facts=Facts(
            known=True,
            paths=dict.fromkeys((proxy, secret, program), PathFact("file", 0o600)),
            units={PROXY: UnitFact("loaded", "active", "running", "enabled")},
        ),
    )
    assert units.state == {KUBELET: "on enabled"}
    for _ in range(2):
        carry_out(node, "set kept", "tag")
        assert units.state == before
        assert [read(path) for path in (proxy, program, secret)] == [f"old {PROXY}", "old", "key"]
        assert Path(secret).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("older", [False, True])
def test_a_unit_that_is_new_goes_and_keeps_no_other_down(
    node: Node, units: Units, *, older: bool
) -> None:
    """`older`: a set that an earlier fabnode kept, which did not say what was new."""
    units.make(KUBELET)
    balancer = "apiserver-balancer.service"
    path = str(units.files / balancer)
    carry_out(node, "kept", "tag", balancer, KUBELET, path)
    if older:
        kept = node.state / "kept/list"
        lines = [line.replace("new ", "unit ") for line in kept.read_text().splitlines()]
        kept.write_text("".join(f"{x}\n" for x in lines if not x.startswith(("en", "dis"))))
    units.make(balancer)
    (units.on / KUBELET).unlink()  # halted, until what it reads is back
    for _ in range(2):
        carry_out(node, "set kept", "tag")
        assert units.state == {KUBELET: "on enabled"}


@pytest.mark.parametrize(
    ("runs", "enabled", "back"),
    [(False, False, ""), (True, False, "on"), (False, True, "on enabled")],
)
def test_a_unit_is_as_it_was(
    node: Node, units: Units, *, runs: bool, enabled: bool, back: str
) -> None:
    """One that would start at the next boot starts now."""
    units.make(KUBELET)
    path = units.make(PROXY, runs=runs, enabled=enabled)
    carry_out(node, "kept", "tag", PROXY, KUBELET, path)
    units.make(PROXY)
    carry_out(node, "set kept", "tag")
    assert units.state == {KUBELET: "on enabled", PROXY: back}


def test_one_that_does_not_start_keeps_no_other_down(node: Node, units: Units) -> None:
    units.make(KUBELET)
    path = units.make(PROXY)
    carry_out(node, "kept", "tag", PROXY, KUBELET, path)
    (units.on / KUBELET).unlink()
    systemctl = node.tools.folder / "systemctl"
    broken = f"case $* in restart*{PROXY}) echo 'Job failed.'; exit 1 ;; esac\nfor unit; do :; done"
    systemctl.write_text(systemctl.read_text().replace("for unit; do :; done", broken))
    with pytest.raises(ApplyError, match="Job failed"):
        carry_out(node, "set kept", "tag")
    assert units.state[KUBELET] == "on enabled"


@pytest.mark.parametrize("kept_as", ["new", "off"])
def test_one_that_does_not_stop_keeps_nothing_from_coming_back(
    node: Node, units: Units, *, kept_as: str
) -> None:
    units.make(KUBELET)
    program = put(node, "bin/kubelet", "old")
    if kept_as == "off":
        units.make(PROXY, runs=False, enabled=False)
    path = str(units.files / PROXY)
    carry_out(node, "kept", "tag", PROXY, KUBELET, path, program)
    units.make(PROXY)
    node.apply(File(program, b"new"))
    (units.on / KUBELET).unlink()
    systemctl = node.tools.folder / "systemctl"
    works = systemctl.read_text()
    stuck = f"case $* in stop*{PROXY}) exit 1 ;; esac\nfor unit; do :; done"
    systemctl.write_text(works.replace("for unit; do :; done", stuck))
    for _ in range(2):  # once more it does not pass for one that has stopped
        with pytest.raises(ApplyError, match=f"{PROXY} could not be stopped"):
            carry_out(node, "set kept", "tag")
        assert read(program) == "old"
        assert units.state == {KUBELET: "on enabled", PROXY: "on"}
        assert Path(path).exists() == (kept_as == "off")
    systemctl.write_text(works.replace("there; rm -f", "rm -f"))  # one without a file stops too
    carry_out(node, "set kept", "tag")
    assert units.state == {KUBELET: "on enabled"} | ({PROXY: ""} if kept_as == "off" else {})


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_what_others_may_change_is_not_kept(node: Node, mode: int) -> None:
    program = put(node, "bin/kubelet", "old")
    Path(program).chmod(mode)
    with pytest.raises(ApplyError, match=r"others than root may change .*/bin/kubelet"):
        carry_out(node, "kept", "tag", KUBELET, program)


def test_when_what_was_restored_has_started_is_reported(node: Node) -> None:
    """What a node reported before that comes from what was replaced."""
    uptime, now = float(read("/proc/uptime").split()[0]), time.time()
    start = f"ActiveEnterTimestampMonotonic={int((uptime - 60) * 1e6)}"
    node.tools.add("systemctl", f"case $1 in show) {RUNNING}; echo {start} ;; esac")
    program = put(node, "bin/kubelet", "old")
    assert carry_out(node, "kept", "tag", KUBELET, program).started == {}
    assert carry_out(node, "set kept", "tag").started == {KUBELET: pytest.approx(now - 60, abs=2)}


def test_what_is_restored_has_the_record_of_its_start(node: Node) -> None:
    program = put(node, "bin/kubelet", "old")
    node.apply(Unit(KUBELET, (program,)))
    stamp = node.state / "stamps" / KUBELET
    before = stamp.read_text()
    carry_out(node, "kept", "tag", KUBELET, program)
    node.apply(File(program, b"new"), Unit(KUBELET, (program,)))
    assert stamp.read_text() != before
    carry_out(node, "set kept", "tag")
    assert stamp.read_text() == before


def test_going_back_twice_is_going_back_once(node: Node) -> None:
    program = put(node, "bin/kubelet", "old")
    carry_out(node, "kept", "tag", KUBELET, program)
    node.apply(File(program, b"new"))
    carry_out(node, "set kept", "tag")
    carry_out(node, "set kept", "tag")
    assert read(program) == "old"
    assert sorted(p.name for p in (node.root_dir / "bin").iterdir()) == ["kubelet"]


def test_the_first_set_of_an_upgrade_is_the_one_that_is_kept(node: Node) -> None:
    program = put(node, "bin/kubelet", "old")
    carry_out(node, "kept", "first", KUBELET, program)
    node.apply(File(program, b"new"))
    carry_out(node, "kept", "first", KUBELET, program)  # it was cut off, and goes on
    carry_out(node, "set kept", "first")
    assert read(program) == "old"


def test_what_ran_before_gives_way_to_no_other_set(node: Node) -> None:
    """Somebody uncordoned the node after a run that was cut off: the next is another upgrade."""
    program = put(node, "bin/kubelet", "old")
    carry_out(node, "kept", "first", KUBELET, program)
    node.apply(File(program, b"half new"))
    carry_out(node, "kept", "second", KUBELET, program)
    assert (node.state / "kept" / "tag").read_text() == "second\n"
    node.apply(File(program, b"newer"))
    carry_out(node, "set kept", "second")
    assert read(program) == "old"


def test_what_another_run_replaces_besides_is_kept_as_well(node: Node) -> None:
    program, daemon = put(node, "bin/kubelet", "old"), put(node, "bin/containerd", "1.7")
    fresh, state = str(node.root_dir / "new.yaml"), put(node, "cpu_manager_state", "v1")
    carry_out(node, "kept", "first", KUBELET, program)
    node.apply(File(program, b"new"))
    (node.state / "kept" / "3").write_text("left by a run that was cut off")
    carry_out(node, "kept", "second", PROXY, KUBELET, daemon, program, fresh, f"={state}")
    for path in (program, daemon, fresh):
        node.apply(File(path, b"newer"))
    Path(state).write_text("v2")
    carry_out(node, "set kept", "second")
    assert [read(path) for path in (program, daemon, state)] == ["old", "1.7", "v1"]
    assert not Path(fresh).exists()
    restarts = [call for call in node.tools.calls_of("systemctl") if " restart " in call]
    assert restarts == [f"systemctl restart -- {unit}" for unit in (KUBELET, PROXY)]


def test_each_of_three_runs_that_were_cut_off_adds_what_it_replaces(node: Node) -> None:
    first, second = put(node, "a", "a"), put(node, "b", "b")
    third, fourth = put(node, "c", "c"), put(node, "d", "d")
    carry_out(node, "kept", "1", KUBELET, first, second)
    carry_out(node, "kept", "2", KUBELET, first, second, third)
    carry_out(node, "kept", "3", KUBELET, first, fourth)
    for path in (first, second, third, fourth):
        node.apply(File(path, b"new"))
    carry_out(node, "set kept", "3")
    assert [read(path) for path in (first, second, third, fourth)] == ["a", "b", "c", "d"]


def test_a_run_that_cannot_add_to_a_set_leaves_it_whole(node: Node) -> None:
    program, config = put(node, "bin/kubelet", "old"), put(node, "kubelet.yaml", "old")
    carry_out(node, "kept", "first", KUBELET, program)
    Path(config).chmod(0o666)
    node.apply(File(program, b"new"))
    with pytest.raises(ApplyError, match="others than root may change"):
        carry_out(node, "kept", "second", KUBELET, program, config)
    carry_out(node, "set kept", "first")
    assert read(program) == "old"


def test_once_a_node_was_proved_another_set_is_kept(node: Node) -> None:
    program = put(node, "bin/kubelet", "old")
    carry_out(node, "kept", "first", KUBELET, program)
    node.apply(File(program, b"new"))
    carry_out(node, "forgotten")
    carry_out(node, "kept", "second", KUBELET, program)
    node.apply(File(program, b"newer"))
    carry_out(node, "set kept", "second")
    assert read(program) == "new"


def test_without_a_set_nothing_is_restored(node: Node) -> None:
    program = put(node, "bin/kubelet", "old")
    carry_out(node, "kept", "tag", KUBELET, program)
    carry_out(node, "forgotten")
    with pytest.raises(ApplyError, match="nothing of this upgrade is kept"):
        carry_out(node, "set kept", "tag")
    carry_out(node, "kept", "another", KUBELET, program)
    with pytest.raises(ApplyError, match="nothing of this upgrade is kept"):
        carry_out(node, "set kept", "tag")
    assert not [call for call in node.tools.calls if "restart" in call]


@pytest.mark.parametrize("leads", ["elsewhere", "nowhere"])
@pytest.mark.parametrize("node", [*SHELLS, BUSYBOX], indirect=True)
def test_a_link_is_kept_as_a_link(node: Node, leads: str) -> None:
    """As of a registry's CA in the host's own folder; a deployment replaces or removes it."""
    target = Path(put(node, "elsewhere", "the site's"))
    replaced, removed = node.root_dir / "kubelet.yaml", node.root_dir / "ca.pem"
    for link in (replaced, removed):
        link.symlink_to(leads)
    carry_out(node, "kept", "tag", KUBELET, str(replaced), str(removed))
    there = Facts(known=True, paths={str(removed): PathFact("symlink")})
    node.apply(File(str(replaced), b"new"), Absent(str(removed)), facts=there)
    assert not replaced.is_symlink()
    assert not removed.is_symlink()
    for _ in range(2):
        carry_out(node, "set kept", "tag")
        assert [str(link.readlink()) for link in (replaced, removed)] == [leads, leads]
    assert target.read_text() == "the site's"


@pytest.mark.parametrize("kind", ["fifo", "link to a state file"])
def test_what_is_no_plain_file_is_not_kept(node: Node, kind: str) -> None:
    """What is behind a link would not be what it was; the kubelet writes it all the time."""
    path = node.root_dir / "cpu_manager_state"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(put(node, "elsewhere", "v1"))
    word = str(path) if kind == "fifo" else f"={path}"
    with pytest.raises(ApplyError, match="is no plain file: check what it is, move it away"):
        carry_out(node, "kept", "tag", KUBELET, word)


def test_another_link_in_the_place_of_one_is_left(node: Node) -> None:
    link = node.root_dir / "ca.pem"
    link.symlink_to("before")
    carry_out(node, "kept", "tag", KUBELET, str(link))
    link.unlink()
    link.symlink_to("since")
    with pytest.raises(ApplyError, match="is a symlink"):
        carry_out(node, "set kept", "tag")
    assert str(link.readlink()) == "since"


def test_a_link_in_its_place_is_not_written_through(node: Node) -> None:
    config = put(node, "kubelet.yaml", "old")
    carry_out(node, "kept", "tag", KUBELET, config)
    target = put(node, "elsewhere", "others'")
    (node.root_dir / "kubelet.yaml").unlink()
    (node.root_dir / "kubelet.yaml").symlink_to(target)
    with pytest.raises(ApplyError, match="is a symlink"):
        carry_out(node, "set kept", "tag")
    assert read(target) == "others'"


def test_a_unit_that_does_not_come_up_with_it_either_is_a_failure(node: Node) -> None:
    program = put(node, "bin/kubelet", "old")
    carry_out(node, "kept", "tag", KUBELET, program)
    node.tools.add("systemctl", "case $1 in restart) echo 'Job failed.'; exit 1 ;; esac")
    with pytest.raises(ApplyError, match="Job failed"):
        carry_out(node, "set kept", "tag")


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_unit_is_halted_and_starts_at_boot_as_before(node: Node, state: str) -> None:
    node.tools.add("systemctl", f"case $1 in show) echo ActiveState={state} ;; esac")
    carry_out(node, "halted", KUBELET)
    assert f"systemctl stop -- {KUBELET}" in node.tools.calls
    assert not [call for call in node.tools.calls if "disable" in call]


def test_one_that_does_not_stop_is_a_failure(node: Node) -> None:
    node.tools.add("systemctl", f"case $1 in show) {RUNNING} ;; esac")
    with pytest.raises(ApplyError, match=r"kubelet\.service is still active"):
        carry_out(node, "halted", KUBELET)


def test_where_containerd_is_down_no_pods_are_ended(node: Node) -> None:
    node.tools.add("systemctl", "case $* in *is-active*) exit 3 ;; esac")
    carry_out(node, "pods", str(node.tools.folder / "ctr"), "-")
    assert not node.tools.calls_of("ctr")


INFO = r"""
case "$*" in
*"containers ls"*sandbox*) cat $PODS ;;
*"containers info s1"*) cat <<'.'
                {
                    "type": "network",
                    "path": "/var/run/netns/cni-0a-1"
                },
            "io.kubernetes.pod.name": "\"path\": \"/run/netns/cni-0a-3\"",
.
;;
*"containers info s2"*) echo '"path": "/run/netns/cni-0a-2"'; echo '"path": "/proc/1/ns/net"' ;;
*"containers ls"*|*"tasks ls"*) : ;;
esac
"""


@only_root
def test_networks_of_pods_that_are_ended_go_with_them(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but containerd is there to end them."""
    pods = tmp_path / "pods"
    pods.write_text("s1\ns2\n")
    monkeypatch.setenv("PODS", str(pods))
    node.tools.add("ctr", INFO)
    node.tools.add("umount")
    carry_out(node, "pods", str(node.tools.folder / "ctr"), str(node.tools.folder / "crictl"))
    assert node.tools.calls_of("umount") == [
        "umount -- /var/run/netns/cni-0a-1",
        "umount -- /run/netns/cni-0a-2",
    ]
