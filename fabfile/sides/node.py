"""
All that a run does with one node: look, judge, plan, change, see it Ready.

One look is one round trip, and so is one change. Nothing here waits for another node.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

from ..host.actions import Pull
from ..host.apply import apply
from ..host.errors import ApplyFailed, HostError
from ..host.pairs import read_pairs
from ..host.plan import Plan, make_plan
from ..host.probe import probe
from ..host.units import Steadiness
from ..kube import nodes as node_objects
from ..model.facts import UNKNOWN, Facts
from ..model.resources import File
from ..run.steplog import StepLog
from ..steps import (
    approve_csr,
    bootstrap_kubeconfig,
    kubelet,
    layout,
    preflight,
    proxy_cert,
    rbac,
    verify,
)
from ..steps.inputs import Inputs, Issued
from ..trust.certificates import issued_by, openssh_public_bytes, read
from ..trust.renewal import KEEP
from ..trust.verdict import HostKey
from .errors import ImpostorError, PreflightError, RenewalError
from .looking import watchlist

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import ModuleType

    from ..artifacts import Holdings
    from ..host.connect import Host
    from ..host.forward import TlsResult
    from ..host.packed import Packer
    from ..host.talk import ApplyEvent
    from ..model.config import Cluster
    from ..model.resources import Resource
    from ..run.journal import Journal
    from .cluster import ClusterSide


# Until the kubelet has written what was issued to it; that it didn't, the checks at the end tell.
_AWAIT_FILE = "n=0; until [ -s {path} ] || [ $n -ge 100 ]; do sleep 0.1; n=$((n + 1)); done"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """
    What would be done to a node.

    :param findings: of preflight. :param step_of: the step that wants each change's resource.
    :param labels: labels, annotations and taints that its Node object would get, or lose.
    """

    plan: Plan
    findings: tuple[preflight.Finding, ...]
    step_of: dict[Resource, str]
    labels: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing would change, neither on the host nor at its Node object."""
        return self.plan.empty and not self.labels


