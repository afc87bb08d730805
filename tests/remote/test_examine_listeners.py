"""Who listens on the kubelet's ports: only its own answers are its answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fabnode.node.examination import Evidence, Listener, Serving
from fabnode.remote import examine
from fabnode.remote.audit_output import parse
from fabnode.remote.limits import EXAMINE_LIMITS, MalformedError
from fabnode.ssh.port_checks import AnonymousAnswer

from .local import BUSYBOX, SHELLS, Tools

IP = "10.0.0.7"
MALLORY = 65534
KUBELET, STRANGER = True, False
OWN, ANOTHER = b"the kubelet's", b"a pod's"
PROVEN = Serving(frozenset({OWN}), complete=True)


def listeners(*each: tuple[int, str, bool]) -> frozenset[Listener]:
    return frozenset(Listener(*one) for one in each)


# --- what the deployer makes of it ---------------------------------------------------------------


def test_places_are_written_as_the_kernel_writes_them() -> None:
    """As in the kernel's Documentation/networking/proc_net_tcp.rst."""
    asked = examine.asked_sockets("10.0.0.7", (10250,))
    assert asked == {
        "00000000:280A": ("0.0.0.0", 10250),
        "00000000000000000000000000000000:280A": ("::", 10250),
        "0700000A:280A": ("10.0.0.7", 10250),
        "0100007F:280A": ("127.0.0.1", 10250),
        "0000000000000000FFFF00000700000A:280A": ("10.0.0.7", 10250),
        "0000000000000000FFFF00000100007F:280A": ("127.0.0.1", 10250),
    }
    assert "000080FE00000000000000000A000000:280A" in examine.asked_sockets("fe80::a", (10250,))


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], False),  # it began to listen only after the examination
        ([(10250, "::", KUBELET)], True),
        ([(10250, "0.0.0.0", KUBELET)], True),
        ([(10255, "::", KUBELET)], False),
        ([(10250, IP, KUBELET), (10250, "127.0.0.1", STRANGER)], True),
        ([(10250, "127.0.0.1", KUBELET)], False),
        # The kernel prefers the exact address.
        ([(10250, "::", KUBELET), (10250, IP, STRANGER)], False),
        ([(10250, "::", KUBELET), (10250, "::", STRANGER)], False),
        ([(10250, "::", STRANGER)], False),
    ],
)
def test_whose_an_answer_is(there: list[tuple[int, str, bool]], expected: bool) -> None:
    assert examine.is_kubelets(listeners(*there), 10250, IP) is expected


@dataclass
class Asking:
    """A host where each address and port answers something."""

    answers: dict[tuple[str, int], int | None] = field(default_factory=dict)
    certificates: dict[str, bytes] = field(default_factory=dict)
    node: Any = field(default_factory=lambda: SimpleNamespace(ip=IP))

    def anonymous_get(
        self, address: str, port: int, path: str, *, secure: bool, timeout: float
    ) -> AnonymousAnswer | None:
        status = self.answers.get((address, port), 0)
        shown = self.certificates.get(address, OWN) if secure else b""
        return None if status is None else AnonymousAnswer(status, shown)


def ask(answers: dict[tuple[str, int], int | None], *there: tuple[int, str, bool]) -> Any:
    host: Any = Asking(answers)
    it = examine.ask(host, listeners(*there), PROVEN)
    return it.pods, it.read_only, it.strangers


def test_the_kubelets_own_answers_count() -> None:
    both = ((10250, "::", KUBELET), (10255, "127.0.0.1", KUBELET))
    assert ask({(IP, 10250): 401}, both[0]) == (401, 0, ())
    assert ask({(IP, 10250): 200, ("127.0.0.1", 10255): 200}, *both) == (200, 200, ())


def test_a_strangers_answers_count_for_nothing() -> None:
    port = (10255, "0.0.0.0", STRANGER)
    assert ask({(IP, 10255): 200}, (10250, "::", KUBELET), port) == (None, None, (10255,))
    # Neither does that of one who comes between the examination and the question.
    assert ask({(IP, 10255): 200}) == (0, None, (10255,))


