"""Files that a configuration names: found relative to it, and the CA is looked at."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fabnode.config import file_checks
from fabnode.config.loader import load
from fabnode.util.problems import ConfigError
from tests.support import authority, make_config, pem, write_cluster

if TYPE_CHECKING:
    from pathlib import Path


def leaf() -> bytes:
    """Return a certificate of the test CA that may not sign others."""
    issuer, key = authority()
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(issuer.subject)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    return pem(builder.sign(key, hashes.SHA256()))


def test_paths_are_relative_to_the_file_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "key").touch(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir("/")
    config = make_config(tmp_path, ssh={"keys": ["~/.ssh/key"], "known_hosts": ["hosts"]})
    assert config.cluster.ca == tmp_path / "ca.pem"
    assert config.ssh.keys == (home / ".ssh" / "key",)
    assert config.ssh.known_hosts == (tmp_path / "hosts",)
    assert config.artifacts.binaries == tmp_path / "artifacts/bin"
    assert config.calico.manifest == tmp_path / "artifacts/calico.yaml"


def test_a_relative_name_of_the_configuration_gives_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_cluster(tmp_path)
    monkeypatch.chdir(tmp_path)
    config = load(path.relative_to(tmp_path))
    assert config.cluster.ca == tmp_path / "ca.pem"
    assert config.source == path.relative_to(tmp_path)


def test_the_ca_is_read_as_it_is(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    assert config.ca_pem == (tmp_path / "ca.pem").read_bytes()
    assert "BEGIN CERTIFICATE" not in repr(config)


def test_a_bundle_of_two_cas_is_taken(tmp_path: Path) -> None:
    path = write_cluster(tmp_path)
    both = (tmp_path / "ca.pem").read_bytes() * 2
    (tmp_path / "ca.pem").write_bytes(both)
    assert load(path).ca_pem == both


def ca_refused(directory: Path, content: bytes) -> str:
    path = write_cluster(directory)
    (directory / "ca.pem").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    prefix, _, messages = str(caught.value).partition(": cluster.ca: ")
    assert prefix.startswith(f"{path}:")
    return messages.replace(str(directory), "DIR")


def test_what_is_no_ca_certificate_is_refused(tmp_path: Path) -> None:
    key = (write_cluster(tmp_path).parent / "ca-key.pem").read_bytes()
    good = pem(authority()[0])
    assert ca_refused(tmp_path, b"") == "DIR/ca.pem is not a PEM certificate"
    assert ca_refused(tmp_path, b"hello") == "DIR/ca.pem is not a PEM certificate"
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert ca_refused(tmp_path, broken) == "DIR/ca.pem is not a PEM certificate"
    assert ca_refused(tmp_path, good + key) == (
        "DIR/ca.pem holds a private key, but this file is sent to every node"
    )
    assert ca_refused(tmp_path, leaf()) == "DIR/ca.pem holds a certificate that is not a CA's"
    assert (
        ca_refused(tmp_path, good + leaf()) == "DIR/ca.pem holds a certificate that is not a CA's"
    )
    assert ca_refused(tmp_path, b"x" * 2**21) == "DIR/ca.pem is too large for certificates"


def test_a_ca_that_a_kubelet_would_not_see_is_refused_with_the_reason(tmp_path: Path) -> None:
    good = pem(authority()[0])
    no_pem = "DIR/ca.pem is not a PEM certificate: "
    assert "byte order mark" in ca_refused(tmp_path, b"\xef\xbb\xbf" + good)
    assert "blanks stand before BEGIN" in ca_refused(tmp_path, good + b"  " + good)
    der = authority()[0].public_bytes(serialization.Encoding.DER)
    assert ca_refused(tmp_path, der) == no_pem + "it is DER: `openssl x509 -inform der`"
    assert "UTF-16" in ca_refused(tmp_path, good.decode().encode("utf-16"))
    assert "TRUSTED CERT" in ca_refused(tmp_path, good.replace(b"N CERT", b"N TRUSTED CERT"))


@pytest.mark.parametrize("text", ["# Prüfstelle Süd\n".encode(), "Süd\n".encode("latin-1")])
def test_a_ca_with_text_around_it_is_taken_as_it_is(tmp_path: Path, text: bytes) -> None:
    path = write_cluster(tmp_path)
    content = text + pem(authority()[0]).replace(b"\n", b"\r\n")
    (tmp_path / "ca.pem").write_bytes(content)
    assert load(path).ca_pem == content


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ({"cluster": {"ca": "absent"}}, "cluster.ca"),
        ({"cluster": {"ca": "."}}, "cluster.ca"),
        ({"cluster": {"kubeconfig": "absent"}}, "cluster.kubeconfig"),
        ({"ssh": {"keys": ["absent"]}}, "ssh.keys[0]"),
        ({"ssh": {"password": {"file": "absent"}}}, "ssh.password.file"),
        ({"ssh": {"sudo_password": {"file": "absent"}}}, "ssh.sudo_password.file"),
        ({"kube_proxy": {"signing": "local", "ca_key": "absent"}}, "kube_proxy.ca_key"),
        (
            {"bootstrap": {"mode": "token-file", "token": {"file": "absent"}}},
            "bootstrap.token.file",
        ),
    ],
)
def test_a_missing_file_is_reported_with_the_key_that_names_it(
    tmp_path: Path, overrides: dict[str, object], key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(tmp_path, **overrides)
    messages = [problem for problem in caught.value.problems if problem.key == key]
    assert len(messages) == len(caught.value.problems) == 1
    assert messages[0].message.endswith((" does not exist", " is not a file"))
    assert messages[0].line


def test_a_key_that_is_not_used_need_not_be_there() -> None:
    assert make_config(kube_proxy={"ca_key": "absent"}).kube_proxy.signing == "csr"


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["images"], ["a.tar", "b.tar.gz"]),
        (["images/"], ["a.tar", "b.tar.gz"]),
        (["images/*.tar"], ["a.tar"]),
        (["images/?.tar*"], ["a.tar", "b.tar.gz"]),
        (["images/[b-z]*"], ["b.tar.gz", "notes.txt"]),
        (["images/b.tar.gz", "images"], ["b.tar.gz", "a.tar"]),
        (["images/[x].tar"], ["[x].tar"]),
        (["images/*.oci"], ["*.oci"]),
        (["none/*.tar"], ["*.tar"]),
        (["empty"], ["empty"]),
    ],
)
def test_a_folder_or_a_pattern_stands_for_its_archives(
    tmp_path: Path, images: list[str], names: list[str]
) -> None:
    for name in ("a.tar", "b.tar.gz", "notes.txt", ".hidden.txt"):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / name).touch()
    (tmp_path / "empty").mkdir()
    config = load(write_cluster(tmp_path, artifacts={"images": images}))
    assert [path.name for path in config.artifacts.images] == names


def test_a_folder_without_archives_is_named_before_a_deployment(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    path = write_cluster(tmp_path, artifacts={"images": ["empty", "none/*.tar"]})
    load(path)
    with pytest.raises(ConfigError) as caught:
        load(path, artifacts=True)
    texts = [problem.message for problem in caught.value.problems]
    assert f"{tmp_path}/empty holds no image archive" in texts
    assert f"{tmp_path}/none/*.tar does not exist" in texts


def test_artifacts_are_asked_for_only_by_what_deploys(tmp_path: Path) -> None:
    path = write_cluster(tmp_path, artifacts={"images": ["busybox.tar"]})
    assert load(path)
    with pytest.raises(ConfigError) as caught:
        load(path, artifacts=True)
    messages = str(caught.value).replace(f"{tmp_path}/", "")
    assert sorted(line.partition(": ")[2] for line in messages.splitlines()) == [
        "artifacts.binaries: artifacts/bin does not exist",
        "artifacts.cni_plugins: artifacts/cni does not exist",
        "artifacts.images[0]: busybox.tar does not exist",
        "calico.manifest: artifacts/calico.yaml does not exist; its makers publish it at"
        " https://raw.githubusercontent.com/projectcalico/calico/v3.28.5/manifests/calico.yaml",
    ]
    for name in ("bin", "cni"):
        (tmp_path / "artifacts" / name).mkdir(parents=True)
    (tmp_path / "artifacts" / "calico.yaml").touch()
    (tmp_path / "busybox.tar").touch()
    assert load(path, artifacts=True)


def test_paths_the_system_refuses_are_reported_not_raised(tmp_path: Path) -> None:
    path = write_cluster(tmp_path, cluster={"ca": "ca.pem/x", "kubeconfig": "a" * 300})
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert {
        problem.key: problem.message.partition(" ")[2] for problem in caught.value.problems
    } == {
        "cluster.ca": "can't be read: Not a directory",
        "cluster.kubeconfig": "can't be read: File name too long",
    }


SECRETS: dict[str, tuple[str, dict[str, Any]]] = {
    "cluster.kubeconfig": ("admin.kubeconfig", {}),
    "ssh.keys[0]": ("id", {"ssh": {"keys": ["id"]}}),
    "kube_proxy.ca_key": (
        "ca-key.pem",
        {"kube_proxy": {"signing": "local", "ca_key": "ca-key.pem"}},
    ),
}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
@pytest.mark.parametrize(("key", "name", "changes"), [(k, *v) for k, v in SECRETS.items()])
def test_a_key_that_others_can_read_is_refused(
    tmp_path: Path, key: str, name: str, changes: dict[str, Any], mode: int
) -> None:
    (tmp_path / "id").touch(0o600)
    path = write_cluster(tmp_path, **changes)
    load(path)
    (tmp_path / name).chmod(mode)
    with pytest.raises(ConfigError) as caught:
        load(path)
    messages = str(caught.value)
    assert f"{key}: {tmp_path / name}: others can read it" in messages
    assert f"chmod 600 {tmp_path / name}" in messages


def test_a_secret_in_a_folder_of_others_is_no_path_for_a_chmod(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    key = folder / "id"
    key.touch(0o644)
    key.chmod(0o644)
    assert file_checks.closed(key) == f"run `chmod 600 {key}`"
    folder.chmod(0o777)
    assert file_checks.closed(key).startswith("move it into a folder that nobody else can change")


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@x.com"])
def test_a_public_key_is_not_taken_for_its_private_one(tmp_path: Path, kind: str) -> None:
    (tmp_path / "id.pub").write_text(f"{kind} AAAA someone@somewhere\n")
    (tmp_path / "id.pub").chmod(0o644)
    with pytest.raises(
        ConfigError, match="is a public key; name its private key: the file without"
    ):
        load(write_cluster(tmp_path, ssh={"keys": ["id.pub"]}))


def test_with_another_kubeconfig_no_other_secret_has_to_be_readable(tmp_path: Path) -> None:
    path = write_cluster(tmp_path, ssh={"keys": ["nowhere"]})
    (tmp_path / "admin.kubeconfig").unlink()
    (tmp_path / "approver.kubeconfig").touch(0o600)
    config = load(path, kubeconfig=tmp_path / "approver.kubeconfig")
    assert config.cluster.kubeconfig == tmp_path / "approver.kubeconfig"
    with pytest.raises(ConfigError):
        load(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_etcds_key_is_checked_before_a_deployment(tmp_path: Path, mode: int) -> None:
    etcd = {"endpoints": ["https://192.0.2.1:2379"], "ca": "ca.pem", "cert": "ca.pem"}
    settings = {"datastore": "etcd", "etcd": {**etcd, "key": "etcd-key.pem"}}
    config = load(write_cluster(tmp_path, calico=settings))
    key = tmp_path / "etcd-key.pem"
    key.touch(0o600)
    keys = {where for where, _, _ in file_checks.artifacts(config.artifacts, config.calico)}
    assert ("calico", "etcd", "key") not in keys
    key.chmod(mode)
    found = {
        k: (text, fix) for k, text, fix in file_checks.artifacts(config.artifacts, config.calico)
    }
    text, fix = found["calico", "etcd", "key"]
    assert "others can read it" in text
    assert fix == f"run `chmod 600 {key}`"
