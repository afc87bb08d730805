"""The approver: judges every signing request as it appears, approves what is proved."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..trust.verdict import CLIENT, Candidate, SigningRequest, Token, Verdict, judge
from . import signing
from .api import Api, ApiError
from .tokens import existing

if TYPE_CHECKING:
    from .api import Object
    from .watch import Watch

Listener = Callable[[SigningRequest, Verdict], None]

_CONFLICT = 409
_NOT_FOUND = 404


class Approver:
    """
    Attached to the watch on signing requests, it decides each pending one once per version.

    `allow` names the nodes that may be certified; `trust` the tokens handed out. `on_verdict` is
    called for each decision, from the watch's thread. With `all_tokens`, tokens that other runs of
    fabnode handed out and that are still there count as well.
    """

    def __init__(
        self,
        api: Api,
        *,
        dry_run: bool,
        on_verdict: Listener,
        all_tokens: bool = False,
        dialect: signing.Dialect = signing.V1,
    ) -> None:
        self._dialect = dialect
        self._api = api
        self._all_tokens = all_tokens
        self._dry_run = dry_run
        self._on_verdict = on_verdict
        self._lock = threading.Lock()
        self._candidates: dict[str, Candidate] = {}
        self._tokens: dict[str, Token] = {}
        self._approved: dict[str, SigningRequest] = {}
        self._judged: set[tuple[str, str]] = set()
        self._strangers: set[str] = set()  # tokens that are none of fabnode's

    def allow(self, candidate: Candidate) -> None:
        """Let this node be certified from now on."""
        with self._lock:
            self._candidates[candidate.name] = candidate

    def trust(self, token: Token) -> None:
        """Take a request with this token for the node it was made for."""
        with self._lock:
            self._tokens[token.id] = token

    def approved_for(self, node: str) -> SigningRequest | None:
        """Return the client request that was approved for a node by its token, in this run."""
        mine = {f"system:bootstrap:{t.id}" for t in self._tokens.values() if t.node == node}
        with self._lock:
            found = [r for r in self._approved.values() if r.username in mine]
        return next(iter(found), None)

    def attach(self, watch: Watch) -> None:
        """Judge everything that this watch shows."""
        watch.on_change(self.consider)

    def verdict_on(self, request: SigningRequest) -> Verdict:
        """
        Judge a request, and do nothing about it.

        With `all_tokens` the API is asked for a token that is unknown (once: a token is there
        before what is asked for with it), and, before a yes, for what was approved meanwhile: a
        list comes in the order of names, which a requester chooses, and a token is good for one
        certificate.
        """
        if self._all_tokens and request.signer == CLIENT:
            self._learn_token(request.username.removeprefix("system:bootstrap:"))
        verdict = self._judge(request)
        if verdict.approve and self._all_tokens and request.signer == CLIENT:
            self._learn_approved()
            verdict = self._judge(request)
        return verdict

    def consider(self, item: Object) -> None:
        """Judge one object, and approve it where everything is proved."""
        request = signing.parse(item)
        with self._lock:
            if request.state == "Approved":
                self._approved[request.uid] = request
            version = (request.uid, request.resource_version)
            if request.state != "Pending" or version in self._judged:
                return
            self._judged.add(version)
        verdict = self.verdict_on(request)
        if verdict.approve:
            # Also where the API refuses below: somebody else may have approved it just now.
            with self._lock:
                self._approved[request.uid] = request
            if not self._dry_run:
                try:
                    signing.approve(self._api, item, verdict.reason, self._dialect)
                except ApiError as error:
                    if error.status not in {_CONFLICT, _NOT_FOUND}:
                        raise
                    return  # it changed or went since it was judged: its next version is judged
        self._on_verdict(request, verdict)

    def _judge(self, request: SigningRequest) -> Verdict:
        with self._lock:
            candidates, known = tuple(self._candidates.values()), tuple(self._tokens.values())
            approved = tuple(self._approved.values())
        return judge(request, candidates, known, approved)

    def _learn_token(self, token_id: str) -> None:
        if token_id in self._tokens or token_id in self._strangers:
            return
        for token in existing(self._api):
            self.trust(token)
        if token_id not in self._tokens:
            self._strangers.add(token_id)

    def _learn_approved(self) -> None:
        requests = [signing.parse(item) for item in self._api.get(self._dialect.path)["items"]]
        with self._lock:
            self._approved |= {r.uid: r for r in requests if r.state == "Approved"}
