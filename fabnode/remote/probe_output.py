"""Parser of `scripts/probe`'s output to facts. Pure; raises `MalformedError` for hostile output."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, ip_interface
from typing import TYPE_CHECKING, Any

from ..node.facts import (
    DefaultRoute,
    Facts,
    HostNetwork,
    Listener,
    Mount,
    Named,
    PathFact,
    Space,
    UnitFact,
)
from ..node.host_tools import NEEDED_TO_PROBE
from ..node.resolvers import name_servers, on_loopback
from ..pki.certificates import CertificateFile
from ..util.digests import is_sha256
from ..util.sanitize import clean
from .file_modes import kind_of, permissions_of
from .limits import CERTIFICATE_FILES, COPIES, OTHERS, STATIC_PODS, TEXT_SIZE, MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
_NUMBER = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,9})?", re.ASCII)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\s]+\n-----END CERTIFICATE-----")
_NFT = re.compile(r"^nftables v([\d.]+).*$")
# In a line of `ip -o addr show`: `2: eth0    inet 192.0.2.7/24 brd …`.
_ADDRESS = re.compile(r" inet6? ([0-9a-f.:]+)")
_INET = re.compile(r"\d+: (\S+) +inet6? ([0-9a-f.:]+(?:/\d+)?)")
_ROUTE = re.compile(r"(\S+)\s+([0-9A-F]{8})\s+([0-9A-F]{8})(?:\s+\d+){4}\s+([0-9A-F]{8})\b.*")
_FLAGS = re.compile(r"[0-9a-f]{8}", re.ASCII)
_ADDRCONF = 0x00040000  # linux include/uapi/linux/ipv6_route.h, RTF_ADDRCONF
_CREDENTIALS = re.compile(r"(//|^)[^/@]*@")  # in the URL of a proxy
_MOST_RULES = 20_000
_LISTENER = re.compile(
    r"LISTEN +\d+ +\d+ +\S+:(\d{1,5}) +\S+ *(?:users:\(\(\"([^\"]*)\".*)?", re.ASCII
)
_MAX_LINE = 2**16  # but of the one line that holds all texts


class LacksToolsError(MalformedError):
    """A host lacks programs without which a probe would report what is not so."""

    def __init__(self, tools: Iterable[str]) -> None:
        self.tools = tuple(sorted(tools))
        super().__init__(f"it has no {', '.join(self.tools)}, which fabnode needs there")


def parse(output: bytes, *, nonce: str, sent: float, received: float) -> Facts:
    """
    Return the facts in the probe's output.

    :param nonce: what the last line must hold, which shows that the answer is complete.
    :param sent, received: deployer's clock when the probe was sent, and when it first answered.
    :raises MalformedError: for anything the probe would not print.
    """
    lines = output.decode("utf-8", "replace").split("\n")
    if lines[-2:] != [f"end\t{nonce}", ""]:
        raise MalformedError("the answer is cut off")
    found = _Found()
    for line in lines[:-2]:
        too_long = len(line) > _MAX_LINE and not line.startswith("texts\t")
        # Facts get into sentences and onto screens: nothing that steers a terminal gets in.
        if too_long or not found.take(clean(line, lines=True).split("\t")):
            raise MalformedError(f"an unexpected line {line[:60]!r}")
    return found.facts((sent + received) / 2)


@dataclass(slots=True)
class _Found:
    """Facts while their lines come in."""

    plain: dict[str, Any] = field(default_factory=dict)
    paths: dict[str, dict[str, Any]] = field(default_factory=dict)
    units: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    stamps: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    certificates: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    servers: dict[str, str] = field(default_factory=dict)
    authorities: dict[str, str] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    pod_cgroups: set[str] = field(default_factory=set)
    static_pods: list[str] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    missing_sysctls: set[str] = field(default_factory=set)
    configs: dict[str, list[str]] = field(default_factory=dict)
    space: dict[str, Space] = field(default_factory=dict)
    readonly: set[str] = field(default_factory=set)
    mounts: dict[str, Mount] = field(default_factory=dict)
    controllers: set[str] = field(default_factory=set)
    lacking: set[str] = field(default_factory=set)
    networks: list[HostNetwork] = field(default_factory=list)
    defaults: list[DefaultRoute] = field(default_factory=list)
    upstream: list[str] = field(default_factory=list)
    proxies: dict[str, str] = field(default_factory=dict)
    rules: list[tuple[str, str]] = field(default_factory=list)
    archives: dict[str, str] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)
    mtus: dict[str, int] = field(default_factory=dict)
    conntrack: dict[str, str] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    resolv: list[str] = field(default_factory=list)
    texts: list[tuple[str, int]] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)
    builtin: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    tools: set[str] = field(default_factory=set)
    images: set[str] | None = None
    untrusted: set[str] = field(default_factory=set)
    loose: set[str] = field(default_factory=set)
    of_others: list[Named] = field(default_factory=list)
    pinned: set[str] = field(default_factory=set)
    copies: list[tuple[str, str]] = field(default_factory=list)

    def take(self, fields: list[str]) -> bool:
        """Store what a line reports; False: no such line exists. The last field may hold tabs."""
        match fields:
            case ["machine_id", value]:  # of an image it may be `uninitialized`: machine-id(5)
                self.plain["machine_id"] = value if _MACHINE_ID.fullmatch(value) else ""
            case ["hostname" | "boot_id" | "kernel" as tag, value]:
                self.plain[tag] = value
            case ["clock" | "uptime" as tag, value]:
                self.plain[tag] = _number(value)
            case ["cgroup" as tag, value]:
                self.plain[tag] = _whole(value)
            case ["os", name, version]:
                self.plain |= {"os_id": name, "os_version": version}
            case ["arch", machine]:
                self.plain["arch"] = _ARCHITECTURES.get(machine, machine)
            case ["memory", "MemTotal:" | "SwapTotal:" as what, kib]:
                self.plain["memory" if what == "MemTotal:" else "swap"] = _whole(kib) * 1024
            case ["address", line]:
                self.addresses += _ADDRESS.findall(line)
                self.networks += _inet(line)
            case ["route", *line]:
                self.networks += _route("\t".join(line))
            case ["ipv6", "0" | "1" | "absent" as state]:
                self.plain["ipv6"] = {"0": "on", "1": "off"}.get(state, state)
            case ["ipv6_default", interface, flags, accept_ra]:
                self.defaults += _ipv6_default(interface, flags, accept_ra)
            case ["mtu", interface, size]:
                self.mtus[interface] = _whole(size)
            case ["conntrack", "missing" | "readonly" as state, path]:
                self.conntrack[path] = state
            case ["resolv", *line]:
                self.resolv.append("\t".join(line))
            case ["no_resolv", link]:
                self.plain |= {"resolv_conf": None, "resolv_link": link}
            case ["resolved"]:
                self.plain["resolved"] = True
            case ["upstream", *line]:
                self.upstream.append("\t".join(line))
            case ["proxy", name, *value]:
                self.proxies[name] = _CREDENTIALS.sub(r"\1", "\t".join(value).strip("$'\""))
            case ["nft_rule" | "iptables_rule" as tag, *line] if len(self.rules) < _MOST_RULES:
                self.rules.append((tag.removesuffix("_rule"), " ".join(line)))
            case ["lacks", name]:
                self.lacking.add(name)
            case ["readonly", *path]:
                self.readonly.add("\t".join(path))
            case ["mount", options, "shared" | "private" as spread, *path]:
                found = Mount(frozenset(options.split(",")), spread == "shared")
                self.mounts["\t".join(path)] = found
            case ["not_booted"]:
                self.plain["booted"] = False
            case ["no_kmsg"]:
                self.plain["kmsg"] = False
            case ["modules_disabled"]:
                self.plain["modules_disabled"] = True
            case ["controllers", names]:
                self.controllers |= set(names.split())
            case ["listener", line]:
                self.listeners.append(_listener(line))
            case ["nft", line]:
                self.plain["nft"] = _NFT.sub(r"\1", line)
            case ["tool", name]:
                self.tools.add(name)
            case ["space", left, *path]:
                self.space["\t".join(path)] = _space(left)
            case ["builtin", name]:
                self.builtin.add(name)
            case ["module", name]:
                self.modules.add(name)
            case ["missing", name]:
                self.missing.add(name)
            case ["sysctl", key, *value]:
                self.sysctls[key] = " ".join(" ".join(value).split())
            case ["no_sysctl", key]:
                self.missing_sysctls.add(key)
            case ["config", *path]:
                self.configs.setdefault("\t".join(path), [])
            case ["config_line", *line, path] if path in self.configs:
                self.configs[path].append(" ".join(line))
            case ["path", mode, uid, gid, size, *path]:
                self.paths["\t".join(path)] = _path(mode, uid, gid, size)
            case ["digest", digest, *path]:
                self._path("\t".join(path))["sha256"] = _sha256(digest)
            case ["text", size, *path]:
                if _whole(size) > TEXT_SIZE:
                    raise MalformedError(f"a text of {size} bytes")
                self.texts.append(("\t".join(path), _whole(size)))
            case ["texts", contents]:
                self._share_out(_unbase64(contents))
            case ["certificate", line, *path]:
                self._lines_of("\t".join(path)).append(line)
            case ["certificate_data", data, *path]:
                pem = _unbase64(data).decode("ascii", "replace")
                self._lines_of("\t".join(path)).append(pem)
            case ["server", url, *path]:
                self.servers["\t".join(path)] = url.strip("'\"")
            case ["client", file, *path]:
                self.clients["\t".join(path)] = file.strip("'\"")
            case ["pod_cgroups", "systemd" | "cgroupfs" as driver]:
                self.pod_cgroups.add(driver)
            case ["static_pod", *name] if len(self.static_pods) < STATIC_PODS:
                self.static_pods.append("\t".join(name))
            case ["authority", file, *path]:
                self.authorities["\t".join(path)] = file.strip("'\"")
            case ["authority_data", data, *path]:
                pem = _unbase64(data).decode("ascii", "replace")
                self.authorities["\t".join(path)] = pem
            case ["unit", name, *setting]:
                key, _, value = "\t".join(setting).partition("=")
                self.units[name][key] = value
            case ["stamp", unit, digest, *path]:
                self.stamps[unit]["\t".join(path)] = _sha256(digest)
            case ["images"]:
                self.images = set()
            case ["image", reference] if self.images is not None:
                self.images.add(reference)
            case ["untrusted", *path] if len(self.untrusted) < 10:
                self.untrusted.add("\t".join(path))
            case ["loose", *path] if len(self.loose) < CERTIFICATE_FILES:
                self.loose.add("\t".join(path))
            case ["unguarded" | "swayed" as tag, path, *by] if len(self.of_others) < OTHERS:
                self.of_others.append(Named(path, "\t".join(by), runs=tag == "unguarded"))
            case ["copy", digest, *path] if len(self.copies) < COPIES:
                self.copies.append((_sha256(digest), "\t".join(path)))
            case ["pinned", reference]:
                self.pinned.add(reference)
            case ["archive", digest, reference]:
                self.archives[reference] = _sha256(digest)
            case _:
                return False
        return True

    def _share_out(self, contents: bytes) -> None:
        """Assign each text its content, unless its digest shows that it changed meanwhile."""
        start = 0
        for path, size in self.texts:
            content = contents[start : start + size]
            start += size
            if hashlib.sha256(content).hexdigest() == self._path(path).get("sha256"):
                self._path(path)["content"] = content

    def _lines_of(self, path: str) -> list[str]:
        """Return the lines so far of a file with certificates, each of which will be parsed."""
        if path not in self.certificates and len(self.certificates) >= CERTIFICATE_FILES:
            raise MalformedError(f"more than {CERTIFICATE_FILES} files with certificates")
        return self.certificates[path]

    def _path(self, path: str) -> dict[str, Any]:
        if path not in self.paths:
            raise MalformedError(f"content of {path[:60]!r}, which it says nothing else about")
        return self.paths[path]

    def facts(self, middle: float) -> Facts:
        """Return all of it; `middle` is the deployer's clock when the node read its own."""
        if missing := self.lacking & NEEDED_TO_PROBE.keys():
            raise LacksToolsError({*missing, *self.lacking})
        plain = dict(self.plain)
        if "clock" not in plain or "kernel" not in plain:
            raise MalformedError("it does not report its clock and kernel")
        offset = plain.pop("clock") - middle
        resolv_conf = plain.pop("resolv_conf", "".join(f"{line}\n" for line in self.resolv))
        resolved = plain.pop("resolved", False) and _needs_resolved(resolv_conf, self.upstream)
        names = self.units.keys() | self.stamps.keys()
        return Facts(
            known=True,
            clock_offset=offset,
            addresses=tuple(dict.fromkeys(self.addresses)),
            networks=tuple(dict.fromkeys(self.networks)),
            ipv6_defaults=tuple(dict.fromkeys(self.defaults)),
            resolv_conf=resolv_conf,
            systemd_resolved=resolved,
            proxies=self.proxies,
            firewall=tuple(self.rules),
            space=self.space,
            readonly=frozenset(self.readonly),
            mounts=self.mounts,
            controllers=frozenset(self.controllers),
            lacking=frozenset(self.lacking),
            modules=frozenset(self.modules),
            built_in=frozenset(self.builtin),
            missing_modules=frozenset(self.missing),
            sysctls=self.sysctls,
            missing_sysctls=frozenset(self.missing_sysctls),
            config_files={path: tuple(lines) for path, lines in self.configs.items()},
            listeners=tuple(dict.fromkeys(self.listeners)),
            paths={path: PathFact(**fields) for path, fields in self.paths.items()},
            units={
                name: _unit(self.units.get(name, {}), self.stamps.get(name, {})) for name in names
            },
            certificates={
                path: CertificateFile.of(
                    "".join(f"{pem}\n" for pem in _PEM.findall("\n".join(lines)))
                )
                for path, lines in self.certificates.items()
            },
            servers=self.servers,
            authorities=self.authorities,
            clients=self.clients,
            pod_cgroups=frozenset(self.pod_cgroups),
            static_pods=tuple(self.static_pods),
            images=None if self.images is None else frozenset(self.images),
            untrusted=frozenset(self.untrusted),
            loose=frozenset(self.loose),
            of_others=tuple(self.of_others),
            pinned=frozenset(self.pinned),
            mtus=self.mtus,
            conntrack=self.conntrack,
            image_archives=self.archives,
            copies=_grouped(self.copies),
            tools=frozenset(self.tools),
            **plain,
        )


