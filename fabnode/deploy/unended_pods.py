"""
Pods of a node whose kubelet ends none: what shows that, and their removal once none of them runs.

The API deletes a pod on a node once its kubelet says that it has ended. Where that kubelet is dead,
evicted pods stay for good, and those that are to replace a StatefulSet's do not start. To have them
go at once is to declare them dead: only what was seen on the host itself allows that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kube import node_status
from ..node.conventions import KUBELET_SERVICE
from ..remote.kubelet_state import STOPPED
from ..upkeep import departures
from ..upkeep.objects import full_name
from ..util import program
from ..util.errors import FabnodeError
from ..util.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..journal.journal import Step
    from ..kube.client import Object
    from ..node.surroundings import Survey
    from .evictions import Evictions


class NotProvenDeadError(FabnodeError):
    """Pods of a node that is removed may still run on its host; they were not declared dead."""

    def __init__(self, node: str, why: str, advice: str = "") -> None:
        again = program.task(f"remove-node --limit {node}")
        super().__init__(
            f"its pods were not declared dead: {why}",
            advice
            or "end what runs there (`crictl pods`, `systemctl status kubepods.slice`), then"
            f" {again} goes on from here",
        )


def no_kubelet(survey: Survey, live: Object) -> str:
    """Return why a node's kubelet ends no pod, in a clause; empty: it does."""
    unit = survey.now.unit(KUBELET_SERVICE)
    if unit.active in STOPPED:
        return f"its kubelet does not run ({unit.active})"
    if node_status.is_silent(live):
        return "its kubelet runs, and reports nothing to the cluster"
    return ""


def still_runs(survey: Survey) -> str:
    """Return what shows that something of its pods may run on a host; empty: nothing does."""
    unit = survey.now.unit(KUBELET_SERVICE)
    if unit.active not in STOPPED:
        return f"{KUBELET_SERVICE} is {unit.active} there"
    if survey.sandboxes:
        return f"containerd holds {', '.join(sorted(each.pod for each in survey.sandboxes))}"
    if survey.shims:
        return f"{counted(survey.shims, 'container')} run there, of which containerd says nothing"
    if survey.processes:
        return f"processes run in cgroups of pods there ({survey.processes})"
    if cut := survey.now.cut & {"all", "processes", "sandbox"}:
        return f"the host did not show all of it ({', '.join(sorted(cut))})"
    return ""


def ending(evictions: Evictions, node: str) -> list[Object]:
    """Return the pods of a node that were deleted, and that are still there."""
    around, permits = departures.Surroundings(), departures.Permits()
    return [
        pod
        for pod in evictions.pods(node)
        if departures.departure(pod, around, permits).fate == "ending"
    ]


def declare_dead(evictions: Evictions, node: str, log: Step) -> tuple[str, ...]:
    """
    Have pods go at once that were deleted, and that no kubelet ends; return their names.

    To be called once nothing of them runs. What the API refuses is reported: it goes with the Node.
    """
    refused = "goes with the Node object: the API refuses"
    return delete(evictions, ending(evictions, node), log, refused)


def delete(
    evictions: Evictions, pods: Sequence[Object], log: Step, refused: str
) -> tuple[str, ...]:
    """
    Have pods that have ended go from the API at once; return the names of those that went.

    :param refused: what is warned of one that the API refuses to delete, behind its name.
    """
    gone = []
    for pod in pods:
        answer = evictions.delete(pod, ended=True)
        if answer.kind == "refused":
            log.warn(f"{full_name(pod)} {refused}: {answer.text}")
        else:
            gone.append(full_name(pod))
    return tuple(gone)
