"""
Runs of `inv doctor`: why nodes don't work, what is safe to fix, and the same evidence again.

A diagnosis is one round trip to a host and a few requests to the API. Causes are judged in
`doctor/`; a fix is what a person would type, carried out on the host or by the run that has it (a
deployment, an approval). What several nodes share is no node's own fault, and is left alone on
all of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..doctor.cause import (
    Approve,
    Cause,
    Common,
    Deploy,
    RestartPod,
    UnitAct,
    common,
    explained,
    roots,
)
from ..kube.pods import pods_on
from ..util.errors import FabnodeError
from ..util.sanitize import last_lines
from ..util.wait import Wait, unless
from ..util.words import counted
from . import approval, pipeline, run_rights
from .diagnosis import PODS, Diagnoses
from .run import RunContext

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..doctor.cause import Act
    from ..util.fan_out import Outcome
    from .node_deployer import NodeDeployer
    from .run import Run

DOCTOR: Final = "doctor"
_PATIENCE: Final = 10  # seconds for an apiserver that does not answer: that is an answer here
_ROUNDS: Final = 3  # a fix may show what was hidden behind its cause
_POLL: Final = 3.0
_SETTLES: Final = 20.0  # seconds, a little more than services take to be judged


class NotCuredError(FabnodeError):
    """What could be fixed was, but the node is still unhealthy."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(f"it is still unhealthy: {cause.text}", cause.fix.text)
        self.detail = cause.seen


