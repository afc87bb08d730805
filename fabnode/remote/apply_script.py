"""Translation of a plan to calls of the functions in `scripts/apply`, with their payload. Pure."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..node import layout
from ..node.resources import (
    Absent,
    Binary,
    ClientCertificate,
    Command,
    Directory,
    EditedFile,
    ExistingSecret,
    File,
    Image,
    Module,
    Quarantined,
    Reload,
    RemovedUnit,
    Restart,
    Retired,
    RulesOnce,
    Superseded,
    Sysctl,
    Trace,
    Unit,
    UnpinnedImage,
)
from ..util import program
from ..util.image_reference import ImageReference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..node.plan import Change, Plan
    from ..node.resources import TraceKind


# What ends each, takes it away, keeps it or puts it back: functions of scripts/apply.
_TRACES: Mapping[TraceKind, str] = {
    "service": "stop_service",
    "begun": "begin_reset",
    "containers": "stop_containers",
    "sandboxes": "remove_sandboxes",
    "mounts": "unmount_below",
    "rules": "delete_rules",
    "set": "destroy_set",
    "table": "delete_table",
    "route": "delete_route",
    "address": "delete_address",
    "interface": "delete_interface",
    "cgroup": "remove_cgroup",
    "file": "remove_file",
    "previous": "restore_before",
    "tree": "remove_tree",
    "mode": "restore_mode",
    "folder": "remove_folder",
    "setting": "write_sysctl",
    "enabled": "enable_again",
    "records": "remove_state",
    "halted": "halt_service",
    "pods": "end_pods",
    "kept": "keep_set",
    "set kept": "restore_kept",
    "forgotten": "forget_kept",
    "reset": "end_reset",
}


@dataclass(frozen=True, slots=True)
class Member:
    """
    A member of the stream.

    :param source: its bytes, or an artifact that is packed before it is sent.
    :param sha256: of the artifact.
    """

    name: str
    source: bytes | Path
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Actions:
    """The script of one apply, and the members it needs in the order in which it needs them."""

    script: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Pull:
    """
    Where the node itself gets artifacts: each under its sha256, below `url`.

    :param ca_pem: the CA that proves an https server; None: those that the node trusts.
    """

    url: str
    ca_pem: bytes | None = None


def actions(
    plan: Plan, suffix: str, pull: Pull | None = None, record: str = "", remakes: bool = False
) -> Actions:
    """
    Return what carries the plan out.

    :param suffix: of packed artifacts: `.zst` or `.gz`.
    :param pull: where the node gets artifacts; None: they are sent along.
    :param record: lines of shell that record the host as it is, before the first change.
    :param remakes: the host is a node then, and no reset of it is to go on.
    :raises ValueError: a file's content has not been made yet.
    """
    # By its path: a PATH without it, of sudo or of a cautious login, must not stop an import.
    ctr = {c.resource.ctr for c in plan.changes if isinstance(c.resource, Image | UnpinnedImage)}
    lines: list[str] = [f"ctr={shlex.quote(path)}" for path in ctr]
    members: list[Member] = []
    started = [c.name for c in plan.restarts if isinstance(c.resource, Unit)]
    if record:
        lines.append(record)
    if pull and pull.ca_pem:
        members.append(Member("ca", pull.ca_pem))
        lines.append(_call("wait_member", "ca"))
    if plan.due:
        lines.append(_call("mark_hooks", *map(_name, plan.due)))
    lines += [
        _call("fall_back_on", change.name, *paths)
        for change in plan.restarts
        if (paths := _replaceable(change, plan))
    ]
    if started:
        # From the first file on, an interrupted run must be made good by a restart.
        lines.append(_call("remove_stamps", *started))
    lines += [
        _call("delete_at_exit", change.resource.bootstrap)
        for change in plan.changes
        if isinstance(change.resource, ClientCertificate)
    ]
    for number, change in enumerate(plan.changes):
        call, member = _action(change, f"m{number}", suffix, pull)
        lines.append(_call("run_action", str(number), *call))
        if member:
            members.append(member)
    if plan.restarts:
        lines.append(_call("run_action", str(len(plan.changes)), "settle_units"))
    lines.append(f"{_call('sync_written')} || exit 1")
    if any(isinstance(c.resource, Absent) and c.resource.remade_by for c in plan.changes):
        lines.append(_call("delete_replaced"))
    if remakes:
        lines.append(_call("end_reset"))
    lines.append(_call("emit", "end"))
    return Actions("\n".join([*lines, ""]), tuple(members))


def _action(
    change: Change, name: str, suffix: str, pull: Pull | None
) -> tuple[list[str], Member | None]:
    resource = change.resource
    if change.action == "mode":
        assert isinstance(resource, File | Binary | Directory | ExistingSecret)
        return ["set_mode", resource.path, f"{resource.mode:04o}"], None
    match resource:
        case File(path=path, content=content, mode=mode):
            if content is None:
                raise ValueError(f"{path} has no content yet")
            sha256 = hashlib.sha256(content).hexdigest()
            return ["install_file", name, path, f"{mode:04o}", sha256], Member(name, content)
        case Binary(path=path, source=source, sha256=sha256, mode=mode):
            target = (path, f"{mode:04o}", sha256)
            if change.copied_from:
                size = str(source.stat().st_size)
                return ["copy_program", change.copied_from, size, *target], None
            if pull:
                return ["download_file", *_there(pull, source, sha256), *target], None
            name += suffix
            return ["install_file", name, *target], Member(name, source, sha256)
        case Directory(path=path, mode=mode):
            return ["make_directory", path, f"{mode:04o}"], None
        case Absent(path=path, remade_by=unit):
            return (["move_away", path, unit] if unit else ["remove_file", path]), None
        case Retired(path=path, cleanup=cleanup):
            return ["retire_program", path, *cleanup], None
        case RemovedUnit(name=unit, path=path):
            return ["remove_unit", unit, path], None
        case Module(name=module):
            return ["modprobe", "--", module], None
        case Sysctl(key=key, value=value):
            # Dots and slashes trade places, as sysctl(8) has it.
            file = "/proc/sys/" + key.translate(str.maketrans("./", "/."))
            return ["write_sysctl", file, value], None
        case Image(names=names, source=source, sha256=sha256, store=store):
            references = [str(ImageReference.parse(name).full) for name in names]
            if change.action == "pin":
                return ["pin_images", *references], None
            if pull:
                there = _there(pull, source, sha256)
                return ["download_image", store, *there, sha256, *references], None
            name += suffix
            return ["import_image", store, name, sha256, *references], Member(name, source, sha256)
        case UnpinnedImage(name=image):
            return ["unpin_image", image], None
        case Unit(name=unit):
            if change.action == "enable":
                return ["enable_unit", unit], None
            reload = "reload" if change.reload else "-"
            return ["start_unit", unit, name, reload], Member(name, _stamp(change.stamp))
        case ClientCertificate(path=path, unit=unit, timeout=timeout, key=key):
            own = layout.KUBELET_KUBECONFIG
            return ["wait_certificate", path, unit, str(timeout), key, own], None
        case EditedFile(path=path, content=content, before=before, mode=mode):
            sha256 = hashlib.sha256(content).hexdigest()
            target = (path, f"{mode:04o}", sha256)
            return ["replace_file", name, *target, before], Member(name, content)
        case Quarantined(path=path):
            return ["quarantine_file", path, program.task("harden")], None
        case Superseded(path=path, proof=proof, unit=unit, kubeconfig=kubeconfig):
            by = program.task("deploy-nodes")
            return ["supersede_file", path, by, proof, unit, kubeconfig or "-"], None
        case RulesOnce(table=table, rules=rules):
            lines = "".join(f"{rule}\n" for rule in rules)
            return ["delete_later_copies", name, table], Member(name, lines.encode())
        case Command(marker=marker, argv=argv, environment=environment, timeout=timeout):
            pairs = [f"{name}={value}" for name, value in environment]
            return ["run_hook", _name(marker), str(timeout), *pairs, *argv], None
        case Trace(kind=kind, words=words, content=content):
            if content:
                return [_TRACES[kind], name, *words], Member(name, content)
            return [_TRACES[kind], *words], None
        case Reload():
            return ["systemctl", "daemon-reload"], None
        case Restart(unit=unit):
            return ["restart_unit", unit], None
        case _:
            raise AssertionError(f"{resource!r} is never a change")


def _replaceable(restart: Change, plan: Plan) -> tuple[str, ...]:
    """Return what a unit reads and can have back: no secret, of which no copy is made."""
    if not isinstance(restart.resource, Unit):
        return ()
    files = (change.resource for change in plan.changes if isinstance(change.resource, File))
    secret = {file.path for file in files if file.secret or file.ephemeral}
    return tuple(path for path in restart.resource.reads if path not in secret)


def _name(marker: str) -> str:
    return PurePosixPath(marker).name


def _there(pull: Pull, source: Path, sha256: str) -> tuple[str, str]:
    """Return URL and size of an artifact that the node fetches."""
    return f"{pull.url}/{sha256}", str(source.stat().st_size)


def _stamp(stamp: Mapping[str, str | None]) -> bytes:
    missing = [path for path, digest in stamp.items() if digest is None]
    if missing:
        raise ValueError(f"{missing[0]} has no content yet")
    return "".join(f"{digest} {path}\n" for path, digest in stamp.items()).encode()


def _call(*words: str) -> str:
    return shlex.join(words)
