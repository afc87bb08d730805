"""Commands as root over a real SSH connection, with and without sudo, on hosts good and bad."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest

from fabnode.ssh.errors import (
    CommandTimeoutError,
    ConnectionLostError,
    HostMisbehavedError,
    SudoRefusedError,
)
from fabnode.ssh.exec import _PATH
from tests.support import wait_for

from .server import SUDO

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Reach

PAYLOAD = os.urandom(3_000_000)
SHELLS = ("dash", "bash", "tcsh", "csh", "fish", "zsh")
DIGEST = hashlib.sha256(PAYLOAD).hexdigest()


def test_output_error_and_status_come_back_apart(reach: Reach) -> None:
    host, _ = reach()
    result = host.root("echo out; echo err >&2; exit 7")
    assert (result.code, result.stdout, result.stderr) == (7, b"out\n", b"err\n")


def test_lines_are_passed_on_as_they_come(reach: Reach, tmp_path: Path) -> None:
    host, _ = reach()
    go = tmp_path / "go"
    lines = []

    def on_line(line: bytes) -> None:
        lines.append(line)
        go.touch()  # the command goes on only once its first line was received

    host.root(f"echo one; until [ -e {go} ]; do sleep 0.01; done; echo two", on_line=on_line)
    assert lines == [b"one", b"two"]


def test_input_may_follow_from_what_is_received(reach: Reach) -> None:
    host, _ = reach()
    lines: list[bytes] = []

    def answers() -> Iterator[bytes]:
        yield b"first\n"
        while b"first" not in lines:
            yield b""  # nothing at the moment; what the command prints is received meanwhile
        yield b"second\n"

    host.root("while read -r line; do echo $line; done", stdin=answers(), on_line=lines.append)
    assert lines == [b"first", b"second"]


def test_what_a_login_shell_prints_is_no_output(reach: Reach) -> None:
    host, _ = reach(noise=b"Welcome!\nYou have mail.\n")
    assert host.root("echo mine").stdout == b"mine\n"


@pytest.mark.parametrize("sudo", ["nopasswd", "correct horse"])
def test_a_payload_passes_sudo_unharmed(reach: Reach, tmp_path: Path, sudo: str) -> None:
    log = tmp_path / "tries"
    host, server = reach(
        user="ops", sudo_password="correct horse", env={"SUDO": sudo, "SUDO_LOG": str(log)}
    )
    result = host.root("sha256sum", stdin=[PAYLOAD[:1000], b"", PAYLOAD[1000:]])
    assert result.stdout.decode().split()[0] == DIGEST
    assert result.sent == len(PAYLOAD)
    # The password travels only when asked for, and never where others see it.
    assert log.exists() is (sudo != "nopasswd")
    assert "correct horse" not in "".join(server.commands)


def test_sudo_gets_a_wrong_password_once_and_no_payload(reach: Reach, tmp_path: Path) -> None:
    log = tmp_path / "tries"
    host, _ = reach(user="ops", sudo_password="wrong", env={"SUDO": "right", "SUDO_LOG": str(log)})
    with pytest.raises(SudoRefusedError, match="does not accept the password"):
        host.root("cat", stdin=[b"payload\n" * 1000])
    wait_for(lambda: log.exists())
    assert set(log.read_text().split("\n")) <= {"wrong", ""}


def test_sudo_that_wants_a_password_nobody_configured(reach: Reach, tmp_path: Path) -> None:
    host, _ = reach(user="ops", env={"SUDO": "secret", "SUDO_LOG": str(tmp_path / "tries")})
    with pytest.raises(SudoRefusedError, match=r"none is configured; set ssh\.sudo_password"):
        host.root("true")


def test_sudo_that_denies_says_why(reach: Reach) -> None:
    host, _ = reach(user="ops", sudo_password="x", env={"SUDO": "denied"})
    with pytest.raises(SudoRefusedError, match="ops is not in the sudoers file"):
        host.root("true")


def test_sudo_that_asks_for_something_else(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fabnode.ssh.host._PATIENCE", 1.0)
    host, _ = reach(user="ops", sudo_password="x", env={"SUDO": "strange"}, connect_timeout=1)
    with pytest.raises(SudoRefusedError, match="Verification code:") as caught:
        host.root("true")
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


@pytest.mark.parametrize("words", ["Kennwort der Firma: ", "Password for ops:", "密码："])
def test_sudo_that_asks_in_its_own_words_is_answered_once(
    reach: Reach, tmp_path: Path, words: str
) -> None:
    log = tmp_path / "tries"
    env = {"SUDO": "right", "SUDO_LOG": str(log), "ASKS": words}
    host, _ = reach(user="ops", sudo_password="right", env=env)
    assert host.root("echo in; echo warned >&2").stdout == b"in\n"
    host, _ = reach(user="ops", sudo_password="wrong", env=env)
    with pytest.raises(SudoRefusedError, match="does not accept the password"):
        host.root("cat", stdin=[b"payload\n"])
    assert set(log.read_text().split("\n")) <= {"right", "wrong", ""}
    host, _ = reach(user="ops", env=env)
    with pytest.raises(SudoRefusedError, match="none is configured"):
        host.root("true")


def test_sudo_rs_leaves_nothing_of_its_prompt_in_errors(reach: Reach, tmp_path: Path) -> None:
    env = {"SUDO": "right", "SUDO_LOG": str(tmp_path / "x")}
    env |= {"ASKS_BEFORE": "[sudo: ", "ASKS_AFTER": "] Password: "}
    host, _ = reach(user="ops", sudo_password="right", env=env)
    assert host.root("echo warned >&2").stderr == b"warned\n"


@pytest.mark.parametrize(
    ("tells", "advice"),
    [
        ("sudo: sorry, you must have a tty to run sudo", "take `requiretty` from"),
        ("sudo: Account or password is expired: your password has expired", "change the user's"),
        ("Sorry, user ops may not run sudo on n1.", "check the user's sudo rights"),
        ("sudo: 1 incorrect password attempt", "check the password: it is the user's own, or root"),
        ("/bin/sh: 1: exec: timeout: Permission denied", "take `noexec` from"),
        ("Sorry, user ops is not allowed to execute '/bin/sh -c x' as root on n1.", "let the user"),
    ],
)
def test_what_sudo_says_has_its_own_advice(reach: Reach, tells: str, advice: str) -> None:
    host, _ = reach(user="ops", sudo_password="x", env={"SUDO": "silent", "TELLS": tells})
    with pytest.raises(SudoRefusedError, match=f"does not grant root: .*; {advice}"):
        host.root("true")


def test_a_command_that_sudo_refuses_is_not_quoted_whole(reach: Reach) -> None:
    words = "Sorry, user ops is not allowed to execute '/bin/sh -c PATH=/x; it'\"'\"'s long "
    env = {"SUDO": "silent", "TELLS": f"{words}{'x' * 900}' as root on n1."}
    host, _ = reach(user="ops", env=env)
    with pytest.raises(SudoRefusedError, match="user ops is not allowed to execute '/bin/sh …' as"):
        host.root("true")


@pytest.mark.parametrize(
    ("prints", "advice"),
    [
        ("Password change required but no TTY available.", "change the user's password there"),
        ("There were too many logins for 'ops'.", "raise maxlogins"),
        ("", "a profile"),
    ],
)
def test_what_a_login_says_has_its_own_advice(reach: Reach, prints: str, advice: str) -> None:
    host, _ = reach(replace=f'echo "{prints}"; exit 1')
    with pytest.raises(HostMisbehavedError, match=f"refuses commands: .*{advice}"):
        host.root("true")


def test_a_host_that_falls_silent_is_not_called_a_shell_that_refuses(
    reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose power is cut once it has taken the command: no word came, nothing ended."""
    monkeypatch.setattr("fabnode.ssh.host._PATIENCE", 1.0)
    host, _ = reach(replace="exec sleep 20", connect_timeout=1)
    with pytest.raises(
        ConnectionLostError, match=r"nothing came back within 1 s .*; see whether the host .* up"
    ):
        host.root("true")


