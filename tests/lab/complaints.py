"""What kubelet and kube-proxy say of their own flags and fields when they start."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .harness import Lab

_COMPLAINT = re.compile(
    r"deprecat|unknown (flag|field)|strict decoding|unrecogni[sz]ed|has no effect|will be removed",
    re.IGNORECASE,
)

# Said of the host, or of a whole way of doing things, and to be answered by no flag or field.
_NOT_OF_A_SETTING = (
    "Using dockershim is deprecated",
    "NoCredentialProviders",  # 1.20 asks every cloud it knows for credentials
    "cgroup v1",
    "CgroupV1",
)


def complaints(lab: Lab, host: str, unit: str) -> list[str]:
    """Return what a unit complained about since it was last started."""
    start = lab.on(host, f"systemctl show -p InvocationID --value {unit}").strip()
    printed = lab.on(host, f"journalctl --no-pager -q -o cat _SYSTEMD_INVOCATION_ID={start}")
    assert "1" in printed, f"{unit} on {host} said nothing at all"
    return [
        line
        for line in printed.splitlines()
        if _COMPLAINT.search(line) and not any(words in line for words in _NOT_OF_A_SETTING)
    ]
