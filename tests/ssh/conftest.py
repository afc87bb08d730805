from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fabnode.config.configuration import Node
from fabnode.config.secret_prompts import LOGIN, SUDO
from fabnode.ssh.connections import Access
from fabnode.ssh.host import Host

from ..support import make_config
from .server import Behaviour, Server, key

Serve = Callable[..., Server]
NodeOf = Callable[..., Node]
Reach = Callable[..., tuple[Host, Server]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Serve]:
    """Start SSH servers, with a home folder that holds none of the developer's own settings."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "home").mkdir()
    servers: list[Server] = []

    def start(**behaviour: Any) -> Server:
        servers.append(Server(Behaviour(**behaviour)))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def node_of(tmp_path: Path) -> NodeOf:
    """Return the node that a server stands for; its host keys are known unless told otherwise."""

    def make(server: Server, *, known: tuple[str, ...] | None = None, **ssh: object) -> Node:
        files = tmp_path / "conf"
        files.mkdir(exist_ok=True)
        key("user").write_private_key_file(str(files / "id"))
        lines = [
            f"[127.0.0.1]:{server.port} {key(name).get_name()} {key(name).get_base64()}\n"
            for name in (server.behaviour.host_keys if known is None else known)
        ]
        (files / "known_hosts").write_text("".join(lines))
        settings = {
            "port": server.port,
            "keys": [str(files / "id")],
            "known_hosts": [str(files / "known_hosts")],
            "connect_timeout": 5,
            **ssh,
        }
        nodes = [{"name": "n1", "address": "127.0.0.1", "ssh": settings}]
        return make_config(files, nodes=nodes).nodes[0]

    return make


@pytest.fixture
def reach(serve: Serve, node_of: NodeOf) -> Iterator[Reach]:
    """Return a host and its server: `reach(user="ops", sudo_password="x", noise=b"hi")`."""
    opened: list[tuple[Host, Access]] = []

    def make(
        user: str = "root",
        password: str | None = None,
        sudo_password: str | None = None,
        connect_timeout: int = 5,
        **behaviour: object,
    ) -> tuple[Host, Server]:
        server = serve(**behaviour)
        passwords = {("n1", LOGIN): password, ("n1", SUDO): sudo_password}
        access = Access({k: v for k, v in passwords.items() if v is not None})
        host = Host(node_of(server, user=user, connect_timeout=connect_timeout), access)
        opened.append((host, access))
        return host, server

    yield make
    for host, access in opened:
        host.close()
        access.close()
