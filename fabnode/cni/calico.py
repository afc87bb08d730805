"""Calico: the official manifest of the pinned version, with the configuration's values put in."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, TypeVar

import yaml

from ..pki.certificates import BadCertificateError, public_key, read
from ..releases.matrix import matrix
from ..util.errors import InputError
from ..util.image_reference import ImageReference
from ..util.yaml_io import dump_all, parse_all
from .daemonset import broken_pods, is_ready, problem, unready_nodes
from .protocol import Diagnosis, Manifest, Object, Port, Right

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from ..config.cluster import Cluster
    from ..config.sections import EtcdSettings
    from .protocol import Reader


T = TypeVar("T")

NAMESPACE = "kube-system"
DAEMONSET = "calico-node"
CONTROLLERS = "calico-kube-controllers"
ETCD_SECRET = "calico-etcd-secrets"  # noqa: S105 (its name)

# What belongs to calico-node alone, by name.
_OF_NODE = ("calico-node", "calico-cni-plugin")
_ETCD_MOUNT = "/calico-secrets"  # where the official manifest mounts the Secret
_ETCD_DIGEST = "fabnode.io/etcd-digest"

_DAEMONSET_PATH = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets/{DAEMONSET}"
_CONTROLLERS_PATH = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{CONTROLLERS}"
_PODS_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"
_EVENTS_PATH = f"/api/v1/namespaces/{NAMESPACE}/events"
_POOLS_PATH = "/apis/crd.projectcalico.org/v1/ippools"
_OURS = f"k8s-app in ({DAEMONSET},{CONTROLLERS})"
_ETCD_FILES = ("ca", "cert", "key")
_MODULES = {
    "vxlan": MappingProxyType({"vxlan": "Calico's VXLAN"}),
    "bird": MappingProxyType({"ipip": "Calico's IPIP"}),
}
_VXLAN = Port("udp", 4789, "pods' VXLAN, from all nodes")
_BGP = Port("tcp", 179, "Calico's BGP, from all nodes")
_IPIP = Port("ipip", 0, "pods' packets, from all nodes")


class CredentialError(InputError):
    """What Calico is to show to etcd can't be used for it."""

    advice = "correct `calico.etcd` in the configuration"


class ManifestError(InputError):
    """The manifest is not one of Calico's, or not of the version that is configured."""

    advice = "correct calico.manifest, or calico.version"


@dataclass(frozen=True, slots=True)
class EtcdTls:
    """What Calico shows to etcd, and by what it knows etcd; PEM."""

    ca: bytes
    cert: bytes
    key: bytes

    def __repr__(self) -> str:
        return "EtcdTls(…)"


def objects(
    manifest: bytes,
    cluster: Cluster,
    cni_plugins: Collection[str],
    etcd: EtcdTls | None = None,
) -> tuple[Object, ...]:
    """
    Return the manifest's objects as this cluster needs them.

    :param cni_plugins: plugins that the runtime step installs, which Calico is to leave alone.
    :param etcd: for the datastore etcd.

    Raises ManifestError where a part that has to be set is not in the manifest: better than
    applying something that only seems configured.
    """
    documents = _documents(manifest)
    _check_datastore(documents, cluster.calico.datastore)
    _set_node(documents, cluster, cni_plugins)
    _set_controllers(documents, cluster)
    if etcd:
        _set_etcd(documents, cluster, etcd)
    for item in documents:
        if (
            item.get("kind") == "PodDisruptionBudget"
            and cluster.cluster.version.minor not in matrix().api["policy/v1"]
        ):
            item["apiVersion"] = "policy/v1beta1"
    if registry := cluster.calico.registry or cluster.images.registry:
        for kind, name in (("DaemonSet", DAEMONSET), ("Deployment", CONTROLLERS)):
            for container in _containers(_only(documents, kind, name)):
                container["image"] = str(ImageReference.parse(container["image"]).at(registry))
    if cluster.calico.components == "controllers":
        documents = [item for item in documents if item["metadata"]["name"] not in _OF_NODE]
    return tuple(documents)


def _documents(manifest: bytes) -> list[Object]:
    try:
        documents: list[Object] = parse_all(manifest)
    except yaml.YAMLError as error:
        raise ManifestError(f"Calico's manifest is not YAML: {error}") from error
    if not all(isinstance(document, dict) for document in documents):
        raise ManifestError(
            "Calico's manifest holds no Kubernetes objects: is it the official one?"
        )
    return documents


