"""Finding of preflight: what is wrong with a node, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a node: an `error` stops it, a `warning` doesn't. `fix` says what to do."""

    level: Literal["error", "warning"]
    text: str
    fix: str
