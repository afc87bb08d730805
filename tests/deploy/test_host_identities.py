"""Hosts are asked who they are over real SSH, where their keys are known, within a time limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.config.host_list import Host
from fabnode.deploy.host_identities import identities, login_settings
from fabnode.ssh.host import Host as Connected
from tests.ssh.conftest import serve as serve  # a fixture
from tests.ssh.server import key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fabnode.config.sections import SshSettings
    from tests.ssh.conftest import Serve

LOCAL = Host("n1", "127.0.0.1")


@pytest.fixture
def login(tmp_path: Path) -> Callable[..., SshSettings]:
    """Return a maker of settings, with what ssh knows of servers."""

    def make(server: Any, *known: str, user: str = "", keys: bool = True) -> SshSettings:
        lines = [
            f"[127.0.0.1]:{server.port} {key(name).get_name()} {key(name).get_base64()}\n"
            for name in known
        ]
        (tmp_path / "known_hosts").write_text("".join(lines))
        key("user").write_private_key_file(str(tmp_path / "id"))
        made = login_settings(
            user, str(tmp_path / "id") if keys else "", str(tmp_path / "known_hosts")
        )
        return made.model_copy(update={"port": server.port})

    return make


def names(server: Any) -> tuple[str, ...]:
    return tuple(server.behaviour.host_keys)


def test_a_host_whose_key_is_known_reports_itself_as_whoever_logs_in(
    serve: Serve, login: Callable[..., SshSettings]
) -> None:
    server = serve()
    found = identities([LOCAL], login(server, *names(server), user="ops"))
    assert found.unasked == {}
    assert found.found["n1"].architecture in ("amd64", "arm64")
    assert all("sudo" not in command for command in server.commands)


def test_a_host_whose_key_nobody_knows_is_not_connected_to(
    serve: Serve, login: Callable[..., SshSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setattr(Connected, "open", None)
    found = identities([LOCAL], login(server))
    assert (found.found, found.unasked) == ({}, {"n1": "ssh does not know the host key"})
    assert server.commands == []


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"noise": b"x" * 100_000}, "its login shell prints too much"),
        ({"noise": b"Welcome!\n"}, ""),
        ({"starts": False}, "its sshd starts no command for the login user"),
        ({"sessions": False}, "its sshd opens no further session"),
        ({"greeting": b"Exceeded MaxStartups\r\n"}, "its sshd takes no more logins at once"),
        ({"key": "another"}, "rejects the user with these keys"),
    ],
)
def test_what_a_host_does_wrong_is_named_and_no_failure(
    serve: Serve, login: Callable[..., SshSettings], behaviour: dict[str, Any], reason: str
) -> None:
    server = serve(**behaviour)
    found = identities([LOCAL], login(server, *names(server)))
    assert reason in found.unasked.get("n1", "")
    assert bool(reason) == bool(found.unasked)


def test_a_key_that_changed_and_a_login_that_is_refused_are_named(
    serve: Serve, login: Callable[..., SshSettings]
) -> None:
    server = serve()
    changed = identities([LOCAL], login(server, "another"))
    assert changed.found == {}
    assert "host key" in changed.unasked["n1"]
    refused = identities([LOCAL], login(server, *names(server), keys=False))
    assert refused.found == {}
    assert "no key" in refused.unasked["n1"]


def test_a_host_that_is_down_is_named(serve: Serve, login: Callable[..., SshSettings]) -> None:
    server = serve()
    settings = login(server, *names(server))
    server.close()
    found = identities([LOCAL, Host("n2", "192.0.2.12")], settings)
    assert found.found == {}
    assert "refused" in found.unasked["n1"]
    assert found.unasked["n2"] == "ssh does not know the host key"


def test_a_host_that_hangs_holds_nobody_up(
    serve: Serve, login: Callable[..., SshSettings], tmp_path: Path
) -> None:
    shell = tmp_path / "shell"
    shell.write_text("#!/bin/sh\nexec sleep 20\n")
    shell.chmod(0o755)
    server = serve(shell=str(shell))
    began = time.monotonic()
    found = identities([LOCAL], login(server, *names(server)), seconds=1)
    assert time.monotonic() - began < 15
    assert found.unasked == {"n1": "there was no answer within 1 s"}


def test_a_jump_host_whose_key_nobody_knows_is_named(
    serve: Serve, login: Callable[..., SshSettings]
) -> None:
    gateway, server = serve(), serve()
    settings = login(server, *names(server))
    behind = settings.model_copy(update={"gateway": f"ops@127.0.0.1:{gateway.port}"})
    found = identities([LOCAL], behind)
    name = f"[127.0.0.1]:{gateway.port}"
    assert found.unasked == {"n1": f"ssh does not know the host key of {name}, on the way"}
