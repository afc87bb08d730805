"""Results of runs as frozen values: what a program reads, and what `--json` prints. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..journal.journal import cause
from ..journal.summary import CLUSTER, rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ..deploy.node_planner import NodePlan
    from ..deploy.pipeline import ClusterPlan
    from ..deploy.run import Run
    from ..journal.summary import NodeResult
    from ..steps.checks.check import Check
    from ..steps.finding import Finding
    from ..util.fan_out import Outcome

_GOOD = {"changed", "unchanged"}


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """
    A difference between a host and its configuration.

    :param step: name of the step that wants it, such as `kubelet`.
    :param action: `create`, `update`, `mode`, `remove`, `start`, `restart`, …
    :param kind: `file`, `binary`, `unit`, `sysctl`, …
    :param name: path, unit, key or image.
    :param why: one clause; of a secret only that it differs.
    :param diff: unified diff of a text file that is no secret, else None.
    """

    step: str
    action: str
    kind: str
    name: str
    why: str
    diff: str | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the change as `inv plan --json` prints it."""
        # By hand: `asdict` copies deeply, and there are dozens of a bare host.
        found = {name: getattr(self, name) for name in ("action", "kind", "name", "why")}
        return {**found, **({} if self.diff is None else {"diff": self.diff}), "step": self.step}


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """
    What a deployment would change on a node.

    :param restarts: units that would be restarted, in their order.
    :param labels: labels, annotations and taints that its Node object would get or lose.
    :param findings: findings of preflight; one of level `error` stops the node.
    :param hooks: commands of the site's own that would run on this machine.
    :param kept: of a renewal: which certificates are left as they are, and why.
    :param error: why the node can't be planned; empty: it was.
    """

    node: str
    changes: tuple[PlannedChange, ...] = ()
    restarts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    hooks: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether it could be planned, and no finding stops it."""
        return not self.error and all(finding.level != "error" for finding in self.findings)

    @property
    def empty(self) -> bool:
        """Whether it was planned and nothing would change."""
        return not (self.error or self.changes or self.labels)

    def to_dict(self) -> dict[str, Any]:
        """Return the node as `inv plan --json` prints it."""
        if self.error:
            return {"node": self.node, "error": self.error}
        return {
            "node": self.node,
            "changes": [change.to_dict() for change in self.changes],
            "restarts": list(self.restarts),
            "labels": list(self.labels),
            "findings": [asdict(finding) for finding in self.findings],
            "hooks": list(self.hooks),
            "kept": list(self.kept),
        }


@dataclass(frozen=True, slots=True)
class PlannedObject:
    """
    A change of an API object.

    :param action: `create` or `update`.
    :param object: kind, namespace and name, such as `ConfigMap kube-system/x`.
    :param fields: dotted paths that an update would change.
    """

    action: str
    object: str
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drift:
    """
    A difference that a deployment leaves as it is.

    :param advice: next step. :param known: False: it could not be found out, as `text` says.
    """

    text: str
    advice: str
    known: bool = True


@dataclass(frozen=True, slots=True)
class PlanResult:
    """
    What a deployment would change. Holds no secrets.

    :param nodes: one for each node of the run, in the configuration's order.
    :param cluster: API objects that would be created or updated.
    :param errors: exceptions by node, for those with an `error`.
    :param drift: how the pod network differs from the configuration where a run can't change it.
    :param rollout: how running pods of the pod network would be replaced; empty: they would not.
    :param parts: how programs and images would come to hosts; empty: none would.
    """

    nodes: tuple[PlannedNode, ...]
    cluster: tuple[PlannedObject, ...] = ()
    errors: Mapping[str, BaseException] = field(default_factory=dict, repr=False, compare=False)
    drift: Drift | None = None
    rollout: str = ""
    parts: str = ""

    @property
    def ok(self) -> bool:
        """Whether every node could be planned, and no finding stops one."""
        return all(node.ok for node in self.nodes)

    @property
    def empty(self) -> bool:
        """Whether nothing would change anywhere, nor would have to."""
        same = self.drift is None or not self.drift.known
        return same and not self.cluster and all(node.empty for node in self.nodes)

    def to_dict(self) -> dict[str, Any]:
        """Return the document of `inv plan --json`."""
        return {
            "empty": self.empty,
            "nodes": [node.to_dict() for node in self.nodes],
            "cluster": [{**asdict(each), "fields": list(each.fields)} for each in self.cluster],
            "drift": asdict(self.drift) if self.drift else None,
            "rollout": self.rollout,
            "parts": self.parts,
        }


@dataclass(frozen=True, slots=True)
class DeployResult:
    """
    What became of each node, and the checks at the end.

    :param nodes: one for each node of the run, in the configuration's order.
    :param cluster: the same of the cluster's own part (roles, the pod network), where that changed
        something or failed.
    :param checks: as of `verify`; none where nothing was left to be checked.
    :param errors: exceptions by node, for those that failed.
    :param journal: folder of the run's journal, for `inv report --run`; None: there is none.
    """

    nodes: tuple[NodeResult, ...]
    cluster: NodeResult | None = None
    checks: tuple[Check, ...] = ()
    errors: Mapping[str, BaseException] = field(default_factory=dict, repr=False, compare=False)
    journal: Path | None = field(default=None, compare=False)

    @property
    def ok(self) -> bool:
        """Whether nothing failed, no node was skipped, and every check is good."""
        good = all(row.result in _GOOD for row in self.rows)
        return good and not any(check.failed for check in self.checks)

    @property
    def changed(self) -> bool:
        """Whether anything was changed."""
        return any(row.result == "changed" for row in self.rows)

    @property
    def rows(self) -> tuple[NodeResult, ...]:
        """Rows of the table at the end of a run: the cluster's own part, if any, then the nodes."""
        return (*([self.cluster] if self.cluster else []), *self.nodes)

    def to_dict(self) -> dict[str, Any]:
        """Return the document of `inv deploy-nodes --json`; its `nodes` are `rows`."""
        return {"nodes": list(map(asdict, self.rows)), "checks": list(map(asdict, self.checks))}


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """
    Checks of nodes and cluster.

    :param journal: folder of the run's journal, for `inv report --run`; None: there is none.
    """

    checks: tuple[Check, ...]
    journal: Path | None = field(default=None, compare=False)

    @property
    def ok(self) -> bool:
        """Whether no check failed; there may be warnings."""
        return not any(check.failed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Return the document of `inv verify --json`."""
        return {"checks": list(map(asdict, self.checks))}


def plan_result(planned: ClusterPlan) -> PlanResult:
    """Return a plan of the pipeline as JSON."""
    return PlanResult(
        tuple(_planned_node(name, outcome) for name, outcome in planned.nodes.items()),
        tuple(PlannedObject(each.action, each.title, each.fields) for each in planned.objects),
        _errors(planned.nodes),
        Drift(d.cause, d.advice, d.known) if (d := planned.drift) else None,
        planned.rollout.text if planned.rollout else "",
        planned.travel,
    )


def deploy_result(run: Run, checks: Sequence[Check]) -> DeployResult:
    """Return the end of a run that changes nodes."""
    names = [node.name for node in run.nodes]
    found = rows(run.journal.events, names, run.outcomes)
    first = found[0] if found else None
    of_cluster = first if first and first.node == CLUSTER and CLUSTER not in names else None
    return DeployResult(
        tuple(row for row in found if row is not of_cluster),
        of_cluster,
        tuple(checks),
        _errors(run.outcomes),
        run.journal.folder,
    )


def _planned_node(name: str, outcome: Outcome[NodePlan]) -> PlannedNode:
    if outcome.value is None:
        error = outcome.error
        return PlannedNode(name, error=(str(error) or cause(error)) if error else outcome.skipped)
    planned = outcome.value
    return PlannedNode(
        name,
        tuple(
            PlannedChange(
                planned.step_of[change.resource],
                change.action,
                change.kind,
                change.name,
                change.why,
                change.diff,
            )
            for change in planned.plan.changes
        ),
        tuple(change.name for change in planned.plan.restarts),
        planned.labels,
        planned.findings,
        tuple(hook.title for hook in planned.hooks),
        planned.kept,
    )


def _errors(outcomes: Mapping[str, Outcome[Any]]) -> Mapping[str, BaseException]:
    return {name: outcome.error for name, outcome in outcomes.items() if outcome.error}
