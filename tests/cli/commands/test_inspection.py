"""What `fab logs` prints of a unit's journal, and how it ends where that can't be read."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from invoke.exceptions import Exit

from fabnode.cli import app, exits
from fabnode.cli.commands import hosts, inspection
from fabnode.cli.options import Options
from fabnode.deploy import pipeline
from fabnode.deploy.errors import PreflightError
from fabnode.library.results import PlannedNode, PlanResult
from fabnode.node.facts import Facts
from fabnode.ssh.errors import ConnectionLostError
from fabnode.ssh.exec import Result
from fabnode.steps.finding import Finding
from fabnode.util.fan_out import Outcome
from tests.remote.local import Tools
from tests.support import make_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class OneNode(Tools):
    """Programs of a node. :ivar of_others: what others than root may change there."""

    of_others: Any = ((), ())


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OneNode:
    """One node, which is this machine with a journalctl of the test's."""
    tools = OneNode(tmp_path / "tools")

    def root(command: str) -> Result:
        done = tools.run(["sh", "-c", command], b"")
        return Result(done.returncode, done.stdout, done.stderr)

    def on_nodes(_: object, work: Callable[[Any], Result]) -> dict[str, Outcome[Result]]:
        planner = SimpleNamespace(of_others=lambda: tools.of_others)
        node = SimpleNamespace(name="n1")
        host = SimpleNamespace(root=root)
        deployer = SimpleNamespace(host=host, node=node, planner=planner, probe=lambda: None)
        return {"n1": Outcome(work(deployer))}

    config = make_config()
    run = SimpleNamespace(config=config, nodes=config.nodes[:1])
    monkeypatch.setattr(app, "run_of", lambda _: nullcontext(run))
    monkeypatch.setattr(inspection, "on_nodes", on_nodes)
    return tools


def test_a_unit_is_restarted(tools: Tools, capfd: pytest.CaptureFixture[str]) -> None:
    tools.add("systemctl", "")
    inspection.restart(Options(), "kubelet")
    assert "n1: kubelet.service restarted" in capfd.readouterr().out
    assert tools.calls == [
        "systemctl restart kubelet.service",
        "systemctl is-active kubelet.service",
    ]


@pytest.mark.parametrize(
    "of_others",
    [
        ((Finding("error", "others than root may change /usr/local/bin/kubelet", "rm it"),), ()),
        ((), ("/etc/systemd/system/kubelet.service",)),
    ],
)
def test_nothing_is_restarted_that_others_may_have_written(tools: OneNode, of_others: Any) -> None:
    tools.add("systemctl", "")
    tools.of_others = of_others
    with pytest.raises(PreflightError, match="others than root may change /"):
        inspection.restart(Options(), "kubelet")
    assert tools.calls == []


def logs(unit: str = "kubelet") -> None:
    inspection.logs(Options(), unit, 5)


def test_the_end_of_a_journal_is_printed(tools: Tools, capfd: pytest.CaptureFixture[str]) -> None:
    tools.add("journalctl", r"printf 'started\n\033[2Jred\n'")
    logs()
    printed = capfd.readouterr()
    assert printed.out.startswith("# n1: kubelet.service\nstarted\n")
    assert "\x1b" not in printed.out
    assert tools.calls == ["journalctl --no-pager -o short-iso -n 5 -u kubelet.service"]


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("echo 'No journal files were found.' >&2; exit 1", "No journal files were found."),
        ("echo the beginning; kill -9 $$", "the beginning"),
    ],
)
def test_a_journal_that_cannot_be_read_is_a_failure_with_its_cause(
    tools: Tools, capfd: pytest.CaptureFixture[str], script: str, shown: str
) -> None:
    tools.add("journalctl", script)
    with pytest.raises(Exit, match=r"journal of kubelet\.service on n1 can't be read") as ended:
        logs()
    printed = capfd.readouterr()
    assert ended.value.code == exits.FAILED
    assert shown in printed.out + printed.err


def test_a_node_that_is_lost_meanwhile_is_that_error(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = ConnectionLostError("n1", "the connection broke")
    monkeypatch.setattr(inspection, "on_nodes", lambda *_: {"n1": Outcome(error=lost)})
    with pytest.raises(ConnectionLostError):
        logs()


def test_a_unit_that_is_none_of_ours_is_bad_input(tools: Tools) -> None:
    with pytest.raises(Exit, match="sshd") as ended:
        logs("sshd")
    assert ended.value.code == exits.BAD_INPUT
    assert tools.calls == []


def test_findings_that_are_the_same_on_several_hosts_are_printed_once(
    tools: Tools, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Finding("warning", "it has cgroup v1", "boot it with v2")
    swap = Finding("error", "it has 8 MiB of swap", "swapoff -a")
    nodes = [PlannedNode(f"n{number}", findings=(old,)) for number in range(1, 5)]
    nodes += [PlannedNode("n5", findings=(old, swap)), PlannedNode("n6"), PlannedNode("n7")]
    plan = PlanResult(tuple(nodes))
    run = SimpleNamespace(journal=SimpleNamespace(detach_sinks=lambda: None))
    monkeypatch.setattr(app, "run_of", lambda _: nullcontext(run))
    monkeypatch.setattr(pipeline, "plan", lambda _: None)
    monkeypatch.setattr(inspection, "plan_result", lambda _: plan)
    with pytest.raises(Exit) as caught:
        inspection.findings(Options())
    assert caught.value.code == exits.FAILED
    assert capsys.readouterr().out.splitlines() == [
        "5 nodes: warning: it has cgroup v1",
        "    next: boot it with v2",
        "    on n1, n2, n3, n4, n5",
        "n5: error: it has 8 MiB of swap",
        "    next: swapoff -a",
        "n6, n7: nothing prevents a deployment",
    ]


def test_the_question_about_a_host_key_names_the_node(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def confirmed(question: str) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr(app, "confirmed", confirmed)
    offer: Any = SimpleNamespace(
        name="192.0.2.1", fingerprints=("ssh-ed25519 SHA256:x",), commands=("ssh-keygen -lf x",)
    )
    assert hosts._confirm("n1", offer)
    assert asked == ["n1: are they the same? Record the key?"]
    assert capsys.readouterr().out.startswith("n1: 192.0.2.1 is unknown. It presents this key:")


def test_facts_of_hosts_are_lines_of_json(
    tools: Tools, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fab -H n1,n2 facts` calls it for each of them: JSON lines, with the node in each."""
    for name in ("n1", "n2"):
        found = {name: Outcome(Facts(hostname=f"host of {name}"))}
        monkeypatch.setattr(inspection, "on_nodes", lambda *_, found=found: found)
        inspection.facts(Options())
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["node"], each["hostname"]) for each in documents] == [
        ("n1", "host of n1"),
        ("n2", "host of n2"),
    ]
