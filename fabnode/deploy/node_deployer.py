"""
All that a run does with one node: look, judge, plan, change, see it Ready.

One look is one round trip, and so is one change. Nothing here waits for another node.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from shlex import quote
from typing import TYPE_CHECKING

from ..journal.journal import cause
from ..kube import node_status as node_objects
from ..kube.client import ApiAwayError, ApiError
from ..node import layout
from ..node.facts import UNKNOWN, Facts
from ..node.plan import Conflict, Plan, make_plan
from ..node.resources import File, Image, Module, Sysctl, Unit
from ..pki.certificates import (
    NO_CERTIFICATE,
    CertificateFile,
    belongs,
    issued_by,
    openssh_public_bytes,
    read,
)
from ..pki.csr_policy import HostKey
from ..pki.renewal import KEEP
from ..remote.apply import apply
from ..remote.apply_script import Pull
from ..remote.key_pairs import read_pairs
from ..remote.probe import probe
from ..remote.unit_monitor import Steadiness
from ..ssh.errors import HostError
from ..steps import (
    approve_csr,
    bootstrap_kubeconfig,
    kubelet,
    preflight,
    proxy_cert,
    rbac,
    ready,
    verify,
)
from ..steps.inputs import Inputs, Issued
from ..util import program
from . import hooks
from .errors import ImpostorError, PreflightError, RenewalError, UnprovedError, UnregisteredError
from .probe_scope import watchlist
from .step_events import StepLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..artifacts.store import ArtifactStore
    from ..config.cluster import Cluster
    from ..config.sections import HookSettings
    from ..journal.journal import Journal
    from ..node.resources import Resource
    from ..pki.renewal import Renewal
    from ..remote.apply_protocol import ApplyEvent
    from ..remote.payload_cache import Packer
    from ..ssh.host import Host
    from ..ssh.port_checks import TlsResult
    from ..steps.step import Step
    from .cluster_session import ClusterSession

# Until the kubelet has written what was issued to it; that it didn't, the checks at the end tell.
_AWAIT_FILE = "n=0; until [ -s {path} ] || [ $n -ge 100 ]; do sleep 0.1; n=$((n + 1)); done"
_NOTHING = Issued()
_REGISTERED = 60.0  # seconds after which a kubelet that reaches the API has registered
_DIFFER = "a step of the site's own has to leave to fabnode what fabnode sets"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """
    What would be done to a node.

    :param step_of: the step that wants each change's resource. :param findings: of preflight.
    :param labels: labels, annotations and taints that its Node object would get, or lose.
    :param hooks: commands that would run on this machine.
    """

    plan: Plan
    step_of: dict[Resource, str]
    labels: tuple[str, ...] = ()
    findings: tuple[preflight.Finding, ...] = ()
    hooks: tuple[HookSettings, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing would change, neither on the host nor at its Node object."""
        return self.plan.empty and not self.labels


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

    :param steps: the node steps to carry out, in order; `all_steps` is what is looked at.

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
        self._artifacts = artifacts
        self._packer = packer
        self._steps = steps
        self._all_steps = all_steps
        self._deep = deep
        self.facts: Facts = UNKNOWN
        self._commands = {
            hook: hooks.command(hook, self.cluster, self.node)
            for hook in self.cluster.extensions.hooks
        }
        self._due: tuple[HookSettings, ...] = ()
        self._unproved = False  # may have been certified, and nobody saw that its host holds that
        self._touched = True  # since the last look, or never looked at

    @property
    def cluster(self) -> Cluster:
        """The configuration of the run."""
        return self._session.cluster

    # --- looking and judging -----------------------------------------------------------------

    def look(self) -> Facts:
        """Learn everything about the node in one round trip."""
        everything = (
            *_wanted(self._all_steps, self._inputs(facts=UNKNOWN)),
            *self._commands.values(),
        )
        root = self.node.kubelet.root
        self.facts = probe(self.host, watchlist(everything, kubelet_root=root, deep=self._deep))
        self._touched = False
        return self.facts

    def current_facts(self) -> Facts:
        """Return facts that still hold: those of the last look, unless it was changed since."""
        return self.look() if self._touched else self.facts

    def plan(self, renewal: Renewal = KEEP) -> NodePlan:
        """Return what would be done, and what preflight found. Changes nothing."""
        self.look()
        findings = self._findings(renewal)
        return replace(self._hooked(self._plan(renewal), renewal), findings=findings)

    def _plan(self, renewal: Renewal = KEEP, issued: Issued = _NOTHING) -> NodePlan:
        """Compare what the steps want with the last look."""
        step_of = _wanted(self._steps, self._inputs(renewal, issued))
        plan = make_plan(self.node.name, step_of, self.facts)
        nodes = self._session.nodes
        return NodePlan(plan, step_of, nodes.label_changes(self.node) if self._joins else ())

    def _hooked(self, planned: NodePlan, renewal: Renewal) -> NodePlan:
        """Return the plan with the site's own commands; a renewal is of certificates alone."""
        if renewal != KEEP:
            return planned
        steps = [step.name for step in self._steps]
        given = self.cluster.extensions.hooks
        plan = hooks.with_hooks(
            planned.plan,
            planned.step_of,
            hooks=given,
            steps=steps,
            commands=self._commands,
            facts=self.facts,
        )
        changed = not plan.empty or bool(planned.labels)
        due = hooks.due_here(given, self.facts, changed=changed)
        step_of = planned.step_of | {self._commands[hook]: hook.step for hook in given}
        return replace(planned, plan=plan, step_of=step_of, hooks=due)

    def run_hooks(self, order: str, step: Step) -> None:
        """
        Run the commands that are due on this machine before or after a step.

        :raises HookFailed: one failed; it stays due.
        """
        for hook in self._due:
            if hooks.point(hook) != (order, step.name):
                continue
            with self._journal.step(self.node.name, step.name, hook.title) as log:
                if output := hooks.run_here(hook, self.cluster, self.node):
                    log.note(f"{hook.title}: {output.rpartition(chr(10))[2]}", output=output)
                if hooks.stays_due(hook):
                    self._as_root(f"rm -f {quote(hooks.marker(hook))}")

    def _make_due(self, given: Sequence[HookSettings]) -> None:
        """Have commands on this machine stay due until they succeed, where no stream says so."""
        if markers := [hooks.marker(hook) for hook in given if hooks.stays_due(hook)]:
            folder = quote(str(PurePosixPath(markers[0]).parent))
            paths = " ".join(map(quote, markers))
            self._as_root(f"umask 077; mkdir -p {folder} && touch {paths}")

    def _as_root(self, script: str) -> None:
        if (result := self.host.root(script)).code:
            told = result.stderr.decode(errors="replace").strip()
            raise HostError(self.node.name, f"{script.split()[0]} fails there: {told[:400]}", "")

    def _inputs(
        self,
        renewal: Renewal = KEEP,
        issued: Issued = _NOTHING,
        *,
        facts: Facts | None = None,
    ) -> Inputs:
        facts = facts or self.facts
        return Inputs(
            cluster=self.cluster,
            node=self.node,
            facts=facts,
            artifacts=self._artifacts.of(facts),
            issued=issued,
            now=datetime.now(UTC),
            renewal=renewal,
        )

    @property
    def _joins(self) -> bool:
        """Whether this is about the kubelet, and with it about the node as the API has it."""
        return kubelet.STEP in self._steps

    def _findings(self, renewal: Renewal) -> tuple[preflight.Finding, ...]:
        survey = self._session.survey
        seen = self._api_seen_from_host()
        if not seen.trusted and seen.reachable is not None:
            self._session.await_api()  # it may be away from everybody just now
            seen = self._api_seen_from_host()
        nodes = self._session.nodes
        around = preflight.Surroundings(
            server_version=survey.version,
            clock_offset=survey.clock_offset,
            api_from_node=None if seen.reachable is None else seen.reason,
            machine_ids=nodes.machine_ids(self.node.name, self.facts.machine_id),
            other_approvers=survey.other_approvers
            if bootstrap_kubeconfig.STEP in self._steps
            else (),
        )
        found = preflight.findings(self._inputs(renewal), around)
        return found if renewal == KEEP else (*found, *self._strayed(renewal))

    def _api_seen_from_host(self) -> TlsResult:
        cluster = self.cluster.cluster
        address, port = cluster.apiserver_host, cluster.apiserver_port
        return self.host.tls_to(address, port, self.cluster.ca_pem, address)

    def _strayed(self, renewal: Renewal) -> tuple[preflight.Finding, ...]:
        """Say what else than certificates would change: a renewal is no deployment."""
        about = layout.certificate_files(self.node.kubelet.root, authority=bool(renewal.authority))
        others = [
            change.name
            for change in self._plan(KEEP).plan.changes
            if change.kind not in {"unit", "clientcertificate"} and change.name not in about
        ]
        if not others:
            return ()
        text = f"it differs from its configuration in more than certificates: {', '.join(others)}"
        return (
            preflight.Finding(
                "error", text, program.task(f"deploy-nodes --limit {self.node.name}")
            ),
        )

    # --- changing ----------------------------------------------------------------------------

    def deploy(self, renewal: Renewal = KEEP, *, before_change: Callable[[], None]) -> Deployed:
        """
        Make the node what it should be and see it Ready.

        :param renewal: what is to be made anew although it is good; then nothing else is changed.
        :param before_change: waits for what must be there before a kubelet may join.

        Raises PreflightError, HostError, ApiError, TimeoutError: whatever stops this node.
        """
        shown = self._judged(renewal)
        self._prove_left()
        self._due = shown.hooks
        self.run_hooks("after", preflight.STEP)
        found = self.facts
        if shown.plan.empty:
            if shown.labels:
                self._session.permit.obtain()
                self._make_due(shown.hooks)
            labelled = self._settle()
            self._session.admission.tidy(self.node)
            return Deployed(found, changed=labelled)
        with self._journal.step(self.node.name, rbac.STEP.name, "waiting for rights"):
            self._session.permit.obtain()
            before_change()
        inputs = self._inputs(renewal)
        joining = self._unproved = self._joins and not inputs.joined
        try:
            todo = self._hooked(self._plan(renewal, self._issue(shown.plan, renewal)), renewal)
            began = time.time() + found.clock_offset
            restarted = self._apply(todo, joining=joining)
            if joining:
                self._prove_key()
                if not kubelet.rotates(inputs):
                    restarted |= self._begin_rotation()
            self._settle(
                joined_now=joining,
                since=began if restarted else 0.0,
                new_serving=any(c.name == self._serving for c in todo.plan.changes),
            )
        finally:
            if self._joins:  # alone, bootstrap-kubeconfig leaves a token to be used
                self._session.admission.tidy(self.node, unproved=self._unproved)
        return Deployed(found, changed=True)

    def renew(self, renewal: Renewal, *, before_change: Callable[[], None]) -> bool:
        """
        Make certificates anew, and see that they came; say whether anything was changed.

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

    def _judged(self, renewal: Renewal) -> NodePlan:
        """Look, and return what is to be done. Raises PreflightError where something forbids it."""
        with self._journal.step(self.node.name, preflight.STEP.name) as log:
            self.look()
            findings = self._findings(renewal)
            for finding in findings:
                if finding.level == "warning":
                    log.warn(finding.text, finding.fix)
            if errors := [f for f in findings if f.level == "error"]:
                raise PreflightError(errors)
            shown = self._hooked(self._plan(renewal), renewal)
            log.note("nothing to change" if shown.empty else _summary(shown.plan))
        return shown

    def _issue(self, plan: Plan, renewal: Renewal) -> Issued:
        """Have made what the plan needs and only the API can give."""
        inputs = self._inputs(renewal)
        name, admission = self.node.name, self._session.admission
        bootstrap = proxy_pem = None
        for change in plan.changes:
            match change.resource:
                case File(path=layout.BOOTSTRAP_KUBECONFIG):
                    with self._journal.step(
                        name, bootstrap_kubeconfig.STEP.name, "creating a bootstrap token"
                    ):
                        token = admission.new_token(self.node)
                    bootstrap = bootstrap_kubeconfig.content(inputs, token)
                case File(path=layout.PROXY_PEM):
                    with self._journal.step(name, proxy_cert.STEP.name, "issuing") as log:
                        proxy_pem = admission.proxy_pem(self.node)
                        log.changed(f"issued, because {proxy_cert.due(inputs)}")
                case _:
                    pass
        return Issued(bootstrap, proxy_pem)

    def _apply(self, todo: NodePlan, *, joining: bool = False) -> bool:
        """Carry out a plan; say whether that restarted the kubelet."""
        self._touched = True
        admission = self._session.admission
        name, changes = self.node.name, todo.plan.changes
        with StepLog(self._journal, name, todo.step_of, changes) as steps:

            def heard(event: ApplyEvent) -> None:
                if event.state == "key":
                    admission.show_key(self.node, event.key)
                else:
                    steps.event(event)

            zstd = "zstd" in self.facts.tools
            pull = _pull(self.cluster)
            try:
                done = apply(self.host, todo.plan, self._packer, heard, zstd=zstd, pull=pull)
            except Exception as error:
                # Somebody else may have been quicker to ask for its certificate, whatever it is
                # that this host reports, or reports no more.
                if joining:
                    self._account_for_certificate(error)
                raise
            steps.sent = done.sent
        return any(change.name == kubelet.UNIT for change in todo.plan.restarts)

    def _account_for_certificate(self, error: Exception) -> None:
        """
        See who has what was certified in a join that `error` ended; end what was not signed yet.

        :raises ImpostorError: somebody else has it.
        :raises UnprovedError: it can't be known, which the next run makes up for.
        """
        try:
            if self._session.admission.was_certified(self.node):
                self._refuse_impostors()
        except (HostError, ApiError, ApiAwayError) as fault:
            raise UnprovedError(cause(error), cause(fault)) from error

    def _prove_left(self) -> None:
        """Compare keys where a run was cut off between a certificate and its proof."""
        admission = self._session.admission
        if not self._joins or not (left := admission.left_certified(self.node)):
            return
        with self._journal.step(self.node.name, approve_csr.STEP.name, "comparing keys") as log:
            if not any(belongs(self._certificate(), request) for request in left):
                admission.expel(self.node)
                raise ImpostorError(
                    "a certificate was issued for it in an interrupted run, and it holds none for"
                    " that key"
                )
            log.note("the key certified in an interrupted run is the one on the host")

    def _prove_key(self) -> None:
        """See that the key that was certified is on this host; only its public half is read."""
        with self._journal.step(self.node.name, approve_csr.STEP.name, "comparing keys") as log:
            self._refuse_impostors()
            log.note("the certified key is the one on the host")

    def _refuse_impostors(self) -> None:
        """Expel the node if its host has no certificate for the key that was certified."""
        admission = self._session.admission
        if not admission.holds_issued_key(self.node, self._certificate()):
            admission.expel(self.node)
            raise ImpostorError("it holds no certificate for the key that was certified")
        self._unproved = False

    def _certificate(self) -> bytes:
        """Read the kubelet's client certificate (PEM) on the host; empty where there is none."""
        path = layout.kubelet_client_certificate(self.node.kubelet.root)
        # The kubelet may just be about to write it, where something else failed.
        wait = _AWAIT_FILE.format(path=quote(path))
        read_it = f"sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' {quote(path)}"
        return self.host.root(f"{wait}; {read_it}").stdout

    def _begin_rotation(self) -> bool:
        """
        Give a node that joined without rotation what a joined one has, now that its key is proved.

        Say whether that restarted the kubelet.
        """
        self.host.root(_AWAIT_FILE.format(path=quote(layout.KUBELET_KUBECONFIG)))
        self.look()
        rest = self._plan()
        return not rest.plan.empty and self._apply(rest)

    def _settle(
        self, *, joined_now: bool = False, since: float = 0.0, new_serving: bool = False
    ) -> bool:
        """
        See the node Ready, labelled, and with a serving certificate; say if that changed it.

        :param since: unix time by the node's clock before which it was another kubelet's word.
        """
        if not self._joins:
            return False
        self.run_hooks("before", ready.STEP)
        name, nodes = self.node.name, self._session.nodes
        with self._journal.step(name, ready.STEP.name, "waiting for Ready") as log:
            up = Steadiness(self.host, kubelet.UNIT)
            # A kubelet registers when it starts, and never again.
            if not joined_now and not since and self._kubelet_settled and nodes.gone(name):
                raise UnregisteredError(name)
            label = nodes.label(self.node, nodes.wait_registered(name, up))
            if nodes.awaits_network(nodes.wait_ready(name, since, up)):
                log.warn(node_objects.NO_CNI, "install this cluster's own network add-on")
            if new_serving or self._serving not in self.facts.certificates:
                log.progress("waiting for its serving certificate")
                alone = new_serving and not joined_now
                began = since - self.facts.clock_offset if alone else 0.0
                self._session.admission.wait_serving(name, began)
                self.host.root(_AWAIT_FILE.format(path=quote(self._serving)))
                self._touched = True
            if joined_now or label:
                log.changed(", ".join(filter(None, ("joined" if joined_now else "", label))))
        self.run_hooks("after", ready.STEP)
        return bool(label)

    @property
    def _kubelet_settled(self) -> bool:
        """Whether the kubelet, when last looked at, had been up for long enough to register."""
        unit = self.facts.unit(kubelet.UNIT)
        return unit.running and self.facts.uptime - unit.started > _REGISTERED

    @property
    def _serving(self) -> str:
        return layout.kubelet_serving_certificate(self.node.kubelet.root)

    def _renewed(self, renewal: Renewal, before: Mapping[str, CertificateFile]) -> list[str]:
        """Return the kinds of certificates that were due and are new. Raises RenewalError."""
        now = self.look().certificates
        new = []
        for kind, path in layout.certificates(self.node.kubelet.root).items():
            if not renewal.reason(kind, before.get(path, NO_CERTIFICATE)):
                continue
            held = now.get(path, NO_CERTIFICATE)
            if not held.pem or held == before[path]:
                raise RenewalError(kind, "is still the old one", self.node.name)
            if renewal.authority and not issued_by(held, renewal.authority):
                raise RenewalError(kind, f"came from {read(held).issuer}", self.node.name)
            new.append(kind)
        return new


