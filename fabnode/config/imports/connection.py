"""How Ansible reaches hosts, as `ssh` and addresses of ours. Passwords are never read."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from ...util.families import FAMILY_NAMES, family_of
from ..validators import is_address, is_host, is_ipv4, is_scoped
from . import forms
from .facts import Machine, Open, Taken
from .survey import Rule, Survey
from .values import Kind, Place, Value, text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ...util.families import Family

_USER = ("ansible_user", "ansible_ssh_user")
_PORT = ("ansible_port", "ansible_ssh_port")
_KEY = ("ansible_ssh_private_key_file", "ansible_private_key_file")
_HOST = ("ansible_host", "ansible_ssh_host")
_PASSWORD = ("ansible_password", "ansible_ssh_password", "ansible_ssh_pass")
_SUDO = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
_IPS: Mapping[Family, str] = {4: "ip", 6: "ip6"}
_ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
_RULES = {
    _USER: Rule("ssh.user", forms.text),
    _PORT: Rule("ssh.port", forms.number),
    _KEY: Rule("ssh.keys", lambda value: [forms.text(value)]),
}
_BY_SSH = {"ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh"}
_JUMP = re.compile(
    r"(?:[^\s@]+@)?(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+(?:%[\w.-]+)?\])(?::\d{1,5})?", re.ASCII
)
# What ssh would expand itself is no path of ours.
_FILE_OF_KEYS = re.compile(r"[/~][^%$]*")
_PASSED_OVER = re.compile(
    r"(?:StrictHostKeyChecking|UserKnownHostsFile|ControlMaster|ControlPersist|ControlPath"
    r"|ConnectTimeout|ServerAlive\w+|PreferredAuthentications|PasswordAuthentication"
    r"|GSSAPIAuthentication|LogLevel|Compression|ForwardAgent)[= ].*",
    re.IGNORECASE,
)
_WHOEVER = (
    "the inventory names no user: Ansible logs in as whoever calls it, or as ansible.cfg and its"
    " options say, and fabnode as root"
)

REASONS = (
    (
        r"ansible_python_interpreter|ansible_.*interpreter",
        "hosts need no Python: fabnode's programs are shell",
    ),
    (
        r"ansible_(ssh_pipelining|pipelining|ssh_retries|ssh_args|ssh_transfer_method|timeout)",
        "fabnode has its own transport: one connection a host, ssh.connect_timeout",
    ),
    (
        r"ansible_host_key_checking|ansible_ssh_host_key_checking",
        "unknown host keys are refused; `hosts.trust` shows and records them",
    ),
    (
        r"ansible_become.*|ansible_sudo.*",
        "a user other than root uses sudo; ssh.sudo_password where it asks",
    ),
    (
        r"ansible_ssh_(common|extra)_args",
        "of ssh's options a jump host and files of host keys have a place here; host keys are"
        " always checked",
    ),
    (r"ansible_.*", "it is Ansible's own"),
    (r"access_ip6?", "how other hosts reach it; nodes[].ip is the kubelet's own address"),
    (r"ip6?", "an address of a family that Services have not, or of no worker"),
)
"""Why variables of Ansible's own have no counterpart."""


def machines(
    survey: Survey,
    workers: dict[str, Place],
    control: dict[str, Place],
    families: Collection[Family] = FAMILY_NAMES,
) -> list[Machine]:
    """
    Return workers and the other hosts of the control plane, and note how they are reached.

    :param families: that nodes have addresses of.
    """
    for host in survey.workers or [""]:
        for noted in _connection(survey, host):
            survey.note(host, noted)
    found = [
        _machine(survey, host, place, host in control, families) for host, place in workers.items()
    ]
    found += [
        Machine(host, place, host, control=True, worker=False)
        for host, place in control.items()
        if host not in workers
    ]
    return found


def _connection(survey: Survey, host: str) -> Iterator[Taken | Open]:
    for names, rule in _RULES.items():
        if found := survey.first(host, *names):
            yield _one(found, rule)
        elif names == _USER:
            yield Open("ssh.user", _WHOEVER)
    for secrets, secret in ((_PASSWORD, "ssh.password"), (_SUDO, "ssh.sudo_password")):
        if found := survey.first(host, *secrets):
            name, value = found
            yield Taken(secret, {"prompt": True}, value.place, f"{name}, whose value is not read")
    for name in _ARGUMENTS:
        given = survey.value(host, name)
        noted = list(_arguments(name, given)) if given and not given.empty else []
        if noted:
            survey.ledger.use(given)
            yield from noted
    for option, wanted, why in (
        ("ansible_become_method", {"sudo"}, "fabnode becomes root by sudo alone"),
        ("ansible_connection", _BY_SSH, "fabnode reaches hosts by SSH alone, this machine too"),
    ):
        chosen = survey.value(host, option)
        if chosen and _differs(chosen, wanted):
            survey.ledger.use(chosen)
            yield Open("ssh.user", f"{option}: {why}", chosen.place, option)


