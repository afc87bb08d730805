"""Passes events of a run to the caller's function."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..journal.events import Event
    from ..journal.journal import Journal

_LOG = logging.getLogger("fabnode")


class Subscriber:
    """
    Passes events on until the function raises: a run outlives that, and does not hide it.

    The exception goes to the logger `fabnode` with its trace, and into the journal as a warning.
    """

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event: Callable[[Event], None] | None = on_event
        self.journal: Journal | None = None

    def event(self, event: Event) -> None:
        """Pass an event on."""
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except Exception as error:
            self._on_event = None
            text = "the subscriber to events failed and gets no more"
            _LOG.exception(text)
            if self.journal:
                self.journal.warn(f"{text}: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Stop; events may still be on their way to other sinks."""
