"""Parts that hosts pass on to each other: real servers and receivers on this machine's loopback."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fabnode.node.facts import Facts
from fabnode.node.plan import make_plan
from fabnode.node.resources import Binary, File
from fabnode.remote import payload
from fabnode.remote.apply import apply, start
from fabnode.remote.payload_cache import Packer
from fabnode.remote.relay_choice import Distribution, Done, Part, Send, Serve, Wait
from fabnode.remote.relay_server import Offer, folder, seen, serve
from fabnode.remote.script_assembly import joined
from fabnode.ssh.exec import Result
from fabnode.util.families import family_of
from tests import attacks
from tests.support import wait_for

from .local import SHELLS
from .test_apply import Node, sha

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fabnode.remote.apply import Applied
    from fabnode.remote.relay_choice import Miss, Step
    from fabnode.util.families import Family

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(
        not shutil.which("systemd-socket-activate") or os.geteuid() != 0,
        reason="no systemd-socket-activate, or not root",
    ),
]

PORT = 10280
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_TAKEN = itertools.count()


def _address(number: int) -> str:
    """Return an address of this test's own: others may run beside it, their servers still end."""
    own = os.getpid() % 16000
    return f"127.{64 + own // 250}.{own % 250}.{2 + (next(_TAKEN) + number) % 250}"


def _port(number: int) -> int:
    """Return a port of this test's own: of IPv6 the loopback has one address alone."""
    return 10300 + os.getpid() % 200 * 100 + (next(_TAKEN) + number) % 100


RUN = "5eed"

# Starts the command behind `--` as a unit would, and remembers its process.
SYSTEMD_RUN = """while [ "$1" != -- ]; do shift; done; shift
setsid "$@" >/dev/null 2>{log} </dev/null & echo $! >{pid}"""
SYSTEMCTL = """case $1 in
is-active) kill -0 "$(cat {pid})" ;;
stop) [ ! -e {pid} ] || kill -TERM -- -"$(cat {pid})" ;;
show) printf 'ActiveState=active\\nSubState=running\\nNRestarts=0\\n' ;;
esac"""


