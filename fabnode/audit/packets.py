"""Findings about duplicate rules in the packet filter's built-in chains."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from .finding import DeduplicateRules, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..node.examination import Evidence

# A later copy of such a rule can never match: its tests see nothing but the packet and its
# connection, and the first copy ends the packet's way through the chain.
_NEVER_REACHED = re.compile(
    r"-A [A-Z]+"
    r"( (! )?(-[sdpio] [\w./:+-]+|-m (tcp|udp|comment|conntrack|state)"
    r"|--(dport|sport|ctstate|state) [\w:,]+|--comment (\"[^\"]*\"|[\w./:-]+)))*"
    r" -j (ACCEPT|DROP|REJECT( --reject-with [\w-]+)?)",
    re.ASCII,
)
_NOT_OURS = re.compile(r"cali[-:]|KUBE-|DOCKER")


def findings(evidence: Evidence) -> Iterator[Finding]:
    """Return one finding for a table, and one for what is in it but not understood."""
    for table, rules in evidence.rules.items():
        counts = Counter(rules)
        several = [rule for rule, count in counts.items() if count > 1]
        several = [rule for rule in several if not _NOT_OURS.search(rule)]
        known: list[str] = []
        strange: list[str] = []
        for rule in several:
            (known if _NEVER_REACHED.fullmatch(rule) else strange).append(rule)
        if known:
            extra = sum(counts[rule] - 1 for rule in known)
            yield Finding(
                "duplicate-rules",
                "low",
                f"iptables {table}",
                f"{extra} rules are duplicates, and were never reached",
                known[0],
                "delete the later ones, by number, from the end; never flush",
                (DeduplicateRules(table, tuple(known)),),
            )
        if strange:
            yield Finding(
                "duplicate-rules",
                "low",
                f"iptables {table}, others",
                f"{len(strange)} rules are there more than once",
                strange[0],
                "delete the surplus",
                by_hand="a later copy of such a rule may have an effect",
            )
