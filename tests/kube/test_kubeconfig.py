"""Kubeconfigs: read as client-go reads them, refused in a sentence that names the file."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from fabnode.kube.kubeconfig import KubeconfigError, load
from fabnode.pki.certificates import new_request, sign_client
from tests.support import authority, pem, private_pem


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> Path:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://192.0.2.1:6443/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "admin.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


CA = pem(authority()[0])
OTHER_KEY = private_pem(authority("another")[1]).decode()
REQUEST = new_request("someone", {})
KEY = REQUEST.key_pem.decode()
CERTIFICATE = sign_client(REQUEST.request_pem, CA, private_pem(authority()[1])).decode()
PAIR = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}


def test_inline_data_and_files_are_both_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes("# Prüfstelle\n".encode() + CA)
    path = kubeconfig(
        tmp_path,
        {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)},
        **{"certificate-authority": "ca.pem"},
    )
    found = load(path)
    assert found.server == "https://192.0.2.1:6443"
    assert found.ca_pem == CA
    identity = found.login.current()
    assert identity.client_pem == (CERTIFICATE + KEY).encode()
    assert "PRIVATE KEY" not in repr(found) + repr(identity)


@pytest.mark.parametrize("user", [{"token": "t0"}, {"tokenFile": "token"}])
def test_tokens_inline_and_from_a_file(tmp_path: Path, user: dict[str, str]) -> None:
    (tmp_path / "token").write_text("t0\n")
    identity = load(kubeconfig(tmp_path, user)).login.current()
    assert identity.token == "t0"
    assert "t0" not in repr(identity)


def test_a_token_beside_a_token_file_is_for_when_the_file_is_not_there(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "inline", "tokenFile": "token"})
    assert load(path).login.current().token == "inline"
    (tmp_path / "token").write_text("file")
    assert load(path).login.current().token == "file"


V1 = "client.authentication.k8s.io/v1"


def script(*lines: str, **more: object) -> dict[str, object]:
    """Return an exec section whose plugin is a line of shell."""
    command = {"apiVersion": V1, "command": "sh", "args": ["-c", "\n".join(lines)]}
    return {"exec": command | more}


def jwt(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


@pytest.mark.parametrize(
    ("token", "account"),
    [
        (
            jwt({"sub": "system:serviceaccount:kube-system:x"}),
            "system:serviceaccount:kube-system:x",
        ),
        (jwt({"sub": "ann@example.org"}), ""),
        (jwt({"iss": "x"}), ""),
        (jwt(["sub"]), ""),
        ("abcdef.0123456789abcdef", ""),
        ("opaque", ""),
        ("ümlaut.ü.ü", ""),
    ],
)
def test_whose_token_it_is_where_that_can_be_read(tmp_path: Path, token: str, account: str) -> None:
    assert load(kubeconfig(tmp_path, {"token": token})).service_account == account


def test_whom_it_impersonates_counts(tmp_path: Path) -> None:
    someone = {"token": jwt({"sub": "system:serviceaccount:a:b"}), "as": "ann"}
    assert load(kubeconfig(tmp_path, someone)).service_account == ""
    account = "system:serviceaccount:c:d"
    assert load(kubeconfig(tmp_path, {"token": "t", "as": account})).service_account == account


def test_a_certificate_is_no_service_accounts(tmp_path: Path) -> None:
    assert load(kubeconfig(tmp_path, PAIR)).service_account == ""


def test_exec_plugins_are_run(tmp_path: Path) -> None:
    plugin = {
        "apiVersion": V1,
        "command": "sh",
        "args": ["-c", 'echo "{\\"status\\": {\\"token\\": \\"$WHO\\"}}"'],
        "env": [{"name": "WHO", "value": "plugin-token"}],
    }
    path = kubeconfig(tmp_path, {"exec": plugin})
    assert load(path).login.current().token == "plugin-token"


def test_a_plugin_beside_the_kubeconfig_is_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command with a slash counts from the kubeconfig's folder, as kubectl has it."""
    (tmp_path / "conf").mkdir()
    plugin = tmp_path / "conf" / "plug"
    plugin.write_text('#!/bin/sh\necho \'{"status": {"token": "t"}}\'\n')
    plugin.chmod(0o755)
    kubeconfig(tmp_path / "conf", {"exec": {"apiVersion": V1, "command": "./plug"}})
    monkeypatch.chdir(tmp_path)
    assert load(Path("conf/admin.kubeconfig")).login.current().token == "t"


