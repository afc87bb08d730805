"""Failures to connect: which of them show that a host is on, and which say nothing of it."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from paramiko.ssh_exception import NoValidConnectionsError

from fabnode.ssh import connections
from fabnode.ssh.error_mapping import host_error
from fabnode.ssh.errors import (
    AnsweredError,
    AuthenticationError,
    ChangedHostKeyError,
    UnknownHostKeyError,
    UnreachableError,
)
from fabnode.ssh.transport import Transport
from fabnode.util.errors import HostError

from .test_connections import open_host, trust_also, write_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fabnode.config.configuration import Node

    from .conftest import NodeOf, Serve


def failure(node: Node) -> HostError:
    with pytest.raises(HostError) as caught:
        open_host(node)
    return caught.value


def _hangs_up(client: socket.socket) -> None:
    client.close()


def _resets(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def _speaks_http(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    client.close()


def _greets_and_hangs_up(client: socket.socket) -> None:
    client.sendall(b"SSH-2.0-it\r\n")
    client.close()


def _greets_and_babbles(client: socket.socket) -> None:
    client.sendall(b"SSH-2.0-it\r\n" + b"\x00" * 400)
    client.close()


def _never_greets(client: socket.socket) -> None:
    client.recv(1000)  # and holds its tongue until the caller gives up
    client.recv(1000)
    client.close()


@contextmanager
def listening(port: int, does: Callable[[socket.socket], None]) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)) as server:

        def serve() -> None:
            try:
                client, _ = server.accept()
                does(client)
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        yield


ANSWERS = (
    _hangs_up,
    _resets,
    _speaks_http,
    _greets_and_hangs_up,
    _greets_and_babbles,
    _never_greets,
)


@pytest.mark.parametrize("does", ANSWERS)
def test_whatever_takes_the_connection_is_on(
    serve: Serve, node_of: NodeOf, does: Callable[[socket.socket], None]
) -> None:
    server = serve()
    node = node_of(server, connect_timeout=1)
    server.close()
    with listening(server.port, does):
        error = failure(node)
    assert isinstance(error, AnsweredError), error
    assert not error.not_asked


def test_a_kernel_that_refuses_is_on(serve: Serve, node_of: NodeOf) -> None:
    server = serve()
    server.close()
    assert isinstance(failure(node_of(server)), AnsweredError)


def test_a_server_without_a_common_algorithm_is_on(serve: Serve, node_of: NodeOf) -> None:
    server = serve(algorithms={"kex": ("diffie-hellman-group14-sha1",)})
    assert isinstance(failure(node_of(server)), AnsweredError)


def test_a_server_that_lets_nobody_in_is_not_unreachable(serve: Serve, node_of: NodeOf) -> None:
    assert isinstance(failure(node_of(serve(), known=())), UnknownHostKeyError)
    assert isinstance(failure(node_of(serve(), known=("other",))), ChangedHostKeyError)
    assert isinstance(failure(node_of(serve(users=("somebody",)))), AuthenticationError)


def test_a_name_that_does_not_resolve_says_nothing_of_the_host(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    write_config(tmp_path, "Host *\n  HostName nowhere.invalid\n")
    error = failure(node_of(serve()))
    assert type(error) is UnreachableError
    assert error.not_asked


# --- by what the network says ---------------------------------------------------------------------

REFUSED = OSError(errno.ECONNREFUSED, "Connection refused")
RESET = OSError(errno.ECONNRESET, "Connection reset by peer")
NO_ROUTE = OSError(errno.EHOSTUNREACH, "No route to host")
NO_NETWORK = OSError(errno.ENETUNREACH, "Network is unreachable")
DOWN = OSError(errno.EHOSTDOWN, "Host is down")
LATE = TimeoutError("timed out")
SIX, FOUR = ("2001:db8::1", 22, 0, 0), ("192.0.2.1", 22)


@pytest.mark.parametrize(
    ("met", "answers", "text"),
    [
        ({SIX: REFUSED}, True, "connection refused"),
        ({FOUR: RESET}, True, "connection reset by peer"),
        ({FOUR: NO_ROUTE}, False, "no route to host"),
        ({SIX: NO_NETWORK}, False, "network is unreachable"),
        ({FOUR: DOWN}, False, "host is down"),
        ({FOUR: LATE}, False, "no answer in time"),
        # One of its addresses is enough, in whichever order they are tried.
        ({SIX: REFUSED, FOUR: LATE}, True, "connection refused, no answer in time"),
        ({SIX: LATE, FOUR: REFUSED}, True, "connection refused, no answer in time"),
        ({SIX: NO_NETWORK, FOUR: REFUSED}, True, "connection refused, network is unreachable"),
        ({SIX: NO_NETWORK, FOUR: LATE}, False, "network is unreachable, no answer in time"),
    ],
)
def test_each_address_is_tried_and_one_that_answers_is_enough(
    serve: Serve,
    node_of: NodeOf,
    monkeypatch: pytest.MonkeyPatch,
    met: dict[Any, OSError],
    answers: bool,
    text: str,
) -> None:
    node = node_of(serve())

    class Socket:
        def __init__(self, *_: object) -> None:
            pass

        def connect(self, target: object) -> None:
            raise met[target]

        def settimeout(self, _: float) -> None:
            pass

        def close(self) -> None:
            pass

    found = [(0, 0, 0, "", target) for target in met]
    fake = SimpleNamespace(
        **{name: getattr(socket, name) for name in ("AF_INET", "AF_INET6", "SOCK_STREAM")},
        getaddrinfo=lambda *_: found,
        socket=Socket,
    )
    monkeypatch.setattr(connections, "socket", fake)
    error = failure(node)
    assert type(error) is (AnsweredError if answers else UnreachableError)
    assert error.message.endswith(f": {text}")
    assert not error.not_asked


def test_errors_of_several_addresses_are_all_looked_at() -> None:
    error = host_error("n1", "n1", NoValidConnectionsError({SIX: NO_ROUTE, FOUR: REFUSED}))
    assert isinstance(error, AnsweredError)


# --- on the way to the host -----------------------------------------------------------------------


def test_a_gateway_that_answers_says_nothing_of_the_host(serve: Serve, node_of: NodeOf) -> None:
    gateway = serve()
    gateway.close()
    error = failure(node_of(serve(), gateway=f"root@127.0.0.1:{gateway.port}"))
    assert isinstance(error, AnsweredError)
    assert error.not_asked


def test_a_gateway_that_lets_nobody_in_says_nothing_of_the_host(
    serve: Serve, node_of: NodeOf
) -> None:
    gateway = serve(users=("somebody",))
    node = node_of(serve(), gateway=f"root@127.0.0.1:{gateway.port}")
    trust_also(node, gateway)
    error = failure(node)
    assert isinstance(error, AuthenticationError)
    assert error.not_asked


@pytest.mark.parametrize(
    ("code", "words", "kind", "not_asked"),
    [
        (1, "open failed", UnreachableError, True),
        (2, "Connection refused", AnsweredError, False),
        (2, "Connection reset by peer", AnsweredError, False),
        (2, "No route to host", UnreachableError, False),
        (2, "Connection timed out", UnreachableError, False),
        (2, "Network is unreachable", UnreachableError, False),
        (2, "unknown host (Name or service not known)", UnreachableError, True),
        (2, "", UnreachableError, True),
    ],
)
def test_what_a_gateway_met_is_in_its_words(
    code: int, words: str, kind: type[HostError], not_asked: bool
) -> None:
    """By the transport's own way of reading them, which paramiko's drops."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport: Any = Transport(ours)
        transport.active = True

        def refuse(asked: paramiko.Message) -> None:
            asked.rewind()
            asked.get_byte()
            asked.get_text()
            answer = paramiko.Message()
            for number in (asked.get_int(), code):
                answer.add_int(number)
            for text in (words, "en"):
                answer.add_string(text)
            answer.rewind()
            transport.saved_exception = OSError("another thread's")
            transport._parse_channel_open_failure(answer)
            transport.saved_exception = None  # another has taken it

        transport._send_user_message = refuse
        with pytest.raises(paramiko.ChannelException) as caught:
            transport.open_channel("direct-tcpip", ("192.0.2.1", 22), ("127.0.0.1", 0))
        transport.active = False
    error = host_error("n1", "n1", caught.value)
    assert type(error) is kind
    assert error.not_asked is not_asked


