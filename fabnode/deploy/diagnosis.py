"""Diagnosis of a node: evidence of its host and from the API, judged to causes. Changes nothing."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from ..doctor import judge
from ..doctor.cause import Cause, roots
from ..doctor.evidence import Access, Condition, Evidence, HostSeen, NodeSeen, Request, Wanted
from ..kube import csr, node_status
from ..kube.client import ApiError, KubeletError, permitted
from ..kube.heartbeats import heartbeat_age
from ..kube.pods import pods_on
from ..node import layout
from ..node.symptoms import ProbeTargets
from ..pki.csr_policy import CLIENT, SERVING, node_asked_for
from ..releases import compatibility
from ..ssh.errors import (
    AnsweredError,
    AuthenticationError,
    ChangedHostKeyError,
    CommandTimeoutError,
    ConnectionLostError,
    HostCertificateError,
    RevokedHostKeyError,
    SudoRefusedError,
    UnknownHostKeyError,
    UnreachableError,
)
from ..steps.checks import health_endpoints, node_services, schedulability
from ..upkeep import operations
from ..upkeep.departures import FINISHED
from ..upkeep.objects import full_name
from ..util.errors import ClusterError, HostError
from ..util.sanitize import clean
from ..util.wait import WaitTimeoutError
from . import proxy_binding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.configuration import Node
    from ..kube.client import Object
    from ..pki.csr_policy import SigningRequest
    from ..steps.checks.check import Check
    from .cluster_session import ClusterSession
    from .node_planner import NodePlanner

_HTTP_OK: Final = 200
_ACCESS: Final[tuple[tuple[type[HostError], Access], ...]] = (
    (UnreachableError, "unreachable"),
    (ConnectionLostError, "unreachable"),
    (UnknownHostKeyError, "host-key"),
    (ChangedHostKeyError, "host-key"),
    (RevokedHostKeyError, "host-key"),
    (HostCertificateError, "host-key"),
    (AuthenticationError, "login"),
    (SudoRefusedError, "sudo"),
    (CommandTimeoutError, "hangs"),
)


PODS: Final = "pods"


class Diagnoses:
    """
    Diagnoses of a run's nodes at one time; shared by their threads.

    What concerns all of them is asked of the API once.
    """

    def __init__(self, session: ClusterSession) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._nodes: Mapping[str, Object] | None = None
        self._requests: tuple[SigningRequest, ...] = ()
        self._unseen: tuple[str, ...] = ()
        self._fault: ClusterError | None = None

    def causes(self, planner: NodePlanner) -> tuple[Cause, ...]:
        """Return what is wrong with a node, what explains the rest first."""
        return self.judged(planner)[0]

    def judged(self, planner: NodePlanner) -> tuple[tuple[Cause, ...], bool, tuple[str, ...]]:
        """
        Return the causes, and whether the node's services run long enough to be judged.

        And what our account had no right to read of it.
        """
        evidence = self.evidence(planner)
        return judge.causes(evidence), judge.settled(evidence), evidence.node.unseen

    def evidence(self, planner: NodePlanner) -> Evidence:
        """Return all that is known of a node: from one probe of its host, and from the API."""
        return Evidence(
            wanted=self._wanted(planner.node),
            host=self._host(planner),
            node=self._at_api(planner.node),
            now=time.time(),
        )

    def _wanted(self, node: Node) -> Wanted:
        config, network = self._session.config, self._session.network
        return Wanted(
            name=node.name,
            ip=node.ip,
            second_ip=node.second_ip,
            apiserver=config.cluster.api_text,
            server=config.cluster.server,
            balanced=config.cluster.balanced,
            ca_pem=config.ca_pem,
            runtime=layout.runtime_units(
                node.runtime.name,
                cri_dockerd=compatibility.needs_cri_dockerd(config.cluster.version.minor),
            )[-1],
            proxy=node.kube_proxy.enabled,
            programs=config.paths.programs,
            kubelet_root=node.kubelet.root,
            runtime_root=node.runtime.root,
            cni_conf=config.paths.cni_conf,
            cni_bin=config.paths.cni_bin,
            conf_name=network.conf_name,
            own_plugins=network.own_plugins,
            sandbox_image=node.runtime.sandbox_image,
        )

    def _host(self, planner: NodePlanner) -> HostSeen:
        try:
            symptoms = planner.symptoms(self._place(planner.node))
            seen = planner.api_seen_from_host()
            health = _health(planner)
        except HostError as error:
            return HostSeen(_access(error), error.message, error.advice)
        of_others, files = planner.of_others()
        reached = None if seen.reachable is None else seen.reachable and seen.trusted is not None
        return HostSeen(
            facts=planner.facts,
            symptoms=symptoms,
            api_reached=reached,
            api_fault="" if seen.trusted or seen.reachable is None else seen.reason,
            health=health,
            overrides=tuple((each.text, each.fix) for each in planner.overrides()),
            of_others=tuple((each.text, each.fix) for each in of_others),
            files_of_others=files,
            lost=planner.lost_programs(),
            drift=planner.drift(),
        )

    def _place(self, node: Node) -> ProbeTargets:
        config = self._session.config
        docker = node.runtime.name == "docker"
        ctr = f"{config.paths.programs}/ctr"
        client = ("docker", "version") if docker else (ctr, "version")
        cluster = config.cluster
        apiserver = cluster.endpoints[0][0]  # of several, none has a name
        return ProbeTargets(
            services=node_services.units(node, config.cluster),
            ports=layout.ports(balanced=config.cluster.balanced),
            folders=(node.kubelet.root, node.runtime.root, config.paths.state, "/etc", "/run"),
            confs=config.paths.cni_conf,
            plugins=config.paths.cni_bin,
            socket="/run/docker.sock" if docker else layout.CONTAINERD_SOCKET,
            client=client,
            asked_name="" if _is_address(apiserver) else apiserver,
        )

    def _at_api(self, node: Node) -> NodeSeen:
        self._ask()
        if self._fault:
            return NodeSeen(known=False, fault=self._fault.message, advice=self._fault.advice)
        assert self._nodes is not None
        live = self._nodes.get(node.name)
        requests = self._of(node.name)
        if live is None:
            return NodeSeen(
                registered=False,
                heartbeat_age=float("inf"),
                requests=requests,
                removed=self._removed().get(node.name, ""),
                unseen=self._unseen,
            )
        try:
            return self._registered(node, live, requests)
        except ClusterError as error:
            return NodeSeen(
                known=False,
                fault=error.message,
                advice=error.advice,
                locked_out=operations.is_locked_out(live),
            )

    def _removed(self) -> dict[str, str]:
        """Return which nodes were removed, with the days; none where nobody can say."""
        try:
            return proxy_binding.removed(proxy_binding.read(self._session.api))
        except ClusterError:
            return {}

    def _ask(self) -> None:
        """Ask for what concerns all nodes, once."""
        with self._lock:
            if self._nodes is not None or self._fault:
                return
            api, config = self._session.api, self._session.config
            try:
                self._nodes = self._session.nodes.current()
                dialect = csr.dialect(config.cluster.version)
                found = permitted(lambda: api.get(dialect.path)["items"])
            except ClusterError as error:
                self._fault = error
                return
            self._requests = tuple(csr.parse(item) for item in found or ())
            self._unseen = ("signing requests",) if found is None else ()

    def _of(self, name: str) -> tuple[Request, ...]:
        """Return a node's signing requests."""
        now = time.time() + (self._session.api.clock_offset or 0)
        user = f"system:node:{name}"
        return tuple(
            Request(
                name=each.name,
                kind="client" if each.signer == CLIENT else "serving",
                state=each.state,
                issued=bool(each.certificate),
                age=max(0.0, now - each.created.timestamp()),
            )
            for each in self._requests
            if (each.signer == SERVING and each.username == user)
            or (each.signer == CLIENT and node_asked_for(each) == name)
        )

    def _registered(self, node: Node, live: Object, requests: tuple[Request, ...]) -> NodeSeen:
        session, name = self._session, node.name
        api, network = session.api, session.network
        now = time.time() + (api.clock_offset or 0)
        conditions = {
            kind: Condition(
                str(each.get("status")),
                clean(str(each.get("reason") or "")),
                clean(str(each.get("message") or "")),
            )
            for kind, each in node_status.conditions(live).items()
        }
        ready = conditions.get("Ready")
        listed = permitted(lambda: pods_on(api, name))
        pods = listed or []
        own = network.own_pod(pods)
        missed = permitted(lambda: (network.missing([name]),)) if network.name else (None,)
        missing = missed[0] if missed else None
        found = network.diagnosis([name], missing) if missing else None
        unseen = [] if listed is not None else [PODS]
        unseen += [f"{network.name}'s DaemonSet"] if missed is None else []
        metadata, status = live["metadata"], live.get("status") or {}
        operation = operations.read(live)
        leaving = ", ".join(metadata.get("finalizers") or ()) or "the API"
        return NodeSeen(
            leaving=leaving if "deletionTimestamp" in metadata else "",
            conditions=conditions,
            heartbeat_age=max(0.0, heartbeat_age(api, live, now)),
            cordon=operations.whose(live),
            operation=operation.what if operation and operations.is_own_cordon(live) else "",
            locked_out=operations.is_locked_out(live),
            excluded=operations.is_left_excluded(live),
            taints=tuple(
                taint
                for taint in schedulability.strange_taints(node, live)
                if not taint[0].startswith(f"{operations.REMOVED}:")
            ),
            tainted_by=operations.tainted_by(live),
            machine_id=node_status.machine_id(live),
            addresses=node_status.internal_ips(live),
            kubelet=clean(str((status.get("nodeInfo") or {}).get("kubeletVersion", ""))),
            pods=sum((pod.get("status") or {}).get("phase") not in FINISHED for pod in pods),
            most_pods=_whole((status.get("allocatable") or {}).get("pods")),
            requests=requests,
            network=found.cause if found else "",
            network_advice=found.advice if found else "",
            network_pod=(full_name(own), own["metadata"]["uid"]) if own else ("", ""),
            reaches_kubelet=self._reaches(name) if ready and ready.status == "True" else None,
            skew=self._skew(live),
            unseen=(*self._unseen, *unseen),
        )

    def _reaches(self, name: str) -> bool | None:
        """Say whether the apiserver gets to a kubelet; None: no right to ask it."""
        path = f"{node_status.NODES}/{name}/proxy/healthz"
        try:
            self._session.api.text(path, node=name)
        except KubeletError:
            return False
        except ApiError:
            return None
        return True

    def _skew(self, live: Object) -> str:
        kubelet = node_status.versions(live).kubelet
        server = self._session.snapshot.version
        if kubelet is None:
            return ""
        if (kubelet.major, kubelet.minor) > (server.major, server.minor):
            return (
                f"its kubelet {kubelet} is newer than the apiserver {server}, which it may not be"
            )
        span = compatibility.skew(kubelet.minor)
        if server.minor - kubelet.minor > span:
            return f"its kubelet {kubelet} is more than {span} minors behind the apiserver {server}"
        return ""