def _grouped(copies: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for digest, path in copies:
        found[digest].append(path)
    return {digest: tuple(paths) for digest, paths in found.items()}


def _path(mode: str, uid: str, gid: str, size: str) -> dict[str, Any]:
    try:
        bits = int(mode, 16)
    except ValueError:
        raise MalformedError(f"not a mode: {mode[:40]!r}") from None
    fields = {"kind": kind_of(bits), "mode": permissions_of(bits)}
    return {**fields, "uid": _whole(uid), "gid": _whole(gid), "size": _whole(size)}


def _unit(shown: dict[str, str], stamp: dict[str, str]) -> UnitFact:
    return UnitFact(
        load=shown.get("LoadState", "not-found"),
        active=shown.get("ActiveState", "inactive"),
        sub=shown.get("SubState", "dead"),
        enabled=shown.get("UnitFileState", ""),
        started=_whole(shown.get("ActiveEnterTimestampMonotonic") or "0") / 1e6,
        restarts=_whole(shown.get("NRestarts") or "0"),
        reload=shown.get("NeedDaemonReload") == "yes",
        drop_ins=tuple(shown.get("DropInPaths", "").split()),
        stamp=stamp,
    )


def _needs_resolved(resolv_conf: str | None, upstream: list[str]) -> bool:
    """Say whether systemd-resolved's own file serves pods where /etc/resolv.conf does not."""
    named = name_servers(resolv_conf or "")
    if "127.0.0.53" in named:
        return True
    of_no_use = resolv_conf is None or (bool(named) and on_loopback(named))
    beyond = name_servers("\n".join(upstream))
    return of_no_use and not on_loopback(beyond)


def _inet(line: str) -> Iterator[HostNetwork]:
    """Read the address in a line of `ip -o addr show`, unless it is a link-local one of IPv6."""
    if found := _INET.match(line):
        try:
            there = ip_interface(found[2])
        except ValueError:
            raise MalformedError(f"not an address: {found[2][:40]!r}") from None
        if there.version == 4 or not there.ip.is_link_local:
            yield HostNetwork(found[1].partition("@")[0], there.network, there.ip)


def _ipv6_default(interface: str, flags: str, accept_ra: str) -> Iterator[DefaultRoute]:
    """Read a line of /proc/net/ipv6_route (linux net/ipv6/route.c): `lo` has one that refuses."""
    if not _FLAGS.fullmatch(flags):
        raise MalformedError(f"not flags of a route: {flags[:40]!r}")
    if interface != "lo":
        yield DefaultRoute(interface, bool(int(flags, 16) & _ADDRCONF), _whole(accept_ra))


def _route(line: str) -> Iterator[HostNetwork]:
    """Read a line of /proc/net/route, unless it is the default route."""
    found = _ROUTE.fullmatch(line.strip())
    if not found:
        raise MalformedError(f"not a route: {line[:60]!r}")
    target, gateway, mask = (int(number, 16) for number in found.groups()[1:])
    if not mask:
        return
    try:
        network = IPv4Network((_address(target), str(_address(mask))), strict=False)
    except ValueError:
        raise MalformedError(f"not a route: {line[:60]!r}") from None
    yield HostNetwork(found[1], network, None, direct=not gateway)


def _address(number: int) -> IPv4Address:
    """Return the address that the kernel prints as a number of the machine's order."""
    return IPv4Address(number.to_bytes(4, "little"))


def _space(left: str) -> Space:
    blocks, block, inodes, most, kind = (left.split(" ", 4) + [""] * 5)[:5]
    fixed = _whole(most) > 0
    return Space(_whole(blocks) * _whole(block), _whole(inodes) if fixed else None, kind)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise MalformedError(f"not a number: {text[:40]!r}")
    return float(text)


def _whole(text: str) -> int:
    if not _NUMBER.fullmatch(text) or "." in text:
        raise MalformedError(f"not a whole number: {text[:40]!r}")
    return int(text)


def _listener(line: str) -> Listener:
    """Read a line of `ss -Hltn`, maybe with `users:(("sshd",pid=…` at its end."""
    found = _LISTENER.fullmatch(line)
    if not found:
        raise MalformedError(f"not a listener: {line[:60]!r}")
    return Listener(int(found[1]), found[2] or "")


def _sha256(text: str) -> str:
    if not is_sha256(text):
        raise MalformedError(f"not a digest: {text[:40]!r}")
    return text


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError("not base64") from None
