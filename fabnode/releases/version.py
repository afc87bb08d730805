"""
Types for a release and a range of minor releases.

Differences between releases are data in `config/versions.yml`, whose shape is `matrix.py`; both use
these two types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RELEASE = re.compile(r"v?(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """A release `major.minor.patch` of Kubernetes or Calico. Printed without a `v`."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Release:
        """
        Parse `1.37.2` or `v1.37.2`.

        :raises ValueError: for anything else, pre-releases included.
        """
        if not (found := _RELEASE.fullmatch(text)):
            msg = f"{text!r} is not a release such as 1.37.2"
            raise ValueError(msg)
        major, minor, patch = found.groups()
        return cls(int(major), int(minor), int(patch))

    @property
    def series(self) -> str:
        """Return `major.minor`."""
        return f"{self.major}.{self.minor}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True, slots=True)
class MinorRange:
    """Minors of Kubernetes 1.x, from `since` up to but excluding `until`; None: no end."""

    since: int = 0
    until: int | None = None

    def __contains__(self, minor: int) -> bool:
        return self.since <= minor and (self.until is None or minor < self.until)

    def __str__(self) -> str:
        """Return `1.10–1.23`, `from 1.10`, `up to 1.23` or `always`."""
        last = None if self.until is None else self.until - 1
        if self.since and last is not None:
            return f"1.{self.since}" if self.since == last else f"1.{self.since}–1.{last}"
        if last is not None:
            return f"up to 1.{last}"
        return f"from 1.{self.since}" if self.since else "always"
