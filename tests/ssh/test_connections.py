"""Getting to a node: host keys, logins, gateways, and what is said when it fails."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest

from fabnode.ssh.connections import Access
from fabnode.ssh.errors import (
    AuthenticationError,
    ChangedHostKeyError,
    HostError,
    UnknownHostKeyError,
    UnreachableError,
)
from fabnode.ssh.host import Host
from fabnode.ssh.secret_prompts import LOGIN

if TYPE_CHECKING:
    from fabnode.config.cluster import Node

    from .conftest import NodeOf, Serve
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
    with pytest.raises(UnreachableError, match=r"connection refused.*check that the host is on"):
        open_host(node_of(server))


def test_something_else_than_ssh_listens(serve: Serve, node_of: NodeOf) -> None:
    server = serve()
    node = node_of(server, connect_timeout=1)
    server.close()
    listener = socket.create_server(("127.0.0.1", server.port))
    with listener, pytest.raises(UnreachableError, match="no SSH connection"):
        open_host(node)


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
    from .server import key

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


def test_an_ssh_configuration_that_cannot_be_read(serve: Serve, tmp_path: Path) -> None:
    serve()  # a home folder of our own
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir()
    (folder / "config").write_text("Host *\n  Nonsense\n")
    with pytest.raises(HostError, match=r"~/\.ssh/config can't be read: Unparsable line Nonsense"):
        Access()


def test_a_value_that_ssh_reads_and_fabric_does_not(
    serve: Serve, node_of: NodeOf, tmp_path: Path
) -> None:
    """The node fails with the file's name, not with a traceback."""
    node = node_of(serve())
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir()
    (folder / "config").write_text("Host *\n  ForwardAgent /run/agent\n")
    with pytest.raises(
        HostError, match=r"~/\.ssh/config has a value for 127\.0\.0\.1 .*/run/agent"
    ):
        open_host(node)


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
