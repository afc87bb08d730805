"""From findings to what is done: where a setting is set, what is left, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fabnode.audit.finding import Finding, RestartUnit, Setting
from fabnode.audit.repair import Repairs, repairs
from fabnode.deploy.hardening import plan_of
from fabnode.node.examination import Evidence, Program, UnitSeen
from fabnode.node.resources import EditedFile, Quarantined, Reload, Restart, RulesOnce

from ..support import authority
from .support import (
    KUBELET_UNIT,
    KUBELET_YAML,
    judged,
    public,
    secret,
    sound,
    text,
    unit_file,
    with_files,
    with_texts,
)

KUBELET = "kubelet.service"
ANONYMOUS = Setting(
    "kubelet", "anonymous-auth", ("authentication", "anonymous", "enabled"), value=False
)


def kubelet(command: str, *, unit: str | None = None, yaml: str = "a: 1\n") -> Evidence:
    """Return a host whose kubelet was started by `command`, its unit file as given or the same."""
    it = with_texts({KUBELET_UNIT: unit_file(unit or command), KUBELET_YAML: text(yaml)})
    return replace(it, programs={**it.programs, "kubelet": Program(tuple(command.split()))})


def finding(*wanted: Setting) -> Finding:
    return Finding("always-allow", "high", "kubelet", "", "", "", wanted)


def mended(evidence: Evidence) -> Repairs:
    return repairs(evidence, judged(evidence))


def edited(todo: Repairs) -> dict[str, str]:
    return {
        w.resource.path: w.resource.content.decode()
        for w in todo.wanted
        if isinstance(w.resource, EditedFile)
    }


def test_a_unit_that_runs_what_others_may_write_is_not_started() -> None:
    """Neither by a restart alone nor by a setting, which ends with one."""
    it = kubelet(f"/usr/bin/kubelet --config={KUBELET_YAML}")
    unguarded = replace(it, unguarded={"kubelet.service": ("/opt/kube/bin/kubelet",)})
    restart = Finding("read-only-port", "medium", "kubelet", "", "", "", (RestartUnit(KUBELET),))
    for wanted in (finding(ANONYMOUS), restart):
        assert repairs(it, [wanted]).wanted
        todo = repairs(unguarded, [wanted])
        assert todo.wanted == ()
        assert "/opt/kube/bin/kubelet, which others than root may write" in todo.findings[0].by_hand
    (found,) = [f for f in judged(unguarded) if f.subject == "/opt/kube/bin/kubelet"]
    assert (found.check, found.severity, found.repairs) == ("others-may-write", "critical", ())


def test_a_unit_that_goes_by_what_others_may_write_is_not_started() -> None:
    """Its environment names the libraries that it loads; what it runs as well is reported once."""
    swayed = {"kubelet.service": ("/etc/default/kubelet", "/opt/x")}
    unguarded = {"kubelet.service": ("/opt/x",)}
    it = replace(kubelet(WITH_CONFIG), swayed=swayed)
    todo = repairs(it, [finding(ANONYMOUS)])
    assert todo.wanted == ()
    assert "goes by /etc/default/kubelet, which others than root" in todo.findings[0].by_hand
    found = [f for f in judged(replace(it, unguarded=unguarded)) if f.check == "others-may-write"]
    assert [(f.subject, f.severity) for f in found] == [
        ("/opt/x", "critical"),
        ("/etc/default/kubelet", "high"),
    ]
    assert all(f.fix.startswith(f"`namei -l {f.subject}`") for f in found)


WITH_CONFIG = f"/usr/bin/kubelet --config={KUBELET_YAML}"


def test_a_flag_is_changed_where_it_stands() -> None:
    it = kubelet(
        f"{WITH_CONFIG} --anonymous-auth=true",
        yaml="authentication: {x509: {clientCAFile: /etc/kubernetes/ssl/ca.pem}}\n",
    )
    todo = mended(it)
    assert edited(todo) == {
        KUBELET_UNIT: f"[Service]\nExecStart={WITH_CONFIG} --anonymous-auth=false\n"
    }
    kinds = [type(w.resource) for w in todo.wanted]
    assert kinds == [EditedFile, Reload, Restart]


def test_a_setting_of_the_file_is_changed_there_and_systemd_needs_no_reload() -> None:
    yaml = "authentication:\n  anonymous:\n    enabled: true\n"
    todo = mended(kubelet(WITH_CONFIG, yaml=yaml))
    (new,) = edited(todo).values()
    assert "enabled: false" in new
    assert "clientCAFile: /etc/kubernetes/ssl/ca.pem" in new
    assert [type(w.resource) for w in todo.wanted] == [EditedFile, Restart]


def test_without_a_file_all_is_set_by_flags() -> None:
    todo = mended(kubelet("/usr/bin/kubelet --v=2"))
    (new,) = edited(todo).values()
    for flag in (
        "--anonymous-auth=false",
        "--authorization-mode=Webhook",
        "--authentication-token-webhook=true",
        "--read-only-port=0",
        "--client-ca-file=/etc/kubernetes/ssl/ca.pem",
    ):
        assert f" {flag} " in new
    assert all(f.repairs for f in todo.findings)


def test_no_ca_no_stricter_kubelet() -> None:
    it = replace(kubelet(f"{WITH_CONFIG} --anonymous-auth=true"), files={})
    (left,) = mended(it).findings
    assert left.repairs == ()
    assert "CA" in left.by_hand


@pytest.mark.parametrize(
    ("command", "unit", "reason"),
    [
        (f"{WITH_CONFIG} --anonymous-auth=true", f"{WITH_CONFIG} $OPTIONS", "elsewhere"),
        (
            f"{WITH_CONFIG} --anonymous-auth=true",
            f"{WITH_CONFIG} --anonymous-auth=false",
            "elsewhere",
        ),
        (f"{WITH_CONFIG} --anonymous-auth=true", "/bin/sh -c kubelet", "not kubelet itself"),
    ],
)
def test_flags_that_are_not_the_unit_files_are_left(command: str, unit: str, reason: str) -> None:
    todo = repairs(kubelet(command, unit=unit), [finding(ANONYMOUS)])
    assert todo.wanted == ()
    assert reason in todo.findings[0].by_hand


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"controlled": False}, "symlink"),
        ({"content": None}, "secrets"),
        ({"content": b"\xff"}, ""),
    ],
)
def test_files_that_cannot_be_edited_safely_are_left(change: dict[str, Any], reason: str) -> None:
    it = kubelet(WITH_CONFIG)
    it = replace(it, texts={**it.texts, KUBELET_YAML: replace(text("a: 1\n"), **change)})
    todo = repairs(it, [finding(ANONYMOUS)])
    assert todo.wanted == ()
    assert todo.findings[0].by_hand
    assert reason in todo.findings[0].by_hand or "could not be read" in todo.findings[0].by_hand


def test_a_finding_is_repaired_whole_or_not_at_all() -> None:
    """One repair that can't be done takes back those of the same finding, and of no other."""
    impossible = Setting("kubelet", "x", ("a", "b"), value="not a flag's; value")
    it = kubelet(WITH_CONFIG, yaml="a: 1\n")
    other = Setting("kube-proxy", "masquerade-all", ("iptables", "masqueradeAll"), value=False)
    bad = replace(impossible, keys=("kind", "x"), program="kube-proxy")
    todo = repairs(it, [finding(ANONYMOUS), finding(other, replace(bad, value=""))])
    assert [bool(f.repairs) for f in todo.findings] == [True, False]
    assert list(edited(todo)) == [KUBELET_YAML]


