"""What harden does on a host, carried out on this machine, with a stand-in for iptables."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node.plan import Change, Plan
from fabnode.node.resources import (
    ClientCertificate,
    EditedFile,
    ExistingSecret,
    Quarantined,
    Reload,
    Restart,
    RulesOnce,
    Superseded,
)
from fabnode.remote.apply import apply
from fabnode.remote.apply_script import actions
from fabnode.remote.payload import stream
from fabnode.remote.payload_cache import GZIP
from fabnode.ssh.errors import ApplyError

from .local import SHELLS
from .test_apply import RUNNING, Node, await_line, hang_up

if TYPE_CHECKING:
    from collections.abc import Callable

# Keeps its rules in a file, as `iptables -S` prints them; knows -S and -D by number.
IPTABLES = r"""
file=$RULES
[ "$1 $2 $3" = "-w 10 -t" ] || exit 2
shift 4
case $1 in
-S)
	[ $# -gt 1 ] || { cat "$file"; exit; }
	grep -e "^-A $2 " "$file" | sed -n "$3p" ;;
-D)
	awk -v chain="$2" -v number="$3" '
		$1 == "-A" && $2 == chain && ++count == number { next } { print }' "$file" >"$file.new" &&
		mv "$file.new" "$file" ;;
*) exit 2 ;;
esac
"""
A = "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 4194 -j ACCEPT"
D = "-A INPUT -p tcp -m tcp --dport 4194 -j DROP"
OTHER = "-A INPUT -j cali-INPUT"
FORWARD = "-A FORWARD -j ACCEPT"


@pytest.fixture(params=SHELLS)
def node(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setenv("RULES", str(tmp_path / "rules"))
    it = Node(tmp_path, request.param)
    it.tools.add("iptables", IPTABLES)
    return it


def carry_out(node: Node, *changes: Change) -> None:
    apply(node, Plan("n1", changes), node.packer, node.events.append, zstd=False)


def thin(node: Node, tmp_path: Path, *rules: str) -> list[str]:
    (tmp_path / "rules").write_text("".join(f"{rule}\n" for rule in ("-P INPUT ACCEPT", *rules)))
    carry_out(node, Change(RulesOnce("filter", (A, D)), "delete", "x"))
    return (tmp_path / "rules").read_text().splitlines()[1:]


def test_later_copies_go_and_the_first_stay_in_their_order(node: Node, tmp_path: Path) -> None:
    left = thin(node, tmp_path, OTHER, A, FORWARD, D, A, OTHER, D, FORWARD, A, D)
    assert left == [OTHER, A, FORWARD, D, OTHER, FORWARD]


def test_rules_that_are_there_once_or_not_at_all_stay(node: Node, tmp_path: Path) -> None:
    assert thin(node, tmp_path, A, OTHER, OTHER) == [A, OTHER, OTHER]
    assert not [call for call in node.tools.calls_of("iptables") if " -D " in call or "-F" in call]


def test_a_filter_that_refuses_fails_the_host(node: Node, tmp_path: Path) -> None:
    node.tools.add("iptables", "echo 'no permission' >&2; exit 4")
    (tmp_path / "rules").write_text("")
    with pytest.raises(ApplyError, match="no permission"):
        carry_out(node, Change(RulesOnce("filter", (A,)), "delete", "x"))


def test_files_are_put_aside_closed_and_nothing_is_lost(node: Node) -> None:
    path = Path(node.path("ssl/ca key.pem"))
    path.parent.mkdir()
    for content in ("first", "second"):
        path.write_text(content)
        path.chmod(0o644)
        carry_out(node, Change(Quarantined(str(path)), "quarantine", "ca-key"))
        assert not path.exists()
    place = Path(f"{node.state}/quarantine{path}")
    assert place.read_text() == "first"
    assert Path(f"{place}.1").read_text() == "second"
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o077 == 0
    note = (node.state / "quarantine/NOTE").read_text()
    assert f"shred -u {place}\n" in note
    assert f"shred -u {place}.1\n" in note


@pytest.fixture
def taking_over(node: Node) -> Callable[..., Plan]:
    """Return a plan that takes a node over, up to a certificate that comes, or does not."""
    for name in ("kubelet.kubeconfig", "kubelet.conf", "kubelet-key.pem"):
        Path(node.path(name)).write_text(f"old {name}")
    certificate = node.path("current.pem")

    def plan(*paths: str, comes: bool, active: bool = True, seconds: int = 1) -> Plan:
        comes_now = f"echo new >{certificate}" if comes else ":"
        node.tools.add(
            "systemctl",
            f"""case $1 in
