"""How one logs in to a lab's hosts. Pure."""

from __future__ import annotations

from .layout import Host, Layout


def command(layout: Layout, host: Host, user: str) -> list[str]:
    """Return the command of a shell on a host; another command there may follow its words."""
    return [
        "ssh",
        "-i",
        str(layout.key),
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        f"UserKnownHostsFile={layout.known_hosts}",
        "-o",
        "LogLevel=ERROR",
        "-o",
        "StrictHostKeyChecking=yes",
        f"{user}@{host.address}",
    ]
