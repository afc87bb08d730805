"""`inv status`, `inv remove-node` and `inv upgrade --dry-run` as they are read."""

from __future__ import annotations

from contextlib import nullcontext
from json import loads
from types import SimpleNamespace
from typing import Any

import pytest

from fabnode.cli import app
from fabnode.cli.commands import removal, upkeep
from fabnode.cli.commands import upgrade as upgrade_command
from fabnode.cli.options import Options
from fabnode.deploy import status_runs, upgrading
from fabnode.deploy.draining import InFlight, Status
from fabnode.deploy.network_upgrade import NetworkProspect
from fabnode.deploy.node_planner import NodePlan
from fabnode.deploy.proxy_binding import change
from fabnode.deploy.removing import Removal
from fabnode.deploy.upgrading import Prospect, UpgradePlan
from fabnode.node.plan import Plan
from fabnode.util.fan_out import Outcome


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> None:
    run = SimpleNamespace(journal=SimpleNamespace(detach_sinks=lambda: None), config=None)
    monkeypatch.setattr(app, "run_of", lambda _: nullcontext(run))


def test_rights_of_nodes_that_are_gone_stand_with_what_takes_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("system:kube-proxy:n7", "system:kube-proxy:n8")
    found = Status("", (InFlight("n1", "", ""),), (), names)
    monkeypatch.setattr(status_runs, "status", lambda _: found)
    upkeep.status(Options())
    shown = capsys.readouterr().out
    assert "kube-proxies that have rights, of nodes that are gone:" in shown
    assert "  next: `inv rbac.forget system:kube-proxy:n7,system:kube-proxy:n8`" in shown
    upkeep.status(Options(json=True))
    assert loads(capsys.readouterr().out)["proxies"] == list(names)


def test_a_network_that_is_rolled_stands_with_what_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status_runs, "status", lambda _: Status("", (), network="Net is rolled"))
    upkeep.status(Options())
    assert "Net is rolled; `inv upgrade` goes on" in capsys.readouterr().out


def test_a_node_that_nobody_configured_stands_with_what_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = ("n7: a node since 2026-11-30T08:00:00Z, at 192.0.2.7, Ready",)
    monkeypatch.setattr(status_runs, "status", lambda _: Status("", (), unknown))
    upkeep.status(Options())
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2:] == [
        f"  {unknown[0]}",
        "  next, for one that is nobody's: configure it again, then `inv remove-node --limit NODE`",
    ]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ({"registered": True}, "then its Node object, and what is on its host, go"),
        (
            {"registered": True, "requests": ("csr-1",)},
            "its Node object and 1 signing request, and",
        ),
        (
            {"registered": True, "requests": ("a", "b"), "proxy": True},
            "its Node object, 2 signing requests and its kube-proxy's rights, and",
        ),
        ({"registered": False}, "the cluster has nothing of it"),
    ],
)
def test_what_a_removal_takes_from_the_cluster(what: dict[str, Any], sentence: str) -> None:
    host: Any = None
    (line,) = removal._of_cluster(Removal(host, **what))
    assert sentence in line


def test_a_status_without_any_says_nothing_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status_runs, "status", lambda _: Status("", ()))
    upkeep.status(Options())
    assert "kube-proxies" not in capsys.readouterr().out


def planned(**more: Any) -> UpgradePlan:
    node = NodePlan(Plan("n1", ()), {}, **more)
    binding = change(None, ["system:kube-proxy:n1"])
    assert binding
    return UpgradePlan({"n1": Outcome(Prospect(node))}, NetworkProspect(), (binding,))


def test_a_plan_shows_what_changes_at_the_api_and_what_runs_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hook: Any = SimpleNamespace(title="after ready: ./announce")
    found = planned(labels=("label + pool=ssd",), hooks=(hook,))
    monkeypatch.setattr(upgrading, "plan", lambda *_: found)
    allowed: Any = SimpleNamespace(permits=lambda _: None)
    upgrade_command.upgrade(Options(), allowed, network=True, dry_run=True)
    shown = capsys.readouterr().out.splitlines()
    assert "cluster: create ClusterRoleBinding fabnode:kube-proxies" in shown
    assert "n1: its Node object: label + pool=ssd" in shown
    assert "n1: on this machine: after ready: ./announce" in shown
    assert "n1: no release; 0 changes in all (cordon, change, verify, uncordon)" in shown
    upgrade_command.upgrade(Options(json=True), allowed, network=True, dry_run=True)
    document = loads(capsys.readouterr().out)
    assert document["cluster"] == [
        {"object": "ClusterRoleBinding fabnode:kube-proxies", "action": "create", "fields": []}
    ]
    assert document["nodes"][0]["labels"] == ["label + pool=ssd"]
    assert document["nodes"][0]["hooks"] == ["after ready: ./announce"]
