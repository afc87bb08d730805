"""Journal entries about verdicts on signing requests, rate-limited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..journal.rate_limit import RateLimiter
from ..kube import csr
from ..steps import approve_csr
from ..util import program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..journal.events import State
    from ..journal.journal import Journal
    from ..pki.csr_policy import SigningRequest, Verdict


_FIND = (
    f"find and stop the other approver: `{program.task('plan')}` names the ClusterRoleBindings that"
    " let it approve"
)


class VerdictLog:
    """
    Writes verdicts to the journal.

    :param dry_run: what is approved would only be approved.
    """

    def __init__(self, journal: Journal, *, dry_run: bool) -> None:
        self._journal = journal
        self._dry_run = dry_run
        self._limiter = RateLimiter()

    def given(self, request: SigningRequest, verdict: Verdict) -> None:
        """Record a verdict of the approver."""
        if verdict.approve:
            done = "would approve" if self._dry_run else "approved"
            text = f"{done} {verdict.kind} request {request.name}: {verdict.reason}"
            self._emit(request, verdict, "changed", text, node=verdict.node)
        elif not csr.is_own(request):  # those are approved where they are made
            text = f"left {request.name} pending: {verdict.reason}"
            if self._limiter.allow():
                self.report_suppressed()
                self._emit(request, verdict, "warning", text, node=verdict.node)
            else:
                self._emit(request, verdict, "progress", text)

    def foreign(self, request: SigningRequest, verdict: Verdict) -> None:
        """Warn that somebody else approved a request of a node's."""
        ours = "fabnode would have approved it as well" if verdict.approve else verdict.reason
        text = (
            f"{request.name}, for {verdict.node} by {request.username}, was approved by another "
            f"approver ({request.decision or 'no reason given'}), not by fabnode: {ours}"
        )
        if self._limiter.allow():
            self.report_suppressed()
            self._emit(request, verdict, "warning", text, node=verdict.node, advice=_FIND)
        else:
            self._emit(request, verdict, "progress", text)

    def several(self, requests: Sequence[SigningRequest], node: str) -> None:
        """Warn that more than one certificate was approved for one token of a node."""
        names = ", ".join(request.name for request in requests)
        text = f"{len(requests)} requests with the token of {node} were approved: {names}"
        self._journal.emit(node, approve_csr.STEP.name, "warning", text, data={"advice": _FIND})

    def denied(self, request: SigningRequest, verdict: Verdict) -> None:
        """Record that the operator had a request denied."""
        text = f"denied {request.name}, asked for by {request.username}: {verdict.reason}"
        self._emit(request, verdict, "changed", text)

    def decided_already(self, request: SigningRequest, verdict: Verdict) -> None:
        """Record that a request can't be denied any more."""
        text = f"{request.name} is already {request.state}: left unchanged"
        self._emit(request, verdict, "warning", text)

    def claimed(self, request: SigningRequest, verdict: Verdict) -> None:
        """Record that a request is not denied, since it is a node's own."""
        text = f"{request.name} is {verdict.node}'s own, and would be approved: left as it is"
        self._emit(request, verdict, "warning", text, node=verdict.node)

    def ended(self, request: SigningRequest, node: str) -> None:
        """Record that a node's request was removed with the token it was made with."""
        text = f"removed {request.name}: asked for with a token left by an interrupted run"
        data = {"request": request.name, "requester": request.username, "kind": "client"}
        self._journal.emit(node, approve_csr.STEP.name, "changed", text, data=data)

    def withdrawn(self, name: str, node: str) -> None:
        """Record that a killed run's request for a node's kube-proxy was removed."""
        text = f"removed {name}: fabnode's own, left by an interrupted run"
        data = {"request": name, "kind": "client"}
        self._journal.emit(node, approve_csr.STEP.name, "changed", text, data=data)

    def report_suppressed(self) -> None:
        """Record how many were not recorded one by one, if any."""
        if count := self._limiter.take_suppressed():
            text = f"left {count} more requests pending; the run's journal names each and why"
            self._journal.emit(None, approve_csr.STEP.name, "warning", text)

    def _emit(
        self,
        request: SigningRequest,
        verdict: Verdict,
        state: State,
        text: str,
        *,
        node: str | None = None,
        advice: str = "",
    ) -> None:
        data = {"request": request.name, "requester": request.username, "kind": verdict.kind}
        if advice:
            data["advice"] = advice
        self._journal.emit(node, approve_csr.STEP.name, state, text, data=data)