# What only repeats that a node is unhealthy.
_SYMPTOMS: Final = frozenset(
    {"api-away", "drift", "not-ready", "not-reporting", "no-network", "unregistered"}
)


def first_cause(session: ClusterSession, planner: NodePlanner) -> Cause | None:
    """
    Return what is wrong with a node whose wait timed out; None: nothing that is known.

    Whatever prevents that is a warning: the caller has a failure of its own to report.
    """
    try:
        found = roots(Diagnoses(session).causes(planner))
    except Exception as error:  # whatever happens here must not hide that failure
        planner.journal.warn(f"{planner.node.name}: the cause was not found out: {error!r}")
        return None
    return next((cause for cause in found if cause.key not in _SYMPTOMS), None)


def explained(
    error: WaitTimeoutError, session: ClusterSession, planner: NodePlanner
) -> WaitTimeoutError:
    """Return a time-out that says why, where that is known, with what fixes it."""
    if (cause := first_cause(session, planner)) is None:
        return error
    _, _, state = error.message.partition(": ")
    detail = f"{state}; the cause: {cause.text}" if state else f"the cause: {cause.text}"
    found = WaitTimeoutError(error.awaited, error.seconds, detail, cause.fix.text)
    found.detail = cause.seen
    return found


def explained_check(check: Check, session: ClusterSession, planner: NodePlanner) -> Check:
    """Return a check that failed with why it did, where that is known, and what fixes it."""
    if (cause := first_cause(session, planner)) is None:
        return check
    detail = f"{check.detail}; the cause: {cause.text}"
    return replace(check, detail=detail, advice=cause.fix.text)


def _health(planner: NodePlanner) -> str:
    """Return what the kubelet's health endpoint answers; empty: it is healthy, or has none."""
    at = health_endpoints.endpoints(planner.node).get(health_endpoints.KUBELET_HEALTH)
    if at is None:
        return ""
    answer = planner.host.http_get(at.port, "/healthz", address=at.address)
    if answer.status == _HTTP_OK:
        return ""
    return clean(answer.body[:200]) or "no answer"


def _access(error: HostError) -> Access:
    """Return why a host could not be probed."""
    if isinstance(error, AnsweredError) and not error.not_asked:  # else a gateway answered
        return "answers"
    return next((access for kind, access in _ACCESS if isinstance(error, kind)), "misbehaves")


def _whole(given: object) -> int:
    text = str(given)
    return int(text) if text.isascii() and text.isdigit() else 0


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
