"""
Session with the cluster's API, opened once per run and shared by its nodes.

`open` lets the nodes be certified and takes a snapshot of the cluster; whatever nodes need,
they request from the part that has it.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from ..kube import bootstrap_tokens, csr
from ..kube.client import Api
from ..kube.kubeconfig import load
from ..kube.lease_lock import LeaseLock
from ..kube.server_side_apply import Manifests, way
from ..kube.server_version import server_release
from .admission import Admission
from .api_access import each_alone, everywhere
from .certified_keys import CertifiedKeys
from .change_guard import ChangeGuard
from .cluster_snapshot import ClusterSnapshot
from .cni_rollout import PodNetwork
from .control_plane_cas import TrustedAuthorities
from .node_registry import Nodes
from .proxy_certificates import ProxyCertificates
from .proxy_identities import ProxyIdentities
from .request_judge import RequestJudge
from .restart_turns import RestartTurns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..config.configuration import Config, Node
    from ..journal.journal import Journal
    from ..kube.key_lookup import KeyLookup
    from ..kube.rbac_rules import Right

R = TypeVar("R")

_LOCK_PATIENCE = 3.0  # it is renewed again and again, and given back at the end


class ClusterSession:
    """
    What a run has of the API. Safe to share between the nodes' threads, as is each part.

    :param shared_token: see `Admission`. :param key_lookup, serving_only: see `RequestJudge`.
    :param rights, more_rights: see `ChangeGuard`; with `rights` a run lets no node be certified.
    """

    def __init__(
        self,
        config: Config,
        journal: Journal,
        *,
        dry_run: bool = False,
        shared_token: str = "",
        key_lookup: KeyLookup | None = None,
        serving_only: bool = False,
        rights: Sequence[Right] | None = None,
        more_rights: Sequence[Right] = (),
    ) -> None:
        """Open nothing yet."""
        self.config = config
        self.stopped = threading.Event()
        self._joins = rights is None
        self._shares_token = config.bootstrap.mode == "token-file"
        self._pool = ThreadPoolExecutor(3, thread_name_prefix="cluster")
        self._snapshot: Future[ClusterSnapshot] = Future()
        credentials = everywhere(load(config.cluster.kubeconfig), config.cluster)
        self.api = Api(credentials, patience=config.timeouts.api, on_wait=journal.warn)
        self._each = each_alone(credentials) if config.cluster.balanced else ()
        self._warn = journal.warn
        lease_lock = LeaseLock(Api(credentials, patience=_LOCK_PATIENCE), journal.warn)

        def snapshot() -> ClusterSnapshot:
            return self.snapshot

        applies = way(config.cluster.version)
        self.manifests = Manifests(self.api, way=applies)
        self.network = PodNetwork(config, self.api, journal)
        self.guard = ChangeGuard(
            self.api,
            lease_lock,
            journal,
            config=config,
            snapshot=snapshot,
            network=self.network,
            account=credentials.service_account,
            rights=rights,
            more_rights=more_rights,
        )
        self.nodes = Nodes(config, self.api, snapshot)
        self.restarts = RestartTurns(config, self.api, journal, self.stopped, self.nodes)
        self.authorities = TrustedAuthorities(config, self.api)
        self.judge = RequestJudge(
            config,
            self.api,
            journal,
            dry_run=dry_run,
            key_lookup=key_lookup,
            serving_only=serving_only,
        )
        self.certified = CertifiedKeys(self.api, self.judge, self.guard, snapshot)
        self.proxy_identities = ProxyIdentities(
            self.api, journal, self.guard, snapshot, way=applies
        )
        self.proxy_certificates = ProxyCertificates(
            config, self.api, self.judge, self.guard, self.proxy_identities
        )
        self.admission = Admission(
            config,
            self.api,
            journal,
            judge=self.judge,
            certified=self.certified,
            nodes=self.nodes,
            guard=self.guard,
            snapshot=snapshot,
            shared_token=shared_token,
        )

    def open(self, nodes: Sequence[Node], away: int | None = None) -> None:
        """
        Let these nodes be certified, and begin the snapshot; returns at once.

        :param away: how many may be away at once; None: `maintenance.batch`.
        """
        self.restarts.expect([node.name for node in nodes], away)
        if self._joins:
            self.admission.allow(nodes)
        self._snapshot = self.background(self._take_snapshot)

    def interrupt(self) -> None:
        """End what nodes wait for, so that they clean up: the user interrupted the run."""
        self.stopped.set()
        self.nodes.interrupt()
        self.judge.interrupt()

    def close(self) -> None:
        """End the watches and the background work; others may change the cluster now."""
        self.nodes.close()
        self.judge.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.guard.give_back()

    @property
    def snapshot(self) -> ClusterSnapshot:
        """The cluster as it was found; waits for it, raises what went wrong with it."""
        return self._snapshot.result()

    def background(self, work: Callable[[], R]) -> Future[R]:
        """Run `work` beside the nodes."""
        return self._pool.submit(work)

    def await_api(self) -> None:
        """Return once the apiserver answers us. Raises ApiAwayError."""
        self.api.get("/version")

    def _take_snapshot(self) -> ClusterSnapshot:
        version = server_release(self.api, self._each, self._warn)
        nodes = self.nodes.current()
        self.nodes.begin_watch()
        if not self._joins:
            return ClusterSnapshot(version, self.api.clock_offset, nodes, (), ())
        dialect = csr.dialect(self.config.cluster.version)
        # Preflight reports an apiserver that doesn't fit the nodes.
        served = dialect.served_by(version)
        return ClusterSnapshot(
            version=version,
            clock_offset=self.api.clock_offset,
            nodes=nodes,
            tokens=() if self._shares_token else bootstrap_tokens.existing(self.api),
            requests=csr.own_requests(self.api, dialect) if served else (),
            other_approvers=self.admission.other_approvers(),
        )
