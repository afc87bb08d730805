"""An SSH server in this process that runs real commands, and misbehaves where told to."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from io import StringIO
from pathlib import Path
from typing import IO, TYPE_CHECKING

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from paramiko.common import (
    AUTH_FAILED,
    AUTH_PARTIALLY_SUCCESSFUL,
    AUTH_SUCCESSFUL,
    MSG_DISCONNECT,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_FAILED_CONNECT_FAILED,
    OPEN_SUCCEEDED,
)
from paramiko.server import InteractiveQuery

if TYPE_CHECKING:
    from collections.abc import Callable

SUDO = Path(__file__).parent / "fake-sudo"


@cache
def key(name: str) -> paramiko.PKey:
    """Return a key by name; `rsa…` are RSA, `ed25519…` Ed25519, others ECDSA."""
    if name.startswith("rsa"):
        return paramiko.RSAKey.generate(2048)
    if name.startswith("ed25519"):
        pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        return paramiko.Ed25519Key.from_private_key(StringIO(pem.decode()))
    return paramiko.ECDSAKey.generate()


class Certified(paramiko.Ed25519Key):
    """A host key that is shown with its certificate."""

    def get_name(self) -> str:
        return "ssh-ed25519-cert-v01@openssh.com"

    def asbytes(self) -> bytes:
        assert self.public_blob
        return self.public_blob.key_blob


@dataclass
class Behaviour:
    """
    What the server does.

    :param noise: printed by the "login shell" before any command.
    :param later_keys: host keys of every connection but the first, where they are others.
    :param env: environment of commands; sudo is found in a folder of its own.
    :param forward: may clients open connections through it?
    :param asks: after a key, or in place of a password, this is asked (keyboard-interactive).
    :param answer: the right answer to that.
    :param certified: files of host keys that have certificates beside them.
    :param greeting: sent in place of all that a server sends.
    :param algorithms: those that it has alone, by the names that paramiko has for their kinds.
    :param most_keys: refused keys after which it hangs up. :param sessions: are any opened?
    :param starts: are commands started? :param barred: why the account may not log in, with a key
        that is right. :param certificates: are users' certificates accepted, beside plain keys?
    """

    host_keys: tuple[str, ...] = ("host",)
    later_keys: tuple[str, ...] = ()
    users: tuple[str, ...] = ("root", "ops")
    password: str | None = None
    noise: bytes = b""
    env: dict[str, str] = field(default_factory=dict)
    forward: bool = True
    replace: str | None = None
    shell: str = "/bin/sh"
    asks: tuple[str, ...] = ()
    answer: str = ""
    key: str = "user"
    certified: tuple[str, ...] = ()
    greeting: bytes | None = None
    algorithms: dict[str, tuple[str, ...]] = field(default_factory=dict)
    most_keys: int = 100
    sessions: bool = True
    starts: bool = True
    barred: str = ""
    certificates: bool = True


class Server:
    """
    A listening server.

    :ivar commands: the lines that it was asked to run. :ivar offered: the keys that it was offered.
    :ivar forwarded: the places that it was asked to connect to.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.commands: list[str] = []
        self.passwords: list[str] = []
        self.offered: list[paramiko.PKey] = []
        self.forwarded: list[tuple[str, int]] = []
        self.transports: list[paramiko.Transport] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()
        for transport in self.transports:
            transport.close()

    def drop(self) -> None:
        """Cut every connection, as a host does whose power fails."""
        for transport in self.transports:
            transport.sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            if self.behaviour.greeting is not None:
                with client, suppress(OSError):
                    client.sendall(self.behaviour.greeting)
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = paramiko.Transport(client)
            later = self.behaviour.later_keys if self.transports else ()
            for name in later or self.behaviour.host_keys:
                transport.add_server_key(key(name))
            for kind, names in self.behaviour.algorithms.items():
                setattr(transport, f"_preferred_{kind}", names)
            for path in self.behaviour.certified:
                held = Certified.from_private_key_file(path)
                held.load_certificate(f"{path}-cert.pub")
                transport.add_server_key(held)
            self.transports.append(transport)
            with suppress(Exception):
                transport.start_server(server=_Session(self))


