"""
A run of the steps over many nodes, in the order that `steps/order.py` gives.

Steps of a node are carried out one after another, nodes side by side; what
concerns the API (rights, the pod network) goes on beside them and is waited for where it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..artifacts import store
from ..journal.events import RUN
from ..journal.expiry import CERTIFICATES, MARGIN
from ..journal.journal import cause
from ..kube.network_probe import network_probe_left
from ..kube.server_side_apply import ObjectChange
from ..remote.payload_cache import Packer
from ..ssh.connections import Access
from ..ssh.host import Host
from ..steps import kubelet, pod_network, rbac, verify
from ..steps.order import NODE_STEPS, STEPS, node_steps
from ..steps.verify import Check
from ..util.errors import InputError
from ..util.fan_out import Outcome, fan_out
from ..util.folders import cache_dir
from .cluster_session import ClusterSession
from .node_deployer import NodeDeployer
from .node_planner import NodePlan
from .verification import certificates_seen, verify_cluster, verify_node

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..config.cluster import Cluster, Node
    from ..journal.journal import Journal
    from ..kube.client import Object
    from ..node.facts import Facts
    from ..steps.step import Step

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Run:
    """
    What a run is about, and how wide.

    :param steps: all that there are, the site's own among them.
    :param only: the node steps to carry out; everything else of a node is left as it is.
    :param deep: hash every managed file again, rather than those that seem changed.
    :param shared_token: of the cluster's token file, where hosts join with that.
    :param outcomes: what became of each node so far; filled in by the run.
    """

    cluster: Cluster
    nodes: tuple[Node, ...]
    journal: Journal
    passwords: Mapping[tuple[str, str], str]
    max_parallel: int
    batch: int | None = None
    steps: Sequence[Step] = STEPS
    only: Sequence[Step] = NODE_STEPS
    deep: bool = False
    shared_token: str = field(default="", repr=False)
    outcomes: dict[str, Outcome[Any]] = field(default_factory=dict, repr=False, compare=False)

    def record_outcome(self, name: str, outcome: Outcome[Any]) -> None:
        """
        Record how work on a node ended, here and in the journal.

        Called for all work on nodes, so that nothing depends on each step having recorded its own
        failure. Of several pieces of work on one node the first that was not done counts.
        """
        if outcome.error:
            self.journal.settle(name, outcome.error, seconds=outcome.seconds)
        elif outcome.skipped:
            self.journal.emit(name, RUN, "skipped", outcome.skipped)
        else:
            self.journal.settle(name, seconds=outcome.seconds)
        before = self.outcomes.get(name)
        if before is None or before.ok:
            self.outcomes[name] = outcome

    @property
    def whole(self) -> bool:
        """Whether this is about all of a node, and so about rights and the pod network too."""
        return tuple(self.only) == node_steps(self.steps)


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """What would be done: to each node (or why that is unknown), and at the API."""

    nodes: Mapping[str, Outcome[NodePlan]]
    objects: tuple[ObjectChange, ...]


def deploy(run: Run) -> list[Check]:
    """
    Make every node a working one, and prove it; return what was checked at the end.

    What fails, fails for its node alone and stands in the journal.
    """
    with RunContext(run) as context:
        session = context.session
        rights = session.background(partial(apply_rbac, run, session))
        manifest = session.background(partial(_network_objects, run, session))
        network = session.background(partial(_apply_network, run, session, manifest))

        def before_change() -> None:
            manifest.result()
            rights.result()

        outcomes = context.each(lambda deployer: deployer.deploy(before_change=before_change))
        parts = ((pod_network.STEP, manifest), (rbac.STEP, rights), (pod_network.STEP, network))
        came = [attempted(run, step, partial(_awaited, part)) for step, part in parts]
        good = [name for name, outcome in outcomes.items() if outcome.ok]
        if not all(came) or not run.whole or not good:
            return []
        changed = any(o.value and o.value.changed for o in outcomes.values())
        # A probe that was cut off proves nothing: it is made up for.
        network_too = partial(network_probe_left, session.api)

        def proved() -> list[Check]:
            wait_for_network(run, session, good)
            names = _hooked(context, "before", good)
            network = (lambda: True) if changed else network_too
            checks = verify_with(run, context, names, network=network)
            bad = {check.node for check in checks if not check.ok}
            _hooked(context, "after", [name for name in names if not bad & {name, None}])
            return checks

        return attempted(run, verify.STEP, proved) or []


def _hooked(context: RunContext, order: str, names: Sequence[str]) -> list[str]:
    """Run the site's commands before or after verify; return the nodes of which none failed."""
    if not context.run.cluster.extensions.hooks:
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
        objects = session.background(partial(_plan_objects, run, session))
        nodes = context.each(NodeDeployer.plan)
        return ClusterPlan(nodes, objects.result())


def verify_nodes(run: Run, *, network: bool) -> list[Check]:
    """Check nodes and cluster; with `network`, by pods as well."""
    with RunContext(run, installs=False) as context:
        return verify_with(run, context, [node.name for node in run.nodes], network=lambda: network)


def on_nodes(run: Run, work: Callable[[NodeDeployer], R]) -> dict[str, Outcome[R]]:
    """Do something with every node of the run; nothing is installed, nor changed at the API."""
    with RunContext(run, installs=False) as context:
        return context.each(work)


def on_hosts(run: Run, work: Callable[[Host], R]) -> dict[str, Outcome[R]]:
    """Do something with every host of the run, whoever made it a node: by SSH alone."""
    with Access(run.passwords) as access:

        def one(node: Node) -> R:
            with Host(node, access) as host:
                return work(host)

        return _fan_out(run, run.nodes, one)


