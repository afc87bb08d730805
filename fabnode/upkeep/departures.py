"""
Which pods a drain evicts, which stay, and what blocks the others.

The order of the checks is that of kubectl (k8s.io/kubectl `pkg/drain/filters.go`), which checks
emptyDir but no other data of the host; such data is named here, but stops nothing: it is still
there when the node is back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from ..util.own_names import PROBE_NAMESPACE
from . import local_data
from .objects import controller, full_name, line
from .owners import Chain, chain_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from .budgets import Budget
    from .eviction_answers import Answer
    from .objects import Object

Fate = Literal["goes", "waits", "ending", "stays", "blocked"]

_MIRROR = "kubernetes.io/config.mirror"
FINISHED = frozenset({"Succeeded", "Failed"})
_DAEMONSET, _OWN_GROUPS = "DaemonSet", frozenset({"apps", "extensions"})


@dataclass(frozen=True, slots=True)
class Permits:
    """
    What the operator allows.

    :param forced: pods (`namespace/name`) that go although nothing replaces them, or although their
        emptyDir is lost. :param past_budget: pods that are deleted past their budgets.
    :param emptydir_data: emptyDirs of any pod may be lost.
    """

    forced: frozenset[str] = frozenset()
    past_budget: frozenset[str] = frozenset()
    emptydir_data: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What pods are judged by.

    :param chains: their owners, by the pod's uid. :param claims: volumes by claim.
    """

    budgets: Sequence[Budget] = ()
    chains: Mapping[str, Chain] = field(default_factory=dict)
    claims: Mapping[tuple[str, str], Object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Departure:
    """
    What a drain does with one pod.

    :param pod: `namespace/name`.
    :param fate: goes: is evicted; waits: will be, once its budget allows; ending: was deleted, and
        stops; stays: belongs to this node; blocked: does not go unless something changes.
    :param why: one clause. :param frees: what would free it, where it waits or is blocked.
    :param budgets: those that cover it. :param data: what of its data stays on this host.
    :param owner: who replaces it, in a line.
    """

    pod: str
    uid: str
    fate: Fate
    why: str = ""
    frees: str = ""
    budgets: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    owner: str = ""


def departures(
    pods: Collection[Object], around: Surroundings, permits: Permits
) -> tuple[Departure, ...]:
    """
    Return what a drain does with each of a node's pods.

    Blocked and waiting pods come first; within one fate, pods without a budget.
    """
    judged = [departure(pod, around, permits) for pod in pods]
    return tuple(sorted(_shared(judged, around.budgets), key=_order))


def departure(pod: Object, around: Surroundings, permits: Permits) -> Departure:
    """Return what a drain does with one pod, as if it were the only one that goes."""
    metadata = pod["metadata"]
    name, uid = full_name(pod), str(metadata.get("uid", ""))
    chain = around.chains.get(uid, ())
    base = Departure(name, uid, "goes", owner=chain_text(chain))
    if _MIRROR in (metadata.get("annotations") or {}):
        return replace(base, fate="stays", why="a static pod: a file on the host makes it")
    if "deletionTimestamp" in metadata:
        return replace(base, fate="ending", why=_ending(metadata))
    if (pod.get("status") or {}).get("phase") in FINISHED:
        return replace(base, why="it has finished")
    if metadata.get("namespace") == PROBE_NAMESPACE:
        return replace(base, why="a verification that runs, or that was killed, made it")
    if _of_daemonset(pod) and not _orphaned(pod, chain):
        return replace(base, fate="stays", why="its DaemonSet runs one on every node")
    covering = [budget for budget in around.budgets if budget.covers(pod)]
    if name in permits.past_budget:
        covering = []
    base = replace(
        base,
        budgets=tuple(budget.title for budget in covering),
        data=local_data.stays_behind(pod, around.claims),
    )
    reasons = list(_unreplaced(pod, chain)) if name not in permits.forced else []
    if not permits.emptydir_data and name not in permits.forced:
        reasons += _lost(pod)
    fate, why, frees = _by_budgets(pod, covering)
    if reasons:
        fate = "blocked"
    texts = [why for why, _ in reasons] + ([why] if why else [])
    ways = [frees for _, frees in reasons] + ([frees] if frees else [])
    return replace(base, fate=fate, why="; ".join(texts), frees="; ".join(ways))


def after_dry_run(found: Departure, answer: Answer) -> Departure:
    """Return a departure with what the API answered to the same eviction as a dry run."""
    if found.fate not in {"goes", "waits"} or answer.kind in {"accepted", "busy"}:
        return found
    if answer.kind == "gone":
        return replace(found, fate="ending", why="it has gone meanwhile")
    if answer.kind == "refused":
        return refused(found, answer.text)
    return found if found.fate == "waits" else held(found, answer.text)


def refused(found: Departure, text: str) -> Departure:
    """Return a departure that the API refused, with its message."""
    frees = "what refuses it: a webhook, a policy, or rights of this account"
    return replace(found, fate="blocked", why=f"the API refuses: {text}", frees=frees)


def held(found: Departure, text: str) -> Departure:
    """Return a departure that the API defers, with its message."""
    return replace(found, fate="waits", why=f"the API defers it: {text}")


def stopping(found: Departure) -> Departure:
    """Return a departure that has been accepted: the pod is in its termination grace period."""
    return replace(found, fate="ending", why="evicted, but not yet stopped", frees="")


def because(found: Departure, reasons: str) -> Departure:
    """Return a departure that waits with the reasons why its budget does not allow more."""
    return replace(found, why=f"{found.why}: {reasons}") if reasons else found


def left(found: Iterable[Departure]) -> tuple[Departure, ...]:
    """Return those that must leave before the node is empty."""
    return tuple(each for each in found if each.fate != "stays")


def blocked(found: Iterable[Departure]) -> tuple[Departure, ...]:
    """Return those that do not go."""
    return tuple(each for each in found if each.fate == "blocked")


def _of_daemonset(pod: Object) -> bool:
    reference = controller(pod)
    return reference is not None and reference.get("kind") == _DAEMONSET


def _orphaned(pod: Object, chain: Chain) -> bool:
    """Return whether a DaemonSet's pod has lost its owner; unknown for custom kinds."""
    reference = controller(pod) or {}
    group = str(reference.get("apiVersion", "")).rpartition("/")[0]
    return group in _OWN_GROUPS and bool(chain) and chain[0].exists is False


def _unreplaced(pod: Object, chain: Chain) -> Iterable[tuple[str, str]]:
    name = full_name(pod)
    if controller(pod) is None:
        frees = f"a controller, or --force {name}: it does not come back"
        yield "no controller replaces it", frees
    elif chain and chain[0].exists is False:
        yield f"its {chain[0].text}: nobody replaces it", f"--force {name}"


def _lost(pod: Object) -> list[tuple[str, str]]:
    if not (lost := local_data.lost_with(pod)):
        return []
    ways = f"--delete-emptydir-data for all pods, --force {full_name(pod)} for this one"
    return [(f"its {', '.join(lost)} would be lost", ways)]


def _by_budgets(pod: Object, covering: Sequence[Budget]) -> tuple[Fate, str, str]:
    """Return fate, why, and what frees, as the apiserver would decide it now."""
    if (pod.get("status") or {}).get("phase") != "Running" or not covering:
        return "goes", "", ""  # no budget is asked about one that does not run yet
    past = f"--past-budget {full_name(pod)}: it is deleted whatever its budget says"
    if len(covering) > 1:
        names = " and ".join(budget.title for budget in covering)
        why = f"{len(covering)} budgets cover it ({names}): the API evicts no such pod"
        return "blocked", why, f"leave it to one budget; {past}"
    (budget,) = covering
    if not budget.observed:
        why = f"the budget {budget.title} was changed and is not processed yet"
        return "waits", why, "a moment: kube-controller-manager processes it"
    if budget.fault:
        return "blocked", f"the budget {budget.title} has no status: {budget.fault}", past
    if not _ready(pod) and budget.passes_unready():
        return "goes", "", ""
    if budget.allowed > 0:
        return "goes", "", ""
    why = f"the budget {budget.title} {budget.numbers}"
    if budget.never_allows:
        ways = f"one replica more, or another {budget.rule.partition(':')[0]} in the budget"
        return "blocked", f"{why}: never more than that", f"{ways}; {past}"
    if not _ready(pod):
        why += "; this pod is not Ready itself"
    return "waits", why, f"pods of the budget that are Ready elsewhere; {past}"


def _shared(found: Sequence[Departure], budgets: Sequence[Budget]) -> Iterable[Departure]:
    """Have pods wait where a budget allows only some of them at once."""
    allowed = {budget.title: budget for budget in budgets}
    taken: Counter[str] = Counter()
    share = Counter(name for each in found if each.fate == "goes" for name in each.budgets)
    for each in found:
        if each.fate != "goes" or not each.budgets:
            yield each
            continue
        budget = allowed[each.budgets[0]]
        taken[budget.title] += 1
        if not budget.allowed or taken[budget.title] <= budget.allowed:
            yield each
            continue
        why = (
            f"the budget {budget.title} {budget.numbers}: {share[budget.title]} pods of this node"
            " share it, one goes after another"
        )
        yield replace(each, fate="waits", why=why, frees="replacements that are Ready elsewhere")


def _ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _ending(metadata: Object) -> str:
    grace = metadata.get("deletionGracePeriodSeconds")
    text = f"deleted, to be gone by {line(metadata['deletionTimestamp'])}"
    if isinstance(grace, int):
        text += f" (grace of {grace} s)"
    if keepers := metadata.get("finalizers"):
        text += f"; kept by {line(', '.join(map(str, keepers)))}"
    return text


def _order(found: Departure) -> tuple[int, bool, str]:
    fates: tuple[Fate, ...] = ("blocked", "waits", "goes", "ending", "stays")
    return fates.index(found.fate), bool(found.budgets), found.pod
