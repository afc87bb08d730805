"""
Reset of a host: what a node left there, what goes back to how it was, what is not fabnode's. Pure.

What goes is named exactly: files and folders by what the steps want, the kernel's things by their
names and kinds; what was there before the first change is never among it. There are two phases:
what runs changes what is there: units and pods end first, and the host is surveyed again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import pairwise

from . import packet_filter
from .conventions import BALANCER_SERVICE, CONTAINERD_SERVICE, KUBELET_SERVICE, PROXY_SERVICE
from .facts import PathFact
from .layout import UNITS
from .packet_filter import FilterPart
from .plan import Change
from .resources import Reload, Trace
from .surroundings import Surroundings, Survey

_OF_PROXY = {r"kube-ipvs0": "dummy"}
_OF_PROXY_SETS = (r"KUBE-(?:6-)?[A-Z0-9-]{1,31}",)
_OF_PROXY_TABLES = ("ip kube-proxy", "ip6 kube-proxy")
_NETNS = re.compile(r"(?:/var)?/run/netns/cni-[0-9a-f-]{8,60}", re.ASCII)
_POD = re.compile(r"[a-z0-9-]{1,63}/[a-z0-9.-]{1,253}", re.ASCII)
_BPF = "/sys/fs/bpf"
_TUNNEL = "tunl0"  # the module's own, which makes it again
_ENABLED_BEFORE = (CONTAINERD_SERVICE, KUBELET_SERVICE, PROXY_SERVICE)
_AT_BOOT = {"enabled", "enabled-runtime", "linked", "linked-runtime"}
_VALUE = re.compile(r"[0-9 \t-]{1,60}", re.ASCII)
# What has to be seen whole: what is not there, a reset leaves, or deletes as if nobody used it.
_NEEDED_WHOLE = ("all", "filter", "nft", "mount", "sandbox", "interface", "unit", "path", "filled")
_PODS_SECONDS, _UNIT_SECONDS = 900, 130
_SHORT, _SHOWN = 12, 5  # of ids of others' containers: letters, and how many
_GRACE = 30  # seconds for a container that is told to end: Kubernetes' default for pods


@dataclass(frozen=True, slots=True)
class Scope:
    """
    What a deployment of this configuration has on a host, or starts.

    :param made: files that nobody but a node's components, or an interrupted run, makes.
    :param files: that the steps write, and `made`.
    :param folders: that they make, and those made for them.
    :param trees: folders that hold nothing but what a node's components wrote; `usual`: those of
        which that is so although nobody recorded the host before.
    :param mounts: folders below which they mount. :param modules: that they load.
    :param settings: files of kernel settings that they write.
    :param chains, networks, interfaces, sets, tables: see `cni.protocol.Leftovers`.
    :param pod_cidrs: networks of pods. :param route_protocols: of the pod network's routes there.
    :param ctr, crictl: containerd's programs, and one that speaks CRI to it.
    """

    files: tuple[str, ...]
    folders: tuple[str, ...]
    trees: tuple[str, ...]
    mounts: tuple[str, ...]
    modules: frozenset[str]
    settings: tuple[str, ...]
    made: frozenset[str]
    pod_cidrs: tuple[IPv4Network | IPv6Network, ...]
    state: str
    runtime_root: str
    ctr: str
    crictl: str
    usual: frozenset[str] = frozenset()
    chains: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    interfaces: Mapping[str, str] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    route_protocols: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a host is not reset, and what to do about it."""

    text: str
    fix: str


