"""
Client of the Kubernetes API over HTTPS: JSON, typed errors, retries while it is unavailable.

Plain HTTP rather than kubectl: a run needs some twenty small calls and two watches, and starting
a 60 MB program for each of them would cost more than the calls.
"""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlencode, urlsplit

import urllib3

from ..util import program
from ..util.about import VERSION
from ..util.errors import ClusterError, InputError
from ..util.sanitize import clean
from ..util.tls import client_context
from ..util.wait import Wait
from .kubeconfig import Credentials, ssl_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .login import Identity

Object = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_TEXT_LIMIT, _TEXT_SECONDS = 2**16, 10.0
_STARTING = 20.0  # seconds after an outage
_RETRY_PAUSE = 0.5  # seconds between tries at an apiserver that does not answer
_GUARD = "ValidatingAdmissionPolicy 'fabnode-"  # see deploy/admission_policy.py
_OTHER_CONFIGURATION = (
    "its account was made for another configuration: as administrator, run"
    f" `{program.task('rbac.deployer')}` with this one"
)
_OPENSSL = re.compile(r"\[SSL[^]]*\] | \(_ssl\.c:\d+\)")  # what Python adds to its sentences
_FORBIDDEN, _CONFLICT = 403, 409
_GATEWAY_TIMEOUT = 504
_BUSY = frozenset({429, 500, 502, 503, 504})


T = TypeVar("T")


class ApiError(ClusterError):
    """The API rejected a request."""

    def __init__(self, status: int, reason: str, message: str, advice: str = "") -> None:
        super().__init__(message, advice or (_OTHER_CONFIGURATION if _GUARD in message else ""))
        self.status = status
        self.reason = reason

    @property
    def is_forbidden(self) -> bool:
        """Whether our account has no right to what was asked."""
        return self.status == _FORBIDDEN

    @property
    def is_conflict(self) -> bool:
        """Whether the object is another than the request was about, or is there already."""
        return self.status == _CONFLICT


def permitted(ask: Callable[[], T]) -> T | None:
    """
    Return what the API answers; None where our account has no right to ask that.

    :raises ApiError: it rejects the request for another reason.
    """
    try:
        return ask()
    except ApiError as error:
        if not error.is_forbidden:
            raise
        return None


class KubeletError(ApiError):
    """The API forwarded a request to a kubelet, which failed or was unreachable."""

    def __init__(self, status: int, node: str, message: str) -> None:
        self.unreachable = status == _GATEWAY_TIMEOUT or "dial tcp" in message
        whose = f"the kubelet of {node}" if node else "that kubelet"
        super().__init__(
            status,
            "",
            f"the apiserver got an error from {whose}: {message}",
            program.host_task(node, "status") if node else program.task("verify"),
        )


class _ForwardedError(Exception):
    """A failure of a forwarded request: a kubelet's, or the apiserver's own."""

    def __init__(
        self, failure: ApiError | ApiWrongError, status: int, *, hung: bool = False
    ) -> None:
        super().__init__(str(failure))
        self.status = status
        self.hung = hung


_BROKEN_OFF = {"TLSV1_ALERT_DECODE_ERROR", "TLSV1_ALERT_INTERNAL_ERROR"}


class ApiAwayError(ClusterError):
    """The API did not answer within the deadline."""

    advice = "check that the apiserver runs; then the same command resumes where this run stopped"


class ApiWrongError(ClusterError):
    """The API can't be used: its certificate or the kubeconfig's credentials are wrong."""

    advice = "check cluster.kubeconfig in the configuration"


