"""
All that a run does with one node: judge it, change it, wait until it is Ready.

One probe is one round trip, and so is one change. Nothing here waits for another node.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING

from ..kube import node_status
from ..node import layout
from ..node.facts import Facts
from ..node.plan import Change, Plan
from ..node.resources import File, Image, Trace
from ..pki.certificates import (
    NO_CERTIFICATE,
    CertificateFile,
    issued_by,
    read,
)
from ..pki.renewal import KEEP
from ..releases import compatibility
from ..remote.unit_monitor import UnitMonitor
from ..ssh.errors import ApplyError
from ..steps import (
    balancer,
    bootstrap_kubeconfig,
    kubelet,
    preflight,
    proxy,
    proxy_cert,
    rbac,
    ready,
    runtime,
    verify,
)
from ..steps.checks import node_certificates, node_services
from ..steps.inputs import Issued
from ..util.wait import WaitTimeoutError
from . import unfinished
from .errors import RenewalError
from .hook_runner import HookRunner
from .join_proof import JoinProof, await_file
from .node_planner import NodePlan, NodePlanner
from .part_travel import parts
from .step_events import StepLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..artifacts.store import ArtifactStore
    from ..config.configuration import Config
    from ..journal.journal import Journal
    from ..pki.renewal import Renewal
    from ..remote.apply_protocol import ApplyEvent
    from ..remote.apply_script import Pull
    from ..remote.payload_cache import Packer
    from ..ssh.host import Host
    from ..steps.finding import Finding
    from ..steps.step import Step
    from .cluster_session import ClusterSession
    from .relay import Relay

_FORGET_SECONDS = 150
# Checks report those that don't come up in 15 s.
_AWAIT_ACTIVE = "n=0; until {{ {active}; }} || [ $n -ge 150 ]; do sleep 0.1; n=$((n + 1)); done"


@dataclass(frozen=True, slots=True)
class Deployed:
    """
    What a deployment came to.

    :param found: the node as it was found. :param changed: whether anything was changed then.
    """

    found: Facts
    changed: bool


class NodeDeployer:
    """
    One node of a run, used by one thread.

    :param steps: the node steps to carry out, in order; `all_steps` is what is probed.
    :ivar relay: by which hosts pass on parts to each other; None: all are sent.

    Where a `renewal` is asked for, nothing but certificates (and CAs) is changed.
    """

    def __init__(
        self,
        host: Host,
        session: ClusterSession,
        journal: Journal,
        artifacts: ArtifactStore,
        packer: Packer,
        *,
        steps: Sequence[Step],
        all_steps: Sequence[Step],
        deep: bool = False,
    ) -> None:
        self.node = host.node
        self.host = host
        self._session = session
        self._journal = journal
        self._packer = packer
        self.relay: Relay | None = None
        self._planner = NodePlanner(
            host, session, journal, artifacts, steps=steps, all_steps=all_steps, deep=deep
        )
        self._proof = JoinProof(host, session, journal)
        self._hooks = HookRunner(host, session.config, journal)

    @property
    def config(self) -> Config:
        """The configuration of the run."""
        return self._session.config

    @property
    def planner(self) -> NodePlanner:
        """What probes the node, judges it and plans for it."""
        return self._planner

    def overrides(self) -> tuple[Finding, ...]:
        """Return what on the host overrides what fabnode sets, by the last probe."""
        return self._planner.overrides()

    @property
    def facts(self) -> Facts:
        """What the last probe found."""
        return self._planner.facts

    @property
    def kept(self) -> str:
        """Tag of what the host keeps of before an upgrade, by the last probe; empty: nothing."""
        return self._planner.kept

    def probe(self) -> Facts:
        """Learn everything about the node in one round trip."""
        return self._planner.probe()

    def current_facts(self) -> Facts:
        """Return facts that still hold: those of the last probe, unless it was changed since."""
        return self._planner.current_facts()

    def facts_of_started_units(self) -> Facts:
        """Return current facts, once units that systemd is just starting again have come up."""
        facts = self.current_facts()
        names = node_services.units(self.node, self.config.cluster)
        late = [name for name in names if facts.unit(name).active == "activating"]
        if not late:
            return facts
        # kube-proxy ends itself when its Node's address changes, for systemd to start it again.
        active = " && ".join(f"systemctl -q is-active {quote(name)}" for name in late)
        self.host.root(_AWAIT_ACTIVE.format(active=active))
        return self.probe()

    def sites_own(self) -> tuple[str, ...]:
        """Return the site's own drop-ins and imports that are there, by the last probe."""
        return self._planner.sites_own()

    def plan(self, renewal: Renewal = KEEP, *, upgrades: bool = False) -> NodePlan:
        """
        Return what would be done, and what preflight found. Changes nothing.

        :param upgrades: pods that run forbid nothing: they will have left.
        """
        return self._planner.plan(renewal, upgrades=upgrades)

    def changes(self, *, seen_within: float) -> Plan:
        """
        Return what would be changed, and no more. Changes nothing.

        :param seen_within: seconds; what was found of a node so long ago is not probed again.
        """
        return self._planner.changes(seen_within=seen_within)

    def run_hooks(self, order: str, step: Step) -> None:
        """Run the commands that are due before or after a step. Raises HookError."""
        self._hooks.run(order, step)

    def deploy(
        self,
        renewal: Renewal = KEEP,
        *,
        before_change: Callable[[], None],
        after_change: Callable[[bool], None] = lambda _: None,
        seen_within: float = 0.0,
        upgrades: bool = False,
    ) -> Deployed:
        """
        Make the node what it should be and wait until it is Ready.

        :param renewal: what is to be renewed although it is good; then nothing else is changed.
        :param before_change: waits for what must be there before a kubelet may join.
        :param after_change: gets whether the node joins, once the host has all that it is to get.
        :param seen_within: seconds; what was found of a node so long ago is not probed again.
        :param upgrades: the node was prepared for another release, as `inv upgrade` does that.

        Raises PreflightError, HostError, ApiError, TimeoutError: whatever stops this node.
        """
        shown = self._planner.judged(renewal, seen_within=seen_within, upgrades=upgrades)
        if self._planner.joins:
            self._proof.prove_left()
        self._hooks.due = shown.hooks
        self._hooks.run("after", preflight.STEP)
        found, kept = self.facts, self.kept
        if not kept and not upgrades:  # an upgrade's is kept since that probe
            unfinished.forget(self.config, self.node.name)
        forgets = bool(kept) and renewal == KEEP and self._planner.completes and not upgrades
        bound = self._bind_proxy_again(shown)
        if shown.plan.empty:
            if shown.labels:
                self._session.guard.obtain()
                self._hooks.make_due(shown.hooks)
            labelled = self._settle()
            self._session.admission.tidy(self.node)
            forgot = forgets and self._forget_kept()
            ended = self._planner.remakes and not upgrades and self._end_reset()
            return Deployed(found, changed=labelled or bound or forgot or ended)
        with self._journal.step(self.node.name, rbac.STEP.name, "waiting for rights"):
            self._session.guard.obtain()
            before_change()
        inputs = self._planner.inputs(renewal)
        joining = self._proof.unproved = self._planner.joins and not inputs.joined
        try:
            todo = self._planner.hooked(
                self._planner.compare(renewal, self._issue(shown.plan, renewal)), renewal
            )
            disturbs = not joining and found.unit(kubelet.UNIT).running and _restarts(todo.plan)
            with self._session.restarts.turn(self.node.name, restarts=disturbs):
                began = time.time() + found.clock_offset
                started = self._apply(todo, joining=joining)
                if joining:
                    self._proof.prove_key()
                    if kubelet.completed_later(inputs):
                        started = self._complete_join() or started
                after_change(joining)
                self._settle(
                    joined_now=joining,
                    since=started,
                    began=began if started else 0.0,
                    new_serving=any(c.name == self._serving for c in todo.plan.changes)
                    or bool(kubelet.requests_serving(inputs)),
                )
        finally:
            if self._planner.joins:  # alone, bootstrap-kubeconfig leaves a token to be used
                self._session.admission.tidy(self.node, unproved=self._proof.unproved)
        if self._planner.remakes:
            unfinished.end(self.config, self.node.name)
        if forgets:
            self._forget_kept()
        return Deployed(found, changed=True)

    def _end_reset(self) -> bool:
        """
        End a reset that was cut off before it changed anything; return whether its host knew of it.

        Else whatever befalls the node later, its reset is what would be advised.
        """
        unfinished.end(self.config, self.node.name)
        if not self._planner.half_reset:
            return False
        self._session.guard.obtain()
        trace = Trace("reset", "its record", (), timeout=_FORGET_SECONDS)
        text = "a reset that was not done is over: it is a node"
        self._carry_out(Change(trace, "remove", "it is a node"), text)
        return True

    def _carry_out(self, change: Change, text: str) -> None:
        from . import host_changes

        plan = Plan(self.node.name, (change,))
        step = ready.STEP.name
        host_changes.carry_out(self.config, self._journal, self.host, plan, step, text)
        self._planner.touched = True

    def _forget_kept(self) -> bool:
        """
        Forget what ran before an upgrade: the node is Ready, and nothing is left to change.

        A later upgrade would go back to it, over all releases that came since. Return whether it
        was: not while that upgrade is on the record, which goes on with it.
        """
        name = self.node.name
        self._session.guard.obtain()
        if not self._planner.joins or self._session.nodes.upgrades(name, now=True):
            return False
        trace = Trace("forgotten", "what ran before an upgrade", (), timeout=_FORGET_SECONDS)
        change = Change(trace, "remove", "it runs what is configured")
        self._carry_out(change, "what it ran before an upgrade is forgotten")
        unfinished.forget(self.config, name)
        return True

    def bring_images(self, planned: NodePlan) -> bool:
        """
        Have the host get the images of a plan, before anything else of it; return whether any did.

        Nothing that runs is touched by that.
        """
        images = tuple(c for c in planned.plan.changes if isinstance(c.resource, Image))
        if images:
            self._session.guard.obtain()
            self._apply(replace(planned, plan=Plan(self.node.name, images)))
        return bool(images)

    def renew(self, renewal: Renewal, *, before_change: Callable[[], None]) -> bool:
        """
        Renew certificates, and wait for them; return whether anything was changed.

        Raises RenewalError beside what `deploy` raises.
        """
        done = self.deploy(renewal, before_change=before_change)
        if done.changed:
            with self._journal.step(
                self.node.name, verify.STEP.name, "comparing certificates"
            ) as log:
                if new := self._renewed(renewal, done.found.certificates):
                    log.note(f"new: {', '.join(new)}")
        return done.changed

    def _issue(self, plan: Plan, renewal: Renewal) -> Issued:
        """Have made what the plan needs and only the API can give."""
        inputs = self._planner.inputs(renewal)
        name, admission = self.node.name, self._session.admission
        bootstrap = proxy_pem = None
        for change in plan.changes:
            match change.resource:
                case File(path=layout.BOOTSTRAP_KUBECONFIG):
                    with self._journal.step(
                        name, bootstrap_kubeconfig.STEP.name, "creating a bootstrap token"
                    ):
                        self._session.proxy_identities.readmit(self.node)
                        token = admission.new_token(self.node)
                    bootstrap = bootstrap_kubeconfig.content(inputs, token)
                case File(path=layout.PROXY_PEM):
                    with self._journal.step(name, proxy_cert.STEP.name, "issuing") as log:
                        proxy_pem = self._session.proxy_certificates.issue(self.node)
                        log.changed(f"issued, because {proxy_cert.due(inputs)}")
                case _:
                    pass
        return Issued(bootstrap, proxy_pem)

    def _bind_proxy_again(self, shown: NodePlan) -> bool:
        """Bind the name of its kube-proxy's certificate again, where it has lost its rights."""
        identities = self._session.proxy_identities
        kept = shown.own_name and all(c.name != layout.PROXY_PEM for c in shown.plan.changes)
        if not kept or not identities.lost(self.node):
            return False
        with self._journal.step(self.node.name, rbac.STEP.name, "binding its kube-proxy") as log:
            self._session.guard.obtain()
            if bound := identities.restore(self.node):
                log.changed("its kube-proxy's name has its rights again")
        return bound

    def _apply(self, todo: NodePlan, *, joining: bool = False) -> float:
        """
        Carry out a plan; return when that restarted the kubelet, 0 where it did not.

        In unix time by the node's clock: what came before is another kubelet's word.
        """
        from ..remote.apply import apply  # with all that an unchanged node does not need

        self._planner.touched = True
        name, changes = self.node.name, todo.plan.changes
        began = time.time() + self.facts.clock_offset
        with StepLog(self._journal, name, todo.step_of, changes) as steps:

            def on_event(event: ApplyEvent) -> None:
                if event.state == "record":
                    self._store_record(event.record)
                elif event.state == "key":
                    self._session.certified.show_key(self.node, event.key)
                else:
                    if joining and event.state == "fail":
                        self._proof.end_unsigned()
                    steps.event(event)

            zstd = "zstd" in self.facts.tools
            pull = _pull(self.config)
            relay = self.relay if parts(todo.plan) else None
            course = relay.course(self.host, self.facts) if relay else None
            try:
                done = apply(
                    *(self.host, todo.plan, self._packer, on_event),
                    zstd=zstd,
                    pull=pull,
                    course=course,
                    state=self.config.paths.state,
                    record=self._planner.record,
                    remakes=self._planner.remakes,
                )
            except Exception as error:
                # Somebody else may have been quicker to ask for its certificate, whatever it is
                # that this host reports, or reports no more.
                if joining:
                    self._proof.account_for_certificate(error)
                raise
            steps.sent = done.sent
            steps.passed = course.passed if course else 0
        return done.started.get(kubelet.UNIT, began) if _restarts(todo.plan) else 0.0

    def _store_record(self, lines: Sequence[str]) -> None:
        """Store how the host was before its first change; it has that record itself as well."""
        from . import baselines

        try:
            baselines.store(self.node.name, lines)
        except OSError as error:
            self._journal.warn(f"{self.node.name}: no copy of its record is kept here: {error}")

    def _complete_join(self) -> float:
        """
        Give a node what a joined one has beyond one that joins, now that its key is proved.

        Return when that restarted the kubelet; 0: it did not.
        """
        await_file(self.host, layout.KUBELET_KUBECONFIG)
        self.probe()
        rest = self._planner.compare()
        return 0.0 if rest.plan.empty else self._apply(rest)

    def _settle(
        self,
        *,
        joined_now: bool = False,
        since: float = 0.0,
        began: float = 0.0,
        new_serving: bool = False,
    ) -> bool:
        """
        Wait for Ready, set labels, wait for a serving certificate; return whether anything changed.

        :param since: unix time by the node's clock before which it was another kubelet's word.
        :param began: likewise, from when on certificates are those of this change.
        """
        if not self._planner.joins:
            return False
        self._hooks.run("before", ready.STEP)
        name, nodes = self.node.name, self._session.nodes
        with self._journal.step(name, ready.STEP.name, "waiting for Ready") as log:
            units = self._units()
            up = UnitMonitor(self.host, kubelet.UNIT, [u for u in units if u != kubelet.UNIT])
            try:
                label = nodes.label(self.node, nodes.wait_registered(name, up, log.waiting))
                live = nodes.wait_ready(name, since, up, log.waiting)
            except ApplyError as error:
                log.blamed = units.get(error.unit, "")
                raise
            except WaitTimeoutError as error:
                from .diagnosis import explained  # all causes, which a node that is well needs not

                raise explained(error, self._session, self._planner) from error
            if nodes.awaits_network(live):
                log.warn(node_status.NO_CNI, "install this cluster's own network add-on")
            missing = self._serving not in self.facts.certificates
            if missing and joined_now and self.facts.unit(kubelet.UNIT).running:
                # A request of before may have been approved as the run began: there is no other.
                missing = self._serving not in self.probe().certificates
            if new_serving or missing:
                log.progress("waiting for its serving certificate")
                alone = new_serving and not joined_now
                asked = began - self.facts.clock_offset if alone else 0.0
                self._session.admission.wait_serving(name, asked, log.waiting)
                await_file(self.host, self._serving, began if alone else 0.0)
                self._planner.touched = True
            if joined_now or label:
                log.changed(", ".join(filter(None, ("joined" if joined_now else "", label))))
        self._hooks.run("after", ready.STEP)
        return bool(label)

    def _units(self) -> dict[str, str]:
        """Return the units that the run's steps see to, each with its step's name."""
        of_runtime = layout.runtime_units(
            self.node.runtime.name,
            cri_dockerd=compatibility.needs_cri_dockerd(self.config.cluster.version.minor),
        )
        steps = {
            kubelet.UNIT: kubelet.STEP,
            **({proxy.UNIT: proxy.STEP} if self.node.kube_proxy.enabled else {}),
            **dict.fromkeys(of_runtime, runtime.STEP),
            **({balancer.UNIT: balancer.STEP} if self.config.cluster.balanced else {}),
        }
        return {u: step.name for u, step in steps.items() if step in self._planner.steps}

    @property
    def _serving(self) -> str:
        return layout.kubelet_serving_certificate(self.node.kubelet.root)

    def _renewed(self, renewal: Renewal, before: Mapping[str, CertificateFile]) -> list[str]:
        """Return the kinds of certificates that were due and are new. Raises RenewalError."""
        now = self.probe().certificates
        new = []
        for kind, path in node_certificates.certificates(self.node).items():
            if not renewal.reason(kind, before.get(path, NO_CERTIFICATE)):
                continue
            held = now.get(path, NO_CERTIFICATE)
            if not held.pem or held == before[path]:
                raise RenewalError(kind, "is still the old one", self.node.name)
            if renewal.authority and not issued_by(held, renewal.authority):
                raise RenewalError(kind, f"came from {read(held).issuer}", self.node.name)
            new.append(kind)
        return new


def _restarts(plan: Plan) -> bool:
    """Return whether a plan starts the kubelet again."""
    return any(change.name == kubelet.UNIT for change in plan.restarts)


def _pull(config: Config) -> Pull | None:
    """Return where nodes get artifacts themselves; None where they are sent to them."""
    settings = config.artifacts
    if settings.distribution != "pull" or settings.url is None:
        return None
    from ..remote.apply_script import Pull

    return Pull(settings.url, settings.url_ca.read_bytes() if settings.url_ca else None)
