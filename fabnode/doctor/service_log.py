"""State of one service, and the journal lines that still count."""

from __future__ import annotations

import re
from copy import copy
from typing import TYPE_CHECKING

from ..node.unit_words import last_words
from ..util.sanitize import clean, cut

if TYPE_CHECKING:
    from ..node.symptoms import Line, UnitSeen
    from .evidence import HostSeen

_LOOPING = 2  # automatic restarts
_YOUNG = 45.0  # seconds within which a service that loops may just be up
_RECENT = 150.0  # seconds for which a line of a service that runs counts
_MARGIN = 3.0  # seconds by which a line may be older than the report that it came before
_OF_LAST = 90.0  # seconds before its last line, of one that does not
_OF_TEXT = 1.0  # seconds in which all lines of a text are in the journal
_LONGEST = 300

# Lines of kubelet and runtime about pods contain text of the pods' owners: the runtime's error
# quotes the command of a container. Such a line is recognized by its fields, or by the file that
# wrote it; what stands in quotes may be anybody's.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*(?:"|$)')
_OF_PODS = re.compile(
    r"\b(pods?|podUIDs?|pod(Sandbox)?IDs?|sandboxIDs?|container\w*|image\w*|event|plugin\w*"
    r"|volume\w*|probeType)="
    r"|\b(remote_(runtime|image)|kuberuntime_\w+|pod_workers|kubelet_(pods|volumes)|event|log"
    r"|prober\w*|handlers?|nestedpendingoperations|operation_\w+|\w*volume\w*|csi_\w+)\.go:"
    r"|\bpod\b"
)
# containerd's (internal/cri), by the call of the kubelet's that failed.
_OF_CALLS = re.compile(r'\bmsg="?(\w*(Sandbox|Container|Image|Exec|Attach|PortForward|Log)\w*)\b')
# The kubelet's own server, by what it logs of clients (pkg/kubelet/server): whoever reaches its
# port chooses the certificate that it complains about.
_OF_CLIENTS = re.compile(r'\] "(Unable to authenticate|Authorization error|HTTP")|\bhttp: ')
_HEADER = re.compile(r'[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ [\w.-]+:\d+\] |time="\d{4}-')


class Service:
    """
    One service of a host: its state, and what it logs.

    :param heartbeat_age: seconds since it last reported to the API.
    """

    def __init__(self, host: HostSeen, name: str, heartbeat_age: float = float("inf")) -> None:
        self._heartbeat_age = heartbeat_age
        self._recent = _RECENT
        self.name = name
        self.fact = host.facts.unit(name)
        self.seen = host.symptoms.unit(name)
        self._now = host.symptoms.now
        # On a busy host it may have been started after the uptime was read, which comes first.
        self._up = max(0.0, host.facts.uptime - self.fact.started)

    @property
    def since_report(self) -> Service:
        """
        The same service, with only what it logged since it last reported to the API.

        Older lines explain failures that are over.
        """
        view = copy(self)
        view._recent = min(_RECENT, self._heartbeat_age + _MARGIN)
        return view

    @property
    def crashes(self) -> bool:
        """Whether systemd starts it again and again."""
        if self.fact.active in {"failed", "activating"} or self.fact.sub == "auto-restart":
            return bool(self.fact.restarts) or self.fact.active == "failed"
        return self.fact.restarts >= _LOOPING and self.fact.running and self._up < _YOUNG

    @property
    def down(self) -> bool:
        """Whether it does not run."""
        return not self.fact.running

    @property
    def settled(self) -> bool:
        """Whether it has run long enough to be judged by what it does."""
        return self.fact.running and self._up > _YOUNG / 3

    @property
    def state(self) -> str:
        """Its state as systemd has it, in a clause."""
        restarts = f", started again {self.fact.restarts} times" if self.fact.restarts else ""
        return f"{self.name} is {self.fact.active} ({self.fact.sub}){restarts}"

    @property
    def masked(self) -> bool:
        """Whether systemd refuses to start it."""
        return self.fact.load == "masked" or self.fact.enabled.startswith("masked")

    def last_match(self, pattern: str, *, of_pods: bool = False) -> re.Match[str] | None:
        """
        Return the last match in those lines of its journal that still count.

        It is for people to read, and must not go into a command.

        :param of_pods: lines about pods count as well, which may contain text of their owners.
        """
        wanted = re.compile(pattern)
        lines = (line.text for line in reversed(self._counting()))
        found = (wanted.search(text) for text in lines if of_pods or not quotes_others(text))
        return next(filter(None, found), None)

    def quote(self, pattern: str, *, of_pods: bool = False) -> str:
        """Return the last line that matches, from there on; empty: none does."""
        found = self.last_match(pattern, of_pods=of_pods)
        if found is None:
            return ""
        start = found.start("quoted") if "quoted" in found.re.groupindex else found.start()
        return cut(clean(found.string[start:]), _LONGEST)

    @property
    def ending(self) -> str:
        """What it logged last, in a clause that begins with a semicolon; may be empty."""
        return last_words("\n".join(line.text for line in self.seen.journal[-40:]), self.name)

    def _counting(self) -> list[Line]:
        journal = _own_lines(self.seen)
        if not journal:
            return []
        if self.down or self.crashes:
            return [line for line in journal if line.at >= journal[-1].at - _OF_LAST]
        began = self._now - self._up - 1
        return [line for line in journal if line.at >= max(began, self._now - self._recent)]


def _own_lines(seen: UnitSeen) -> list[Line]:
    """
    Return lines but those of texts that a line before them begins.

    klog writes texts of several lines (what a pod's probe or hook printed) as `output=<`, the lines
    indented, and `>`. journald takes the indent away, so that a pod writes lines like the
    kubelet's own, its `>` too: what comes within a second of such a beginning is ignored, and so
    is what follows within a second of a line of such a text. A line that was cut may have ended in
    such a beginning (journald splits what is longer than 48 KiB), and so may the line before
    the oldest that was read.
    """
    first = seen.journal[0].at if seen.older and seen.journal else float("-inf")
    found, ends = [], first + _OF_TEXT
    for line in seen.journal:
        of_text, begins = line.at <= ends, line.text.endswith("=<")
        if not of_text and not begins:
            found.append(line)
        if begins or line.cut or (of_text and not _HEADER.match(line.text)):
            ends = line.at + _OF_TEXT
    return found


def quotes_others(line: str) -> bool:
    """
    Return whether a line of a kubelet's or a runtime's may contain text that somebody else chose.

    That is so of lines about pods, and about requests that the kubelet answered or refused.
    """
    return bool(
        _OF_CALLS.search(line) or _OF_CLIENTS.search(line) or _OF_PODS.search(_QUOTED.sub("", line))
    )
