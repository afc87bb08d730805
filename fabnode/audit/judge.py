"""Collects all findings of one host, sorted by severity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..node.conventions import KUBELET_PORT
from . import answerer, packets, services
from .anchors import Anchors
from .credentials import Credentials
from .finding import SEVERITIES, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from ..node.examination import Asked, Evidence


def judge(
    evidence: Evidence, asked: Asked, *, node: str, ca_pem: bytes, now: datetime
) -> tuple[Finding, ...]:
    """
    Return what is wrong with a host.

    :param node: its name at the API. :param ca_pem: the cluster's CA, from the configuration.
    """
    credentials = Credentials(evidence, node, ca_pem, now)
    found = [
        *credentials.findings(),
        *services.findings(evidence, asked, Anchors(evidence, ca_pem)),
        *packets.findings(evidence),
        *_unseen(evidence, asked),
    ]
    return tuple(_once(sorted(found, key=lambda f: SEVERITIES.index(f.severity))))


def _once(found: Iterable[Finding]) -> Iterator[Finding]:
    """Return what others may write once, by its worst: several programs may use one file."""
    named = set()
    for finding in found:
        if finding.check == "others-may-write":
            if finding.subject in named:
                continue
            named.add(finding.subject)
        yield finding


def _unseen(evidence: Evidence, asked: Asked) -> Iterator[Finding]:
    """Return what was not examined: silence would look like health."""
    unknown = list(evidence.unseen)
    reported = (*asked.strangers, *asked.silent, *asked.redirected, *asked.unproven)
    if asked.pods is None and KUBELET_PORT not in reported:
        unknown.append(
            "who the kubelet answers: sshd forbids forwarding, or who listens there is not known;"
            " only its settings are judged"
        )
    if "kubelet" not in evidence.programs:
        unknown.append("the kubelet: no unit runs one")
    if "kube-proxy" not in evidence.programs:
        unknown.append("kube-proxy: no unit runs one; in a pod its settings are its manifest's")
    for what in unknown:
        yield Finding("unseen", "info", "host", f"not examined: {what}", "", "examine it there")
    # What others can bring about must not make an audit quiet.
    silent = (
        f"whom the kubelet answers on :{port}: it listens there, but gave no answer; only its"
        " settings are judged"
        for port in asked.silent
    )
    for what in (*evidence.limited, *silent, *answerer.unproven(asked)):
        yield Finding("unseen", "medium", "host", f"not examined: {what}", "", "examine it there")
    if not evidence.users_known:
        what = "which settings name keys and kubeconfigs: so none is moved"
        yield Finding("unseen", "medium", "host", f"not examined: {what}", "", "examine it there")
