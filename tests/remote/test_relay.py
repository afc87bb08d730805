"""Parts that hosts pass on to each other: real servers and receivers on this machine's loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
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
from fabnode.remote.apply import apply, start
from fabnode.remote.payload_cache import Packer
from fabnode.remote.relay_choice import Distribution, Done, Serve, Wait
from fabnode.remote.relay_server import Offer, folder, serve
from fabnode.ssh.exec import Result

from .local import SHELLS
from .test_apply import Node, sha

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from fabnode.remote.apply import Applied
    from fabnode.remote.relay_choice import Miss, Part, Step

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-socket-activate") or os.geteuid() != 0,
    reason="no systemd-socket-activate, or not root",
)

PORT = 10280
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

    def __init__(self, folder: Path, shell: list[str], number: int, packer: Packer) -> None:
        folder.mkdir()
        super().__init__(folder, shell)
        self.name = f"n{number}"
        self.address = f"127.0.0.{number + 1}"
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
        whole = Offer(RUN, "secret", self.address, PORT, ("127.0.0.1",), str(self.state))
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

    def endpoint(self, host: str) -> str:
        return f"{self._group.nodes[host].address}:{PORT}"


class Group:
    """Hosts of one run."""

    def __init__(self, tmp_path: Path, shell: list[str], count: int) -> None:
        self.packer = Packer(tmp_path / "packed")
        made = [Neighbour(tmp_path / f"n{n}", shell, n, self.packer) for n in range(1, count + 1)]
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

            self.ends[node.name] = serve(node, node.offer(), up, lambda: self.wanted)
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
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture(params=SHELLS)
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Group]:
    made = Group(tmp_path, request.param, 3)
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
