"""Calico as a pod network: what fabnode must know of it to install it and wait for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ..releases import compatibility
from ..util.object_lists import PAGE, cheaper_listed, listed
from ..util.words import counted
from . import calico_families, calico_health, calico_ipam, calico_manifest, calico_pools, daemonset
from .calico_manifest import CONTROLLERS, DAEMONSET, ETCD_FILES, NAMESPACE, ManifestError
from .protocol import Diagnosis, Leftovers, Manifest, Object, Port, Right, Rollout, Turn

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from ..config.configuration import Config
    from .protocol import Reader, Writer


T = TypeVar("T")


_DAEMONSET_PATH = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{DAEMONSET}"
_CONTROLLERS_PATH = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{CONTROLLERS}"
_PODS_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"
_EVENTS_PATH = f"/api/v1/namespaces/{NAMESPACE}/events"
_POOLS_PATH = "/apis/crd.projectcalico.org/v1/ippools"
# What calico-node reads, where it is there, in place of its variables of the Service (envFrom).
ENDPOINT = "kubernetes-services-endpoint"
_ENDPOINT_PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{ENDPOINT}"
_HOST_VARIABLE = "KUBERNETES_SERVICE_HOST"
_OF_NODES, _CONTROLLING = f"k8s-app={DAEMONSET}", f"k8s-app={CONTROLLERS}"
_OURS = f"k8s-app in ({DAEMONSET},{CONTROLLERS})"
_MODULES = {
    "vxlan": MappingProxyType({"vxlan": "Calico's VXLAN"}),
    "bird": MappingProxyType({"ipip": "Calico's IPIP"}),
}
_HEADERS = {"vxlan": 50, "bird": 20}  # bytes: IP, UDP, VXLAN and Ethernet; a second IP
_IPV6_MORE = 20  # bytes by which IPv6's header is longer than IPv4's
_VXLAN = Port("udp", 4789, "pods' VXLAN, from all nodes")
_BGP = Port("tcp", 179, "Calico's BGP, from all nodes")
_IPIP = Port("ipip", 0, "pods' packets, from all nodes")


@dataclass(frozen=True, slots=True)
class Calico:
    """Calico as the pod network of one cluster."""

    config: Config

    name: ClassVar[str] = "Calico"
    setting: ClassVar[str] = "calico"
    # That of its DaemonSet's first init containers (since 3.33 one with kube-controllers', before
    # it cni), and what runs on. By name: steps know no manifest.
    first_images: ClassVar[tuple[str, ...]] = ("/calico/cni:", "/calico/calico:")
    next_images: ClassVar[tuple[str, ...]] = ("/calico/node:",)
    leftovers: ClassVar[Leftovers] = Leftovers(
        chains=("cali-",),
        networks=("k8s-pod-network",),
        interfaces=MappingProxyType(
            {
                r"cali[0-9a-f]{11}": "veth",
                r"vxlan\.calico": "vxlan",
                r"vxlan-v6\.calico": "vxlan",
                r"wireguard\.cali": "wireguard",
                r"wg-v6\.cali": "wireguard",
                r"bpf(in|out)\.cali": "veth",
            }
        ),
        sets=(r"cali[46][0t][\w:.-]{1,28}",),
        tables=("ip calico", "ip6 calico"),
        route_protocols=frozenset({"80", "bird"}),  # of VXLAN; of BGP
        files=("10-calico.conflist", "calico-kubeconfig"),
        # What its install-cni brings beside its own, where the node has none of these.
        plugins=("bandwidth", "flannel", "host-local", "loopback", "portmap", "tuning"),
        own_plugins=("calico", "calico-ipam"),
        folders=("/var/lib/calico", "/run/calico", "/run/nodeagent", "/var/log/calico"),
        # felix/dataplane/linux
        settings=(
            "/proc/sys/net/ipv4/ip_forward",
            "/proc/sys/net/ipv6/conf/all/forwarding",
            "/proc/sys/net/ipv4/conf/default/rp_filter",
        ),
    )
    conf_name: ClassVar[str] = "10-calico.conflist"
    rights: ClassVar[tuple[Right, ...]] = (
        Right(NAMESPACE, "", "pods", ("list",)),
        Right(NAMESPACE, "", "events", ("list",)),
    )
    optional_rights: ClassVar[tuple[Right, ...]] = (
        Right("", "crd.projectcalico.org", "ippools", ("get", "list", "patch")),
        Right(NAMESPACE, "", "pods", ("delete",)),
        Right(NAMESPACE, "", "configmaps", ("get",), (ENDPOINT,)),
    )

    removal_rights: ClassVar[tuple[Right, ...]] = tuple(
        Right("", "crd.projectcalico.org", kind, ("list", "delete", "patch"))
        for kind in calico_ipam.RESOURCES
    )

    @staticmethod
    def wanted(config: Config) -> bool:
        """Return whether this is the network of a cluster."""
        return config.calico.enabled

    @property
    def runs_on_nodes(self) -> bool:
        """Whether nodes run Kubernetes' calico-node, or only its controllers run."""
        return self.config.calico.components != "controllers"

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Beginnings of the names of its interfaces, as far as its families need them."""
        of_ipv6 = ("vxlan-v6.calico", "wg-v6.cali") if 6 in self.config.cluster.families else ()
        return ("cali", "vxlan.calico", "tunl0", "wireguard.cali", *of_ipv6)

    @property
    def timeout(self) -> float:
        """Seconds to wait for it."""
        return self.config.timeouts.calico

    @property
    def manifest(self) -> Manifest:
        """The official manifest of the configured release."""
        settings = self.config.calico
        digest, published = settings.manifest_sha256, settings.published_manifest
        return Manifest("calico.manifest", settings.manifest, digest, published)

    @property
    def files(self) -> Mapping[str, Path]:
        """What it shows to etcd, with that datastore."""
        etcd = self.config.calico.etcd
        return {f"calico.etcd.{name}": getattr(etcd, name) for name in ETCD_FILES} if etcd else {}

    @property
    def kernel_modules(self) -> Mapping[str, str]:
        """The module of its encapsulation."""
        settings = self.config.calico
        return {} if settings.encapsulation == "Never" else _MODULES[settings.backend]

    @property
    def ports(self) -> tuple[Port, ...]:
        """VXLAN's port; or BGP's, and IPIP where packets are wrapped."""
        settings = self.config.calico
        wrapped = settings.encapsulation != "Never"
        if settings.backend == "vxlan":
            return (_VXLAN,) if wrapped else ()
        return (_BGP, _IPIP) if wrapped else (_BGP,)

    @property
    def nic_mtu(self) -> int | None:
        """Its MTU, and the headers around a pod's packet: VXLAN's, or IPIP's."""
        settings = self.config.calico
        if settings.mtu is None:
            return None
        around = 0 if settings.encapsulation == "Never" else _HEADERS[settings.backend]
        if around and 6 in self.config.cluster.families:
            around += _IPV6_MORE
        return settings.mtu + around

    def with_manifest(self, path: Path) -> Config:
        """Return the configuration with another manifest."""
        changed = {"manifest": path, "manifest_sha256": None}
        return replace(self.config, calico=self.config.calico.model_copy(update=changed))

    def objects(
        self, manifest: bytes, cni_plugins: Collection[str], files: Mapping[str, bytes]
    ) -> tuple[Object, ...]:
        """
        Return the manifest's objects as this cluster needs them.

        :raises InputError: ManifestError, or CredentialError for what it shows to etcd.
        """
        etcd = self.config.calico.etcd
        tls = calico_manifest.etcd_tls(etcd, files, datetime.now(UTC)) if etcd and files else None
        try:
            return calico_manifest.objects(manifest, self.config, cni_plugins, tls)
        except ManifestError as error:
            source = self.config.calico.manifest
            raise ManifestError(f"calico.manifest: {source}: {error}") from error

    def secret(self, objects: Collection[Object]) -> bytes:
        """Return the key for etcd."""
        return calico_manifest.etcd_key(objects)

    def images(self, objects: Collection[Object]) -> list[str]:
        """Return the images that its pods run."""
        return calico_manifest.images(objects)

    def rollout(self, api: Reader, changed: Collection[Object]) -> Rollout | None:
        """Return how calico-node would be replaced where it runs."""
        of_nodes = [item for item in changed if item["metadata"]["name"] == DAEMONSET]
        if not of_nodes or not (live := api.find(_DAEMONSET_PATH)):
            return None
        pods = listed(api, _PODS_PATH, labelSelector=_OF_NODES)["items"]
        return calico_health.rollout(live, of_nodes[0], pods)

    def turn(self, rollout: Rollout, minors: Collection[int]) -> Turn:
        """Return whether the nodes' Kubernetes or Calico is changed first, by what was tested."""
        if not rollout.before or not rollout.after:
            return Turn()
        return Turn(*compatibility.calico_turn(rollout.before, rollout.after, minors))

    def by_hand(self, objects: Collection[Object]) -> tuple[Object, ...]:
        """Return the objects, calico-node's DaemonSet with the strategy OnDelete."""
        return tuple(
            {**item, "spec": {**item["spec"], "updateStrategy": {"type": "OnDelete"}}}
            if item["kind"] == "DaemonSet" and item["metadata"]["name"] == DAEMONSET
            else item
            for item in objects
        )

    def older_pods(self, api: Reader, nodes: Collection[str]) -> Mapping[str, str]:
        """Return by node the path of a calico-node that is not of the DaemonSet's template."""
        if not self.runs_on_nodes or not (live := api.find(_DAEMONSET_PATH)):
            return {}
        pods = _pods(api, live, nodes, _OF_NODES)
        found = daemonset.older(live, pods)
        return {n: f"{_PODS_PATH}/{name}" for n, name in found.items() if n in nodes}

    def workload(self, api: Reader) -> Object | None:
        """Return calico-node's DaemonSet."""
        return api.find(_DAEMONSET_PATH) if self.runs_on_nodes else None

    def held(self, api: Reader, node: str) -> str:
        """Return how many blocks of addresses it holds for a node."""
        if self.config.calico.datastore != "kubernetes":
            return ""  # etcd has them, which is no business of the API's
        found = calico_ipam.held(api, node)
        blocks = len(found.blocks) + len(found.lent)
        return "" if found.empty else f"{counted(blocks, 'address block')} of Calico's"

    def release(self, api: Writer, node: str) -> str:
        """Release the node's blocks, as Calico's own controllers would some time later."""
        if not (text := self.held(api, node)):
            return ""
        found = calico_ipam.held(api, node)
        for path in found.handles:
            api.delete(path)
        for path, version in found.blocks:
            api.delete(path, version=version)
        for path, version in found.lent:
            metadata = {"resourceVersion": version}
            api.patch(path, {"metadata": metadata, "spec": {"affinity": None}})
        for path in found.affinities:  # the last: by these an interrupted release goes on
            api.delete(path)
        return text

    def not_ready(self, api: Reader, nodes: Collection[str]) -> str | None:
        """Return what of Calico is not ready on these nodes."""
        controllers = api.find(_CONTROLLERS_PATH)
        if not self.runs_on_nodes:
            return calico_health.not_ready(None, (), controllers, ())
        live = api.find(_DAEMONSET_PATH)
        return calico_health.not_ready(live, _pods(api, live, nodes, _OURS), controllers, nodes)

    def is_stuck(self, api: Reader, nodes: Collection[str]) -> bool:
        """Return whether what is not ready of calico-node on these nodes fails to start."""
        if not self.runs_on_nodes:
            return False
        live = api.find(_DAEMONSET_PATH)
        return calico_health.nothing_moves(live, _pods(api, live, nodes, _OF_NODES), nodes)

    def outdated(self, api: Reader, nodes: Collection[Object]) -> tuple[str, ...]:
        """
        Return the paths of each calico-node that is older than the Node object of its host.

        It writes the host's address to the Node when it starts; without, no other node has a route
        to this one's pods.
        """
        if not self.runs_on_nodes:
            return ()
        names = [str(node["metadata"]["name"]) for node in nodes]
        pods = _pods(api, api.find(_DAEMONSET_PATH), names, _OF_NODES) if names else []
        return tuple(
            f"{_PODS_PATH}/{name}"
            for node in nodes
            for name in calico_health.older_pods(pods, node)
        )

    def own_pod(self, pods: Collection[Object]) -> Object | None:
        """Return calico-node's."""
        return calico_health.own_pod(pods)

    def elsewhere(self, api: Reader, nodes: Collection[str]) -> str:
        """Return what of Calico is not ready on other nodes, and so is not waited for."""
        if not self.runs_on_nodes:
            return ""
        pods = api.get(_PODS_PATH, labelSelector=_CONTROLLING)["items"]
        return calico_health.elsewhere(pods, api.find(_CONTROLLERS_PATH), nodes) or ""

    def followed(self, api: Reader) -> tuple[Object, ...]:
        """Return pools whose encapsulation differs and that Calico changes while pods run."""
        found = _pools(api) if self._compared else []
        return tuple(
            pool
            for cidr, modes in calico_families.pools(self.config).items()
            for pool in calico_pools.followed(found, cidr, modes)
        )

    def drift(self, api: Reader, applied: Collection[Object] = ()) -> Diagnosis | None:
        """
        Return how Calico's pool differs from the configuration.

        calico-node reads what its DaemonSet says of the pool only when there is none yet.
        """
        if not self._compared:
            return None
        pools = calico_pools.changed(_pools(api), applied)
        found: list[str] = []
        remedies: list[str] = []
        for cidr, modes in calico_families.pools(self.config).items():
            if text := calico_pools.drift(pools, cidr, modes):
                found.append(text)
                remedies.append(calico_pools.remedy(pools, cidr, modes))
        if not found:
            return None
        return Diagnosis(
            f"{'; '.join(found)}; Calico reads its DaemonSet's settings only when it makes its"
            " first pool",
            "; ".join(dict.fromkeys(remedies)),
        )

    def cut_off(self, api: Reader) -> Diagnosis | None:
        """Return why pods would be without each other where calico-node runs as configured."""
        if not self._compared or self.config.calico.backend != "vxlan":
            return None
        found = _pools(api)
        for cidr, modes in calico_families.pools(self.config).items():
            if text := calico_pools.unrouted(found, cidr):
                return Diagnosis(
                    "calico.backend is vxlan, which has routes for pools of VXLAN alone, and"
                    f" {text}: pods of different nodes would be cut off from each other",
                    calico_pools.remedy(found, cidr, modes),
                )
        return None

    @property
    def _compared(self) -> bool:
        """Whether the API has its pools."""
        return self.config.calico.datastore == "kubernetes" and self.runs_on_nodes

    def knows_apiserver(self, api: Reader) -> bool:
        """Return whether the ConfigMap that calico-node reads is there."""
        found = api.find(_ENDPOINT_PATH) or {}
        return bool((found.get("data") or {}).get(_HOST_VARIABLE))

    def diagnosis(self, api: Reader, nodes: Collection[str]) -> Diagnosis:
        """Return why Calico is not ready on these nodes."""
        pods = listed(api, _PODS_PATH, labelSelector=_OURS)["items"]
        events = api.get(_EVENTS_PATH, fieldSelector="type=Warning")["items"]
        if not self.runs_on_nodes:
            return calico_health.diagnose(None, pods, events, ())
        return calico_health.diagnose(api.find(_DAEMONSET_PATH), pods, events, nodes)

    def running(self, nodes: Collection[str]) -> str:
        """Return its parts."""
        return f"{DAEMONSET} on {counted(len(nodes), 'node')}, {CONTROLLERS}"


def _pods(
    api: Reader, daemonset: Object | None, nodes: Collection[str], selector: str
) -> list[Object]:
    """
    Return pods of Calico: those of these nodes at least, and its controllers where they are meant.

    :param daemonset: calico-node's. :param selector: `_OURS` or `_OF_NODES`.
    """
    status = (daemonset or {}).get("status") or {}
    everywhere = int(status.get("desiredNumberScheduled") or 0)
    if everywhere <= PAGE or cheaper_listed(len(nodes), everywhere):
        found: list[Object] = listed(api, _PODS_PATH, labelSelector=selector)["items"]
        return found
    queries = [{"labelSelector": _CONTROLLING}] if selector == _OURS else []
    queries += [
        {"labelSelector": _OF_NODES, "fieldSelector": f"spec.nodeName={node}"} for node in nodes
    ]
    return [pod for query in queries for pod in api.get(_PODS_PATH, **query)["items"]]


def _pools(api: Reader) -> list[Object]:
    return list((api.find(_POOLS_PATH) or {}).get("items") or ())
