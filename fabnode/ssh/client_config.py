"""
The user's ssh configuration for a host, from `ssh -G`, which alone knows its grammar.

Where there is no ssh program, paramiko's reader stands in for files without Include and Match, of
which it knows too little. docs/access.md says which options have an effect here.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from shutil import which
from typing import NamedTuple

import paramiko

from ..util.errors import FabnodeError, InputError
from ..util.sanitize import clean, cut
from ..util.typed_paths import typed_path

# Options in lowercase. Of these, some have their effect within ssh -G.
HONOURED = (
    "addressfamily",
    "bindaddress",
    "canonicaldomains",
    "canonicalizefallbacklocal",
    "canonicalizehostname",
    "canonicalizemaxdots",
    "canonicalizepermittedcnames",
    "certificatefile",
    "globalknownhostsfile",
    "host",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "ignoreunknown",
    "include",
    "match",
    "port",
    "proxycommand",
    "proxyjump",
    "pubkeyauthentication",
    "refuseconnection",
    "tag",
    "user",
    "userknownhostsfile",
)
# Values that would lead elsewhere, or trust more than meant, if they were passed over.
REFUSED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "bindinterface": (("none",), "use BindAddress"),
    "knownhostscommand": (("none",), "list the keys in a file, in ssh.known_hosts"),
    "proxyusefdpass": (("no",), "use a ProxyCommand that carries the data itself"),
    "revokedhostkeys": (("none",), "mark the keys with @revoked in a known_hosts file"),
}
# No effect here: what sessions, terminals and forwardings would use; what fabnode has of its own
# (algorithms, time limits, passwords); what would make the check of host keys less strict.
IDLE = frozenset(
    """
    addkeystoagent batchmode casignaturealgorithms channeltimeout checkhostip ciphers
    clearallforwardings compression connectionattempts connecttimeout controlmaster controlpath
    controlpersist dynamicforward enableescapecommandline enablesshkeysign escapechar
    exitonforwardfailure fingerprinthash forkafterauthentication forwardagent forwardx11
    forwardx11timeout forwardx11trusted gatewayports gssapiauthentication gssapiclientidentity
    gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey
    gssapiserveridentity gssapitrustdns hashknownhosts hostbasedacceptedalgorithms
    hostbasedauthentication hostkeyalgorithms ipqos kbdinteractiveauthentication
    kbdinteractivedevices kexalgorithms localcommand localforward loglevel logverbose macs
    nohostauthenticationforlocalhost numberofpasswordprompts obscurekeystroketiming
    passwordauthentication permitlocalcommand permitremoteopen pkcs11provider
    preferredauthentications pubkeyacceptedalgorithms rekeylimit remotecommand remoteforward
    requesttty requiredrsasize securitykeyprovider sendenv serveralivecountmax serveraliveinterval
    sessiontype setenv stdinnull streamlocalbindmask streamlocalbindunlink stricthostkeychecking
    syslogfacility tcpkeepalive tunnel tunneldevice updatehostkeys verifyhostkeydns versionaddendum
    visualhostkey warnweakcrypto xauthlocation
    """.split()  # noqa: SIM905 - eighty lines otherwise
)
_SYSTEM = Path("/etc/ssh/ssh_config")
_DEFAULT_KEYS = ("rsa", "ecdsa", "ecdsa_sk", "ed25519", "ed25519_sk", "xmss", "dsa")
_SECONDS = 30  # that `ssh -G` may take: a Match may run programs of the user's
_DEPTH = 16
_WORD = re.compile(r"^\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*?)\s*$")
_PLAIN = re.compile(r"[\w./*?~-]+(?:[ \t]+[\w./*?~-]+)*", re.ASCII)  # paths without quotes
_TOKEN = re.compile(r"%(.)|\$\{([^}]*)\}")


class ClientConfigError(FabnodeError):
    """The ssh configuration can't be read, or has a value that fabnode refuses; one clause."""


