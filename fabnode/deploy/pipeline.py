"""
A deployment: the steps over many nodes, in the order that `steps/order.py` gives.

Steps of a node are carried out one after another, nodes side by side; what
concerns the API (rights, the pod network) goes on beside them and is waited for where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..journal.expiry import CERTIFICATES, MARGIN
from ..journal.journal import cause
from ..kube.server_side_apply import ObjectChange
from ..steps import kubelet, pod_network, rbac, verify
from ..steps.checks import node_services
from ..steps.checks.check import Check
from ..steps.checks.schedulability import SCHEDULABLE
from ..util.errors import FabnodeError, InputError
from ..util.fan_out import Outcome
from ..util.words import counted
from .certificate_inventory import certificates_seen
from .network_change import ImageGate, NetworkChange
from .network_probe import network_probe_left
from .node_deployer import Deployed, NodeDeployer
from .node_planner import NodePlan
from .part_travel import travel
from .run import Run, RunContext
from .verification import heartbeat_ages, schedulable, verify_cluster, verify_node

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..cni.protocol import Diagnosis, Rollout
    from ..steps.step import Step
    from .cluster_session import ClusterSession

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """
    What would be done: to each node (or why that is unknown), and at the API.

    :param drift: how the pod network differs from the configuration where a run can't change it.
    :param rollout: how its running pods would be replaced; None: they would not.
    :param travel: how programs and images would come to hosts; empty: none would.
    """

    nodes: Mapping[str, Outcome[NodePlan]]
    objects: tuple[ObjectChange, ...]
    drift: Diagnosis | None = None
    rollout: Rollout | None = None
    travel: str = ""


def deploy(run: Run) -> list[Check]:
    """
    Deploy to every node, and prove that it works; return what was checked at the end.

    What fails, fails for its node alone and stands in the journal.
    """
    with RunContext(run) as context:
        session = context.session
        rights = session.background(partial(apply_rbac, run, session))
        change = _network_change(context)
        gate = ImageGate(node.name for node in run.nodes)
        manifest = session.background(change.prepare)

        def apply_network() -> None:
            manifest.result()
            change.apply(gate)

        network = session.background(apply_network)

        def before_change() -> None:
            manifest.result()
            rights.result()

        def deployed(deployer: NodeDeployer) -> Deployed:
            name = deployer.node.name
            gate.begin(name)
            try:
                done = deployer.deploy(
                    before_change=before_change,
                    after_change=lambda joining: gate.arrive(name, joining=joining),
                )
                gate.arrive(name)  # also where nothing was to be changed
            finally:
                gate.end(name)
            return done

        try:
            outcomes = context.each(deployed)
        except BaseException:
            gate.close(interrupted=True)
            raise
        gate.close()
        parts = ((pod_network.STEP, manifest), (rbac.STEP, rights), (pod_network.STEP, network))
        came = [attempted(run, step, partial(_awaited, part)) for step, part in parts]
        good = [name for name, outcome in outcomes.items() if outcome.ok]
        if not all(came) or not run.whole or not good:
            return []
        changed = any(o.value and o.value.changed for o in outcomes.values())
        # An interrupted probe proves nothing: it is repeated.
        network_too = partial(network_probe_left, session.api)

        def proved() -> list[Check]:
            wait_for_network(run, session, good)
            names = _hooked(context, "before", good)
            network = (lambda: True) if changed else network_too
            checks = verify_with(run, context, names, network=network)
            bad = {check.node for check in checks if check.failed}
            _hooked(context, "after", [name for name in names if not bad & {name, None}])
            return _uncordoned(context, checks)

        return attempted(run, verify.STEP, proved) or []


def _uncordoned(context: RunContext, checks: list[Check]) -> list[Check]:
    """Probe nodes again that were cordoned, or tainted: the site's commands may end that."""
    closed = {c.node for c in checks if c.name == SCHEDULABLE and not c.ok}
    if not closed or not context.run.config.extensions.hooks:
        return checks
    live = context.session.nodes.current()
    again = {
        node.name: schedulable(node, live[node.name])
        for node in context.run.nodes
        if node.name in closed & live.keys()
    }
    return [
        replace(again[c.node], warning=True) if c.node in again and c.name == SCHEDULABLE else c
        for c in checks
    ]


def _hooked(context: RunContext, order: str, names: Sequence[str]) -> list[str]:
    """Run the site's commands before or after verify; return the nodes of which none failed."""
    if not context.run.config.extensions.hooks:
        return list(names)
    found = context.each(lambda deployer: deployer.run_hooks(order, verify.STEP), names)
    return [name for name, outcome in found.items() if outcome.ok]


def attempted(run: Run, step: Step, work: Callable[[], R]) -> R | None:
    """
    Do something that concerns the whole cluster; None where it failed, which the journal holds.

    So the nodes' ends are reported as well. Bad input is raised: it ends the run otherwise.

    :param step: what failed, where no step of the cluster's has recorded it.
    """
    try:
        return work()
    except InputError:
        raise
    except Exception as error:
        run.journal.settle(None, error, step=step.name)
        return None


def _awaited(part: Future[Any]) -> bool:
    part.result()
    return True


def plan(run: Run) -> ClusterPlan:
    """Return what `deploy` would do, by the same code. Changes nothing."""
    with RunContext(run, dry_run=True) as context:
        session = context.session
        change = _network_change(context)
        objects = session.background(partial(_plan_objects, run, session, change))
        nodes = context.each(NodeDeployer.plan, last=True)
        found = objects.result()
        drift = session.network.drift(change.followed) if run.whole else None
        named = plan_proxy_names(session, nodes)
        return ClusterPlan(
            nodes, found + named, drift, change.rollout, _travel(run, context, nodes)
        )


