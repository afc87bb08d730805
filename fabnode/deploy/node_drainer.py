"""
Drain of one node: what would go and why not, then evictions until none is left.

Pods are listed again and again: one that tolerates the cordon may come later. A refusal that
passes is tried again until the deadline, and is reported; one that does not ends the drain once all
others have gone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..upkeep import departures, operations
from ..upkeep.objects import full_name
from ..util import program
from ..util.errors import FabnodeError
from ..util.wait import Wait, unless
from ..util.words import counted

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping, Sequence

    from ..config.configuration import Config
    from ..journal.journal import Step
    from ..kube.client import Object
    from ..upkeep.budgets import Budget
    from ..upkeep.departures import Departure, Permits
    from .evictions import Evictions

_POLL = 1.0  # seconds between two lists of pods
_NAMED = 3  # pods in a sentence; all of them stand in the detail


class DrainBlockedError(FabnodeError):
    """Some pods of a node would not go: nothing was changed, and it was not cordoned."""

    def __init__(self, node: str, held: Sequence[Departure]) -> None:
        command = program.task(f"drain --limit {node} --dry-run")
        super().__init__(
            f"{counted(len(held), 'pod')} would not go, so it was not cordoned: {_sentence(held)}",
            f"{command} shows what frees each of them",
        )
        self.detail = "\n".join(map(text_of, held))


class StillThereError(FabnodeError):
    """Pods of a node that is drained do not go, though all others have."""

    def __init__(self, held: Sequence[Departure], advice: str) -> None:
        super().__init__(f"{counted(len(held), 'pod')} did not go: {_sentence(held)}", advice)
        self.detail = "\n".join(map(text_of, held))


@dataclass(frozen=True, slots=True)
class Preview:
    """
    What a drain of a node would do.

    :param cordon: owner of the node's cordon: fabnode as recorded, somebody else; empty: none.
    """

    cordon: str
    departures: tuple[Departure, ...]


class NodeDrainer:
    """
    Drains nodes, one call each; threads may share it.

    :param stopped: set when the user interrupts.
    """

    def __init__(
        self, config: Config, evictions: Evictions, permits: Permits, stopped: threading.Event
    ) -> None:
        self._config = config
        self._evictions = evictions
        self._permits = permits
        self._stopped = stopped

    def preview(self, live: Object) -> Preview:
        """Return what would become of each pod of a node; changes nothing."""
        pods = self._evictions.pods(live["metadata"]["name"])
        around = self._evictions.surroundings(pods)
        found = departures.departures(pods, around, self._permits)
        if self._evictions.can_try:
            asked = {each.uid for each in found if each.fate in {"goes", "waits"}}
            past = self._permits.past_budget
            answers = self._evictions.tried(
                [p for p in pods if p["metadata"]["uid"] in asked and full_name(p) not in past]
            )
            found = tuple(
                departures.after_dry_run(each, answers[each.uid]) if each.uid in answers else each
                for each in found
            )
        return Preview(operations.whose(live), found)

    def drain(self, node: str, log: Step, advice: str = "", *, ends: bool = True) -> None:
        """
        Evict pods until none is left but those that belong to the node.

        :param ends: False: no kubelet ends them, so that it is enough that each may go.

        :param advice: what to do where this does not come to its end; empty: drain it again.
        :raises StillThereError: some are refused for good.
        :raises WaitTimeoutError: at the deadline some are held, or have not stopped.
        """
        advice = advice or still_cordoned(node)
        retry = self._config.maintenance.retry
        state = _Drain(node, self._evictions, self._permits, log, retry, advice, ends=ends)
        wait = Wait(
            "its pods to go",
            self._config.timeouts.drain,
            _POLL,
            advice=advice,
            on_state=log.waiting,
            sleep=unless(self._stopped),
        )
        while not state.poll():
            if wait.over:
                overdue = wait.overdue(state.text)
                overdue.detail = state.detail
                raise overdue
            wait.report(state.text)
            wait.pause()
        if state.gone:
            log.changed(f"{counted(state.gone, 'pod')} evicted")
        late = f"; no kubelet ends {counted(state.ending, 'pod')} that may go"
        log.note(f"{state.staying} of the node's own stay{late if state.ending else ''}")


class _Drain:
    """
    A drain on its way.

    :ivar gone: pods whose eviction was accepted. :ivar staying: pods that belong to the node.
    """

    def __init__(
        self,
        node: str,
        evictions: Evictions,
        permits: Permits,
        log: Step,
        retry: float,
        advice: str,
        *,
        ends: bool,
    ) -> None:
        self._node = node
        self._advice = advice
        self._evictions = evictions
        self._permits = permits
        self._log = log
        self._retry = retry
        self._ends = ends
        self._judged: dict[str, Departure] = {}
        self._due: dict[str, float] = {}  # when the eviction of a pod is tried again
        self._refused: dict[str, str] = {}  # the API's words, by uid
        self._held: dict[str, str] = {}  # likewise, of what is tried again
        self._why: dict[str, str] = {}  # why pods of a budget are not Ready, by its title
        self._next_judgement = 0.0
        self._left: tuple[Departure, ...] = ()
        self.gone = 0
        self.staying = 0

    def poll(self) -> bool:
        """List the node's pods, and evict those that are due; return whether none is to come."""
        pods = {str(pod["metadata"]["uid"]): pod for pod in self._evictions.pods(self._node)}
        now = time.monotonic()
        if pods.keys() - self._judged.keys() or now >= self._next_judgement:
            self._judge(pods)
            self._next_judgement = now + self._retry
        found = [self._judged[uid] for uid in pods]
        self._left = departures.left(found)
        self.staying = len(found) - len(self._left)
        for each in sorted(self._left, key=lambda each: bool(each.budgets)):
            if each.fate in {"goes", "waits"} and self._due.get(each.uid, 0.0) <= now:
                self._evict(each, pods[each.uid])
        hopeless = [each for each in self._left if self._is_hopeless(each)]
        remain = len(self._left) - (0 if self._ends else self.ending)
        if hopeless and len(hopeless) == remain:
            raise StillThereError([self._as_known(each) for each in hopeless], self._advice)
        return not remain

    @property
    def ending(self) -> int:
        """How many pods were deleted, and are there."""
        return sum(each.fate == "ending" for each in self._left)

    @property
    def text(self) -> str:
        """What is waited for, in a line."""
        return (
            f"{counted(len(self._left), 'pod')} left: {_sentence(map(self._as_known, self._left))}"
        )

    @property
    def detail(self) -> str:
        """What is waited for, a line for each pod."""
        return "\n".join(text_of(self._as_known(each)) for each in self._left)

    def _judge(self, pods: Mapping[str, Object]) -> None:
        # What belongs to the node is not judged again.
        known = {uid for uid, each in self._judged.items() if each.fate == "stays"}
        news = [pod for uid, pod in pods.items() if uid not in known]
        around = self._evictions.surroundings(news)
        for each in departures.departures(news, around, self._permits):
            self._judged[each.uid] = each
        waiting = {
            name
            for each in self._judged.values()
            if each.uid in pods
            for name in each.budgets
            if each.fate == "waits"
        }
        self._why = {
            budget.title: self._reasons(budget)
            for budget in around.budgets
            if budget.title in waiting
        }

    def _reasons(self, budget: Budget) -> str:
        return "; ".join(self._evictions.not_ready(budget))

    def _evict(self, each: Departure, pod: Object) -> None:
        past = each.pod in self._permits.past_budget
        answer = self._evictions.delete(pod) if past else self._evictions.evict(pod)
        self._refused.pop(each.uid, None)
        self._held.pop(each.uid, None)
        match answer.kind:
            case "accepted":
                self.gone += 1
                self._judged[each.uid] = departures.stopping(each)
                self._log.progress(f"{'deleted' if past else 'evicted'} {each.pod}")
            case "gone":
                self._due[each.uid] = 0.0
            case "held" | "busy":
                self._due[each.uid] = time.monotonic() + max(answer.after, self._retry)
                self._held[each.uid] = answer.text
            case "refused":
                self._due[each.uid] = time.monotonic() + self._retry
                self._refused[each.uid] = answer.text

    def _is_hopeless(self, each: Departure) -> bool:
        return each.fate == "blocked" or each.uid in self._refused

    def _as_known(self, each: Departure) -> Departure:
        """Return a pod with what is known of it by now."""
        if each.uid in self._refused:
            return departures.refused(each, self._refused[each.uid])
        if each.fate == "goes" and each.uid in self._held:
            return departures.held(each, self._held[each.uid])
        reasons = filter(None, (self._why.get(name, "") for name in each.budgets))
        return departures.because(each, "; ".join(reasons)) if each.fate == "waits" else each


def still_cordoned(node: str, task: str = "drain") -> str:
    """Return what to do about a node on which a task did not come to its end."""
    again, back = program.task(f"{task} --limit {node}"), program.task(f"uncordon --limit {node}")
    return f"it stays cordoned: {again} goes on from here, {back} takes the cordon back"


def text_of(each: Departure) -> str:
    """Return a pod with all that is known of it, in a line."""
    parts = [f"{each.pod}: {each.fate}", each.why, *each.data]
    frees = f"; what frees it: {each.frees}" if each.frees else ""
    return "; ".join(filter(None, parts)) + frees


def _sentence(held: Iterable[Departure]) -> str:
    found = list(held)
    named = [f"{each.pod} ({each.why or each.fate})" for each in found[:_NAMED]]
    more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(named) + more