@dataclass(frozen=True, slots=True)
class HostOptions:
    """
    What counts for connections to one host.

    :param alias: the name that was asked for. :param host: the name or address to connect to.
    :param user: None: the configuration names none.
    :param identities: files of private or public keys, whether they exist or not.
    :param agent: path of the agent's socket; None: the environment's; empty: no agent.
    :param jumps: jump hosts, the first to connect to first. :param proxy_command: for a shell.
    :param key_name: under which known_hosts files have it; empty: by host and port.
    :param token_provider: a PKCS#11 library, which only an agent can use here.
    """

    alias: str
    host: str
    port: int = 22
    user: str | None = None
    identities: tuple[Path, ...] = ()
    certificates: tuple[Path, ...] = ()
    identities_only: bool = False
    public_keys: bool = True
    agent: str | None = None
    jumps: tuple[str, ...] = ()
    proxy_command: str = ""
    known_hosts: tuple[Path, ...] = ()
    key_name: str = ""
    bind_address: str = ""
    family: str = "any"
    token_provider: str = ""


class _Question(NamedTuple):
    host: str
    user: str | None
    port: int | None
    behind: bool


class ClientConfig:
    """The user's and the system's ssh configuration. Safe to share between threads."""

    def __init__(self, home: Path | None = None) -> None:
        self._home = home or Path("~").expanduser()
        self._ssh = which("ssh")
        self._known: dict[_Question, HostOptions] = {}

    @property
    def file(self) -> Path:
        """The user's own file."""
        return self._home / ".ssh" / "config"

    def options(
        self,
        host: str,
        user: str | None = None,
        port: int | None = None,
        *,
        behind: bool = False,
    ) -> HostOptions:
        """
        Return what counts for a host.

        :param user, port: set elsewhere, which wins.
        :param behind: it is known by way of which jump host it is reached.
        :raises ClientConfigError: in one clause.
        """
        asked = _Question(host, user, port, behind)
        if asked not in self._known:
            self._known[asked] = self._looked_up(asked)
        return self._known[asked]

    def _looked_up(self, asked: _Question) -> HostOptions:
        host = asked.host
        if host.startswith("-"):
            raise ClientConfigError(f"{host!r} is not a host name")
        if self._words <= IDLE | {"host", "include"} - {"pkcs11provider"}:
            found: dict[str, list[str]] = {}
        elif self._ssh:
            found = self._asked(asked)
        else:
            found = self._parsed(asked)
        return self._made(asked, found)

    @cached_property
    def _words(self) -> set[str]:
        """The options that occur anywhere: where none matters, no process is needed."""
        return {word for file in (self.file, _SYSTEM) for word in _words(file, file.parent)}

    def _asked(self, asked: _Question) -> dict[str, list[str]]:
        found = self._run(asked)
        own = found.get("user", [""])[0]
        if not asked.user and own == local_user() and self._words & {"user", "?"}:
            # ssh names the local user where the configuration names none. With another default
            # behind it, it shows which it is.
            unset = "fabnode-unset"
            again = self._run(asked, default=unset)
            if again.get("user") == [unset]:
                del found["user"]
        elif not self._words & {"user", "?"}:
            found.pop("user", None)
        return found

    def _run(self, asked: _Question, *, default: str = "") -> dict[str, list[str]]:
        command = [str(self._ssh), "-T", "-G"]
        text = None
        if default:
            includes = "".join(f'Include "{f}"\nMatch all\n' for f in (self.file, _SYSTEM))
            text = f"{includes}User {default}\n"
            command += ["-F", "/dev/stdin"]
        elif self.file.exists() and self._home != Path(_account().pw_dir):
            command += ["-F", str(self.file)]  # ssh itself uses the account, not by HOME
        command += ["-l", asked.user] if asked.user else []
        command += ["-p", str(asked.port)] if asked.port else []
        command += ["-o", "ProxyJump=none"] if asked.behind else []
        try:
            answer = subprocess.run(
                [*command, "--", asked.host],
                input=text,
                stdin=subprocess.DEVNULL if text is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ClientConfigError(f"`ssh -G {asked.host}` failed: {error}") from error
        if answer.returncode:
            lines = clean(answer.stderr.strip().replace("\r\n", "; ").replace("\n", "; "))
            raise ClientConfigError(cut(lines) or f"`ssh -G {asked.host}` failed")
        found: dict[str, list[str]] = {}
        for line in answer.stdout.splitlines():
            word, _, value = line.partition(" ")
            found.setdefault(word.lower(), []).append(value)
        return found

    def _parsed(self, asked: _Question) -> dict[str, list[str]]:
        beyond = self._words & {"include", "match"}
        if beyond:
            raise ClientConfigError(f"{' and '.join(sorted(beyond))} need the program ssh here")
        config = paramiko.SSHConfig()
        try:
            for file in (self.file, _SYSTEM):
                if file.exists():
                    with file.open() as lines:
                        config.parse(lines)
            found = dict(config.lookup(asked.host))
        except (paramiko.SSHException, OSError, UnicodeDecodeError, ValueError) as error:
            raise ClientConfigError(clean(str(error))) from error
        if asked.behind:
            found = {k: v for k, v in found.items() if k not in {"proxyjump", "proxycommand"}}
        return {k: v if isinstance(v, list) else [v] for k, v in found.items()}

    def _made(self, asked: _Question, found: Mapping[str, list[str]]) -> HostOptions:
        def one(word: str, default: str = "") -> str:
            value = found.get(word, [default])[0]
            return default if value.lower() == "none" else value

        for word, (harmless, advice) in REFUSED.items():
            value = found.get(word, [harmless[0]])[0]
            if value.lower() not in harmless:
                raise ClientConfigError(f"{word} {value} is refused; {advice}")
        alias = asked.host
        host = one("hostname", alias)
        chosen = asked.user or one("user") or None
        try:
            number = asked.port or int(one("port", "22"))
        except ValueError:
            raise ClientConfigError(f"port {one('port')} is not a number") from None
        tokens = self._tokens(alias, host, number, chosen, one("hostkeyalias"))

        def expand(text: str) -> str:
            return _expanded(text, tokens)

        def paths(word: str, values: Sequence[str]) -> tuple[Path, ...]:
            given = found.get(word, values)
            return tuple(self._path(expand(text)) for text in given if text.lower() != "none")

        defaults = [f"~/.ssh/id_{kind}" for kind in _DEFAULT_KEYS]
        known = [
            text
            for word, default in (
                ("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2"),
                ("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"),
            )
            for line in found.get(word, [default])
            for text in line.split()
        ]
        agent = found.get("identityagent", ["SSH_AUTH_SOCK"])[0]
        return HostOptions(
            alias=alias,
            host=host,
            port=number,
            user=asked.user or expand(one("user")) or None,
            identities=paths("identityfile", defaults),
            certificates=paths("certificatefile", ()),
            identities_only=one("identitiesonly") == "yes",
            public_keys=one("pubkeyauthentication", "yes") not in {"no", "false"},
            agent=""
            if agent == "none"
            else None
            if agent == "SSH_AUTH_SOCK"
            else str(self._path(expand(agent))),
            # ssh -G leaves these tokens, the target's for each hop, as they are.
            jumps=tuple(expand(hop.strip()) for hop in one("proxyjump").split(",") if hop.strip()),
            proxy_command=expand(one("proxycommand")),
            known_hosts=tuple(self._path(expand(t)) for t in known if t.lower() != "none"),
            key_name=expand(one("hostkeyalias")),
            bind_address=one("bindaddress"),
            family=one("addressfamily", "any"),
            token_provider=one("pkcs11provider"),
        )

    def _tokens(
        self, alias: str, host: str, port: int, user: str | None, key_name: str
    ) -> Mapping[str, str]:
        local = socket.gethostname()
        return {
            "%": "%",
            "d": str(self._home),
            "h": host,
            "i": str(os.getuid()),
            "k": key_name or alias,
            "L": local.split(".")[0],
            "l": local,
            "n": alias,
            "p": str(port),
            "r": user or local_user(),
            "u": local_user(),
        }

    def _path(self, text: str) -> Path:
        if text == "~" or text.startswith("~/"):
            return self._home / text[2:]
        path, account = Path(text), Path(_account().pw_dir)
        # ssh has put in the account's home, where everything else here uses HOME.
        if account != self._home and path.is_relative_to(account):
            return self._home / path.relative_to(account)
        try:
            return typed_path(path)
        except InputError as error:
            raise ClientConfigError(error.message) from error


def local_user() -> str:
    """Return the name of the account that runs this, which ssh logs in as by default."""
    return _account().pw_name


def split_jump(jump: str) -> tuple[str | None, str, int | None]:
    """
    Return user, host and port of a jump host: `[user@]host[:port]`, or with `ssh://` before it.

    :raises ClientConfigError: it is none.
    """
    user, _, place = jump.removeprefix("ssh://").rstrip("/").rpartition("@")
    host, port = place, ""
    if match := re.fullmatch(r"\[([^]]+)\](?::(\d+))?", place):
        host, port = match[1], match[2] or ""
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    if not host or (port and not port.isdigit()):
        raise ClientConfigError(f"{jump!r} is not a jump host")
    return user or None, host, int(port) if port else None


class _Account(NamedTuple):
    pw_name: str
    pw_dir: str


@cache  # asked four times for each host, where a directory service may be asked each time
def _account() -> _Account:
    try:
        found = pwd.getpwuid(os.getuid())
    except KeyError:  # a container may run as a user that has no name
        return _Account(str(os.getuid()), str(Path("~").expanduser()))
    return _Account(found.pw_name, found.pw_dir)


def _words(file: Path, base: Path, depth: int = 0) -> Iterator[str]:
    """
    Yield the options that a file and those that it includes have, in lowercase.

    Only so as to spare a process: what can't be read here, ssh reads or complains about.
    """
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        if (match := _WORD.match(line)) is None:
            if line.strip() and not line.lstrip().startswith("#"):
                yield "?"  # whatever it is, ssh shall judge it
            continue
        word = match[1].lower()
        yield word
        if word == "include":
            paths = _included(match[2], base) if depth < _DEPTH else None
            if paths is None:
                yield "?"
            for path in paths or ():
                yield from _words(path, base, depth + 1)


def _included(value: str, base: Path) -> list[Path] | None:
    """
    Return the files that an Include names; None where ssh may read others there.

    It quotes, escapes and expands by rules of its own: here only what needs none of them is read.
    A file that isn't there may be one that was misread; an empty folder of settings is usual.
    """
    if not _PLAIN.fullmatch(value):
        return None
    found: list[Path] = []
    for pattern in value.split():
        # ssh's ~, to which relative paths belong as well, is the account's, whatever HOME says.
        if not pattern.startswith("/") and str(Path("~").expanduser()) != _account().pw_dir:
            return None
        try:
            whole = base / Path(pattern).expanduser()
        except RuntimeError:
            return None  # no user has that home directory, and ssh shall judge that
        paths = glob.glob(str(whole))  # noqa: PTH207 - whole paths, some absolute
        if not paths and not ("*" in whole.name and whole.parent.is_dir()):
            return None
        found += map(Path, paths)
    return found


def _expanded(text: str, tokens: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[2] is not None:
            return os.path.expandvars(match[0])
        if match[1] not in tokens:
            raise ClientConfigError(f"the token %{match[1]} of {text!r} is not supported")
        return tokens[match[1]]

    return _TOKEN.sub(value, text)
