"""
Do a command's work by its libraries alone, without fabnode: what it can't take less than.

`python -m bench.floor CLUSTER.yml COMMAND …`, which `make bench-start` measures in turns with the
command itself: the libraries' imports; where the command reads Calico's manifest, its YAML; where
it goes to hosts and API, a login to each, the bytes of a probe and of its answer, forwarded
connections and TLS through one of them by paramiko, and as many calls by urllib3. Nothing is
compared, decided or shown.
"""

from __future__ import annotations

import base64
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import paramiko
    import urllib3

_CHECK = ("invoke.main", "pydantic", "yaml", "cryptography.x509")
_RUN = (*_CHECK, "paramiko", "jinja2", "urllib3", "ssl", "concurrent.futures")
_AT_ONCE = 50
_TIMEOUT = 60.0
_SENT = 31_500  # bytes of a probe
_ANSWER = 20_000  # bytes of what it prints of a bare host
_HEALTH_PORTS = (10248, 10256, 10249)  # kubelet's, kube-proxy's, and that of its mode


@dataclass(frozen=True)
class Work:
    """
    What a command has its libraries do.

    :param manifest: does it read Calico's? :param calls: of the API; 0: it goes nowhere.
    :param ports: on each host, that are asked for a page.
    """

    imports: tuple[str, ...]
    manifest: bool = False
    calls: int = 0
    ports: tuple[int, ...] = ()


# Calls as `make bench-thousand` counts them.
COMMANDS = {
    "inv --list": Work(("invoke.main",)),
    "fab --list": Work(("fabric.main",)),
    "inv config.check": Work(_CHECK, manifest=True),
    "inv deploy-nodes": Work(_RUN, manifest=True, calls=99, ports=_HEALTH_PORTS),
    "inv plan --json": Work(_RUN, manifest=True, calls=51),
}


def do(work: Work, configuration: Path) -> None:
    """Do it."""
    for name in work.imports:
        importlib.import_module(name)
    if not work.manifest:
        return
    import yaml

    found = yaml.load(configuration.read_text(), yaml.CSafeLoader)
    manifest = configuration.parent / found["calico"]["manifest"]
    list(yaml.load_all(manifest.read_text(), yaml.CSafeLoader))
    if not work.calls:
        return
    from concurrent.futures import ThreadPoolExecutor

    with _api(found["cluster"]["kubeconfig"]) as (pool, url):
        for _ in range(work.calls):
            pool.request("GET", f"{url}/api/v1/namespaces/kube-system").json()
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        asked = [threads.submit(_ask, found, node["address"], work) for node in found["nodes"]]
        for each in asked:
            each.result()


@contextmanager
def _api(kubeconfig: str) -> Iterator[tuple[urllib3.PoolManager, str]]:
    """Yield connections to an API and its URL, from a kubeconfig with its keys inside."""
    import urllib3
    import yaml

    found = yaml.load(Path(kubeconfig).read_text(), yaml.CSafeLoader)
    cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
    data = (
        cluster["certificate-authority-data"],
        user["client-certificate-data"],
        user["client-key-data"],
    )
    with tempfile.TemporaryDirectory() as folder:
        ca, cert, key = (str(Path(folder) / name) for name in ("ca", "cert", "key"))
        for path, text in zip((ca, cert, key), data, strict=True):
            Path(path).write_bytes(base64.b64decode(text))
        yield urllib3.PoolManager(ca_certs=ca, cert_file=cert, key_file=key), cluster["server"]


def _ask(found: Mapping[str, Any], address: str, work: Work) -> None:
    """Log in to a host, send and read what a probe does, connect through it."""
    import paramiko

    ssh = found["ssh"]
    client = paramiko.SSHClient()
    client.load_host_keys(ssh["known_hosts"][0])
    key = paramiko.Ed25519Key.from_private_key_file(ssh["keys"][0])
    client.connect(
        *(address, ssh.get("port", 22), ssh["user"]),
        pkey=key,
        look_for_keys=False,
        allow_agent=False,
        timeout=_TIMEOUT,
    )
    with client:
        transport = client.get_transport()
        assert transport
        channel = transport.open_session()
        channel.exec_command(f"cat >/dev/null; head -c {_ANSWER} /dev/zero")
        channel.sendall(os.urandom(_SENT))
        channel.shutdown_write()
        while channel.recv(2**16):
            pass
        _handshake(transport, found["cluster"])
        for port in work.ports:
            way = transport.open_channel("direct-tcpip", ("127.0.0.1", port), ("127.0.0.1", 0))
            way.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            while way.recv(2**16):
                pass


def _handshake(transport: paramiko.Transport, cluster: Mapping[str, Any]) -> None:
    """Speak TLS with the apiserver through a host."""
    import ssl

    name, _, port = cluster["apiserver"].removeprefix("https://").partition(":")
    way = transport.open_channel("direct-tcpip", (name, int(port)), ("127.0.0.1", 0))
    context = ssl.create_default_context(cafile=cluster["ca"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    while True:
        try:
            tls.do_handshake()
            way.sendall(outgoing.read())
            return
        except ssl.SSLWantReadError:
            way.sendall(outgoing.read())
            incoming.write(way.recv(2**16))


if __name__ == "__main__":
    try:
        do(COMMANDS[" ".join(sys.argv[2:])], Path(sys.argv[1]))
    except (IndexError, KeyError):
        sys.exit(__doc__)
