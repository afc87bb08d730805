"""One node of a run, seen and planned: probe, judgement, comparison. Changes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..artifacts import programs
from ..node import layout
from ..node.facts import UNKNOWN, Facts
from ..node.plan import Plan, make_plan
from ..node.resources import Binary, Directory, File, Module, Sysctl, Unit
from ..pki.renewal import KEEP
from ..releases.version_change import VersionChange, Versions, version_change
from ..remote.probe import probe
from ..steps import (
    boot_overrides,
    bootstrap_kubeconfig,
    containerd_imports,
    docker_flags,
    kubelet,
    preflight,
    program_owners,
    proxy_cert,
    unit_overrides,
)
from ..steps.checks import node_certificates
from ..steps.finding import Finding
from ..steps.inputs import Inputs, Issued
from ..util import program
from ..util.errors import FabnodeError
from ..util.words import counted
from . import hooks
from .api_seen import api_seen
from .desired_state import desired_state
from .errors import PreflightError
from .probe_scope import watchlist

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ..artifacts.store import ArtifactStore
    from ..config.configuration import Config
    from ..config.sections import HookSettings
    from ..journal.journal import Journal
    from ..node.facts import Watchlist
    from ..node.resources import Resource
    from ..node.symptoms import ProbeTargets, Symptoms
    from ..pki.renewal import Renewal
    from ..remote.survey import Observed
    from ..ssh.host import Host
    from ..steps.step import Step
    from .api_seen import ApiSeen
    from .cluster_session import ClusterSession

_NOTHING = Issued()
_EXECUTABLE = 0o100  # by root, whom a mode without any x keeps from it


@dataclass(frozen=True, slots=True)
class NodePlan:
    """
    What would be done to a node.

    :param step_of: the step that wants each change's resource. :param findings: of preflight.
    :param labels: labels, annotations and taints that its Node object would get, or lose.
    :param hooks: commands that would run on this machine.
    :param kept: of a renewal: which certificates are left as they are, and why.
    :param change: of the releases that run.
    :param own_name: its kube-proxy has a name of its own then, or keeps one.
    """

    plan: Plan
    step_of: dict[Resource, str]
    labels: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    hooks: tuple[HookSettings, ...] = ()
    kept: tuple[str, ...] = ()
    change: VersionChange = field(default_factory=VersionChange)
    own_name: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing would change, neither on the host nor at its Node object."""
        return self.plan.empty and not self.labels


