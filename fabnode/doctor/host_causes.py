"""Causes in the connection to a host, or in the host itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..util import program
from .cause import Cause, Fix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .evidence import Evidence
    from .service_log import Service

MOST_SKEW: Final = 60.0  # seconds; certificates and tokens depend on the clock
STALE: Final = 60.0  # seconds without a heartbeat; kubelets report every 10
REPORTING: Final = 25.0  # seconds within which a kubelet that works has reported
_LEAST = 8 * 2**20  # bytes with which a service still writes its state
_LEAST_INODES = 50
_LEAST_TASKS = 50


def access(evidence: Evidence) -> Iterator[Cause]:
    """Yield why a host can't be probed."""
    host, node = evidence.host, evidence.node
    fix = Fix(host.advice or f"look at the console of {evidence.wanted.name}")
    reports = node.known and node.registered and node.heartbeat_age <= REPORTING
    match host.access:
        case "":
            return
        case "unreachable" if reports:
            text = "its SSH server does not answer, while its kubelet still reports"
            yield Cause("ssh-away", text, host.fault, fix)
        case "answers" if reports:
            text = "it takes no SSH connection, while its kubelet still reports"
            yield Cause("ssh-away", text, host.fault, fix)
        case "answers":
            silent = "its kubelet does not report"
            if not node.known:
                silent = "whether its kubelet reports is unknown"
            text = f"what has its address is on, but takes no SSH connection; {silent}"
            yield Cause("ssh-refused", text, f"{host.fault}{_last_report(evidence)}", fix)
        case "unreachable":
            silent = "neither its SSH server nor its kubelet answers"
            if not node.known:
                silent = "its SSH server does not answer; whether its kubelet reports is unknown"
            text = f"the host is down, or cut off: {silent}"
            yield Cause("host-down", text, f"{host.fault}{_last_report(evidence)}", fix)
        case "host-key":
            yield Cause("host-key", "its SSH host key is not the known one", host.fault, fix)
        case "login":
            yield Cause("login-refused", "it refuses the login", host.fault, fix)
        case "sudo":
            yield Cause("sudo-refused", "sudo does not grant root there", host.fault, fix)
        case "hangs":
            text = "the host hangs: login works, but the probe does not finish"
            yield Cause("host-hangs", text, host.fault, fix)
        case "misbehaves":
            yield Cause("host-misbehaves", "its output is not as expected", host.fault, fix)


def _last_report(evidence: Evidence) -> str:
    """Return when a node's kubelet reported last, to be added to a clause; empty: never."""
    node = evidence.node
    reported = node.known and node.registered and node.heartbeat_age != float("inf")
    return f"; its kubelet last reported {node.heartbeat_age:.0f} s ago" if reported else ""


def host(evidence: Evidence, services: tuple[Service, ...]) -> Iterator[Cause]:
    """Yield what of a host itself keeps its services from working."""
    facts, seen, wanted = evidence.host.facts, evidence.host.symptoms, evidence.wanted
    if abs(facts.clock_offset) > MOST_SKEW:
        way = "ahead" if facts.clock_offset > 0 else "behind"
        yield Cause(
            "clock-wrong",
            f"its clock is {abs(facts.clock_offset):.0f} s {way}",
            "compared with this machine's when it was asked",
            Fix(
                "set its clock and have it kept: `timedatectl set-ntp true`, chrony or"
                " systemd-timesyncd"
            ),
        )
    yield from _folders(evidence)
    yield from _room(evidence, services)
    if seen.most_tasks and seen.most_tasks - seen.tasks < _LEAST_TASKS:
        yield Cause(
            "tasks-used-up",
            f"it can't start more processes: {seen.tasks} of {seen.most_tasks} exist",
            "/proc/loadavg and kernel.pid_max",
            Fix("`ps -eLo user,comm | sort | uniq -c | sort -n | tail` shows whose they are"),
        )
    if facts.resolv_conf is None:
        where = f", a link to {facts.resolv_link}" if facts.resolv_link else ""
        yield Cause(
            "no-resolv-conf",
            f"/etc/resolv.conf is not there{where}: no pod can start",
            "the kubelet copies it into pods",
            Fix(f"write /etc/resolv.conf on {wanted.name}, or have back the service that does"),
        )


def _folders(evidence: Evidence) -> Iterator[Cause]:
    seen, name = evidence.host.symptoms, evidence.wanted.name
    if seen.unwritable:
        paths = ", ".join(seen.unwritable)
        yield Cause(
            "read-only",
            f"{paths} can't be written: the file system is read-only",
            "tried as root",
            Fix(
                f"on {name}: `dmesg | grep -i 'error\\|remount'` says why (a failing disk?);"
                f" then `findmnt -T {seen.unwritable[0]}` and mount it read-write"
            ),
        )
    if seen.missing:
        paths = ", ".join(seen.missing)
        yield Cause(
            "folder-lost",
            f"{paths} is not there: not mounted, or moved",
            "looked for by its path",
            Fix(
                f"on {name}: compare `findmnt` with /etc/fstab; where the data is lost:"
                f" {program.task(f'deploy-nodes --limit {name}')}"
            ),
        )


def _room(evidence: Evidence, services: tuple[Service, ...]) -> Iterator[Cause]:
    """Yield file systems that are full, by their numbers or by what services log."""
    name, named = evidence.wanted.name, False
    for path, space in evidence.host.facts.space.items():
        if space.free < _LEAST:
            named = True
            yield _full(name, path, f"{space.free // 1024} KiB are free there")
        if space.inodes is not None and space.inodes < _LEAST_INODES:
            named = True
            yield Cause(
                "inodes-used-up",
                f"the file system of {path} has no room for more files",
                f"{space.inodes} inodes are free there",
                Fix(
                    f"on {name}: `du --inodes -xS {path} | sort -n | tail` shows where they are;"
                    " remove what is not needed there"
                ),
            )
    for service in () if named else services:  # their errors are the same, whichever is used up
        if found := service.quote(r"no space left on device"):
            yield _full(name, "its data", f"{service.name}: {found}")


def _full(name: str, path: str, seen: str) -> Cause:
    return Cause(
        "disk-full",
        f"the file system of {path} is full",
        seen,
        Fix(
            f"on {name}: `du -xh --max-depth=2 / | sort -h | tail` shows what fills it; logs and"
            " unused images may go, the data of kubelet and runtime must not"
        ),
    )
