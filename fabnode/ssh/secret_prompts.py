"""Passwords named by the configuration, fetched once per run and before any thread starts."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

from ..util.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..config.cluster import Node, SecretRef
    from ..config.sections import RegistrySettings

LOGIN = "password"
SUDO = "sudo_password"


class PasswordUnavailable(InputError):
    """A password that the configuration refers to can't be had; the text says which and why."""


def ask_secrets(nodes: Sequence[Node], *, may_ask: bool) -> Mapping[tuple[str, str], str]:
    """
    Return the passwords of `nodes`, by node name and setting (`LOGIN`, `SUDO`).

    Where `{prompt: true}` stands, one question is asked per setting and user.

    :param may_ask: False (no terminal, --json): having to ask is an error.
    :raises PasswordUnavailable: with a sentence for the user.
    """
    found: dict[tuple[str, str], str] = {}
    asked: dict[tuple[str, str | None], str] = {}
    for node in nodes:
        for setting in (LOGIN, SUDO):
            reference: SecretRef | None = getattr(node.ssh, setting)
            if reference is None:
                continue
            what = f"ssh.{setting} of {node.name}"
            if reference.prompt:
                key = (setting, node.ssh.user)
                if key not in asked:
                    asked[key] = _ask(setting, node, what, may_ask=may_ask)
                password = asked[key]
            else:
                password = _fetch(reference, what)
            if not password or "\n" in password:
                raise PasswordUnavailable(f"{what}: is empty or has more than one line")
            found[node.name, setting] = password
    return found


def ask_bootstrap_token(reference: SecretRef, *, may_ask: bool) -> str:
    """
    Return the token of the cluster's token file.

    :param may_ask: as in `ask_secrets`.
    :raises PasswordUnavailable: with a sentence for the user.
    """
    what = "bootstrap.token"
    if reference.prompt:
        token = _prompt("token of the cluster's token file: ", what, may_ask=may_ask)
    else:
        token = _fetch(reference, what)
    if not token.isascii() or not token.isprintable() or not token or set(token) & set(' ",'):
        raise PasswordUnavailable(f"{what}: is no token: letters, digits and such without blanks")
    return token


def ask_registries(
    registries: Mapping[str, RegistrySettings], *, may_ask: bool
) -> Mapping[str, str]:
    """
    Return the passwords of registries, by their names.

    :param may_ask: as in `ask_secrets`.
    :raises PasswordUnavailable: with a sentence for the user.
    """
    found: dict[str, str] = {}
    for name, settings in registries.items():
        if settings.password is None:
            continue
        what = f"images.registries.{name}.password"
        if settings.password.prompt:
            question = f"password of {settings.username} at {name}: "
            password = _prompt(question, what, may_ask=may_ask)
        else:
            password = _fetch(settings.password, what)
        if not password or not password.isprintable():
            raise PasswordUnavailable(f"{what}: is empty or not one line of text")
        found[name] = password
    return found


def _ask(setting: str, node: Node, what: str, *, may_ask: bool) -> str:
    kind = "SSH" if setting == LOGIN else "sudo"
    question = f"{kind} password of {node.ssh.user or 'the login user'}: "
    return _prompt(question, what, may_ask=may_ask)


def _prompt(question: str, what: str, *, may_ask: bool) -> str:
    if not may_ask:
        raise PasswordUnavailable(
            f"{what}: can't be asked for here (no terminal, or --json); "
            "use {env: NAME} or {file: PATH} instead of {prompt: true}"
        )
    try:
        return getpass.getpass(question)
    except EOFError:
        raise PasswordUnavailable(f"{what}: none was given") from None


def _fetch(reference: SecretRef, what: str) -> str:
    if reference.env is not None:
        password = os.environ.get(reference.env)
        if password is None:
            raise PasswordUnavailable(
                f"{what}: the environment variable {reference.env} is not set"
            )
        return password
    path = reference.file
    assert path is not None, "the model lets exactly one of env, file and prompt through"
    try:
        with path.open() as source:
            if os.fstat(source.fileno()).st_mode & 0o077:
                raise PasswordUnavailable(f"{what}: others can read {path}; run `chmod 600 {path}`")
            return source.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise PasswordUnavailable(f"{what}: {path}: {reason}") from None
