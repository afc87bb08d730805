"""What a reset leaves on a host, with the reasons, and what nobody recorded of it before."""

from __future__ import annotations

from collections.abc import Iterator

from .reset_case import RESTORED_UNITS, TUNNEL, Case
from .surroundings import Surroundings

_BPF = "/sys/fs/bpf"


def remainders(case: Case) -> Iterator[str]:
    """Yield what stays on the host, each with the reason."""
    loaded = case.now.modules & case.scope.modules
    if case.before:
        loaded -= case.before.modules
    if loaded:
        yield f"kernel modules until the next boot: {', '.join(sorted(loaded))}"
    if TUNNEL in case.now.interfaces and not (case.before and TUNNEL in case.before.interfaces):
        yield f"{TUNNEL}, which the module ipip makes, until the next boot"
    known = {mount.place for mount in case.before.mounts} if case.before else {_BPF}
    if any(m.place == _BPF and m.place not in known for m in case.now.mounts):
        yield f"{_BPF}, mounted since: whoever has pinned something there would lose it"
    for path in case.scope.trees:
        if path in case.now.paths and (why := case.why_kept(path)):
            yield f"{path}: {why}"
    if case.survey.quarantine:
        yield f"{case.scope.state}/quarantine: credentials that were moved there, see its NOTE"
    if case.before:
        yield from _changed_since(case.before, case.now)
        for name in RESTORED_UNITS:
            if case.before.unit(name).active == "active":
                yield f"{name} ran before, and is not started: systemctl start {name}"


def unrecorded(case: Case) -> Iterator[str]:
    """Yield what of the host before its first change nobody recorded."""
    if case.before is None:
        yield (
            "nobody recorded this host before its first change: earlier values of kernel"
            " settings, files that were replaced, and what was enabled are unknown"
        )


def _changed_since(before: Surroundings, now: Surroundings) -> Iterator[str]:
    """Yield how swap and users differ from the record; fabnode changes neither."""
    for name in sorted({*before.swaps} - {*now.swaps}):
        yield f"swap {name} was on before the first deployment, and is off: swapon {name}"
    for name in sorted({*now.swaps} - {*before.swaps}):
        yield f"swap {name} has been turned on since the first deployment"
    if not before.users or not now.users:
        return  # records of before have none
    if new := sorted({*now.users} - {*before.users}):
        yield f"users since the first deployment, of others: {', '.join(new)}"
    if gone := sorted({*before.users} - {*now.users}):
        yield f"users that were there before, and are not: {', '.join(gone)}"
