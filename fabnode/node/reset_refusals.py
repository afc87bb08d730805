"""What forbids the reset of a host, with what to do about it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .conventions import CONTAINERD_SERVICE, KUBELET_SERVICE
from .host_traces import tables_of_iptables
from .reset_case import Case

# What has to be seen whole: what is not there, a reset leaves, or deletes as if nobody used it.
_NEEDED_WHOLE = ("all", "filter", "nft", "mount", "sandbox", "interface", "unit", "path", "filled")
_SHORT, _SHOWN = 12, 5  # of ids of others' containers: letters, and how many


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a host is not reset, and what to do about it."""

    text: str
    fix: str


def refusals(case: Case, pods: Collection[str]) -> Iterator[Refusal]:
    """
    Yield what forbids the reset.

    :param pods: patterns of `namespace/name` of pods that may be ended.
    """
    yield from _of_running(case, pods)
    yield from _of_containerd(case)
    yield from _of_symlinks(case)
    yield from _of_packet_filters(case)
    yield from _of_unseen(case)


def _of_running(case: Case, pods: Collection[str]) -> Iterator[Refusal]:
    """Yield services and pods that run there, and are not to be ended."""
    kubelet = case.now.unit(KUBELET_SERVICE)
    if kubelet.active == "active" and not case.is_our_unit(KUBELET_SERVICE):
        yield Refusal(
            f"{KUBELET_SERVICE} runs there and is not fabnode's ({kubelet.file or 'no file'})",
            "remove it by the tool that installed it",
        )
    others = [s.pod for s in case.survey.sandboxes or () if not s.daemon]
    left = [pod for pod in others if not any(fnmatchcase(pod, each) for each in pods)]
    if left:
        yield Refusal(
            f"pods run there: {', '.join(sorted(left))}",
            "drain the node; or name them, and what they keep there is lost:"
            f" --pods {','.join(sorted(left))}",
        )


def _of_containerd(case: Case) -> Iterator[Refusal]:
    """Yield why containerd was not asked, or what else than pods it holds."""
    survey = case.survey
    if survey.untrusted:
        named = ", ".join(survey.untrusted)
        yield Refusal(
            f"others than root may change {named}, so that containerd was not asked what it holds",
            "remove or rewrite the file, and fix the folders and links on the way to it that"
            " are not root's (`namei -l` shows whose each is)",
        )
    elif survey.sandboxes is None and survey.shims:
        yield Refusal(
            f"containerd does not answer, and {survey.shims} containers run",
            f"systemctl restart {CONTAINERD_SERVICE} there, so that they can be ended",
        )
    for name, (containers, images) in survey.namespaces.items():
        if name != "k8s.io" and (containers or images):
            yield Refusal(
                f"its containerd holds {containers} containers and {images} images that are"
                f" not fabnode's, in the namespace {name}",
                f"see `{case.scope.ctr} -n {name} containers ls`, and move or remove them",
            )
    if survey.containers:
        named = ", ".join(each[:_SHORT] for each in survey.containers[:_SHOWN])
        more = len(survey.containers) - _SHOWN
        yield Refusal(
            f"its containerd holds containers that are no pod's, in the namespace"
            f" k8s.io: {named}{f' and {more} more' if more > 0 else ''}",
            f"see `{case.scope.ctr} -n k8s.io containers info {survey.containers[0]}` (such are"
            " those of `nerdctl -n k8s.io`), and move or remove them",
        )


def _of_symlinks(case: Case) -> Iterator[Refusal]:
    for path in case.scope.trees:
        if path in case.now.paths and case.now.paths[path].kind == "symlink":
            yield Refusal(
                f"{path} is a symlink, which a reset does not follow",
                "empty what it leads to, and remove the link",
            )


def _of_packet_filters(case: Case) -> Iterator[Refusal]:
    """Yield rules of others that need a chain which would be removed."""
    for program, parts in case.filters.items():
        for part in parts:
            if part.conflicts:
                yield Refusal(
                    f"{program}, table {part.table}: a chain that is not fabnode's leads to"
                    f" one to be removed: {part.conflicts[0]}",
                    "delete that rule, and run it again",
                )


def _of_unseen(case: Case) -> Iterator[Refusal]:
    """Yield what the survey could not see, or not to its end."""
    now = case.now
    if lacks := sorted(now.lacks):
        yield Refusal(
            f"it has no {', '.join(lacks)}, without which a reset would not see what is there",
            "install the packages iproute2 and iptables there",
        )
    for name, lines in now.tables().items():
        chains = [line for line in lines if re.match(r"\s*chain (KUBE|cali)-", line)]
        if chains and name not in tables_of_iptables(case.filters):
            yield Refusal(
                f"nft's table {name} holds chains of a node, which only iptables can read",
                "install the package iptables there",
            )
    if cut := sorted(name for name in now.cut if name.startswith(_NEEDED_WHOLE)):
        yield Refusal(
            f"it has more of {', '.join(cut)} than is read, or did not show all of it in time",
            "run it again; if it says the same, this host has to be reset by hand",
        )