@dataclass(frozen=True, slots=True)
class Reset:
    """
    What a reset of one host would do.

    :param first: ends what runs; whatever else there is, is planned again after it.
    :param stays: what is left of a node's, each with the reason.
    :param unknown: what of the host as it was nobody recorded.
    """

    first: tuple[Change, ...] = ()
    rest: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    stays: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All of it, in order."""
        return (*self.first, *self.rest)


def reset(
    survey: Survey,
    scope: Scope,
    *,
    pods: Collection[str] = (),
    ours: bool | None = None,
    asked: bool = False,
) -> Reset:
    """
    Return what takes the host back to how it was.

    :param pods: patterns of `namespace/name` of pods that may be ended although they are no
        DaemonSet's.
    :param ours: whether a deployment was here; None: what lies there says so.
    :param asked: whether an earlier survey of this run saw what containerd holds.
    """
    if not (bool(survey.own) if ours is None else ours):
        return Reset()
    planner = _Planner(survey, scope, asked=asked or survey.sandboxes is not None)
    return Reset(
        tuple(planner.first()),
        tuple(planner.rest()),
        tuple(planner.refusals(pods)),
        tuple(planner.stays()),
        tuple(planner.unknown()),
    )


class _Planner:
    def __init__(self, survey: Survey, scope: Scope, *, asked: bool) -> None:
        self.asked = asked
        self.survey = survey
        self.scope = scope
        self.now = survey.now
        self.before = survey.before
        self.parts = filter_parts(self.now, scope)

    # --- what forbids it -------------------------------------------------------------------------

    def refusals(self, pods: Collection[str]) -> Iterator[Refusal]:
        survey, now = self.survey, self.now
        kubelet = now.unit(KUBELET_SERVICE)
        if kubelet.active == "active" and not self._own_unit(KUBELET_SERVICE):
            yield Refusal(
                f"{KUBELET_SERVICE} runs there and is not fabnode's ({kubelet.file or 'no file'})",
                "remove it by the tool that installed it",
            )
        others = [s.pod for s in survey.sandboxes or () if not s.daemon]
        left = [pod for pod in others if not any(fnmatchcase(pod, each) for each in pods)]
        if left:
            yield Refusal(
                f"pods run there: {', '.join(sorted(left))}",
                "drain the node; or name them, and what they keep there is lost:"
                f" --pods {','.join(sorted(left))}",
            )
        if survey.untrusted:
            named = ", ".join(survey.untrusted)
            yield Refusal(
                f"others than root may change {named}, so that containerd was not asked what it"
                " holds",
                "remove or rewrite the file, and fix the folders and links on the way to it that"
                " are not root's (`namei -l` shows whose each is)",
            )
        elif survey.sandboxes is None and survey.shims:
            yield Refusal(
                f"containerd does not answer, and {survey.shims} containers run",
                f"systemctl restart {CONTAINERD_SERVICE} there, so that they can be ended",
            )
        for name, (containers, images) in survey.namespaces.items():
            if name != "k8s.io" and (containers or images):
                yield Refusal(
                    f"its containerd holds {containers} containers and {images} images that are"
                    f" not fabnode's, in the namespace {name}",
                    f"see `{self.scope.ctr} -n {name} containers ls`, and move or remove them",
                )
        if survey.containers:
            named = ", ".join(each[:_SHORT] for each in survey.containers[:_SHOWN])
            more = len(survey.containers) - _SHOWN
            yield Refusal(
                f"its containerd holds containers that are no pod's, in the namespace"
                f" k8s.io: {named}{f' and {more} more' if more > 0 else ''}",
                f"see `{self.scope.ctr} -n k8s.io containers info {survey.containers[0]}` (such are"
                " those of `nerdctl -n k8s.io`), and move or remove them",
            )
        for path in self.scope.trees:
            if path in now.paths and now.paths[path].kind == "symlink":
                yield Refusal(
                    f"{path} is a symlink, which a reset does not follow",
                    "empty what it leads to, and remove the link",
                )
        for program, parts in self.parts.items():
            for part in parts:
                if part.conflicts:
                    yield Refusal(
                        f"{program}, table {part.table}: a chain that is not fabnode's leads to"
                        f" one to be removed: {part.conflicts[0]}",
                        "delete that rule, and run it again",
                    )
        if lacks := sorted(now.lacks):
            yield Refusal(
                f"it has no {', '.join(lacks)}, without which a reset would not see what is there",
                "install the packages iproute2 and iptables there",
            )
        for name, lines in now.tables().items():
            chains = [line for line in lines if re.match(r"\s*chain (KUBE|cali)-", line)]
            if chains and name not in _tables_of_iptables(self.parts):
                yield Refusal(
                    f"nft's table {name} holds chains of a node, which only iptables can read",
                    "install the package iptables there",
                )
        if cut := sorted(name for name in now.cut if name.startswith(_NEEDED_WHOLE)):
            yield Refusal(
                f"it has more of {', '.join(cut)} than is read, or did not show all of it in time",
                "run it again; if it says the same, this host has to be reset by hand",
            )

    def _own_unit(self, name: str) -> bool:
        return f"{UNITS}/{name}" in self.survey.own

    # --- first: what runs ------------------------------------------------------------------------

    def first(self) -> Iterator[Change]:
        yield from self._stopped(KUBELET_SERVICE)
        yield from self._stopped(PROXY_SERVICE)
        yield from self._stopped(BALANCER_SERVICE)
        yield from self._told_to_end()
        if self.survey.sandboxes or (self.survey.sandboxes is not None and self.survey.shims):
            found = self.survey.sandboxes or ()
            netns = dict.fromkeys(s.netns for s in found if _NETNS.fullmatch(s.netns))
            words = (self.scope.ctr, self.scope.crictl or "-", *netns)
            names = ", ".join(sorted(s.pod for s in found))
            yield _change(
                Trace("sandboxes", names or "containers of pods", words, timeout=_PODS_SECONDS),
                "remove",
                "ended, their addresses given back",
            )
        yield from self._stopped(CONTAINERD_SERVICE)
        folders = [folder for folder in self.scope.mounts if not self._others_mounts(folder)]
        where = [f for f in folders if any(_below(m.place, [f]) for m in self.now.mounts)]
        if mounted := [m.place for m in self.now.mounts if _below(m.place, folders)]:
            yield _change(
                Trace("mounts", f"below {', '.join(where)}", tuple(folders)),
                "unmount",
                f"{len(mounted)}, of pods and their volumes; what they show stays where it is",
            )

    def _told_to_end(self) -> Iterator[Change]:
        """Pods that have not left, which a drain would have had end by themselves."""
        pods = sorted(s.pod for s in self.survey.sandboxes or () if not s.daemon)
        if named := [pod for pod in pods if _POD.fullmatch(pod)]:
            words = (self.scope.ctr, str(_GRACE), *dict.fromkeys(named))
            why = f"told to end, within {_GRACE} s, where they have not left by then"
            trace = Trace("containers", ", ".join(named), words, timeout=_PODS_SECONDS)
            yield _change(trace, "stop", why)

    def _stopped(self, name: str) -> Iterator[Change]:
        unit = self.now.unit(name)
        if self._own_unit(name) and (
            unit.active not in {"inactive", "failed"} or unit.enabled in _AT_BOOT
        ):
            trace = Trace("service", name, (name,), timeout=_UNIT_SECONDS)
            yield _change(trace, "stop", f"it is {unit.active}, {unit.enabled or 'not enabled'}")

    def _others_mounts(self, folder: str) -> list[str]:
        """Return what was mounted below a folder before the first change."""
        known = self.before.mounts if self.before else ()
        there = {mount.place for mount in self.now.mounts}
        return [m.place for m in known if _below(m.place, [folder]) and m.place in there]

    # --- then: what is left ----------------------------------------------------------------------

    def rest(self) -> Iterator[Change]:
        yield from self._network()
        for path in self.survey.cgroups:
            yield _change(Trace("cgroup", path, (path,)), "remove", "the kubelet's, of its pods")
        yield from self._files()
        yield from self._trees()
        yield from self._modes()
        yield from self._folders()
        yield from self._settings()
        yield from self._units()
        if any(path.startswith(self.scope.state) for path in self.survey.own):
            trace = Trace("records", self.scope.state, ())
            yield _change(trace, "remove", "fabnode's own records")

    def _network(self) -> Iterator[Change]:
        for program, parts in self.parts.items():
            for part in filter(None, parts):
                name = f"{program} {part.table}"
                why = f"{_counted(part.chains)}, {len(part.rules)} rules that lead there"
                content = part.restore_input().encode()
                yield _change(Trace("rules", name, (program,), content), "remove", why)
        known = set(self.before.sets if self.before else ())
        for name in self.now.sets:
            if name not in known and _fits(name, (*_OF_PROXY_SETS, *self.scope.sets)):
                yield _change(Trace("set", name, (name,)), "remove", "an ipset of the rules")
        for name in _our_tables(self.survey, self.scope):
            yield _change(Trace("table", name, tuple(name.split())), "remove", "an nft table")
        for family, line in our_routes(self.survey, self.scope):
            words = (family, *_route_words(line))
            yield _change(Trace("route", line, words), "remove", "the pod network's")
        for address, name in self._tunnel_addresses():
            trace = Trace("address", f"{address} on {name}", (address, name))
            yield _change(trace, "remove", "the pod network's; the interface is its module's")
        for name, kind in our_interfaces(self.survey, self.scope).items():
            trace = Trace("interface", name, (name, kind))
            yield _change(trace, "remove", f"{kind}, the pod network's or kube-proxy's")

    def _tunnel_addresses(self) -> Iterator[tuple[str, str]]:
        known = set(self.before.addresses if self.before else ())
        for line in self.now.addresses:
            words = line.split()
            if words[1:3] != [_TUNNEL, "inet"] or line in known:
                continue
            if _within(words[3], self.scope.pod_cidrs):
                yield words[3], _TUNNEL

    def _files(self) -> Iterator[Change]:
        for path in self.scope.files:
            if self._was_there(path):
                yield _change(Trace("previous", path, (path,)), "restore", "it was there before")
            elif self.before and path in self.before.paths:
                continue  # put back already
            elif not self._may_be_ours(path):
                continue
            elif path in self.now.paths and self.now.paths[path].kind in {"file", "symlink"}:
                yield _change(Trace("file", path, (path,)), "remove", "fabnode's")

    def _was_there(self, path: str) -> bool:
        """
        Return whether the file that was kept of a path is the one of before the first change.

        Whoever could once write in fabnode's folder may have put another one there. The record,
        which is written in the same moment, says whose it was.
        """
        kept = self.survey.kept.get(path)
        was = self.before.paths.get(path) if self.before else None
        if kept is None or was is None:
            return False
        return (kept.kind, kept.uid, kept.gid) == (was.kind, was.uid, was.gid)

    def _may_be_ours(self, path: str) -> bool:
        """
        Say whether a file that is there can be a deployment's.

        The configuration of today may name more than those that were deployed, such as crictl where
        the deployer has only just got it: what lies there then is somebody else's.
        """
        if path in self.scope.made or path in self.survey.managed:
            return True
        return self.before is not None and path in self.before.asked

    def _trees(self) -> Iterator[Change]:
        for path in self.scope.trees:
            if path not in self.now.paths or self._why_tree_stays(path):
                continue
            there_before = bool(self.before and path in self.before.paths)
            # Somebody's disk or file system stays mounted there, and so does its folder.
            stays = there_before or any(path == mount.place for mount in self.now.mounts)
            if stays and path not in self.now.filled:
                continue
            words = (path, "keep" if stays else "-")
            why = "emptied, as it was" if there_before else "made by a node's components"
            yield _change(Trace("tree", path, words), "remove", why)

    def _modes(self) -> Iterator[Change]:
        """Folders that were there before get their mode and owner back."""
        known = self.before.paths if self.before else {}
        for path in (*self.scope.trees, *self.scope.folders):
            was, now = known.get(path), self.now.paths.get(path)
            if was is None or now is None or {was.kind, now.kind} != {"directory"}:
                continue
            if path in self.scope.trees and self._why_tree_stays(path):
                continue
            if (was.mode, was.uid, was.gid) != (now.mode, now.uid, now.gid):
                words = (path, f"{was.mode:04o}", f"{was.uid}:{was.gid}")
                why = f"{_access(now)} → {_access(was)}"
                yield _change(Trace("mode", path, words), "restore", why)

    def _why_tree_stays(self, path: str) -> str:
        if self.before and path in self.before.filled:
            return "it was there before, with content"
        if self.before and path not in self.before.asked:
            return "the record does not say whether it was there before"
        if self.before is None and path not in self.scope.usual:
            return "nobody recorded whether it held something before"
        if self.before is None and path == self.scope.runtime_root and not self.asked:
            return "containerd could not be asked whether it holds anything else"
        if others := self._others_mounts(path):
            return f"{others[0]} was mounted there before"
        return ""

    def _folders(self) -> Iterator[Change]:
        for path in sorted(self.scope.folders, key=lambda each: -each.count("/")):
            if path in self.now.paths and not (self.before and path in self.before.paths):
                yield _change(Trace("folder", path, (path,)), "remove", "if nothing is in it")

    def _settings(self) -> Iterator[Change]:
        for path in self.scope.settings:
            was = self.before.settings.get(path) if self.before else None
            value = self.now.settings.get(path)
            if was is not None and value is not None and was != value and _VALUE.fullmatch(was):
                trace = Trace("setting", path, (path, was))
                yield _change(
                    trace, "restore", f"{' '.join(value.split())} → {' '.join(was.split())}"
                )

    def _units(self) -> Iterator[Change]:
        gone = [path for path in self.survey.own if path.startswith(f"{UNITS}/")]
        if gone:
            yield Change(Reload(), "reload", "unit files are gone")
        for name in _ENABLED_BEFORE:
            was = self.before.unit(name) if self.before else None
            if was is None or (was.load, was.enabled) != ("loaded", "enabled"):
                continue
            if gone or self.now.unit(name).enabled != "enabled":
                trace = Trace("enabled", name, (name,))
                yield _change(trace, "restore", "it was enabled before; it is not started")

    # --- what is said beside ---------------------------------------------------------------------

    def stays(self) -> Iterator[str]:
        loaded = self.now.modules & self.scope.modules
        if self.before:
            loaded -= self.before.modules
        if loaded:
            yield f"kernel modules until the next boot: {', '.join(sorted(loaded))}"
        if _TUNNEL in self.now.interfaces and not (
            self.before and _TUNNEL in self.before.interfaces
        ):
            yield f"{_TUNNEL}, which the module ipip makes, until the next boot"
        known = {mount.place for mount in self.before.mounts} if self.before else {_BPF}
        if any(m.place == _BPF and m.place not in known for m in self.now.mounts):
            yield f"{_BPF}, mounted since: whoever has pinned something there would lose it"
        for path in self.scope.trees:
            if path in self.now.paths and (why := self._why_tree_stays(path)):
                yield f"{path}: {why}"
        if self.survey.quarantine:
            yield f"{self.scope.state}/quarantine: credentials that were moved there, see its NOTE"
        if self.before:
            yield from _since(self.before, self.now)
            for name in _ENABLED_BEFORE:
                if self.before.unit(name).active == "active":
                    yield f"{name} ran before, and is not started: systemctl start {name}"

    def unknown(self) -> Iterator[str]:
        if self.before is None:
            yield (
                "nobody recorded this host before its first change: earlier values of kernel"
                " settings, files that were replaced, and what was enabled are unknown"
            )


def _since(before: Surroundings, now: Surroundings) -> Iterator[str]:
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


def filter_parts(now: Surroundings, scope: Scope) -> dict[str, tuple[FilterPart, ...]]:
    """Return what of each program's tables is Kubernetes'."""
    return {
        program: packet_filter.parts(lines, prefixes=scope.chains, networks=scope.networks)
        for program, lines in now.filters.items()
    }


def our_interfaces(survey: Survey, scope: Scope) -> dict[str, str]:
    """Return the interfaces that go, each with its kind: name and kind are right, and it is new."""
    known = survey.before.interfaces if survey.before else {}
    patterns = {**_OF_PROXY, **scope.interfaces}
    return {
        name: kind
        for name, line in survey.now.interfaces.items()
        for pattern, kind in patterns.items()
        if name not in known and re.fullmatch(pattern, name) and re.search(rf"\b{kind}\b", line)
    }


def _our_tables(survey: Survey, scope: Scope) -> tuple[str, ...]:
    known = survey.before.tables() if survey.before else {}
    wanted = (*_OF_PROXY_TABLES, *scope.tables)
    return tuple(name for name in survey.now.tables() if name in wanted and name not in known)


def our_routes(survey: Survey, scope: Scope) -> tuple[tuple[str, str], ...]:
    """Return the routes of the pod network, by destination and protocol, with their family."""
    families = [str(family) for family in sorted({cidr.version for cidr in scope.pod_cidrs})]
    known = {
        (family, line)
        for family in families
        for line in (survey.before.routes.get(family, ()) if survey.before else ())
    }
    found = []
    for family in families:
        for line in survey.now.routes.get(family, ()):
            words = line.split()
            kind = words[1:] if words[:1] == ["blackhole"] else words
            protocol = _after("proto", words)
            if (family, line) in known or not kind or protocol not in scope.route_protocols:
                continue
            if _within(kind[0], scope.pod_cidrs):
                found.append((family, line))
    return tuple(found)


def _route_words(line: str) -> tuple[str, ...]:
    words = line.split()
    head = words[:2] if words[0] == "blackhole" else words[:1]
    pairs = [
        word
        for key in ("via", "dev", "table", "proto")
        if (value := _after(key, words))
        for word in (key, value)
    ]
    return (*head, *pairs)


def foreign(survey: Survey, scope: Scope) -> dict[str, tuple[str, ...]]:
    """
    Return what of the host is not fabnode's, by kind, to be compared before and after a reset.

    nft shows tables of iptables, too, which are compared as that shows them.
    """
    now = survey.now
    ours = our_interfaces(survey, scope)
    all_parts = filter_parts(now, scope)
    tables = now.tables()
    mine = {*_our_tables(survey, scope), *_tables_of_iptables(all_parts)}
    folders = scope.mounts
    routes = set(our_routes(survey, scope))
    kinds: dict[str, tuple[str, ...]] = {
        "interfaces": tuple(n for n in now.interfaces if n not in ours),
        "mounts": tuple(
            f"{m.place} ({m.kind})"
            for m in now.mounts
            if not _below(m.place, folders) and not _NETNS.fullmatch(m.place)
        ),
        "swap": now.swaps,
        "users": now.users,
        "ipsets": tuple(n for n in now.sets if not _fits(n, (*_OF_PROXY_SETS, *scope.sets))),
        "routes": tuple(
            f"{line}"
            for family, lines in now.routes.items()
            for line in lines
            if (family, line) not in routes and _after("dev", line.split()) not in ours
        ),
        "routing rules": tuple(line for lines in now.rules.values() for line in lines),
    }
    for program, parts in all_parts.items():
        for part in parts:
            kinds[f"{program} {part.table}"] = part.foreign
    for name, lines in tables.items():
        if name not in mine:
            kinds[f"nft table {name}"] = lines
    return {kind: lines for kind, lines in kinds.items() if lines}


def _tables_of_iptables(parts: Mapping[str, tuple[FilterPart, ...]]) -> set[str]:
    """Return the tables of nft's that iptables keeps its own in, as nft names them."""
    return {
        f"{'ip6' if program.startswith('ip6') else 'ip'} {part.table}"
        for program, found in parts.items()
        if program.endswith("-nft")
        for part in found
    }


def _change(trace: Trace, action: str, why: str) -> Change:
    return Change(trace, action, why)  # type: ignore[arg-type]


def _below(place: str, folders: Collection[str]) -> bool:
    return any(place.startswith(f"{folder}/") for folder in folders)


def _fits(name: str, patterns: Collection[str]) -> bool:
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def _within(address: str, networks: Collection[IPv4Network | IPv6Network]) -> bool:
    try:
        found = ip_address(address.partition("/")[0])
    except ValueError:
        return False
    return any(found in network for network in networks)


def _after(key: str, words: list[str]) -> str:
    return next((b for a, b in pairwise(words) if a == key), "")


def _access(fact: PathFact) -> str:
    return f"{fact.mode:04o} of {fact.uid}:{fact.gid}"


def _counted(chains: Collection[str]) -> str:
    return f"{len(chains)} chain{'' if len(chains) == 1 else 's'}"
