"""Credentials in use: renewed once refused or expired, and sent as the kubeconfig says."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from fabnode.kube.client import Api, ApiAwayError, ApiWrongError
from fabnode.kube.kubeconfig import Credentials, load
from fabnode.kube.login import Identity, Login
from fabnode.pki.certificates import new_request, sign_client
from tests.support import authority, pem, private_pem

from .apiserver import Apiserver, Proxy
from .test_kubeconfig import encoded, kubeconfig, script

CA = pem(authority()[0])


@pytest.fixture
def apiserver(tmp_path: Path) -> Iterator[Apiserver]:
    server = Apiserver(tmp_path)
    yield server
    server.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    found = Proxy()
    yield found
    found.close()


def api(
    server: Apiserver,
    folder: Path,
    user: dict[str, object],
    cluster: Mapping[str, str] = MappingProxyType({}),
    patience: float = 20,
) -> Api:
    settings = {
        "server": f"https://127.0.0.1:{server.port}",
        "certificate-authority-data": encoded(CA),
        **cluster,
    }
    path = kubeconfig(folder, user, **settings)
    return Api(load(path), patience=patience)


def printing(token: Path, count: Path) -> dict[str, object]:
    """Return a plugin that prints a file's token."""
    status = '{\\"status\\": {\\"token\\": \\"$(cat ' + str(token) + ')\\"}}'
    return script(f"echo x >>{count}", f'echo "{status}"')


def test_a_refused_token_has_the_plugin_run_once_more(apiserver: Apiserver, tmp_path: Path) -> None:
    token, count = tmp_path / "t", tmp_path / "count"
    token.write_text("one")
    client = api(apiserver, tmp_path, printing(token, count))
    apiserver.accepts = {"one"}
    assert client.get("/x") == {"kind": "ok"}
    token.write_text("two")
    apiserver.accepts = {"two"}
    assert client.get("/x") == {"kind": "ok"}
    assert count.read_text().count("x") == 2


