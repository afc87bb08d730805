"""
Rotation of nodes' certificates: on demand, or in stages when the cluster's CA changes.

A client certificate is renewed by joining again: a token of its own, a new key made on
the host, the same verdict on the request, the same comparison of keys afterwards. Pods go on; only
the units that read a certificate are restarted. One node goes first; where it fails, the others
stay as they are.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..kube.csr import SigningError
from ..node import layout
from ..pki.ca_rollover import CERTIFICATES, DONE, OLD_OUT, STAGES, Authorities, Stage, named
from ..pki.certificates import BadCertificateError
from ..pki.renewal import KINDS, PROXY, Renewal
from ..steps import bootstrap_kubeconfig, kubelet, proxy, proxy_cert, rbac, verify
from ..steps.checks import node_certificates
from ..util import program
from ..util.errors import FabnodeError
from ..util.fan_out import Outcome
from ..util.wait import WaitTimeoutError
from .pipeline import (
    ClusterPlan,
    apply_rbac,
    attempted,
    plan_proxy_names,
    plan_rbac,
    verify_with,
    wait_for_network,
)
from .run import Run, RunContext

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..steps.checks.check import Check
    from ..steps.step import Step
    from .node_deployer import NodeDeployer

NAME = "rotate-certs"
_KUBELET = (bootstrap_kubeconfig.STEP, kubelet.STEP)
_PROXY = (proxy_cert.STEP, proxy.STEP)


def steps(kinds: Sequence[str]) -> tuple[Step, ...]:
    """Return the node steps that these kinds of certificates are about."""
    of_kubelet = any(kind != PROXY for kind in kinds)
    return (*(_KUBELET if of_kubelet else ()), *(_PROXY if PROXY in kinds else ()))


class NotReadyError(FabnodeError):
    """Something that must be healthy before a change goes on, but is not."""

    advice = program.task("verify")


@dataclass(frozen=True, slots=True)
class Change:
    """
    What a change of the CA came to.

    :param stages: of each node that could be asked, at the end.
    :param waits: what the operator has to do before it goes on, in sentences; none where nothing.
    """

    stages: Mapping[str, Stage]
    waits: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    plan: ClusterPlan | None = None


def plan(run: Run, renewal: Renewal) -> ClusterPlan:
    """Return what `rotate` would do, by the same code. Changes nothing."""
    with RunContext(run, dry_run=True) as context:
        return _planned(context, run, lambda _: renewal)


def rotate(run: Run, renewal: Renewal) -> list[Check]:
    """Renew certificates; return what was checked at the end."""
    with RunContext(run) as context:
        names = [node.name for node in run.nodes]
        good = _rolled(run, context, names, renewal)
        if not good:
            return []
        return attempted(run, verify.STEP, partial(_proved, run, context, good)) or []


def plan_ca(run: Run) -> Change:
    """Return at which stage each node is, and what would be done next. Changes nothing."""
    with RunContext(run, dry_run=True) as context:
        stages = _stages(run, context)
        planned = _planned(
            context, run, lambda deployer: _of_stage(run, stages[deployer.node.name]), stages
        )
        waits = [
            w for stage in STAGES if stage in stages.values() for w in _awaited(context, stage)
        ]
        return Change(stages, tuple(waits) or _left(context, stages), plan=planned)


def change_ca(run: Run) -> Change:
    """
    Take the nodes through the stages of a changed CA as far as the control plane is ready for it.

    A node that can't be asked, or is in no stage, stops the others as well (it can be left out of
    the run), and no stage begins before the one before it is through on all nodes of the run.
    """
    with RunContext(run) as context:
        checks: list[Check] = []
        stages = _stages(run, context)
        for stage in STAGES:
            names = [name for name, found in stages.items() if found == stage]
            if len(stages) < len(run.nodes):
                return Change(stages, (), tuple(checks))  # the journal has the reason
            if not names:
                continue
            with run.journal.step(None, NAME, f"{stage}: is the control plane ready?") as log:
                waits = _awaited(context, stage) or _tried(context, stage, names[0])
                log.note(f"{stage}: {'waiting' if waits else 'ready'}")
            if waits:
                return Change(stages, waits, tuple(checks))
            good = _rolled(run, context, names, _of_stage(run, stage))
            checks = _proved(run, context, good) if good else checks
            if len(good) < len(names) or any(check.failed for check in checks):
                return Change(stages, (), tuple(checks))
            stages = _stages(run, context)
        return Change(stages, _left(context, stages), tuple(checks))


def _rolled(run: Run, context: RunContext, names: Sequence[str], renewal: Renewal) -> list[str]:
    """Renew on one node, prove that it still works, then on the others; return those that do."""
    rights = context.session.background(partial(apply_rbac, run, context.session))

    def work(deployer: NodeDeployer) -> bool:
        return deployer.renew(renewal, before_change=lambda: rights.result())

    first, rest = list(names[:1]), list(names[1:])
    outcomes = context.each(work, first)
    if rest and outcomes[first[0]].value:
        checks = attempted(run, verify.STEP, partial(_proved, run, context, first))
        # They were compared; for those that stay, other checks do.
        near = node_certificates.certificate_paths(run.config.node(first[0]))
        bad = [check for check in checks or () if check.failed and check.name not in near]
        failed = "; ".join(f"{check.name}: {check.detail}" for check in bad)
        if bad or checks is None:
            state = f"its checks failed: {failed}" if bad else "its checks could not run"
            error = NotReadyError(f"it was the first node, and {state}")
            outcomes[first[0]] = Outcome(error=error)
            run.record_outcome(first[0], outcomes[first[0]])
    if all(outcome.ok for outcome in outcomes.values()):
        outcomes |= context.each(work, rest)
    else:
        for name in rest:
            run.record_outcome(name, Outcome(skipped=f"{first[0]}, the first node, failed"))
    if not attempted(run, rbac.STEP, lambda: [rights.result()]):
        return []
    return [name for name, outcome in outcomes.items() if outcome.ok]


def _proved(run: Run, context: RunContext, names: Sequence[str]) -> list[Check]:
    """
    Check these nodes, and the network by pods.

    Old kubelets consider their pods not ready after a restart, until the next probe succeeds.
    """
    with suppress(WaitTimeoutError):  # the checks report what is missing, too
        wait_for_network(run, context.session, names)
    return verify_with(run, context, names, network=lambda: True)


def _planned(
    context: RunContext,
    run: Run,
    renewal_of: Callable[[NodeDeployer], Renewal],
    names: Collection[str] | None = None,
) -> ClusterPlan:
    rights = plan_rbac(run, context.session)
    nodes = context.each(lambda deployer: deployer.plan(renewal_of(deployer)), names)
    return ClusterPlan(nodes, rights + plan_proxy_names(context.session, nodes))


def _of_stage(run: Run, stage: Stage) -> Renewal:
    signer = Authorities.of(run.config.ca_pem).signer
    return Renewal(kinds=KINDS if stage == CERTIFICATES else (), authority=signer)


def _stages(run: Run, context: RunContext) -> dict[str, Stage]:
    """Return the stage of every node; the journal has the reason where it can't be determined."""
    authorities = Authorities.of(run.config.ca_pem)

    def work(deployer: NodeDeployer) -> Stage:
        with run.journal.step(deployer.node.name, NAME, "determining its stage") as log:
            facts = deployer.current_facts()
            paths = node_certificates.certificates(deployer.node)
            held = {k: facts.certificate(path) for k, path in paths.items()}
            stage = authorities.stage(facts.path(layout.CA).content or b"", held)
            log.note("through" if stage == DONE else f"next: {stage}")
            return stage

    outcomes = context.each(work)
    return {name: outcome.value for name, outcome in outcomes.items() if outcome.value}


