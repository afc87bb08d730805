"""`inv config.init`: a first configuration, of a kubeconfig and a list of hosts."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ...config import starter
from ...config.sections import SshSettings
from ...config.validators import is_address
from ...deploy import discovery, found_artifacts, identified_hosts
from ...util import program
from ...util.atomic_write import draft_of
from ...util.errors import InputError
from ...util.families import split_values
from ...util.typed_paths import typed_path
from ...util.words import counted
from .. import app
from . import first_hosts, first_questions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from ...config.host_list import Host
    from ...config.starter import Findings
    from ...deploy.found_artifacts import Artifacts
    from ...deploy.host_identities import Identities

_MOST_NAMED = 5
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
    no_ssh: bool,
    artifacts: str,
    out: str,
    dry_run: bool,
) -> None:
    """
    Write a configuration of what the cluster reports, and print what was found.

    Whoever sits at a terminal is asked for what is not known.

    :param login: how SSH logs in. :param no_ssh: log in to no host.
    :param artifacts: folder of programs, images and manifest; empty: one beside the file, if any.
    :param out: the file to write, which must not exist; empty: where all commands look for it.
    :param dry_run: only print the file.
    """
    target = app.configuration_path(out)
    if not dry_run:
        refuse_existing(target)
    named = first_hosts.named_hosts(hosts, hosts_file)
    ssh = _ssh_settings(login, target.parent)
    parts = offered_artifacts(artifacts, target)
    source = _kubeconfig(kubeconfig)
    discovery.access(source, target.parent)  # before anybody waits, or is asked
    questions = first_questions.Questions(asks=first_questions.is_possible(hosts_file))
    named = named or questions.hosts(lambda answer: first_hosts.named_hosts(answer, ""))
    identities = _identities([] if no_ssh else named, login)
    _print_unasked(identities, file=sys.stderr if dry_run else sys.stdout)
    addresses = [each for h in named for each in (*split_values(h.ip or h.address), *h.seen)]
    addresses += [at for each in identities.found.values() for _, at in each.addresses]
    found = discovery.discover(source, context, target.parent, addresses)
    findings = replace(found.findings, settings={**found.findings.settings, **ssh})
    findings = with_artifacts(findings, parts, target)
    named, findings = _identified(named, findings, identities, parts)
    findings = questions.cluster(findings, target.parent)
    named = questions.addresses(findings, named)
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


def offered_artifacts(option: str, target: Path) -> Artifacts | None:
    """
    Return what lies in the folder of the option, or else beside the configuration.

    :raises InputError: the one that is named can't be used.
    """
    if option:
        return found_artifacts.find_artifacts(typed_path(option, "--artifacts"))
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


def _identified(
    hosts: Sequence[Host],
    findings: Findings,
    identities: Identities,
    parts: Artifacts | None,
) -> tuple[list[Host], Findings]:
    """Return hosts and findings with what the hosts reported."""
    nodes = () if isinstance(findings.nodes, starter.Missing) else findings.nodes
    by_address = bool(nodes) and all(is_address(each.name) for each in nodes)
    made = identified_hosts.identified(hosts, identities.found, keep_addresses=by_address)
    pairs = [
        (new.name, known)
        for old, new in zip(hosts, made, strict=True)
        if (known := identities.found.get(old.name))
    ]
    return made, identified_hosts.with_architectures(findings, pairs, parts)


def _print_unasked(identities: Identities, file: TextIO) -> None:
    """Print which hosts reported nothing, by the reasons."""
    reasons: dict[str, list[str]] = {}
    for name, why in identities.unasked.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        whose = f"{', '.join(names[:_MOST_NAMED])}{more}"
        app.print_text(f"not asked over SSH: {whose}: {why}", file=file)


def _identities(hosts: Sequence[Host], login: Login) -> Identities:
    """Ask hosts who they are, those that can be asked."""
    from ...deploy import host_identities  # with all of SSH, which an import does without

    files = (("--key", login.key), ("--known-hosts", login.known_hosts))
    key, known = (
        str(typed_path(name, option).absolute()) if name else "" for option, name in files
    )
    settings = host_identities.login_settings(login.user, key, known)
    return host_identities.identities(hosts, settings)


def _ssh_settings(login: Login, folder: Path) -> dict[str, starter.Fact]:
    """Return how SSH logs in. Raises InputError: a value is none, or no file."""
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
        path = typed_path(name, option)
        # Host keys may be recorded in a file that is not there yet.
        if not (path.is_file() or (key == "known_hosts" and path.parent.is_dir())):
            raise InputError(f"{option} {name}: there is no such file")
        given[f"ssh.{key}"] = starter.Known([starter.local(path, folder)], f"Of {option}.")
    return given


def next_commands(target: Path, out: str) -> str:
    """Return what to do once a configuration is written."""
    option = f" --config {shlex.quote(str(target))}" if out else ""
    names = ("config.check", "hosts.trust", "plan")
    check, trust, plan = (program.task(f"{name}{option}") for name in names)
    return f"next: `{check}`, `{trust}` where ssh does not know the hosts, then `{plan}`"


def _kubeconfig(option: str) -> Path:
    """Return the kubeconfig that kubectl would take. Raises InputError: it is none, or several."""
    found = _named_kubeconfig(option)
    if not found.exists():
        hint = "name the cluster's by --kubeconfig: an administrator's, as kubectl takes it"
        raise InputError(f"{found}: No such file or directory", hint)
    return found


def _named_kubeconfig(option: str) -> Path:
    if option:
        return typed_path(option, "--kubeconfig")
    paths = [path for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    if len(paths) > 1:
        raise InputError("KUBECONFIG names several files, and fabnode reads one", _FLATTEN)
    return typed_path(paths[0] if paths else "~/.kube/config", "KUBECONFIG" if paths else "")


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