class RunContext:
    """
    What a run works with: the session and a deployer per node, opened and closed together.

    :param installs: artifacts are compared or installed, so that they must be on this machine.
    """

    def __init__(self, run: Run, *, dry_run: bool = False, installs: bool = True) -> None:
        self.run = run
        self._artifacts = store.load(run.cluster) if installs else store.expected(run.cluster)
        self.session = ClusterSession(
            run.cluster, run.journal, dry_run=dry_run, shared_token=run.shared_token
        )
        self._packer = Packer(cache_dir() / "packed")
        self._stack = ExitStack()
        self._nodes: dict[str, NodeDeployer] = {}

    def __enter__(self) -> RunContext:
        self._stack.callback(self.session.close)
        self._access = self._stack.enter_context(Access(self.run.passwords))
        self.session.open(self.run.nodes)
        return self

    def __exit__(self, *_: object) -> None:
        for deployer in self._nodes.values():
            deployer.host.close()
        self._stack.close()

    def each(
        self, work: Callable[[NodeDeployer], R], names: Collection[str] | None = None
    ) -> dict[str, Outcome[R]]:
        """Do this for every node (or those named), as many at once as the run allows."""
        run = self.run
        wanted = [node for node in run.nodes if names is None or node.name in names]
        return _fan_out(run, wanted, partial(self._one, work))

    def facts(self, name: str) -> Facts:
        """Return what the last probe of a node found."""
        return self._nodes[name].facts

    def _one(self, work: Callable[[NodeDeployer], R], node: Node) -> R:
        """Work with the node's deployer, made once per run and used by one thread at a time."""
        if node.name not in self._nodes:
            self._nodes[node.name] = NodeDeployer(
                Host(node, self._access),
                self.session,
                self.run.journal,
                self._artifacts,
                self._packer,
                steps=self.run.only,
                all_steps=node_steps(self.run.steps),
                deep=self.run.deep,
            )
        return work(self._nodes[node.name])


def _fan_out(run: Run, nodes: Sequence[Node], work: Callable[[Node], R]) -> dict[str, Outcome[R]]:
    """
    Work on nodes side by side, as many at once as the run and their groups allow.

    This is the one place where work on nodes ends, whatever it is, and where that is taken down.
    """
    groups = run.cluster.groups.values()
    return fan_out(
        nodes,
        work,
        name=lambda node: node.name,
        max_parallel=run.max_parallel,
        group_limits={g.name: g.max_parallel for g in groups if g.max_parallel},
        groups_of=lambda node: node.groups,
        batch=run.batch,
        on_outcome=run.record_outcome,
    )


def wait_for_network(run: Run, session: ClusterSession, names: Sequence[str]) -> None:
    """
    Wait until the pod network runs on these nodes, where fabnode installs it.

    :raises WaitTimeoutError: it does not in time.
    """
    if session.network.name:
        with run.journal.step(None, pod_network.STEP.name, "waiting for it") as log:
            session.network.wait_ready(names)
            log.note(f"ready on {len(names)} nodes")


def verify_with(
    run: Run, context: RunContext, names: Sequence[str], *, network: Callable[[], bool]
) -> list[Check]:
    """Check these nodes, and the cluster, within a run."""
    session = context.session
    with run.journal.step(None, verify.STEP.name, "checking") as log:
        live = session.nodes.current()

        def one(node: NodeDeployer) -> list[Check]:
            return verify_node(node.host, node.current_facts(), session, live.get(node.node.name))

        found = context.each(one, names)
        checks = [check for outcome in found.values() for check in outcome.value or ()]
        checks += [
            Check(name, "reachable", ok=False, detail=_why_not(outcome))
            for name, outcome in found.items()
            if not outcome.value  # no check at all is no proof of anything
        ]
        waiting = {name for name, node in live.items() if session.nodes.awaits_network(node)}
        with_network = [name for name in names if name not in waiting]
        checks += verify_cluster(session, with_network, network=network())
        bad = sum(not check.ok for check in checks)
        seen = {name: context.facts(name) for name, outcome in found.items() if outcome.ok}
        log.note(
            f"{len(checks)} checks, {bad} failed" if bad else f"{len(checks)} checks, all good",
            **{CERTIFICATES: certificates_seen(run.cluster, seen)},
            **{MARGIN: run.cluster.verify.certificate_days},
        )
    return checks


def _why_not(outcome: Outcome[list[Check]]) -> str:
    return cause(outcome.error) if outcome.error else outcome.skipped or "nothing was checked"


def plan_rbac(run: Run, session: ClusterSession) -> tuple[ObjectChange, ...]:
    """Return which bindings would change; none where this run is not about joining."""
    return session.manifests.plan(session.admission.bindings()) if kubelet.STEP in run.only else ()


def apply_rbac(run: Run, session: ClusterSession) -> None:
    """Bind the roles that joining needs, where this run is about joining."""
    with run.journal.step(None, rbac.STEP.name) as log:
        if changes := plan_rbac(run, session):
            session.guard.obtain()
            session.manifests.apply(changes)
            log.changed(", ".join(change.title for change in changes))


def _apply_network(run: Run, session: ClusterSession, objects: Future[tuple[Object, ...]]) -> None:
    if not run.whole or not session.network.name:
        return
    with run.journal.step(None, pod_network.STEP.name, "comparing its objects") as log:
        if changes := session.manifests.plan(objects.result()):
            session.guard.obtain()
            session.manifests.apply(changes)
            log.changed(f"{len(changes)} objects applied")


def _plan_objects(run: Run, session: ClusterSession) -> tuple[ObjectChange, ...]:
    return plan_rbac(run, session) + session.manifests.plan(_network_objects(run, session))


def _network_objects(run: Run, session: ClusterSession) -> tuple[Object, ...]:
    """Return the pod network's objects; none where this run is not about it."""
    return session.network.objects() if run.whole else ()
