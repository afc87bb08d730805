"""Programs that fabnode and what it runs need of a host, with the packages that bring them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_COREUTILS = "coreutils"

NEEDED_TO_PROBE: Mapping[str, str] = MappingProxyType(
    {
        "awk": "gawk",
        "grep": "grep",
        "systemctl": "systemd",
        **dict.fromkeys(
            ("base64", "cat", "date", "head", "readlink", "sha256sum", "stat", "timeout", "uname"),
            _COREUTILS,
        ),
    }
)
"""Without these a probe would report what is not so."""

NEEDED: Mapping[str, str] = MappingProxyType(
    {
        **NEEDED_TO_PROBE,
        "find": "findutils",
        "flock": "util-linux",
        "gzip": "gzip",
        "journalctl": "systemd",
        "mount": "mount or util-linux",
        "sed": "sed",
        "tar": "tar",
        **dict.fromkeys(
            ("chmod", "chown", "cut", "env", "mkdir", "mv", "rm", "sleep", "sync", "tail"),
            _COREUTILS,
        ),
    }
)
"""Those of fabnode's programs, and of every kubelet."""

_OTHERS = {"modprobe": "kmod"}


def packages(tools: Iterable[str]) -> str:
    """Return the packages to install for these tools, in a list for people."""
    known = {**NEEDED, **_OTHERS}
    return ", ".join(sorted({known.get(tool, tool) for tool in tools}))


ODD_TOOLS = (
    "compare its sh, awk, sed and stat (`type -a`, `--version`) with another host's: one of them"
    " differs"
)
"""Advice where what a host's programs print can't be read."""
FAULT_QUOTED = (
    "correct on that host what the quoted error is about, then run the same command again"
)
