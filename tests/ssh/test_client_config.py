"""What ~/.ssh/config says of a host is what ssh itself says."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fabnode.ssh import client_config
from fabnode.ssh.client_config import (
    HONOURED,
    IDLE,
    REFUSED,
    ClientConfig,
    ClientConfigError,
    HostOptions,
    local_user,
    split_jump,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home folder without an ssh configuration, the system's out of sight."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(client_config, "_SYSTEM", tmp_path / "system")
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def options(home: Path, text: str, host: str = "n1", **more: Any) -> HostOptions:
    (home / ".ssh" / "config").write_text(text)
    return ClientConfig().options(host, **more)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"host": "n1", "port": 22, "user": None, "jumps": (), "proxy_command": ""}),
        ("Host n1\n HostName 192.0.2.1\n Port 2222\n User me", {"host": "192.0.2.1", "user": "me"}),
        ("Host n1\n HostName %h.example", {"host": "n1.example", "alias": "n1"}),
        ("Host *\n ProxyJump none\nHost n*\n ProxyJump j", {"jumps": ()}),
        ("Host *\n ProxyCommand none\nHost n*\n ProxyJump j", {"jumps": ()}),
        ("Host *\n ProxyJump a,b@c:22", {"jumps": ("a", "b@c:22")}),
        ("HostName %h.lab\nProxyJump u@gw-%h,%n.gw:22", {"jumps": ("u@gw-n1.lab", "n1.gw:22")}),
        ("Host *\n ProxyCommand nc %h %p # %r", {"proxy_command": "nc n1 22 # {me}"}),
        ("Match final all\n User late", {"user": "late"}),
        ("Match localnetwork 192.0.2.0/24\n Port 2222", {"error": "localnetwork|Bad|Unsupported"}),
        ("Match originalhost n1 exec false\n Port 2222", {"port": 22}),
        ("Match originalhost n1 exec true\n Port 2222", {"port": 2222}),
        ("Match user root\n Port 2222\nHost *\n User root", {"user": "root"}),
        ("Include more/*", {"host": "192.0.2.9", "user": "included"}),
        ("Host n1\n User {me}", {"user": "{me}"}),
        ("Host other\n User x", {"user": None}),
        ("IdentitiesOnly yes\nIdentityFile ~/k-%r\nUser u", {"identities_only": True}),
        ("HostKeyAlias %h-key", {"key_name": "%h-key|n1-key"}),
        ("UserKnownHostsFile none\nGlobalKnownHostsFile none", {"known_hosts": ()}),
        ("PubkeyAuthentication no", {"public_keys": False}),
        ("IdentityAgent none", {"agent": ""}),
        ("IdentityAgent ~/a", {"agent": "{home}/a"}),
        ("AddressFamily inet\nBindAddress 127.0.0.1", {"family": "inet"}),
        ("PKCS11Provider /usr/lib/o.so", {"token_provider": "/usr/lib/o.so"}),
        ("ProxyUseFdpass yes", {"error": "proxyusefdpass yes is refused"}),
        ("KnownHostsCommand /bin/x", {"error": "knownhostscommand /bin/x is refused"}),
        ("Host n1\n Prot 22", {"error": "line 2: Bad configuration option: prot"}),
        ("RevokedHostKeys /etc/k", {"error": "revokedhostkeys /etc/k is refused; mark"}),
        ("Port abc", {"error": "[Bb]ad (port|number)"}),
        ("IdentityFile ~nobody-here/k", {"error": "~nobody-here/k: no user of this machine has"}),
    ],
)
def test_options_are_those_of_ssh(home: Path, text: str, expected: dict[str, Any]) -> None:
    (home / ".ssh" / "more").mkdir()
    (home / ".ssh" / "more" / "x").write_text("Host n1\n HostName 192.0.2.9\n User included\n")
    text = text.replace("more/*", f"{home}/.ssh/more/*")

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{me}", local_user()).replace("{home}", str(home))
        return value

    if "error" in expected:
        with pytest.raises(ClientConfigError, match=expected["error"]):
            options(home, filled(text))
        return
    found = options(home, filled(text))
    for name, value in expected.items():
        assert getattr(found, name) in (
            filled(value).split("|") if isinstance(value, str) else [value]
        ), name


@pytest.mark.parametrize(
    "value",
    ["'{0}/x'", '"{0}/x"', '"{0}/a b"', "'{0}/a b'", "{0}/a\\ b", "{0}/[x]", "{0}/x # mine"],
)
def test_an_include_counts_however_it_is_written(home: Path, value: str) -> None:
    """What it sets is refused or counts as ssh has it; it is never passed over in silence."""
    folder = home / ".ssh" / "more"
    folder.mkdir()
    for name in ("x", "a b"):
        (folder / name).write_text("RevokedHostKeys /etc/k\n")
    with pytest.raises(ClientConfigError, match="revokedhostkeys /etc/k is refused"):
        options(home, f"Include {value.format(folder)}\n")


@pytest.mark.parametrize(
    ("value", "asked"),
    [("{0}/absent", True), ("{0}/absent/*", True), ("{0}/*.conf", False), ("~other/x", True)],
)
def test_ssh_judges_an_include_that_may_have_been_misread(
    home: Path, value: str, asked: bool
) -> None:
    """An empty folder of settings, as systems have it, costs no process."""
    (home / ".ssh" / "config").write_text(f"Include {value.format(home)}\n")
    assert ("?" in ClientConfig()._words) is asked


def test_every_option_that_ssh_knows_is_one_of_three_kinds() -> None:
    """A new release of OpenSSH adds some: each is honoured, refused or idle on purpose."""
    shown = subprocess.run(
        ["ssh", "-T", "-G", "n1"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    words = {line.split()[0].lower() for line in shown.stdout.splitlines()}
    kinds = set(HONOURED), set(REFUSED), set(IDLE)
    assert words <= set.union(*kinds)
    assert sum(map(len, kinds)) == len(set.union(*kinds))


def test_paths_count_from_the_home_folder(home: Path) -> None:
    found = options(home, "IdentityFile ~/k-%r\nUser u\nUserKnownHostsFile ~/a /b/%k\n")
    assert found.identities == (home / "k-u",)
    assert found.known_hosts[:2] == (home / "a", Path("/b/n1"))
    usual = options(home, "Compression yes\n")
    assert home / ".ssh/id_ed25519" in usual.identities
    assert usual.known_hosts[0] == home / ".ssh/known_hosts"
    assert usual == options(home, "Host other\n Port 1\n")


def test_what_is_set_elsewhere_wins(home: Path) -> None:
    text = "Host *\n User b\n Port 2\nMatch user a\n HostName x\n"
    found = options(home, text, user="a", port=1)
    assert (found.user, found.port, found.host) == ("a", 1, "x")


def test_behind_a_jump_host_that_is_known_no_other_counts(home: Path) -> None:
    assert options(home, "ProxyJump n1\n", behind=True).jumps == ()
    assert options(home, "ProxyCommand nc\n", behind=True).proxy_command == ""
    with pytest.raises(ClientConfigError, match="loop"):
        options(home, "ProxyJump n1\n")


@pytest.mark.parametrize("host", ["-oProxyCommand=touch /tmp/x", "-F/tmp/x"])
def test_a_name_that_looks_like_an_option_is_no_name(home: Path, host: str) -> None:
    with pytest.raises(ClientConfigError, match="is not a host name"):
        options(home, "Port 22", host)


@pytest.mark.parametrize(
    ("jump", "parts"),
    [
        ("j", (None, "j", None)),
        ("a@j:22", ("a", "j", 22)),
        ("ssh://a@j:22/", ("a", "j", 22)),
        ("DOM\\a@b@j", ("DOM\\a@b", "j", None)),
        ("[::1]:22", (None, "::1", 22)),
        ("::1", (None, "::1", None)),
    ],
)
def test_jump_hosts_in_all_their_forms(jump: str, parts: tuple[object, ...]) -> None:
    assert split_jump(jump) == parts


@pytest.mark.parametrize("jump", ["", "a@", "j:x"])
def test_what_is_no_jump_host(jump: str) -> None:
    with pytest.raises(ClientConfigError, match="is not a jump host"):
        split_jump(jump)


@pytest.mark.parametrize("text", ["", "# Port 2\n", "Host *\n  SendEnv LANG\n  Compression yes\n"])
def test_no_process_is_started_where_nothing_has_an_effect(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert options(home, text).host == "n1"


def test_a_hundred_hosts_cost_little(home: Path) -> None:
    """One process each, and one more where ssh can't say whether it is told a user."""
    (home / ".ssh" / "config").write_text("Host *\n ProxyJump j\n User x\n")
    config = ClientConfig()
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    for number in range(100):
        for _ in range(3):
            assert config.options(f"n{number}").jumps == ("j",)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 5, f"{spent:.2f} s of processor time, {time.monotonic() - began:.2f} s"


