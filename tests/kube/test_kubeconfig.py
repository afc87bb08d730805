"""Kubeconfigs: read as client-go reads them, refused in a sentence that names the file."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from fabnode.kube.kubeconfig import KubeconfigError, load


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


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_inline_data_and_files_are_both_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    path = kubeconfig(
        tmp_path,
        {"client-certificate-data": encoded("CERT"), "client-key-data": encoded("KEY")},
        **{"certificate-authority": "ca.pem"},
    )
    found = load(path)
    assert found.server == "https://192.0.2.1:6443"
    assert found.ca_pem == b"CA"
    assert found.client_pem == b"CERT\nKEY"
    assert "KEY" not in repr(found)


@pytest.mark.parametrize("user", [{"token": "t0"}, {"tokenFile": "token"}])
def test_tokens_inline_and_from_a_file(tmp_path: Path, user: dict[str, str]) -> None:
    (tmp_path / "token").write_text("t0\n")
    found = load(kubeconfig(tmp_path, user))
    assert found.token == "t0"
    assert "t0" not in repr(found)


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


def test_a_certificate_is_no_service_accounts(tmp_path: Path) -> None:
    assert load(kubeconfig(tmp_path, {})).service_account == ""


def test_exec_plugins_are_run(tmp_path: Path) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", 'echo "{\\"status\\": {\\"token\\": \\"$WHO\\"}}"'],
        "env": [{"name": "WHO", "value": "plugin-token"}],
    }
    assert load(kubeconfig(tmp_path, {"exec": plugin})).token == "plugin-token"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a usable kubeconfig"),
        ("current-context: x\ncontexts: []\n", "not a usable kubeconfig"),
        (": :\n  - [", "not a usable kubeconfig"),
        ("[1, 2]", "not a usable kubeconfig"),
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
