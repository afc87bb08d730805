"""Approver: applies the policy for signing requests to each one as it appears."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..pki.csr_policy import (
    CLIENT,
    SERVING,
    SHARED_USER,
    Candidate,
    HostKey,
    IssuedToken,
    SigningRequest,
    Token,
    Verdict,
    judge,
    node_asked_for,
)
from . import csr
from .bootstrap_tokens import existing
from .client import Api, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .client import Object
    from .key_lookup import KeyLookup
    from .watch import Watch

Listener = Callable[[SigningRequest, Verdict], None]

_BOOTSTRAP = "system:bootstrap:"
_NOT_FOUND = 404
_REMEMBERED = 10_000  # versions of requests: an old one is judged once more when it comes again
_NOBODY: Mapping[str, HostKey] = MappingProxyType({})


class Approver:
    """
    Attached to a watch on signing requests, decides each pending one once per version.

    What somebody else approved of our nodes' requests is judged as well, and given to `on_foreign`:
    for a first certificate in any case, for a serving one where we would not have approved it.

    `allow` names the nodes that may be certified; `trust` the tokens handed out, `hand_out` the
    nodes that got the shared one, `show` the key that waits on a host. `on_verdict` is called for
    each decision. With `all_tokens`, tokens that other runs of fabnode handed out and that are
    still there count as well.

    :param serving_only: requests for other than serving certificates are none of its business.
    :param key_lookup: asks hosts for the keys that wait there, before a first certificate is
        granted; without one, a request that only such a key would decide stays pending.
    """

    def __init__(
        self,
        api: Api,
        *,
        dry_run: bool,
        on_verdict: Listener,
        on_foreign: Listener = lambda *_: None,
        serving_only: bool = False,
        all_tokens: bool = False,
        dialect: csr.Dialect = csr.V1,
        key_lookup: KeyLookup | None = None,
    ) -> None:
        self._dialect = dialect
        self._key_lookup = key_lookup
        self._api = api
        self._all_tokens = all_tokens
        self._dry_run = dry_run
        self._on_verdict = on_verdict
        self._on_foreign = on_foreign
        self._serving_only = serving_only
        self._lock = threading.Lock()
        self._deciding = threading.Lock()  # one at a time: a token is good for one certificate
        self._candidates: dict[str, Candidate] = {}
        self._tokens: dict[str, Token] = {}
        self._approved: dict[str, SigningRequest] = {}
        self._handouts: dict[str, IssuedToken] = {}
        self._keys: dict[str, HostKey] = {}
        self._held: dict[str, list[Object]] = {}
        self._judged: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._strangers: set[str] = set()  # tokens that are none of fabnode's

    def allow(self, candidate: Candidate) -> None:
        """Allow certificates for this node from now on."""
        with self._lock:
            self._candidates[candidate.name] = candidate

    def trust(self, token: Token) -> None:
        """Attribute requests with this token to the node that it was issued to."""
        with self._lock:
            self._tokens[token.id] = token

    def hand_out(self, issued_token: IssuedToken) -> None:
        """Accept requests with the shared token, in this node's name, as possibly its own."""
        with self._lock:
            self._handouts[issued_token.node] = issued_token

    def show(self, node: str, key: HostKey) -> None:
        """Record the key that waits on a node's host, and decide the requests held for it."""
        with self._deciding:
            with self._lock:
                self._keys[node] = key
            held = self._held.pop(node, [])
        for item in held:
            self._decide(item, csr.parse(item))

    def end(self, node: str) -> None:
        """Stop accepting the shared token for a node; what was held for its key stays pending."""
        self.show(node, HostKey())
        with self._lock:
            self._handouts.pop(node, None)
            self._keys.pop(node, None)

    def approved_for(self, node: str) -> tuple[SigningRequest, ...]:
        """
        Return the client requests approved for a node since it last got a token.

        By whomever; of more than one, somebody else than the host may hold a certificate.
        """
        self._learn_approved()
        with self._lock:
            tokens = [token for token in self._tokens.values() if token.node == node]
            newest = max(tokens, key=lambda token: token.created, default=None)
            mine = {newest.username} if newest else set()
            issued_token = self._handouts.get(node)
            return tuple(
                request
                for request in self._approved.values()
                if request.username in mine
                or (
                    issued_token is not None
                    and request.username == SHARED_USER
                    and request.created >= issued_token.created
                    and node_asked_for(request) == node
                )
            )

    def attach(self, watch: Watch) -> None:
        """Consider all objects of this watch."""
        watch.on_change(self.consider)

    def verdict_on(
        self, request: SigningRequest, asked: Mapping[str, HostKey] = _NOBODY
    ) -> Verdict:
        """
        Judge a request without acting on it; `asked` is its host's current key.

        With `all_tokens` the API is asked for a token that is unknown (once: a token is there
        before what is asked for with it), and, before a yes, for what was approved meanwhile: a
        list comes in the order of names, which a requester chooses, and a token is good for one
        certificate.
        """
        if self._all_tokens and request.signer == CLIENT:
            self._learn_token(request.username.removeprefix(_BOOTSTRAP))
        verdict = self._judge(request, asked)
        if verdict.approve and self._all_tokens and request.signer == CLIENT:
            self._learn_approved()
            verdict = self._judge(request, asked)
        return verdict

    def consider(self, item: Object) -> None:
        """Judge one object, and approve it where everything is proved."""
        request = csr.parse(item)
        if self._serving_only and request.signer != SERVING:
            return
        if request.state == "Approved":
            self._was_approved(request)
        elif request.state == "Pending" and self._is_new(request.uid, request.resource_version):
            self._decide(item, request)

    def _is_new(self, uid: str, version: str) -> bool:
        """Return whether this is the first time; bounded, since requests come without end."""
        with self._lock:
            known = (uid, version) in self._judged
            self._judged[uid, version] = None
            if len(self._judged) > _REMEMBERED:
                self._judged.popitem(last=False)
        return not known

    def _was_approved(self, request: SigningRequest) -> None:
        """Learn of an approval; report one that is not fabnode's, and voids its policy."""
        self._remember([request])
        if csr.approved_by_fabnode(request) or not self._is_new(request.uid, "approved"):
            return
        verdict = self._judge(replace(request, state="Pending"), _NOBODY)
        if not verdict.node or (request.signer != CLIENT and verdict.approve):
            return
        with self._lock:
            issued_token = self._handouts.get(verdict.node)
        shared = request.signer == CLIENT and request.username == SHARED_USER
        if not shared or (issued_token and request.created >= issued_token.created):
            self._on_foreign(request, verdict)

    def _remember(self, requests: Iterable[SigningRequest]) -> None:
        """Remember what was approved for holders of tokens: later requests are judged by that."""
        with self._lock:
            self._approved |= {
                request.uid: request
                for request in requests
                if request.state == "Approved"
                and request.signer == CLIENT
                and request.username.startswith((_BOOTSTRAP, SHARED_USER))
            }

    def _decide(
        self, item: Object, request: SigningRequest, asked: Mapping[str, HostKey] = _NOBODY
    ) -> None:
        """Judge a request and act on the verdict; `asked` is its host's current key."""
        with self._deciding:
            verdict = self.verdict_on(request, asked)
            first = verdict.approve and request.signer == CLIENT
            ask = self._key_lookup if (verdict.asks or first) and not asked else None
            if verdict.asks and not self._key_lookup:
                self._held.setdefault(verdict.node or "", []).append(item)
                return
            if verdict.approve and not ask and first:
                # Also where the API refuses below: somebody else may have approved it just now.
                with self._lock:
                    self._approved[request.uid] = request
        if ask and (node := verdict.node):
            ask.want(node, lambda key: self._decide(item, request, {node: key}))
            return
        if verdict.approve and not self._dry_run:
            try:
                csr.approve(self._api, item, verdict.reason, self._dialect)
            except ApiError as error:
                if not error.is_conflict and error.status != _NOT_FOUND:
                    raise
                return  # it changed or went since it was judged: its next version is judged
        self._on_verdict(request, verdict)

    def _judge(self, request: SigningRequest, asked: Mapping[str, HostKey]) -> Verdict:
        with self._lock:
            candidates, known = tuple(self._candidates.values()), tuple(self._tokens.values())
            approved, issued_tokens = tuple(self._approved.values()), tuple(self._handouts.values())
            keys = {**self._keys, **asked}
        try:
            return judge(
                request, candidates, known, approved, issued_tokens=issued_tokens, keys=keys
            )
        except Exception as error:  # one requester's bytes: no other request waits for that
            return Verdict(False, "client", None, f"judging it failed ({type(error).__name__})")

    def _learn_token(self, token_id: str) -> None:
        if token_id in self._tokens or token_id in self._strangers:
            return
        for token in existing(self._api):
            self.trust(token)
        if token_id not in self._tokens:
            self._strangers.add(token_id)

    def _learn_approved(self) -> None:
        self._remember(csr.parse(item) for item in self._api.get(self._dialect.path)["items"])