def test_a_plugin_whose_token_is_refused_again_is_not_asked_for_ever(
    apiserver: Apiserver, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    (tmp_path / "t").write_text("wrong")
    client = api(apiserver, tmp_path, printing(tmp_path / "t", count))
    with pytest.raises(ApiWrongError, match=r"does not accept the kubeconfig's credentials"):
        client.get("/x")
    assert count.read_text().count("x") == 2
    assert len(apiserver.seen) == 1  # the same token again would be no use


def test_a_plugin_that_fails_later_is_a_failure_not_bad_input(
    apiserver: Apiserver, tmp_path: Path
) -> None:
    (tmp_path / "t").write_text("one")
    user = script(f'[ -e {tmp_path}/gone ] || echo \'{{"status": {{"token": "one"}}}}\'')
    client = api(apiserver, tmp_path, user)
    (tmp_path / "gone").touch()
    with pytest.raises(ApiWrongError, match="user u: exec: sh printed no ExecCredential") as caught:
        client.get("/x")
    assert caught.value.exit_code == 1


def test_threads_that_are_refused_together_renew_together(
    apiserver: Apiserver, tmp_path: Path
) -> None:
    token, count = tmp_path / "t", tmp_path / "count"
    token.write_text("one")
    client = api(apiserver, tmp_path, printing(token, count))
    token.write_text("two")
    apiserver.accepts = {"two"}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(client.get("/x"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == [{"kind": "ok"}] * 6
    assert count.read_text().count("x") == 2


def test_a_token_file_is_read_again_when_its_token_is_refused(
    apiserver: Apiserver, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("one")
    client = api(apiserver, tmp_path, {"tokenFile": "token"})
    (tmp_path / "token").write_text("two")
    apiserver.accepts = {"two"}
    assert client.get("/x") == {"kind": "ok"}


def test_a_client_certificate_that_was_replaced_is_used(
    apiserver: Apiserver, tmp_path: Path
) -> None:
    def issue(name: str) -> None:
        request = new_request(name, {})
        made = sign_client(request.request_pem, CA, private_pem(authority()[1]))
        (tmp_path / "client.pem").write_bytes(made + request.key_pem)

    issue("one")
    user: dict[str, object] = {"client-certificate": "client.pem", "client-key": "client.pem"}
    client = api(apiserver, tmp_path, user)
    apiserver.accepts = {"one"}
    assert client.get("/x") == {"kind": "ok"}
    issue("two")
    apiserver.accepts = {"two"}
    assert client.get("/x") == {"kind": "ok"}


def test_impersonation_headers_are_sent(apiserver: Apiserver, tmp_path: Path) -> None:
    apiserver.accepts = {"t"}
    user: dict[str, object] = {"token": "t", "as": "jane", "as-groups": ["dev", "ops"]}
    api(apiserver, tmp_path, user).get("/x")
    (seen,) = apiserver.seen
    assert seen["Impersonate-User"] == ["jane"]
    assert seen["Impersonate-Group"] == ["dev", "ops"]
    assert seen["Authorization"] == ["Bearer t"]


def test_the_proxy_is_gone_through_with_its_login(
    apiserver: Apiserver, proxy: Proxy, tmp_path: Path
) -> None:
    apiserver.accepts = {"t"}
    url = f"http://me:pass%20word@127.0.0.1:{proxy.port}"
    client = api(apiserver, tmp_path, {"token": "t"}, {"proxy-url": url})
    assert client.get("/x") == {"kind": "ok"}
    (head,) = proxy.seen
    assert head.startswith(f"CONNECT 127.0.0.1:{apiserver.port} ")
    assert "bWU6cGFzcyB3b3Jk" in head  # me:pass word
    assert "Bearer" not in head
    assert "pass" not in repr(client._credentials)


def test_a_dead_proxy_is_named(apiserver: Apiserver, proxy: Proxy, tmp_path: Path) -> None:
    proxy.close()
    url = f"http://me:secret@127.0.0.1:{proxy.port}"
    client = api(apiserver, tmp_path, {"token": "t"}, {"proxy-url": url}, patience=0.1)
    with pytest.raises(ApiAwayError, match=r"through the proxy 127\.0\.0\.1") as caught:
        client.get("/x")
    assert "secret" not in str(caught.value)
    assert apiserver.seen == []


def test_the_name_in_the_kubeconfig_is_the_one_the_certificate_must_have(
    apiserver: Apiserver, tmp_path: Path
) -> None:
    apiserver.accepts = {"t"}
    named = {"tls-server-name": "api.example"}
    assert api(apiserver, tmp_path, {"token": "t"}, named).get("/x") == {"kind": "ok"}
    with pytest.raises(ApiWrongError, match="can't be verified"):
        api(apiserver, tmp_path, {"token": "t"}, {"tls-server-name": "other"}).get("/x")


@pytest.mark.parametrize("body", [b"<html>Log in</html>\n", b"[]\n", b"null\n"])
def test_what_answers_and_is_no_apiserver(
    apiserver: Apiserver, tmp_path: Path, body: bytes
) -> None:
    apiserver.accepts, apiserver.body = {"t"}, body
    client = api(apiserver, tmp_path, {"token": "t"})
    with pytest.raises(ApiWrongError, match=r"not as an apiserver \(status 200, text/html\)"):
        client.get("/x")
    with pytest.raises(ApiWrongError, match="not as an apiserver"):
        list(client.stream("/x", seconds=1))


def test_two_clients_of_one_login_read_it_once(tmp_path: Path) -> None:
    reads = []

    def read() -> Identity:
        reads.append(1)
        return Identity(token="t")

    credentials = Credentials("https://192.0.2.1", login=Login(Identity(until=0), read))
    for each in (credentials, replace(credentials, server="https://192.0.2.2")):
        assert each.login.current().token == "t"
    assert len(reads) == 1
