"""
Reset of hosts: back to how they were before their first deployment, by SSH alone.

A survey is one round trip, and so is each of the two phases (`node/reset.py`). Afterwards the host
is surveyed once more: what is still there was not removed, and others' has to be as it was.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ..kube.client import Api
from ..kube.kubeconfig import load
from ..node.host_traces import Scope, foreign
from ..node.plan import Change, Plan
from ..node.reset import Reset, reset
from ..node.reset_refusals import Refusal
from ..remote.survey import survey
from ..steps.order import node_steps
from ..util import program
from ..util.errors import FabnodeError
from . import baselines, host_changes, unfinished
from .api_access import everywhere
from .registrations import left
from .reset_scope import beside, observed, resources_of, scope_of
from .run import on_hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ..node.surroundings import Survey
    from ..ssh.host import Host
    from ..util.fan_out import Outcome
    from .run import Run

RESET = "reset"
_DOCKER = Refusal(
    "its pods run by docker, which is the host's own",
    "remove them, and what fabnode installed, by hand: `docker ps`, docs/reset.md",
)
_PATIENCE = 3.0  # seconds for an apiserver that is away
_PUT_BACK = ("previous", "mode", "setting", "enabled")
_NO_THINGS = ("reload", "records", "begun")  # changes that are about nothing of the host's


class ResetRefusedError(FabnodeError):
    """A host that must not be reset as it is."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__("; ".join(refusal.text for refusal in refusals))
        self.advice = "; ".join(dict.fromkeys(refusal.fix for refusal in refusals))


class NotResetError(FabnodeError):
    """All was done, and something of the node's is still there."""

    advice = (
        f"see what holds it there, then run the same again: `{program.task('reset --dry-run')}`"
    )


@dataclass(frozen=True, slots=True)
class Resettable:
    """
    A host as it was surveyed, and what a reset of it would do.

    :param others: what there is not fabnode's, by kind. :param copied: the record is the deployer's
        copy.
    """

    survey: Survey
    scope: Scope
    reset: Reset
    others: Mapping[str, tuple[str, ...]]
    copied: bool = False


@dataclass(frozen=True, slots=True)
class ResetResult:
    """
    What a reset came to.

    :param gone: what was removed; `restored`: what was put back. Each as `kind name`.
    :param others: what is not fabnode's, by kind. :param changed: of these, the lines that came or
        went meanwhile, each with `+` or `-`.
    :param stays: what is left of a node's, with the reason. :param unknown: see `Reset`.
    """

    gone: tuple[str, ...]
    restored: tuple[str, ...]
    others: Mapping[str, tuple[str, ...]]
    changed: tuple[str, ...]
    stays: tuple[str, ...]
    unknown: tuple[str, ...]


def plan(run: Run, pods: Collection[str] = ()) -> dict[str, Outcome[Resettable]]:
    """
    Survey every host of the run, and return what a reset would do. Changes nothing.

    :param pods: patterns of `namespace/name` of pods that may be ended.
    """
    return on_hosts(run, partial(survey_host, run, pods))


def carry_out(
    run: Run, planned: Mapping[str, Outcome[Resettable]], pods: Collection[str] = ()
) -> dict[str, Outcome[ResetResult]]:
    """Reset the hosts that were planned, each as it was shown; what is refused fails."""

    def one(host: Host) -> ResetResult:
        found = planned[host.name]
        if found.value is None:
            raise found.error or RuntimeError(found.skipped)
        return reset_host(run, host, found.value, pods)

    return on_hosts(run, one)


def in_cluster(run: Run) -> dict[str, tuple[str, ...]]:
    """
    Return what the cluster has of the run's nodes, by name: a reset leaves all of it.

    Empty where the API can't be asked, which a reset does not need.
    """
    try:
        cluster = run.config.cluster
        api = Api(everywhere(load(cluster.kubeconfig), cluster), patience=_PATIENCE)
        return left(api, [node.name for node in run.nodes])
    except FabnodeError:
        return {}


