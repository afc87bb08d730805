"""Numbers of things, and their sizes, in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: `1 node`, `2 nodes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def megabytes(count: int) -> str:
    """Return a number of bytes as people read it: `165 MB`."""
    return f"{count / 1e6:.0f} MB"