class FixError(FabnodeError):
    """A fix could not be carried out."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """
    What is wrong with a node, what explains the rest first; empty: it is healthy.

    :param settled: no service of it has just been started, so that it is too early to judge it.
    :param unseen: what the account had no right to read of it.
    """

    causes: tuple[Cause, ...]
    settled: bool = True
    unseen: tuple[str, ...] = ()

    @property
    def too_early(self) -> bool:
        """Whether nothing is wrong as far as is known yet."""
        return not self.causes and not self.settled

    @property
    def incomplete(self) -> bool:
        """
        Whether causes that take a node out of use could not be looked for.

        Without a list of pods only their number is not compared with what a node takes.
        """
        return bool(set(self.unseen) - {PODS})

    @property
    def explained(self) -> dict[str, str]:
        """Return key → key of what explains it."""
        return explained(self.causes)

    @property
    def acts(self) -> tuple[Act, ...]:
        """What is safe to do, of what no other cause explains, in order."""
        acts = (act for cause in roots(self.causes) for act in cause.fix.acts)
        return tuple(dict.fromkeys(acts))


def diagnose(run: Run) -> dict[str, Outcome[Diagnosis]]:
    """
    Return what is wrong with each node. Changes nothing.

    A node whose services have just been started is probed again once they can be judged.
    """
    with _context(run) as context:
        found = _diagnosed(run, context)
        sleep = unless(context.session.stopped)
        wait = Wait("services to have run for a while", _SETTLES, _POLL, sleep=sleep)
        while early := [n for n, o in found.items() if o.value and o.value.too_early]:
            if wait.over:
                break
            wait.pause()
            found |= _diagnosed(run, context, early)
        return found


def shared(found: Mapping[str, Outcome[Diagnosis]]) -> tuple[Common, ...]:
    """Return what several nodes share, and is hardly their own fault."""
    return common({name: o.value.causes for name, o in found.items() if o.value})


def left_to_people(found: Mapping[str, Outcome[Diagnosis]]) -> frozenset[str]:
    """Return the nodes that are left alone because others have the same cause."""
    return frozenset(name for each in shared(found) for name in each.nodes)


def cure(run: Run, found: Mapping[str, Outcome[Diagnosis]]) -> dict[str, Outcome[Diagnosis]]:
    """
    Do what is safe on each node, probe again, and return what is wrong then.

    A node that is still unhealthy fails, with what is wrong with it.
    """
    left = dict(found)
    done: dict[str, set[Act | type[Act]]] = {}
    for _ in range(_ROUNDS):
        alone = left_to_people(left)
        todo = {
            name: new
            for name, outcome in left.items()
            if outcome.value
            and name not in alone
            and (new := [a for a in outcome.value.acts if _kind(a) not in done.get(name, set())])
        }
        if not todo:
            break
        for name, acts in todo.items():
            done.setdefault(name, set()).update(map(_kind, acts))
        _carry_out(run, todo)
        left |= _diagnose_again(run, {name: left[name] for name in todo})
    _conclude(run, left)
    return left


def _kind(act: Act) -> Act | type[Act]:
    """
    Return what makes two acts the same.

    The pod that a restarted one is replaced by has another name, and needs its time, not a restart.
    """
    return RestartPod if isinstance(act, RestartPod) else act


def _carry_out(run: Run, todo: Mapping[str, list[Act]]) -> None:
    """Do on hosts and at the API what these say; then deploy, and approve."""
    small = {
        n: [a for a in acts if not isinstance(a, Deploy | Approve)] for n, acts in todo.items()
    }
    with _context(run) as context:

        def act(deployer: NodeDeployer) -> None:
            for each in small[deployer.node.name]:
                _do(run, context, deployer, each)

        context.each(act, [name for name, acts in small.items() if acts], batched=False)
    deploys = [name for name, acts in todo.items() if any(isinstance(a, Deploy) for a in acts)]
    if deploys:
        pipeline.deploy(_of(run, deploys))
    approves = [name for name, acts in todo.items() if any(isinstance(a, Approve) for a in acts)]
    if approves:
        approval.approve(_of(run, approves), watch=False, dry_run=False, serving_only=True)


def _do(run: Run, context: RunContext, deployer: NodeDeployer, act: Act) -> None:
    name = deployer.node.name
    with run.journal.step(name, DOCTOR, "fixing") as log:
        match act:
            case UnitAct():
                result = deployer.host.root(act.command)
                if result.code:
                    output = last_lines(result.stderr, 3) or f"status {result.code}"
                    raise FixError(
                        f"`{act.command}` failed there: {output}", f"do it on {name} by hand"
                    )
                log.changed(act.command)
            case RestartPod(name=pod, uid=uid):
                there = pods_on(context.session.api, name)
                found = [p for p in there if p["metadata"]["uid"] == uid]
                if found:
                    context.session.guard.obtain()
                    context.session.network.renew(found[0])
                    log.changed(f"{pod} starts again")
            case _:
                raise AssertionError(f"{act} is done elsewhere")


def _diagnose_again(
    run: Run, before: Mapping[str, Outcome[Diagnosis]]
) -> dict[str, Outcome[Diagnosis]]:
    """
    Probe nodes until they are healthy, or there is more to do, or the time is over.

    What nobody was going to fix is not waited for.
    """
    seen = {name: outcome.value for name, outcome in before.items() if outcome.value}
    for_people = {n: {c.key for c in roots(d.causes) if not c.fix.acts} for n, d in seen.items()}

    def awaited(name: str, found: Diagnosis) -> bool:
        more = set(map(_kind, found.acts)) - set(map(_kind, seen[name].acts))
        left = {cause.key for cause in roots(found.causes)} - for_people[name]
        return (bool(left) or not found.settled) and not more

    with _context(run) as context:
        limit = float(run.config.timeouts.ready)
        wait = Wait("nodes to be healthy", limit, _POLL, sleep=unless(context.session.stopped))
        while True:
            found = _diagnosed(run, context, list(before))
            if wait.over or not any(o.value and awaited(n, o.value) for n, o in found.items()):
                return found
            wait.pause()


def _diagnosed(
    run: Run, context: RunContext, names: list[str] | None = None
) -> dict[str, Outcome[Diagnosis]]:
    diagnoses = Diagnoses(context.session)

    def one(deployer: NodeDeployer) -> Diagnosis:
        with run.journal.step(deployer.node.name, DOCTOR, "probing") as log:
            found = Diagnosis(*diagnoses.judged(deployer.planner))
            if not found.causes:
                log.note("nothing found in what may be read" if found.unseen else "it is healthy")
            else:
                more = len(found.causes) - 1
                also = f" (and {counted(more, 'thing')} more)" if more else ""
                log.note(f"{found.causes[0].text}{also}")
        return found

    return context.each(one, names, batched=False)


def _conclude(run: Run, found: Mapping[str, Outcome[Diagnosis]]) -> None:
    """Have nodes fail that are still unhealthy."""
    for name, outcome in found.items():
        if outcome.value and outcome.value.causes:
            error = NotCuredError(outcome.value.causes[0])
            run.journal.settle(name, error, step=DOCTOR)
            run.record_outcome(name, replace(outcome, value=None, error=error))


@contextmanager
def _context(run: Run) -> Iterator[RunContext]:
    timeouts = run.config.timeouts
    quick = timeouts.model_copy(update={"api": min(timeouts.api, _PATIENCE)})
    brief = replace(run, config=replace(run.config, timeouts=quick))
    with RunContext(brief, installs=False, rights=run_rights.DIAGNOSE) as context:
        yield context


def _of(run: Run, names: list[str]) -> Run:
    return replace(run, nodes=tuple(node for node in run.nodes if node.name in names))
