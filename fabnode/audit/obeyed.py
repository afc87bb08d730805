"""Findings about trust anchors that are not the cluster's, or writable by others than root."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..node import advice
from ..node.examination import Provenance
from .anchors import OTHERS_WRITE, Standing
from .finding import Finding
from .settings import not_settable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..node.examination import Evidence
    from .anchors import Anchors, Verdict
    from .finding import Check
    from .settings import Settings


def refusal(ca: str, verdict: Verdict | None) -> str:
    """Return why nothing that rests on the clientCAFile is made stricter, or nothing."""
    if verdict is None or verdict.standing in {Standing.GOOD, Standing.EXTRA}:
        return ""
    return f"{ca} decides whom the kubelet lets in, but is not sound: {verdict.reason}"


def client_ca(
    evidence: Evidence, settings: Settings, path: str, seen: str, verdict: Verdict
) -> Iterator[Finding]:
    """Judge the file of CAs that decides who may ask a kubelet for anything."""
    yield from _anchored(
        evidence,
        settings,
        path,
        verdict,
        check="foreign-client-ca",
        text="a CA other than the cluster's decides who may use this kubelet",
        seen=seen,
        fix="name a file that is root's alone and holds the cluster's CA and nothing else",
    )


def kubeconfig(
    evidence: Evidence, settings: Settings, path: str, anchors: Anchors
) -> Iterator[Finding]:
    """Judge a kubeconfig and what it names: they decide which apiserver a program obeys."""
    if not path:
        return
    yield from _anchored(
        evidence,
        settings,
        path,
        anchors.kubeconfig(path),
        check="foreign-apiserver",
        text=f"a CA other than the cluster's decides which apiserver {settings.program} obeys",
        seen=f"{settings.program}'s settings name it",
        fix="a kubeconfig that is root's alone, with the cluster's CA",
    )
    paths = anchors.named_by(path)
    yield from writable(evidence, settings, anchors, paths, "with it one is this node at the API")


def _anchored(
    evidence: Evidence,
    settings: Settings,
    path: str,
    verdict: Verdict,
    *,
    check: Check,
    text: str,
    seen: str,
    fix: str,
) -> Iterator[Finding]:
    """Return the finding that the standing of an anchor makes, if any."""
    if verdict.standing is Standing.GOOD:
        return
    by_hand = not_settable(evidence, settings) or "only a person can decide which CA is right"
    if verdict.standing is Standing.EXTRA:
        yield Finding(
            check,
            "low",
            path,
            f"{settings.program} obeys more than the cluster's CA: {verdict.reason}",
            seen,
            "none while CAs are exchanged; else leave the cluster's CA alone in it",
            by_hand=by_hand,
            provenance=Provenance.ROOT_ONLY,
        )
    elif verdict.standing is Standing.UNSEEN:
        text = f"not judged, though {settings.program} uses it: {verdict.reason}"
        yield Finding("unseen", "medium", path, text, seen, "examine it there", by_hand=by_hand)
    else:
        yield Finding(check, "high", path, f"{text}: {verdict.reason}", seen, fix, by_hand=by_hand)


def writable(
    evidence: Evidence, settings: Settings, anchors: Anchors, paths: list[str], what: str
) -> Iterator[Finding]:
    """Judge files by who may write them. :param what: what a writer gains."""
    for path in anchors.writable(paths):
        yield Finding(
            "others-may-write",
            "high",
            path,
            f"{settings.program} uses it, and {OTHERS_WRITE}: {what}",
            "owner, mode, and those of the folders and links on its way",
            advice.replaced(path),
            by_hand=not_settable(evidence, settings, path)
            or "only a person can judge what others wrote",
            provenance=Provenance.OTHERS_MAY_WRITE,
        )
