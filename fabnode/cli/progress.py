"""
Choice of the progress display: plain lines for pipes and logs, a live table on a terminal.

`rich`, slow to import, is imported only where there is a terminal.
"""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING

from .plain_progress import PlainLines

if TYPE_CHECKING:
    from ..journal.journal import Sink


def show(*, json: bool = False, out: IO[str] | None = None, err: IO[str] | None = None) -> Sink:
    """
    Return the sink that fits the output stream.

    Ask for passwords before the first event: from then on a live table owns the terminal.

    :param json: whether `out` is for JSON; progress goes to `err` then.
    """
    stream = (err or sys.stderr) if json else (out or sys.stdout)
    if stream.isatty() and os.environ.get("TERM") != "dumb":
        from .live_progress import LiveTable

        return LiveTable(stream)
    return PlainLines(stream)
