"""Several apiservers: a client goes on with one that answers, and the oldest is the judge."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fabnode.deploy.api_access import each_alone, everywhere
from fabnode.kube.client import Api, ApiAwayError, ApiError
from fabnode.kube.kubeconfig import Credentials
from fabnode.kube.login import Identity, Login
from fabnode.kube.server_version import server_release
from fabnode.releases.version import Release
from fabnode.util.errors import ClusterError
from tests.support import make_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIX = [f"https://[2001:db8::{n}]:6443" for n in (1, 2, 3)]
LIST = [f"https://192.0.2.{n}:6443" for n in (1, 2, 3)]


class Servers:
    """HTTP servers that answer every request with their version; some are closed."""

    def __init__(self, versions: list[str | None], status: int = 200) -> None:
        self.asked: list[list[bytes]] = [[] for _ in versions]
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in versions]
        self.urls = [f"http://127.0.0.1:{each.getsockname()[1]}" for each in self.listeners]
        for number, version in enumerate(versions):
            if version is None:
                self.listeners[number].close()
            else:
                body = f'{{"gitVersion": "v{version}"}}'.encode()
                head = f"HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {len(body)}"
                answer = head.encode() + b"\r\n\r\n" + body
                threading.Thread(target=self._serve, args=(number, answer), daemon=True).start()

    def _serve(self, number: int, answer: bytes) -> None:
        while True:
            try:
                connection, _ = self.listeners[number].accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self.asked[number].append(connection.recv(65536))
                connection.sendall(answer)

    def close(self, number: int) -> None:
        """Have this one answer nobody any more."""
        with suppress(OSError):
            self.listeners[number].shutdown(socket.SHUT_RDWR)
        self.listeners[number].close()

    @property
    def credentials(self) -> Credentials:
        first, *others = self.urls
        login = Login(Identity(token="token"))
        return Credentials(first, login=login, others=tuple(others))


@pytest.fixture
def servers() -> Iterator[Callable[..., Servers]]:
    with ExitStack() as open_ones:

        def make(*versions: str | None, status: int = 200) -> Servers:
            made = Servers(list(versions), status)
            for number in range(len(versions)):
                open_ones.callback(made.close, number)
            return made

        yield make


def test_a_client_goes_on_with_the_next_at_once(servers: Callable[..., Servers]) -> None:
    found = servers(None, None, "1.37.2")
    notes: list[str] = []
    api = Api(found.credentials, patience=30, on_wait=notes.append)
    began = time.monotonic()
    for _ in range(3):
        assert api.get("/version") == {"gitVersion": "v1.37.2"}
    assert time.monotonic() - began < 5
    assert api.server == found.urls[2]
    assert len(found.asked[2]) == 3
    assert len(notes) == 2, notes  # once each, not for every request
    assert f"{found.urls[0]} does not answer" in notes[0]
    assert f"going on with {found.urls[2]}" in notes[1]


def test_one_that_ends_in_between_is_left(servers: Callable[..., Servers]) -> None:
    found = servers("1.37.2", "1.37.1")
    api = Api(found.credentials, patience=30)
    assert api.get("/version") == {"gitVersion": "v1.37.2"}
    found.close(0)
    assert api.get("/version") == {"gitVersion": "v1.37.1"}


def test_where_none_answers_all_are_named(servers: Callable[..., Servers]) -> None:
    found = servers(None, None)
    with pytest.raises(ApiAwayError) as caught:
        Api(found.credentials, patience=0.1).get("/version")
    assert all(url in str(caught.value) for url in found.urls)


def test_a_refusal_is_an_answer(servers: Callable[..., Servers]) -> None:
    found = servers("1.37.2", "1.37.2", status=403)
    with pytest.raises(ApiError):
        Api(found.credentials, patience=30).get("/version")
    assert not found.asked[1]


def test_many_threads_leave_one_that_ended_together(servers: Callable[..., Servers]) -> None:
    found = servers(None, "1.37.2")
    notes: list[str] = []
    got: list[object] = []
    api = Api(found.credentials, patience=30, on_wait=notes.append)
    threads = [threading.Thread(target=lambda: got.append(api.get("/x"))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert len(got) == 8
    assert len(notes) == 1


def test_the_oldest_release_counts_and_one_that_is_away_is_named(
    servers: Callable[..., Servers],
) -> None:
    found = servers("1.37.2", None, "1.36.4", "1.37.0")
    notes: list[str] = []
    api = Api(found.credentials, patience=1)
    release = server_release(api, each_alone(found.credentials), notes.append)
    assert release == Release(1, 36, 4)
    (warning,) = notes
    assert f"the release of {found.urls[1]} is not known" in warning


def test_who_has_answered_is_not_asked_again(servers: Callable[..., Servers]) -> None:
    found = servers("1.37.2", "1.36.4", "1.37.0")
    api = Api(found.credentials, patience=1)
    assert server_release(api, each_alone(found.credentials)) == Release(1, 36, 4)
    assert [len(asked) for asked in found.asked] == [1, 1, 1]


def test_one_that_names_no_release_is_named_and_does_not_count(
    servers: Callable[..., Servers],
) -> None:
    found = servers("1.37.2", "nonsense")
    notes: list[str] = []
    api = Api(found.credentials, patience=1)
    release = server_release(api, each_alone(found.credentials), notes.append)
    assert release == Release(1, 37, 2)
    (warning,) = notes
    assert f"{found.urls[1]} names no release of Kubernetes" in warning
    with pytest.raises(ClusterError, match="names no release"):
        server_release(each_alone(found.credentials)[1])


def test_one_apiserver_is_asked_once(servers: Callable[..., Servers]) -> None:
    found = servers("1.37.2")
    assert each_alone(found.credentials) == ()
    assert server_release(Api(found.credentials, patience=1)) == Release(1, 37, 2)
    assert len(found.asked[0]) == 1


@pytest.mark.parametrize(
    ("server", "listed", "others"),
    [
        (LIST[1], LIST, (LIST[0], LIST[2])),
        ("https://192.0.2.1:6443/", LIST, (LIST[1], LIST[2])),
        ("https://[2001:DB8:0::2]:6443", SIX, (SIX[0], SIX[2])),
        (SIX[0], ["https://[2001:db8:0:0::1]:6443", *SIX[1:]], tuple(SIX[1:])),
        ("https://lb.example:6443", LIST, ()),  # a balancer knows what is behind it
        (LIST[0], LIST[0], ()),
    ],
)
def test_a_kubeconfig_of_one_of_several_is_good_for_all(
    server: str, listed: object, others: tuple[str, ...]
) -> None:
    credentials = Credentials(server)
    cluster = make_config(cluster={"apiserver": listed}).cluster
    found = everywhere(credentials, cluster)
    assert found.others == others
    assert found.tls_server_name == ("kubernetes.default.svc" if others else None)
    named = everywhere(replace(credentials, tls_server_name="api.example"), cluster)
    assert named.tls_server_name == "api.example"
