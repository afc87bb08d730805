"""The control plane's commands and certificates, as far as no process is needed."""

from __future__ import annotations

import ssl
import stat
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab import configuration, controlplane, pki, versions
from lab.errors import LabError
from lab.layout import MAX_CONTROL_PLANES, Layout


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    folder = tmp_path_factory.mktemp("lab")
    layout = Layout("t", folder, IPv4Network("10.99.9.0/24"))
    pki.make(layout)
    return layout


def certificate(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((layout.pki / f"{name}.pem").read_bytes())


def commands(layout: Layout, release: str = versions.KUBERNETES) -> dict[str, list[str]]:
    return controlplane.commands(layout, Path("/e"), Path("/k"), release)


def test_nothing_listens_beyond_the_lab_s_own_bridge(layout: Layout) -> None:
    for words in commands(layout).values():
        listening = [w for w in words if w.startswith(("--bind-address", "--listen-"))]
        assert listening
        assert all("10.99.9.1" in word for word in listening)


def test_old_components_do_not_listen_without_tls(layout: Layout) -> None:
    for name in ("kube-controller-manager", "kube-scheduler"):
        assert "--port=0" in commands(layout, "1.20.2")[name]
        assert "--port=0" not in commands(layout)[name]  # gone since 1.24: it would not start


def test_every_file_a_command_names_is_made(layout: Layout) -> None:
    for words in commands(layout).values():
        for word in words[1:]:
            path = Path(word.partition("=")[2])
            if path.is_relative_to(layout.pki) and path.suffix != ".kubeconfig":
                assert path.exists(), word


def test_secrets_are_the_owner_s_alone(layout: Layout) -> None:
    keys = list(layout.pki.glob("*key*"))
    assert len(keys) > 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert stat.S_IMODE(layout.pki.stat().st_mode) == 0o700


def test_the_token_file_knows_the_chapter_s_one_user(layout: Layout) -> None:
    token = layout.bootstrap_token.read_text().strip()
    line = layout.token_file.read_text().strip()
    assert line == f'{token},kubelet-bootstrap,10001,"system:kubelet-bootstrap"'
    assert len(token) == 32
    for path in (layout.bootstrap_token, layout.token_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_identities_are_those_kubernetes_authorises(layout: Layout) -> None:
    def names(file: str) -> tuple[str, list[str]]:
        subject = certificate(layout, file).subject
        organizations = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return str(common), [str(each.value) for each in organizations]

    assert names("controller-manager") == ("system:kube-controller-manager", [])
    assert names("scheduler") == ("system:kube-scheduler", [])
    assert names("admin")[1] == ["system:masters"]


def test_the_api_server_is_valid_for_all_its_names_and_addresses(layout: Layout) -> None:
    names = certificate(layout, "apiserver").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert "kubernetes.default.svc.cluster.local" in names.value.get_values_for_type(x509.DNSName)
    addresses = {str(ip) for ip in names.value.get_values_for_type(x509.IPAddress)}
    assert {"10.99.9.1", "10.68.0.1", "127.0.0.1"} <= addresses


def test_client_certificates_serve_nobody(layout: Layout) -> None:
    usages = certificate(layout, "admin").extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usages.value) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_cluster_s_certificates_open_no_etcd(layout: Layout) -> None:
    etcd_ca, admin = certificate(layout, "etcd-ca"), certificate(layout, "admin")
    admin.verify_directly_issued_by(certificate(layout, "ca"))
    certificate(layout, "apiserver-etcd-client").verify_directly_issued_by(etcd_ca)
    with pytest.raises(ValueError, match=r"(?i)issuer"):
        admin.verify_directly_issued_by(etcd_ca)


def test_openssl_takes_the_chains_at_its_strictest(layout: Layout) -> None:
    """Python 3.13 and Go check what RFC 5280 asks for; so does this flag."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_verify_locations(layout.pki / "ca.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(layout.pki / "apiserver.pem", layout.pki / "apiserver-key.pem")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = context.wrap_bio(to_client, to_server, server_hostname="10.99.9.1")
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client_side.version() == "TLSv1.3"
    assert client_side.getpeercert()


def test_making_twice_changes_nothing(layout: Layout) -> None:
    before = {path.name: path.read_bytes() for path in layout.pki.iterdir()}
    pki.make(layout)
    assert {path.name: path.read_bytes() for path in layout.pki.iterdir()} == before


def test_a_kubeconfig_stands_alone(layout: Layout) -> None:
    whole = yaml.safe_load(configuration.kubeconfig(layout, "admin"))
    assert whole["clusters"][0]["cluster"]["server"] == "https://10.99.9.1:6443"
    assert str(layout.folder) not in str(whole)


def test_a_lab_that_lacks_a_certificate_is_named_in_a_sentence(tmp_path: Path) -> None:
    older = Layout("t", tmp_path, IPv4Network("10.99.9.0/24"))
    with pytest.raises(LabError, match=r"made by other code; take it down first \(`inv lab.down`"):
        controlplane.ready(older)


def test_several_api_servers_have_addresses_names_and_logs_of_their_own(layout: Layout) -> None:
    wanted = controlplane.commands(layout, Path("/e"), Path("/k"), versions.KUBERNETES, 3)
    assert list(wanted) == list(controlplane.components(3))
    of_their_own = ("--bind-address=", "--advertise-address=", "--audit-log-path=")
    servers = [wanted[name] for name in controlplane.apiserver_names(3)]
    for flag in of_their_own:
        assert len({w for words in servers for w in words if w.startswith(flag)}) == 3
    etcd = {w for words in servers for w in words if w.startswith("--etcd-servers=")}
    assert len(etcd) == 1
    names = certificate(layout, "apiserver").extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert set(layout.control_planes(3)) <= set(names.value.get_values_for_type(x509.IPAddress))


def test_no_host_has_an_api_servers_address(layout: Layout) -> None:
    servers = layout.control_planes(MAX_CONTROL_PLANES)
    assert len(set(servers)) == MAX_CONTROL_PLANES
    hosts = {host.address for host in (*layout.nodes(200), layout.jump())}
    assert not hosts & set(servers)
