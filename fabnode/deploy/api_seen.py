"""How a host gets to the apiservers: one that answers will do, and the others are named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..ssh.port_checks import TlsResult


@dataclass(frozen=True, slots=True)
class ApiSeen:
    """
    What a host gets to of the API.

    :param reachable, trusted, reason: as of a `TlsResult`, of the apiserver that does best.
    :param others: why each of the others can't be used, where one can.
    """

    reachable: bool | None
    trusted: bool | None
    reason: str = ""
    others: tuple[str, ...] = ()


def api_seen(results: Mapping[str, TlsResult]) -> ApiSeen:
    """
    Return what a host gets to.

    :param results: URL of an apiserver → what became of a handshake with it; one at least.
    """
    if len(results) == 1:
        (only,) = results.values()
        return ApiSeen(only.reachable, only.trusted, only.reason)
    faults = tuple(f"{url}: {found.reason}" for url, found in results.items() if not found.trusted)
    if len(faults) < len(results):
        return ApiSeen(True, True, others=faults)
    best = max(results.values(), key=_rank)
    reason = best.reason if best.reachable is None else "; ".join(faults)
    return ApiSeen(best.reachable, best.trusted, reason)


def _rank(found: TlsResult) -> int:
    """Return how much is known of an apiserver: that sshd forbids to ask holds for all."""
    if found.reachable is None:
        return 3
    return 2 if found.trusted is not None else int(found.reachable)
