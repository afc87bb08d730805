"""Names, addresses and paths of one lab. Pure: a lab's name and folder decide all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from fabnode.util.families import in_url

from .defaults import DEFAULT_NAME, FAMILIES
from .errors import LabError, LabInputError

SERVICE_CIDR = "10.68.0.0/16"
POD_CIDR = "172.20.0.0/16"
DNS_ADDRESS = "10.68.0.2"
# Unique local addresses (RFC 4193). Nodes get /64 of pods' /56; 20 bits are what apiservers take.
SERVICE_CIDR6 = "fd00:10:68::/108"
POD_CIDR6 = "fd00:172:20::/56"
DNS_ADDRESS6 = "fd00:10:68::2"
Address = IPv4Address | IPv6Address
JUMP = "jump"
MAX_NODES = 200
MAX_CONTROL_PLANES = 5


@dataclass(frozen=True, slots=True)
class Host:
    """
    One host of a lab. ``user`` is whom fabnode logs in as.

    ``second`` is its other address in a lab of two families.
    """

    name: str
    address: Address
    user: str
    second: IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """
    Where everything of one lab is, and what its parts are called.

    ``family`` is that of hosts, pods and Services: one of ``defaults.FAMILIES``. The machine itself
    has an address of ``subnet`` with each, by which labs know each other's subnets.
    """

    name: str
    folder: Path
    subnet: IPv4Network
    family: str = FAMILIES[0]

    @property
    def bridge(self) -> str:
        """Return the bridge's name."""
        return f"fab-{self.name}"

    @property
    def subnet6(self) -> IPv6Network:
        """Return the lab's network of IPv6, as much its own as the other."""
        return IPv6Network(f"fd00:10:99:{self.subnet.network_address.packed[2]:x}::/64")

    @property
    def gateway(self) -> Address:
        """Return the machine's own address on the bridge, where the API server listens."""
        return self._address(1)

    @property
    def apiserver(self) -> str:
        """Return the API server's URL."""
        return f"https://{in_url(str(self.gateway))}:6443"

    def control_planes(self, count: int) -> list[Address]:
        """Return the addresses of so many API servers; the jump host has the second."""
        return [self.gateway, *(self._address(2 + number) for number in range(1, count))]

    def apiservers(self, count: int) -> list[str]:
        """Return the URLs of so many API servers."""
        return [f"https://{in_url(str(each))}:6443" for each in self.control_planes(count)]

    def on_bridge(self, count: int) -> list[str]:
        """Return the machine's addresses on the bridge, each with its length."""
        others = self.control_planes(count)[1:]
        mine = [f"{self.subnet[1]}/{self.subnet.prefixlen}"]
        if self.family != "ipv4":
            mine.append(f"{self.subnet6[1]}/{self.subnet6.prefixlen}")
        return [*mine, *(f"{each}/{each.max_prefixlen}" for each in others)]

    @property
    def service_cidr(self) -> str:
        """Return the networks of Services, of which the first is that of the API server."""
        return self._of_family(SERVICE_CIDR, SERVICE_CIDR6)

    @property
    def pod_cidr(self) -> str:
        """Return the networks of pods."""
        return self._of_family(POD_CIDR, POD_CIDR6)

    @property
    def dns_address(self) -> str:
        """Return the address that pods would ask for names."""
        return DNS_ADDRESS6 if self.family == "ipv6" else DNS_ADDRESS

    def _of_family(self, first: str, second: str) -> str:
        return {"ipv4": first, "ipv6": second, "dual": f"{first},{second}"}[self.family]

    def _address(self, number: int) -> Address:
        return (self.subnet6 if self.family == "ipv6" else self.subnet)[number]

    def _host(self, name: str, number: int, user: str) -> Host:
        second = self.subnet6[number] if self.family == "dual" else None
        return Host(name, self._address(number), user, second)

    @property
    def etcd(self) -> str:
        """Return etcd's URL, which hosts reach as well."""
        return f"https://{in_url(str(self.gateway))}:2379"

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
        return self._host(f"n{number}", 10 + number, user)

    def nodes(self, count: int) -> list[Host]:
        """Return the first ``count`` nodes."""
        return [self.node(number) for number in range(1, count + 1)]

    def jump(self) -> Host:
        """Return the jump host."""
        return self._host(JUMP, 2, "ops")

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
