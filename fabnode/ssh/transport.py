"""Transports: which algorithms are offered, and the reason that a server gives when it closes."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from ..util.errors import FabnodeError
from ..util.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .host_trust import HostTrust

# What we let a server send before we take it: bounds memory; our own sending is bounded by what
# the server grants (OpenSSH: 2 MiB). Packets of 32 KiB are what OpenSSH takes at most.
_WINDOW = 2**21
_PACKET = 2**15
_POLL = 1.0  # seconds between checks whether a silent connection was closed here
_GIVE_UP = 30  # seconds without an acknowledgement by the peer's kernel

# Lines that sshd sends in place of its greeting, with the limit that it means and what to do.
_LIMITS = {
    "Exceeded MaxStartups": (
        "its sshd takes no more logins at once (MaxStartups, PerSourceMaxStartups)",
        "run it again when fewer log in there, or raise the limit in its sshd_config",
    ),
    "Not allowed at this time": (
        "its sshd refuses this machine for a while, after failed logins (PerSourcePenalties)",
        "wait some minutes, or name this machine in PerSourcePenaltyExemptList of its sshd_config",
    ),
}
_CLOSED = (
    "the server hung up before its greeting",
    "its sshd's journal says why: MaxStartups, PerSourcePenalties, hosts.deny, fail2ban or a"
    " firewall may refuse this machine",
)


class ServerRefusedError(FabnodeError, paramiko.SSHException):
    """
    A server, or what is none, ends the connection before anybody logs in.

    :ivar heard: it said something.
    """

    heard = False


class NothingInCommonError(FabnodeError, IncompatiblePeer):
    """Client and server have no algorithm of some kind in common."""

    advice = "allow one of OpenSSH's defaults in its sshd_config"


class Transport(paramiko.Transport):
    """
    A transport that can ask for a certificate of the host before its plain key.

    :ivar farewell: the reason that the server gave when it ended the connection.
    """

    prefers_certificates = False
    farewell = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._opening = threading.local()
        self._refused: dict[int, tuple[int, str]] = {}  # by the channel's number

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """The algorithms that are asked for, best first."""
        names = tuple(super().preferred_keys)
        if not self.prefers_certificates:
            return names
        return tuple(sorted(names, key=lambda name: "-cert-" not in name))

    def open_channel(self, *args: Any, **options: Any) -> paramiko.Channel:
        """
        Open a channel, for each thread with the failure of its own.

        paramiko drops the server's words, which of a gateway's channel tell what it met on the way
        to a host, and keeps the last failure of all threads in one place.

        :raises paramiko.ChannelException: with the server's words.
        """
        self._opening.number = None
        try:
            return super().open_channel(*args, **options)
        except paramiko.SSHException as error:
            if refused := self._refused.pop(self._opening.number, None):
                raise paramiko.ChannelException(*refused) from error
            raise

    def _next_channel(self) -> int:
        number: int = super()._next_channel()  # type: ignore[misc]
        self._opening.number = number  # in the thread that opens it
        return number

    def _parse_channel_open_failure(self, m: paramiko.Message) -> None:
        number, code, text = m.get_int(), m.get_int(), clean(m.get_text())[:200]
        m.rewind()
        self._refused[number] = (code, text or paramiko.common.CONNECTION_FAILED_CODE.get(code, ""))
        super()._parse_channel_open_failure(m)  # type: ignore[misc]

    def _log(self, level: int, msg: str, *args: object) -> None:
        # What a server says before its greeting stands nowhere else.
        if isinstance(msg, str) and msg.startswith("Banner: "):
            self.farewell = self.farewell or clean(msg.removeprefix("Banner: "))[:200]
        super()._log(level, msg, *args)  # type: ignore[misc]  # the stubs lack it

    def _check_banner(self) -> None:
        try:
            super()._check_banner()  # type: ignore[misc]
        except paramiko.SSHException as error:
            # paramiko puts a time-out into words without any of its own; it is its context.
            if isinstance(error.__context__, TimeoutError) and not self.farewell:
                raise
            refused = ServerRefusedError(*_refusal(self.farewell))
            refused.heard = bool(self.farewell)
            raise refused from error
        self.farewell = ""  # it was chatter before the greeting

    def _parse_kex_init(self, m: paramiko.Message) -> None:
        try:
            super()._parse_kex_init(m)  # type: ignore[misc]
        except IncompatiblePeer as error:
            m.rewind()
            offered = self._really_parse_kex_init(m)  # type: ignore[attr-defined]
            raise NothingInCommonError(
                _lacking(
                    ("key exchange", offered["kex_algo_list"], self.preferred_kex),
                    ("host key", offered["server_key_algo_list"], self.preferred_keys),
                    ("cipher", offered["server_encrypt_algo_list"], self.preferred_ciphers),
                    ("MAC", offered["server_mac_algo_list"], self.preferred_macs),
                )
                or str(error)
            ) from error

    def _parse_disconnect(self, m: paramiko.Message) -> None:
        m.get_int()
        self.farewell = clean(m.get_text())[:200]


def transport_factory(trust: HostTrust) -> Callable[..., Transport]:
    """Return what makes transports that ask a server for the key that it is known by."""
    known_types = [key.get_name() for key in trust.keys]

    def transport(sock: Any, **options: Any) -> Transport:
        made = Transport(
            sock, default_window_size=_WINDOW, default_max_packet_size=_PACKET, **options
        )
        offered = made.get_security_options()
        # AES-GCM needs no second pass for a MAC: measured half as fast again. paramiko knows it
        # but puts it last; the others stay as they are for servers without it.
        offered.ciphers = sorted(offered.ciphers, key=lambda cipher: "-gcm" not in cipher)
        # Ask for a key of a type we know. paramiko by itself looks at the first known type only,
        # and takes a server that has another of the known ones for a changed one.
        offered.key_types = sorted(
            offered.key_types, key=lambda kind: _key_name(kind) not in known_types
        )
        made.prefers_certificates = bool(trust.authorities)
        made.set_keepalive(10)
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GIVE_UP * 1000)
            # paramiko's own has each connection's thread wake ten times a second, which of many
            # idle ones is a good part of what a run takes of the processor.
            sock.settimeout(_POLL)
            # Without it each command waits for delayed acknowledgements.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    return transport


def _key_name(signature: str) -> str:
    """Return the key type that a signature algorithm belongs to."""
    return "ssh-rsa" if signature.startswith("rsa-sha2-") else signature


def _refusal(line: str) -> tuple[str, str]:
    """Return cause and advice, from the line that came in place of a greeting."""
    for text, reason in _LIMITS.items():
        if text in line:
            return reason
    if line:
        return f"what answers is not an SSH server: {line}", "check address and port"
    return _CLOSED


def _lacking(*kinds: tuple[str, Sequence[str], Sequence[str]]) -> str:
    """Return of which kind there is nothing in common; empty where there is of each."""
    for kind, offered, ours in kinds:
        if not set(offered) & set(ours):
            real = [name for name in offered if not name.startswith(("kex-strict", "ext-info"))]
            return f"no {kind} in common; the server offers {clean(', '.join(real))[:200]}"
    return ""
