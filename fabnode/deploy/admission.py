"""
Who gets into the cluster: tokens handed to nodes, their signing requests judged, intruders out.

From the first token on, one watch on signing requests serves all nodes: whatever appears is judged,
and approved where it is proved. Certificates of kube-proxies are asked for here as well, since that
is by requests, too.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..kube import bootstrap_tokens, csr, other_approvers
from ..kube.csr_approver import Approver
from ..kube.watch import Watch
from ..pki.certificates import (
    belongs,
    issued_by,
    new_request,
    openssh_public_bytes,
    read,
    sign_client,
)
from ..pki.csr_policy import CLIENT, SERVING, SHARED_USER, HostKey, IssuedToken, node_asked_for
from ..steps import approve_csr, proxy_cert, rbac
from ..util import program
from ..util.wait import Wait
from .csr_log import VerdictLog
from .errors import OtherApproverError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..config.cluster import Cluster, Node
    from ..journal.journal import Journal
    from ..kube.client import Api, Object
    from ..kube.key_lookup import Asker
    from ..pki.csr_policy import Token
    from .change_guard import Permit
    from .cluster_snapshot import Survey
    from .node_registry import Nodes

_SIGNING_TIMEOUT = 30.0
_MOST_OF_A_KUBELET = 10  # requests with one token: one each time that it starts
_CLOCK_MARGIN = timedelta(seconds=2)  # what we know of the apiserver's clock, and its whole seconds


class Admission:
    """
    Lets nodes in, and keeps all others out.

    :param permit: to take back what other runs may have left is a change, which takes leave.
    :param survey: returns the cluster as it was found; it may wait for that.
    :param shared_token: of the cluster's token file, for hosts that join with that.
    :param serving_only: only requests for serving certificates are judged.
    :param asker: asks hosts for the keys that wait there. With it, requests of hosts that this
        run doesn't join itself are judged as well.
    """

    def __init__(
        self,
        cluster: Cluster,
        api: Api,
        journal: Journal,
        *,
        nodes: Nodes,
        permit: Permit,
        survey: Callable[[], Survey],
        dry_run: bool,
        shared_token: str,
        asker: Asker | None,
        serving_only: bool = False,
    ) -> None:
        self._cluster = cluster
        self._api = api
        self._journal = journal
        self._nodes = nodes
        self._permit = permit
        self._survey = survey
        self._shares_token = cluster.bootstrap.mode == "token-file"
        self._shared_token = shared_token
        self._asker = asker
        self._log = VerdictLog(journal, dry_run=dry_run)
        self._dialect = csr.dialect(cluster.cluster.version)
        self._requests = Watch(api, self._dialect.path)
        self._approver = Approver(
            api,
            dry_run=dry_run,
            on_verdict=self._log.given,
            on_foreign=self._log.foreign,
            serving_only=serving_only,
            all_tokens=asker is not None and not self._shares_token,
            dialect=self._dialect,
            asker=asker,
        )
        self._approver.attach(self._requests)
        self._watching = threading.Event()
        self._own_tokens: dict[str, list[Token]] = {}
        self._asked_since: dict[str, datetime] = {}

    def close(self) -> None:
        """Judge no more."""
        self._requests.stop()
        self._log.report_suppressed()

    # --- a node that joins -------------------------------------------------------------------

    def bindings(self) -> tuple[Object, ...]:
        """Return the bindings of roles that whoever holds a token of ours needs to join."""
        if self._shares_token:
            return rbac.objects("User", SHARED_USER)
        return rbac.objects("Group", bootstrap_tokens.GROUP)

    def other_approvers(self) -> tuple[str, ...] | None:
        """Return who else approves requests made with our tokens; None where we may not ask."""
        return other_approvers.find(self._api, shares_token=self._shares_token)

    def refuse_other_approvers(self) -> None:
        """Raise OtherApproverError where somebody else approves first certificates."""
        if found := self.other_approvers():
            raise OtherApproverError(found)

    def allow(self, nodes: Sequence[Node]) -> None:
        """
        Let these nodes be certified.

        Where this run joins none itself, but judges requests made with a shared token: those not
        older than such a token would live.
        """
        for node in nodes:
            self._approver.allow(approve_csr.candidate(node))
        if self._asker and self._shares_token:
            self._api.get("/version")  # so that its clock is known, which counts
            age = timedelta(minutes=self._cluster.bootstrap.ttl_minutes)
            for node in nodes:
                self._hand_out(node, self._server_now() - age)

    def new_token(self, node: Node) -> str:
        """
        Make a bootstrap token for this node and trust it; return the bearer token.

        Where nodes share the token of the token file, it is that one. From here on requests are
        watched and judged.
        """
        self._watch()
        if self._shares_token:
            assert self._shared_token, "a run in which hosts may join was given it"
            self._hand_out(node, self._server_now() - _CLOCK_MARGIN)
            return self._shared_token
        made = bootstrap_tokens.create(
            self._api, node.name, minutes=self._cluster.bootstrap.ttl_minutes
        )
        self._journal.secret(made.value)
        self._journal.secret(made.secret)
        self._own_tokens.setdefault(node.name, []).append(made.token)
        self._asked_since[node.name] = made.token.created
        self._approver.trust(made.token)
        return made.value

    def show_key(self, node: Node, openssh: str) -> None:
        """Learn the public half of the key that waits on a node's host (in OpenSSH's form)."""
        self._approver.show(node.name, HostKey(openssh_public_bytes(openssh)))

    def was_certified(self, node: Node) -> bool:
        """
        Say whether a certificate was issued for a node by a token of this run.

        What was approved and not signed is ended: whoever asked must not get it later, unseen.
        """
        requests = self._approver.approved_for(node.name)
        ended = [csr.ended_unsigned(self._api, r.name, self._dialect) for r in requests]
        return not all(ended) or any(request.certificate for request in requests)

    def holds_issued_key(self, node: Node, certificate: bytes) -> bool:
        """
        Return whether the certificate read from a host is for the key that was certified for it.

        And no other was: of two requests approved with its token one is somebody else's.
        """
        requests = self._approver.approved_for(node.name)
        if len(requests) > 1:
            self._log.several(requests, node.name)
        return len(requests) == 1 and belongs(certificate, requests[0].pem)

    def left_certified(self, node: Node) -> tuple[bytes, ...]:
        """
        Return the requests (PEM) that were signed for a node with tokens that are still there.

        A run takes a token back once it has seen who holds what was certified with it, so these are
        of runs that were cut off before; to take them over takes leave.
        """
        left = {token.username for token in self._survey().tokens if token.node == node.name}
        if not left:
            return ()
        self._permit.obtain()
        requests = [csr.parse(item) for item in self._api.get(self._dialect.path)["items"]]
        return tuple(
            request.pem
            for request in requests
            if request.signer == CLIENT
            and request.username in left
            and request.certificate
            and node_asked_for(request) == node.name
        )

    def wait_serving(self, name: str, began: float) -> None:
        """
        Wait until the node's newest request for a serving certificate is issued.

        :param began: unix time by our clock before which requests don't count; 0: those from before
            this run's token for the node.

        Raises WaitTimeoutError.
        """
        self._watch()
        since = self._asked_since.get(name)
        if began:
            by_api = datetime.fromtimestamp(began + (self._api.clock_offset or 0.0), UTC)
            since = by_api - _CLOCK_MARGIN

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
            return True if newest and newest.certificate else None

        wait = Wait(
            "its serving certificate",
            self._cluster.timeouts.join,
            advice=program.task("approve-csr --dry-run"),
        )
        self._requests.until(issued, wait)

    def tidy(self, node: Node, *, unproved: bool = False) -> None:
        """
        Take back the node's tokens and remove own requests, of this run and of killed ones.

        :param unproved: nobody saw that its host has what was certified. If anything was, the
            token stays until it ends, by which the next run knows; nothing is approved for it.

        What the node asked for with a killed run's token goes before that token does, so that a run
        that is killed here leaves it to the next: nobody will approve it.
        """
        self._approver.end(node.name)
        survey = self._survey()
        mine = self._own_tokens.pop(node.name, [])
        if mine and unproved and self.was_certified(node):
            mine = []
        left = [token for token in survey.tokens if token.node == node.name]
        requests = [name for name, owner in survey.requests if owner == node.name]
        if mine or left or requests:
            self._permit.obtain()  # what looks left behind may be another run's, in use just now
        if left:
            self._end_joining(node, left)
        for token in (*mine, *left):
            bootstrap_tokens.delete(self._api, token)
        for name in requests:
            csr.withdraw(self._api, name, self._dialect)
            self._log.withdrawn(name, node.name)

    def _end_joining(self, node: Node, left: Sequence[Token]) -> None:
        """
        Remove what this node asked for with tokens that are taken back, unless it was signed.

        What somebody else asked for with them is left to be seen, and so is whatever was asked for
        so often that it was no kubelet: nobody is held up by as many as he likes to make.
        """
        requests = [csr.parse(item) for item in self._api.get(self._dialect.path)["items"]]
        for token in left:
            asked = [r for r in requests if r.signer == CLIENT and r.username == token.username]
            own = [r for r in asked if r.state != "Denied" and node_asked_for(r) == node.name]
            for request in own if len(asked) <= _MOST_OF_A_KUBELET else ():
                if csr.ended_unsigned(self._api, request.name, self._dialect):
                    self._log.ended(request, node.name)

    def expel(self, node: Node) -> None:
        """Shut out a node that is not who it was taken for: no pods, no Node object, no token."""
        self._nodes.remove(node.name)
        self.tidy(node)

    # --- requests of anybody -----------------------------------------------------------------

    def judge(self) -> None:
        """Judge every signing request that is there now."""
        for item in self._api.get(self._dialect.path)["items"]:
            self._approver.consider(item)
        if self._asker:
            self._asker.settle()

    def judge_forever(self) -> None:
        """Judge requests as they come, until interrupted or the API stays away."""
        self._watch()
        self._requests.until(lambda _: None, Wait("the end of the watch", threading.TIMEOUT_MAX))

    def deny(self, names: Sequence[str]) -> bool:
        """
        Deny pending requests that nobody claims, by name; say whether all of them were.

        Raises ApiError where there is none of that name.
        """
        denied = [self._deny(name) for name in names]  # each of them, whatever came of others
        return all(denied)

    def _deny(self, name: str) -> bool:
        item = self._api.get(f"{self._dialect.path}/{name}")
        request = csr.parse(item)
        verdict = self._approver.verdict_on(request)
        if verdict.asks and self._asker and verdict.node:
            asked = {verdict.node: self._asker.ask(verdict.node)}
            verdict = self._approver.verdict_on(request, asked)
        if request.state != "Pending":
            self._log.decided_already(request, verdict)
        elif verdict.approve:
            self._log.claimed(request, verdict)
        else:
            csr.deny(self._api, item, "denied by the operator", self._dialect)
            self._log.denied(request, verdict)
            return True
        return False

    # --- certificates of kube-proxies --------------------------------------------------------

    def proxy_pem(self, node: Node) -> bytes:
        """Return a new certificate for a node's kube-proxy, with its key (PEM)."""
        settings = node.kube_proxy
        asked = new_request(proxy_cert.COMMON_NAME, proxy_cert.subject(node))
        if settings.signing == "local" and settings.ca_key:
            key = settings.ca_key.read_bytes()
            certificate = sign_client(asked.request_pem, self._cluster.ca_pem, key)
        else:
            self._watch()
            certificate = csr.issue_client(
                self._api,
                self._requests,
                asked.request_pem,
                node=node.name,
                timeout=_SIGNING_TIMEOUT,
                dialect=self._dialect,
            )
        return certificate + asked.key_pem

    def try_signing(self, node: Node, authority: bytes) -> str | None:
        """
        Have a certificate for a kube-proxy issued and throw it away, with its key.

        Return who signed it where that was not this CA, else None.
        """
        self._permit.obtain()
        pem = self.proxy_pem(node)
        return None if issued_by(pem, authority) else read(pem).issuer

    def _watch(self) -> None:
        """Begin to judge signing requests, unless that has begun."""
        if not self._watching.is_set():
            self._watching.set()
            self._requests.start()

    def _hand_out(self, node: Node, since: datetime) -> None:
        self._asked_since[node.name] = since
        self._approver.hand_out(IssuedToken(node.name, since))

    def _server_now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._api.clock_offset or 0.0)
