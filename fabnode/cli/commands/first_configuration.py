"""`inv config.init`: a first configuration, of a kubeconfig and a list of hosts."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ...config import host_list, listed_hosts, starter
from ...config.list_settings import FORMATS
from ...config.sections import SshSettings
from ...config.validators import is_address, is_host
from ...deploy import discovery, found_artifacts
from ...util import program
from ...util.atomic_write import draft_of
from ...util.errors import InputError
from ...util.families import FAMILY_NAMES, family_of, split_values
from ...util.words import counted
from .. import app

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config.host_list import Host
    from ...config.starter import Findings
    from ...deploy.found_artifacts import Artifacts

_MOST_BYTES = 2**20
_LOOKUPS = 16  # names looked up at once
_FLATTEN = "`kubectl config view --flatten --minify > FILE` makes one of them: --kubeconfig FILE"


@dataclass(frozen=True, slots=True)
class Login:
    """How SSH logs in; empty: as the user's ssh does, and as root. `key`, `known_hosts`: files."""

    user: str = ""
    key: str = ""
    known_hosts: str = ""


def init(
    *,
    kubeconfig: str,
    context: str,
    hosts: str,
    hosts_file: str,
    login: Login,
    artifacts: str,
    out: str,
    dry_run: bool,
) -> None:
    """
    Write a configuration of what the cluster says, and print what was found.

    :param login: how SSH logs in.
    :param artifacts: folder of programs, images and manifest; empty: one beside the file, if any.
    :param out: the file to write, which must not exist; empty: where all commands look for it.
    :param dry_run: only print the file.
    """
    target = app.configuration_path(out)
    if not dry_run:
        refuse_existing(target)
    named = named_hosts(hosts, hosts_file)
    parts = offered_artifacts(artifacts, target)
    addresses = [each for h in named for each in (*split_values(h.ip or h.address), *h.seen)]
    found = discovery.discover(_kubeconfig(kubeconfig), context, target.parent, addresses)
    findings = with_artifacts(_with_ssh(found.findings, login, target.parent), parts, target)
    text = starter.write(
        findings,
        named,
        command=program.task("config.init"),
        example=program.task("config.example"),
    )
    if dry_run:
        app.print_text(text, end="")
        return
    written = write_new(target, text, found.ca_pem)
    for line in _summary(findings, named):
        app.print_text(line)
    print_artifacts(parts)
    if open_ := text.count("To be checked: "):
        app.print_text(f"{'to be checked':14} {counted(open_, 'line')} of the file, marked so")
    app.print_text("\n".join(f"wrote {path}" for path in written))
    app.print_text(next_commands(target, out))


def refuse_existing(target: Path) -> None:
    """Raise InputError where there is something at a path already."""
    if os.path.lexists(target):
        raise InputError(
            f"{target} exists already, and is left as it is", "name another file with --out"
        )


def named_hosts(hosts: str, hosts_file: str) -> list[Host]:
    """
    Return the hosts of both options, with addresses.

    :raises InputError: a line is no host, or two have one name or address.
    """
    named = with_addresses([*_of_option(hosts), *_of_file(hosts_file)])
    host_list.refuse_twins(named)
    return named


def offered_artifacts(option: str, target: Path) -> Artifacts | None:
    """
    Return what lies in the folder of the option, or else beside the configuration.

    :raises InputError: the one that is named can't be used.
    """
    if option:
        return found_artifacts.find_artifacts(Path(option).expanduser())
    beside = target.parent / found_artifacts.FOLDER
    try:
        return found_artifacts.find_artifacts(beside) if beside.is_dir() else None
    except InputError:
        return None  # nobody named it, and it may be something else


def with_artifacts(findings: Findings, parts: Artifacts | None, target: Path) -> Findings:
    """Return findings with what a folder of artifacts tells; None: there is none."""
    return found_artifacts.added(findings, parts, target.parent) if parts else findings


def print_artifacts(parts: Artifacts | None) -> None:
    """Print what was found in a folder of artifacts."""
    if parts:
        app.print_text(f"{'artifacts':14} {found_artifacts.summary(parts)}")


def _with_ssh(findings: Findings, login: Login, folder: Path) -> Findings:
    """Return findings with how SSH logs in. Raises InputError: a value is none, or no file."""
    given: dict[str, starter.Fact] = {}
    if login.user:
        try:
            SshSettings.model_validate({"user": login.user}, context={"base": folder})
        except ValidationError as error:
            raise InputError(f"--user {login.user!r} is no name of a user") from error
        source = (
            "Of --user; where sudo wants a password, sudo_password: {prompt: true} asks for it."
        )
        given["ssh.user"] = starter.Known(login.user, source)
    for option, key, name in (
        ("--key", "keys", login.key),
        ("--known-hosts", "known_hosts", login.known_hosts),
    ):
        if not name:
            continue
        path = Path(name).expanduser()
        # Host keys may be recorded in a file that is not there yet.
        if not (path.is_file() or (key == "known_hosts" and path.parent.is_dir())):
            raise InputError(f"{option} {name}: there is no such file")
        given[f"ssh.{key}"] = starter.Known([starter.local(path, folder)], f"Of {option}.")
    return replace(findings, settings={**findings.settings, **given})


