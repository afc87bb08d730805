"""
Runs of audit and harden over existing nodes: findings, repairs, and a second examination.

One round trip examines a host and one repairs it; findings and repairs are decided in
`audit/`. Afterwards the host is examined once more: what is still found, was not fixed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from ..audit import returned
from ..audit.answerer import serving
from ..audit.finding import Finding
from ..audit.judge import judge
from ..audit.repair import Repairs, Wanted, repairs
from ..kube.client import Api
from ..kube.kubeconfig import load
from ..node.plan import Change, Plan, text_diff
from ..node.resources import EditedFile, ExistingSecret, Quarantined, Reload, RulesOnce
from ..remote.examine import ask, examine
from ..remote.unit_monitor import UnitMonitor
from ..steps import ready
from ..util import program
from ..util.errors import FabnodeError
from . import host_changes
from .api_access import everywhere
from .cluster_session import ClusterSession
from .registrations import registrations
from .run import on_hosts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..node.examination import Asked, Evidence
    from ..node.plan import Action
    from ..ssh.host import Host
    from ..util.fan_out import Outcome
    from .run import Run

AUDIT, HARDEN = "audit", "harden"
_KUBELET = "kubelet.service"
_PATIENCE = 3.0  # seconds for an apiserver that is away: an audit is about hosts


class NotFixedError(FabnodeError):
    """All was done, and some of what was wrong still is."""

    advice = f"`{program.task('audit')}` shows it with what was seen: something else sets it again"


class ApiserverCutOffError(FabnodeError):
    """The apiserver reached this kubelet before its settings were fixed, and no longer does."""

    advice = (
        "bind the user of the apiserver's --kubelet-client-certificate to the ClusterRole"
        " system:kubelet-api-admin: until then `kubectl logs` and `exec` fail on this node"
    )


@dataclass(frozen=True, slots=True)
class Audit:
    """What is wrong with one host, and the plan that repairs what can be repaired."""

    findings: tuple[Finding, ...]
    plan: Plan


def audit(run: Run) -> dict[str, Outcome[Audit]]:
    """Examine every host of the run; needs nothing of the cluster but its CA. Changes nothing."""
    return on_hosts(run, partial(_audit, run))


def back_again(run: Run) -> tuple[Finding, ...]:
    """
    Return which nodes were removed from the cluster, or locked out, and are nodes all the same.

    Asks the API alone, and changes nothing. Where it can't be asked, that is what was found. A run
    of some nodes is told of these alone.
    """
    config, names = run.config, {node.name for node in run.nodes}
    known = {node.name for node in config.nodes}
    with run.journal.step(None, AUDIT, "asking the API") as log:
        try:
            credentials = everywhere(load(config.cluster.kubeconfig), config.cluster)
            api = Api(credentials, patience=_PATIENCE)
            nodes = registrations(api, known)
        except FabnodeError as error:
            log.note("the API can't be asked")
            text = f"not examined: which removed nodes are back: {error.message}"
            fix = "set cluster.kubeconfig to that of an account which may list nodes"
            return (Finding("unseen", "info", "cluster", text, "", fix),)
        wanted = [n for n in nodes if n.name in names or (names == known and not n.known)]
        found = tuple(returned.findings(wanted))
        log.note(f"{len(found)} findings" if found else "no findings")
    return found


def harden(run: Run, found: Mapping[str, Outcome[Audit]]) -> dict[str, Outcome[Audit]]:
    """
    Carry out the plans of an audit; return what is left, host by host.

    What was not shown is not done: a host that has changed since fails instead.
    """
    session = ClusterSession(run.config, run.journal)
    try:
        if any(o.value and _restarts_kubelet(o.value.plan) for o in found.values()):
            session.await_api()
            session.open(run.nodes)
        return on_hosts(
            run, lambda host: _harden(run, session, host, found[host.name]), session.interrupt
        )
    finally:
        session.close()


def _audit(run: Run, host: Host) -> Audit:
    with run.journal.step(host.name, AUDIT, "examining") as log:
        result = _look(run, host)
        log.note(f"{len(result.findings)} findings" if result.findings else "no findings")
    return result


def _look(run: Run, host: Host) -> Audit:
    evidence, asked = _examine_and_ask(run, host)
    if asked.redirected:
        # A kubelet may have got its next certificate in between: before another than its own is
        # taken for a stranger's, both are looked at once more.
        evidence, asked = _examine_and_ask(run, host)
    findings = judge(
        evidence,
        asked,
        node=host.node.name,
        ca_pem=run.config.ca_pem,
        now=datetime.now(UTC),
    )
    todo = repairs(evidence, findings)
    return Audit(todo.findings, plan_of(host.name, todo))


def _examine_and_ask(run: Run, host: Host) -> tuple[Evidence, Asked]:
    paths = run.config.paths
    evidence = examine(host, state=paths.state, cni_conf=paths.cni_conf, cni_bin=paths.cni_bin)
    return evidence, ask(host, evidence.listeners, serving(evidence))


def plan_of(node: str, todo: Repairs) -> Plan:
    """Return the repairs of a host as the plan that carries them out."""
    return Plan(node, tuple(_change(wanted) for wanted in todo.wanted))


def _change(wanted: Wanted) -> Change:
    action: Action
    match wanted.resource:
        case EditedFile(path=path, content=content):
            diff = text_diff(path, wanted.old, content)
            return Change(wanted.resource, "update", wanted.why, diff)
        case ExistingSecret():
            action = "mode"
        case Quarantined():
            action = "quarantine"
        case RulesOnce():
            action = "delete"
        case Reload():
            action = "reload"
        case _:
            action = "restart"
    return Change(wanted.resource, action, wanted.why)


def _harden(run: Run, session: ClusterSession, host: Host, found: Outcome[Audit]) -> Audit:
    if found.value is None:
        raise found.error or RuntimeError(found.skipped)
    before = found.value
    if before.plan.empty:
        return before
    restarted = _restarts_kubelet(before.plan)
    release = session.nodes.reported_versions(host.name).kubelet if restarted else None
    with session.restarts.turn(host.name, restarts=restarted, release=release):
        _repair(run, session, host, before.plan, restarted=restarted)
    with run.journal.step(host.name, AUDIT, "examining the host again") as log:
        after = _look(run, host)
        fixed = {finding.key for finding in before.findings if finding.repairs}
        if left := [finding for finding in after.findings if finding.key in fixed]:
            remaining = "; ".join(f"{finding.subject}: {finding.text}" for finding in left)
            raise NotFixedError(f"still present: {remaining}")
        # By what is unseen as well: all limits of a host have one subject.
        known = {(finding.key, finding.text) for finding in before.findings}
        hidden = [
            f.text
            for f in after.findings
            if f.check == "unseen" and f.severity == "medium" and (f.key, f.text) not in known
        ]
        if hidden and fixed:
            raise NotFixedError(f"it can't be told whether all is fixed: {hidden[0]}")
        log.note(f"{len(fixed)} fixed, {len(after.findings)} left")
    return after


def _repair(run: Run, session: ClusterSession, host: Host, plan: Plan, *, restarted: bool) -> None:
    """Carry out a plan of repairs; where it restarts the kubelet, wait until the node is Ready."""
    answered = restarted and session.nodes.kubelet_answers(host.name)
    began = time.time()
    done = host_changes.carry_out(run.config, run.journal, host, plan, HARDEN)
    if not restarted:
        return
    # By the host's own clock: what its kubelet reported before it started again proves nothing.
    began = done.started.get(_KUBELET, began)
    with run.journal.step(host.name, ready.STEP.name, "waiting for Ready") as log:
        up = UnitMonitor(host, _KUBELET)
        session.nodes.wait_ready(host.name, began, up, log.waiting)
        if answered and not session.nodes.kubelet_answers(host.name):
            raise ApiserverCutOffError("its kubelet no longer accepts the apiserver's requests")


def _restarts_kubelet(plan: Plan) -> bool:
    return any(change.name == _KUBELET for change in plan.restarts)
