"""Which key waits on a host for its certificate, and why that is not known."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fabnode.deploy.join_proof import waiting_key
from fabnode.node import layout
from fabnode.ssh.host import Host

USED = ("echo", "sed", "stat")


@pytest.fixture
def host(tmp_path: Path) -> Any:
    """A host that has no more than the tools in its folder."""
    (tools := tmp_path / "tools").mkdir()
    for name in USED:
        (tools / name).symlink_to(shutil.which(name) or "")

    def root(command: str, **_: Any) -> Any:
        done = subprocess.run(
            ["/bin/sh", "-c", command], env={"PATH": str(tools)}, capture_output=True, check=False
        )
        return SimpleNamespace(stdout=done.stdout, code=done.returncode)

    kubelet = SimpleNamespace(root=str(tmp_path / "kubelet"))
    return SimpleNamespace(name="n1", node=SimpleNamespace(kubelet=kubelet), root=root, tools=tools)


def put(host: Any, content: bytes) -> str:
    path = Path(layout.kubelet_pending_key(host.node.kubelet.root))
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return str(path)


def test_a_host_without_ssh_keygen_says_so(host: Any) -> None:
    assert waiting_key(cast("Host", host)).fault == ""  # no key waits
    put(host, b"x")
    assert waiting_key(cast("Host", host)).fault.startswith("it has no ssh-keygen")


def test_a_key_is_read_or_named(host: Any) -> None:
    (host.tools / "ssh-keygen").symlink_to(shutil.which("ssh-keygen") or "")
    path = put(host, b"x")
    assert waiting_key(cast("Host", host)).fault == f"{path} can't be read there"
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    Path(path).write_bytes(pem)
    found = waiting_key(cast("Host", host))
    assert found.public
    assert not found.fault