class NodePlanner:
    """
    What a node is, and what would be done to it.

    :param steps: the node steps to carry out, in order; `all_steps` is what is probed.
    :ivar facts: of the last probe. :ivar touched: whether it was changed since, or never probed.
    """

    def __init__(
        self,
        host: Host,
        session: ClusterSession,
        journal: Journal,
        artifacts: ArtifactStore,
        *,
        steps: Sequence[Step],
        all_steps: Sequence[Step],
        deep: bool,
    ) -> None:
        self.node = host.node
        self.host = host
        self._session = session
        self.journal = journal
        self._artifacts = artifacts
        self.steps = steps
        self._all_steps = all_steps
        self._deep = deep
        self.facts: Facts = UNKNOWN
        self.touched = True
        self._seen = 0.0
        self._everything: tuple[Resource, ...] = ()
        self._commands = {
            hook: hooks.command(hook, self.config, self.node)
            for hook in self.config.extensions.hooks
        }

    @property
    def config(self) -> Config:
        """The configuration of the run."""
        return self._session.config

    def probe(self) -> Facts:
        """Learn everything about the node in one round trip."""
        self.facts = probe(self.host, self._scope())
        self.touched, self._seen = False, time.monotonic()
        return self.facts

    @property
    def kept(self) -> str:
        """Tag of what the host keeps of before an upgrade, by the last probe; empty: nothing."""
        found = self.facts.path(layout.kept_tag(self.config.paths.state))
        if found.kind != "file":
            return ""
        from ..upkeep import kept_set  # few nodes have one

        return kept_set.read_tag(found.content or b"")

    @property
    def half_reset(self) -> bool:
        """Whether the host has the record of a reset that is not done, by the last probe."""
        return self.facts.path(layout.reset_record(self.config.paths.state)).kind == "file"

    @property
    def completes(self) -> bool:
        """Whether the run carries out all steps: nothing of a node is left to other runs."""
        return set(self._all_steps) <= set(self.steps)

    @property
    def remakes(self) -> bool:
        """Whether a host is a node once the run is through, whatever it was before."""
        return self.completes and self.joins

    def _left_over(self) -> tuple[Finding, ...]:
        """Name what the host keeps of an upgrade that nobody has proved, and what becomes of it."""
        if not (tag := self.kept):
            return ()
        from ..upkeep import kept_set

        text, again = kept_set.left_over(tag), program.task(f"upgrade --limit {self.node.name}")
        if self._session.nodes.upgrades(self.node.name):
            return (Finding("warning", text, f"{again} goes on with it"),)
        if self.remakes:
            text = f"{text}: this forgets it, once the node is Ready with all that is configured"
        return (Finding("warning", text, f"{again} proves the node first, and can go back"),)

    def symptoms(self, place: ProbeTargets) -> Symptoms:
        """Learn everything about a node that may be ill, in one round trip."""
        from ..remote.symptoms import probe_symptoms

        self.facts, symptoms = probe_symptoms(self.host, self._scope(), place)
        self.touched, self._seen = False, time.monotonic()
        return symptoms

    def _scope(self) -> Watchlist:
        self._everything = (
            *desired_state(self._all_steps, self.inputs(facts=UNKNOWN)),
            *self._commands.values(),
        )
        return watchlist(
            self._everything,
            config=self.config,
            node=self.node,
            deep=self._deep,
            held=self._artifacts.files(),
        )

    def current_facts(self) -> Facts:
        """Return facts that still hold: those of the last probe, unless it was changed since."""
        return self.probe() if self.touched else self.facts

    def plan(self, renewal: Renewal = KEEP, *, upgrades: bool = False) -> NodePlan:
        """
        Return what would be done, and what preflight found. Changes nothing.

        :param upgrades: pods that run forbid nothing: they will have left.
        """
        self.probe()
        planned = self.hooked(self.compare(renewal), renewal)
        change = self.version_change(planned)
        undrained = () if upgrades else self._undrained(change)
        left_over = () if upgrades or renewal != KEEP else self._left_over()
        findings = (*undrained, *left_over, *self.findings(renewal))
        if renewal != KEEP and any(finding.level == "error" for finding in findings):
            # What lacks before it can be renewed is a deployment's plan, not that of a renewal.
            planned = NodePlan(Plan(self.node.name), {})
        if not planned.empty:  # a deployment asks this before its first change
            findings += self._session.guard.policy_findings()
        return replace(planned, findings=findings, kept=self._kept(renewal), change=change)

    def changes(self, *, seen_within: float) -> Plan:
        """
        Return what would be changed, by itself. Changes nothing.

        :param seen_within: a probe of so many seconds ago will do, where nothing was changed since.
        """
        self._see(seen_within)
        return self.compare().plan

    def _see(self, seen_within: float) -> None:
        if self.touched or time.monotonic() - self._seen > seen_within:
            self.probe()

    def judged(
        self, renewal: Renewal, *, seen_within: float = 0.0, upgrades: bool = False
    ) -> NodePlan:
        """
        Probe, and return what is to be done.

        :param seen_within: a probe of so many seconds ago will do, where nothing was changed since.
        :param upgrades: the node was prepared for another release.
        :raises PreflightError: something forbids it.
        """
        with self.journal.step(self.node.name, preflight.STEP.name) as log:
            self._see(seen_within)
            left_over = () if upgrades or renewal != KEEP else self._left_over()
            findings = (*left_over, *self.findings(renewal))
            for finding in findings:
                if finding.level == "warning":
                    log.warn(finding.text, finding.fix)
            if errors := [f for f in findings if f.level == "error"]:
                raise PreflightError(errors)
            shown = self.hooked(self.compare(renewal), renewal)
            if refused := self._undrained(self.version_change(shown), prepared=upgrades):
                raise PreflightError(refused)
            kept = {"kept": list(found)} if (found := self._kept(renewal)) else {}
            log.note("nothing to change" if shown.empty else _summary(shown.plan), **kept)
        return shown

    def _kept(self, renewal: Renewal) -> tuple[str, ...]:
        """Return which certificates a renewal leaves as they are; one text for each reason."""
        kinds: dict[str, list[str]] = {}
        now = datetime.now(UTC)
        for kind, path in node_certificates.certificates(self.node).items():
            if why := renewal.reason_to_keep(kind, self.facts.certificate(path), now):
                kinds.setdefault(why, []).append(kind)
        return tuple(
            f"{', '.join(names)}: left as {'it is' if len(names) == 1 else 'they are'}: {why}"
            for why, names in kinds.items()
        )

    def compare(self, renewal: Renewal = KEEP, issued: Issued = _NOTHING) -> NodePlan:
        """Compare what the steps want with the last probe."""
        inputs = self.inputs(renewal, issued)
        step_of = desired_state(self.steps, inputs)
        plan = make_plan(self.node.name, step_of, self.facts)
        labels = self._session.nodes.label_changes(self.node) if self.joins else ()
        own_name = proxy_cert.STEP in self.steps and (
            proxy_cert.in_own_name(inputs)
            or any(change.name == layout.PROXY_PEM for change in plan.changes)
        )
        return NodePlan(plan, step_of, labels, own_name=own_name)

    def hooked(self, planned: NodePlan, renewal: Renewal) -> NodePlan:
        """Return the plan with the site's own commands; a renewal is of certificates alone."""
        if renewal != KEEP:
            return planned
        steps = [step.name for step in self.steps]
        given = self.config.extensions.hooks
        plan = hooks.with_hooks(
            planned.plan,
            planned.step_of,
            hooks=given,
            steps=steps,
            commands=self._commands,
            config=self.config,
            facts=self.facts,
        )
        changed = not plan.empty or bool(planned.labels)
        due = hooks.due_here(given, self.config, self.facts, changed=changed)
        step_of = planned.step_of | {self._commands[hook]: hook.step for hook in given}
        return replace(planned, plan=plan, step_of=step_of, hooks=due)

    def inputs(
        self,
        renewal: Renewal = KEEP,
        issued: Issued = _NOTHING,
        *,
        facts: Facts | None = None,
        registered: bool | None = None,
    ) -> Inputs:
        """
        Return the inputs of steps: the last probe, or `facts`.

        :param registered: whether there is a Node object; None: as the API says.
        """
        facts = facts or self.facts
        if registered is None:
            registered = not facts.known or self._session.nodes.was_registered(self.node.name)
        return Inputs(
            config=self.config,
            node=self.node,
            facts=facts,
            artifacts=self._artifacts.of(facts),
            issued=issued,
            now=datetime.now(UTC),
            renewal=renewal,
            registered=registered,
        )

    @property
    def record(self) -> Observed | None:
        """
        What is recorded of the host before its first change, by the last probe's scope.

        None where a deployment was there before, as the host would find itself.
        """
        from ..remote.survey import MARKS  # not needed where nothing changes
        from .reset_scope import observed, scope_of

        if any(self.facts.path(path).kind != "absent" for path in MARKS):
            return None
        return observed(scope_of(self.config, self.node, self._everything))

    @property
    def joins(self) -> bool:
        """Whether this is about the kubelet, and with it about the node as the API has it."""
        return kubelet.STEP in self.steps

    def findings(self, renewal: Renewal) -> tuple[Finding, ...]:
        """Return what preflight finds in the last probe."""
        snapshot = self._session.snapshot
        seen = self.api_seen_from_host()
        if not seen.trusted and seen.reachable is not None:
            self._session.await_api()  # it may be unavailable to everybody just now
            seen = self.api_seen_from_host()
        nodes, inputs = self._session.nodes, self.inputs(renewal)
        asks = inputs.without_proxy and not inputs.joined
        around = preflight.Surroundings(
            server_version=snapshot.version,
            clock_offset=snapshot.clock_offset,
            api_from_node=None if seen.reachable is None else seen.reason,
            api_partly=seen.others,
            machine_ids=nodes.machine_ids(self.node.name, self.facts.machine_id),
            at_its_address=nodes.by_address(*self.node.ips),
            other_approvers=snapshot.other_approvers
            if bootstrap_kubeconfig.STEP in self.steps
            else (),
            network_knows_api=bool(asks) and self._session.network.knows_apiserver(),
        )
        found = preflight.findings(inputs, around)
        found = tuple(sorted((*found, *self.overrides()), key=lambda each: each.level != "error"))
        return found if renewal == KEEP else (*found, *self._strayed(renewal))

    def version_change(self, planned: NodePlan) -> VersionChange:
        """Return which releases a plan changes on a node that is in use, and what that does."""
        names = {change.name for change in planned.plan.changes}
        programs = self.config.paths.programs
        old = self._session.nodes.reported_versions(self.node.name)
        runtime = self.node.runtime
        # Docker is the host's own, of whatever release.
        release = runtime.version if runtime.name == "containerd" else None
        new = Versions(self.config.cluster.version, runtime.name, release)
        if not names & {f"{programs}/kubelet", kubelet.UNIT}:
            new = replace(new, kubelet=old.kubelet)
        # The kubelet is what goes from one runtime to another.
        same = {f"{programs}/containerd", layout.CONTAINERD}
        if not names & (same if old.runtime == runtime.name else {kubelet.UNIT}):
            new = replace(new, runtime=old.runtime, runtime_release=old.runtime_release)
        return version_change(old, new, replaced=self._replaces_containerd(names))

    def _replaces_containerd(self, names: Collection[str]) -> bool:
        """Return whether the containerd that runs, as fabnode installed it, is to be another."""
        path = f"{self.config.paths.programs}/containerd"
        started = self.facts.unit(layout.CONTAINERD).stamp.get(path)
        return path in names and started is not None and self.facts.path(path).sha256 == started

    def _undrained(self, change: VersionChange, *, prepared: bool = False) -> tuple[Finding, ...]:
        """
        Refuse what may be done to a drained node alone, where pods run; or to none.

        :param prepared: what an older kubelet may not read is set aside.
        """
        if change.refusal and self.facts.unit(layout.CONTAINERD).running:
            return (Finding("error", change.refusal, change.advice),)
        if not change.drains:
            return ()
        pods = self._session.nodes.pods_that_leave(self.node.name)
        if pods is not None and not pods and (prepared or not change.older):
            return ()
        there = "pods may run there (this account can't list them)"
        if pods is not None and not pods:
            text = f"{', '.join(change.texts)}: an older kubelet may not read its state files"
            return (Finding("error", text, program.task(f"upgrade --limit {self.node.name}")),)
        if pods is not None:
            there = f"{counted(len(pods), 'pod')} run there"
        effects = f" ({', '.join(change.effects)})" if change.effects else ""
        return (
            Finding(
                "error",
                f"{', '.join(change.texts)}{effects}, and {there}: it has to be drained before",
                program.task(f"upgrade --limit {self.node.name}"),
            ),
        )

    def overrides(self) -> tuple[Finding, ...]:
        """
        Return what on the host overrides what fabnode sets, by the last probe.

        The API is not asked: the doctor wants to know this while it is away, too.
        """
        wanted = self.node.host.drop_ins
        found = (
            *unit_overrides.findings(self.facts, self._everything, wanted),
            *boot_overrides.findings(self.inputs(registered=True), self._everything),
            *docker_flags.findings(self.facts, self._everything),
            *program_owners.findings(self.facts, self._everything),
            *program_owners.named(self.facts, self._everything, rewritten=True),
        )
        if not containerd_imports.imported(self.facts):
            return found
        here = desired_state(self._all_steps, self.inputs(registered=True))
        return (*found, *containerd_imports.findings(self.facts, here))

    def of_others(self) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
        """
        Return what services would start with and others than root may change, by the last probe.

        :returns: programs, drop-ins and folders, which a person has to judge; and files that a
            deployment rewrites.
        """
        found = (
            *program_owners.findings(self.facts, self._everything),
            *program_owners.named(self.facts, self._everything, rewritten=False),
            *unit_overrides.changeable(self.facts, self._everything),
            *program_owners.folders(self.facts),
        )
        return found, program_owners.files(self.facts, self._everything)

    def sites_own(self) -> tuple[str, ...]:
        """Return the site's own drop-ins and imports that are there, by the last probe."""
        units = [each.name for each in self._everything if isinstance(each, Unit)]
        drop_ins = unit_overrides.wanted_here(self.facts, units, self.node.host.drop_ins)
        containerd = layout.CONTAINERD in units
        return (*drop_ins, *(containerd_imports.imported(self.facts) if containerd else ()))

    def lost_programs(self) -> tuple[str, ...]:
        """Return programs that the last probe did not find, or that can't be executed."""
        optional = self._optional()
        binaries = [
            each.path
            for each in self._everything
            if isinstance(each, Binary) and each.path not in optional
        ]
        found = ((path, self.facts.path(path)) for path in dict.fromkeys(binaries))
        return tuple(p for p, seen in found if seen.kind != "file" or not seen.mode & _EXECUTABLE)

    def drift(self) -> tuple[str, ...]:
        """
        Return which files and settings differ from what is wanted, by the last probe.

        What needs the artifacts, or the API, is not compared: they may be unavailable.
        """
        inputs = replace(self.inputs(facts=UNKNOWN), facts=self.facts, registered=True)
        try:
            plan = make_plan(self.node.name, desired_state(self._all_steps, inputs), self.facts)
        except FabnodeError as error:
            return (error.message,)
        return tuple(
            f"{change.name} ({change.why})"
            for change in plan.changes
            if isinstance(change.resource, File | Directory | Sysctl | Module)
            and change.name not in {layout.BOOTSTRAP_KUBECONFIG, layout.CRICTL_CONFIG}
        )

    def _optional(self) -> frozenset[str]:
        """Return the programs that a node has only where the deployer has them."""
        return frozenset(f"{self.config.paths.programs}/{name}" for name in programs.OPTIONAL)

    def api_seen_from_host(self) -> ApiSeen:
        """Return how the host gets to the apiservers, and whether what answers are those."""
        cluster, ca = self.config.cluster, self.config.ca_pem
        return api_seen(
            {
                url: self.host.tls_to(host, port, ca, cluster.server_name or host)
                for url, (host, port) in zip(cluster.apiservers, cluster.endpoints, strict=True)
            }
        )

    def _strayed(self, renewal: Renewal) -> tuple[Finding, ...]:
        """Say what else than certificates would change: a renewal is no deployment."""
        about = {
            *node_certificates.certificates(self.node).values(),
            *layout.certificate_files(authority=bool(renewal.authority)),
        }
        others = [
            change.name
            for change in self.compare(KEEP).plan.changes
            if change.kind not in {"unit", "clientcertificate"} and change.name not in about
        ]
        if not others:
            return ()
        text = f"it differs from its configuration in more than certificates: {', '.join(others)}"
        return (Finding("error", text, program.task(f"deploy-nodes --limit {self.node.name}")),)


def _summary(plan: Plan) -> str:
    count = len(plan.changes)
    restarts = ", ".join(change.name.removesuffix(".service") for change in plan.restarts)
    text = f"{count} change{'s' if count > 1 else ''}" if count else "labels, annotations or taints"
    return f"{text}, (re)starting {restarts}" if restarts else text