class _Session(paramiko.ServerInterface):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._targets: dict[int, tuple[str, int]] = {}
        self._key_accepted = False

    def get_allowed_auths(self, username: str) -> str:
        if not self._server.behaviour.asks:
            return "publickey,password"
        return "keyboard-interactive" if self._key_accepted else "publickey,keyboard-interactive"

    def check_auth_publickey(self, username: str, offered: paramiko.PKey) -> int:
        behaviour = self._server.behaviour
        self._server.offered.append(offered)
        good = username in behaviour.users and offered == key(behaviour.key)
        good &= behaviour.certificates or offered.public_blob is None
        if good and behaviour.barred:
            next(t for t in self._server.transports if t.server_object is self).close()
            return AUTH_FAILED
        if good and behaviour.asks:
            self._key_accepted = True
            return AUTH_PARTIALLY_SUCCESSFUL
        if not good and len(self._server.offered) >= behaviour.most_keys:
            self._hang_up("Too many authentication failures")
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def get_banner(self) -> tuple[str | None, str | None]:
        return (self._server.behaviour.barred or None, "en")

    def _hang_up(self, why: str) -> None:
        message = paramiko.Message()
        message.add_byte(bytes([MSG_DISCONNECT]))
        message.add_int(2)
        message.add_string(why)
        message.add_string("")
        transport = next(t for t in self._server.transports if t.server_object is self)
        transport._send_message(message)  # type: ignore[attr-defined]  # there is no public way
        transport.close()

    def check_auth_interactive(self, username: str, submethods: str) -> int | InteractiveQuery:
        return InteractiveQuery("", "", *self._server.behaviour.asks)

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        self._server.passwords.extend(responses)
        good = responses == [self._server.behaviour.answer]
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        if self._server.behaviour.asks:
            return AUTH_FAILED
        self._server.passwords.append(password)
        good = password == self._server.behaviour.password
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED if self._server.behaviour.sessions else OPEN_FAILED_CONNECT_FAILED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if not self._server.behaviour.starts:
            return False
        self._server.commands.append(command.decode())
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def check_channel_direct_tcpip_request(
        self, chanid: int, origin: tuple[str, int], destination: tuple[str, int]
    ) -> int:
        self._server.forwarded.append(destination)
        if not self._server.behaviour.forward:
            return OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        try:
            target = socket.create_connection(destination, timeout=5)
        except OSError:
            return OPEN_FAILED_CONNECT_FAILED
        threading.Thread(target=self._forward, args=(chanid, target), daemon=True).start()
        return OPEN_SUCCEEDED

    def _forward(self, chanid: int, target: socket.socket) -> None:
        transport = next(t for t in self._server.transports if t.server_object is self)
        channels = transport._channels  # type: ignore[attr-defined]  # by number there is no public way
        while (channel := channels.get(chanid)) is None:
            time.sleep(0.001)  # it is there once we have said yes
        ends = {channel: target, target: channel}
        while True:
            ready, _, _ = select.select(list(ends), [], [], 5)
            for end in ready:
                try:
                    data = end.recv(65536)
                except OSError:  # it was cut off there
                    data = b""
                if not data:
                    with suppress(EOFError):  # the whole connection has ended already
                        channel.close()
                    target.close()
                    return
                try:
                    ends[end].sendall(data)
                except (OSError, EOFError):  # the client has hung up
                    target.close()
                    return

    def _run(self, channel: paramiko.Channel, command: str) -> None:
        behaviour = self._server.behaviour
        process = subprocess.Popen(
            [behaviour.shell, "-c", behaviour.replace or command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": f"{SUDO}:{os.environ['PATH']}", **behaviour.env},
            start_new_session=True,
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr
        channel.sendall(behaviour.noise)
        pumps = [
            threading.Thread(target=_pump, args=(process.stdout.fileno(), channel.sendall)),
            threading.Thread(target=_pump, args=(process.stderr.fileno(), channel.sendall_stderr)),
        ]
        feed = threading.Thread(target=_feed, args=(channel, process.stdin), daemon=True)
        for thread in (*pumps, feed):
            thread.start()
        code = process.wait()
        for thread in pumps:
            thread.join()
        with suppress(OSError, EOFError):
            channel.shutdown_write()
            if code >= 0:  # OpenSSH names a signal instead, in a message that paramiko passes over
                channel.send_exit_status(code)
            channel.close()


def _pump(source: int, sink: Callable[[bytes], object]) -> None:
    with suppress(OSError, EOFError):
        while data := os.read(source, 65536):
            sink(data)


def _feed(channel: paramiko.Channel, stdin: IO[bytes]) -> None:
    with suppress(OSError, EOFError):
        while data := channel.recv(65536):
            stdin.write(data)
            stdin.flush()
    with suppress(OSError):
        stdin.close()
