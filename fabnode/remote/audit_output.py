"""Parser of `scripts/examine`'s output to evidence. Pure; MalformedError for hostile output."""

from __future__ import annotations

import base64
import binascii
import hashlib
import posixpath
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..node.conventions import STATE
from ..node.examination import (
    Anchor,
    Evidence,
    Listener,
    Program,
    Provenance,
    SecretFile,
    Text,
    UnitSeen,
)
from ..util.digests import is_sha256
from ..util.sanitize import clean
from .limits import EXAMINE_LIMITS as LIMITS
from .limits import MalformedError, Tally, fits
from .search_roots import ROOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MODE = re.compile(r"[0-7]{1,5}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{1,9})?", re.ASCII)
_PUBLIC = re.compile(r"((ssh|ecdsa)-[a-z0-9-]{1,40}|spki) [A-Za-z0-9+/]{1,1900}={0,2}", re.ASCII)
# Those on security keys (`sk-…@openssh.com`), and giant ones that a host cuts off.
_OTHER_PUBLIC = re.compile(r"[a-z0-9.@-]{1,60} [A-Za-z0-9+/]{1,2000}={0,2}", re.ASCII)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\s]+\n-----END CERTIFICATE-----")
_TOKENS = {"bootstrap", "jwt", "static", "password", "csv"}
_PROGRAMS = {"kubelet", "kube-proxy", "dockerd"}
_STARTED = {
    "kubelet",
    "kube-proxy",
    "docker",
    "containerd",
    "cri-docker",
    "cri-dockerd",
    "crio",
    "systemd",
}
_CONTROL = {
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
}
_TABLES = {"filter", "nat"}
_NAMED = {
    "certificate-authority",
    "client-certificate",
    "client-key",
    "tokenFile",
    "command",
    "insecure-skip-tls-verify",
    "server",
}
_MAX_LINE = 2**14  # but of those that hold a text, or a kubeconfig's certificates
_MAX_TEXT_LINE = _MAX_LINE + LIMITS.text_size * 4 // 3
_LONG = ("text\t", "anchor\t", "certificate_data\t")
_COMPLAINT, _MOST_COMPLAINTS = 200, 10  # letters, lines
_LONGEST_PATH = 4096  # bytes: one that is no UTF-8 takes four letters
# Where nothing is searched for keys; `scripts/examine/search.sh` has the same list.
_EXCLUDED = re.compile(r"/(\.ssh|\.cache|node_modules|\.git|kubelet/pods|kubelet/plugins)/")


def parse(
    output: bytes,
    *,
    nonce: str,
    roots: Iterable[str] = ROOTS,
    state: str = STATE,
    asked: Mapping[str, tuple[str, int]] | None = None,
) -> Evidence:
    """
    Return the evidence in the script's output.

    :param nonce: what the last line must hold, which shows that the answer is complete.
    :param roots: folders that were searched: no file can lie elsewhere.
    :param state: fabnode's directory on the host, which is not searched.
    :param asked: sockets that listeners may be on, as /proc/net/tcp has them → address and port.
    :raises MalformedError: for anything the script would not print.
    """
    # No name has a backslash of its own, so that names which differ stay different.
    lines = output.decode("utf-8", "backslashreplace").split("\n")
    if lines[-2:] != [f"end\t{nonce}", ""]:
        raise MalformedError("the answer is cut off")
    found = _Found(tuple(roots), state, asked or {})
    for line in lines[:-2]:
        longest = _MAX_TEXT_LINE if line.startswith(_LONG) else _MAX_LINE
        if len(line) > longest or not found.take(line.split("\t")):
            raise MalformedError(f"an unexpected line {line[:60]!r}")
    return found.evidence()


def complaints(errors: bytes, *, nonce: str) -> tuple[str, ...]:
    """
    Return what the script could not do, from its standard error, which is empty otherwise.

    A program that can't be started, or is ended, looks like one that found nothing.

    :param nonce: what its first line must hold: before that login shells and sudo talk.
    """
    _, begun, output = errors.decode("utf-8", "replace").partition(f"begin\t{nonce}\n")
    if not begun:
        return ("whether all of it was done: the host's standard error is missing",)
    lines = dict.fromkeys(clean(line)[:_COMPLAINT].strip() for line in output.splitlines())
    lines.pop("", None)
    shown = [f"something that could not be done: {line}" for line in lines]
    if (more := len(shown) - _MOST_COMPLAINTS) > 0:
        shown[_MOST_COMPLAINTS:] = [f"{more} more that could not be done"]
    return tuple(shown)