class Api:
    """
    Client of an API. Thread-safe.

    Where credentials name several apiservers, a call goes to the one that answered last, and from
    one that does not answer to the next at once. Every call waits for an apiserver that does not
    answer, at most `patience` seconds in all, then raises ApiAwayError; a wrong certificate or
    wrong credentials raise ApiWrongError at once, any other refusal ApiError.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        patience: float,
        on_wait: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._servers = (credentials.server, *credentials.others)
        self._server = credentials.server  # that is asked first
        self._patience = patience
        self._on_wait = on_wait
        self._credentials = credentials
        self._left: set[str] = set()  # those that did not answer when they were asked last
        self._connections: _Connections | None = None
        self._lock = threading.Lock()
        self._requests = 0
        self._clock_offset: float | None = None
        self._away: dict[str, float] = {}  # when each last was, by time.monotonic
        self._announced = False  # that it is waited for, since it last answered

    @property
    def server(self) -> str:
        """URL of the apiserver that is asked first just now."""
        return self._server

    @property
    def requests(self) -> int:
        """Number of requests sent so far."""
        return self._requests

    @property
    def clock_offset(self) -> float | None:
        """The apiserver's clock minus ours in seconds (its Date header: to the second)."""
        return self._clock_offset

    def get(self, path: str, **query: str) -> Object:
        """GET an object or a list."""
        return self._json("GET", path, query)

    def find(self, path: str) -> Object | None:
        """GET an object, or None if it does not exist."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def text(self, path: str, *, node: str = "", seconds: float | None = None, **query: str) -> str:
        """
        GET plain text (a pod's log), of which the beginning will do.

        It is a kubelet's answer, passed on: one that is endless, or never comes to an end, is cut.

        :param node: whose kubelet that is.
        :param seconds: how long its answer, and then the whole of it, may take.
        :raises KubeletError: that kubelet failed; where it is the apiserver, errors as elsewhere.
        """
        seconds = seconds or _TEXT_SECONDS
        answer = self._passed_on(path, query, node, seconds)
        wait, text = Wait("a kubelet's answer", seconds), b""
        try:
            # What has come is taken at once: to wait for more would be to wait for ever.
            while len(text) < _TEXT_LIMIT and not wait.over:
                if not (chunk := answer.read1(2**14, decode_content=True)):
                    break
                text += chunk
        except (urllib3.exceptions.HTTPError, OSError):
            pass  # what came before counts
        finally:
            answer.close()
        return text[:_TEXT_LIMIT].decode(errors="replace")

    def _passed_on(
        self, path: str, query: dict[str, str], node: str, seconds: float
    ) -> urllib3.BaseHTTPResponse:
        """GET a kubelet's answer; after a failure, once more if the apiserver itself works."""
        for is_last in (False, True):
            try:
                return self._send(
                    "GET", path, query, stream=True, read_timeout=seconds, passed_on=True
                )
            except _ForwardedError as failed:
                self.get(
                    "/version"
                )  # raises where the apiserver itself does not answer, or refuses us
                if is_last or failed.hung:
                    raise KubeletError(failed.status, node, str(failed)) from failed
        raise AssertionError("the last try returned or raised")

    def answer(self, path: str, body: Object, **query: str) -> tuple[int, Object]:
        """
        POST, and return the status and the object of whatever is answered, a refusal too.

        Only an apiserver that can't be reached is waited for: what a 429 or a 500 is about, the
        caller knows better. The object is empty where the answer is none.
        """
        found = self._send("POST", path, query, body=body, any_status=True)
        try:
            content = json.loads(found.data)
        except ValueError:
            content = None
        return found.status, content if isinstance(content, dict) else {}

    def create(self, path: str, body: Object) -> Object:
        """POST to a collection."""
        return self._json("POST", path, {}, body)

    def replace(self, path: str, body: Object) -> Object:
        """PUT; a stale resourceVersion is refused by the API (ApiError 409)."""
        return self._json("PUT", path, {}, body)

    def patch(self, path: str, body: Object, kind: str = MERGE_PATCH, **query: str) -> Object:
        """PATCH, by default a JSON merge patch."""
        return self._json("PATCH", path, query, body, kind)

    def delete(
        self, path: str, *, version: str = "", uid: str = "", grace: int | None = None
    ) -> None:
        """
        DELETE; that it is gone already is as good.

        :param version: only an object of this resourceVersion (ApiError 409 otherwise).
        :param uid: only the object of this uid, and not one that has its name since (likewise).
        :param grace: seconds; 0: the object goes at once, as if what it stands for had ended.
        """
        wanted = {"resourceVersion": version, "uid": uid}
        preconditions = {key: value for key, value in wanted.items() if value}
        body: Object = {"preconditions": preconditions} if preconditions else {}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            self._json("DELETE", path, {}, body or None)
        except ApiError as error:
            if error.status != 404:
                raise

    def stream(self, path: str, *, seconds: int, **query: str) -> Iterator[Object]:
        """Yield the events of one watch request; ends after `seconds`, or when it breaks off."""
        began = time.monotonic()
        query |= {"watch": "true", "timeoutSeconds": str(seconds), "allowWatchBookmarks": "true"}
        answer = self._send("GET", path, query, stream=True, read_timeout=seconds + 5.0)
        server = self._server
        try:
            for line in _lines(answer):
                yield self._parsed(line, answer)
        except (urllib3.exceptions.HTTPError, OSError):
            return
        finally:
            answer.close()
            if time.monotonic() - began < seconds - 1:
                self._away[server] = time.monotonic()

    def _json(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Object | None = None,
        kind: str = "application/json",
    ) -> Object:
        answer = self._send(method, path, query, body=body, kind=kind)
        return self._parsed(answer.data, answer)

    def _parsed(self, data: bytes, answer: urllib3.BaseHTTPResponse) -> Object:
        """Return a JSON object. Raises ApiWrongError where something else than an API answers."""
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            kind = clean(answer.headers.get("Content-Type", "no type"))[:80]
            raise ApiWrongError(
                f"{self._named(self._server)} answers, but not as an apiserver"
                f" (status {answer.status}, {kind})",
                "check `server` in the kubeconfig: a login page or another program answers there",
            )
        return found

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        *,
        body: Object | None = None,
        kind: str = "application/json",
        stream: bool = False,
        read_timeout: float = 30.0,
        passed_on: bool = False,
        any_status: bool = False,
    ) -> urllib3.BaseHTTPResponse:
        """
        Send, and send again while the apiserver does not answer and patience lasts.

        :param any_status: a refusal is an answer as well, but for that of our credentials.
        :param passed_on: a kubelet answers, so that a 5xx or 401 may be its own (_ForwardedError).
        """
        asked = path + (f"?{urlencode(query)}" if query else "")
        payload = None if body is None else json.dumps(body).encode()
        # Threads of a run see an outage together; they should not come back together.
        wait = Wait("the API", self._patience, _RETRY_PAUSE, jitter=0.2)
        refused: Identity | None = None
        failed: dict[str, str] = {}  # server → why, since the last pause
        wrong: set[str] = set()  # servers whose certificates are
        while True:
            server = self._server
            peer = self._named(server)
            with self._lock:
                self._requests += 1
            connections = self._connected(refused)
            headers = connections.headers.copy()
            if body is not None:
                headers["Content-Type"] = kind
            if not stream:
                # As client-go does. An apiserver compresses answers of more than 128 kB (k8s.io/
                # apiserver, responsewriters), a list of Nodes to a twentieth.
                headers["Accept-Encoding"] = "gzip"
            try:
                answer = connections.pool.request(
                    method,
                    f"{server}{asked}",
                    body=payload,
                    headers=headers,
                    timeout=urllib3.Timeout(connect=5.0, read=read_timeout),
                    preload_content=not stream,
                )
            except urllib3.exceptions.SSLError as error:
                cause = _cause(error)
                if not _may_pass(error):
                    cause = self._wrong_certificate(peer, error)
                    wrong.add(server)  # another one may just start, and is waited for
                if len(wrong) == len(self._servers):
                    raise ApiWrongError(cause) from error
            except urllib3.exceptions.HTTPError as error:
                if passed_on and isinstance(error, urllib3.exceptions.ReadTimeoutError):
                    text = f"no answer within {read_timeout:g} s"
                    late = ApiError(_GATEWAY_TIMEOUT, "", text)
                    raise _ForwardedError(late, _GATEWAY_TIMEOUT, hung=True) from error
                self._away[server] = time.monotonic()
                cause = _cause(error)
            else:
                self._note_clock(answer)
                if answer.status < 400:
                    self._announced = False
                    self._left.discard(server)
                    return answer
                if answer.status == 401 and refused is None:
                    refused = connections.identity
                    if self._connected(refused).identity != refused:
                        answer.close()
                        continue
                if any_status and answer.status != 401:
                    return answer
                failure = _failure(peer, answer)
                if passed_on and (answer.status >= 500 or answer.status == 401):
                    raise _ForwardedError(failure, answer.status)
                busy = answer.status in _BUSY and _worth_another_try(answer)
                # An apiserver that has just started does not know any rights yet.
                away = self._away.get(server, float("-inf"))
                starting = time.monotonic() - away < _STARTING
                if not busy and not (starting and answer.status in {401, 403}):
                    raise failure
                cause = str(failure)
            if self._next(server, failed, cause):
                continue
            if wait.over:
                raise ApiAwayError(
                    f"{self._all()} did not answer within {self._patience:.0f} s: {cause}"
                )
            self._announce(f"waiting for {self._all()} ({cause})")
            failed.clear()
            wait.pause()

    def _next(self, server: str, failed: dict[str, str], cause: str) -> bool:
        """
        Go to another apiserver than one that failed; say whether there is one to be asked now.

        :param failed: what has failed of late, to which this is added.
        """
        failed[server] = cause
        with self._lock:
            if self._server == server:  # no other thread has gone on already
                turn = (self._servers.index(server) + 1) % len(self._servers)
                self._server = self._servers[turn]
            going = next((s for s in self._servers if s not in failed), None)
            if going is None:
                return False
            if self._server in failed:
                self._server = going
            first = server not in self._left
            self._left.add(server)
        if first:
            self._on_wait(f"{self._named(server)} does not answer ({cause}): going on with {going}")
        return True

    def _named(self, server: str) -> str:
        if not self._credentials.proxy:
            return server
        return f"{server} through the proxy {urlsplit(self._credentials.proxy).hostname}"

    def _all(self) -> str:
        return self._named(", ".join(self._servers))

    def _announce(self, text: str) -> None:
        """Announce a wait, once an outage: many threads of a run wait for the same apiserver."""
        with self._lock:
            first, self._announced = not self._announced, True
        if first:
            self._on_wait(text)

    def _connected(self, refused: Identity | None = None) -> _Connections:
        """
        Return connections with the login's identity of this moment.

        :param refused: an identity that the API did not accept.
        :raises ApiWrongError: a new identity was needed, and could not be had.
        """
        login = self._credentials.login
        try:
            identity = login.after(refused) if refused else login.current()
        except InputError as error:
            raise ApiWrongError(error.message, error.advice) from error
        with self._lock:
            now = self._connections
            if now is None or now.identity is not identity:
                now = _Connections.of(self._credentials, identity, now)
                self._connections = now
            return now

    def _wrong_certificate(self, peer: str, error: Exception) -> str:
        return (
            f"the certificate of {peer} can't be verified: {_cause(error)}; "
            "check `server` and `certificate-authority` in the kubeconfig"
        )

    def _note_clock(self, answer: urllib3.BaseHTTPResponse) -> None:
        if self._clock_offset is None and (date := answer.headers.get("Date")):
            # The header is cut to whole seconds: half of one is the fairest guess of the rest.
            self._clock_offset = parsedate_to_datetime(date).timestamp() + 0.5 - time.time()