show) {RUNNING} ;;
restart) [ "$2" = --no-block ] || {{
	echo written by the kubelet >{node.path("kubelet.kubeconfig")}
	{comes_now}
}} ;;
-q) {"true" if active else "false"} ;;
esac""",
        )
        kubeconfig = node.path("kubelet.kubeconfig")
        return Plan(
            "n1",
            (
                *(
                    Change(
                        Superseded(
                            node.path(path),
                            certificate,
                            "kubelet.service",
                            "" if path.endswith(".pem") else kubeconfig,
                            "x",
                        ),
                        "quarantine",
                        "x",
                    )
                    for path in paths
                ),
                Change(Restart("kubelet.service"), "restart", "x"),
                Change(
                    ClientCertificate(
                        certificate, "kubelet.service", node.path("bootstrap"), "", "x", seconds
                    ),
                    "join",
                    "x",
                ),
            ),
        )

    return plan


def apply_plan(node: Node, plan: Plan) -> None:
    apply(node, plan, node.packer, node.events.append, zstd=False)


def test_credentials_that_are_superseded_stay_in_the_quarantine(
    node: Node, taking_over: Callable[..., Plan]
) -> None:
    apply_plan(node, taking_over("kubelet.kubeconfig", "kubelet-key.pem", comes=True))
    assert "written by" in Path(node.path("kubelet.kubeconfig")).read_text()
    assert not Path(node.path("kubelet-key.pem")).exists()
    place = Path(f"{node.state}/quarantine{node.path('kubelet.kubeconfig')}")
    assert place.read_text() == "old kubelet.kubeconfig"
    assert place.stat().st_mode & 0o777 == 0o600
    assert "inv deploy-nodes" in (node.state / "quarantine/NOTE").read_text()
    assert not [c for c in node.tools.calls_of("systemctl") if "--no-block" in c]


@pytest.mark.parametrize("path", ["kubelet.kubeconfig", "kubelet.conf"])
def test_without_a_certificate_the_old_credentials_come_back(
    node: Node, taking_over: Callable[..., Plan], path: str
) -> None:
    """Also where the unit reads its own now: the old ones are another tool's, at its own path."""
    with pytest.raises(ApplyError, match="its kubelet runs with its old credentials again: join"):
        apply_plan(node, taking_over(path, "kubelet-key.pem", comes=False, active=False))
    for name in {path, "kubelet.kubeconfig"}:
        assert Path(node.path(name)).read_text() == f"old {path}"
    assert Path(node.path("kubelet-key.pem")).read_text() == "old kubelet-key.pem"
    assert "systemctl restart --no-block -- kubelet.service" in node.tools.calls


@pytest.mark.parametrize("path", ["kubelet.kubeconfig", "kubelet.conf"])
def test_credentials_that_others_could_write_come_back_as_they_were(
    node: Node, taking_over: Callable[..., Plan], path: str
) -> None:
    """What was in the quarantine for a moment is root's alone no more than before."""
    plan = taking_over(path, comes=False, active=False)
    Path(node.path(path)).chmod(0o666)
    with pytest.raises(ApplyError):
        apply_plan(node, plan)
    for name in {path, "kubelet.kubeconfig"}:
        assert Path(node.path(name)).stat().st_mode & 0o777 == 0o666


