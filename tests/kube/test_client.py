"""What comes through the API from kubelets, and an apiserver that has just started."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import urllib3

from fabnode import __version__
from fabnode.kube import client
from fabnode.kube.client import Api
from fabnode.kube.kubeconfig import Credentials
from fabnode.kube.login import Identity, Login
from tests import attacks

pytestmark = pytest.mark.attack

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


@pytest.fixture
def serving() -> Iterator[Callable[[Iterator[bytes]], Api]]:
    """Return an API that answers with these bytes, then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def start(answer: Iterator[bytes]) -> Api:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                for part in answer:
                    connection.sendall(part)

        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        credentials = Credentials(f"http://127.0.0.1:{port}", login=Login(Identity(token="token")))
        return Api(credentials, patience=1)

    yield start
    listener.close()


def endless() -> Iterator[bytes]:
    yield HEAD
    while True:
        yield b"n1 ok \x1b[2J\n" * 1000


def slow() -> Iterator[bytes]:
    yield HEAD
    while True:
        yield b"x"
        time.sleep(0.05)


def test_endless_log_is_cut(serving: Callable[[Iterator[bytes]], Api]) -> None:
    attacks.tried()
    assert len(serving(endless()).text("/log")) == client._TEXT_LIMIT


def test_log_that_drips_is_cut(
    serving: Callable[[Iterator[bytes]], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    attacks.tried()
    monkeypatch.setattr(client, "_TEXT_SECONDS", 0.5)
    began = time.monotonic()
    assert set(serving(slow()).text("/log")) == {"x"}
    assert time.monotonic() - began < 5


def test_log_comes_whole(serving: Callable[[Iterator[bytes]], Api]) -> None:
    assert serving(iter([HEAD, b"n1 ok n1\n"])).text("/log") == "n1 ok n1\n"


def test_apiserver_that_has_just_started_knows_nobodys_rights_yet() -> None:
    """It hangs up, then forbids, then answers: as seen of one that was restarted."""
    listener = socket.create_server(("127.0.0.1", 0))
    answers = [b"", b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}"]
    answers.append(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"kind": "x"}')

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener:
        found = Api(Credentials(server, login=Login(Identity(token="token"))), patience=20).get(
            "/x"
        )
    assert found == {"kind": "x"}


def test_apiserver_that_forbids_is_taken_at_its_word(
    serving: Callable[[Iterator[bytes]], Api],
) -> None:
    forbids = iter([b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}"])
    with pytest.raises(client.ApiError):
        serving(forbids).get("/x")


def answering(answers: dict[str, list[bytes]]) -> tuple[socket.socket, list[str]]:
    """Serve each path's answers in turn, the last again and again; say what was asked."""
    listener, asked = socket.create_server(("127.0.0.1", 0)), []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                # Whoever meant a server that had this port before sends something else.
                words = connection.recv(65536).split()
                path = words[1].decode(errors="replace") if len(words) > 1 else ""
                if path not in answers:
                    continue
                asked.append(path)
                left = answers[path]
                connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    threading.Thread(target=serve, daemon=True).start()
    return listener, asked


def reported(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


VERSION = reported("200 OK", b'{"gitVersion": "v1.37.2"}')
REFUSED = b'{"kind":"Status","message":"dial tcp 192.0.2.1:10250: connection refused","code":500}'
LOG = "/api/v1/namespaces/x/pods/y/log"


def test_a_kubelet_that_never_answers_is_named_after_one_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A firewall that drops what the apiserver sends to it: the apiserver itself is well."""
    monkeypatch.setattr(client, "_TEXT_SECONDS", 0.3)
    hung = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                if LOG.encode() in connection.recv(65536):
                    hung.wait(5)
                else:
                    connection.sendall(VERSION)

        threading.Thread(target=serve, daemon=True).start()
        server = f"http://127.0.0.1:{listener.getsockname()[1]}"
        api = Api(Credentials(server, login=Login(Identity(token="token"))), patience=60)
        with pytest.raises(client.KubeletError, match=r"n2: no answer within 0\.3 s") as caught:
            api.text(LOG, node="n2")
        hung.set()
    assert caught.value.unreachable
    assert api.requests == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("500 Internal Server Error", REFUSED),
        ("502 Bad Gateway", b"error trying to reach service"),
        ("503 Service Unavailable", b"error trying to reach service: connection refused"),
        ("504 Gateway Timeout", b""),
        ("401 Unauthorized", b"Unauthorized"),
    ],
)
def test_kubelet_that_fails_is_named_and_the_apiserver_not_blamed(status: str, body: bytes) -> None:
    listener, asked = answering({LOG: [reported(status, body)], "/version": [VERSION]})
    server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    attacks.tried()
    began = time.monotonic()
    with listener, pytest.raises(client.KubeletError, match="the kubelet of n2") as caught:
        Api(Credentials(server, login=Login(Identity(token="token"))), patience=60).text(
            LOG, node="n2"
        )
    assert time.monotonic() - began < 10
    assert caught.value.advice == "fab -H n2 status"
    assert asked.count(LOG) == 2


def test_kubelet_that_fails_once_is_asked_again() -> None:
    listener, _ = answering(
        {LOG: [reported("500 x", REFUSED), reported("200 OK", b"n1 ok")], "/version": [VERSION]}
    )
    server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener:
        assert (
            Api(Credentials(server, login=Login(Identity(token="t"))), patience=60).text(LOG)
            == "n1 ok"
        )


def test_apiserver_that_is_away_is_no_kubelets_fault() -> None:
    unavailable = reported("503 Service Unavailable", b"")
    listener, _ = answering({LOG: [unavailable], "/version": [unavailable]})
    server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener, pytest.raises(client.ApiAwayError):
        Api(Credentials(server, login=Login(Identity(token="t"))), patience=1).text(LOG)


def test_an_outage_is_announced_once_and_the_next_one_again() -> None:
    unavailable = reported("503 Service Unavailable", b"")
    answers = [unavailable, unavailable, VERSION, unavailable, VERSION]
    listener, _ = answering({"/version": answers})
    server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    announced: list[str] = []
    with listener:
        credentials = Credentials(server, login=Login(Identity(token="t")))
        api = Api(credentials, patience=30, on_wait=announced.append)
        api.get("/version")
        assert len(announced) == 1
        api.get("/version")
    assert len(announced) == 2
    assert announced[0].startswith("waiting for ")


def test_what_the_account_s_policy_refuses_says_how_to_renew_it() -> None:
    """An account is made for a configuration; nothing else explains a refusal in mid-run."""
    reported = "x is forbidden: ValidatingAdmissionPolicy 'fabnode-deployer' denied request"
    assert "inv rbac.deployer" in client.ApiError(422, "Invalid", reported).advice
    assert not client.ApiError(422, "Invalid", "denied by ValidatingAdmissionPolicy 'other'").advice


def test_requests_say_which_fabnode_they_are_from() -> None:
    """Audit logs of the apiserver show it."""
    listener, asked = socket.create_server(("127.0.0.1", 0)), []

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"kind": "x"}')

    threading.Thread(target=serve, daemon=True).start()
    server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener:
        api = Api(Credentials(server, login=Login(Identity(token="token"))), patience=1)
        api.get("/x")
        api.text("/log")
    agent = f"User-Agent: fabnode/{__version__}\r\n".encode()
    assert [agent in request for request in asked] == [True, True]
    # What a kubelet answers is not to come compressed: its size is limited as it comes.
    assert [b"Accept-Encoding: gzip\r\n" in request for request in asked] == [True, False]


def test_a_compressed_answer_is_read() -> None:
    packed = gzip.compress(b'{"items": []}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    listener, _ = answering({"/x": [head.encode() + packed]})
    server = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener:
        api = Api(Credentials(server, login=Login(Identity(token="token"))), patience=1)
        assert api.get("/x") == {"items": []}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer"
            " certificate (_ssl.c:1006)",
            "unable to get local issuer certificate",
        ),
        ("[SSL] record layer failure (_ssl.c:2580)", "record layer failure"),
        (
            "EOF occurred in violation of protocol (_ssl.c:1006)",
            "EOF occurred in violation of protocol",
        ),
    ],
)
def test_the_cause_of_a_tls_failure_is_a_sentence(text: str, cause: str) -> None:
    assert client._cause(ssl.SSLError(1, text)) == cause


@pytest.mark.parametrize(
    ("reason", "passes"),
    [
        ("TLSV1_ALERT_DECODE_ERROR", True),
        ("TLSV1_ALERT_INTERNAL_ERROR", True),
        ("CERTIFICATE_VERIFY_FAILED", False),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", False),
    ],
)
def test_a_handshake_that_the_server_broke_off_is_tried_again(reason: str, passes: bool) -> None:
    """One of a thousand ended so on the lab, with nothing wrong on either end."""
    inner = ssl.SSLError(1, f"[SSL: {reason}]")
    inner.reason = reason
    assert client._may_pass(urllib3.exceptions.SSLError(inner)) is passes
