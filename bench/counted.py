"""Run `inv` and count the SSH channels it opens: `python -m bench.counted OUT.json plan …`."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from invoke.main import program
from paramiko import Transport


def main(out: Path, words: list[str]) -> None:
    """Write to `out` how many channels each address was asked for."""
    opened: Counter[str] = Counter()
    lock = threading.Lock()
    open_channel = Transport.open_channel

    def counting(transport: Transport, *args: Any, **kwargs: Any) -> Any:
        with lock:
            opened[transport.getpeername()[0]] += 1
        return open_channel(transport, *args, **kwargs)

    Transport.open_channel = counting  # type: ignore[assignment]
    try:
        program.run(["inv", *words])
    finally:
        out.write_text(json.dumps(opened))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