def test_a_stranger_on_loopback_hides_no_answer_of_the_kubelet_s() -> None:
    there = ((10250, IP, KUBELET), (10250, "127.0.0.1", STRANGER))
    assert ask({(IP, 10250): 200, ("127.0.0.1", 10250): 401}, *there) == (200, 0, (10250,))
    there = ((10250, IP, STRANGER), (10250, "127.0.0.1", KUBELET))
    assert ask({(IP, 10250): 401, ("127.0.0.1", 10250): 200}, *there) == (200, 0, (10250,))


def test_where_nobody_knows_who_listens_no_answer_counts() -> None:
    host: Any = Asking({(IP, 10250): 200})
    it = examine.ask(host, None, PROVEN)
    assert (it.pods, it.read_only, it.strangers, it.silent) == (None, None, (), ())


@pytest.mark.parametrize("address", ["::", IP, "127.0.0.1"])
def test_a_kubelet_that_listens_and_can_t_be_asked_is_not_taken_for_sound(address: str) -> None:
    """Who has all of a host's ports keeps sshd from connecting to any other."""
    host: Any = Asking()
    there = listeners((10250, address, KUBELET), (10255, address, KUBELET))
    it = examine.ask(host, there, PROVEN)
    assert (it.pods, it.read_only, it.silent) == (None, None, (10250, 10255))


def test_where_nobody_listens_nobody_answers() -> None:
    host: Any = Asking()
    it = examine.ask(host, listeners(), PROVEN)
    assert (it.pods, it.read_only, it.silent) == (0, 0, ())


def test_forbidden_forwarding_is_no_stranger() -> None:
    assert ask({(at, port): None for at in (IP, "127.0.0.1") for port in (10250, 10255)}) == (
        *(None, None),
        (),
    )


BOTH = listeners((10250, "::", KUBELET), (10255, "::", KUBELET))


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_pod_that_gets_what_is_sent_to_the_kubelet_answers_for_itself(status: int) -> None:
    """By a hostPort or a Service's externalIPs: the kubelet holds the socket all the same."""
    everywhere = {IP: ANOTHER, "127.0.0.1": ANOTHER}
    host: Any = Asking({(IP, 10250): status, ("127.0.0.1", 10250): status}, everywhere)
    it = examine.ask(host, BOTH, PROVEN)
    assert (it.pods, it.redirected, it.unproven) == (None, (10250,), ())
    # Where its settings name a certificate that is not known, it may be that one.
    it = examine.ask(host, BOTH, Serving(frozenset({OWN}), complete=False))
    assert (it.pods, it.redirected, it.unproven) == (None, (), (10250,))
    it = examine.ask(host, BOTH, Serving())
    assert (it.pods, it.redirected, it.unproven) == (None, (), (10250,))


def test_a_pod_on_the_nodes_address_hides_no_answer_of_the_kubelets() -> None:
    host: Any = Asking({(IP, 10250): 401, ("127.0.0.1", 10250): 200}, {IP: ANOTHER})
    it = examine.ask(host, BOTH, PROVEN)
    assert (it.pods, it.redirected) == (200, (10250,))


@pytest.mark.parametrize("status", [401, 404])
def test_nobody_but_the_kubelet_closes_a_port_that_it_listens_on(status: int) -> None:
    """Without TLS nothing proves who answers; a kubelet would have shown its pods."""
    host: Any = Asking({(IP, 10255): status, (IP, 10250): 401})
    it = examine.ask(host, BOTH, PROVEN)
    assert (it.read_only, it.unproven, it.silent) == (None, (10255,), ())
    assert it.pods == 401


# --- what the parser takes -----------------------------------------------------------------------

ASKED = examine.asked_sockets(IP)


def seen(*lines: str) -> Evidence:
    text = "".join(f"{line}\n" for line in (*lines, "end\tn"))
    return parse(text.encode(), nonce="n", asked=ASKED)


def test_listeners_are_parsed() -> None:
    assert seen().listeners is None
    assert seen("listening").listeners == frozenset()
    it = seen("listening", "listener\t0700000A:280A\tkubelet", "listener\t00000000:280F\tother")
    assert it.listeners == listeners((10250, IP, KUBELET), (10255, "0.0.0.0", STRANGER))


