"""
Show what commands can't take less than: `python -m bench.floor [ROUNDS]`.

Processor time of the libraries that fabnode is given, without fabnode: their imports, and logins,
commands, forwarded TLS and API calls as a plan has them, by paramiko and urllib3 alone, over a
hundred simulated bare hosts (`bench/simulated`). Medians, with the least and the most.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import measured
from .labs import PROJECT, FailedError, say_what_else_runs
from .thousand import simulation

ROUNDS = 7
HOSTS = 100
_TIMEOUT = 120.0
_CHECK = "import invoke.main, pydantic, yaml, cryptography.x509"
_RUN = f"{_CHECK}, paramiko, jinja2, urllib3, ssl, concurrent.futures"
IMPORTS = {
    "inv --list": "import invoke.main",
    "fab --list": "import fabric.main",
    "inv config.check": _CHECK,
    "inv deploy-nodes, unchanged": _RUN,
}
# As a plan has them for bare hosts (`make bench-thousand`).
_PROBE = 31_500  # bytes that a host is sent
_CALLS = 51  # of the API
_AT_ONCE = 50


def _login(folder: Path, address: str, ssh_port: int, api_port: int, known: str) -> None:
    """Log in to a host, have it print what a probe prints, and speak TLS through it."""
    import ssl

    import paramiko

    client = paramiko.SSHClient()
    client.load_host_keys(known)
    key = paramiko.Ed25519Key.from_private_key_file(str(folder / "id"))
    client.connect(
        *(address, ssh_port), pkey=key, look_for_keys=False, allow_agent=False, timeout=60
    )
    with client:
        transport = client.get_transport()
        assert transport
        channel = transport.open_session()
        channel.exec_command("sh")
        channel.sendall(b"nonce=0123456789abcdef x\n" + os.urandom(_PROBE))
        channel.shutdown_write()
        while channel.recv(2**16):
            pass
        way = transport.open_channel("direct-tcpip", ("127.0.0.1", api_port), ("127.0.0.1", 0))
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                tls.do_handshake()
                way.sendall(outgoing.read())
                return
            except ssl.SSLWantReadError:
                way.sendall(outgoing.read())
                incoming.write(way.recv(2**16))


def plan(folder: Path) -> None:
    """Do what a plan does with hosts and API, by libraries alone."""
    exec(_RUN)  # noqa: S102 - the text is ours
    import urllib3
    import yaml

    found = yaml.safe_load((folder / "cluster.yml").read_text())
    api = found["cluster"]["apiserver"]
    port = int(api.rpartition(":")[2])
    pool = urllib3.PoolManager(ca_certs=str(folder / "ca.pem"))
    for _ in range(_CALLS):
        pool.request("GET", f"{api}/api/v1/nodes", headers={"Authorization": "Bearer simulated"})
    ways = (found["ssh"]["port"], port, str(folder / "known_hosts"))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        logins = [threads.submit(_login, folder, n["address"], *ways) for n in found["nodes"]]
        for login in logins:
            login.result()


def _measure(words: Sequence[str]) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *words]
    return measured.run(command, cwd=PROJECT, environment=environment, timeout=_TIMEOUT).cpu


def _show(what: str, taken: Sequence[float]) -> None:
    print(
        f"{what:28} {statistics.median(taken):.3f} s ({min(taken):.3f} to {max(taken):.3f})",
        flush=True,
    )


def main(rounds: int) -> None:
    """Measure and print."""
    say_what_else_runs()
    for what, text in IMPORTS.items():
        _show(what, [_measure(["-c", text]) for _ in range(rounds + 1)][1:])
    with simulation(HOSTS, "bare") as simulated:
        words = ["-m", "bench.floor", "plan", str(simulated.folder)]
        _show(f"inv plan, {HOSTS} hosts", [_measure(words) for _ in range(rounds + 1)][1:])


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["plan"]:
            plan(Path(sys.argv[2]))
        else:
            main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
    except FailedError as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("interrupted")
