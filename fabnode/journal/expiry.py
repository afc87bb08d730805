"""Certificates that a run reported, by expiry, with the axis for its report. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .events import Event

CERTIFICATES, MARGIN = "certificates", "margin"  # keys in the data of the event that lists them
DAY = 86_400.0
SOONEST = 8  # certificates listed one by one
# Labels of the axis, by days; those beyond the last certificate are left out.
_TICKS = {1: "1 day", 7: "1 week", 30: "30 days", 90: "90 days", 365: "1 year", 1825: "5 years"}
_LAST = 36_500


@dataclass(frozen=True, slots=True)
class Expiry:
    """
    One certificate.

    :param ends: seconds since 1970.
    :param days: days left; negative where it has expired.
    """

    where: str
    name: str
    subject: str
    issuer: str
    ends: float
    days: float


@dataclass(frozen=True, slots=True)
class Expiries:
    """
    All certificates that a run reported.

    :param at: when they were read, seconds since 1970.
    :param margin: days that each should have left.
    :param kinds: (name, certificates of that name, soonest end first).
    """

    at: float
    margin: float
    kinds: tuple[tuple[str, tuple[Expiry, ...]], ...]

    @property
    def soonest(self) -> tuple[Expiry, ...]:
        """Certificates that end first, at most `SOONEST`."""
        found = sorted((e for _, each in self.kinds for e in each), key=lambda e: e.days)
        return tuple(found[:SOONEST])

    @property
    def near(self) -> int:
        """Number of certificates with fewer days left than `margin`."""
        return sum(e.days < self.margin for _, each in self.kinds for e in each)

    def place(self, days: float) -> float:
        """Return the position of `days` on the logarithmic axis, in percent."""
        longest = max(e.days for _, each in self.kinds for e in each)
        whole = math.log1p(min(max(longest * 1.15, 30.0), _LAST))
        return round(100 * min(max(math.log1p(max(days, 0.0)) / whole, 0.0), 1.0), 3)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Marks of the axis: (position in percent, label)."""
        found = [(self.place(days), text) for days, text in _TICKS.items()]
        return [(at, text) for at, text in found if at < 100]


def expiries(events: Sequence[Event]) -> Expiries | None:
    """Return the certificates of the last event that lists any; None where none does."""
    for event in reversed(events):
        value = event.data.get(CERTIFICATES)
        if isinstance(value, list) and (found := [e for x in value if (e := _read(x, event.at))]):
            kinds: dict[str, list[Expiry]] = {}
            for expiry in sorted(found, key=lambda e: e.days):
                kinds.setdefault(expiry.name, []).append(expiry)
            return Expiries(
                event.at,
                _days(event.data.get(MARGIN)),
                tuple((name, tuple(each)) for name, each in kinds.items()),
            )
    return None


def _days(value: Any) -> float:
    known = isinstance(value, int | float) and 0 <= value <= _LAST
    return float(value) if known else 0.0


def _read(value: Any, at: float) -> Expiry | None:
    try:
        ends = datetime.fromisoformat(value["ends"]).timestamp()
        where, name, subject, issuer = (
            str(value[key]) for key in ("where", "name", "subject", "issuer")
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return Expiry(where, name, subject, issuer, ends, (ends - at) / DAY)
