"""Judgement of signing requests: one watch on them serves all nodes of a run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from ..kube import csr
from ..kube.csr_approver import Approver
from ..kube.watch import Watch
from ..util.wait import Wait
from .csr_log import VerdictLog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..config.configuration import Config
    from ..journal.journal import Journal
    from ..kube.client import Api, Object
    from ..kube.key_lookup import KeyLookup

T = TypeVar("T")


class RequestJudge:
    """
    Judges each signing request that appears, and approves what is proved.

    The watch begins when somebody first needs it.

    :param serving_only: only requests for serving certificates are judged.
    :param key_lookup: asks hosts for the keys that wait there. With it, requests of hosts that this
        run doesn't join itself are judged as well.
    """

    def __init__(
        self,
        config: Config,
        api: Api,
        journal: Journal,
        *,
        dry_run: bool,
        key_lookup: KeyLookup | None,
        serving_only: bool,
    ) -> None:
        shares_token = config.bootstrap.mode == "token-file"
        self.key_lookup = key_lookup
        self.log = VerdictLog(journal, dry_run=dry_run)
        self.dialect = csr.dialect(config.cluster.version)
        self.requests = Watch(api, self.dialect.path)
        self.approver = Approver(
            api,
            dry_run=dry_run,
            on_verdict=self.log.given,
            on_foreign=self.log.foreign,
            serving_only=serving_only,
            all_tokens=key_lookup is not None and not shares_token,
            dialect=self.dialect,
            key_lookup=key_lookup,
        )
        self.approver.attach(self.requests)
        self._api = api
        self._watching = threading.Event()

    def begin(self) -> None:
        """Begin to judge signing requests, unless that has begun."""
        if not self._watching.is_set():
            self._watching.set()
            self.requests.start()

    def interrupt(self) -> None:
        """End all waiting for signing requests, by KeyboardInterrupt."""
        self.requests.interrupt()

    def close(self) -> None:
        """Judge no more."""
        self.requests.stop()
        self.log.report_suppressed()

    def items(self) -> list[Object]:
        """Return the signing requests that are there now."""
        found: list[Object] = self._api.get(self.dialect.path)["items"]
        return found

    def wait(
        self,
        found: Callable[[Mapping[str, Object]], T | None],
        wait: Wait,
        state: Callable[[], str],
    ) -> T:
        """
        Return what `found(requests by name)` returns once that is not None.

        :param state: returns the last state seen.
        :raises WaitTimeoutError: it was not so at the deadline.
        """
        self.begin()
        return self.requests.follow(found, wait, state)

    def judge(self) -> None:
        """Judge every signing request that is there now."""
        for item in self.items():
            self.approver.consider(item)
        if self.key_lookup:
            self.key_lookup.settle()

    def judge_forever(self) -> None:
        """Judge requests as they come, until interrupted or the API stays unavailable."""
        self.begin()
        self.requests.until(lambda _: None, Wait("the end of the watch", threading.TIMEOUT_MAX))

    def deny(self, names: Sequence[str]) -> bool:
        """
        Deny pending requests of no configured node, by name; return whether all were denied.

        Raises ApiError where there is none of that name.
        """
        denied = [self._deny(name) for name in names]  # each of them, whatever came of others
        return all(denied)

    def _deny(self, name: str) -> bool:
        item = self._api.get(f"{self.dialect.path}/{name}")
        request = csr.parse(item)
        verdict = self.approver.verdict_on(request)
        if verdict.asks and self.key_lookup and verdict.node:
            asked = {verdict.node: self.key_lookup.ask(verdict.node)}
            verdict = self.approver.verdict_on(request, asked)
        if request.state != "Pending":
            self.log.decided_already(request, verdict)
        elif verdict.approve:
            self.log.claimed(request, verdict)
        else:
            csr.deny(self._api, item, "denied by the operator", self.dialect)
            self.log.denied(request, verdict)
            return True
        return False