def _check_datastore(documents: list[Object], datastore: str) -> None:
    names = {item["metadata"]["name"] for item in documents if item.get("kind") == "Secret"}
    found = "etcd" if ETCD_SECRET in names else "kubernetes"
    if found != datastore:
        raise ManifestError(
            f"Calico's manifest is for the datastore {found}, the configuration says {datastore}"
        )


def _set_node(documents: list[Object], cluster: Cluster, cni_plugins: Collection[str]) -> None:
    """Set what concerns the nodes: network, backend, probes."""
    settings = cluster.calico
    _only(documents, "ConfigMap", "calico-config")["data"]["calico_backend"] = settings.backend
    pod = _only(documents, "DaemonSet", DAEMONSET)["spec"]["template"]["spec"]
    node = _container(pod, "containers", "calico-node")
    _check_version(node["image"], str(settings.version))
    vxlan = settings.backend == "vxlan"
    _set_env(
        node,
        {
            "CALICO_IPV4POOL_CIDR": str(cluster.cluster.pod_cidr),
            "CALICO_IPV4POOL_VXLAN": settings.encapsulation if vxlan else "Never",
            "CALICO_IPV4POOL_IPIP": "Never" if vxlan else settings.encapsulation,
            "IP_AUTODETECTION_METHOD": settings.ip_autodetection,
        },
    )
    _set_bird_probes(node, bird=not vxlan)
    if cni_plugins:
        install = _container(pod, "initContainers", "install-cni")
        _set_env(install, {"SKIP_CNI_BINARIES": ",".join(sorted(cni_plugins))})


def _set_controllers(documents: list[Object], cluster: Cluster) -> None:
    """Set what concerns kube-controllers, of which there must not be two."""
    spec = _only(documents, "Deployment", CONTROLLERS)["spec"]
    spec["replicas"] = 1
    spec["template"]["spec"]["hostNetwork"] = cluster.calico.controllers_host_network


def _set_etcd(documents: list[Object], cluster: Cluster, etcd: EtcdTls) -> None:
    """
    Set where etcd is, and put what it takes to be let in into the Secret.

    Calico's programs read both when they start only, so their pods carry a digest of it: a
    renewed certificate rolls them, one node after another.
    """
    assert cluster.calico.etcd
    files = {"etcd-ca": etcd.ca, "etcd-cert": etcd.cert, "etcd-key": etcd.key}
    secret = _only(documents, "Secret", ETCD_SECRET)
    secret["data"] = {name: base64.b64encode(pem).decode() for name, pem in files.items()}
    config = _only(documents, "ConfigMap", "calico-config")
    config["data"] |= {
        "etcd_endpoints": ",".join(cluster.calico.etcd.endpoints),
        **{name.replace("-", "_"): f"{_ETCD_MOUNT}/{name}" for name in files},
    }
    digest = hashlib.sha256(dump_all([secret, config]).encode()).hexdigest()
    for kind, name in (("DaemonSet", DAEMONSET), ("Deployment", CONTROLLERS)):
        template = _only(documents, kind, name)["spec"]["template"]
        metadata = template.setdefault("metadata", {})
        metadata["annotations"] = {**(metadata.get("annotations") or {}), _ETCD_DIGEST: digest}


def etcd_key(documents: Collection[Object]) -> bytes:
    """Return the private key among these objects, which must be kept out of all output."""
    secrets = [item for item in documents if item["kind"] == "Secret"]
    return b"".join(base64.b64decode(item["data"]["etcd-key"]) for item in secrets)


def images(objects: Collection[Object]) -> list[str]:
    """Return the images that these objects' pods run."""
    workloads = [item for item in objects if item.get("kind") in {"DaemonSet", "Deployment"}]
    return [container["image"] for container in _containers(*workloads)]


def not_ready(
    daemonset: Object | None,
    pods: Collection[Object],
    controllers: Object | None,
    nodes: Collection[str],
) -> str | None:
    """
    Return what of Calico is not ready on these nodes, or None when all is.

    Controllers on another node are that node's trouble, see `elsewhere`.

    :param pods: of both. :param controllers: the Deployment; None where there is none.
    """
    of_node = _labelled(pods, DAEMONSET)
    if missing := unready_nodes(daemonset, of_node, nodes):
        return f"{DAEMONSET} is not ready on {', '.join(missing)}"
    if _controllers_ready(controllers) or (nodes and _outside(pods, nodes)):
        return None
    return f"{CONTROLLERS} is not ready"


