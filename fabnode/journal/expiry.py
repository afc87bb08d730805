"""What ends when: the certificates that a run saw, as its report shows them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .events import Event

CERTIFICATES, MARGIN = "certificates", "margin"  # in the data of the event that tells of them
DAY = 86_400.0
SOONEST = 8  # that are listed one by one
# Days, and how they are written on the axis; those that lie beyond the last certificate are left.
_TICKS = {1: "1 day", 7: "1 week", 30: "30 days", 90: "90 days", 365: "1 year", 1825: "5 years"}
_LAST = 36_500


@dataclass(frozen=True, slots=True)
class Expiry:
    """One certificate: whose, which, and the days it has left (fewer than none: it has ended)."""

    where: str
    name: str
    subject: str
    issuer: str
    ends: float
    days: float


@dataclass(frozen=True, slots=True)
class Expiries:
    """
    All certificates that were seen, at some time (seconds since 1970).

    :param kinds: name → certificates of that name, the one that ends first in front.
    """

    at: float
    margin: float
    kinds: tuple[tuple[str, tuple[Expiry, ...]], ...]

    @property
    def soonest(self) -> tuple[Expiry, ...]:
        """Those that end first."""
        found = sorted((e for _, each in self.kinds for e in each), key=lambda e: e.days)
        return tuple(found[:SOONEST])

    @property
    def near(self) -> int:
        """How many have fewer days left than they should."""
        return sum(e.days < self.margin for _, each in self.kinds for e in each)

    def place(self, days: float) -> float:
        """Return where so many days are on the axis, in percent: near ends have the most room."""
        longest = max(e.days for _, each in self.kinds for e in each)
        whole = math.log1p(min(max(longest * 1.15, 30.0), _LAST))
        return round(100 * min(max(math.log1p(max(days, 0.0)) / whole, 0.0), 1.0), 3)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where the axis has marks, and what they say."""
        found = [(self.place(days), text) for days, text in _TICKS.items()]
        return [(at, text) for at, text in found if at < 100]


def expiries(events: Sequence[Event]) -> Expiries | None:
    """Return what the last event that tells of certificates tells; None where none does."""
    for event in reversed(events):
        told = event.data.get(CERTIFICATES)
        if isinstance(told, list) and (found := [e for x in told if (e := _read(x, event.at))]):
            kinds: dict[str, list[Expiry]] = {}
            for expiry in sorted(found, key=lambda e: e.days):
                kinds.setdefault(expiry.name, []).append(expiry)
            return Expiries(
                event.at,
                _days(event.data.get(MARGIN)),
                tuple((name, tuple(each)) for name, each in kinds.items()),
            )
    return None


def _days(told: Any) -> float:
    known = isinstance(told, int | float) and 0 <= told <= _LAST
    return float(told) if known else 0.0


def _read(told: Any, at: float) -> Expiry | None:
    try:
        ends = datetime.fromisoformat(told["ends"]).timestamp()
        where, name, subject, issuer = (
            str(told[key]) for key in ("where", "name", "subject", "issuer")
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return Expiry(where, name, subject, issuer, ends, (ends - at) / DAY)