@dataclass(frozen=True, slots=True)
class _Connections:
    """Connections to the apiserver, and the headers that go with each request on them."""

    identity: Identity
    pool: urllib3.PoolManager
    headers: urllib3.HTTPHeaderDict

    @classmethod
    def of(
        cls, credentials: Credentials, identity: Identity, before: _Connections | None
    ) -> _Connections:
        """Make connections; those from before serve on while the client certificate is the same."""
        headers = urllib3.HTTPHeaderDict(
            {"Accept": "application/json", "User-Agent": f"fabnode/{VERSION}"}
        )
        if identity.token:
            headers["Authorization"] = f"Bearer {identity.token}".encode().decode("latin-1")
        for name, value in credentials.impersonation:
            headers.add(name, value)
        if before and before.identity.client_pem == identity.client_pem:
            return cls(identity, before.pool, headers)
        return cls(identity, _pool(credentials, identity), headers)


def _pool(credentials: Credentials, identity: Identity) -> urllib3.PoolManager:
    options: dict[str, Any] = {
        "maxsize": 32,
        "retries": False,
        "ssl_context": ssl_context(credentials, identity),
        "server_hostname": credentials.tls_server_name,
        "assert_hostname": credentials.tls_server_name,
    }
    if not credentials.proxy:
        return urllib3.PoolManager(**options)
    url = urlsplit(credentials.proxy)
    headers = {}
    if url.username:
        login = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(
        credentials.proxy, proxy_headers=headers, proxy_ssl_context=client_context(), **options
    )


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in answer.stream(65536, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _worth_another_try(answer: urllib3.BaseHTTPResponse) -> bool:
    """Return whether a 5xx comes from an apiserver that starts or is overloaded, not a webhook."""
    return answer.status != 500 or b"InternalError" not in answer.data


def _may_pass(error: urllib3.exceptions.SSLError) -> bool:
    """Return whether a server broke off a handshake, for no fault of certificates (RFC 8446, 6)."""
    return getattr(error.args[0] if error.args else None, "reason", "") in _BROKEN_OFF


def _failure(server: str, answer: urllib3.BaseHTTPResponse) -> ApiError | ApiWrongError:
    data = answer.read() if not answer.data else answer.data
    try:
        status = json.loads(data)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", data[:200].decode(errors="replace")
    if answer.status == 401:
        return ApiWrongError(f"{server} does not accept the kubeconfig's credentials (401)")
    return ApiError(answer.status, reason, message or f"HTTP {answer.status}")


def _cause(error: BaseException) -> str:
    """Return the innermost reason of a urllib3 error, without its wrapping."""
    inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
    if isinstance(inner, BaseException):
        return _cause(inner)
    text = _OPENSSL.sub("", str(error))
    return text.rsplit("> ", 1)[-1].split(": ", 1)[-1] or type(error).__name__