class Neighbour(Node):
    """A host with an address of its own on the loopback, fed while it works."""

    def __init__(
        self, folder: Path, shell: list[str], number: int, packer: Packer, family: Family = 4
    ) -> None:
        folder.mkdir()
        super().__init__(folder, shell)
        self.name = f"n{number}"
        self.address = _address(number) if family == 4 else "::1"
        self.port = PORT if family == 4 else _port(number)
        self.packer = packer
        self.pid = folder / "unit.pid"
        self.log = folder / "unit.log"
        self.tools.add("systemd-run", SYSTEMD_RUN.format(pid=self.pid, log=self.log))
        self.tools.add("systemctl", SYSTEMCTL.format(pid=self.pid))
        self.received = 0

    def root(
        self,
        script: str,
        *,
        stdin: Iterable[bytes],
        timeout: float,
        on_line: Callable[[bytes], None],
        limit: int = 0,
    ) -> Result:
        command = start(str(self.state), str(self.lock)) if script == start() else "exec $0 -s"
        process = subprocess.Popen(
            [*self.shell, "-c", command, *([self.shell[0]] if script != start() else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.tools.env,
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr
        listener = threading.Thread(target=self._listen, args=(process.stdout, on_line))
        listener.start()
        sent = 0
        with suppress(BrokenPipeError):
            for block in stdin:
                if process.poll() is not None:
                    break
                if not block:
                    time.sleep(0.01)
                process.stdin.write(block)
                process.stdin.flush()
                sent += len(block)
        with suppress(BrokenPipeError):
            process.stdin.close()
        listener.join(20)
        assert not listener.is_alive()
        errors = process.stderr.read()
        self.received += sent
        return Result(process.wait(5), b"", errors, sent)

    @staticmethod
    def _listen(lines: Iterable[bytes], on_line: Callable[[bytes], None]) -> None:
        for line in lines:
            on_line(line.rstrip(b"\n"))

    def stop_unit(self) -> None:
        """End what stands for its unit, if a test went wrong before."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(int(self.pid.read_text()), signal.SIGKILL)

    def offer(self, **changes: object) -> Offer:
        peers = (LOOPBACK[family_of(self.address)],)
        whole = Offer(RUN, "secret", self.address, self.port, peers, str(self.state))
        return replace(whole, **changes)  # type: ignore[arg-type]


class Way:
    """A course as the deployer has them, without threads of its own: `Course`."""

    token = "secret"

    def __init__(self, group: Group, node: Neighbour) -> None:
        self._group, self._node = group, node
        self.folder = folder(str(node.state), RUN)
        self.ready = False
        self.misses: list[tuple[str, str]] = []
        self.sources: list[str] = []
        self.fetches = True

    def enter(self, parts: Sequence[Part]) -> None:
        self._group.choice.enter(self._node.name, parts, time.monotonic(), fetches=self.fetches)

    def begun(self) -> None:
        self.ready = True

    def next(self) -> Step:
        if not self.ready:
            return Wait()
        with self._group.lock:
            step = self._group.choice.next(self._node.name, time.monotonic())
        if step == Serve():
            self._group.serve(self._node)
            return Wait()
        if isinstance(step, Done):
            self._group.choice.leave(self._node.name)
        return step

    @property
    def passes_on(self) -> bool | None:
        with self._group.lock:
            return self._group.choice.passes_on(self._node.name)

    def progressed(self, *, ended: bool = False) -> None:
        self._group.choice.progressed(self._node.name, time.monotonic(), ended=ended)

    def held(self, sha256: str, *, shared: bool) -> None:
        with self._group.lock:
            source = self._group.choice.held(self._node.name, sha256, shared=shared)
        assert source is not None
        self.sources.append(source)

    def missed(self, sha256: str, why: Miss, text: str) -> None:
        with self._group.lock:
            source = self._group.choice.missed(self._node.name, sha256, why)
        self.misses.append((why, f"{source}: {text}"))

    def way(self, host: str) -> tuple[str, str]:
        return self._group.nodes[host].offer().endpoint, self._node.address


class Group:
    """Hosts of one run."""

    def __init__(self, tmp_path: Path, shell: list[str], family: Family) -> None:
        self.packer = Packer(tmp_path / "packed")
        made = [Neighbour(tmp_path / f"n{n}", shell, n, self.packer, family) for n in range(1, 4)]
        self.nodes = {node.name: node for node in made}
        self.choice = Distribution(list(self.nodes), 2)
        self.ways = {node.name: Way(self, node) for node in made}
        self.lock = threading.RLock()
        self.wanted = True
        self.ends: dict[str, str] = {}
        self._threads: list[threading.Thread] = []

    def serve(self, node: Neighbour) -> None:
        def attend() -> None:
            def up(_: str) -> None:
                with self.lock:
                    self.choice.serving(node.name)

            def made() -> None:
                with self.lock:
                    self.choice.made(node.name)

            offer = node.offer(peers=[each.address for each in self.nodes.values()])
            self.ends[node.name] = serve(node, offer, made, up, lambda: self.wanted)
            with self.lock:
                self.choice.bar(node.name)

        thread = threading.Thread(target=attend)
        self._threads.append(thread)
        thread.start()

    def apply(self, name: str, *resources: Binary | File) -> Applied:
        plan = make_plan(name, resources, Facts())
        node = self.nodes[name]
        return apply(node, plan, self.packer, node.events.append, course=self.ways[name])

    def together(self, resources: Callable[[Neighbour], Sequence[Binary | File]]) -> None:
        """Apply to all hosts side by side."""
        errors: list[BaseException] = []

        def one(node: Neighbour) -> None:
            try:
                self.apply(node.name, *resources(node))
            except BaseException as error:
                errors.append(error)
                self.choice.leave(node.name)

        threads = [threading.Thread(target=one, args=(node,)) for node in self.nodes.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.end()
        if errors:
            raise errors[0]

    def end(self) -> None:
        self.wanted = False
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture(params=[*SHELLS, 6])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Group]:
    """Return three hosts, of each shell, and of IPv6."""
    six = request.param == 6
    made = Group(tmp_path, ["sh"] if six else request.param, 6 if six else 4)
    yield made
    made.end()
    for node in made.nodes.values():
        node.stop_unit()


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    made = []
    for number in range(5):
        path = tmp_path / f"part{number}"
        path.write_bytes(os.urandom(300_000))
        made.append(path)
    return made


def binaries(node: Neighbour, sources: Sequence[Path]) -> list[Binary | File]:
    return [
        *(Binary(node.path(f"bin/{s.name}"), s, sha(s.read_bytes())) for s in sources),
        File(node.path("config"), b"sent"),
    ]


def test_each_part_is_sent_once_and_passed_on(group: Group, sources: list[Path]) -> None:
    group.together(lambda node: binaries(node, sources))
    for node in group.nodes.values():
        for source in sources:
            assert Path(node.path(f"bin/{source.name}")).read_bytes() == source.read_bytes()
        assert Path(node.path("config")).read_bytes() == b"sent"
        assert node.leftovers() == []
        assert not list(node.state.glob("relay.*")), "nothing stays"
        assert not group.ways[node.name].misses
    passed = [source for way in group.ways.values() for source in way.sources]
    assert passed.count("") == len(sources)
    assert passed.count("n1") + passed.count("n2") + passed.count("n3") == 2 * len(sources)
    whole = sum(len(s.read_bytes()) for s in sources)
    assert sum(node.received for node in group.nodes.values()) < 1.7 * whole  # scripts, too


def test_a_large_part_comes_in_pieces(
    group: Group, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "_PIECE", 70_000)
    test_each_part_is_sent_once_and_passed_on(group, sources)


# --- neighbours that fail or lie ------------------------------------------------------------------


def listener(node: Neighbour) -> socket.socket:
    """Take a host's address and port, before its server does."""
    kind = socket.AF_INET if family_of(node.address) == 4 else socket.AF_INET6
    return socket.create_server((node.address, node.port), family=kind)


class Liar:
    """A neighbour that answers each connection with what a test says, in place of n1's server."""

    def __init__(self, node: Neighbour, answer: Callable[[socket.socket], None]) -> None:
        self._listener = listener(node)
        self._answer = answer
        self.asked = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.asked += 1
            with connection, suppress(OSError):
                connection.recv(4096)
                self._answer(connection)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def nothing() -> None:
    """Stand for news that a test does not wait for."""


def whole(content: bytes) -> bytes:
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 2**16)


LIES: dict[str, tuple[Callable[[socket.socket], None], str]] = {
    "other bytes": (lambda c: c.sendall(whole(b"x" * 5 * 300_019)), "wrong"),
    "endless": (endless, "wrong"),
    "cut": (lambda c: c.sendall(whole(b"x" * 300_019)[:9000]), "broken"),
    "nothing": (lambda c: None, "broken"),
    "no such part": (
        lambda c: c.sendall(b"HTTP/1.0 404 No\r\nContent-Length: 0\r\n\r\n"),
        "broken",
    ),
    "elsewhere": (
        lambda c: c.sendall(
            b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:9/x\r\nContent-Length: 0\r\n\r\n"
        ),
        "broken",
    ),
    "noise": (lambda c: c.sendall(os.urandom(5000)), "broken"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_a_neighbour_lies_is_refused_and_sent_by_the_deployer(
    group: Group, sources: list[Path], lie: str
) -> None:
    answer, state = LIES[lie]
    liar = Liar(group.nodes["n1"], answer)
    claim_all(group, "n1", sources)
    try:
        group.apply("n2", *binaries(group.nodes["n2"], sources))
    finally:
        liar.close()
    way = group.ways["n2"]
    assert liar.asked
    attacks.tried(liar.asked)
    assert {why for why, _ in way.misses} == {state}, way.misses
    assert way.sources == [""] * len(sources), "all was sent after that"
    assert group.nodes["n2"].leftovers() == []
    for source in sources:
        assert Path(group.nodes["n2"].path(f"bin/{source.name}")).read_bytes() == (
            source.read_bytes()
        )


def claim_all(group: Group, name: str, sources: Sequence[Path]) -> None:
    """Have a host claim that it serves everything, though nobody gave it anything."""
    parts = []
    for source in sources:
        packed = group.packer.packed(source, sha(source.read_bytes()), ".zst")
        parts.append(Part(packed.sha256, packed.size))
    group.choice.enter(name, parts, time.monotonic(), fetches=True)
    assert group.choice.next(name, time.monotonic()) == Serve()
    group.choice.serving(name)
    assert group.choice.next(name, time.monotonic()) == Send(tuple(parts))
    group.choice.progressed(name, time.monotonic(), ended=True)
    for part in parts:
        group.choice.held(name, part.sha256, shared=True)
    group.choice.leave(name)


def test_a_neighbour_that_is_not_there_costs_no_more_than_a_try(
    group: Group, sources: list[Path]
) -> None:
    claim_all(group, "n1", sources)
    group.apply("n2", *binaries(group.nodes["n2"], sources))
    way = group.ways["n2"]
    assert {why for why, _ in way.misses} == {"unreachable"}, way.misses
    assert way.sources == [""] * len(sources)


def test_of_parts_that_come_together_each_is_judged_alone(
    group: Group, sources: list[Path]
) -> None:
    packed = [
        group.packer.packed(s, sha(s.read_bytes()), ".zst").path.read_bytes() for s in sources
    ]
    answer = b"".join((*packed[:2], bytes(len(packed[2])), *packed[3:]))
    liar = Liar(group.nodes["n1"], lambda c: c.sendall(whole(answer)))
    claim_all(group, "n1", sources)
    try:
        group.apply("n2", *binaries(group.nodes["n2"], sources))
    finally:
        liar.close()
    attacks.tried()
    way = group.ways["n2"]
    assert liar.asked == 1, "for all of them at once"
    assert [why for why, _ in way.misses] == ["wrong"]
    assert sorted(way.sources) == ["", *["n1"] * 4]
    for source in sources:
        assert Path(group.nodes["n2"].path(f"bin/{source.name}")).read_bytes() == (
            source.read_bytes()
        )


def test_a_neighbour_that_drips_has_its_time(
    group: Group, sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fast enough to be no stall, and slow enough to hold up a host for ever."""
    limits = {b"most_time=30": b"most_time=1"}
    limits[b"most_stall=10"] = b"most_stall=300"  # it is no stall, here either

    def shortened(parts: tuple[str, ...]) -> bytes:
        text = joined(parts)
        for limit, other in limits.items():
            text = text.replace(limit, other)
            assert other in text
        return text

    monkeypatch.setattr(payload, "joined", shortened)

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        for _ in range(600):
            connection.sendall(b"x" * 2000)
            time.sleep(0.1)

    liar = Liar(group.nodes["n1"], drip)
    claim_all(group, "n1", sources)
    began = time.monotonic()
    try:
        group.apply("n2", *binaries(group.nodes["n2"], sources))
    finally:
        liar.close()
    attacks.tried()
    assert time.monotonic() - began < 45
    way = group.ways["n2"]
    assert way.misses[0][0] == "broken", way.misses
    assert way.sources == [""] * len(sources)


@pytest.fixture
def everybodys() -> Iterator[Path]:
    """Return a folder that nobody may enter as well, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_wget_does_where_there_is_no_curl(
    group: Group, sources: list[Path], everybodys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = everybodys
    for programs in ("/usr/bin", "/usr/sbin"):
        for program in Path(programs).iterdir():
            if program.name != "curl" and not (only / program.name).exists():
                (only / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(only))
    group.together(lambda node: binaries(node, sources))
    passed = [source for way in group.ways.values() for source in way.sources]
    assert passed.count("") == len(sources)
    assert not any(way.misses for way in group.ways.values())


def test_hosts_that_cannot_fetch_are_sent_all(group: Group, sources: list[Path]) -> None:
    for way in group.ways.values():
        way.fetches = False
    group.together(lambda node: binaries(node, sources))
    assert {s for way in group.ways.values() for s in way.sources} == {""}


def test_a_host_without_systemd_run_serves_nobody_and_gets_all(
    group: Group, sources: list[Path]
) -> None:
    for node in group.nodes.values():
        node.tools.add("systemd-run", "echo 'Unknown assignment: DynamicUser=yes' >&2; exit 1")
    group.together(lambda node: binaries(node, sources))
    assert set(group.ends.values()) == {"systemd-run: Unknown assignment: DynamicUser=yes"}
    assert {s for way in group.ways.values() for s in way.sources} == {""}
    for node in group.nodes.values():
        assert not list(node.state.glob("relay.*"))


def test_a_port_that_is_taken_is_a_sentence(group: Group, sources: list[Path]) -> None:
    taken = [listener(node) for node in group.nodes.values()]
    try:
        group.together(lambda node: binaries(node, sources))
    finally:
        for each in taken:
            each.close()
    endpoint = group.nodes["n1"].offer().endpoint
    assert group.ends["n1"] == f"something else listens on {endpoint}"
    assert {s for way in group.ways.values() for s in way.sources} == {""}


# --- the server alone -----------------------------------------------------------------------------


class Serving:
    """A host that serves one part."""

    def __init__(self, node: Neighbour, **changes: object) -> None:
        self.node = node
        node.state.mkdir(mode=0o700, exist_ok=True)
        self.content = os.urandom(50_000)
        self.part = sha(self.content)
        self.wanted = True
        self.up = threading.Event()
        self.end: list[str] = []
        offer = node.offer(**changes)

        def attend() -> None:
            self.end.append(
                serve(node, offer, nothing, lambda _: self.up.set(), lambda: self.wanted)
            )

        self.thread = threading.Thread(target=attend)
        self.thread.start()
        assert self.up.wait(20), self.end
        (Path(offer.folder) / "parts" / self.part).write_bytes(self.content)

    def ask(self, path: str, source: str = "") -> bytes:
        return self.say(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), source)

    def say(self, request: bytes, source: str = "") -> bytes:
        address = (self.node.address, self.node.port)
        own = source or LOOPBACK[family_of(self.node.address)]
        with socket.create_connection(address, 15, source_address=(own, 0)) as asking:
            answer = b""
            with suppress(ConnectionError):  # whom it does not know it hangs up on at once
                asking.sendall(request)
                while block := asking.recv(2**16):
                    answer += block
        return answer

    def stop(self) -> None:
        self.wanted = False
        self.thread.join(10)
        self.node.stop_unit()


@pytest.fixture
def server(group: Group) -> Iterator[Serving]:
    made = Serving(group.nodes["n1"])
    yield made
    made.stop()


def test_a_peer_with_the_token_gets_the_part(server: Serving) -> None:
    head, _, body = server.ask(f"/secret/{server.part}").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert body == server.content


def test_several_parts_come_one_after_another(server: Serving) -> None:
    folder = Path(server.node.offer().folder) / "parts"
    other = sha(b"other")
    (folder / other).write_bytes(b"other")
    head, _, body = server.ask(f"/secret/{other}/{server.part}").partition(b"\r\n\r\n")
    assert b"Content-Length: 50005\r\n" in head + b"\r\n"
    assert body == b"other" + server.content
    assert server.ask(f"/secret/{other}/{'0' * 64}").startswith(b"HTTP/1.0 404 ")


@pytest.mark.parametrize("token", ["", "Secret", "secret2", "secre", "*", "$(id)", "a b"])
def test_without_the_token_nobody_gets_anything(server: Serving, token: str) -> None:
    attacks.tried()
    assert server.content[:20] not in server.ask(f"/{token}/{server.part}")


def test_a_stranger_is_not_even_read(server: Serving) -> None:
    attacks.tried()
    if server.node.address == "::1":  # nobody else is here, so whom it knows is another
        server.stop()
        server = Serving(server.node, peers=("2001:db8::9",))
    strange = "127.0.0.9" if server.node.port == PORT else "::1"
    assert server.ask(f"/secret/{server.part}", source=strange) == b""
    server.stop()


@pytest.mark.parametrize(
    "part",
    [
        "",
        "/",
        "..",
        "../answer",
        "../../../../etc/passwd",
        "0" * 64,
        "a" * 63,
        "a" * 65,
        "*",
        "x" * 64,
    ],
)
def test_nothing_but_parts_is_given(server: Serving, part: str) -> None:
    attacks.tried()
    answer = server.ask(f"/secret/{part}")
    assert not answer.startswith(b"HTTP/1.0 200")


@pytest.mark.parametrize(
    "request_", [b"\r\n", b"\0" * 300 + b"\n", b"x" * 100_000, b"PUT /secret/x HTTP/1.1\r\n\r\n"]
)
def test_odd_requests_end_the_connection_alone(server: Serving, request_: bytes) -> None:
    attacks.tried()
    with suppress(BrokenPipeError, ConnectionResetError):
        assert b"200 OK" not in server.say(request_)
    assert server.content in server.ask(f"/secret/{server.part}")


def test_a_server_ends_with_its_life_line(server: Serving) -> None:
    server.stop()
    assert server.end == [""]
    assert not list(server.node.state.glob("relay.*"))
    deadline = time.monotonic() + 10
    with suppress(ConnectionRefusedError):
        while time.monotonic() < deadline:
            server.ask("/")
        pytest.fail("it still listens")
    assert f"systemctl stop -- fabnode-relay-{RUN}.service" in server.node.tools.calls


def test_a_server_of_another_run_that_lives_stays(server: Serving) -> None:
    """Its folder is locked as long as it lives."""
    node = server.node
    end = time.monotonic() + 20
    other = node.offer(name="other", port=1)
    why = serve(node, other, nothing, lambda _: None, lambda: time.monotonic() < end)
    assert why == "another run of fabnode has it serve"
    assert server.content in server.ask(f"/secret/{server.part}")
    assert [path.name for path in node.state.glob("relay.*")] == [f"relay.{RUN}"]


def test_the_end_of_a_server_is_noticed(server: Serving) -> None:
    server.node.stop_unit()
    wait_for(lambda: bool(server.end))
    assert server.end == ["its server ended"]
    assert not list(server.node.state.glob("relay.*"))


def test_a_server_is_asked_of_systemd_with_no_more_rights_than_it_needs(server: Serving) -> None:
    (call,) = server.node.tools.calls_of("systemd-run")
    for wanted in (
        "DynamicUser=yes",
        "CapabilityBoundingSet= ",
        "ProtectSystem=strict",
        f"TemporaryFileSystem={server.node.state}:ro",
        f"BindReadOnlyPaths={server.node.state}/relay.{RUN} ",
        "IPAddressDeny=any",
        f"IPAddressAllow={LOOPBACK[family_of(server.node.address)]} ",
        f"RestrictAddressFamilies={'AF_INET' if server.node.port == PORT else 'AF_INET6'} ",
        "RuntimeMaxSec=3600",
    ):
        assert f"-p {wanted}" in call
    assert "secret" not in call


def test_what_a_killed_run_left_goes_before_the_next_serves(group: Group) -> None:
    node = group.nodes["n1"]
    left = node.state / "relay.older"
    (left / "parts").mkdir(parents=True)
    (left / "parts/x").write_bytes(b"x")
    node.state.chmod(0o700)
    assert serve(node, node.offer(port=1), nothing, lambda _: None, lambda: False) == ""
    assert not left.exists()


def test_what_a_host_left_that_went_down_goes_with_the_next_change(group: Group) -> None:
    node = group.nodes["n1"]
    (node.state / "relay.older/parts").mkdir(parents=True)
    (node.state / "relay.older/parts/x").write_bytes(b"x")
    node.state.chmod(0o700)
    node.apply(File(node.path("config"), b"sent"))
    assert not list(node.state.glob("relay.*"))


def test_a_folder_that_others_may_change_is_not_served_from(group: Group) -> None:
    node = group.nodes["n1"]
    node.state.mkdir(mode=0o777)
    node.state.chmod(0o777)
    why = serve(node, node.offer(), nothing, lambda _: None, lambda: True)
    assert why == f"{node.state} is not root's alone"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("10.99.0.11", "0B00630A"),
        ("::1", "00000000000000000000000001000000"),
        ("fd00::2", "000000FD000000000000000002000000"),
        ("2001:db8:1234:5678:9abc:def0:1122:3344", "B80D012078563412F0DEBC9A44332211"),
    ],
)
def test_addresses_are_compared_as_the_kernel_shows_them(address: str, shown: str) -> None:
    assert seen(address) == shown