def _differs(value: Value, wanted: set[str]) -> bool:
    return not value.empty and text_of(value) not in wanted


def _one(found: tuple[str, Value], rule: Rule) -> Taken | Open:
    name, value = found
    if value.odd is not Kind.PLAIN:
        why = "is not evaluated" if value.odd is Kind.EXPRESSION else "is not read"
        return Open(rule.key, f"{name} {why}", value.place, name)
    try:
        return Taken(rule.key, rule.made(value), value.place, name)
    except ValueError as error:
        return Open(rule.key, f"{name}: {error}", value.place, name)


def _arguments(name: str, value: Value) -> Iterator[Taken | Open]:
    gateway, known, rest = _options(text_of(value))
    if gateway:
        yield Taken("ssh.gateway", gateway, value.place, name)
    if known:
        yield Taken("ssh.known_hosts", known, value.place, name)
    if rest or value.odd is not Kind.PLAIN:
        why = f"{name}: fabnode takes a jump host; all else belongs into ~/.ssh/config"
        yield Open("ssh.gateway", why, value.place, name)


def _options(text: str) -> tuple[str, list[str], list[str]]:
    """Return of options of ssh the jump host, files of host keys, and what is more than that."""
    try:
        words = shlex.split(text)
    except ValueError:
        return "", [], [text]
    gateway, known, rest = "", [], []
    while words:
        word = words.pop(0)
        if word in {"-o", "-J"} and words:
            word = f"{word}{words.pop(0)}"
        jump = re.fullmatch(r"-J(.+)|-oProxyJump[= ](.+)", word, re.IGNORECASE)
        keys = re.fullmatch(r"-oUserKnownHostsFile[= ](.+)", word, re.IGNORECASE)
        command = re.fullmatch(r"-oProxyCommand[= ](.+)", word, re.IGNORECASE)
        if jump and _JUMP.fullmatch(jump[1] or jump[2]):
            gateway = jump[1] or jump[2]
        elif command and (through := _through(command[1])):
            gateway = through
        elif keys and all(map(_FILE_OF_KEYS.fullmatch, keys[1].split())):
            known = [path for path in keys[1].split() if path != "/dev/null"]
        elif not _PASSED_OVER.fullmatch(word.removeprefix("-o")):
            rest.append(word)
    return gateway, known, rest


def _through(command: str) -> str:
    """Return the jump host of `ssh -W %h:%p -q user@host`; empty where it is more than that."""
    words = command.replace('"', "").split()
    if words[:1] != ["ssh"] or "%h:%p" not in words:
        return ""
    port, target = "", ""
    rest = words[1:]
    while rest:
        word = rest.pop(0)
        if word in {"-W", "-o", "-i", "-p", "-l"}:
            if not rest:
                return ""
            argument = rest.pop(0)
            if word in {"-i", "-l"}:
                return ""  # a key or user of its own, which ssh.gateway has no place for
            port = f":{argument}" if word == "-p" else port
        elif not word.startswith("-"):
            if target:
                return ""
            target = word
    found = target + port
    return found if _JUMP.fullmatch(found) else ""


def _machine(
    survey: Survey, host: str, place: Place, control: bool, families: Collection[Family]
) -> Machine:
    doubts = []
    address = host
    if found := survey.first(host, *_HOST):
        name, value = found
        text = text_of(value)
        if value.odd is Kind.PLAIN and (is_host(text) or is_scoped(text)):
            address = text
        else:
            doubts.append(f"{name} ({value.place}) is not evaluated, or no address.")
    own: dict[Family, str] = {}
    for family, wanted in _IPS.items():
        given = survey.value(host, wanted)
        if given is None or given.empty or family not in families:
            continue
        survey.ledger.use(survey.raw(host, wanted))
        text = text_of(given)
        if given.odd is not Kind.PLAIN or not is_address(text):
            doubts.append(f"{wanted} ({given.place}) is no address, or not evaluated.")
        elif (its := family_of(text)) in own:
            doubts.append(f"{wanted} ({given.place}) is a second {FAMILY_NAMES[its]} address.")
        else:
            own[its] = text
    if own and 4 in set(families) - own.keys() and is_ipv4(address):
        own = {4: address, **own}  # the order that kubespray hands to kubelets
    ip = ",".join(own.values()) or None
    taken, left = survey.own[host]
    return Machine(
        host,
        place,
        address,
        ip,
        control=control,
        doubts=tuple(doubts),
        taken=tuple(taken),
        open=tuple(left),
    )


def address_of(survey_of: Mapping[str, Value], host: str, first: Family = 4) -> str:
    """
    Return where a host that is no worker is reached: ip, access_ip, ansible_host or its name.

    :param first: the family that is looked for first.
    """
    names = ["access_ip", "ip", "access_ip6", "ip6"]
    for name in (*(names if first == 4 else [*names[2:], *names[:2]]), *_HOST):
        value = survey_of.get(name)
        if value and value.odd is Kind.PLAIN and is_host(text_of(value)):
            return text_of(value)
    return host