def test_a_plugin_learns_the_cluster_where_the_kubeconfig_says_so(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    user = script(
        f'printf %s "$KUBERNETES_EXEC_INFO" >{asked}',
        'echo \'{"status": {"token": "t"}}\'',
        provideClusterInfo=True,
        interactiveMode="Never",
    )
    extension = {"name": V1.removesuffix("/v1") + "/exec", "extension": {"audience": "x"}}
    more = {"certificate-authority-data": encoded(CA), "extensions": [extension]}
    load(kubeconfig(tmp_path, user, **more))
    reported = json.loads(asked.read_text())
    assert reported["apiVersion"] == V1
    assert reported["spec"] == {
        "interactive": False,
        "cluster": {
            "server": "https://192.0.2.1:6443/",
            "certificate-authority-data": encoded(CA),
            "config": {"audience": "x"},
        },
    }


def test_a_plugin_is_run_again_once_its_credential_has_expired(tmp_path: Path) -> None:
    count = tmp_path / "count"
    past, future = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00.123456789Z"
    user = script(
        f"echo x >>{count}",
        f"[ $(wc -l <{count}) -lt 3 ] && end={past} || end={future}",
        'echo "{\\"status\\": {\\"token\\": \\"t$(wc -l <' + str(count) + ')\\",'
        ' \\"expirationTimestamp\\": \\"$end\\"}}"',
    )
    login = load(kubeconfig(tmp_path, user)).login
    assert [login.current().token for _ in range(4)] == ["t2", "t3", "t3", "t3"]


def test_a_token_file_that_rotates_is_read_again_within_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("one")
    login = load(kubeconfig(tmp_path, {"tokenFile": "token"})).login
    (tmp_path / "token").write_text("two")
    assert login.current().token == "one"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert login.current().token == "two"


def test_impersonation_goes_with_every_request(tmp_path: Path) -> None:
    user = {
        "token": "t",
        "as": "jane",
        "as-uid": "7",
        "as-groups": ["dev", "ops"],
        "as-user-extra": {"scopes": ["a", "b"]},
    }
    assert load(kubeconfig(tmp_path, user)).impersonation == (
        ("Impersonate-User", "jane"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Extra-scopes", "a"),
        ("Impersonate-Extra-scopes", "b"),
    )


ENCRYPTED = KEY.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE").replace(
    "END PRIVATE", "END ENCRYPTED PRIVATE"
)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"username": "a", "password": "b"}, "(username|password) is refused"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider is refused; kubectl 1.26 removed it"),
        ({"token": "t", "as-groups": ["system:masters"]}, "need `as`"),
        ({"token": "t", "as": "a\nb"}, "only printable ASCII"),
        ({"token": "t", "as": 7}, "as is not text"),
        ({"token": "t", "asgroups": ["a"]}, "asgroups: unknown field; did you mean as-groups"),
        ({}, "no token, no client-certificate and no exec"),
        ({"token": "a\nb"}, "token is not one line of text"),
        ({"tokenFile": "nowhere"}, "tokenFile .*nowhere: No such file"),
        ({"tokenFile": "empty"}, "tokenFile: the file is empty"),
        ({**PAIR, "client-key-data": encoded(OTHER_KEY)}, "client-key is not the key of"),
        ({**PAIR, "client-key-data": encoded(ENCRYPTED)}, "client-key: it is encrypted"),
        ({**PAIR, "client-key-data": encoded("x")}, "client-key: it holds no private key"),
        ({**PAIR, "client-key-data": "%%"}, "client-key-data is not base64"),
        ({**PAIR, "client-key": "k"}, "client-key and client-key-data are both set"),
        ({**PAIR, "client-certificate-data": encoded("x")}, "client-certificate: it holds no"),
        ({"client-certificate-data": encoded(CERTIFICATE)}, "client-key is missing"),
        ({"client-key-data": encoded(KEY)}, "client-certificate is missing"),
        ({"exec": {"command": "true"}}, "exec: apiVersion must be"),
        ({"exec": {"apiVersion": V1}}, "exec: command is missing"),
        ({"exec": "true"}, "exec is not a mapping"),
        ({"token": "t", **script("exit")}, "exec and a token are both set"),
        (script("true"), "sh printed no ExecCredential"),
        (script("exit 3"), "sh failed with 3"),
        (script("echo '{\"status\": {}}'"), "neither a token nor a certificate"),
        (script("echo '[]'"), "sh printed no ExecCredential"),
        (script('echo \'{"status": {"token": 5}}\''), "values are no text"),
        (script('echo \'{"status": {"clientKeyData": "x"}}\''), "without the other"),
        (
            script('echo \'{"status": {"token": "t", "expirationTimestamp": "soon"}}\''),
            "sh printed no ExecCredential",
        ),
        (
            script('echo \'{"apiVersion": "x/v2", "status": {"token": "t"}}\''),
            "ExecCredential of 'x/v2'; v1 was asked for",
        ),
        (
            {"exec": {"apiVersion": V1, "command": "no-such-plugin", "installHint": "get it"}},
            "no-such-plugin: No such file or directory; get it",
        ),
        (script("true", interactiveMode="Always"), "Always, and there is no terminal"),
        (script("true", interactiveMode="always"), "interactiveMode must be Never"),
        (script("true", env="A=b"), "env is not a list"),
    ],
)
def test_users_that_cannot_be_taken_at_their_word_are_refused_by_field(
    tmp_path: Path, user: dict[str, Any], message: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    path = kubeconfig(tmp_path, user)
    with pytest.raises(KubeconfigError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: user u: ")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({"proxy-url": "socks5://127.0.0.1:1080"}, "proxy-url: socks5 is refused"),
        ({"proxy-url": "127.0.0.1:3128"}, "proxy-url is not an http:// or https:// URL"),
        ({"proxy-url": "http://[::1"}, "proxy-url is not a URL"),
        ({"proxy_url": "http://a"}, "proxy_url: unknown field; did you mean proxy-url"),
        ({"certificate-authority-data": encoded("nope")}, "it holds no certificate in PEM"),
        ({"certificate-authority-data": encoded(encoded(CA))}, "it holds no certificate in PEM"),
        ({"certificate-authority-data": encoded(b"0\x82\x01")}, "it is DER"),
        ({"certificate-authority": "empty"}, "it holds no certificate in PEM"),
        ({"certificate-authority": "a", "certificate-authority-data": "b"}, "are both set"),
        ({"tls-server-name": ["a"]}, "tls-server-name is not text"),
        ({"server": "https://192.0.2.1:port"}, "is not an https:// URL"),
    ],
)
def test_clusters_that_cannot_be_taken_at_their_word_are_refused_by_field(
    tmp_path: Path, cluster: dict[str, Any], message: str
) -> None:
    (tmp_path / "empty").write_text("")
    with pytest.raises(KubeconfigError, match=message):
        load(kubeconfig(tmp_path, {"token": "t"}, **cluster))