class NodeSide:
    """
    One node of a run, used by one thread.

    :param steps: the node steps to carry out, in order; `all_steps` is what is looked at.

    While `renewal` asks for something, nothing but certificates (and CAs) is changed.
    """

    def __init__(
        self,
        host: Host,
        cluster_side: ClusterSide,
        journal: Journal,
        artifacts: Holdings,
        packer: Packer,
        *,
        steps: Sequence[ModuleType],
        all_steps: Sequence[ModuleType],
        deep: bool = False,
    ) -> None:
        self.node = host.node
        self.host = host
        self._cluster_side = cluster_side
        self._journal = journal
        self._artifacts = artifacts
        self._packer = packer
        self._steps = steps
        self._all_steps = all_steps
        self._deep = deep
        self.renewal = KEEP
        self._touched = True  # since the last look, or never looked at
        self.facts: Facts = UNKNOWN
        self._before: Facts = UNKNOWN  # as the last change found it

    @property
    def cluster(self) -> Cluster:
        """The configuration of the run."""
        return self._cluster_side.cluster

    def look(self) -> Facts:
        """Learn everything about the node in one round trip."""
        everything = [r for _, r in self._resources(self._inputs(Issued()), self._all_steps)]
        root = self.node.kubelet.root
        self.facts = probe(self.host, watchlist(everything, kubelet_root=root, deep=self._deep))
        self._touched = False
        return self.facts

    def current_facts(self) -> Facts:
        """Return facts that still hold: those of the last look, unless it was changed since."""
        return self.look() if self._touched else self.facts

    def plan(self) -> NodePlan:
        """Return what would be done, and what preflight found. Changes nothing."""
        self.look()
        return self._plan(self._findings(), Issued())

    def deploy(self, *, before_change: Callable[[], None]) -> bool:
        """
        Make the node what it should be and see it Ready; say whether anything was changed.

        :param before_change: waits for what must be there before a kubelet may join.

        Raises PreflightError, HostError, ApiError, TimeoutError: whatever stops this node.
        """
        with self._journal.step(self.node.name, preflight.NAME) as log:
            self._before = self.look()
            findings = self._findings()
            for finding in findings:
                if finding.level == "warning":
                    log.warn(finding.text, finding.fix)
            if errors := [f for f in findings if f.level == "error"]:
                raise PreflightError(errors)
            shown = self._plan(findings, Issued())
            log.note("nothing to change" if shown.empty else _summary(shown.plan))
        if shown.plan.empty:
            if shown.labels:
                self._cluster_side.permit.obtain()
            changed = self._settle(joined_now=False, since=0.0, new_serving=False)
            self._cluster_side.admission.tidy(self.node)
            return changed
        with self._journal.step(self.node.name, rbac.NAME, "waiting for rights"):
            self._cluster_side.permit.obtain()
            before_change()
        try:
            joining = not self._inputs(Issued()).joined and kubelet in self._steps
            todo = self._plan(findings, self._issue(shown.plan))
            began = time.time() + self.facts.clock_offset
            restarted = self._apply(todo, joining=joining)
            if joining:
                self._prove_key()
                restarted |= self._after_joining(findings)
            serving = layout.kubelet_serving_certificate(self.node.kubelet.root)
            self._settle(
                joined_now=joining,
                since=began if restarted else 0.0,
                new_serving=any(change.name == serving for change in todo.plan.changes),
            )
        finally:
            if kubelet in self._steps:  # alone, bootstrap-kubeconfig leaves a token to be used
                self._cluster_side.admission.tidy(self.node)
        return True

    def _apply(self, todo: NodePlan, *, joining: bool = False) -> bool:
        """Carry out a plan; say whether that restarted the kubelet."""
        self._touched = True
        with StepLog(self._journal, self.node.name, todo.step_of) as steps:

            def heard(event: ApplyEvent) -> None:
                if event.state == "key":
                    self._cluster_side.admission.show_key(self.node, event.key)
                else:
                    steps.event(event)

            zstd = "zstd" in self.facts.tools
            pull = _pull(self.cluster)
            try:
                done = apply(self.host, todo.plan, self._packer, heard, zstd=zstd, pull=pull)
            except ApplyFailed:
                # That no certificate came may be because somebody else was quicker to ask for it.
                if joining and self._cluster_side.admission.was_certified(self.node):
                    self._refuse_impostors()
                raise
            steps.sent = done.sent
        return any(change.name == kubelet.UNIT for change in todo.plan.restarts)

    def _after_joining(self, findings: tuple[preflight.Finding, ...]) -> bool:
        """Do what waits until a node has joined; say whether that restarted the kubelet."""
        if kubelet.rotates(self._inputs(Issued())):
            return False
        self.host.root(_AWAIT_FILE.format(path=quote(layout.KUBELET_KUBECONFIG)))
        self.look()
        self.renewal = KEEP  # what was asked for is done
        rest = self._plan(findings, Issued())
        return not rest.plan.empty and self._apply(rest)

    def renew(self, *, before_change: Callable[[], None]) -> bool:
        """
        Make anew what `renewal` asks for, and see that it came; say whether anything was changed.

        Raises RenewalError beside what `deploy` raises.
        """
        asked = self.renewal
        changed = self.deploy(before_change=before_change)
        if not changed:
            return False
        with self._journal.step(self.node.name, verify.NAME, "comparing certificates") as log:
            before, now = self._before.certificates, self.look().certificates
            paths = layout.certificates(self.node.kubelet.root)
            due = {k: p for k, p in paths.items() if asked.why(k, before.get(p, ""))}
            for kind, path in due.items():
                pem = now.get(path, "")
                if not pem or pem == before[path]:
                    raise RenewalError(kind, "is still the old one", self.node.name)
                if asked.authority and not issued_by(pem, asked.authority):
                    raise RenewalError(kind, f"came from {read(pem).issuer}", self.node.name)
            if due:
                log.note(f"new: {', '.join(due)}")
        return True

    def _prove_key(self) -> None:
        """See that the key that was certified is on this host; only its public half is read."""
        with self._journal.step(self.node.name, approve_csr.NAME, "comparing keys") as log:
            self._refuse_impostors()
            log.note("the certified key is the one on the host")

    def _refuse_impostors(self) -> None:
        """Expel the node if its host has no certificate for the key that was certified."""
        path = layout.kubelet_client_certificate(self.node.kubelet.root)
        result = self.host.root(f"sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' {quote(path)}")
        if not self._cluster_side.admission.holds_issued_key(self.node, result.stdout):
            self._cluster_side.admission.expel(self.node)
            raise ImpostorError("it holds no certificate for the key that was certified")

    def _settle(self, *, joined_now: bool, since: float, new_serving: bool) -> bool:
        """See the node Ready, labelled, and with a serving certificate; say if that changed it."""
        if kubelet not in self._steps:
            return False
        name, side = self.node.name, self._cluster_side
        with self._journal.step(name, "ready", "waiting for Ready") as log:
            up = Steadiness(self.host, kubelet.UNIT)
            label = side.nodes.label(self.node, side.nodes.wait_registered(name, up))
            if side.nodes.awaits_network(side.nodes.wait_ready(name, since, up)):
                log.warn(node_objects.NO_CNI, "install the network that this cluster brings")
            serving = layout.kubelet_serving_certificate(self.node.kubelet.root)
            if new_serving or serving not in self.facts.certificates:
                log.progress("waiting for its serving certificate")
                alone = new_serving and not joined_now
                side.admission.wait_serving(name, since - self.facts.clock_offset if alone else 0.0)
                self.host.root(_AWAIT_FILE.format(path=quote(serving)))
                self._touched = True
            if joined_now or label:
                log.changed(", ".join(filter(None, ("joined" if joined_now else "", label))))
        return bool(label)

    def _issue(self, plan: Plan) -> Issued:
        """Have made what the plan needs and only the API can give."""
        inputs = self._inputs(Issued())
        bootstrap = proxy_pem = None
        for change in plan.changes:
            if not isinstance(change.resource, File):
                continue
            if change.resource.path == layout.BOOTSTRAP_KUBECONFIG:
                with self._journal.step(
                    self.node.name, bootstrap_kubeconfig.NAME, "making a token"
                ):
                    token = self._cluster_side.admission.new_token(self.node)
                bootstrap = bootstrap_kubeconfig.content(inputs, token)
            elif change.resource.path == layout.PROXY_PEM:
                with self._journal.step(self.node.name, proxy_cert.NAME, "issuing") as log:
                    proxy_pem = self._cluster_side.admission.proxy_pem(self.node)
                    log.changed(f"issued, because {proxy_cert.due(inputs)}")
        return Issued(bootstrap, proxy_pem)

    def _plan(self, findings: tuple[preflight.Finding, ...], issued: Issued) -> NodePlan:
        step_of: dict[Resource, str] = {}
        for step, resource in self._resources(self._inputs(issued), self._steps):
            step_of.setdefault(resource, step)
        plan = make_plan(self.node.name, step_of, self.facts)
        labels = self._cluster_side.nodes.label_changes(self.node) if kubelet in self._steps else ()
        return NodePlan(plan, findings, step_of, labels)

    def _resources(
        self, inputs: Inputs, steps: Collection[ModuleType]
    ) -> list[tuple[str, Resource]]:
        return [(step.NAME, r) for step in steps for r in step.desired(inputs)]

    def _inputs(self, issued: Issued) -> Inputs:
        return Inputs(
            cluster=self._cluster_side.cluster,
            node=self.node,
            facts=self.facts,
            artifacts=self._artifacts.of(self.facts),
            issued=issued,
            now=datetime.now(UTC),
            renewal=self.renewal,
        )

    def _findings(self) -> tuple[preflight.Finding, ...]:
        survey = self._cluster_side.survey
        seen = self._api_seen_from_host()
        if not seen.trusted and seen.reachable is not None:
            self._cluster_side.await_api()  # it may be away from everybody just now
            seen = self._api_seen_from_host()
        around = preflight.Surroundings(
            server_version=survey.version,
            clock_offset=survey.clock_offset,
            api_from_node=None if seen.reachable is None else seen.reason,
            machine_ids=self._cluster_side.nodes.machine_ids(self.node.name, self.facts.machine_id),
        )
        found = preflight.findings(self._inputs(Issued()), around)
        return found if self.renewal == KEEP else (*found, *self._strayed())

    def _strayed(self) -> tuple[preflight.Finding, ...]:
        """Say what else than certificates would change: a renewal is no deployment."""
        about = layout.certificate_files(
            self.node.kubelet.root, authority=bool(self.renewal.authority)
        )
        asked, self.renewal = self.renewal, KEEP
        try:
            changes = self._plan((), Issued()).plan.changes
        finally:
            self.renewal = asked
        others = [
            change.name
            for change in changes
            if change.kind not in {"unit", "clientcertificate"} and change.name not in about
        ]
        if not others:
            return ()
        text = f"it differs from its configuration in more than certificates: {', '.join(others)}"
        return (preflight.Finding("error", text, f"inv deploy-nodes --limit {self.node.name}"),)

    def _api_seen_from_host(self) -> TlsResult:
        cluster = self.cluster.cluster
        address, port = cluster.apiserver_host, cluster.apiserver_port
        return self.host.tls_to(address, port, self.cluster.ca_pem, address)


def waiting_key(host: Host) -> HostKey:
    """Ask a host which key waits there for its certificate; of that, the public half."""
    path = layout.kubelet_pending_key(host.node.kubelet.root)
    try:
        pair = read_pairs(host, (path,)).get(path)
    except HostError as error:
        return HostKey(fault=error.cause)
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
