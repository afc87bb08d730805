"""
Preconditions of the first change: all rights, and the lease on the cluster.

Every run has a guard, and those that change nothing ask it nothing: what rights are is imported by
the functions that compare them.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..kube.client import ApiError
from ..kube.service_accounts import DEPLOYER
from ..util import program
from .errors import AccountPolicyError, MissingRightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..config.configuration import Config
    from ..journal.journal import Journal
    from ..kube.client import Api
    from ..kube.lease_lock import LeaseLock
    from ..kube.rbac_rules import Right
    from ..steps.finding import Finding
    from .admission_policy import Allowed
    from .cluster_snapshot import ClusterSnapshot
    from .cni_rollout import PodNetwork


class ChangeGuard:
    """
    Precondition of changes: rights and lease, obtained before the first change of a run.

    :param snapshot: returns the cluster as it was found; it may wait for that.
    :param network: to install its objects takes rights of its own.
    :param account: the ServiceAccount's user name that we use; empty: somebody else.
    :param rights: what this run needs; None: what a deployment does, with its account's policy.
    :param more_rights: what it needs besides.
    """

    def __init__(
        self,
        api: Api,
        lease_lock: LeaseLock,
        journal: Journal,
        *,
        config: Config,
        snapshot: Callable[[], ClusterSnapshot],
        network: PodNetwork,
        account: str,
        rights: Sequence[Right] | None = None,
        more_rights: Sequence[Right] = (),
    ) -> None:
        self._config = config
        self._api = api
        self._lease_lock = lease_lock
        self._journal = journal
        self._snapshot = snapshot
        self._network = network
        self._is_deployer = account == DEPLOYER.username
        self._rights = rights
        self._more_rights = more_rights
        self._lock = threading.Lock()
        self._refused: list[str] | None = None
        self._policy: tuple[Finding, ...] | None = None
        self._own_names: bool | None = None

    def obtain(self) -> None:
        """
        Check that we have all rights we need, and acquire the lease.

        The API is asked once per run. Raises MissingRightsError with every verb and resource that
        is missing, AccountPolicyError where the policy on our account refuses what we need, or
        LockedError with who else is at work.
        """
        with self._lock:
            if self._refused is None:
                for finding in self._policy_findings():
                    if finding.level == "warning":
                        self._journal.warn(f"{finding.text}; {finding.fix}")
                self._refused = self._missing()
            if self._refused:
                raise self._no_right(self._refused)
            if errors := [f for f in self._policy_findings() if f.level == "error"]:
                raise AccountPolicyError(errors)
            if self._snapshot().has_leases:
                self._lease_lock.take()

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """
        Have a request that is forbidden name all rights that are missing, not only its own.

        An account that was made for another manifest of the pod network lacks rights to its
        objects by their names.

        :raises MissingRightsError: in place of the API's refusal, where rights are missing.
        """
        try:
            yield
        except ApiError as error:
            if error.is_forbidden and (missing := self._missing_rights(each=True)):
                raise self._no_right(missing) from error
            raise

    def policy_findings(self) -> tuple[Finding, ...]:
        """Return how the policy on our account differs from the one that we need."""
        with self._lock:
            return self._policy_findings()

    def admits_own_names(self) -> bool:
        """Return whether the policy on our account lets us ask for certificates in nodes' names."""
        from . import deployer_account

        with self._lock:
            if self._own_names is None:
                self._own_names = not self._limited or deployer_account.admits_own_names(
                    self._api, self._allowed()
                )
            return self._own_names

    def give_back(self) -> None:
        """Release the lease, so that others can change the cluster."""
        self._lease_lock.release()

    def _missing_rights(self, *, each: bool = False) -> list[str]:
        from ..kube import rbac_rules
        from . import run_rights

        needed = self._rights
        if needed is None:
            needed = run_rights.needed(self._config, network=self._network.objects())
        return rbac_rules.missing(self._api, (*needed, *self._more_rights), each=each)

    def _no_right(self, missing: list[str]) -> MissingRightsError:
        if self._rights is not None or self._more_rights:
            command = program.task("rbac.deployer --with-drain")
            advice = f"use the kubeconfig of `{command}`, or grant the missing rights"
            return MissingRightsError(f"no right to {'; '.join(missing)}", advice)
        again = (
            "this account was made for another configuration: run"
            f" `{program.task('rbac.deployer')}` again as administrator"
        )
        advice = again if self._is_deployer else ""
        return MissingRightsError(f"no right to {'; '.join(missing)}", advice)

    def _missing(self) -> list[str]:
        missing = self._missing_rights()
        snapshot = self._snapshot()
        if not snapshot.has_leases:
            self._journal.warn(
                f"Kubernetes {snapshot.version} has no Leases: see to it yourself that "
                "nobody else deploys to this cluster meanwhile"
            )
        return missing

    def _policy_findings(self) -> tuple[Finding, ...]:
        from . import deployer_account

        if self._policy is None:
            self._policy = (
                deployer_account.policy_findings(self._api, self._allowed())
                if self._limited
                else ()
            )
        return self._policy

    @property
    def _limited(self) -> bool:
        """Whether there may be a policy on the account that we use."""
        from . import deployer_account

        of_deployment = self._is_deployer and self._rights is None
        return of_deployment and deployer_account.guarded(self._snapshot().version)

    def _allowed(self) -> Allowed:
        from . import deployer_account

        return deployer_account.allowed(self._config, self._network.objects())