def test_a_ca_of_several_certificates_is_taken_whole(tmp_path: Path) -> None:
    both = CA + pem(authority("other")[0])
    path = kubeconfig(tmp_path, {"token": "t"}, **{"certificate-authority-data": encoded(both)})
    assert load(path).ca_pem == both


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a usable kubeconfig"),
        ("current-context: x\ncontexts: []\n", "not a usable kubeconfig"),
        (": :\n  - [", "not a usable kubeconfig"),
        ("[1, 2]", "not a usable kubeconfig"),
        ("current-context: ''", "current-context is not set"),
        ("current-context: x\ncontexts: 5\n", "contexts is not a list"),
        ("current-context: x\ncontexts: []\n", "where KUBECONFIG names several files"),
        ("contexts: [{name: x, context: {}}]\ncurrent-context: x", "cluster is missing"),
        ("contexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x", "user is missing"),
        ("contexts: [{name: x, context: [c]}]\ncurrent-context: x", "x is not a mapping"),
        ("contexts: [{name: x}, {name: x}]\ncurrent-context: x", "it has 2 contexts named x"),
    ],
)
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "k"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_trusting_anybody_is_refused(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "t"}, **{"insecure-skip-tls-verify": True})
    with pytest.raises(KubeconfigError, match="insecure-skip-tls-verify is refused"):
        load(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="No such file"):
        load(tmp_path / "nowhere")
    path = kubeconfig(tmp_path, {"token": "t"}, **{"certificate-authority": "gone.pem"})
    with pytest.raises(KubeconfigError, match=r"gone\.pem"):
        load(path)


@pytest.mark.parametrize("server", ["http://192.0.2.1:8080", "192.0.2.1:6443", ""])
def test_only_https_is_spoken(tmp_path: Path, server: str) -> None:
    with pytest.raises(KubeconfigError, match="is not an https:// URL"):
        load(kubeconfig(tmp_path, {"token": "t0"}, server=server))
