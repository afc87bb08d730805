"""
Show a run while it goes: plain lines for pipes and logs, a live table on a terminal.

The plain one costs next to nothing; `rich` is imported only where there is a terminal.
"""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING

from .plain_progress import Lines

if TYPE_CHECKING:
    from ..journal.journal import Sink


def show(*, json: bool = False, out: IO[str] | None = None, err: IO[str] | None = None) -> Sink:
    """
    Return what fits the place: with `json` everything goes to `err`, since `out` is for the JSON.

    Ask for passwords before the first event: from then on a live table owns the terminal.
    """
    stream = (err or sys.stderr) if json else (out or sys.stdout)
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        from .live_progress import LiveTable

        return LiveTable(stream)
    return Lines(stream)
