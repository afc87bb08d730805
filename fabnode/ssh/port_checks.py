"""Port checks from the node over SSH channels: its HTTP endpoints, and TLS to the apiserver."""

from __future__ import annotations

import re
import shlex
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import paramiko

from ..util.families import in_url
from ..util.sanitize import clean
from ..util.tls import client_context
from ..util.wait import Wait
from .error_mapping import PROHIBITED
from .exec import ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from .exec import Result

R = TypeVar("R")

_LOOPBACK = "127.0.0.1"
_LIMIT = 2**20
_STATUS = re.compile(rb"HTTP/\S+\s+([0-9]{3})(?:\s|$)")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Answer to a GET. `status` 0: no answer; `body` is then the reason."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class AnonymousAnswer:
    """
    Answer to a GET without credentials. `status` 0: nobody answers.

    :param certificate: DER, that the other end proved to have the key of; empty without TLS.
    """

    status: int
    certificate: bytes = b""


@dataclass(frozen=True, slots=True)
class TlsResult:
    """
    Result of a TLS handshake from the node.

    :param reachable: whether something accepted the connection; None: sshd forbids forwarding.
    :param trusted: whether the certificate is valid for CA, name and time; None: not checked.
    :param reason: one clause where either is not True; empty otherwise.
    """

    reachable: bool | None
    trusted: bool | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why there is no channel to an address, and what the other end, or paramiko, detail."""

    kind: Literal["forbidden", "nobody listens", "connection broke"]
    detail: str


class _Root(Protocol):
    def root(self, script: str, *, timeout: float | None = None) -> Result: ...


def http_over(
    host: _Root, transport: paramiko.Transport, target: tuple[str, int], path: str, timeout: float
) -> HttpAnswer:
    """GET from the node itself, through a forwarded channel or, where forbidden, by curl."""
    channel = _channel(transport, target, timeout)
    if isinstance(channel, _Refusal):
        if channel.kind == "forbidden":
            return _http_by_command(host, target, path, timeout)
        silent = channel.kind == "nobody listens"
        return HttpAnswer(0, b"nobody listens there" if silent else channel.detail.encode())
    with ending(channel):
        try:
            channel.sendall(_request(target[0], path))
            answer = _read(channel, timeout)
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
) -> AnonymousAnswer | None:
    """GET from the node without credentials; see `Host.anonymous_get`."""
    channel = _channel(transport, target, timeout)
    if isinstance(channel, _Refusal):
        return None if channel.kind == "forbidden" else AnonymousAnswer(0)
    request = _request(target[0], path)
    certificate = b""
    with ending(channel):
        try:
            if secure:
                answer, certificate = _secured(channel, request, timeout)
            else:
                channel.sendall(request)
                answer = _read(channel, timeout, end=b"\r\n\r\n", limit=2**12)
        except (OSError, EOFError):  # TLS's among them
            return AnonymousAnswer(0)
    return AnonymousAnswer(_parsed(answer).status, certificate)


def tls_over(
    transport: paramiko.Transport,
    target: tuple[str, int],
    ca_pem: bytes,
    server_name: str,
    timeout: float,
) -> TlsResult:
    """Shake hands through a forwarded channel; see `Host.tls_to`."""
    channel = _channel(transport, target, timeout)
    if isinstance(channel, _Refusal):
        if channel.kind == "forbidden":
            return TlsResult(None, None, "not checked: sshd there forbids forwarding")
        return TlsResult(reachable=False, trusted=None, reason=clean(channel.detail).lower())
    context = _verifying(ca_pem)
    with ending(channel):
        try:
            _handshake(channel, context, server_name, timeout)
        except ssl.SSLCertVerificationError as error:
            return TlsResult(reachable=True, trusted=False, reason=clean(error.verify_message))
        except ssl.SSLError as error:
            detail = clean(error.reason or str(error)).lower().replace("_", " ")
            return TlsResult(reachable=True, trusted=False, reason=f"no TLS: {detail}")
        except (OSError, EOFError) as error:
            detail = clean(str(error)) or "no answer in time"
            return TlsResult(reachable=True, trusted=None, reason=detail)
    return TlsResult(reachable=True, trusted=True)


def _channel(
    transport: paramiko.Transport, target: tuple[str, int], timeout: float
) -> paramiko.Channel | _Refusal:
    """Open a channel from the node to an address, or return why there is none."""
    try:
        return transport.open_channel("direct-tcpip", target, (_LOOPBACK, 0), timeout=timeout)
    except paramiko.ChannelException as error:
        forbidden = error.code == PROHIBITED
        return _Refusal("forbidden" if forbidden else "nobody listens", error.text)
    except paramiko.SSHException as error:
        return _Refusal("connection broke", str(error))


@lru_cache(16)
def _verifying(ca_pem: bytes) -> ssl.SSLContext:
    """Return a context that hosts share: each of a run is asked about the same apiserver."""
    return client_context(ca_pem=ca_pem)


def _handshake(
    channel: paramiko.Channel, context: ssl.SSLContext, server_name: str, timeout: float
) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    _pump(channel, incoming, outgoing, tls.do_handshake, Wait("an answer", timeout))


def _secured(channel: paramiko.Channel, request: bytes, timeout: float) -> tuple[bytes, bytes]:
    """
    Send a request over TLS, whoever answers: it holds no secret.

    Return the answer's begin and the certificate: unverified, but who shows it has its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    wait = Wait("an answer", timeout)
    _pump(channel, incoming, outgoing, tls.do_handshake, wait)
    certificate = tls.getpeercert(binary_form=True) or b""
    tls.write(request)
    return _pump(channel, incoming, outgoing, lambda: tls.read(2**12), wait), certificate


def _pump(
    channel: paramiko.Channel,
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
    step: Callable[[], R],
    wait: Wait,
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
        data = _next(channel, wait)
        if not data:
            raise EOFError("the connection closed during the TLS handshake")
        incoming.write(data)


def _read(
    channel: paramiko.Channel, timeout: float, *, end: bytes | None = None, limit: int = _LIMIT
) -> bytes:
    """Read until the other end hangs up, `end` has come, or there is more than enough."""
    wait = Wait("a complete answer", timeout)
    answer = bytearray()
    while len(answer) < limit and not (end and end in answer):
        data = _next(channel, wait)
        if not data:
            break
        answer += data
    return bytes(answer)


def _next(channel: paramiko.Channel, wait: Wait) -> bytes:
    """Return what comes next; nothing where the other end hung up. Raises WaitTimeoutError."""
    if wait.over:
        raise wait.overdue()
    channel.settimeout(max(0.001, wait.left))
    return channel.recv(2**16)


def _request(host: str, path: str) -> bytes:
    # HTTP/1.0: the server closes, so no length or chunk has to be understood.
    return f"GET {path} HTTP/1.0\r\nHost: {in_url(host)}\r\n\r\n".encode()


def _http_by_command(host: _Root, target: tuple[str, int], path: str, timeout: float) -> HttpAnswer:
    url = shlex.quote(f"http://{in_url(target[0])}:{target[1]}{path}")
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