def elsewhere(
    pods: Collection[Object], controllers: Object | None, nodes: Collection[str]
) -> str | None:
    """Return that the controllers are not ready where their pod is on none of these nodes."""
    if _controllers_ready(controllers) or not (outside := _outside(pods, nodes)):
        return None
    return f"{CONTROLLERS} is not ready: its pod is on {', '.join(outside)}, no node of this run"


def _controllers_ready(controllers: Object | None) -> bool:
    status = (controllers or {}).get("status") or {}
    seen: bool = status.get("observedGeneration", 0) >= _metadata(controllers).get("generation", 0)
    return seen and status.get("updatedReplicas", 0) >= 1 and status.get("readyReplicas", 0) >= 1


def _outside(pods: Collection[Object], nodes: Collection[str]) -> list[str]:
    """Return where the controllers' pods are, if each is placed and none is on these nodes."""
    staying = [p for p in _labelled(pods, CONTROLLERS) if "deletionTimestamp" not in _metadata(p)]
    places = {str((pod.get("spec") or {}).get("nodeName") or "") for pod in staying}
    return [] if "" in places or places & set(nodes) else sorted(places)


def older_pods(pods: Collection[Object], node: Object) -> list[str]:
    """Return the names of pods on a node that were made before its Node object."""
    metadata = _metadata(node)
    return [
        str(_metadata(pod)["name"])
        for pod in pods
        if (pod.get("spec") or {}).get("nodeName") == metadata["name"]
        and "deletionTimestamp" not in _metadata(pod)
        and _metadata(pod)["creationTimestamp"] < metadata["creationTimestamp"]
    ]


def _labelled(pods: Collection[Object], app: str) -> list[Object]:
    return [pod for pod in pods if _metadata(pod).get("labels", {}).get("k8s-app") == app]


def pool_drift(pools: Collection[Object], pod_cidr: str, modes: Mapping[str, str]) -> str:
    """
    Return how Calico's pools differ from the configuration, or nothing.

    Pools of other networks beside the configured one are a site's own.

    :param modes: `vxlanMode` and `ipipMode` as configured.
    """
    specs = {str(pool["metadata"]["name"]): pool.get("spec") or {} for pool in pools}
    mine = {name: spec for name, spec in specs.items() if spec.get("cidr") == pod_cidr}
    if not mine:
        found = ", ".join(f"{name} of {spec.get('cidr')}" for name, spec in specs.items())
        return f"no pool of {pod_cidr} (cluster.pod_cidr), but {found}" if found else ""
    differing = [
        f"{name}: {key} is {spec.get(key) or 'Never'}, configured is {mode}"
        for name, spec in mine.items()
        for key, mode in modes.items()
        if (spec.get(key) or "Never") != mode
    ]
    differing += [f"{name} is disabled" for name, spec in mine.items() if spec.get("disabled")]
    return "; ".join(differing)


def diagnose(
    daemonset: Object | None,
    pods: Collection[Object],
    events: Collection[Object],
    nodes: Collection[str],
) -> Diagnosis:
    """
    Return why calico-node is not ready on these nodes, else why its controllers are not.

    :param pods: of both. :param events: those of the namespace's pods.
    """

    def cause(pod: Object) -> str:
        uid = _metadata(pod).get("uid")
        return problem(
            pod, [event for event in events if event["involvedObject"].get("uid") == uid]
        )

    of_node, of_controllers = _labelled(pods, DAEMONSET), _labelled(pods, CONTROLLERS)
    broken = broken_pods(daemonset, of_node, nodes)
    causes = [f"{DAEMONSET} on {node}: {cause(pod)}" for node, pod in sorted(broken.items())]
    if waiting := sorted(set(unready_nodes(daemonset, of_node, nodes)) - set(broken)):
        causes.append(f"{DAEMONSET} has no pod of the newest template on {', '.join(waiting)}")
    suspects = [broken[node] for node in sorted(broken)]
    if not causes:
        suspects = [pod for pod in of_controllers if not is_ready(pod)]
        causes = [f"{CONTROLLERS}: {cause(pod)}" for pod in suspects]
    logs = (
        f"logs {_metadata(suspects[0])['name']} --all-containers" if suspects else "describe pods"
    )
    return Diagnosis("; ".join(causes), f"kubectl -n {NAMESPACE} {logs}")


def _metadata(item: Object | None) -> Object:
    return (item or {}).get("metadata") or {}


def _only(documents: list[Object], kind: str, name: str) -> Object:
    for item in documents:
        if item.get("kind") == kind and item["metadata"]["name"] == name:
            return item
    raise ManifestError(f"Calico's manifest has no {kind} {name}: is it the official one?")


