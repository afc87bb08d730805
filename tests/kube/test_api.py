"""What comes through the API from kubelets, and an apiserver that has just started."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from fabfile.kube import api
from fabfile.kube.api import Api
from fabfile.kube.credentials import Credentials
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
        credentials = Credentials(f"http://127.0.0.1:{port}", None, None, None, "token")
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
    assert len(serving(endless()).text("/log")) == api._TEXT_LIMIT


def test_log_that_drips_is_cut(
    serving: Callable[[Iterator[bytes]], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    attacks.tried()
    monkeypatch.setattr(api, "_TEXT_SECONDS", 0.5)
    began = time.monotonic()
    assert set(serving(slow()).text("/log")) == {"x"}
    assert time.monotonic() - began < 5


def test_log_comes_whole(serving: Callable[[Iterator[bytes]], Api]) -> None:
    assert serving(iter([HEAD, b"n1 ok n1\n"])).text("/log") == "n1 ok n1\n"


def test_apiserver_that_has_just_started_knows_nobodys_rights_yet() -> None:
    """It hangs up, then forbids, then answers: as seen of one that was started anew."""
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
        found = Api(Credentials(server, None, None, None, "token"), patience=20).get("/x")
    assert found == {"kind": "x"}


def test_apiserver_that_forbids_is_taken_at_its_word(
    serving: Callable[[Iterator[bytes]], Api],
) -> None:
    forbids = iter([b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}"])
    with pytest.raises(api.ApiError):
        serving(forbids).get("/x")
