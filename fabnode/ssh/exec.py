"""
Execution of one command as root on one SSH channel, with bytes as input and lines as output.

The remote side prints a marker as root before it reads anything. For users who are not root the
password is sent only on seeing sudo's prompt, and the payload only on seeing the marker: with
passwordless sudo no password travels, and sudo never takes a payload for password tries.
"""

from __future__ import annotations

import re
import secrets
import select
import shlex
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import paramiko

from ..util.errors import HostError
from ..util.sanitize import clean
from .errors import CommandTimeoutError, ConnectionLostError, HostMisbehavedError, SudoRefusedError
from .questions import asks_password, is_question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_GRACE = 5  # seconds that a command has for its own clean-up once its time is up
_NOISE = 2**16  # bytes a login shell may print before our marker
_CHUNK = 2**20
_PAUSE = 1.0  # seconds of silence after which a line without an end is a question
_SUDO_RS = re.compile(rb"^\] \S+: ?\n?")  # it puts the prompt into one of its own
_NOT_ACCEPTED = (
    "check the password: it is the user's own, or root's where sudoers has targetpw or rootpw"
)
_SUDO_ADVICE = "check the user's sudo rights with `sudo -l` there"
_BY_SUDO = (
    "run the same command again; where it ends so each time, see whether `sudo -l` there shows a"
    " command_timeout (or TIMEOUT=) for the user, which ends commands without a message"
)
_SILENT_ADVICE = "see whether the host and its network are up; where they are"
_SUDO_WAITS = "`time sudo -l` there shows whether sudo waits for a directory service or DNS"
_SUDO_CAUSES = {
    "must have a tty": "take `requiretty` from the user's Defaults in sudoers",
    "sudo: not found": "install sudo there, or log in as root (ssh.user)",
    "password has expired": "change the user's password there",
    "password is required": "let sudo read a password from stdin, or give the user NOPASSWD",
    "incorrect password": _NOT_ACCEPTED,
    "exec: timeout: Permission denied": "take `noexec` from the user's Defaults, or NOEXEC from its"
    " rule, in sudoers",
    "is not allowed to execute": "let the user run /bin/sh as root (ALL), not some programs alone:"
    " `sudo -l` there shows the rules",
}
_SHELL_ADVICE = (
    "give the login user a shell that runs them, without a forced command (ForceCommand, or"
    " command= in authorized_keys), and a profile (.bashrc) that neither ends it nor waits"
)
_SHELL_CAUSES = {
    "Password change required": "change the user's password there: sshd lets no command pass"
    " before that",
    "too many logins": "raise maxlogins for the user in /etc/security/limits.conf there",
}
_REFUSED = re.compile(r"(is not allowed to execute ')(\S+) .*(' as )", re.DOTALL)
_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b"'!\\")  # between single quotes, to any shell
_ESCAPED = {byte: f"\\0{byte:03o}" for byte in range(256) if byte not in _PLAIN}
_TURN = 0.1  # seconds: the longest that output waits while the remote side takes no input
_IDLE = 0.05  # seconds after which an input that had nothing to give is asked again
# Root's programs come from the system's folders, whatever the PATH of a login or of sudo names.
# Those of /usr/local, fabnode's own among them, count where root alone may put something there and
# each of them is root's alone: an archive that root unpacks brings owners of its own. A link counts
# by every folder and link that it leads through, as util-linux's namei lists them (a sticky folder
# keeps root's files); without namei no link counts.
_ROOTS_OWN = "^(f: |l.{9} root |d[-rwxsS]{8}[tT] root |[d-][-rwxsS]{4}-[-rwxsS]{2}-[-xtT] root )"
# What limits.conf gives logins, root's commands behind sudo inherit: size of files, time, memory.
_FIND_SUDO = "PATH=$PATH:/usr/bin:/bin"  # which a login's PATH may lack
_PATH = (
    "for seen in f t v; do ulimit -$seen unlimited; done 2>/dev/null;"
    " PATH=/usr/sbin:/usr/bin:/sbin:/bin; own=;"
    " for seen in $(stat -Lc %u:%a /usr/local /usr/local/sbin /usr/local/bin 2>/dev/null); do"
    " case $seen in 0:*[0145][0145]) own=${own}y ;; *) own=no; break ;; esac; done;"
    " for seen in /usr/local/sbin /usr/local/bin; do"
    ' [ ! -d $seen ] || [ -z "$(find -L $seen -maxdepth 1'
    " \\( ! -user 0 -o -perm -020 -o -perm -002 \\) 2>/dev/null;"
    " find $seen/ -maxdepth 1 -type l -exec namei -l {} + 2>&1"
    f" | grep -Ev '{_ROOTS_OWN}')\" ] || own=no; done;"
    " case $own in y*) PATH=/usr/local/sbin:/usr/local/bin:$PATH ;; esac;"
    " export PATH LC_ALL=C"
)


