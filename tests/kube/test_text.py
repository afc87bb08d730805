"""A pod's log is what its node's kubelet hands out: endless or slow, we come to an end with it."""

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