def survey_host(run: Run, pods: Collection[str], host: Host) -> Resettable:
    """
    Survey one host, and return what a reset of it would do. Changes nothing.

    :param pods: patterns of `namespace/name` of pods that may be ended.
    """
    with run.journal.step(host.name, RESET, "surveying") as log:
        resources = resources_of(run.config, host.node, node_steps(run.steps))
        scope = beside(scope_of(run.config, host.node, resources))
        seen = _survey(host, scope)
        copied = None
        if seen.own and seen.before is None:
            copied = baselines.find(host.name, seen.now.machine)
            seen = replace(seen, before=copied)
        todo = reset(seen, scope, pods=pods)
        if host.node.runtime.name == "docker" and todo.changes:
            todo = replace(todo, refusals=(_DOCKER, *todo.refusals))
        others = foreign(seen, scope)
        if not (todo.changes or seen.own):
            # The run that recorded it ended before it could say so.
            unfinished.end(run.config, host.name)
            unfinished.forget(run.config, host.name)
        count = len(todo.changes)
        log.note(f"{count} things to remove or put back" if count else "nothing of a node is there")
    return Resettable(seen, scope, todo, others, copied is not None)


def _survey(host: Host, scope: Scope) -> Survey:
    programs = scope.ctr.rpartition("/")[0]
    return survey(host, observed(scope), state=scope.state, programs=programs)


def reset_host(
    run: Run,
    host: Host,
    found: Resettable,
    pods: Collection[str],
    stopped: Callable[[], None] = lambda: None,
    task: str = RESET,
) -> ResetResult:
    """
    Reset one host as it was surveyed.

    :param task: what it is part of, by which it goes on where it is interrupted.

    :param stopped: called once nothing of the node runs any more, before its files go.
    :raises ResetRefusedError: it must not be reset as it is; nothing, or nothing more, was changed.
    :raises NotResetError: all was done, and something is still there.
    """
    if found.reset.refusals:
        raise ResetRefusedError(found.reset.refusals)
    done: list[Change] = []
    asked = found.survey.sandboxes is not None

    def surveyed() -> tuple[Survey, Reset]:
        seen = replace(_survey(host, found.scope), before=found.survey.before)
        return seen, reset(seen, found.scope, pods=pods, ours=True, asked=asked)

    todo = found.reset
    text = unfinished.text_of(task)
    begun = unfinished.change_of(todo, found.scope.state, text)
    if begun:
        unfinished.begin(run.config, host.name, found.survey.begun or text)
    if todo.first:
        done += _carry_out(run, host, (*begun, *todo.first))
        _, todo = surveyed()
        if todo.refusals:
            raise ResetRefusedError(todo.refusals)
        if todo.first:
            raise NotResetError(f"still there: {_named(todo.first)}")
    stopped()
    done += _carry_out(run, host, (*begun, *todo.rest) if todo.rest else ())
    with run.journal.step(host.name, RESET, "surveying the host again") as log:
        seen, after = surveyed()
        there = [change for change in after.changes if change.kind != "folder"]
        if there:
            raise NotResetError(f"still there: {_named(there)}")
        log.note("nothing of a node is left" if done else "nothing was there")
    unfinished.end(run.config, host.name)
    unfinished.forget(run.config, host.name)
    filled = {change.name for change in after.rest if change.kind == "folder"}
    others = foreign(seen, found.scope)
    things = [change for change in done if change.kind not in _NO_THINGS]
    return ResetResult(
        gone=tuple(_thing(c) for c in things if c.kind not in _PUT_BACK and c.name not in filled),
        restored=tuple(_thing(c) for c in things if c.kind in _PUT_BACK),
        others=others,
        changed=_differences(found.others, others),
        stays=(
            *found.reset.stays,
            *(f"{name}: other files are in it" for name in sorted(filled)),
        ),
        unknown=found.reset.unknown,
    )


def _carry_out(run: Run, host: Host, changes: tuple[Change, ...]) -> tuple[Change, ...]:
    if not changes:
        return ()
    host_changes.carry_out(run.config, run.journal, host, Plan(host.name, changes), RESET)
    return changes


def _thing(change: Change) -> str:
    return f"{change.kind} {change.name}: {change.why}"


def _named(changes: Sequence[Change]) -> str:
    return ", ".join(f"{change.kind} {change.name}" for change in changes)


def _differences(
    before: Mapping[str, tuple[str, ...]], after: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the lines of what is not fabnode's that came or went."""
    found: list[str] = []
    for kind in dict.fromkeys((*before, *after)):
        old, new = Counter(before.get(kind, ())), Counter(after.get(kind, ()))
        found += [f"- {kind}: {line}" for line in (old - new).elements()]
        found += [f"+ {kind}: {line}" for line in (new - old).elements()]
    return tuple(found)