def _container(pod: Object, section: str, name: str) -> Object:
    for container in pod.get(section) or ():
        if container["name"] == name:
            found: Object = container
            return found
    raise ManifestError(f"Calico's manifest has no container {name}: is it the official one?")


def _containers(*workloads: Object) -> Iterator[Object]:
    for workload in workloads:
        pod = workload["spec"]["template"]["spec"]
        yield from pod.get("initContainers") or ()
        yield from pod["containers"]


def _check_version(image: str, version: str) -> None:
    tag = ImageReference.parse(image).tag or image
    if tag.removeprefix("v") != version:
        raise ManifestError(f"Calico's manifest is of {tag}, the configuration says {version}")


def _set_env(container: Object, values: dict[str, str]) -> None:
    kept = [e for e in container.get("env") or () if e["name"] not in values]
    container["env"] = [*kept, *({"name": k, "value": v} for k, v in values.items())]


def _set_bird_probes(container: Object, *, bird: bool) -> None:
    """Ask BIRD whether it lives with BGP; without there is none, and it would never answer."""
    for probe, question in (("livenessProbe", "-bird-live"), ("readinessProbe", "-bird-ready")):
        command = container[probe]["exec"]["command"]
        kept = [word for word in command if not word.startswith("-bird")]
        container[probe]["exec"]["command"] = [*kept, question] if bird else kept


