"""Findings about unit files and drop-ins of others that override what fabnode's units set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from posixpath import basename, dirname
from shlex import quote

from ..node import advice, layout, unit_files
from ..node.facts import Facts
from ..node.resources import File, Resource, Unit
from .finding import Finding

# Settings that add to what stands there already, whoever gives them.
_ADDING = frozenset({"After", "Before", "Description", "Documentation", "WantedBy", "Wants"})
# Settings by which a program of a node's would find itself elsewhere, or be kept from its work.
_CONFINING = frozenset(
    {
        *("User", "Group", "DynamicUser", "SupplementaryGroups", "RootDirectory", "RootImage"),
        *("PrivateNetwork", "PrivateMounts", "PrivateTmp", "PrivateDevices", "PrivateUsers"),
        *("NetworkNamespacePath", "MountFlags", "ProtectSystem", "ProtectHome", "ReadOnlyPaths"),
        *("ProtectKernelTunables", "ProtectKernelModules", "ProtectControlGroups", "ProtectProc"),
        *("InaccessiblePaths", "TemporaryFileSystem", "CapabilityBoundingSet", "NoNewPrivileges"),
        *("RestrictNamespaces", "RestrictAddressFamilies", "SystemCallFilter", "SecureBits"),
        *("IPAddressDeny", "SocketBindDeny", "ExecCondition", "ExecStartPre", "ExecStop"),
        *("EnvironmentFile", "UnsetEnvironment", "RuntimeMaxSec", "WatchdogSec", "Slice"),
        *("Conflicts", "BindsTo", "PartOf", "RefuseManualStart", "StopWhenUnneeded"),
        *("AppArmorProfile", "SELinuxContext", "RemainAfterExit", "Delegate", "KillMode"),
        *("UMask", "WorkingDirectory", "Type", "PIDFile", "BusName", "NotifyAccess"),
    }
)
_CONDITIONS = ("Condition", "Assert")
_OURS = unit_files.FOLDERS.index(layout.UNITS)


def findings(
    facts: Facts, resources: Iterable[Resource], wanted: Sequence[str]
) -> Iterator[Finding]:
    """
    Yield which files of others replace or override units of these resources.

    :param wanted: patterns of drop-ins that the site wants (`host.drop_ins`).
    """
    resources = tuple(resources)
    ours = {each.path: each.content or b"" for each in resources if isinstance(each, File)}
    effects: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for unit in (each.name for each in resources if isinstance(each, Unit)):
        text = ours.get(f"{layout.UNITS}/{unit}", b"").decode()
        yield from _unit_file(unit, facts, managed=bool(text))
        known = list(unit_files.settings(text.splitlines()))
        for path in _drop_ins(unit, facts):
            if path in ours:
                continue
            if known and not is_wanted(path, wanted):
                found = _effects(known, facts.config_files[path])
                effects[path] += [(f"{effect} of {unit}", stops) for effect, stops in found]
    yield from changeable(facts, resources)
    for path, what in effects.items():
        if what:
            yield Finding(
                "error" if any(stops for _, stops in what) else "warning",
                f"{path} overrides {', '.join(dict.fromkeys(effect for effect, _ in what))}",
                _removal(path, facts),
            )


def changeable(facts: Facts, resources: Iterable[Resource]) -> Iterator[Finding]:
    """Yield which files of others that count for units of these resources are not root's alone."""
    ours = {each.path for each in resources if isinstance(each, File)}
    for path in facts.config_files.keys() - ours:
        yield from _changeable(path, facts)


def is_wanted(path: str, patterns: Iterable[str]) -> bool:
    """Say whether the site wants this drop-in."""
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def wanted_here(facts: Facts, units: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the drop-ins of these units that are there and that the site wants."""
    patterns = tuple(patterns)
    found = (path for unit in units for path in _drop_ins(unit, facts))
    return tuple(dict.fromkeys(path for path in found if is_wanted(path, patterns)))


def _drop_ins(unit: str, facts: Facts) -> tuple[str, ...]:
    return unit_files.drop_ins(unit, facts.config_files, facts.unit(unit).drop_ins)


def _unit_file(unit: str, facts: Facts, *, managed: bool) -> Iterator[Finding]:
    path = unit_files.unit_file(unit, facts.config_files)
    if not path:
        return
    if not facts.config_files[path]:
        yield Finding(
            "error",
            f"{unit} is masked by {path}",
            f"find out who did that; then {advice.removed(path, facts.paths)} and systemctl"
            " daemon-reload",
        )
    elif managed and unit_files.FOLDERS.index(dirname(path)) < _OURS:
        yield Finding(
            "error",
            f"{path} replaces the {unit} that fabnode writes",
            f"{advice.removed(path, facts.paths)}, then systemctl daemon-reload",
        )


def _changeable(path: str, facts: Facts) -> Iterator[Finding]:
    found = facts.path(path)
    if found.kind == "file" and not found.roots_alone:
        yield Finding(
            "error",
            f"others than root may change {path}, which root's programs use",
            f"check its content, then {advice.taken_back(path, facts.paths)}",
        )


def _effects(known: Sequence[tuple[str, str]], lines: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield which settings of a unit a drop-in overrides, and whether that breaks the unit."""
    values = dict(known)
    for name, value in unit_files.settings(lines):
        if name in values and name == "ExecStart":
            yield "ExecStart", True
        elif name in values and name == "Environment":
            yield from _environment(known, value)
        elif name in _ADDING:
            continue
        elif values.get(name, value) != value:
            shown = "" if name.startswith("Exec") else f" ({values[name]} → {value or 'unset'})"
            yield f"{name}{shown}", False
        elif name not in values and (name in _CONFINING or name.startswith(_CONDITIONS)):
            yield name, False


def _environment(known: Sequence[tuple[str, str]], value: str) -> Iterator[tuple[str, bool]]:
    """Yield the variables of ours that another value, or none, takes the place of; no values."""
    ours: dict[str, str] = {}
    for name, text in known:
        if name == "Environment":
            ours |= unit_files.variables(text)
    if not value:
        yield f"Environment ({', '.join(ours)})", True
    for variable, theirs in unit_files.variables(value).items():
        lacking = set(ours.get(variable, "").split(",")) - set(theirs.split(","))
        if variable.upper() == "NO_PROXY" and variable in ours and "" not in lacking and lacking:
            yield f"{variable}, without {', '.join(sorted(lacking))},", True
        elif variable in ours and variable.upper() != "NO_PROXY" and theirs != ours[variable]:
            yield variable, True


def _removal(path: str, facts: Facts) -> str:
    if path.startswith(("/usr/lib/", "/lib/")):
        mask = f"{layout.UNITS}/{basename(dirname(path))}/{basename(path)}"
        way = (
            "remove the package that brings it, or mask it:"
            f" mkdir -p {quote(dirname(mask))} && ln -s /dev/null {quote(mask)}"
        )
    else:
        way = advice.removed(path, facts.paths)
    return f"{way}; then systemctl daemon-reload; where it is meant so, list it in host.drop_ins"