@dataclass(slots=True)
class _File:
    mode: int
    uid: int
    reachable: bool
    controlled: bool
    kubeconfig: bool
    pem: list[str] = field(default_factory=list)
    certificates: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    used_by: list[str] = field(default_factory=list)
    blocks: int = 0
    late: bool = False


@dataclass(slots=True)
class _Found:
    """Evidence while its lines come in."""

    roots: tuple[str, ...]
    state: str
    asked: Mapping[str, tuple[str, int]]
    uptime: float = 0.0
    proxied: bool | None = False
    listeners: set[Listener] | None = None
    swaps: list[str] = field(default_factory=list)
    control: list[str] = field(default_factory=list)
    managed: set[str] = field(default_factory=set)
    users_known: bool = True
    unseen: list[str] = field(default_factory=list)
    limited: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    units: dict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    programs: dict[str, str] = field(default_factory=dict)
    args: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    unguarded: dict[str, list[str]] = field(default_factory=dict)
    swayed: dict[str, list[str]] = field(default_factory=dict)
    cwds: dict[str, str] = field(default_factory=dict)
    texts: dict[str, Text] = field(default_factory=dict)
    files: dict[str, _File] = field(default_factory=dict)
    anchors: dict[str, Anchor] = field(default_factory=dict)
    anchor_names: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    rules: dict[str, list[str]] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def take(self, fields: list[str]) -> bool:
        """
        Store what a line reports; False: no such line exists. The last field may hold tabs.

        :raises MalformedError: the script would have stopped before.
        """
        count = self.tally.one_more
        match fields:
            case ["uptime", value]:
                self.uptime = _number(value)
            case ["swap", *name]:
                count("swaps", LIMITS.swaps)
                self.swaps.append("\t".join(name))
            case ["control", name] if name in _CONTROL:
                if name not in self.control:
                    self.control.append(name)
            case ["managed", unit]:
                count("managed units", LIMITS.units)
                self.managed.add(unit)
            case ["unit", name, *setting]:
                if name not in self.units:
                    count("units", LIMITS.units)
                count("settings", LIMITS.settings, name)
                line = fits("\t".join(setting), LIMITS.unit_length, "a setting")
                key, _, value = line.partition("=")
                self.units[name][key] = value
            case ["program", name, "host" | "down" as place] if name in _PROGRAMS:
                self.programs[name] = place
            case ["unguarded", unit, *path] if unit.removesuffix(".service") in _STARTED:
                count("executables", LIMITS.executables, unit)
                self.unguarded.setdefault(unit, []).append(_path("\t".join(path)))
            case ["swayed", unit, *path] if unit.removesuffix(".service") in _STARTED:
                count("files that units go by", LIMITS.executables, unit)
                self.swayed.setdefault(unit, []).append(_path("\t".join(path)))
            case ["cwd", name, *path] if name in self.programs:
                self.cwds[name] = _path("\t".join(path))
            case ["arg", name, *argument] if name in self.programs:
                if len(self.args[name]) >= LIMITS.args:
                    raise MalformedError(f"more than {LIMITS.args} arguments of {name}")
                self.args[name].append(fits("\t".join(argument), LIMITS.arg_length, "an argument"))
            case ["text", mode, controlled, digest, content, *path]:
                count("texts", LIMITS.texts)
                where = _path("\t".join(path))
                self.texts[where] = _text(mode, controlled, digest, content)
            case ["anchor", controlled, blocks, content, *path]:
                count("anchors", LIMITS.anchors)
                where = fits("\t".join(path), LIMITS.arg_length, "a path")
                self.anchors[where] = _anchor(controlled, blocks, content)
                self.anchor_names[where] = defaultdict(list)
            case ["anchor_names", key, *value] if self.anchors and key in _NAMED:
                latest = next(reversed(self.anchors))
                count("names", len(_NAMED) * LIMITS.anchors, latest)
                name = fits("\t".join(value), LIMITS.arg_length, "a name")
                self.anchor_names[latest][key].append(name)
            case ["file", mode, uid, reachable, controlled, kind, *path]:
                self._file("\t".join(path), mode, uid, reachable, controlled, kind)
            case ["pem", line] if self.files:
                latest = next(reversed(self.files))  # the file that was announced last
                count("lines", LIMITS.blocks * LIMITS.block_lines, latest)
                self.files[latest].pem.append(
                    fits(line, LIMITS.block_length, "a line of a certificate")
                )
            case ["certificate_data", data, *path]:
                count("embedded certificates", LIMITS.keys, "\t".join(path))
                found = _PEM.findall(_unbase64(data).decode("ascii", "replace"))
                self._at(path).certificates += found[: LIMITS.blocks]
            case ["key", public, *path]:
                if public and not _PUBLIC.fullmatch(public):
                    if not _OTHER_PUBLIC.fullmatch(public):
                        return False
                    public = ""  # nothing compares it: its key is as good as untold
                # As many in PEM as in a kubeconfig's fields.
                count("keys", 2 * LIMITS.keys, "\t".join(path))
                self._at(path).keys.append(public)
            case ["blocks", number, *path]:
                count("counts of blocks", 1, "\t".join(path))
                self._at(path).blocks = _whole(number)
            case ["token", kind, *path] if kind in _TOKENS:
                count("tokens", LIMITS.tokens, "\t".join(path))
                self._at(path).tokens.append(kind)
            case ["late", *path]:
                self._at(path).late = True
            case ["used", user, *path]:
                count("uses", LIMITS.uses)
                # The longest path that matches may be another than one of ours.
                if (where := "\t".join(path)) in self.files:
                    self.files[where].used_by.append(user)
            case ["rules", table] if table in _TABLES:
                self.rules[table] = []
            case ["rule", table, *rule] if table in self.rules:
                count("rules", LIMITS.rules, table)
                self.rules[table].append(fits("\t".join(rule), LIMITS.rule_length, "a rule"))
            case ["proxied"]:
                self.proxied = True
            case ["proxied_unknown"]:
                self.proxied = None
            case ["listening"]:
                self.listeners = set()
            case ["listener", place, ("kubelet" | "other") as whose] if (
                self.listeners is not None and place in self.asked
            ):
                count("listeners", LIMITS.listeners)
                address, port = self.asked[place]
                self.listeners.add(Listener(port, address, whose == "kubelet"))
            case ["quarantined", *path]:
                count("quarantined files", LIMITS.quarantined)
                where = _path("\t".join(path))
                if not where.startswith(f"{self.state}/quarantine/"):
                    return False
                self.quarantined.append(where)
            case ["users_unknown"]:
                self.users_known = False
            case ["unseen", *what]:
                count("notes", LIMITS.unseen)
                self.unseen.append("\t".join(what))
            case ["limit", *what]:
                count("limits", LIMITS.limits)
                self.limited.append("\t".join(what))
            case _:
                return False
        return True

    def _file(
        self, path: str, mode: str, uid: str, reachable: str, controlled: str, kind: str
    ) -> None:
        if path in self.files or len(self.files) >= LIMITS.files:
            raise MalformedError("a file that can't be")
        self._searched(_path(path))
        if kind not in {"pem", "kubeconfig", "csv"}:
            raise MalformedError(f"a file of kind {kind[:20]!r}")
        self.files[path] = _File(
            _mode(mode), _whole(uid), _flag(reachable), _flag(controlled), kind == "kubeconfig"
        )

    def _searched(self, path: str) -> None:
        """Refuse a path that no search finds: nothing outside of these places is touched."""
        if not any(path.startswith(f"{root}/") for root in self.roots):
            raise MalformedError(f"a file outside of what is searched: {path[:60]!r}")
        if path.startswith(f"{self.state}/") or _EXCLUDED.search(path):
            raise MalformedError(f"a file in a folder that is not searched: {path[:60]!r}")

    def _at(self, path: list[str]) -> _File:
        try:
            return self.files["\t".join(path)]
        except KeyError:
            raise MalformedError("a file that was not announced") from None

    def evidence(self) -> Evidence:
        return Evidence(
            uptime=self.uptime,
            swaps=tuple(self.swaps),
            control_plane=tuple(self.control),
            managed=frozenset(self.managed),
            programs={
                name: Program(
                    tuple(self.args[name]),
                    running=place == "host",
                    cwd=self.cwds.get(name, ""),
                )
                for name, place in self.programs.items()
            },
            unguarded={unit: tuple(paths) for unit, paths in self.unguarded.items()},
            swayed={unit: tuple(paths) for unit, paths in self.swayed.items()},
            units={name: _unit(settings) for name, settings in self.units.items()},
            texts=self.texts,
            files={path: _secret_file(path, file) for path, file in self.files.items()},
            anchors={
                path: replace(
                    anchor, names={k: tuple(v) for k, v in self.anchor_names[path].items()}
                )
                for path, anchor in self.anchors.items()
            },
            rules={table: tuple(rules) for table, rules in self.rules.items()},
            proxied=self.proxied,
            listeners=None if self.listeners is None else frozenset(self.listeners),
            quarantined=tuple(self.quarantined),
            users_known=self.users_known,
            unseen=tuple(self.unseen),
            limited=tuple(self.limited),
        )