def _travel(run: Run, context: RunContext, nodes: Mapping[str, Outcome[NodePlan]]) -> str:
    plans = {name: found.value.plan for name, found in nodes.items() if found.value}
    tools = {name: context.facts(name).tools for name in plans}
    return travel(run.config.artifacts, plans, tools)


def verify_nodes(run: Run, *, network: bool, title: str = verify.STEP.name) -> list[Check]:
    """
    Check nodes and cluster; with `network`, by pods as well.

    :param title: the step's name in the journal.
    """
    with RunContext(run, installs=False) as context:
        names = [node.name for node in run.nodes]
        return verify_with(run, context, names, network=lambda: network, strict=True, title=title)


def wait_for_network(run: Run, session: ClusterSession, names: Sequence[str]) -> None:
    """
    Wait until the pod network runs on these nodes, where fabnode installs it.

    :raises WaitTimeoutError: it does not in time.
    """
    if session.network.name:
        with run.journal.step(None, pod_network.STEP.name, "waiting for it") as log:
            live = session.nodes.current()
            registered = [live[name] for name in names if name in live]
            if renewed := session.network.renew_pods(registered, session.guard.obtain):
                log.changed(f"{', '.join(renewed)} replaced, older than the Node object")
            session.network.wait_ready(names, log.waiting)
            log.note(f"ready on {counted(len(names), 'node')}")


def verify_with(
    run: Run,
    context: RunContext,
    names: Sequence[str],
    *,
    network: Callable[[], bool],
    strict: bool = False,
    title: str = verify.STEP.name,
) -> list[Check]:
    """
    Check these nodes, and the cluster, within a run.

    :param strict: a node to which no pods are scheduled fails; else that is a warning, for a cordon
        is an administrator's.
    """
    session = context.session
    with run.journal.step(None, title, "checking") as log:
        live = session.nodes.settled(names)
        ages = heartbeat_ages(session, names, live)

        def one(node: NodeDeployer) -> list[Check]:
            facts = node.facts_of_started_units()
            name = node.node.name
            found = verify_node(node.host, facts, session, live.get(name), ages.get(name))
            checks = [_explained(check, session, node) for check in found]
            checks += node_services.override_checks(name, node.overrides(), node.sites_own())
            return checks

        found = context.each(one, names, last=True)
        checks = [check for outcome in found.values() for check in outcome.value or ()]
        checks += [
            Check(name, "reachable", False, _why_not(outcome), _next(outcome))
            for name, outcome in found.items()
            if not outcome.value  # no check at all is no proof of anything
        ]
        waiting = {name for name, node in live.items() if session.nodes.awaits_network(node)}
        with_network = [name for name in names if name not in waiting]
        checks += verify_cluster(
            session, with_network, live, network=network(), progress=log.progress
        )
        if not strict:
            checks = [replace(c, warning=True) if c.name == SCHEDULABLE else c for c in checks]
        checks = [
            replace(check, advice="", warning=False) if check.ok else check for check in checks
        ]
        bad = sum(check.failed for check in checks)
        seen = {name: context.facts(name) for name, outcome in found.items() if outcome.ok}
        log.note(
            f"{len(checks)} checks, {bad} failed" if bad else f"{len(checks)} checks, all good",
            **{CERTIFICATES: certificates_seen(run.config, seen)},
            **{MARGIN: run.config.verify.certificate_days},
        )
    return checks


def _explained(check: Check, session: ClusterSession, node: NodeDeployer) -> Check:
    """Return the check of Ready with the cause where it is not good, any other as it is."""
    if check.name != node_services.READY or check.ok:
        return check
    from .diagnosis import explained_check  # all causes, which a node that is well needs not

    return explained_check(check, session, node.planner)


def _why_not(outcome: Outcome[list[Check]]) -> str:
    return cause(outcome.error) if outcome.error else outcome.skipped or "nothing was checked"


def _next(outcome: Outcome[list[Check]]) -> str:
    return outcome.error.advice if isinstance(outcome.error, FabnodeError) else ""


def plan_rbac(run: Run, session: ClusterSession) -> tuple[ObjectChange, ...]:
    """Return which bindings would change; none where this run is not about joining."""
    return session.manifests.plan(session.admission.bindings()) if kubelet.STEP in run.only else ()


def plan_proxy_names(
    session: ClusterSession, nodes: Mapping[str, Outcome[NodePlan]]
) -> tuple[ObjectChange, ...]:
    """Return what is bound to the names of nodes' kube-proxies before these use them."""
    named = [
        name
        for name, found in nodes.items()
        if found.value
        and found.value.own_name
        and all(finding.level != "error" for finding in found.value.findings)
    ]
    if not named:
        return ()
    change = session.proxy_identities.planned(map(session.config.node, named))
    return (change,) if change else ()


def apply_rbac(run: Run, session: ClusterSession) -> None:
    """Bind the roles that joining needs, where this run is about joining."""
    with run.journal.step(None, rbac.STEP.name) as log:
        if changes := plan_rbac(run, session):
            session.guard.obtain()
            session.manifests.apply(changes)
            log.changed(", ".join(change.title for change in changes))


def _network_change(context: RunContext) -> NetworkChange:
    run = context.run
    names = [node.name for node in run.nodes]
    return NetworkChange(context.session, run.journal, names, context.held_images, wanted=run.whole)


def _plan_objects(
    run: Run, session: ClusterSession, change: NetworkChange
) -> tuple[ObjectChange, ...]:
    change.prepare()
    return plan_rbac(run, session) + change.plan()