def test_a_run_that_is_cut_off_leaves_a_kubelet_with_credentials(
    node: Node, taking_over: Callable[..., Plan]
) -> None:
    plan = taking_over("kubelet.kubeconfig", comes=False, active=False, seconds=300)
    process = node.begin(b"".join(stream(actions(plan, GZIP), node.packer, GZIP)))
    await_line(process, b"start\t2\n")
    hang_up(process)
    assert process.wait(20) != 0
    assert Path(node.path("kubelet.kubeconfig")).read_text() == "old kubelet.kubeconfig"
    assert "systemctl restart --no-block -- kubelet.service" in node.tools.calls
    assert node.leftovers() == []


def test_a_certificate_that_comes_late_is_waited_for(
    node: Node, taking_over: Callable[..., Plan]
) -> None:
    """What was approved a moment ago is signed by then, and nobody is accused of having it."""
    plan = taking_over("kubelet.kubeconfig", comes=False)
    late = f'[ "$1" != 0.5 ] || echo new >{node.path("current.pem")}'
    node.tools.add("sleep", f'{late}\nexec /bin/sleep "$@"')
    with pytest.raises(ApplyError) as failed:
        apply_plan(node, plan)
    assert "old credentials" not in str(failed.value)
    assert "written by" in Path(node.path("kubelet.kubeconfig")).read_text()


def test_what_became_a_symlink_is_not_put_aside(node: Node) -> None:
    target, path = Path(node.path("precious")), Path(node.path("key"))
    target.write_text("mine")
    path.symlink_to(target)
    with pytest.raises(ApplyError, match="no regular file any more"):
        carry_out(node, Change(Quarantined(str(path)), "quarantine", "ca-key"))
    assert target.read_text() == "mine"


def test_only_what_was_read_is_replaced(node: Node) -> None:
    path = Path(node.path("config.yaml"))
    path.write_text("old\n")
    change = Change(
        EditedFile(str(path), b"new\n", hashlib.sha256(b"old\n").hexdigest(), 0o640), "update", "x"
    )
    carry_out(node, change)
    assert path.read_text() == "new\n"
    assert path.stat().st_mode & 0o777 == 0o640
    path.write_text("somebody else's\n")
    with pytest.raises(ApplyError, match="not what it was"):
        carry_out(node, change)
    assert path.read_text() == "somebody else's\n"


def test_units_are_restarted_but_neither_enabled_nor_stamped(node: Node) -> None:
    carry_out(
        node,
        Change(Reload(), "reload", "x"),
        Change(Restart("kubelet.service"), "restart", "x"),
    )
    calls = [call for call in node.tools.calls_of("systemctl") if "show" not in call]
    assert calls == [
        "systemctl daemon-reload",
        "systemctl reset-failed -- kubelet.service",
        "systemctl restart -- kubelet.service",
    ]
    assert not list(node.state.glob("stamps/*"))


def test_modes(node: Node) -> None:
    path = Path(node.path("key"))
    path.write_text("x")
    path.chmod(0o644)
    carry_out(node, Change(ExistingSecret(str(path), 0o600), "mode", "x"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_became_a_symlink_leads_nowhere(node: Node) -> None:
    precious = Path(node.path("precious/key"))
    precious.parent.mkdir()
    precious.write_text("mine")
    Path(node.path("home")).symlink_to(precious.parent)
    with pytest.raises(ApplyError, match="there is a symlink on the way"):
        carry_out(node, Change(Quarantined(node.path("home/key")), "quarantine", "x"))
    assert precious.read_text() == "mine"


def test_a_file_that_becomes_a_symlink_meanwhile_takes_no_other_file_along(node: Node) -> None:
    """The last thing before it is moved is that its place is made: by then it is another."""
    precious, path = Path(node.path("precious")), Path(node.path("home/key"))
    precious.write_text("mine")
    precious.chmod(0o644)
    path.parent.mkdir()
    path.write_text("key")
    swap = f"/bin/ln -sfT {precious} {path}"
    node.tools.add("mkdir", f'case "$*" in *quarantine*) {swap} ;; esac\nexec /bin/mkdir "$@"')
    with pytest.raises(ApplyError, match="is no regular file"):
        carry_out(node, Change(Quarantined(str(path)), "quarantine", "x"))
    assert precious.read_text() == "mine"
    assert precious.stat().st_mode & 0o777 == 0o644