@pytest.mark.parametrize(
    "lines",
    [
        ["listener\t0700000A:280A\tkubelet"],  # before it is known which there are
        ["listening", "listener\t0800000A:280A\tkubelet"],  # an address that nobody asks
        ["listening", "listener\t0700000A:0016\tkubelet"],  # a port likewise
        ["listening", "listener\t0700000A:280A\troot"],
        ["listening", "listener\t0700000A:280A\tkubelet\tx"],
        ["listening", *["listener\t0700000A:280A\tother"] * (EXAMINE_LIMITS.listeners + 1)],
    ],
)
def test_listeners_that_no_script_prints_are_refused(lines: list[str]) -> None:
    with pytest.raises(MalformedError):
        seen(*lines)


# --- what the script sees ------------------------------------------------------------------------

LISTEN = """
import os, socket, sys
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    os.dup(0)
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
sys.stdin.read()
"""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


class Host:
    """This machine, with a unit kubelet.service of our own."""

    def __init__(self, tmp_path: Path, shell: list[str]) -> None:
        self._tmp_path, self._shell = tmp_path, shell
        self._tools = Tools(tmp_path / "tools")
        self._tools.add("iptables", "exit 1")
        self._processes: list[subprocess.Popen[str]] = []
        self.kubelet(0)

    def kubelet(self, pid: int) -> None:
        """Have systemd report the main process of kubelet.service."""
        self._tools.add(
            "systemctl",
            f"case $* in *'-p MainPID --'*) printf 'MainPID={pid}\\n'"
            " && printf 'MainPID=0\\n%.0s' 2 3 4 5 6 7 ;; esac",
        )

    def listen(self, uid: int = 0, *, descriptors: int = 0) -> tuple[int, int]:
        """
        Start a program that listens; return its process and its port.

        :param descriptors: what else it has open, as a server has its clients' connections.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", LISTEN, str(uid), str(descriptors)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        assert process.stdout
        return process.pid, int(process.stdout.readline())

    def examined(self, *ports: int) -> frozenset[Listener] | None:
        asked = examine.asked_sockets("127.0.0.1", ports)
        state = str(self._tmp_path / "state")
        code = examine.script("n", state=state, roots=[], users=[], asked=asked)
        done = self._tools.run([*self._shell, "-s"], code, timeout=100)
        assert (done.returncode, done.stderr) == (0, b"begin\tn\n")
        return parse(done.stdout, nonce="n", roots=[], state=state, asked=asked).listeners

    def end(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture(params=[*SHELLS, BUSYBOX])
def host(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Host]:
    it = Host(tmp_path, request.param)
    yield it
    it.end()


def at(port: int, *, kubelets: bool) -> frozenset[Listener]:
    return listeners((port, "127.0.0.1", kubelets))


@only_root
def test_a_socket_of_the_units_process_is_the_kubelets(host: Host) -> None:
    pid, port = host.listen()
    host.kubelet(pid)
    assert host.examined(port) == at(port, kubelets=True)


@only_root
def test_it_is_however_much_else_that_has_open(host: Host) -> None:
    pid, port = host.listen(descriptors=1000)
    host.kubelet(pid)
    assert host.examined(port) == at(port, kubelets=True)


@only_root
def test_a_users_socket_is_not(host: Host) -> None:
    pid, port = host.listen(MALLORY)
    assert host.examined(port) == at(port, kubelets=False)
    # Not even in the unit: what is not root's, root's kubelet did not open.
    host.kubelet(pid)
    assert host.examined(port) == at(port, kubelets=False)


@only_root
def test_roots_socket_in_another_process_is_not(host: Host) -> None:
    """As that of a pod which is root in the host's network."""
    _, port = host.listen()
    assert host.examined(port) == at(port, kubelets=False)
    pid, other = host.listen()
    host.kubelet(pid)
    assert host.examined(port, other) == at(port, kubelets=False) | at(other, kubelets=True)


def test_what_does_not_listen_is_no_listener(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            own = client.getsockname()[1]
            assert host.examined(own) == frozenset()
    assert host.examined(port) == frozenset()
