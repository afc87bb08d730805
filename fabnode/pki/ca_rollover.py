"""
How far a node is with a changed CA: told by what it holds and what the configuration says. Pure.

`cluster.ca` is what a node is to trust, and the first certificate in it the CA that its own
certificates are to come from. With old and new in it, the new one first, a node gets both
(`BUNDLE`), then certificates of the new one (`CERTIFICATES`); once `cluster.ca` holds the new one
alone, the old one goes (`OLD_OUT`). Nothing of this is remembered anywhere: a run that was cut off
finds the stage by looking again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..util.errors import FabnodeError
from .certificates import Pem, issued_by, read, split

if TYPE_CHECKING:
    from collections.abc import Mapping

Stage = Literal["bundle", "certificates", "old out", "done"]
BUNDLE: Stage = "bundle"
CERTIFICATES: Stage = "certificates"
OLD_OUT: Stage = "old out"
DONE: Stage = "done"
STAGES: tuple[Stage, ...] = (BUNDLE, CERTIFICATES, OLD_OUT)


class StrayedError(FabnodeError):
    """A node from which no safe way leads to what the configuration says."""

    advice = "put the old and the new CA into cluster.ca, the new one first, and run it again"


@dataclass(frozen=True, slots=True)
class Authorities:
    """The CAs of the configuration, PEM each: the first is the one that is to sign."""

    wanted: tuple[bytes, ...]

    @classmethod
    def of(cls, ca_pem: bytes) -> Authorities:
        """Read `cluster.ca`."""
        return cls(split(ca_pem))

    @property
    def signer(self) -> bytes:
        """The CA that certificates are to come from."""
        return self.wanted[0]

    @property
    def several(self) -> bool:
        """Whether a change of the CA is under way."""
        return len(self.wanted) > 1

    def stage(self, trusted: bytes, certificates: Mapping[str, Pem]) -> Stage:
        """
        Say what is next for a node.

        :param trusted: its CA file. :param certificates: kind → PEM of those it holds.
        :raises StrayedError: the node would be cut off from the cluster, or the cluster from it.
        """
        now, wanted = _set(trusted), set(self.wanted)
        foreign = [k for k, pem in certificates.items() if not issued_by(pem, self.signer)]
        if not now & wanted:
            raise StrayedError(f"it trusts {_named(now) or 'no CA'}, and cluster.ca none of these")
        if now - wanted and wanted - now:
            what = f"{_named(wanted - now)} would come and {_named(now - wanted)} go at once"
            raise StrayedError(f"its CA file would change too much: {what}")
        if wanted - now:
            return BUNDLE
        if now - wanted and foreign:
            kinds = ", ".join(foreign)
            raise StrayedError(f"it would no longer trust the CA of its own certificates ({kinds})")
        if foreign:
            return CERTIFICATES
        return OLD_OUT if now - wanted else DONE


def named(ca_pem: bytes) -> str:
    """Return how a CA is shown: its subject, and when it ends, for names are often the same."""
    found = read(ca_pem)
    return f"{found.subject} (until {found.not_after:%Y-%m-%d})"


def _set(pem: bytes) -> set[bytes]:
    try:
        return set(split(pem))
    except ValueError:
        return set()


def _named(found: set[bytes]) -> str:
    return ", ".join(sorted(named(pem) for pem in found))
