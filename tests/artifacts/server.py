"""An HTTP server that serves files, well or in every bad way."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Lie = Callable[["Answer"], None]


class Answer(BaseHTTPRequestHandler):
    """One request. A lie, where one is laid for the path, answers in its stead."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Range", "")))
        lies = self.server.lies.get(self.path, [])
        if lies:
            lies.pop(0)(self)
        else:
            self.honest()

    @property
    def content(self) -> bytes:
        return self.server.files[self.path]

    def honest(self) -> None:
        if self.path not in self.server.files:
            self.status(404)
            return
        begin = 0
        if wanted := self.headers.get("Range"):
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            size = len(self.content)
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        else:
            self.send_response(200)
        self.body(self.content[begin:])

    def body(self, content: bytes, *, length: int | None = None) -> None:
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def status(self, code: int, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.body(b"no")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        pass


class Server(ThreadingHTTPServer):
    """
    The server.

    :param files: path → content. :param lies: path → what answers the first requests for it.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files: dict[str, bytes] = {}
        self.lies: dict[str, list[Lie]] = {}
        self.seen: list[tuple[str, str]] = []
        self.ended = threading.Event()
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what these tests are about."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server()
    if tls:
        server.scheme = "https"
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    work = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    work.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()


def busy(answer: Answer) -> None:
    answer.status(503)


def broken(answer: Answer) -> None:
    answer.status(500)


def missing(answer: Answer) -> None:
    answer.status(404)


def cut(answer: Answer) -> None:
    """Promise all, send half, hang up."""
    begin = len(answer.content) // 2
    answer.send_response(200)
    answer.body(answer.content[:begin], length=len(answer.content))
    answer.close_connection = True


def hang_up(answer: Answer) -> None:
    answer.close_connection = True
    answer.connection.close()


def no_ranges(answer: Answer) -> None:
    """Answer every request with the whole."""
    answer.send_response(200)
    answer.body(answer.content)


def wrong_range(answer: Answer) -> None:
    """Say that it goes on, but with another part."""
    answer.send_response(206)
    answer.send_header("Content-Range", f"bytes 0-{len(answer.content) - 1}/{len(answer.content)}")
    answer.body(answer.content)


def no_such_range(answer: Answer) -> None:
    answer.status(416)


def other(answer: Answer) -> None:
    """Send something else of the same length."""
    answer.send_response(200)
    answer.body(b"x" * len(answer.content))


def endless(answer: Answer) -> None:
    answer.send_response(200)
    answer.end_headers()
    answer.close_connection = True
    while not answer.server.ended.is_set():
        answer.wfile.write(b"x" * 65536)


def silent(answer: Answer) -> None:
    """Send a beginning, and then nothing."""
    answer.send_response(200)
    answer.send_header("Content-Length", str(len(answer.content)))
    answer.end_headers()
    answer.wfile.write(answer.content[:10])
    answer.wfile.flush()
    answer.server.ended.wait(20)


def dribbling(answer: Answer) -> None:
    """Send a byte now and then: never silent, never through."""
    answer.send_response(200)
    answer.send_header("Content-Length", str(len(answer.content)))
    answer.end_headers()
    for byte in answer.content:
        if answer.server.ended.is_set():
            return
        answer.wfile.write(bytes([byte]))
        answer.wfile.flush()
        time.sleep(0.02)


def redirect(place: str) -> Lie:
    return lambda answer: answer.status(302, Location=place)
