"""Getting to a node: host keys, logins, gateways, and what is reported when it fails."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fabnode.config.secret_prompts import LOGIN
from fabnode.ssh.connections import Access
from fabnode.ssh.errors import (
    AnsweredError,
    AuthenticationError,
    ChangedHostKeyError,
    ConnectionLostError,
    UnknownHostKeyError,
    UnreachableError,
)
from fabnode.ssh.host import Host
from fabnode.ssh.host_key_enrolment import enrol
from fabnode.ssh.transport import ServerRefusedError, Transport
from fabnode.util.errors import HostError

from .server import key

if TYPE_CHECKING:
    from fabnode.config.configuration import Node

    from .conftest import NodeOf, Reach, Serve
    from .server import Server


def open_host(node: Node, passwords: dict[tuple[str, str], str] | None = None) -> None:
    with Access(passwords) as access, Host(node, access) as host:
        host.open()


def test_an_unknown_host_key_is_refused_with_the_command_that_records_it(
    serve: Serve, node_of: NodeOf
) -> None:
    server = serve()
    with pytest.raises(UnknownHostKeyError, match=r"SHA256:.*`inv hosts\.trust --limit n1`"):
        open_host(node_of(server, known=()))
    assert server.commands == []


def test_a_changed_host_key_is_refused(serve: Serve, node_of: NodeOf) -> None:
    with pytest.raises(ChangedHostKeyError, match="someone may be intercepting"):
        open_host(node_of(serve(), known=("other",)))


def test_any_known_key_will_do_whatever_the_server_prefers(serve: Serve, node_of: NodeOf) -> None:
    server = serve(host_keys=("host", "rsa-host"))
    open_host(node_of(server, known=("rsa-host",)))


def test_of_two_known_kinds_the_server_may_have_either(serve: Serve, node_of: NodeOf) -> None:
    # paramiko alone compares with the first known kind only.
    server = serve(host_keys=("rsa-host",))
    node = node_of(server, known=("host", "rsa-host"))
    lines = Path(node.ssh.known_hosts[0]).read_text()
    assert lines.index("ecdsa") < lines.index("ssh-rsa")
    open_host(node)


def test_a_key_the_server_does_not_take(serve: Serve, node_of: NodeOf) -> None:
    with pytest.raises(AuthenticationError, match=r"check ssh\.user and ssh\.keys"):
        open_host(node_of(serve(users=("somebody",))))


def test_a_password_lets_in_where_no_key_does(serve: Serve, node_of: NodeOf) -> None:
    server = serve(users=(), password="letmein")
    open_host(node_of(server), {("n1", LOGIN): "letmein"})


def test_no_way_to_log_in_at_all(serve: Serve, node_of: NodeOf) -> None:
    with pytest.raises(AuthenticationError):
        open_host(node_of(serve(), keys=[]))


def test_nobody_listens(serve: Serve, node_of: NodeOf) -> None:
    server = serve()
    server.close()
    with pytest.raises(AnsweredError, match=r"connection refused.*check that its SSH server runs"):
        open_host(node_of(server))


def test_something_else_than_ssh_listens(serve: Serve, node_of: NodeOf) -> None:
    server = serve()
    node = node_of(server, connect_timeout=1)
    server.close()
    listener = socket.create_server(("127.0.0.1", server.port))
    with listener, pytest.raises(UnreachableError, match="no SSH connection"):
        open_host(node)


def test_a_server_that_never_greets_has_not_hung_up() -> None:
    """Whichever of the two time-outs ends first, paramiko's thread's or the caller's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = Transport(ours)
        transport.banner_timeout = 0.2
        with pytest.raises(paramiko.SSHException, match="SSH protocol banner") as caught:
            transport.start_client(timeout=10)
        transport.close()
    assert not isinstance(caught.value, ServerRefusedError)