def _secret_file(path: str, file: _File) -> SecretFile:
    blocks = _PEM.findall("\n".join(file.pem))[: LIMITS.blocks]
    return SecretFile(
        path=path,
        mode=file.mode,
        uid=file.uid,
        reachable=file.reachable,
        controlled=file.controlled,
        certificates=tuple(dict.fromkeys([*blocks, *file.certificates])),
        keys=tuple(file.keys),
        tokens=tuple(file.tokens),
        kubeconfig=file.kubeconfig,
        used_by=tuple(dict.fromkeys(file.used_by)),
        blocks=file.blocks,
        late=file.late,
    )


def _unit(settings: dict[str, str]) -> UnitSeen:
    since = settings.get("ActiveEnterTimestampMonotonic", "") or "0"
    paths = [settings.get("FragmentPath", ""), *settings.get("DropInPaths", "").split(" ")]
    return UnitSeen(
        active=settings.get("ActiveState", ""),
        sub=settings.get("SubState", ""),
        restarts=_whole(settings.get("NRestarts", "") or "0"),
        since=_number(since) / 1e6,
        files=tuple(path for path in paths if path.startswith("/")),
    )


def _text(mode: str, controlled: str, digest: str, content: str) -> Text:
    if digest == "-":  # not read, or not all of it
        part = None if content == "-" else _unbase64(content)
        if part is not None and len(part) > LIMITS.text_size:
            raise MalformedError("a text that is too long")
        return Text(_mode(mode), "", part, _flag(controlled))
    if not is_sha256(digest):
        raise MalformedError("no digest")
    if content == "-":
        return Text(_mode(mode), digest, None, _flag(controlled))
    data = _unbase64(content)
    if len(data) > LIMITS.text_size or hashlib.sha256(data).hexdigest() != digest:
        raise MalformedError("a text that does not match its digest")
    return Text(_mode(mode), digest, data, _flag(controlled))