def _wanted(steps: Sequence[Step], inputs: Inputs) -> dict[Resource, str]:
    """Return what these steps want, in their order, each with the first step that wants it."""
    step_of: dict[Resource, str] = {}
    wanted: dict[tuple[str, str], Resource] = {}
    for step in steps:
        for resource in step.resources(inputs):
            other = wanted.setdefault(_place(resource), resource)
            if other != resource and step_of[other] != step.name:
                _, what = _place(resource)
                raise Conflict(f"steps {step_of[other]} and {step.name} differ on {what}", _DIFFER)
            step_of.setdefault(resource, step.name)
    return step_of


def _place(resource: Resource) -> tuple[str, str]:
    """Return what a resource is about: two that differ on it would undo each other."""
    match resource:
        case Sysctl(key=name) | Unit(name=name):
            return type(resource).__name__, name
        case Image() | Module():
            return type(resource).__name__, str(resource)
        case _:
            return "path", getattr(resource, "path", "")


def waiting_key(host: Host) -> HostKey:
    """Ask a host which key waits there for its certificate; of that, the public half."""
    path = layout.kubelet_pending_key(host.node.kubelet.root)
    try:
        pair = read_pairs(host, (path,)).get(path)
    except HostError as error:
        return HostKey(fault=error.message)
    if pair is None:
        return HostKey()
    public = openssh_public_bytes(pair.public_key)
    return HostKey(public, "" if public else f"{path} can't be read there")


def _summary(plan: Plan) -> str:
    count = len(plan.changes)
    restarts = ", ".join(change.name.removesuffix(".service") for change in plan.restarts)
    text = f"{count} change{'s' if count > 1 else ''}" if count else "labels, annotations or taints"
    return f"{text}, (re)starting {restarts}" if restarts else text


def _pull(cluster: Cluster) -> Pull | None:
    """Return where nodes get artifacts themselves; None where they are sent to them."""
    settings = cluster.artifacts
    if settings.distribution != "pull" or settings.url is None:
        return None
    return Pull(settings.url, settings.url_ca.read_bytes() if settings.url_ca else None)