def next_commands(target: Path, out: str) -> str:
    """Return what to do once a configuration is written."""
    option = f" --config {shlex.quote(str(target))}" if out else ""
    names = ("config.check", "hosts.trust", "plan")
    check, trust, plan = (program.task(f"{name}{option}") for name in names)
    return f"next: `{check}`, `{trust}` where ssh does not know the hosts, then `{plan}`"


def _kubeconfig(option: str) -> Path:
    """Return the kubeconfig that kubectl would take. Raises InputError: it would take several."""
    if option:
        return Path(option).expanduser()
    paths = [path for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    if len(paths) > 1:
        raise InputError("KUBECONFIG names several files, and fabnode reads one", _FLATTEN)
    return Path(paths[0] if paths else "~/.kube/config").expanduser()


def _of_option(hosts: str) -> list[Host]:
    return host_list.parse(host_list.split(hosts), "--hosts")


def _of_file(name: str) -> list[Host]:
    """Return the hosts of a file, `-` for standard input. Raises InputError."""
    if not name:
        return []
    source = "standard input" if name == "-" else name
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_MOST_BYTES + 1)
        else:
            with Path(name).expanduser().open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise InputError(f"--hosts-file {source} is larger than 1 MiB: no list of hosts")
        kind = FORMATS.get(Path(name).suffix.lower(), "text")
        if kind != "text":
            return listed_hosts.parse(content, source, kind)
        return host_list.parse(host_list.numbered(content.decode()), source)
    except OSError as error:
        raise InputError(f"--hosts-file {source}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--hosts-file {source}: it is no text in UTF-8") from error


def with_addresses(hosts: Sequence[Host]) -> list[Host]:
    """Return the hosts with the addresses that this machine knows of names."""
    if not any(map(_is_to_be_looked_up, hosts)):
        return list(hosts)
    with ThreadPoolExecutor(_LOOKUPS) as pool:
        return list(pool.map(_looked_up, hosts))


def _is_to_be_looked_up(host: Host) -> bool:
    return is_host(host.address) and host.needs_ip and not host.ip and not host.left_out


def _looked_up(host: Host) -> Host:
    if not _is_to_be_looked_up(host):
        return host
    try:
        entries = socket.getaddrinfo(host.address, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        entries = []
    found = sorted({str(address[0]) for *_, address in entries if is_address(str(address[0]))})
    seen, unseen = [], {}
    for family, name in FAMILY_NAMES.items():
        own = [each for each in found if family_of(each) == family and not _is_link_local(each)]
        if len(own) > 1:
            unseen[family] = f"{host.address} has {len(own)} addresses."
        elif not own:
            unseen[family] = f"this machine knows no {name} address of {host.address}."
        elif ip_address(own[0]).is_loopback:
            unseen[family] = f"{host.address} is this machine itself, by {own[0]}."
        else:
            seen += own
    return replace(host, seen=tuple(seen), unseen=unseen, why="" if seen else unseen[4])


def _is_link_local(address: str) -> bool:
    return family_of(address) == 6 and ip_address(address).is_link_local


def write_new(target: Path, text: str, ca_pem: str) -> list[Path]:
    """Write the configuration, and a CA beside it, without replacing anything."""
    ca = target.parent / discovery.CA_FILE
    files = {target: text.encode()}
    try:
        target.parent.mkdir(exist_ok=True)
        if ca_pem and not (os.path.lexists(ca) and ca.read_bytes() == ca_pem.encode()):
            files = {ca: ca_pem.encode(), **files}
        for path, content in files.items():
            with draft_of(path, mode=None) as draft:
                draft.write(content)
                draft.flush()
                os.link(draft.name, path)  # which never replaces, as a rename would
    except FileExistsError as error:
        name = error.filename2 or error.filename or target
        raise InputError(
            f"{name} exists already, with another content, and is left as it is",
            "move it away, or name a file in another folder with --out",
        ) from error
    except OSError as error:
        raise InputError(f"--out {target}: {error.strerror}") from error
    return list(files)


def _summary(findings: starter.Findings, hosts: Sequence[Host]) -> list[str]:
    lines = []
    for key, fact in starter.judged(findings.cluster).items():
        if isinstance(fact, starter.Missing):
            lines.append(f"{key:14} not known: {fact.why}")
        else:
            doubt = "   to be checked: see the file" if fact.doubtful else ""
            lines.append(f"{key:14} {fact.value}{doubt}")
    known = () if isinstance(findings.nodes, starter.Missing) else findings.nodes
    lines.append(f"{'nodes':14} {counted(len(hosts), 'host')} named, {len(known)} there already")
    there = {node.name for node in known}
    lines += [
        f"warning: the cluster has a node named {host.name} already (docs/takeover.md)"
        for host in hosts
        if host.name in there
    ]
    return lines