def test_drop_ins_have_the_last_word() -> None:
    drop_in = "/etc/systemd/system/kubelet.service.d/10.conf"
    it = kubelet(f"{WITH_CONFIG} --anonymous-auth=true", unit="/usr/bin/kubelet")
    cleared = text(f"[Service]\nExecStart=\nExecStart={WITH_CONFIG} --anonymous-auth=true\n")
    units = {
        **it.units,
        "kubelet.service": UnitSeen("active", "running", 0, 1.0, (KUBELET_UNIT, drop_in)),
    }
    it = replace(it, texts={**it.texts, drop_in: cleared}, units=units)
    assert list(edited(repairs(it, [finding(ANONYMOUS)]))) == [drop_in]


def test_order_files_first_then_rules_then_restarts() -> None:
    rule = "-A INPUT -j DROP"
    it = with_files(
        secret("/etc/k", keys=(public(authority()[1]),)),
        rules={"filter": (rule, rule), "nat": ()},
        proxied=False,
    )
    todo = repairs(it, judged(it))
    assert [type(w.resource) for w in todo.wanted] == [Quarantined, RulesOnce, Restart]
    plan = plan_of("n1", todo)
    assert [change.action for change in plan.changes] == ["quarantine", "delete", "restart"]
    assert [change.name for change in plan.restarts] == ["kube-proxy.service"]


def test_nothing_wrong_nothing_done() -> None:
    it = sound()
    assert repairs(it, judged(it)).wanted == ()
