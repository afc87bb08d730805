"""
CA rollover: a node's stage of it, from the CAs it trusts and the certificates it holds. Pure.

A node trusts the CAs in `cluster.ca`; the first of them issues the node's own certificates. With
the new and the old CA in it, in this order, a node first gets both (`BUNDLE`), then certificates of
the new one (`CERTIFICATES`); once `cluster.ca` holds only the new one, the old one is removed
(`OLD_OUT`). No state is stored: a run after an interrupted one derives the stage again.
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


class NoSafeTransitionError(FabnodeError):
    """A node has no safe transition to the configured CAs."""

    advice = "put both CAs into cluster.ca, the new one first, and run the command again"


@dataclass(frozen=True, slots=True)
class Authorities:
    """The configured CAs, PEM each; the first issues certificates."""

    wanted: tuple[bytes, ...]

    @classmethod
    def of(cls, ca_pem: bytes) -> Authorities:
        """Parse `cluster.ca`."""
        return cls(split(ca_pem))

    @property
    def signer(self) -> bytes:
        """The CA that issues certificates."""
        return self.wanted[0]

    @property
    def several(self) -> bool:
        """Whether a change of the CA is under way."""
        return len(self.wanted) > 1

    def stage(self, trusted: bytes, certificates: Mapping[str, Pem]) -> Stage:
        """
        Return a node's next stage.

        :param trusted: content of its CA file.
        :param certificates: kind → PEM of those it holds.
        :raises NoSafeTransitionError: node and cluster would be cut off from each other.
        """
        now, wanted = _set(trusted), set(self.wanted)
        foreign = [k for k, pem in certificates.items() if not issued_by(pem, self.signer)]
        if not now & wanted:
            raise NoSafeTransitionError(
                f"it trusts {_named(now) or 'no CA'}, which cluster.ca does not contain"
            )
        if now - wanted and wanted - now:
            what = f"adding {_named(wanted - now)} and removing {_named(now - wanted)}"
            raise NoSafeTransitionError(f"its CA file would change in two ways at once: {what}")
        if wanted - now:
            return BUNDLE
        if now - wanted and foreign:
            kinds = ", ".join(foreign)
            raise NoSafeTransitionError(
                f"it would no longer trust the CA of its own certificates ({kinds})"
            )
        if foreign:
            return CERTIFICATES
        return OLD_OUT if now - wanted else DONE


def named(ca_pem: bytes) -> str:
    """Format a CA for users: its subject and end, since several often have the same name."""
    found = read(ca_pem)
    return f"{found.subject} (until {found.not_after:%Y-%m-%d})"


def _set(pem: bytes) -> set[bytes]:
    try:
        return set(split(pem))
    except ValueError:
        return set()


def _named(found: set[bytes]) -> str:
    return ", ".join(sorted(named(pem) for pem in found))
