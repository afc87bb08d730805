"""Connections that start at the node: a look at its own ports, and at the apiserver from there."""

from __future__ import annotations

import re
import shlex
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import paramiko

from .session import ending
from .text import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from .session import Result

R = TypeVar("R")

_PROHIBITED = 1  # RFC 4254 5.1, SSH_OPEN_ADMINISTRATIVELY_PROHIBITED; 2 is "connect failed"
_LIMIT = 2**20
_STATUS = re.compile(rb"HTTP/\S+\s+([0-9]{3})(?:\s|$)")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer to a GET. `status` is 0 where nobody answered; `body` then says why."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class TlsResult:
    """
    What a TLS handshake from the node came to.

    :param reachable: did something accept the connection? None: sshd forbids us to look.
    :param trusted: is its certificate signed by the CA, in date, and for the name? None: no look.
    :param reason: one clause where either is not True; empty otherwise.
    """

    reachable: bool | None
    trusted: bool | None
    reason: str = ""


class _Root(Protocol):
    def root(self, script: str, *, timeout: float | None = None) -> Result: ...


def http_over(
    host: _Root, transport: paramiko.Transport, port: int, path: str, timeout: float
) -> HttpAnswer:
    """GET from the node's loopback, through a forwarded channel or, where forbidden, by curl."""
    try:
        channel = _channel(transport, ("127.0.0.1", port), timeout)
    except paramiko.ChannelException as error:
        if error.code == _PROHIBITED:
            return _http_by_command(host, port, path, timeout)
        return HttpAnswer(0, b"nobody listens there")
    except paramiko.SSHException as error:
        return HttpAnswer(0, str(error).encode())
    with ending(channel):
        try:
            # HTTP/1.0: the server closes, so no length or chunk has to be understood.
            channel.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            answer = _read_all(channel, timeout)
        except OSError as error:
            return HttpAnswer(0, (str(error) or "no answer in time").encode())
    return _parsed(answer)


def anonymous_over(
    transport: paramiko.Transport,
    target: tuple[str, int],
    path: str,
    *,
    secure: bool,
    timeout: float,
) -> int | None:
    """GET from the node without credentials; return the status; see `Host.anonymous_get`."""
    try:
        channel = _channel(transport, target, timeout)
    except paramiko.ChannelException as error:
        return None if error.code == _PROHIBITED else 0
    except paramiko.SSHException:
        return 0
    request = f"GET {path} HTTP/1.0\r\nHost: {target[0]}\r\n\r\n".encode()
    with ending(channel):
        try:
            if secure:
                answer = _secured(channel, request, timeout)
            else:
                channel.sendall(request)
                answer = _read_some(channel, timeout)
        except (OSError, EOFError):  # among them what TLS says
            return 0
    return _parsed(answer).status


def _secured(channel: paramiko.Channel, request: bytes, timeout: float) -> bytes:
    """Send a request over TLS, whoever answers: it holds no secret. Return the answer's begin."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    deadline = time.monotonic() + timeout
    _pump(channel, incoming, outgoing, tls.do_handshake, deadline)
    tls.write(request)
    return _pump(channel, incoming, outgoing, lambda: tls.read(2**12), deadline)


def _pump(
    channel: paramiko.Channel,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    step: Callable[[], R],
    deadline: float,
) -> R:
    """Carry bytes between channel and TLS until the step is done; return what it gives."""
    while True:
        try:
            done = step()
        except ssl.SSLWantReadError:
            finished = False
        else:
            finished = True
        if outgoing.pending:
            channel.sendall(outgoing.read())
        if finished:
            return done
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        channel.settimeout(left)
        data = channel.recv(2**16)
        if not data:
            raise EOFError("it hung up during the TLS handshake")
        incoming.write(data)


def _read_some(channel: paramiko.Channel, timeout: float) -> bytes:
    """Read the head of an answer; the rest is nobody's business."""
    deadline = time.monotonic() + timeout
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < 2**12:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        channel.settimeout(left)
        data = channel.recv(2**12)
        if not data:
            break
        answer += data
    return answer


def _http_by_command(host: _Root, port: int, path: str, timeout: float) -> HttpAnswer:
    url = shlex.quote(f"http://127.0.0.1:{port}{path}")
    limit = max(1, round(timeout))
    result = host.root(
        "if command -v curl >/dev/null; "
        f"then curl -s -0 -i --max-time {limit} {url}; "
        f"else wget -q -S -T {limit} -O - {url} 2>&1; fi",
        timeout=timeout + 5,
    )
    return _parsed(result.stdout)


def _parsed(answer: bytes) -> HttpAnswer:
    head, _, body = answer.replace(b"\r\n", b"\n").lstrip().partition(b"\n\n")
    status = _STATUS.match(head)
    if not status:
        return HttpAnswer(0, clean(answer)[:200].encode() or b"no answer")
    return HttpAnswer(int(status[1]), body)


def _read_all(channel: paramiko.Channel, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    answer = bytearray()
    while len(answer) < _LIMIT:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no complete answer in time")
        channel.settimeout(left)
        data = channel.recv(2**16)
        if not data:
            break
        answer += data
    return bytes(answer)


def tls_over(
    transport: paramiko.Transport,
    target: tuple[str, int],
    ca_pem: bytes,
    server_name: str,
    timeout: float,
) -> TlsResult:
    """Shake hands through a forwarded channel; see `Host.tls_to`."""
    try:
        channel = _channel(transport, target, timeout)
    except paramiko.ChannelException as error:
        if error.code == _PROHIBITED:
            return TlsResult(None, None, "sshd there forbids forwarding, so this was not checked")
        return TlsResult(reachable=False, trusted=None, reason=f"{clean(error.text).lower()}")
    except paramiko.SSHException as error:
        return TlsResult(reachable=False, trusted=None, reason=clean(str(error)).lower())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with ending(channel):
        try:
            context.load_verify_locations(cadata=ca_pem.decode())
            _handshake(channel, context, server_name, timeout)
        except ssl.SSLCertVerificationError as error:
            return TlsResult(reachable=True, trusted=False, reason=clean(error.verify_message))
        except ssl.SSLError as error:
            said = clean(error.reason or str(error)).lower().replace("_", " ")
            return TlsResult(reachable=True, trusted=False, reason=f"no TLS: {said}")
        except (OSError, EOFError) as error:
            said = clean(str(error)) or "no answer in time"
            return TlsResult(reachable=True, trusted=None, reason=said)
    return TlsResult(reachable=True, trusted=True)


def _handshake(
    channel: paramiko.Channel, context: ssl.SSLContext, server_name: str, timeout: float
) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    _pump(channel, incoming, outgoing, tls.do_handshake, time.monotonic() + timeout)


def _channel(
    transport: paramiko.Transport, target: tuple[str, int], timeout: float
) -> paramiko.Channel:
    return transport.open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=timeout)
