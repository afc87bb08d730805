"""
All that a run does at the API: who is there, rights, tokens, certificates, Calico, Ready.

One of these serves all nodes of a run. `open` starts two watches and surveys the cluster; what
nodes need they ask for when they need it.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from . import artifacts
from .kube import marks, rights, signing, tokens
from .kube import nodes as node_objects
from .kube.api import Api, ApiAwayError, ApiError
from .kube.approver import Approver
from .kube.credentials import load
from .kube.manifests import Manifests, ObjectChange, way
from .kube.presented import presented
from .kube.runlock import RunLock
from .kube.watch import Watch
from .model.matrix import matrix
from .model.versions import Release
from .run.flood import Flood
from .steps import approve_csr, calico, proxy_cert, rbac
from .trust.certificates import (
    belongs,
    issued_by,
    new_request,
    openssh_public_bytes,
    problem,
    read,
    sign_client,
)
from .trust.verdict import SERVING, SHARED_USER, Handout, HostKey

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .kube.api import Object
    from .kube.asking import Asker
    from .model.config import Cluster, Node
    from .run.journal import Journal
    from .steps.inputs import Inputs
    from .trust.verdict import SigningRequest, Token, Verdict

R = TypeVar("R")

_POLL = 0.25
_LOOK = 3.0  # seconds between looks at a host of which something is awaited
_CONFLICT = 409
_CALICO_PODS = "/api/v1/namespaces/kube-system/pods"
_DAEMONSET = f"/apis/apps/v1/namespaces/{calico.NAMESPACE}/daemonsets/{calico.DAEMONSET}"
_CONTROLLERS = f"/apis/apps/v1/namespaces/{calico.NAMESPACE}/deployments/{calico.CONTROLLERS}"
_SIGNING_TIMEOUT = 30.0
_LOCK_PATIENCE = 3.0  # it is renewed again and again, and given back at the end
_CLOCK_MARGIN = timedelta(seconds=2)  # what we know of the apiserver's clock, and its whole seconds
_APISERVER_CLIENTS = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
_ROOT_CA = "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt"


class OverdueError(Exception):
    """Something that was waited for did not come in time; `advice` is the next command."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class MissingRightsError(Exception):
    """The kubeconfig's user may not do what this run needs to do; nothing was changed."""

    advice = "use the kubeconfig of `inv rbac.deployer`, or grant what is missing"


class NotReadyError(Exception):
    """Something that must be well before a change goes on, and is not."""

    advice = "inv verify"


@dataclass(frozen=True, slots=True)
class Survey:
    """
    The cluster as the run found it.

    :param clock_offset: apiserver's clock minus ours, seconds.
    :param nodes: Node objects by name.
    :param tokens, requests: what earlier runs left behind, requests by name and node.
    """

    version: Release
    clock_offset: float | None
    nodes: Mapping[str, Object]
    tokens: tuple[Token, ...]
    requests: tuple[tuple[str, str], ...]