def _awaited(context: RunContext, stage: Stage) -> tuple[str, ...]:
    """Return what the control plane lacks for a stage, as far as reading shows."""
    session = context.session
    new = Authorities.of(session.config.ca_pem).signer
    waits = []
    if stage == CERTIFICATES and not _holds(session.authorities.client(), new):
        waits.append(
            f"kube-apiserver does not accept clients of {named(new)} yet: give it both CAs as "
            "--client-ca-file (and --kubelet-certificate-authority, where set), and restart it"
        )
    if stage == OLD_OUT:
        if fault := session.authorities.server_fault(new):
            waits.append(
                f"kube-apiserver's own certificate can't be verified by a node that trusts only "
                f"{named(new)}: {fault}; give it one of that CA, and restart it"
            )
        pods_trust = session.authorities.pod()
        if pods_trust is not None and not _holds(pods_trust, new):
            waits.append(
                f"pods don't get {named(new)} as their CA yet: give kube-controller-manager both "
                "as --root-ca-file, and restart it"
            )
    return tuple(waits)


def _tried(context: RunContext, stage: Stage, name: str) -> tuple[str, ...]:
    """Find out by a request which CA signs. `name`: a node for which one is asked."""
    # Without a kube-proxy, the first node's own certificate shows who signs.
    if stage != CERTIFICATES or not context.session.config.node(name).kube_proxy.enabled:
        return ()
    certificates = context.session.proxy_certificates
    new = Authorities.of(context.session.config.ca_pem).signer

    def work(deployer: NodeDeployer) -> tuple[str | None] | str:
        try:
            return (certificates.try_signing(deployer.node, new),)
        except (TimeoutError, SigningError, BadCertificateError) as error:
            return str(error)

    tried = context.each(work, [name])[name]
    if tried.error:
        raise tried.error
    if isinstance(tried.value, str):
        return (f"a trial request for a certificate failed: {tried.value}",)
    (signer,) = tried.value or (None,)
    if signer is None:
        return ()
    return (
        f"certificates are signed by {signer}, not by {named(new)}: give kube-controller-manager "
        "that CA as --cluster-signing-cert-file and -key-file, and restart it (with "
        "`signing: local`: name its key as kube_proxy.ca_key as well)",
    )


def _left(context: RunContext, stages: Mapping[str, Stage]) -> tuple[str, ...]:
    """Return what remains to be done when every node has reached the configured CAs."""
    session = context.session
    authorities = Authorities.of(session.config.ca_pem)
    if not authorities.several or any(stage != DONE for stage in stages.values()):
        return ()
    waits = [
        f"every node asked trusts both CAs and holds certificates of {named(authorities.signer)}"
    ]
    waits += _awaited(context, OLD_OUT)
    waits.append(
        "then remove the old CA from cluster.ca and run "
        f"`{program.task('rotate-certs --ca')}` again; "
        "docs/certificates.md lists what else trusts it"
    )
    return tuple(waits)


def _holds(bundle: bytes, authority: bytes) -> bool:
    try:
        return authority in Authorities.of(bundle).wanted
    except ValueError:
        return False
