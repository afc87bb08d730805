"""A node in memory: it can be looked at and changed, and its kubelet does what kubelets do."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import yaml

from fabnode.node import layout
from fabnode.node.facts import Facts, PathFact, UnitFact
from fabnode.node.resources import (
    Absent,
    Binary,
    ClientCertificate,
    Command,
    Directory,
    ExistingSecret,
    File,
    Image,
    Module,
    Superseded,
    Sysctl,
    Unit,
)
from fabnode.pki.certificates import CertificateFile
from fabnode.pki.csr_policy import missing_names
from fabnode.remote.apply import Applied
from fabnode.ssh.exec import Result
from fabnode.ssh.port_checks import TlsResult
from fabnode.steps import kubelet
from tests.support import DOCUMENT, certificate, serving_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fabnode.config.configuration import Node
    from fabnode.node.facts import Watchlist
    from fabnode.node.plan import Plan
    from fabnode.remote.apply_protocol import ApplyEvent


class Machine:
    """
    Stands in for `Host`; `probe` and `change` stand in for what goes to it by SSH.

    :param reported: takes down what was done to it, in order.
    """

    def __init__(self, node: Node, reported: list[str]) -> None:
        self.node = node
        self.name = node.name
        self.reported = reported
        root = node.kubelet.root
        self._client = layout.kubelet_client_certificate(root)
        self._serving = layout.kubelet_serving_certificate(root)
        self.facts = Facts(
            known=True,
            hostname=node.name,
            machine_id="aa",
            os_id="debian",
            os_version="13",
            kernel="6.12.0",
            memory=2**32,
            modules=frozenset({"overlay", "br_netfilter"}),
            images=frozenset(),
        )

    def root(self, script: str, **_: object) -> Result:
        """Run a command, of those that are run outside of probes and changes."""
        if "BEGIN CERTIFICATE" in script:
            self.reported.append("host: read certificate")
            return Result(0, self.facts.certificate(self._client).pem.encode(), b"")
        if script.startswith("rm -f "):
            for path in script.removeprefix("rm -f ").split():
                self.lose(path)
        self.reported.append("host: await file" if "until" in script else f"host: {script[:40]}")
        return Result(0, b"ActiveState=active\nSubState=running\nNRestarts=0\n", b"")

    def tls_to(self, *_: object) -> TlsResult:
        return TlsResult(reachable=True, trusted=True)

    def probe(self, _: object, watch: Watchlist) -> Facts:
        """Tell what is asked about, and nothing else."""
        self.reported.append("host: probe")
        asked = {*watch.text, *watch.opaque, *watch.folders}
        return replace(
            self.facts,
            paths={p: f for p, f in self.facts.paths.items() if p in asked},
            certificates={
                p: c
                for p, c in self.facts.certificates.items()
                if p in {*watch.certificates, *watch.servers}
            },
            units={n: u for n, u in self.facts.units.items() if n in watch.units},
            sysctls={k: v for k, v in self.facts.sysctls.items() if k in watch.sysctls},
        )

    def change(
        self,
        host: object,
        plan: Plan,
        packer: object,
        on_event: Callable[[ApplyEvent], None],
        /,
        *,
        remakes: bool = False,
        record: object = None,
        **_: object,
    ) -> Applied:
        """Make a plan true."""
        self.remakes, self.recorded = remakes, record is not None
        names = [f"{change.action} {change.name}" for change in plan.changes]
        self.reported.append(f"host: change {', '.join(names)}")
        self._paths({marker: PathFact("file", 0o600) for marker in plan.due})
        for change in plan.changes:
            self._change(change.resource, change.stamp)
        return Applied(plan, (), sent=1)

    def put(self, path: str) -> None:
        """Have an empty file from now on."""
        self._paths({path: PathFact("file", 0o600)})

    def lose(self, path: str) -> None:
        """Be without a file from now on."""
        facts = self.facts
        self.facts = replace(
            facts,
            paths={p: fact for p, fact in facts.paths.items() if p != path},
            certificates={p: pem for p, pem in facts.certificates.items() if p != path},
        )

    def _change(self, resource: object, stamp: Collection[str]) -> None:
        facts = self.facts
        match resource:
            case File(path=path, content=content, mode=mode):
                assert content is not None, path
                self._put(path, content, mode)
            case Binary(path=path, sha256=sha256, mode=mode):
                self._paths({path: PathFact("file", mode, sha256=sha256)})
            case ExistingSecret(path=path, mode=mode):
                self._paths({path: replace(facts.path(path), mode=mode)})
            case Directory(path=path, mode=mode):
                self._paths({path: PathFact("directory", mode)})
            case Absent(path=path) | Superseded(path=path):
                self.lose(path)
            case Module(name=name):
                self.facts = replace(facts, modules=facts.modules | {name})
            case Sysctl(key=key, value=value):
                self.facts = replace(facts, sysctls={**facts.sysctls, key: value})
            case Image(names=names):
                stored = (facts.images or frozenset()) | {*names}
                self.facts = replace(facts, images=stored, pinned=facts.pinned | {*names})
            case Unit(name=name):
                self._unit(name, stamp)
            case ClientCertificate(bootstrap=bootstrap):
                self.lose(bootstrap)  # once it is used; its kubelet does all else
            case Command(marker=marker):
                self.lose(marker)
            case _:
                raise NotImplementedError(resource)

    def _unit(self, name: str, stamp: Collection[str]) -> None:
        known = {path: self.facts.path(path).sha256 or "" for path in stamp}
        fact = UnitFact("loaded", "active", "running", "enabled", stamp=known)
        self.facts = replace(self.facts, units={**self.facts.units, name: fact})
        if name != kubelet.UNIT:
            return
        for path in (self._client, self._serving):
            if path not in self.facts.certificates:
                self._certify(path)
        if missing_names(self.facts.certificate(self._serving), (self.node.name, self.node.ip)):
            self._certify(self._serving)  # it requests one for its new address

    def _certify(self, path: str) -> None:
        made = (
            certificate(f"system:node:{self.name}")
            if path == self._client
            else serving_certificate(self.name, self.name, self.node.ip)
        )
        self._put(path, made.encode(), 0o600)
        if path == self._client:
            self._put(layout.KUBELET_KUBECONFIG, b"kubeconfig", 0o600)
            trusted = {layout.KUBELET_KUBECONFIG: layout.CA}
            servers = {layout.KUBELET_KUBECONFIG: self._bootstrapped_from()}
            self.facts = replace(self.facts, authorities=trusted, servers=servers)

    def _bootstrapped_from(self) -> str:
        """Return the server that a kubelet takes over into its own kubeconfig."""
        found = yaml.safe_load(self.facts.path(layout.BOOTSTRAP_KUBECONFIG).content or b"")
        if not found:
            return str(DOCUMENT["cluster"]["apiserver"])
        return str(found["clusters"][0]["cluster"]["server"])

    def _put(self, path: str, content: bytes, mode: int) -> None:
        digest = hashlib.sha256(content).hexdigest()
        self._paths({path: PathFact("file", mode, sha256=digest, content=content)})
        if b"BEGIN CERTIFICATE" in content:
            found = {**self.facts.certificates, path: CertificateFile.of(content.decode())}
            self.facts = replace(self.facts, certificates=found)

    def _paths(self, paths: dict[str, PathFact]) -> None:
        self.facts = replace(self.facts, paths={**self.facts.paths, **paths})
