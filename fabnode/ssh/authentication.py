"""Logins over SSH: keys of files and agents in OpenSSH's order, passwords, a second factor."""

from __future__ import annotations

import base64
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificate,
    load_pem_private_key,
    load_ssh_public_identity,
)
from paramiko.agent import AgentKey, AgentSSH

from ..util import pem
from ..util.errors import FabnodeError
from ..util.sanitize import clean
from .questions import asks_password

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .client_config import HostOptions
    from .transport import Transport

_PRIVATE = b"PRIVATE KEY-----"
_KINDS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
_JOURNAL = (
    "its sshd's journal says why: an account that has expired or may not log in (chage -l,"
    " /etc/nologin, access.conf), or a limit of logins"
)
_STRICT = (
    "where both are right, its sshd's journal says why (AllowUsers, a login shell that is missing,"
    " folders that others may write in)"
)


class LoginRefusedError(FabnodeError, paramiko.AuthenticationException):
    """The server does not let us in: the message says why, the advice what to do."""


class SecondFactorError(LoginRefusedError):
    """The server asks for something besides a key and a password."""


class _Agent(AgentSSH):
    """The agent at a socket of its own (IdentityAgent); without keys where nobody answers."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined]  # the stubs lack it
        except (OSError, paramiko.SSHException):
            connection.close()


@dataclass
class Login:
    """
    One login on one connection: an AuthStrategy to paramiko, which asks it for nothing else.

    :param keys: private keys that fabnode's configuration names, tried first.
    :param notes: what may help, if nobody lets us in.
    """

    user: str
    options: HostOptions
    keys: Sequence[Path] = ()
    password: str | None = field(default=None, repr=False)
    notes: list[str] = field(default_factory=list)

    def authenticate(self, transport: Transport) -> list[str]:
        """
        Log in.

        :raises LoginRefusedError: none of the keys, nor the password, is accepted.
        :raises paramiko.SSHException: the connection broke.
        """
        further: list[str] | None = None
        allowed: Sequence[str] = ()
        tried = 0
        for tried, key in enumerate(self._identities(), 1):
            try:
                further = transport.auth_publickey(self.user, key)
            except paramiko.BadAuthenticationType as error:
                allowed = error.allowed_types
                break
            except paramiko.AuthenticationException as error:
                if not transport.is_active():
                    raise self._cut_off(transport, tried) from error
                continue
            if not further:
                return []
            if "publickey" not in further:
                break
        if further:
            return self._go_on(transport, further)
        if self.password is not None:
            return self._by_password(transport, allowed)
        if not tried:
            raise self._refused("gets no key: there is none")
        raise self._refused("rejects the user with these keys", _STRICT)

    def _go_on(self, transport: Transport, further: Sequence[str]) -> list[str]:
        """Give what is asked for beyond a key that was accepted."""
        if "password" in further and self.password is not None:
            if not (more := transport.auth_password(self.user, self.password, fallback=False)):
                return []
            further = more
        if "keyboard-interactive" in further:
            return self._interactively(transport)
        wanted = " or ".join(further)
        raise SecondFactorError(
            f"accepts the key, and asks for a second factor ({clean(wanted)})",
            "set ssh.password where that is a password"
            if "password" in further
            else "let fabnode in with a key alone (AuthenticationMethods, with a Match in"
            " sshd_config), or by a jump host",
        )

    def _by_password(self, transport: Transport, allowed: Sequence[str]) -> list[str]:
        assert self.password is not None
        further: Sequence[str] = ()
        if not allowed or "password" in allowed:
            try:
                further = transport.auth_password(self.user, self.password, fallback=False)
                if not further:
                    return []
            except paramiko.BadAuthenticationType as error:
                further = error.allowed_types
            except paramiko.AuthenticationException as error:
                if not transport.is_active():
                    raise self._cut_off(transport, 0) from error
                raise self._refused("rejects the user with these keys and password") from error
        if "keyboard-interactive" in (further or allowed):
            return self._interactively(transport)
        raise self._refused("takes no password, and none of these keys")

    def _interactively(self, transport: Transport) -> list[str]:
        answered = False

        def answer(_title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
            nonlocal answered
            if not prompts:
                return []
            text = clean(f"{instructions} {prompts[0][0]}").strip()[:120]
            is_password = asks_password(text)
            if len(prompts) > 1 or not is_password or answered or self.password is None:
                raise self._asked(text, is_password=is_password, answered=answered)
            answered = True
            return [self.password]

        further = transport.auth_interactive(self.user, answer)
        if further:
            raise self._asked(" or ".join(further), is_password=False, answered=answered)
        return []

    def _asked(self, text: str, *, is_password: bool, answered: bool) -> LoginRefusedError:
        if is_password and answered:
            return self._refused("does not accept the password")
        message = f"asks for a second factor (keyboard-interactive): {text or 'without a message'}"
        advice = "let fabnode in with a key alone (AuthenticationMethods in sshd_config)"
        return SecondFactorError(
            message, "set ssh.password" if is_password and self.password is None else advice
        )

    def _cut_off(self, transport: Transport, tried: int) -> LoginRefusedError:
        if "Too many authentication failures" in transport.farewell:
            return LoginRefusedError(
                f"ended the login after the first {tried} keys of files and agent (MaxAuthTries)",
                "name the right key in ssh.keys, or with IdentityFile and IdentitiesOnly",
            )
        # PAM's reason to refuse an account comes as the banner, which `get_banner` forgets by now.
        banner: bytes | None = getattr(transport.auth_handler, "banner", None)
        printed = clean((banner or b"").decode(errors="replace")).strip()
        why = transport.farewell or printed[-200:] or "without a word"
        return LoginRefusedError(f"hung up during the login: {why}", _JOURNAL)

    def _refused(self, message: str, *advice: str) -> LoginRefusedError:
        if self.options.token_provider:
            self.notes.append(
                f"PKCS11Provider is set: `ssh-add -s {self.options.token_provider}` first"
            )
        check = "check ssh.user and ssh.keys (or `ssh-add -l`) in the configuration"
        return LoginRefusedError(message, "; ".join([*dict.fromkeys(self.notes), check, *advice]))

    def _identities(self) -> Iterator[paramiko.PKey]:
        """Yield keys: configured ones, those of the agent, then those of ssh's configuration."""
        agent = self._agent_keys()
        in_agent = {key.asbytes() for key in agent}
        files = (*self.keys, *self.options.identities)
        certificates = [*self.options.certificates, *map(_certificate_beside, files)]
        yield from self._of_files(self.keys, in_agent, certificates)
        if not self.options.public_keys:
            return
        if self.options.identities_only:
            named = {blob for path in (*files, *certificates) if (blob := _public_blob(path))}
            agent = [key for key in agent if key.asbytes() in named]
        for held in agent:
            yield from _certified(held, certificates)
        yield from self._of_files(self.options.identities, in_agent, certificates)

    def _agent_keys(self) -> list[AgentKey]:
        if self.options.agent == "":
            return []
        try:
            agent = _Agent(self.options.agent) if self.options.agent else paramiko.Agent()
            return list(agent.get_keys())
        except (paramiko.SSHException, OSError):
            return []

    def _of_files(
        self, paths: Sequence[Path], in_agent: set[bytes], certificates: Sequence[Path]
    ) -> Iterator[paramiko.PKey]:
        for path in paths:
            if path.is_file() and (key := self._read(path, in_agent)):
                yield from _certified(key, certificates)

    def _read(self, path: Path, in_agent: set[bytes]) -> paramiko.PKey | None:
        """Return a file's key; None, and a note, where it can't be used."""
        blob = _public_blob(path) or b""
        if blob in in_agent:
            return None
        try:
            if _PRIVATE not in path.read_bytes():
                return None  # a public key, which names one of the agent's
            return _loaded(path, self.password)
        except (TypeError, paramiko.PasswordRequiredException):
            self.notes.append(f"the key {path} is encrypted: run `ssh-add {path}` first")
        except OSError as error:
            self.notes.append(f"the key {path} can't be read: {error.strerror}")
        except (paramiko.SSHException, ValueError, UnsupportedAlgorithm) as error:
            fido = b"sk-" in blob[:8]
            why = (
                f"is a FIDO key: run `ssh-add {path}` first" if fido else f"can't be read: {error}"
            )
            self.notes.append(f"the key {path} {clean(why)[:200]}")
        return None


