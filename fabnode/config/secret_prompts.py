"""Secrets that the configuration refers to, read or prompted for once, before threads start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..util.errors import InputError
from .file_checks import closed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .configuration import Node, SecretRef
    from .sections import RegistrySettings

LOGIN = "password"
SUDO = "sudo_password"


class PasswordUnavailableError(InputError):
    """A configured password can't be read; the text names it and the reason."""


@dataclass(frozen=True, slots=True)
class SecretRequest:
    """
    A secret that the configuration marks with `{prompt: true}`.

    :param setting: `ssh.password`, `ssh.sudo_password`, `bootstrap.token` or
        `images.registries.NAME.password`.
    :param user: the account it belongs to; empty where it has none.
    :param question: a prompt for a person, such as `sudo password of ops: `.
    """

    setting: str
    user: str
    question: str


def ask_secrets(
    nodes: Sequence[Node], ask: Callable[[SecretRequest], str] | None
) -> Mapping[tuple[str, str], str]:
    """
    Return the passwords of `nodes`, by node name and setting (`LOGIN`, `SUDO`).

    Where `{prompt: true}` stands, one question is asked per setting and user.

    :param ask: answers a request; EOFError: there is no answer. None: having to ask is an error.
    :raises PasswordUnavailableError: with a sentence for the user.
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
                    asked[key] = _ask_account(setting, node, what, ask)
                password = asked[key]
            else:
                password = _fetch(reference, what)
            if not password or "\n" in password:
                raise PasswordUnavailableError(f"{what}: is empty or has more than one line")
            found[node.name, setting] = password
    return found


def ask_bootstrap_token(reference: SecretRef, ask: Callable[[SecretRequest], str] | None) -> str:
    """
    Return the token of the cluster's token file.

    :param ask: as in `ask_secrets`.
    :raises PasswordUnavailableError: with a sentence for the user.
    """
    what = "bootstrap.token"
    if reference.prompt:
        request = SecretRequest(what, "", "token of the cluster's token file: ")
        token = _answer(request, what, ask)
    else:
        token = _fetch(reference, what)
    if not token.isascii() or not token.isprintable() or not token or set(token) & set(' ",'):
        raise PasswordUnavailableError(
            f"{what}: is not a token: printable ASCII without blanks, quotes and commas"
        )
    return token


def ask_registries(
    registries: Mapping[str, RegistrySettings], ask: Callable[[SecretRequest], str] | None
) -> Mapping[str, str]:
    """
    Return the passwords of registries, by their names.

    :param ask: as in `ask_secrets`.
    :raises PasswordUnavailableError: with a sentence for the user.
    """
    found: dict[str, str] = {}
    for name, settings in registries.items():
        if settings.password is None:
            continue
        what = f"images.registries.{name}.password"
        if settings.password.prompt:
            question = f"password of {settings.username} at {name}: "
            request = SecretRequest(what, settings.username or "", question)
            password = _answer(request, what, ask)
        else:
            password = _fetch(settings.password, what)
        if not password or not password.isprintable():
            raise PasswordUnavailableError(f"{what}: is empty or not one line of text")
        found[name] = password
    return found


def _ask_account(
    setting: str, node: Node, what: str, ask: Callable[[SecretRequest], str] | None
) -> str:
    kind = "SSH" if setting == LOGIN else "sudo"
    user = node.ssh.user
    question = f"{kind} password of {user or 'the login user'}: "
    return _answer(SecretRequest(f"ssh.{setting}", user or "", question), what, ask)


def _answer(request: SecretRequest, what: str, ask: Callable[[SecretRequest], str] | None) -> str:
    if ask is None:
        raise PasswordUnavailableError(
            f"{what}: can't be asked for here (no terminal, --json, or no `ask_secret`); "
            "use {env: NAME} or {file: PATH} instead of {prompt: true}"
        )
    try:
        return ask(request)
    except EOFError:
        raise PasswordUnavailableError(f"{what}: no answer") from None


def _fetch(reference: SecretRef, what: str) -> str:
    if reference.env is not None:
        password = os.environ.get(reference.env)
        if password is None:
            raise PasswordUnavailableError(
                f"{what}: the environment variable {reference.env} is not set"
            )
        return password
    path = reference.file
    assert path is not None, "the model ensures exactly one of env, file and prompt"
    try:
        with path.open() as source:
            if os.fstat(source.fileno()).st_mode & 0o077:
                raise PasswordUnavailableError(f"{what}: others can read {path}; {closed(path)}")
            return source.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not text"
        raise PasswordUnavailableError(f"{what}: {path}: {reason}") from None
