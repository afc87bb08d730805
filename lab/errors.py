"""The errors the lab raises for what a user can understand and fix."""

from __future__ import annotations


class LabError(Exception):
    """Work of the lab failed; the text is one sentence that says what to do."""


class LabInputError(LabError):
    """What the user asked for cannot be."""
