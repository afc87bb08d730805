"""Settings of the machine's kernel that hosts share: what a lab raises, what kubelets change."""

from __future__ import annotations

from pathlib import Path

PROC = Path("/proc/sys")

# Each host's systemd and kubelet take some inotify instances; the default of 128 is
# used up by some twenty hosts, whose boots then fail or stay degraded.
INOTIFY = "fs/inotify/max_user_instances"
INOTIFY_WANTED = 8192
HOSTS_WITHIN_DEFAULT = 3

# A kubelet sets these, and they are not a container's own.
CHANGED_BY_KUBELETS = ("kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory")


def current() -> dict[str, str]:
    """Return the present value of every setting that a lab or its kubelets change."""
    names = (INOTIFY, *CHANGED_BY_KUBELETS)
    return {name: (PROC / name).read_text().strip() for name in names}


def raise_inotify(hosts: int, *, alone: bool) -> bool:
    """
    Make room for that many hosts; return whether the machine's setting was changed.

    :param alone: no other lab is on this machine, which would use the same instances.
    """
    place = PROC / INOTIFY
    few = alone and hosts <= HOSTS_WITHIN_DEFAULT
    if few or int(place.read_text()) >= INOTIFY_WANTED:
        return False
    place.write_text(str(INOTIFY_WANTED))
    return True


def restore(values: dict[str, str]) -> None:
    """Put back what was there before; a value that is right is not written."""
    for name, value in values.items():
        place = PROC / name
        if place.read_text().strip() != value:
            place.write_text(value)