class ClusterSide:
    """The API's part of a run. Safe to share between the nodes' threads."""

    def __init__(
        self,
        cluster: Cluster,
        journal: Journal,
        *,
        dry_run: bool = False,
        shared_token: str = "",
        asker: Asker | None = None,
    ) -> None:
        """
        Open nothing yet.

        :param shared_token: of the cluster's token file, for hosts that join with that.
        :param asker: asks hosts for the keys that wait there. With it, requests of hosts that this
            run doesn't join itself are judged as well.
        """
        self.cluster = cluster
        self._shared_token = shared_token
        self._asker = asker
        self._journal = journal
        self._dry_run = dry_run
        credentials = load(cluster.cluster.kubeconfig)
        self.api = Api(credentials, patience=cluster.timeouts.api, on_wait=journal.warn)
        self._run_lock = RunLock(Api(credentials, patience=_LOCK_PATIENCE), journal.warn)
        self.manifests = Manifests(self.api, way=way(cluster.cluster.version))
        self._nodes = Watch(self.api, node_objects.NODES)
        self._dialect = signing.dialect(cluster.cluster.version)
        self._requests = Watch(self.api, self._dialect.path)
        self._approver = Approver(
            self.api,
            dry_run=dry_run,
            on_verdict=self._tell_verdict,
            all_tokens=asker is not None,
            dialect=self._dialect,
            asker=asker,
        )
        self._approver.attach(self._requests)
        self._pool = ThreadPoolExecutor(3, thread_name_prefix="cluster")
        self._survey: Future[Survey] = Future()
        self._started_requests = threading.Event()
        self._lock = threading.Lock()
        self._rights_lock = threading.Lock()
        self._calico_lock = threading.Lock()
        self._calico: tuple[Object, ...] | None = None
        self._refused: list[str] | None = None
        self._machine_ids: dict[str, str] = {}
        self._own_tokens: dict[str, list[Token]] = {}
        self._left = Flood()
        self._asked_since: dict[str, datetime] = {}

    def allow(self, nodes: Sequence[Node]) -> None:
        """
        Let these nodes be certified.

        Where this run joins none itself, but judges requests made with a shared token: those not
        older than such a token would live.
        """
        for node in nodes:
            self._approver.allow(approve_csr.candidate(node))
        if self._asker and self._shares_token:
            self.await_api()  # whose clock counts
            age = timedelta(minutes=self.cluster.bootstrap.ttl_minutes)
            for node in nodes:
                self._hand_out(node, self._server_now() - age)

    def open(self, nodes: Sequence[Node]) -> None:
        """Let these nodes be certified, and begin the survey; returns at once."""
        self.allow(nodes)
        self._survey = self._pool.submit(self._look)

    def close(self) -> None:
        """End the watches and the background work; others may change the cluster now."""
        self._nodes.stop()
        self._requests.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._run_lock.release()
        self._tell_kept_back()

    @property
    def survey(self) -> Survey:
        """The cluster as it was found; waits for it, raises what went wrong with it."""
        return self._survey.result()

    def await_api(self) -> None:
        """Return once the apiserver answers us. Raises ApiAwayError."""
        self.api.get("/version")

    def current_nodes(self) -> dict[str, Object]:
        """Return the Node objects as they are now, by name."""
        return {o["metadata"]["name"]: o for o in self.api.get(node_objects.NODES)["items"]}

    def may_change(self) -> None:
        """
        See, before anything is changed, that we have the rights we need, and that we are alone.

        The API is asked once per run. Raises MissingRightsError with every verb and resource that
        is missing, or LockedError with who else is at work.
        """
        with self._rights_lock:
            if self._refused is None:
                wanted = rights.needed(calico=self.calico_objects())
                self._refused = rights.missing(self.api, wanted)
                if not self._has_leases:
                    self._journal.warn(
                        f"Kubernetes {self.survey.version} has no Leases: see to it yourself that "
                        "nobody else deploys to this cluster meanwhile"
                    )
            if self._refused:
                raise MissingRightsError(f"no right to {'; '.join(self._refused)}")
            if self._has_leases:
                self._run_lock.take()

    @property
    def _has_leases(self) -> bool:
        return self.survey.version.minor in matrix().api["coordination/v1"]

    # --- rights and Calico -------------------------------------------------------------------

    def plan_rbac(self) -> tuple[ObjectChange, ...]:
        """Return which bindings would change."""
        if self._shares_token:
            return self.manifests.plan(rbac.objects("User", SHARED_USER))
        return self.manifests.plan(rbac.objects("Group", tokens.GROUP))

    def calico_objects(self) -> tuple[Object, ...]:
        """Return Calico's objects, made once; none where fabnode doesn't install it."""
        with self._calico_lock:
            if self._calico is None:
                self._calico = artifacts.calico_objects(self.cluster)
                if key := calico.etcd_key(self._calico):
                    self._journal.secret(key)
        return self._calico

    def plan_calico(self, objects: Sequence[Object]) -> tuple[ObjectChange, ...]:
        """Return which of Calico's objects would change."""
        return self.manifests.plan(objects)

    def wait_for_calico(self, names: Collection[str]) -> None:
        """Wait until Calico runs on these nodes. Raises OverdueError with what is missing."""
        deadline = time.monotonic() + self.cluster.timeouts.calico
        while missing := self.calico_missing(names):
            if time.monotonic() > deadline:
                message = f"waited {self.cluster.timeouts.calico} s for Calico: {missing}"
                raise OverdueError(message, "kubectl -n kube-system describe pods")
            time.sleep(_POLL)

    def calico_missing(self, names: Collection[str]) -> str | None:
        """Say what of Calico is not ready on these nodes, or None."""
        controllers = self.api.find(_CONTROLLERS)
        if self.cluster.calico.components == "controllers":
            return calico.not_ready(None, (), controllers, ())
        pods = self.api.get(_CALICO_PODS, labelSelector=f"k8s-app={calico.DAEMONSET}")["items"]
        return calico.not_ready(self.api.find(_DAEMONSET), pods, controllers, names)

    # --- what nodes ask for ------------------------------------------------------------------

    def new_token(self, node: Node) -> str:
        """
        Make a bootstrap token for this node and trust it; return the bearer token.

        Where nodes share the token of the token file, it is that one. From here on requests are
        watched and judged.
        """
        self.watch_requests()
        if self._shares_token:
            self._hand_out(node, self._server_now() - _CLOCK_MARGIN)
            return self._shared_token
        made = tokens.create(self.api, node.name, minutes=self.cluster.bootstrap.ttl_minutes)
        self._journal.secret(made.value)
        self._journal.secret(made.secret)
        self._own_tokens.setdefault(node.name, []).append(made.token)
        self._asked_since[node.name] = made.token.created
        self._approver.trust(made.token)
        return made.value

    def tidy(self, node: Node) -> None:
        """Take back the node's tokens and remove own requests, of this run and of killed ones."""
        self._approver.end(node.name)
        survey = self.survey
        mine = self._own_tokens.pop(node.name, [])
        stale = [*mine, *(token for token in survey.tokens if token.node == node.name)]
        requests = [name for name, owner in survey.requests if owner == node.name]
        if stale or requests:
            self.may_change()  # what looks left behind may be another run's, in use just now
        for token in stale:
            tokens.delete(self.api, token)
        for name in requests:
            signing.withdraw(self.api, name, self._dialect)

    @property
    def _shares_token(self) -> bool:
        return self.cluster.bootstrap.mode == "token-file"

    def _hand_out(self, node: Node, since: datetime) -> None:
        self._asked_since[node.name] = since
        self._approver.hand_out(Handout(node.name, since))

    def _server_now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.api.clock_offset or 0.0)

    def show_key(self, node: Node, openssh: str) -> None:
        """Learn the public half of the key that waits on a node's host (in OpenSSH's form)."""
        self._approver.show(node.name, HostKey(openssh_public_bytes(openssh)))

    def proxy_pem(self, inputs: Inputs) -> bytes:
        """Return a new certificate for a node's kube-proxy, with its key (PEM)."""
        settings = inputs.node.kube_proxy
        asked = new_request(proxy_cert.COMMON_NAME, proxy_cert.subject(inputs))
        if settings.signing == "local" and settings.ca_key:
            key = settings.ca_key.read_bytes()
            certificate = sign_client(asked.request_pem, self.cluster.ca_pem, key)
        else:
            self.watch_requests()
            certificate = signing.issue_client(
                self.api,
                self._requests,
                asked.request_pem,
                node=inputs.node.name,
                timeout=_SIGNING_TIMEOUT,
                dialect=self._dialect,
            )
        return certificate + asked.key_pem

    # --- a CA that changes -------------------------------------------------------------------

    def client_authorities(self) -> bytes:
        """Return the CAs whose clients the apiserver accepts: it tells them itself."""
        return self._bundle(_APISERVER_CLIENTS, "client-ca-file") or b""

    def pod_authorities(self) -> bytes | None:
        """Return the CAs that pods are given to know the apiserver by; None before 1.20."""
        return self._bundle(_ROOT_CA, "ca.crt")

    def _bundle(self, path: str, key: str) -> bytes | None:
        found = self.api.find(path)
        return None if found is None else str(found.get("data", {}).get(key, "")).encode()

    def own_certificate_fault(self, authority: bytes) -> str | None:
        """Say why the apiserver's own certificate is of no use to who trusts this CA alone."""
        host, port = self.cluster.cluster.apiserver_host, self.cluster.cluster.apiserver_port
        try:
            return problem(presented(host, port), authority, datetime.now(UTC))
        except OSError as error:
            return f"{host}:{port} can't be reached: {error}"

    def try_signing(self, inputs: Inputs, authority: bytes) -> str | None:
        """
        Have a kube-proxy's certificate issued and throw it away, with its key.

        Return who signed it where that was not this CA, else None.
        """
        self.may_change()
        pem = self.proxy_pem(inputs)
        return None if issued_by(pem, authority) else read(pem).issuer

    def watch_requests(self) -> None:
        """Begin to judge signing requests, unless that has begun."""
        if not self._started_requests.is_set():
            self._started_requests.set()
            self._requests.start()

    def judge_requests(self) -> None:
        """Judge every signing request that is there now."""
        for item in self.api.get(self._dialect.path)["items"]:
            self._approver.consider(item)
        if self._asker:
            self._asker.settle()

    def deny_requests(self, names: Sequence[str]) -> bool:
        """
        Deny pending requests that nobody claims, by name; say whether all of them were.

        Raises ApiError where there is none of that name.
        """
        denied = 0
        for name in names:
            item = self.api.get(f"{self._dialect.path}/{name}")
            request = signing.parse(item)
            verdict = self._approver.verdict_on(request)
            if verdict.asks and self._asker and verdict.node:
                asked = {verdict.node: self._asker.ask(verdict.node)}
                verdict = self._approver.verdict_on(request, asked)
            data = {"request": name, "requester": request.username, "kind": verdict.kind}
            if request.state != "Pending":
                text = f"{name} is {request.state} already: left as it is"
                self._journal.emit(None, approve_csr.NAME, "warning", text, data=data)
            elif verdict.approve:
                text = f"{name} is {verdict.node}'s own, and would be approved: left as it is"
                self._journal.emit(verdict.node, approve_csr.NAME, "warning", text, data=data)
            else:
                signing.deny(self.api, item, "denied by the operator", self._dialect)
                denied += 1
                text = f"denied {name}, asked for by {request.username}: {verdict.reason}"
                self._journal.emit(None, approve_csr.NAME, "changed", text, data=data)
        return denied == len(names)

    def judge_forever(self) -> None:
        """Judge requests as they come, until interrupted or the API stays away."""
        self.watch_requests()
        self._requests.until(lambda _: None, timeout=threading.TIMEOUT_MAX)

    # --- nodes, once they have joined --------------------------------------------------------

    def wait_registered(self, name: str, meanwhile: Callable[[], object]) -> Object:
        """
        Wait for the Node object; return it. Raises OverdueError.

        :param meanwhile: looks now and then at what is waited for; what it raises ends the waiting.
        """
        timeout = self.cluster.timeouts.join
        try:
            return self._wait(lambda found: found.get(name), timeout, meanwhile)
        except TimeoutError:
            message = f"waited {timeout} s for its Node object"
            raise OverdueError(message, f"fab -H {name} logs") from None

    def wait_ready(self, name: str, since: float, meanwhile: Callable[[], object]) -> Object:
        """
        Wait until the node says Ready, and has said so since then (unix time by its own clock).

        Where fabnode installs no network, all but that will do (`awaits_network`).

        Raises OverdueError with the kubelet's own words; `meanwhile` is as in `wait_registered`.
        """
        last = ["it never registered"]

        def found(objects: Mapping[str, Object]) -> Object | None:
            node = objects.get(name)
            if node is None:
                return None
            reason = node_objects.not_ready(node, since)
            last[0] = reason or ""
            told = reason != node_objects.NOT_SINCE
            return None if reason and not (told and self.awaits_network(node)) else node

        try:
            return self._wait(found, self.cluster.timeouts.ready, meanwhile)
        except TimeoutError:
            seconds = self.cluster.timeouts.ready
            message = f"waited {seconds} s for Ready: {last[0]}"
            raise OverdueError(message, f"fab -H {name} logs") from None

    def _wait(
        self,
        found: Callable[[Mapping[str, Object]], R | None],
        seconds: float,
        meanwhile: Callable[[], object],
    ) -> R:
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            try:
                return self._nodes.until(found, timeout=min(left, _LOOK))
            except TimeoutError:
                if left <= _LOOK:
                    raise
            meanwhile()

    def awaits_network(self, node: Object) -> bool:
        """Say whether a node lacks nothing but a network that others are to bring."""
        return not self.cluster.calico.enabled and node_objects.lacks_only_network(node)

    def kubelet_answers(self, name: str) -> bool:
        """
        Say whether the apiserver gets through to a node's kubelet, as for `kubectl logs`.

        False as well where we may not ask it to.
        """
        try:
            self.api.text(f"{node_objects.NODES}/{name}/proxy/healthz")
        except (ApiError, ApiAwayError):
            return False
        return True

    def wait_serving(self, name: str, began: float) -> None:
        """
        Wait until the node's newest request for a serving certificate is issued.

        :param began: unix time by our clock before which requests don't count; 0: those from before
            this run's token for the node.

        Raises OverdueError.
        """
        self.watch_requests()
        since = self._asked_since.get(name)
        if began:
            by_api = datetime.fromtimestamp(began + (self.api.clock_offset or 0.0), UTC)
            since = by_api - _CLOCK_MARGIN

        def issued(objects: Mapping[str, Object]) -> bool | None:
            requests = [signing.parse(item) for item in objects.values()]
            mine = [
                r
                for r in requests
                if r.signer == SERVING
                and r.username == f"system:node:{name}"
                and (since is None or r.created >= since)
            ]
            newest = max(mine, key=lambda r: r.created, default=None)
            return True if newest and newest.certificate else None

        try:
            self._requests.until(issued, timeout=self.cluster.timeouts.join)
        except TimeoutError:
            seconds = self.cluster.timeouts.join
            message = f"waited {seconds} s for its serving certificate"
            raise OverdueError(message, "inv approve-csr --dry-run") from None

    def was_certified(self, node: Node) -> bool:
        """
        Say whether a certificate was issued for a node by a token of this run.

        What was approved and not signed is ended: whoever asked must not get it later, unseen.
        """
        request = self._approver.approved_for(node.name)
        if request is None:
            return False
        ended = signing.ended_unsigned(self.api, request.name, self._dialect)
        return bool(request.certificate) or not ended

    def holds_issued_key(self, node: Node, certificate: bytes) -> bool:
        """Say whether the certificate read from a host is for the key that was certified for it."""
        request = self._approver.approved_for(node.name)
        return request is not None and belongs(certificate, request.pem)

    def expel(self, node: Node) -> None:
        """Shut out a node that is not who it was taken for: no pods, no Node object, no token."""
        path = f"{node_objects.NODES}/{node.name}"
        if self.api.find(path):
            self.api.patch(path, {"spec": {"unschedulable": True}})
            self.api.delete(path)
        self.tidy(node)

    def label(self, node: Node, live: Object) -> str:
        """Give the Node its configured labels and such; say what that changed, or nothing."""
        path = f"{node_objects.NODES}/{node.name}"
        while patch := marks.patch(live, node):
            try:
                self.api.patch(path, patch)
            except ApiError as error:
                if error.status != _CONFLICT:
                    raise
                live = self.api.get(path)  # its kubelet reported meanwhile
            else:
                return ", ".join(marks.told(live, node))
        return ""

    def label_changes(self, node: Node) -> tuple[str, ...]:
        """Return what `label` would change, as far as that was known when the run began."""
        return marks.told(self.survey.nodes.get(node.name), node)

    def machine_ids(self, name: str, machine_id: str) -> dict[str, str]:
        """
        Return the machine-ids of all other nodes, known from the API or seen in this run.

        Where the API has this one registered under `machine_id`, only what it has of others counts:
        of two hosts with one id, the newcomer is the clone.
        """
        known = {other: node_objects.machine_id(item) for other, item in self.survey.nodes.items()}
        with self._lock:
            if machine_id:
                self._machine_ids[name] = machine_id
            seen = {} if known.get(name) == machine_id else dict(self._machine_ids)
        return {other: found for other, found in {**known, **seen}.items() if other != name}

    # --- inside ------------------------------------------------------------------------------

    def _look(self) -> Survey:
        told = self.api.get("/version")["gitVersion"]
        version = Release.parse(told.partition("-")[0].partition("+")[0])
        found = self.api.get(node_objects.NODES)
        self._nodes.start()
        return Survey(
            version=version,
            clock_offset=self.api.clock_offset,
            nodes={item["metadata"]["name"]: item for item in found["items"]},
            tokens=tokens.existing(self.api),
            # Of an apiserver that doesn't fit the nodes, preflight tells.
            requests=signing.own_requests(self.api, self._dialect)
            if self._dialect.served_by(version)
            else (),
        )

    def background(self, work: Callable[[], R]) -> Future[R]:
        """Run `work` beside the nodes."""
        return self._pool.submit(work)

    def _tell_verdict(self, request: SigningRequest, verdict: Verdict) -> None:
        data = {"request": request.name, "requester": request.username, "kind": verdict.kind}
        if verdict.approve:
            done = "would approve" if self._dry_run else "approved"
            text = f"{done} {verdict.kind} request {request.name}: {verdict.reason}"
            self._journal.emit(verdict.node, approve_csr.NAME, "changed", text, data=data)
        elif not signing.is_own(request):  # those are approved where they are made
            text = f"left {request.name} pending: {verdict.reason}"
            if self._left.admits():
                self._tell_kept_back()
                self._journal.emit(verdict.node, approve_csr.NAME, "warning", text, data=data)
            else:
                self._journal.emit(None, approve_csr.NAME, "progress", text, data=data)

    def _tell_kept_back(self) -> None:
        if count := self._left.kept_back():
            text = f"left {count} more requests pending; the run's journal names each and why"
            self._journal.emit(None, approve_csr.NAME, "warning", text)
