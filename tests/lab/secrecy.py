"""Looks for secrets where they must not be: in process lists, environments, files, logs."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .harness import NODES, documents

if TYPE_CHECKING:
    from .harness import Lab

_KEY = re.compile(r"-----BEGIN (EC )?PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END ")


class Watcher:
    """
    Samples arguments and environment of every process that starts while it is in use.

    The lab's hosts are containers, so this machine's process list holds theirs as well: both sides
    are seen. It also notes the bootstrap tokens that come and go.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._over = threading.Event()
        self._old = _processes()
        self._seen: dict[tuple[int, bytes], str] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._secrets: subprocess.Popen[str] | None = None
        self._listing = lab.scratch / "secrets.json"

    def __enter__(self) -> Self:
        words = ["-n", "kube-system", "get", "secrets", "--watch", "-o", "json"]
        kubectl = self._lab.kubectl_command()
        with self._listing.open("w") as out:
            self._secrets = subprocess.Popen([*kubectl, *words], stdout=out, text=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._secrets:
            self._secrets.terminate()
            self._secrets.wait()

    @property
    def lines(self) -> list[str]:
        """What was seen, one line per process and command."""
        return list(self._seen.values())

    @property
    def tokens(self) -> set[str]:
        """The secret halves of the bootstrap tokens that there were."""
        return {
            base64.b64decode(item["data"]["token-secret"]).decode()
            for item in documents(self._listing.read_text())
            if item.get("type") == "bootstrap.kubernetes.io/token"
        }

    def _watch(self) -> None:
        while not self._over.wait(0.03):
            for pid in _processes() - self._old:
                self._inspect(pid)

    def _inspect(self, pid: int) -> None:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if (pid, command) not in self._seen:
                environment = Path(f"/proc/{pid}/environ").read_bytes()
                text = (command + b"\n" + environment).replace(b"\0", b" ")
                self._seen[pid, command] = text.decode(errors="replace")
        except OSError:  # it has ended
            return


def _processes() -> set[int]:
    return {int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()}


def private_keys(lab: Lab) -> set[str]:
    """Return the secret part of every private key on the nodes, as it stands in PEM."""
    found: set[str] = set()
    for node in NODES:
        text = lab.on(node, "cat /var/lib/kubelet/pki/*.pem /etc/kubernetes/pki/*.pem")
        for elliptic, body in _KEY.findall(text):
            # P-256: 32 secret bytes come after 7 (SEC 1) or 36 (PKCS#8) that all keys share.
            start = 12 if elliptic else 48
            found.add(re.sub(r"\s", "", body)[start : start + 38])
    return found


def password(lab: Lab) -> str:
    """Return the sudo password of the lab's user `ops`."""
    return lab.layout.sudo_password.read_text().strip()


def reported(text: str, secrets: set[str]) -> list[str]:
    """Return those secrets that a text gives away, also where its lines are wrapped or escaped."""
    flat = re.sub(r"\s|\\n", "", text)
    return [secret for secret in secrets if secret in flat]


def json_of(value: object) -> str:
    """Return a document as text to look through."""
    return json.dumps(value)