def _certified(key: paramiko.PKey, files: Sequence[Path]) -> Iterator[paramiko.PKey]:
    """Yield a key with each of its certificates, and last alone: a certificate may have expired."""
    for file in dict.fromkeys(files):
        if _holder(file) == key.asbytes():
            key.load_certificate(str(file))
            yield key
    key.public_blob = None
    yield key


def _holder(file: Path) -> bytes | None:
    """Return the key that a certificate is for; None: the file holds no certificate."""
    try:
        certificate = load_ssh_public_identity(file.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(certificate, SSHCertificate):
        return None
    public = certificate.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(public.split()[1])


def _certificate_beside(path: Path) -> Path:
    """Return where ssh-keygen puts the certificate of a key; `path` may be its public half."""
    return path.with_name(f"{path.name.removesuffix('.pub')}-cert.pub")


def _loaded(path: Path, password: str | None) -> paramiko.PKey:
    """
    Return a private key.

    :raises TypeError: it is encrypted, and there is no password.
    :raises PasswordRequiredException: this password does not open it.
    :raises ValueError: it is no key in a form that is known.
    """
    try:
        return _unencrypted(path)
    except TypeError:
        if password is None:
            raise
    for kind in _KINDS:
        with suppress(paramiko.SSHException):
            return kind.from_private_key_file(str(path), password)
    with suppress(ValueError, TypeError):
        return _converted(path, password)
    raise paramiko.PasswordRequiredException("another password")


def _unencrypted(path: Path) -> paramiko.PKey:
    """Return a private key. :raises TypeError: it is encrypted."""
    try:
        return paramiko.PKey.from_path(path)
    except (paramiko.SSHException, ValueError):
        return _converted(path, None)


def _converted(path: Path, password: str | None) -> paramiko.PKey:
    """
    Return a key in a form that OpenSSH reads and paramiko does not: PKCS#8, or EC PARAMETERS first.

    :raises TypeError: it is encrypted. :raises ValueError: it is no such key.
    """
    content = path.read_bytes()
    block = next((b for b in pem.blocks(content) if b.label.endswith("PRIVATE KEY")), None)
    if block is None or block.headers:
        raise ValueError("it holds no private key in a form that is known")
    secret = password.encode() if password and block.label.startswith("ENCRYPTED") else None
    held = load_pem_private_key(block.pem, secret)
    text = held.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    for kind in _KINDS:
        with suppress(paramiko.SSHException):
            return kind.from_private_key(StringIO(text))
    raise ValueError("SSH has no keys of its kind")


def _public_blob(path: Path) -> bytes | None:
    """Return the public half of a key's file, of the file itself or the one beside it."""
    for file in (path, path.with_name(f"{path.name}.pub")):
        with suppress(OSError, ValueError, IndexError):
            text = file.read_text()
            if "PRIVATE KEY-----" not in text:
                return paramiko.pkey.PublicBlob.from_string(text).key_blob
    return None
