"""
Bootstrap tokens of a run: issued to hosts, revoked; Node objects of intruders are removed.

From the first token on, whatever signing request appears is judged (`request_judge.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..kube import bootstrap_tokens, csr, other_approvers
from ..pki.csr_policy import CLIENT, SERVING, SHARED_USER, IssuedToken, node_asked_for
from ..steps import approve_csr, rbac
from ..steps.preflight import UNKNOWN_APPROVERS_FIX, unknown_approvers
from ..util import program
from ..util.wait import Wait, Waiting, unobserved
from .errors import OtherApproverError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..config.configuration import Config, Node
    from ..journal.journal import Journal
    from ..kube.client import Api, Object
    from ..pki.csr_policy import Token
    from .certified_keys import CertifiedKeys
    from .change_guard import ChangeGuard
    from .cluster_snapshot import ClusterSnapshot
    from .node_registry import Nodes
    from .request_judge import RequestJudge

_MOST_OF_A_KUBELET = 10  # requests with one token: one each time that it starts
_POLL = 3.0  # seconds between reports of a request's state
_CLOCK_MARGIN = timedelta(seconds=2)  # what we know of the apiserver's clock, and its whole seconds


class Admission:
    """
    Bootstrap tokens and Node objects of the run's nodes; whatever else tries to join is removed.

    :param guard: what other runs may have left is revoked only after it has been obtained.
    :param snapshot: returns the cluster as it was found; it may wait for that.
    :param shared_token: of the cluster's token file, for hosts that join with that.
    """

    def __init__(
        self,
        config: Config,
        api: Api,
        journal: Journal,
        *,
        judge: RequestJudge,
        certified: CertifiedKeys,
        nodes: Nodes,
        guard: ChangeGuard,
        snapshot: Callable[[], ClusterSnapshot],
        shared_token: str,
    ) -> None:
        self._config = config
        self._api = api
        self._journal = journal
        self._judge = judge
        self._certified = certified
        self._nodes = nodes
        self._guard = guard
        self._snapshot = snapshot
        self._shares_token = config.bootstrap.mode == "token-file"
        self._shared_token = shared_token
        self._own_tokens: dict[str, list[Token]] = {}
        self._asked_since: dict[str, datetime] = {}

    def bindings(self) -> tuple[Object, ...]:
        """Return the bindings of roles that whoever holds a token of ours needs to join."""
        if self._shares_token:
            return rbac.objects("User", SHARED_USER)
        return rbac.objects("Group", bootstrap_tokens.GROUP)

    def other_approvers(self) -> tuple[str, ...] | None:
        """Return who else approves requests made with our tokens; None: no right to ask."""
        return other_approvers.find(self._api, shares_token=self._shares_token)

    def refuse_other_approvers(self) -> None:
        """
        Raise OtherApproverError where something else approves first certificates.

        Warn where that can't be known.
        """
        if found := self.other_approvers():
            raise OtherApproverError(found)
        if found is None:
            self._journal.warn(f"{unknown_approvers()}; {UNKNOWN_APPROVERS_FIX}")

    def allow(self, nodes: Sequence[Node]) -> None:
        """
        Let these nodes be certified.

        Where this run joins none itself, but judges requests made with a shared token: those not
        older than such a token would live.
        """
        for node in nodes:
            self._judge.approver.allow(approve_csr.candidate(node))
        if self._judge.key_lookup and self._shares_token:
            self._api.get("/version")  # so that its clock is known, which counts
            age = timedelta(minutes=self._config.bootstrap.ttl_minutes)
            for node in nodes:
                self._hand_out(node, self._server_now() - age)

    def new_token(self, node: Node) -> str:
        """
        Make a bootstrap token for this node and trust it; return the bearer token.

        Where nodes share the token of the token file, it is that one. From here on requests are
        watched and judged.
        """
        self._judge.begin()
        if self._shares_token:
            assert self._shared_token, "a run in which hosts may join was given it"
            self._hand_out(node, self._server_now() - _CLOCK_MARGIN)
            return self._shared_token
        made = bootstrap_tokens.create(
            self._api, node.name, minutes=self._config.bootstrap.ttl_minutes
        )
        self._journal.secret(made.value)
        self._journal.secret(made.secret)
        self._own_tokens.setdefault(node.name, []).append(made.token)
        self._asked_since[node.name] = made.token.created
        self._judge.approver.trust(made.token)
        return made.value

    def wait_serving(
        self, name: str, began: float, on_state: Callable[[Waiting], None] = unobserved
    ) -> None:
        """
        Wait until the node's newest request for a serving certificate is issued.

        :param began: unix time by our clock before which requests don't count; 0: those from before
            this run's token for the node.
        :param on_state: gets the state of the wait when it changes.

        Raises WaitTimeoutError.
        """
        since = self._asked_since.get(name)
        if began:
            by_api = datetime.fromtimestamp(began + (self._api.clock_offset or 0.0), UTC)
            since = by_api - _CLOCK_MARGIN

        state = ["its kubelet has not requested it"]

        def issued(objects: Mapping[str, Object]) -> bool | None:
            requests = [csr.parse(item) for item in objects.values()]
            mine = [
                r
                for r in requests
                if r.signer == SERVING
                and r.username == f"system:node:{name}"
                and (since is None or r.created >= since)
            ]
            newest = max(mine, key=lambda r: r.created, default=None)
            if newest:
                state[0] = f"{newest.name} is {newest.state}"
            return True if newest and newest.certificate else None

        wait = Wait(
            "its serving certificate",
            self._config.timeouts.join,
            _POLL,
            advice=program.task("approve-csr --dry-run"),
            on_state=on_state,
        )
        self._judge.wait(issued, wait, lambda: state[0])

    def tidy(self, node: Node, *, unproved: bool = False) -> None:
        """
        Revoke the node's tokens and remove own requests, of this run and of killed ones.

        :param unproved: nobody saw that its host has what was certified. If anything was, the
            token stays until it ends, by which the next run knows; nothing is approved for it.

        What the node asked for with a killed run's token goes before that token does, so that a run
        that is killed here leaves it to the next: nobody will approve it.
        """
        self._judge.approver.end(node.name)
        snapshot = self._snapshot()
        mine = self._own_tokens.pop(node.name, [])
        if mine and unproved and self._certified.was_certified(node):
            mine = []
        left = [token for token in snapshot.tokens if token.node == node.name]
        requests = [name for name, owner in snapshot.requests if owner == node.name]
        if mine or left or requests:
            self._guard.obtain()  # what seems to be left over may be another run's, in use just now
        if left:
            self._end_joining(node, left)
        for token in (*mine, *left):
            bootstrap_tokens.delete(self._api, token)
        for name in requests:
            csr.withdraw(self._api, name, self._judge.dialect)
            self._judge.log.withdrawn(name, node.name)

    def _end_joining(self, node: Node, left: Sequence[Token]) -> None:
        """
        Remove what this node asked for with revoked tokens, unless it was signed.

        What somebody else asked for with them is left to be seen, and so is whatever was asked for
        so often that it was no kubelet: nobody is held up by as many as he likes to make.
        """
        requests = [csr.parse(item) for item in self._judge.items()]
        for token in left:
            asked = [r for r in requests if r.signer == CLIENT and r.username == token.username]
            own = [r for r in asked if r.state != "Denied" and node_asked_for(r) == node.name]
            for request in own if len(asked) <= _MOST_OF_A_KUBELET else ():
                if csr.ended_unsigned(self._api, request.name, self._judge.dialect):
                    self._judge.log.ended(request, node.name)

    def expel(self, node: Node) -> None:
        """Expel an impostor: no pods, no Node object, no token."""
        self._nodes.remove(node.name)
        self.tidy(node)

    def _hand_out(self, node: Node, since: datetime) -> None:
        self._asked_since[node.name] = since
        self._judge.approver.hand_out(IssuedToken(node.name, since))

    def _server_now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._api.clock_offset or 0.0)