@dataclass(frozen=True, slots=True)
class Result:
    """
    Result of a command.

    :param code: its exit status.
    :param sent: bytes of input it was given.
    """

    code: int
    stdout: bytes
    stderr: bytes
    sent: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """
    A command to run as root.

    :param script: for `sh -c`; short, free of secrets: it shows in process lists and sudo's log.
    :param stdin: an empty block says that there is nothing to send at the moment.
    :param sudo: does the login user need sudo to be root?
    :param timeout: seconds until it is ended, on the node as well.
    :param limit: bytes of output after which the node counts as broken.
    """

    script: str
    stdin: Iterable[bytes] = ()
    sudo: bool = False
    password: str | None = field(default=None, repr=False)
    timeout: float = 300
    limit: int = 4 * 2**20
    on_line: Callable[[bytes], None] | None = None


@contextmanager
def ending(channel: paramiko.Channel) -> Iterator[None]:
    """
    Close the channel at the end.

    Where the connection is gone by then, paramiko raises: what was learned before counts.
    """
    try:
        yield
    finally:
        with suppress(paramiko.SSHException, EOFError, OSError):
            channel.close()


class Session:
    """
    The run of one `Command` over an open transport.

    :param patience: seconds for the channel to open and for sudo to let us in.
    """

    def __init__(self, node: str, command: Command, patience: float) -> None:
        self._node = node
        self._command = command
        self._patience = patience
        nonce = secrets.token_hex(8)
        # Spelled in two halves in the command, so that a shell that echoes it is not mistaken for
        # the real thing.
        self._ready = f"fabnode-{nonce}-root\n".encode()
        self._print_ready = f"printf '%s-root\\n' fabnode-{nonce}"
        self._prompt = f"fabnode-{nonce}-prompt:"
        self._out = bytearray()
        self._err = bytearray()
        self._lines = 0  # how much of _out was passed to on_line
        self._is_ready = False
        self._password_sent = False
        self._shell = f"fabnode-{nonce}-shell\n".encode()
        self._print_shell = f"printf '%s-shell\\n' fabnode-{nonce}"
        self._asked_at = 0.0  # when the last output of sudo came, by time.monotonic
        self._asked = b""
        self._answered = 0  # how much of _err was there when the password was sent

    def run(self, transport: paramiko.Transport) -> Result:
        """
        Run the command to its end.

        :raises HostError: SudoRefusedError, CommandTimeoutError, ConnectionLostError,
            HostMisbehavedError.
        """
        try:
            channel = transport.open_session(timeout=self._patience)
        except paramiko.ChannelException as error:
            raise ConnectionLostError(
                self._node,
                f"its sshd opens no further session ({clean(error.text)})",
                "raise MaxSessions in its sshd_config: 10 is OpenSSH's default",
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise ConnectionLostError(
                self._node, f"an SSH session could not be opened ({error})"
            ) from error
        try:
            with ending(channel):
                start = time.monotonic()  # before the node's own clock for it starts
                self._begin(channel, transport)
                return self._exchange(channel, start)
        except HostError:
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise ConnectionLostError(self._node, f"the connection broke ({error})") from error

    def _begin(self, channel: paramiko.Channel, transport: paramiko.Transport) -> None:
        try:
            channel.exec_command(self._command_line())
        except paramiko.SSHException as error:
            if not transport.is_active():
                raise
            raise HostMisbehavedError(
                self._node,
                "its sshd starts no command for the login user",
                "its journal says why: a limit of the user's processes (nproc in limits.conf),"
                " or no memory",
            ) from error

    def _command_line(self) -> str:
        command = self._command
        limit = max(1, round(command.timeout))
        inner = f"{self._print_ready}; {command.script}"
        timed = shlex.join(["timeout", "-k", str(_GRACE), str(limit), "sh", "-c", inner])
        words = ["/bin/sh", "-c", f"{_PATH}; exec {timed}"]
        if command.sudo:
            words = ["sudo", "-S", "-p", self._prompt, "--", *words]
        return for_any_shell(f"{self._print_shell}; {_FIND_SUDO}; exec " + shlex.join(words))

    def _exchange(self, channel: paramiko.Channel, start: float) -> Result:
        command = self._command
        # The node ends the command itself; we wait a little longer so as to see that.
        deadline = start + command.timeout + 2 * _GRACE
        admitted_by = start + self._patience
        channel.settimeout(_TURN)
        poll = select.poll()
        poll.register(channel.fileno(), select.POLLIN)
        pending = _chunks(command.stdin)
        chunk = next(pending, None)
        sent = 0
        open_input = True
        while not self._receive(channel):
            now = time.monotonic()
            if now > deadline:
                raise self._too_long()
            if not self._is_ready and now > admitted_by:
                raise self._silent() or self._not_admitted()
            turn = 1.0
            if command.sudo and not self._is_ready:
                self._answer_prompt(channel)
            elif open_input:
                try:
                    if chunk is None:
                        channel.shutdown_write()
                        open_input = False
                        continue
                    if chunk:
                        count = channel.send(chunk)  # type: ignore[arg-type]  # any buffer will do
                        sent += count
                        chunk = chunk[count:] if count < len(chunk) else next(pending, None)
                        continue
                    if (chunk := next(pending, None)) is None or chunk:
                        continue
                    turn = _IDLE
                except TimeoutError:
                    continue  # the remote side takes nothing now: read what it writes meanwhile
                except OSError:
                    open_input = False  # it has ended; its output and status are the reason
            poll.poll(1000 * min(turn, max(0.01, deadline - now)))
        return self._result(channel, time.monotonic() - start, sent)

    def _receive(self, channel: paramiko.Channel) -> bool:
        """Receive what has arrived; return True at the end of output."""
        # First, so that nothing which arrived before the end is left.
        ended = channel.closed or (bool(channel.eof_received) and channel.exit_status_ready())
        while channel.recv_ready():
            self._out += channel.recv(_CHUNK)
            self._checked()
        while channel.recv_stderr_ready():
            self._err += channel.recv_stderr(_CHUNK)
            self._checked()
        if not self._is_ready:
            before, marker, after = bytes(self._out).partition(self._ready)
            if marker:
                self._is_ready = True
                self._out = bytearray(after)
            elif len(before) > _NOISE:
                raise HostMisbehavedError(
                    self._node, "its login shell prints too much before the command starts"
                )
        if self._is_ready and self._command.on_line:
            while (end := self._out.find(b"\n", self._lines)) >= 0:
                line = bytes(self._out[self._lines : end])
                self._lines = end + 1
                self._command.on_line(line)
        return ended

    def _checked(self) -> None:
        if len(self._out) + len(self._err) > self._command.limit:
            raise HostMisbehavedError(
                self._node, f"its output exceeded {self._command.limit >> 10} KiB and was cut off"
            )

    def _answer_prompt(self, channel: paramiko.Channel) -> None:
        prompts = self._err.count(self._prompt.encode()) or self._foreign_prompts()
        if not prompts:
            return
        if self._command.password is None:
            raise SudoRefusedError(
                self._node,
                "sudo asks for a password and none is configured",
                "set ssh.sudo_password to {prompt: true}, {file: PATH} or {env: NAME}",
            )
        if prompts > 1:
            raise SudoRefusedError(self._node, "sudo does not accept the password", _NOT_ACCEPTED)
        if not self._password_sent:
            self._password_sent = True
            self._answered = len(self._err)
            channel.sendall(self._command.password.encode() + b"\n")

    def _foreign_prompts(self) -> int:
        """Return how often sudo, or PAM, asked for the password without the prompt it was given."""
        last = bytes(self._err[self._answered :]).rpartition(b"\n")[2]
        now = time.monotonic()
        if last != self._asked:
            self._asked, self._asked_at = last, now
        text = clean(last)
        # A line that has no end, and gets none for a while, waits for an answer.
        if not is_question(text) or now - self._asked_at < _PAUSE:
            return 0
        if asks_password(text):
            return 1 + self._password_sent
        raise SudoRefusedError(
            self._node,
            f"sudo asks for something else than a password: {text[:120]}",
            "let this user sudo without it (NOPASSWD, or another PAM stack for sudo there)",
        )

    def _result(self, channel: paramiko.Channel, took: float, sent: int) -> Result:
        code = channel.recv_exit_status() if channel.exit_status_ready() else -1
        # A shell or sudo that refuses says so, or exits; a connection that is lost does neither.
        if not self._is_ready and (code >= 0 or self._err):
            raise self._not_admitted()
        if took >= self._command.timeout and code in {124, 137}:
            raise self._too_long()
        if code < 0 and channel.eof_received:  # a connection that is lost has no such end
            advice = _BY_SUDO if self._command.sudo else ""
            text = "a signal ended the command on the host, and the connection stayed"
            raise ConnectionLostError(self._node, text, advice)
        if code < 0:
            raise ConnectionLostError(self._node, "the command was cut off")
        # Whatever sudo output while it asked is no part of what the command output.
        stderr = _SUDO_RS.sub(b"", bytes(self._err).rpartition(self._prompt.encode())[2])
        return Result(code, bytes(self._out), stderr, sent)

    def _too_long(self) -> CommandTimeoutError:
        return CommandTimeoutError(
            self._node, f"a command did not end within {self._command.timeout:.0f} s"
        )

    def _silent(self) -> HostError | None:
        """Return the error of a host that has neither begun nor refused within its time, if so."""
        within = f"within {self._patience:.0f} s"
        if not self._out and not self._err:
            text = f"nothing came back {within} of a command's start"
            return ConnectionLostError(self._node, text, f"{_SILENT_ADVICE}: {_SHELL_ADVICE}")
        if self._command.sudo and not self._err and self._out == self._shell:
            text = f"sudo has neither granted nor refused root {within}"
            return SudoRefusedError(self._node, text, f"{_SILENT_ADVICE}: {_SUDO_WAITS}")
        return None

    def _not_admitted(self) -> HostError:
        has_shell = self._shell in self._out
        printed = bytes(self._err or self._out.replace(self._shell, b""))
        text = clean(printed.replace(self._prompt.encode(), b""))
        output = _REFUSED.sub(r"\1\2 …\3", text)[-300:] or "no output"
        if not has_shell:
            advice = _first(_SHELL_CAUSES, output, _SHELL_ADVICE)
            message = f"the login shell refuses commands: {output}"
            return HostMisbehavedError(self._node, message, advice)
        if self._command.sudo:
            advice = _first(_SUDO_CAUSES, output, _SUDO_ADVICE)
            return SudoRefusedError(self._node, f"sudo does not grant root: {output}", advice)
        return HostMisbehavedError(self._node, f"the command does not start there: {output}")


def _first(advices: Mapping[str, str], output: str, otherwise: str) -> str:
    return next((advice for text, advice in advices.items() if text in output), otherwise)


def for_any_shell(script: str) -> str:
    """
    Return a command that runs a POSIX script under any login shell.

    csh, tcsh, fish and the like quote differently from sh: between single quotes csh still takes
    exclamation marks, newlines and backslashes for its own. So they see none of these; `printf %b`
    of a real sh puts them back.
    """
    encoded = script.encode().decode("latin-1").translate(_ESCAPED)
    return f"exec /bin/sh -c 'eval \"$(printf %b \"$1\")\"' fabnode '{encoded}'"


def _chunks(stdin: Iterable[bytes]) -> Iterator[memoryview]:
    for data in stdin:
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK) or (0,):
            yield view[start : start + _CHUNK]
