"""SSH servers on the loopback, one for each simulated host, that answer as recorded."""

from __future__ import annotations

import re
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncssh

from fabnode.node.conventions import (
    KUBELET_HEALTH_PORT,
    PROXY_HEALTH_PORT,
    PROXY_METRICS_PORT,
)

from . import recording

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from asyncssh import SSHReader, SSHWriter

_MARK = re.compile(r"fabnode-([0-9a-f]{16})")  # that ssh/exec.py waits for
_PROBE = re.compile(rb"^nonce=([0-9a-f]{16}) ", re.MULTILINE)
_ANSWERS = {KUBELET_HEALTH_PORT: b"ok", PROXY_HEALTH_PORT: b"ok", PROXY_METRICS_PORT: b"iptables"}
_BACKLOG = 128


@dataclass(slots=True)
class Seen:
    """
    What hosts were asked for.

    :param most: connections that were open at once. :param bytes: of the programs that were sent.
    :param unanswered: commands that no host knows.
    """

    connections: int = 0
    open: int = 0
    most: int = 0
    probes: int = 0
    bytes: int = 0
    forwarded: Counter[int] = field(default_factory=Counter)
    unanswered: list[str] = field(default_factory=list)

    def taken(self) -> dict[str, object]:
        """Return what was seen since the last call."""
        taken = {
            "connections": self.connections,
            "most": self.most,
            "probes": self.probes,
            "bytes": self.bytes,
            "forwarded": dict(self.forwarded),
            "unanswered": self.unanswered[:3],
        }
        self.connections, self.most, self.probes, self.bytes = 0, self.open, 0, 0
        self.forwarded, self.unanswered = Counter(), []
        return taken


class _Server(asyncssh.SSHServer):
    """Forwards to the API and to the health endpoints of kubelet and kube-proxy."""

    def __init__(self, seen: Seen, apiserver_port: int) -> None:
        self._seen = seen
        self._apiserver_port = apiserver_port

    def connection_made(self, _: asyncssh.SSHServerConnection) -> None:
        self._seen.connections += 1
        self._seen.open += 1
        self._seen.most = max(self._seen.most, self._seen.open)

    def connection_lost(self, _: Exception | None) -> None:
        self._seen.open -= 1

    def connection_requested(
        self, _: str, dest_port: int, *__: object
    ) -> bool | Callable[..., Coroutine[None, None, None]]:
        self._seen.forwarded[dest_port] += 1
        if dest_port == self._apiserver_port:
            return True
        if dest_port not in _ANSWERS:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "Connection refused")
        body = _ANSWERS[dest_port]

        async def answered(reader: SSHReader[bytes], writer: SSHWriter[bytes]) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + body)
            writer.close()

        return answered


async def serve(
    recorded: Mapping[str, str], key: asyncssh.SSHKey, user: asyncssh.SSHKey, apiserver_port: int
) -> tuple[int, Seen]:
    """
    Serve hosts until the loop ends; return the port that all of them have, and what they see.

    :param recorded: what a host's probe prints, by its address.
    :param key: of all hosts. :param user: who is let in.
    """
    seen = Seen()

    async def run(process: asyncssh.SSHServerProcess[bytes]) -> None:
        marks = dict.fromkeys(_MARK.findall(str(process.command)))
        for mark in marks:  # the login shell's, and root's
            process.stdout.write(f"fabnode-{mark}-shell\nfabnode-{mark}-root\n".encode())
        program = await process.stdin.read()
        seen.bytes += len(program)
        if probe := _PROBE.search(program):
            seen.probes += 1
            address = process.channel.get_extra_info("sockname")[0]
            process.stdout.write(recording.answer(recorded[address], probe[1].decode()))
            process.exit(0)
            return
        seen.unanswered.append(f"{process.command} {program[:200]!r}")
        process.exit(1)

    port = 0
    for address in recorded:
        listener = socket.create_server((address, port), backlog=_BACKLOG)
        port = listener.getsockname()[1]
        await asyncssh.listen(
            sock=listener,
            server_factory=lambda: _Server(seen, apiserver_port),
            server_host_keys=[key],
            authorized_client_keys=asyncssh.import_authorized_keys(
                user.export_public_key().decode()
            ),
            process_factory=run,
            encoding=None,
            line_editor=False,
        )
    return port, seen
