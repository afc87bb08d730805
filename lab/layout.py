"""Names, addresses and paths of one lab. Pure: a lab's name and folder decide all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from .defaults import DEFAULT_NAME
from .errors import LabError, LabInputError

SERVICE_CIDR = "10.68.0.0/16"
POD_CIDR = "172.20.0.0/16"
DNS_ADDRESS = "10.68.0.2"
JUMP = "jump"
MAX_NODES = 200
MAX_CONTROL_PLANES = 5


@dataclass(frozen=True, slots=True)
class Host:
    """One host of a lab. ``user`` is whom fabnode logs in as."""

    name: str
    address: IPv4Address
    user: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of one lab is, and what its parts are called."""

    name: str
    folder: Path
    subnet: IPv4Network

    @property
    def bridge(self) -> str:
        """Return the bridge's name."""
        return f"fab-{self.name}"

    @property
    def gateway(self) -> IPv4Address:
        """Return the machine's own address on the bridge, where the API server listens."""
        return self.subnet[1]

    @property
    def apiserver(self) -> str:
        """Return the API server's URL."""
        return f"https://{self.gateway}:6443"

    def control_planes(self, count: int) -> list[IPv4Address]:
        """Return the addresses of so many API servers; the jump host has the second."""
        return [self.gateway, *(self.subnet[2 + number] for number in range(1, count))]

    def apiservers(self, count: int) -> list[str]:
        """Return the URLs of so many API servers."""
        return [f"https://{address}:6443" for address in self.control_planes(count)]

    @property
    def etcd(self) -> str:
        """Return etcd's URL, which hosts reach as well."""
        return f"https://{self.gateway}:2379"

    @property
    def pki(self) -> Path:
        """Return the folder with certificates and keys."""
        return self.folder / "pki"

    @property
    def key(self) -> Path:
        """Return the private SSH key that opens every host."""
        return self.folder / "ssh/id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Return the file with the hosts' public keys."""
        return self.folder / "known_hosts"

    @property
    def sudo_password(self) -> Path:
        """Return the file with the password of user ops."""
        return self.folder / "sudo-password"

    @property
    def bootstrap_token(self) -> Path:
        """Return the file with the token that the API server's token file holds."""
        return self.folder / "bootstrap-token"

    @property
    def token_file(self) -> Path:
        """Return the API server's token file, of the chapter's one user."""
        return self.pki / "token.csv"

    @property
    def configuration(self) -> Path:
        """Return the fabnode configuration for this lab."""
        return self.folder / "cluster.yml"

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.folder / "admin.kubeconfig"

    @property
    def artifacts(self) -> Path:
        """Return the folder with what fabnode puts on nodes."""
        return self.folder / "artifacts"

    @property
    def kubectl(self) -> Path:
        """Return the kubectl of the cluster's version."""
        return self.folder / "bin/kubectl"

    @property
    def logs(self) -> Path:
        """Return the folder with the control plane's logs."""
        return self.folder / "log"

    def host_folder(self, host: str) -> Path:
        """Return the folder with a host's disk."""
        return self.folder / "hosts" / host

    def record(self, process: str) -> Path:
        """Return where a process of this lab is recorded."""
        return self.folder / "run" / process

    def machine(self, host: str) -> str:
        """Return the name nspawn knows a host by."""
        return f"{self.name}-{host}"

    def cable(self, host: str) -> str:
        """Return the name of the machine's end of a host's cable, as nspawn names it."""
        return f"vb-{self.machine(host)}"

    def cgroup(self, host: str) -> str:
        """Return the name of a host's own cgroup."""
        return f"fabnode-{self.name}-{host}"

    def node(self, number: int) -> Host:
        """Return node ``number``, counted from 1; the second and third are not root's."""
        user = {2: "ops", 3: "dev"}.get(number, "root")
        return Host(f"n{number}", self.subnet[10 + number], user)

    def nodes(self, count: int) -> list[Host]:
        """Return the first ``count`` nodes."""
        return [self.node(number) for number in range(1, count + 1)]

    def jump(self) -> Host:
        """Return the jump host."""
        return Host(JUMP, self.subnet[2], "ops")

    def host(self, name: str) -> Host:
        """Return the host of that name."""
        if name == JUMP:
            return self.jump()
        match = re.fullmatch(r"n([1-9]\d*)", name)
        if match is None or int(match[1]) > MAX_NODES:
            raise LabInputError(f"{name!r} is no host of this lab; `inv lab.status` lists them")
        return self.node(int(match[1]))


def folder_for(name: str, parent: Path) -> Path:
    """Return the state folder of the lab called ``name``."""
    return parent / (".lab" if name == DEFAULT_NAME else f".lab-{name}")


def check_name(name: str) -> None:
    """Raise unless the name fits: interface names, made from it, have 15 letters at most."""
    if not re.fullmatch(r"[a-z][a-z0-9]{0,6}", name):
        raise LabInputError(f"a lab's name is 1 to 7 lower-case letters or digits, not {name!r}")


def free_subnet(taken: list[IPv4Network]) -> IPv4Network:
    """Return the first 10.99.x.0/24 that overlaps nothing in ``taken``."""
    for third in range(256):
        subnet = IPv4Network(f"10.99.{third}.0/24")
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise LabError("no network is free between 10.99.0.0/24 and 10.99.255.0/24")
