"""The last message of a service, from its journal."""

from __future__ import annotations

import re

_KLOG = re.compile(r"^[IWEF]\d{4} [\d:.]+ +\d+ \S+\] ")  # what Kubernetes' lines begin with
# A panic of Go's, klog's and logrus's fatal lines; as in scripts/shared/journal.sh.
_FATAL = re.compile(r"^(panic|fatal error): |^F\d{4} | level=(fatal|panic) ")
_ENDED = "Main process exited"
# systemd's messages about a unit; before 249 with its description alone.
_OF_SYSTEMD = r"(Start|Stopp|Reload|Finish)(ing|ed) .*\.|Failed to start .*|{unit}: .*"


def last_words(journal: str, unit: str) -> str:
    """
    Return a clause with the unit's own last message, not systemd's about it.

    Where it panicked these are what it panicked about, not the last line of the stack. A panic of
    an earlier process says nothing about the last one.
    """
    others = re.compile(_OF_SYSTEMD.format(unit=re.escape(unit))).fullmatch
    lines = journal.splitlines()
    ended = [index for index, line in enumerate(lines) if line.startswith(f"{unit}: {_ENDED}")]
    last_process = lines[ended[-2] + 1 :] if len(ended) > 1 else lines
    if fatal := [line for line in last_process if _FATAL.search(line)]:
        return f"; it ended with: {_KLOG.sub('', fatal[-1])}"
    own = [line for line in lines if line and not others(line)]
    return f"; its last line: {_KLOG.sub('', own[-1])}" if own else ""
