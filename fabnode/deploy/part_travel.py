"""Which parts plans bring to hosts, and how these will travel. Pure, but for the files' sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..node.resources import Binary, Image
from ..util.words import counted, megabytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.sections import ArtifactSettings
    from ..node.plan import Plan

FETCHERS = frozenset({"curl", "wget"})
"""Programs by which a host fetches parts; one of them will do."""


def parts(plan: Plan) -> tuple[Binary | Image, ...]:
    """Return the programs and archives of images that a plan brings, from beyond the host."""
    return tuple(
        change.resource
        for change in plan.changes
        if isinstance(change.resource, Binary | Image)
        and change.action not in ("mode", "pin")
        and not change.copied_from
    )


def travel(
    settings: ArtifactSettings, plans: Mapping[str, Plan], tools: Mapping[str, frozenset[str]]
) -> str:
    """
    Return a sentence on how the parts of these plans will come to hosts; empty: there are none.

    :param tools: programs that hosts have, by name.
    """
    wanted = {name: parts(plan) for name, plan in plans.items()}
    hosts = [name for name, found in wanted.items() if found]
    if not hosts:
        return ""
    sizes = {r.sha256: _bytes(r) for found in wanted.values() for r in found}
    total = sum(sizes[r.sha256] for found in wanted.values() for r in found)
    amount = f"{counted(len(hosts), 'host')}: {megabytes(total)} of programs and images"
    if settings.distribution == "pull":
        return f"{amount}, which the hosts fetch from {settings.url}"
    if settings.distribution == "push" or len(hosts) == 1:
        return f"{amount}, packed and sent to each from here"
    once = megabytes(sum(sizes.values()))
    text = (
        f"{amount}; packed, each of {counted(len(sizes), 'part')} ({once})"
        f" is sent from here once and passed on from host to host, TCP {settings.relay_port}"
    )
    unable = [name for name in hosts if not tools.get(name, frozenset()) & FETCHERS]
    if unable:
        text += f"; without curl and wget, and so sent all from here: {', '.join(unable)}"
    return text


def _bytes(resource: Binary | Image) -> int:
    """Return a part's size; 0 where its file is gone, which carrying the plan out will name."""
    try:
        return resource.source.stat().st_size
    except OSError:
        return 0
