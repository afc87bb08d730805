"""The run of `inv approve-csr`: signing requests are judged outside of a deployment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..kube.key_lookup import KeyLookup
from ..ssh.connections import Access
from ..ssh.host import Host
from ..steps import approve_csr
from ..util import program
from ..util.errors import FabnodeError
from ..util.fan_out import Outcome
from .cluster_session import ClusterSession
from .join_proof import waiting_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..config.configuration import Node
    from ..pki.csr_policy import HostKey
    from .run import Run


class KeyLookupError(FabnodeError):
    """A signing request could not be judged: its host did not report which key waits there."""

    advice = f"make its host reachable by SSH, then run `{program.task('approve-csr')}`"


def deny(run: Run, names: Sequence[str]) -> bool:
    """Deny signing requests of no configured node; return whether all of these were denied."""
    with _judging(run, run.config.nodes) as session:
        return session.judge.deny(names)


def approve(run: Run, *, watch: bool, dry_run: bool, serving_only: bool = False) -> None:
    """
    Judge signing requests of the run's nodes, with the same verdict as in `deploy`.

    A host that had to be asked for its key and could not be is a failure of its node.

    :param watch: go on with those to come, until interrupted.
    :param serving_only: only requests for serving certificates, for which no host has to be asked.
    :raises OtherApproverError: where somebody else approves first certificates.
    """
    judging = (
        _judging_serving(run, dry_run=dry_run)
        if serving_only
        else _judging(run, run.nodes, dry_run=dry_run)
    )
    with judging as session:
        if not serving_only:
            session.admission.refuse_other_approvers()
        if watch:
            session.judge.judge_forever()
        else:
            session.judge.judge()
    for node in run.nodes:
        run.journal.settle(node.name)


@contextmanager
def _judging_serving(run: Run, *, dry_run: bool) -> Iterator[ClusterSession]:
    """Yield a session for serving certificates alone: without hosts, and with few rights."""
    session = ClusterSession(run.config, run.journal, dry_run=dry_run, serving_only=True)
    try:
        session.admission.allow(run.nodes)
        yield session
    finally:
        session.close()


@contextmanager
def _judging(run: Run, nodes: Sequence[Node], *, dry_run: bool = False) -> Iterator[ClusterSession]:
    """Yield a session with these nodes' hosts at hand, to be asked for keys."""
    with Access(run.passwords) as access:
        hosts = {node.name: Host(node, access) for node in nodes}

        def ask(name: str) -> HostKey:
            key = waiting_key(hosts[name])
            before = run.outcomes.get(name)
            if key.fault and (before is None or before.ok):  # once: anybody can have it asked
                error = KeyLookupError(f"its host could not be asked for its key: {key.fault}")
                run.journal.settle(name, error, step=approve_csr.STEP.name)
                run.record_outcome(name, Outcome(error=error))
            return key

        key_lookup = KeyLookup(ask)
        session = ClusterSession(run.config, run.journal, dry_run=dry_run, key_lookup=key_lookup)
        try:
            session.admission.allow(nodes)
            yield session
        finally:
            session.close()
            key_lookup.close()
            for host in hosts.values():
                host.close()