def test_a_user_without_a_name_has_a_configuration_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr(client_config, "_account", client_config._account.__wrapped__)
    assert options(home, "").identities[0] == home / ".ssh/id_rsa"
    assert local_user() == str(os.getuid())


def test_fab_itself_does_not_stumble_over_what_ssh_understands(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Match final all\n  User x\n")
    done = subprocess.run(
        [sys.executable, "-m", "fabric", "--list"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "facts" in done.stdout


class TestWithoutSsh:
    """paramiko's reader, for what it reads as ssh does."""

    @pytest.fixture(autouse=True)
    def _no_ssh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(client_config, "which", lambda _: None)

    def test_simple_options_are_read(self, home: Path) -> None:
        text = "Host n1\n HostName h\n User u\n Port 33\n ProxyJump none\n IdentitiesOnly yes\n"
        found = options(home, text)
        assert (found.host, found.user, found.port) == ("h", "u", 33)
        assert found.jumps == ()
        assert found.identities_only
        assert options(home, text, user="a", port=1, behind=True).user == "a"

    @pytest.mark.parametrize("line", ["Include x", "Match final all", "Match host n1"])
    def test_what_it_reads_otherwise_is_refused(self, home: Path, line: str) -> None:
        with pytest.raises(ClientConfigError, match="the program ssh"):
            options(home, f"{line}\n Port 22\n")