@dataclass(frozen=True, slots=True)
class Calico:
    """Calico as the pod network of one cluster."""

    cluster: Cluster

    name: ClassVar[str] = "Calico"
    setting: ClassVar[str] = "calico"
    # Its cni image is the first of its DaemonSet's pods, and its node image runs on.
    first_images: ClassVar[tuple[str, ...]] = ("/calico/cni:",)
    next_images: ClassVar[tuple[str, ...]] = ("/calico/node:",)
    interfaces: ClassVar[tuple[str, ...]] = ("cali", "vxlan.calico", "tunl0", "wireguard.cali")
    rights: ClassVar[tuple[Right, ...]] = (
        Right(NAMESPACE, "", "pods", ("list",)),
        Right(NAMESPACE, "", "events", ("list",)),
    )
    optional_rights: ClassVar[tuple[Right, ...]] = (
        Right("", "crd.projectcalico.org", "ippools", ("list",)),
        Right(NAMESPACE, "", "pods", ("delete",)),
    )

    @staticmethod
    def wanted(cluster: Cluster) -> bool:
        """Return whether this is the network of a cluster."""
        return cluster.calico.enabled

    @property
    def timeout(self) -> float:
        """Seconds to wait for it."""
        return self.cluster.timeouts.calico

    @property
    def manifest(self) -> Manifest:
        """The official manifest of the configured release."""
        settings = self.cluster.calico
        return Manifest("calico.manifest", settings.manifest, settings.manifest_sha256)

    @property
    def files(self) -> Mapping[str, Path]:
        """What it shows to etcd, with that datastore."""
        etcd = self.cluster.calico.etcd
        return {f"calico.etcd.{name}": getattr(etcd, name) for name in _ETCD_FILES} if etcd else {}

    @property
    def kernel_modules(self) -> Mapping[str, str]:
        """The module of its encapsulation."""
        settings = self.cluster.calico
        return {} if settings.encapsulation == "Never" else _MODULES[settings.backend]

    @property
    def ports(self) -> tuple[Port, ...]:
        """VXLAN's port; or BGP's, and IPIP where packets are wrapped."""
        settings = self.cluster.calico
        wrapped = settings.encapsulation != "Never"
        if settings.backend == "vxlan":
            return (_VXLAN,) if wrapped else ()
        return (_BGP, _IPIP) if wrapped else (_BGP,)

    def with_manifest(self, path: Path) -> Cluster:
        """Return the configuration with another manifest."""
        changed = {"manifest": path, "manifest_sha256": None}
        return replace(self.cluster, calico=self.cluster.calico.model_copy(update=changed))

    def objects(
        self, manifest: bytes, cni_plugins: Collection[str], files: Mapping[str, bytes]
    ) -> tuple[Object, ...]:
        """
        Return the manifest's objects as this cluster needs them.

        :raises InputError: ManifestError, or CredentialError for what it shows to etcd.
        """
        etcd = self.cluster.calico.etcd
        tls = etcd_tls(etcd, files, datetime.now(UTC)) if etcd and files else None
        try:
            return objects(manifest, self.cluster, cni_plugins, tls)
        except ManifestError as error:
            source = self.cluster.calico.manifest
            raise ManifestError(f"calico.manifest: {source}: {error}") from error

    def secret(self, objects: Collection[Object]) -> bytes:
        """Return the key for etcd."""
        return etcd_key(objects)

    def images(self, objects: Collection[Object]) -> list[str]:
        """Return the images that its pods run."""
        return images(objects)

    def not_ready(self, api: Reader, nodes: Collection[str]) -> str | None:
        """Return what of Calico is not ready on these nodes."""
        controllers = api.find(_CONTROLLERS_PATH)
        if self.cluster.calico.components == "controllers":
            return not_ready(None, (), controllers, ())
        pods = api.get(_PODS_PATH, labelSelector=_OURS)["items"]
        return not_ready(api.find(_DAEMONSET_PATH), pods, controllers, nodes)

    def outdated(self, api: Reader, nodes: Collection[Object]) -> tuple[str, ...]:
        """
        Return the paths of each calico-node that is older than the Node object of its host.

        It writes the host's address to the Node when it starts; without, no other node has a route
        to this one's pods.
        """
        if self.cluster.calico.components == "controllers":
            return ()
        pods = api.get(_PODS_PATH, labelSelector=f"k8s-app={DAEMONSET}")["items"]
        return tuple(f"{_PODS_PATH}/{name}" for node in nodes for name in older_pods(pods, node))

    def elsewhere(self, api: Reader, nodes: Collection[str]) -> str:
        """Return what of Calico is not ready on other nodes, and so is not waited for."""
        if self.cluster.calico.components == "controllers":
            return ""
        pods = api.get(_PODS_PATH, labelSelector=_OURS)["items"]
        return elsewhere(pods, api.find(_CONTROLLERS_PATH), nodes) or ""

    def drift(self, api: Reader) -> Diagnosis | None:
        """
        Return how Calico's pool differs from the configuration.

        calico-node reads what its DaemonSet says of the pool only when there is none yet.
        """
        settings = self.cluster.calico
        if settings.datastore != "kubernetes" or settings.components == "controllers":
            return None
        vxlan = settings.backend == "vxlan"
        modes = {
            "vxlanMode": settings.encapsulation if vxlan else "Never",
            "ipipMode": "Never" if vxlan else settings.encapsulation,
        }
        found = api.find(_POOLS_PATH) or {}
        pod_cidr = str(self.cluster.cluster.pod_cidr)
        if text := pool_drift(found.get("items") or (), pod_cidr, modes):
            return Diagnosis(
                f"{text}; Calico reads its DaemonSet's settings only when it makes its first pool",
                "correct the configuration, or kubectl edit ippools.crd.projectcalico.org",
            )
        return None

    def diagnosis(self, api: Reader, nodes: Collection[str]) -> Diagnosis:
        """Return why Calico is not ready on these nodes."""
        controllers_only = self.cluster.calico.components == "controllers"
        pods = api.get(_PODS_PATH, labelSelector=_OURS)["items"]
        of_pods = {"fieldSelector": "involvedObject.kind=Pod,type=Warning"}
        events = api.get(_EVENTS_PATH, **of_pods)["items"]
        if controllers_only:
            return diagnose(None, pods, events, ())
        return diagnose(api.find(_DAEMONSET_PATH), pods, events, nodes)

    def running(self, nodes: Collection[str]) -> str:
        """Return its parts."""
        return f"{DAEMONSET} on {len(nodes)} nodes, {CONTROLLERS}"


def etcd_tls(settings: EtcdSettings, files: Mapping[str, bytes], now: datetime) -> EtcdTls:
    """
    Return what Calico shows to etcd, once it is sure that it could be let in with it.

    :param files: contents by setting (`calico.etcd.ca`, …).
    :raises CredentialError: it is none, expired or does not belong together; its message holds
        nothing of the key.
    """

    def parsed(name: str, parse: Callable[[bytes], T]) -> T:
        try:
            return parse(files[f"calico.etcd.{name}"])
        except BadCertificateError as error:
            path = getattr(settings, name)
            raise CredentialError(f"calico.etcd.{name}: {path}: {error}") from error

    parsed("ca", read)
    shown, public = parsed("cert", read), parsed("key", public_key)
    if shown.days_left(now) <= 0:
        raise CredentialError(f"calico.etcd.cert: {settings.cert} has expired")
    if shown.public_key != public:
        raise CredentialError(f"calico.etcd.key: {settings.key} is not the key of {settings.cert}")
    return EtcdTls(*(files[f"calico.etcd.{name}"] for name in _ETCD_FILES))
