"""Run `inv` and count what it asks of hosts and API: `python -m bench.counted OUT.json plan …`."""

from __future__ import annotations

import json
import re
import ssl
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import urllib3.connection
from invoke.main import program
from paramiko import Transport

# A path without the names in it, and without its query: of nodes, of Leases.
_NAMES = re.compile(r"(?<=/nodes/)[^/]+|(?<=/leases/)[^/]+")


class Counts:
    """
    What was asked so far.

    :ivar channels: SSH channels, by the host's address.
    :ivar calls: requests over HTTPS, by `GET /api/v1/nodes/*`.
    :ivar received: bytes that came over TLS, its own framing left out.
    """

    def __init__(self) -> None:
        """Start at nothing."""
        self.channels: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.received = 0
        self._lock = threading.Lock()

    def install(self) -> None:
        """Count from now on, in this process."""
        self._count_channels()
        self._count_requests()
        self._count_bytes()

    def write(self, out: Path) -> None:
        """Write them as JSON, under their names."""
        with self._lock:
            found = {"channels": self.channels, "calls": self.calls, "received": self.received}
            out.write_text(json.dumps(found))

    def _count_channels(self) -> None:
        open_channel = Transport.open_channel

        def counting(transport: Transport, *args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.channels[transport.getpeername()[0]] += 1
            return open_channel(transport, *args, **kwargs)

        Transport.open_channel = counting  # type: ignore[assignment]

    def _count_requests(self) -> None:
        connection = urllib3.connection.HTTPSConnection
        request = connection.request

        def counting(self_: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.calls[f"{method} {_NAMES.sub('*', url.split('?')[0])}"] += 1
            return request(self_, method, url, *args, **kwargs)

        connection.request = counting  # type: ignore[assignment]

    def _count_bytes(self) -> None:
        receive = ssl.SSLSocket.recv_into

        def counting(socket: ssl.SSLSocket, *args: Any, **kwargs: Any) -> int:
            count = receive(socket, *args, **kwargs)
            with self._lock:
                self.received += count
            return count

        ssl.SSLSocket.recv_into = counting  # type: ignore[assignment]


def main(out: Path, words: list[str]) -> None:
    """Write to `out` what a command asked for."""
    counts = Counts()
    counts.install()
    try:
        program.run(["inv", *words])
    finally:
        counts.write(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