def test_a_host_that_a_gateway_does_not_get_to_in_time_is_silent() -> None:
    error = host_error("n1", "n1", paramiko.ChannelException(2, "Timeout opening channel."))
    assert type(error) is UnreachableError
    assert not error.not_asked


@pytest.mark.parametrize(
    "met",
    [
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        RESET,
        OSError(errno.EAGAIN, "Resource temporarily unavailable"),
        LATE,
    ],
)
def test_a_pipe_to_a_proxy_command_that_breaks_says_nothing_of_the_host(met: OSError) -> None:
    """Else a removal without its host would take it for that host's life, or for its silence."""
    error = host_error("n1", "n1", met, proxied=True)
    assert type(error) is UnreachableError
    assert error.not_asked
    assert "its ProxyCommand failed" in error.message


@pytest.mark.parametrize(
    ("command", "limit", "kind", "not_asked"),
    [
        ("exit 1", 1, UnreachableError, True),
        ("sleep 9", 1, UnreachableError, True),
        ("sh -c 'echo HTTP/1.1 400; exec cat >/dev/null'", 5, AnsweredError, False),
    ],
)
def test_a_proxy_command_says_nothing_of_the_host_until_it_passes_something_on(
    serve: Serve,
    node_of: NodeOf,
    tmp_path: Path,
    command: str,
    limit: int,
    kind: type[HostError],
    not_asked: bool,
) -> None:
    write_config(tmp_path, f"Host *\n  ProxyCommand {command}\n")
    error = failure(node_of(serve(), connect_timeout=limit))
    assert type(error) is kind, error
    assert error.not_asked is not_asked