def test_a_node_behind_a_gateway(serve: Serve, node_of: NodeOf) -> None:
    gateway, server = serve(host_keys=("gateway",)), serve()
    node = node_of(server, gateway=f"root@127.0.0.1:{gateway.port}")
    with pytest.raises(
        UnknownHostKeyError, match=rf"the gateway \[127\.0\.0\.1\]:{gateway.port} is unknown"
    ):
        open_host(node)
    trust_also(node, gateway)
    with Access() as access, Host(node, access) as host:
        assert host.root("echo through").stdout == b"through\n"


def trust_also(node: Node, server: Server) -> None:
    name = server.behaviour.host_keys[0]
    with Path(node.ssh.known_hosts[0]).open("a") as file:
        file.write(f"[127.0.0.1]:{server.port} {key(name).get_name()} {key(name).get_base64()}\n")


def test_many_nodes_share_one_connection_to_their_gateway(serve: Serve, node_of: NodeOf) -> None:
    gateway, server = serve(), serve()
    node = node_of(server, gateway=f"root@127.0.0.1:{gateway.port}")
    trust_also(node, gateway)
    answers = []

    def work(access: Access) -> None:
        with Host(node, access) as host:
            answers.append(host.root("echo hi").stdout)

    with Access() as access:
        threads = [threading.Thread(target=work, args=(access,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [b"hi\n"] * 8
    assert len(gateway.transports) == 1
    assert len(server.transports) == 8


def test_a_gateway_is_checked_for_each_node_that_trusts_other_keys(
    serve: Serve, node_of: NodeOf
) -> None:
    """A node's own known_hosts decide whom its secrets pass, whichever node came first."""
    gateway, server = serve(host_keys=("gateway",)), serve()
    first = node_of(server, gateway=f"root@127.0.0.1:{gateway.port}")
    trust_also(first, gateway)
    own = Path(first.ssh.known_hosts[0]).with_name("own")
    own.write_text(
        f"[127.0.0.1]:{server.port} {key('host').get_name()} {key('host').get_base64()}\n"
    )
    second = replace(first, name="n2", ssh=first.ssh.model_copy(update={"known_hosts": [own]}))
    with Access() as access, Host(first, access) as host, Host(second, access) as other:
        host.open()
        with pytest.raises(UnknownHostKeyError, match=r"the gateway .* is unknown"):
            other.open()
    assert len(server.transports) == 1


def test_a_silent_gateway_costs_all_who_wait_for_it_one_time_limit(
    serve: Serve, node_of: NodeOf
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"root@127.0.0.1:{silent.getsockname()[1]}"
        node = node_of(serve(), gateway=address, connect_timeout=1)
        start = threading.Barrier(5)
        failures = []

        def work(access: Access) -> None:
            start.wait(10)
            try:
                Host(node, access).open()
            except UnreachableError as error:
                failures.append(str(error))

        with Access() as access:
            threads = [threading.Thread(target=work, args=(access,)) for _ in range(5)]
            for thread in threads:
                thread.start()
            began = time.monotonic()
            for thread in threads:
                thread.join()
        assert time.monotonic() - began < 3.5  # five limits one after the other are 5 s
    assert len(failures) == 5
    assert all(text.startswith(f"the gateway [127.0.0.1]:{address[-5:]}") for text in failures)


def test_a_refused_connection_leaves_nothing_open(serve: Serve, node_of: NodeOf) -> None:
    node = node_of(serve(), known=())
    with pytest.raises(UnknownHostKeyError):
        open_host(node)
    deadline = time.monotonic() + 5
    while any(
        isinstance(t, paramiko.Transport) and not t.server_mode for t in threading.enumerate()
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_known_hosts_that_cannot_be_read(serve: Serve, node_of: NodeOf, tmp_path: Path) -> None:
    node = node_of(serve(), known_hosts=[str(tmp_path)])
    with pytest.raises(HostError, match=r"Is a directory; check ssh\.known_hosts"):
        open_host(node)


def write_config(folder: Path, text: str) -> None:
    (folder / "home" / ".ssh").mkdir(exist_ok=True)
    (folder / "home" / ".ssh" / "config").write_text(text)


def test_an_ssh_configuration_that_cannot_be_read(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    server = serve()
    write_config(tmp_path, "Host *\n  Nonsense\n")
    with pytest.raises(HostError, match=r"~/\.ssh/config, for 127\.0\.0\.1: .*line 2: .*nonsense"):
        open_host(node_of(server))


def test_a_value_that_ssh_alone_understands(serve: Serve, node_of: NodeOf, tmp_path: Path) -> None:
    write_config(tmp_path, "Host *\n  ForwardAgent /run/agent\n")
    open_host(node_of(serve()))


def test_the_users_ssh_configuration_counts_where_ours_is_silent(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    server = serve(users=("fromconfig",))
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir()
    (folder / "config").write_text("Host 127.0.0.1\n  User fromconfig\n")
    open_host(node_of(server))  # ssh.user is not set, its default yields
    with pytest.raises(AuthenticationError):
        open_host(node_of(server, user="root"))


@pytest.mark.parametrize("user", ["DOM\\user", "user@dom.example", "a%b"])
def test_names_of_a_directory_log_in(
    serve: Serve, node_of: NodeOf, tmp_path: Path, user: str
) -> None:
    write_config(tmp_path, "Host *\n  Port 1\n")
    open_host(node_of(serve(users=(user,)), user=user, sudo_password={"env": "HOME"}))


def test_jump_hosts_are_gone_through_in_the_order_of_openssh(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    """Fabric alone takes them the other way round."""
    first, second, server = serve(host_keys=("first",)), serve(host_keys=("second",)), serve()
    write_config(
        tmp_path,
        f"Host one\n  HostName 127.0.0.1\n  User root\n  Port {first.port}\n  HostKeyAlias one\n"
        f"Host 127.0.0.1\n  ProxyJump one,root@127.0.0.1:{second.port}\n",
    )
    node = node_of(server)
    trust_also(node, second)
    with Path(node.ssh.known_hosts[0]).open("a") as file:
        file.write(f"one {key('first').get_name()} {key('first').get_base64()}\n")
    with Access() as access, Host(node, access) as host:
        assert host.root("echo through").stdout == b"through\n"
    assert first.forwarded == [("127.0.0.1", second.port)]
    assert second.forwarded == [("127.0.0.1", server.port)]


@pytest.mark.parametrize("exception", ["ProxyJump none", "ProxyCommand none"])
def test_none_is_no_jump_host(
    serve: Serve, node_of: NodeOf, tmp_path: Path, exception: str
) -> None:
    write_config(tmp_path, f"Host 127.*\n  {exception}\nHost *\n  ProxyJump nowhere.invalid\n")
    open_host(node_of(serve()))


def test_a_pattern_that_covers_its_own_jump_host(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    """OpenSSH refuses it, too; a gateway in fabnode's configuration wins over it."""
    gateway, server = serve(), serve()
    write_config(tmp_path, f"Host *\n  ProxyJump 127.0.0.1:{gateway.port}\n")
    node = node_of(server)
    with pytest.raises(HostError, match=r"jump ?host loop via 127"):
        open_host(node)
    node = node_of(server, gateway=f"root@localhost:{gateway.port}")
    with pytest.raises(HostError, match=r"jump ?host loop via 127"):
        open_host(node)
    write_config(tmp_path, f"Host 127.*\n  ProxyJump 127.0.0.1:{gateway.port}\n")
    with Path(node.ssh.known_hosts[0]).open("a") as file:
        known = key("host")
        file.write(f"[localhost]:{gateway.port} {known.get_name()} {known.get_base64()}\n")
    open_host(node)
    assert gateway.forwarded == [("127.0.0.1", server.port)]


def test_a_jump_host_whose_name_is_made_of_the_hosts(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    """Where the pattern covers the jump host as well, each has another one, without end."""
    node = node_of(serve())
    write_config(tmp_path, "Host *\n  ProxyJump gw-%h\n")
    with pytest.raises(HostError, match=r"jump host loop via gw-gw-"):
        open_host(node)


def test_a_proxy_command_is_a_line_for_a_shell(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    server, far = serve(), serve()
    relay = (
        "import socket,sys,threading,os;s=socket.create_connection((sys.argv[1],int(sys.argv[2])));"
        "threading.Thread(target=lambda:[os.write(1,d) for d in iter(lambda:s.recv(9999),b'')],"
        "daemon=True).start();[s.sendall(d) for d in iter(lambda:os.read(0,9999),b'')]"
    )
    (tmp_path / "relay.py").write_text(relay)
    command = f"{sys.executable} {tmp_path}/relay.py %h %p 2>/dev/null"
    write_config(tmp_path, f"Host *\n  ProxyCommand {command}\n")
    open_host(node_of(server))
    assert len(server.transports) == 1
    assert far.transports == []


def test_known_hosts_and_aliases_of_the_ssh_configuration(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    server = serve()
    known = key("host")
    (tmp_path / "second").write_text(f"the-host {known.get_name()} {known.get_base64()}\n")
    files = f"UserKnownHostsFile {tmp_path}/none-there {tmp_path}/second"
    write_config(tmp_path, f"Host *\n  {files}\n  HostKeyAlias the-host\n")
    open_host(node_of(server, known_hosts=[]))
    write_config(tmp_path, f"Host *\n  {files}\n  HostKeyAlias other\n")
    with pytest.raises(UnknownHostKeyError, match="the host key of other is unknown"):
        open_host(node_of(server, known_hosts=[]))


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Add keys to a real agent: by name; returns the file of the public half."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)

    def add(name: str) -> Path:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        file = tmp_path / f"{name}.key"
        key(name).write_private_key_file(str(file))
        subprocess.run(["ssh-add", "-q", str(file)], check=True, capture_output=True)
        public = file.with_suffix(".pub")
        public.write_text(f"{key(name).get_name()} {key(name).get_base64()} x\n")
        file.unlink()
        return public

    yield add
    process.terminate()
    process.wait(10)


def test_identities_only_keeps_other_keys_of_the_agent_to_itself(
    serve: Serve, node_of: NodeOf, tmp_path: Path, agent: Callable[[str], Path]
) -> None:
    for name in ("a", "b", "c"):
        agent(name)
    public = agent("user")
    server = serve()
    write_config(tmp_path, f"Host *\n  IdentitiesOnly yes\n  IdentityFile {public}\n")
    open_host(node_of(server, keys=[]))
    assert set(server.offered) == {key("user")}


def certify(file: Path, ca: Path) -> Path:
    """Have a CA, made where it is missing, certify a key; return the certificate beside it."""
    if not ca.exists():
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", ca], check=True)
    public = str(file.with_suffix(".pub"))
    subprocess.run(["ssh-keygen", "-qs", ca, "-I", "me", "-n", "root", public], check=True)
    return file.with_name(f"{file.stem}-cert.pub")


@pytest.mark.parametrize("option", ["", "CertificateFile {other}\n  CertificateFile {own}"])
def test_a_certificate_is_offered_with_its_own_key_and_then_the_key_alone(
    serve: Serve, node_of: NodeOf, tmp_path: Path, option: str
) -> None:
    """For it may have expired, where the plain key is still let in."""
    server = serve(certificates=False)
    node = node_of(server, keys=[])
    held = {}
    for name in ("user", "another"):
        file = tmp_path / name
        key(name).write_private_key_file(str(file))
        file.with_suffix(".pub").write_text(f"{key(name).get_name()} {key(name).get_base64()} x\n")
        held[name] = certify(file, tmp_path / "ca")
        if option:
            held[name] = held[name].rename(tmp_path / f"{name}.certificate")
    option = option.format(own=held["user"], other=held["another"])
    write_config(tmp_path, f"Host *\n  IdentityFile {tmp_path}/user\n  {option}\n")
    open_host(node)
    assert [bool(offered.public_blob) for offered in server.offered] == [True, False]
    assert set(server.offered) == {key("user")}


def test_a_key_of_the_agent_is_offered_with_the_certificate_of_its_file(
    serve: Serve, node_of: NodeOf, tmp_path: Path, agent: Callable[[str], Path]
) -> None:
    public = agent("user")
    certify(public, tmp_path / "ca")
    server = serve()
    write_config(tmp_path, f"Host *\n  IdentitiesOnly yes\n  IdentityFile {public}\n")
    open_host(node_of(server, keys=[]))
    assert [bool(offered.public_blob) for offered in server.offered] == [True]


@pytest.mark.parametrize("password", [None, "secret"])
def test_keys_of_openssl_are_read(
    serve: Serve, node_of: NodeOf, tmp_path: Path, password: str | None
) -> None:
    """PKCS#8, encrypted as well, and with the parameters of the curve before the key."""
    held = load_pem_private_key(as_text("user").encode(), None)
    hidden = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    block = held.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    file = tmp_path / "key.pem"
    file.write_bytes(parameters + block)
    file.chmod(0o600)
    passwords = {("n1", LOGIN): password} if password else None
    open_host(node_of(serve(), keys=[str(file)]), passwords)


def as_text(name: str) -> str:
    text = StringIO()
    key(name).write_private_key(text)
    return text.getvalue()


def test_an_account_that_may_not_log_in_is_named_with_the_reason(
    serve: Serve, node_of: NodeOf
) -> None:
    server = serve(barred="System going down for maintenance")
    with pytest.raises(AuthenticationError, match=r"login: System going down .*; its sshd's jour"):
        open_host(node_of(server))


def test_an_agent_may_be_named_or_ruled_out(
    serve: Serve,
    node_of: NodeOf,
    tmp_path: Path,
    agent: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent("user")
    server = serve()
    write_config(tmp_path, "Host *\n  IdentityAgent none\n")
    with pytest.raises(AuthenticationError, match="there is none; check"):
        open_host(node_of(server, keys=[]))
    monkeypatch.delenv("SSH_AUTH_SOCK")
    write_config(tmp_path, f"Host *\n  IdentityAgent {tmp_path}/agent\n")
    open_host(node_of(server, keys=[]))


def test_an_encrypted_key_is_named(serve: Serve, node_of: NodeOf, tmp_path: Path) -> None:
    path = tmp_path / "locked"
    key("user").write_private_key_file(str(path), password="secret")
    with pytest.raises(AuthenticationError, match=r"locked is encrypted: run `ssh-add .*locked`"):
        open_host(node_of(serve(), keys=[str(path)]))
    open_host(node_of(serve(), keys=[str(path)]), {("n1", LOGIN): "secret"})


SK = """-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAASgAAABpzay1zc2gtZWQyNTUxOUBvcGVuc3NoLmNv
-----END OPENSSH PRIVATE KEY-----
"""


def test_a_fido_key_that_is_in_no_agent_is_named(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    path = tmp_path / "id_ed25519_sk"
    path.write_text(SK)
    path.chmod(0o600)
    kind = b"sk-ssh-ed25519@openssh.com"
    blob = len(kind).to_bytes(4, "big") + kind + bytes(40)
    public = base64.b64encode(blob).decode()
    path.with_name("id_ed25519_sk.pub").write_text(f"{kind.decode()} {public} me\n")
    with pytest.raises(AuthenticationError, match=r"id_ed25519_sk is a FIDO key: run `ssh-add"):
        open_host(node_of(serve(), keys=[str(path)]))


@pytest.mark.parametrize("prompt", ["Password: ", "(ops@n1) Kennwort: ", "密码："])
def test_a_password_that_is_asked_after_the_key_is_given_once(
    serve: Serve, node_of: NodeOf, prompt: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(asks=(prompt,), answer="pw")
    open_host(node_of(server), {("n1", LOGIN): "pw"})
    assert server.passwords == ["pw"]
    server = serve(asks=(prompt,), answer="other")
    with pytest.raises(AuthenticationError):
        open_host(node_of(server), {("n1", LOGIN): "pw"})
    assert server.passwords == ["pw"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("asks", "password", "message"),
    [
        (("Verification code: ",), "pw", "second factor .*Verification code:.* with a key alone"),
        (("One-time password (OTP): ",), "pw", "second factor .*One-time password"),
        (("Password: ", "Code: "), "pw", "second factor .*Password"),
        (("Password: ",), None, "second factor .*Password:; set ssh.password"),
    ],
)
def test_a_second_factor_is_named_and_nothing_is_sent_or_printed(
    serve: Serve,
    node_of: NodeOf,
    asks: tuple[str, ...],
    password: str | None,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = serve(asks=asks, answer="x")
    passwords = {("n1", LOGIN): password} if password else {}
    with pytest.raises(AuthenticationError, match=message):
        open_host(node_of(server), passwords)
    assert server.passwords == []
    assert capsys.readouterr().out == ""


def test_a_server_that_asks_for_the_password_interactively(serve: Serve, node_of: NodeOf) -> None:
    server = serve(users=(), asks=("Password: ",), answer="pw")
    open_host(node_of(server), {("n1", LOGIN): "pw"})
    assert server.passwords == ["pw"]


@pytest.mark.parametrize(
    ("greeting", "message"),
    [
        (b"Exceeded MaxStartups\r\n", "no more logins at once .MaxStartups.*raise the limit"),
        (b"Not allowed at this time\r\n", "PerSourcePenalties.*PerSourcePenaltyExemptList"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not an SSH server: HTTP/1.1 400 Bad Request"),
        (b"", "hung up before its greeting; .*hosts.deny"),
    ],
)
def test_a_server_that_lets_nobody_try_says_why(
    serve: Serve, node_of: NodeOf, greeting: bytes, message: str
) -> None:
    node = node_of(serve(greeting=greeting))
    with pytest.raises(UnreachableError, match=message):
        open_host(node)
    with pytest.raises(UnreachableError, match=message):
        enrol(Access(), node_of(serve(greeting=greeting), known=()), lambda _: True)


@pytest.mark.parametrize(
    ("kind", "names", "title"),
    [
        ("kex", ("diffie-hellman-group-exchange-sha1",), "key exchange"),
        ("ciphers", ("arcfour",), "cipher"),
        ("macs", ("hmac-none",), "MAC"),
    ],
)
def test_nothing_in_common_names_what_the_server_offers(
    serve: Serve, node_of: NodeOf, kind: str, names: tuple[str, ...], title: str
) -> None:
    server = serve(algorithms={kind: names})
    with pytest.raises(
        UnreachableError, match=f"no {title} in common; the server offers {names[0]}"
    ):
        open_host(node_of(server))


def test_a_server_that_takes_few_keys_only(
    serve: Serve, node_of: NodeOf, agent: Callable[[str], Path]
) -> None:
    for name in ("a", "b", "c"):
        agent(name)
    with pytest.raises(AuthenticationError, match=r"first 2 keys .*MaxAuthTries.*IdentitiesOnly"):
        open_host(node_of(serve(most_keys=2), keys=[]))


def test_a_server_that_opens_no_session(serve: Serve, node_of: NodeOf) -> None:
    with (
        Access() as access,
        Host(node_of(serve(sessions=False)), access) as host,
        pytest.raises(ConnectionLostError, match=r"no further session.*raise MaxSessions"),
    ):
        host.root("true")


def test_a_gateway_that_forbids_forwarding(serve: Serve, node_of: NodeOf) -> None:
    gateway, server = serve(forward=False), serve()
    node = node_of(server, gateway=f"root@127.0.0.1:{gateway.port}")
    trust_also(node, gateway)
    with pytest.raises(UnreachableError, match=r"the gateway forbids .*; .*PermitOpen"):
        open_host(node)


def test_an_idle_connection_wakes_seldom(reach: Reach) -> None:
    """A thread of each checks for its end; of hundreds that are idle these checks are work."""
    host, _ = reach()
    assert host.root("true").code == 0
    transport = host._transport()
    assert isinstance(transport.sock, socket.socket)
    assert transport.sock.gettimeout() == 1.0