def test_sudo_that_waits_has_not_refused(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fabnode.ssh.host._PATIENCE", 1.0)
    host, _ = reach(user="ops", sudo_password="x", env={"SUDO": "waits"}, connect_timeout=1)
    with pytest.raises(SudoRefusedError, match=r"neither granted nor refused .*; see .*sudo -l"):
        host.root("true")


def test_a_server_that_starts_no_command(reach: Reach) -> None:
    """As one whose user may have no further process: to run it again would not help."""
    host, _ = reach(starts=False)
    with pytest.raises(HostMisbehavedError, match=r"starts no command .*nproc"):
        host.root("true")


def test_limits_of_a_login_are_not_those_of_roots_commands(reach: Reach, tmp_path: Path) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\nulimit -S -f 2; ulimit -S -t 60; exec /bin/sh "$@"\n')
    shell.chmod(0o755)
    host, _ = reach(shell=str(shell))
    assert host.root("ulimit -f; ulimit -t").stdout == b"unlimited\n" * 2


@pytest.mark.parametrize("user", ["root", "ops"])
def test_a_login_shell_that_refuses_is_not_taken_for_sudo(reach: Reach, user: str) -> None:
    host, _ = reach(user=user, replace="echo This account is currently not available.; exit 1")
    with pytest.raises(
        HostMisbehavedError, match=r"login shell refuses commands: This account .*; give the login"
    ):
        host.root("true")


TRICKY = (
    "printf '%s|' \"it's\" 'a!b' !! 'c\\d' \"e\\\\f\" '$HOME' '`id`' %d ^x^y {a,b} '*'\nprintf end"
)


@pytest.mark.parametrize(
    "shell",
    [
        *(
            pytest.param(s, marks=pytest.mark.skipif(not shutil.which(s), reason=f"no {s}"))
            for s in SHELLS
        ),
        str(Path(__file__).parent / "like-csh"),
    ],
)
def test_any_login_shell_will_do(reach: Reach, shell: str, tmp_path: Path) -> None:
    """As the account's own shell, which sshd has run what we ask for, it may be csh or fish."""
    host, _ = reach(shell=shell)
    result = host.root(TRICKY)
    assert result.stdout.decode() == r"it's|a!b|!!|c\d|e\f|$HOME|`id`|%d|^x^y|{a,b}|*|end"
    assert host.root("cat", stdin=[PAYLOAD]).stdout == PAYLOAD
    assert host.root("exit 7").code == 7


@pytest.mark.parametrize("script", ["echo 'a!b'", "echo '\n'", "echo $(id)", "x=1; echo 2>&1"])
def test_the_stand_in_for_csh_refuses_what_csh_refuses(script: str) -> None:
    shell = Path(__file__).parent / "like-csh"
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr


def test_an_account_without_a_shell(reach: Reach) -> None:
    host, _ = reach(replace="echo This account is currently not available.; exit 1")
    with pytest.raises(HostMisbehavedError, match="This account is currently not available"):
        host.root("true")


def test_a_time_limit_ends_the_command_on_the_host_too(reach: Reach, tmp_path: Path) -> None:
    host, _ = reach()
    pid = tmp_path / "pid"
    with pytest.raises(CommandTimeoutError, match="did not end within 1 s"):
        host.root(f"sh -c 'echo $$ >{pid}; exec sleep 60'", timeout=1)
    process = Path("/proc") / pid.read_text().strip()
    wait_for(lambda: not process.exists())


def test_endless_output_is_cut_off(reach: Reach) -> None:
    host, _ = reach()
    with pytest.raises(HostMisbehavedError, match="exceeded 64 KiB"):
        host.root("yes", limit=65536)


def test_endless_noise_before_the_command_is_cut_off(reach: Reach) -> None:
    host, _ = reach(replace="yes")
    with pytest.raises(HostMisbehavedError):
        host.root("true")


def test_what_was_learned_counts_where_the_connection_is_gone_at_the_end(
    reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(channel: paramiko.Channel) -> None:
        raise EOFError

    monkeypatch.setattr(paramiko.Channel, "close", gone)
    host, _ = reach()
    assert host.root("echo learned").stdout == b"learned\n"
    with pytest.raises(HostMisbehavedError):
        host.root("yes", limit=65536)


def test_a_host_that_dies_while_it_works(reach: Reach, tmp_path: Path) -> None:
    host, server = reach()
    started = tmp_path / "started"

    def pull_the_plug() -> None:
        wait_for(started.exists)
        server.drop()

    threading.Thread(target=pull_the_plug).start()
    with pytest.raises(ConnectionLostError, match="run the same command again"):
        host.root(f"touch {started}; sleep 60")


@pytest.mark.parametrize(
    ("user", "advice"), [("root", "it resumes"), ("ops", "shows a command_timeout")]
)
def test_a_signal_that_ended_the_command_is_no_lost_connection(
    reach: Reach, user: str, advice: str
) -> None:
    """That is all one sees of sudo's command_timeout: it prints nothing."""
    host, _ = reach(user=user)
    with pytest.raises(ConnectionLostError, match=f"a signal ended the command.*{advice}"):
        host.root("kill -TERM $$")


def test_an_interrupt_ends_what_runs_on_a_host_and_what_would(reach: Reach, tmp_path: Path) -> None:
    host, _ = reach()
    started = tmp_path / "started"

    def interrupt() -> None:
        wait_for(started.exists)
        host.interrupt()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        host.root(f"touch {started}; sleep 60")
    with pytest.raises(KeyboardInterrupt):
        host.root("true")


def test_a_connection_that_is_lost_before_the_command_begins(reach: Reach) -> None:
    """Nothing refused it: neither the login shell nor sudo is to blame."""
    host, server = reach(replace="sleep 60")

    def pull_the_plug() -> None:
        wait_for(lambda: bool(server.commands))
        server.drop()

    threading.Thread(target=pull_the_plug).start()
    with pytest.raises(ConnectionLostError, match="run the same command again"):
        host.root("true")


def test_a_lost_connection_is_made_again_for_the_next_command(reach: Reach) -> None:
    host, server = reach()
    host.root("true")
    server.drop()
    wait_for(lambda: not host._connection.is_connected)
    assert host.root("echo again").stdout == b"again\n"


def test_a_command_that_ends_before_it_has_read_its_input(reach: Reach) -> None:
    host, _ = reach()
    result = host.root("echo full >&2; exit 3", stdin=[PAYLOAD] * 5)
    assert (result.code, result.stderr) == (3, b"full\n")


def test_input_and_output_at_once_do_not_block_each_other(reach: Reach) -> None:
    host, _ = reach()
    result = host.root("cat", stdin=[PAYLOAD] * 2, limit=10_000_000)
    assert result.stdout == PAYLOAD * 2


@pytest.mark.parametrize("user", ["root", "ops"])
def test_roots_programs_are_not_found_by_the_path_of_a_login(
    reach: Reach, tmp_path: Path, user: str
) -> None:
    for name in ("timeout", "stat", "sh", "tr"):
        (tmp_path / name).write_text(f"#!/bin/sh\n: >{tmp_path}/ran\n")
        (tmp_path / name).chmod(0o755)
    path = f"{SUDO}:{tmp_path}:{os.environ['PATH']}"
    host, _ = reach(user=user, sudo_password="x", env={"PATH": path})
    seen = host.root("echo $PATH | tr : ' '").stdout.decode().split()
    assert not (tmp_path / "ran").exists()
    system = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"}
    assert system <= set(seen) <= system | {"/usr/local/sbin", "/usr/local/bin"}


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
@pytest.mark.parametrize(
    ("folder", "mode", "owner", "used"),
    [
        ("bin", 0o755, 0, True),
        ("bin", 0o2755, 0, True),
        ("bin", 0o700, 0, True),
        ("bin", 0o775, 0, False),
        ("bin", 0o2775, 0, False),
        ("bin", 0o1777, 0, False),
        ("bin", 0o757, 0, False),
        ("bin", 0o755, 65534, False),
        ("sbin", 0o775, 0, False),
        (".", 0o755, 65534, False),
        (".", 0o777, 0, False),
    ],
)
def test_folders_of_usr_local_count_where_root_alone_may_write(
    tmp_path: Path, folder: str, mode: int, owner: int, used: bool
) -> None:
    local = usr_local(tmp_path)
    os.chown(local / folder, owner, owner)
    (local / folder).chmod(mode)
    assert_used(local, used)


def usr_local(tmp_path: Path) -> Path:
    """Return a folder in place of /usr/local, root's alone, with folders for programs."""
    local = tmp_path / "local"
    for name in ("bin", "sbin"):
        (local / name).mkdir(parents=True)
        (local / name).chmod(0o755)
    local.chmod(0o755)
    return local


def assert_used(local: Path, used: bool) -> None:
    """Root's commands find programs in this folder, in place of /usr/local."""
    words = f"{_PATH.replace('/usr/local', str(local))}; echo $PATH"
    for shell in ("dash", "bash"):
        if shutil.which(shell):
            path = subprocess.check_output([shell, "-c", words], text=True).strip()
            before = f"{local}/sbin:{local}/bin:" if used else ""
            assert path == f"{before}/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
@pytest.mark.parametrize(
    ("target", "mode", "owner", "used"),
    [
        ("tool", 0o755, 0, True),
        ("link", 0o755, 0, True),
        ("tool", 0o755, 65534, False),
        ("tool", 0o775, 0, False),
        ("tool", 0o757, 0, False),
        ("tool", 0o1777, 0, True),
        ("link", 0o755, 65534, False),
        ("missing", 0o755, 0, False),
        (".", 0o755, 0, True),
    ],
)
def test_a_link_in_usr_local_counts_by_all_that_it_leads_through(
    tmp_path: Path, target: str, mode: int, owner: int, used: bool
) -> None:
    """`elsewhere` may be a user's: whoever owns it may put another file in place of root's."""
    local, elsewhere = usr_local(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tool").touch(0o755)
    (elsewhere / "link").symlink_to("/usr/bin/env")
    (local / "bin" / "a tool").symlink_to(elsewhere / target)
    os.chown(elsewhere, owner, owner)
    elsewhere.chmod(mode)
    assert_used(local, used)