def _anchor(controlled: str, blocks: str, content: str) -> Anchor:
    alone = Provenance.ROOT_ONLY if _flag(controlled) else Provenance.OTHERS_MAY_WRITE
    pem = "" if content == "-" else _unbase64(content).decode("ascii", "replace")
    return Anchor(alone, tuple(_PEM.findall(pem)[: LIMITS.blocks]), _whole(blocks))


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("no base64") from error


def _path(path: str) -> str:
    """Return a path that is absolute, normalized and has no separators of lines and fields."""
    if (
        not path.startswith("/")
        or len(path.encode()) - 3 * path.count("\\") > _LONGEST_PATH
        or posixpath.normpath(path) != path
        or path.startswith("//")
        or any(char in path for char in "\t\n\0")
    ):
        raise MalformedError(f"not a path:  {path[:60]!r}")
    return path


def _flag(text: str) -> bool:
    if text not in {"0", "1"}:
        raise MalformedError(f"neither yes nor no: {text[:20]!r}")
    return text == "1"


def _mode(text: str) -> int:
    if not _MODE.fullmatch(text):
        raise MalformedError(f"not a mode:  {text[:20]!r}")
    return int(text, 8)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise MalformedError(f"not a number:  {text[:20]!r}")
    return float(text)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise MalformedError(f"not a whole number:  {text[:20]!r}")
    return int(text)
