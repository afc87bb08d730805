"""Calico's official manifest of the pinned version, with the configuration's values put in."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import yaml

from ..config.sections import USUAL_PATHS
from ..pki.certificates import BadCertificateError, public_key, read
from ..releases.matrix import matrix
from ..releases.version import Release
from ..util.errors import InputError
from ..util.families import first_of_family
from ..util.image_reference import ImageReference
from ..util.yaml_io import dump_all, parse_all
from . import calico_families
from .protocol import Object

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from ..config.configuration import Config
    from ..config.sections import EtcdSettings, PathSettings
    from ..util.families import Family


T = TypeVar("T")

NAMESPACE = "kube-system"
DAEMONSET = "calico-node"
CONTROLLERS = "calico-kube-controllers"
ETCD_SECRET = "calico-etcd-secrets"  # noqa: S105 (its name)

# What belongs to calico-node alone, by name.
_OF_NODE = ("calico-node", "calico-cni-plugin")
_ETCD_MOUNT = "/calico-secrets"  # where the official manifest mounts the Secret
_ETCD_DIGEST = "fabnode.io/etcd-digest"
_UNINITIALIZED = {
    "key": "node.cloudprovider.kubernetes.io/uninitialized",
    "operator": "Exists",
    "effect": "NoSchedule",
}
_BIRD_FLAG = re.compile(r"--?bird-")
_NATIVE_GROUP = "projectcalico.org"  # of v3 CRDs; those of all other manifests are crd.…
_CNI = "cni_network_config"  # of the ConfigMap
_MTU = "veth_mtu"  # of the ConfigMap; calico-node reads it when it starts only
_MTU_MARK = "fabnode.io/mtu"

ETCD_FILES = ("ca", "cert", "key")


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
    config: Config,
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
    _check_definitions(documents)
    _check_datastore(documents, config.calico.datastore)
    _set_node(documents, config, cni_plugins)
    _set_controllers(documents, config)
    if etcd:
        _set_etcd(documents, config, etcd)
    for item in documents:
        if (
            item.get("kind") == "PodDisruptionBudget"
            and config.cluster.version.minor not in matrix().api["policy/v1"]
        ):
            item["apiVersion"] = "policy/v1beta1"
    if registry := config.calico.registry or config.images.registry:
        for container in _containers(documents):
            container["image"] = str(ImageReference.parse(container["image"]).at(registry))
    if config.calico.components == "controllers":
        documents = [item for item in documents if item["metadata"]["name"] not in _OF_NODE]
    return tuple(documents)


def _documents(manifest: bytes) -> list[Object]:
    try:
        documents: list[Object] = parse_all(manifest)
    except yaml.YAMLError as error:
        raise ManifestError(f"Calico's manifest is not YAML: {error}") from error
    if not all(map(_is_object, documents)):
        raise ManifestError(
            "Calico's manifest holds no Kubernetes objects: is it the official one?"
        )
    return documents


def _is_object(document: object) -> bool:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return isinstance(metadata, dict) and "name" in metadata


def _check_definitions(documents: list[Object]) -> None:
    """Refuse Calico's native v3 CRDs: data of a running Calico would have to be migrated first."""
    groups = {d["spec"]["group"] for d in documents if d.get("kind") == "CustomResourceDefinition"}
    if _NATIVE_GROUP in groups:
        raise ManifestError(
            f"Calico's manifest is that with native v3 CRDs (of {_NATIVE_GROUP}), a preview that"
            " fabnode does not support: take calico.yaml or calico-vxlan.yaml"
        )


def _check_datastore(documents: list[Object], datastore: str) -> None:
    names = {item["metadata"]["name"] for item in documents if item.get("kind") == "Secret"}
    found = "etcd" if ETCD_SECRET in names else "kubernetes"
    if found != datastore:
        raise ManifestError(
            f"Calico's manifest is for the datastore {found}, the configuration says {datastore}"
        )


def _set_node(documents: list[Object], config: Config, cni_plugins: Collection[str]) -> None:
    """Set what concerns the nodes: network, backend, probes."""
    settings = config.calico
    shared = _only(documents, "ConfigMap", "calico-config")["data"]
    shared["calico_backend"] = settings.backend
    workload = _only(documents, "DaemonSet", DAEMONSET)
    if settings.mtu:
        if _MTU not in shared:
            raise ManifestError(f"Calico's manifest has no {_MTU}: calico.mtu has no effect there")
        shared[_MTU] = str(settings.mtu)
        _annotate(workload, _MTU_MARK, shared[_MTU])
    pod = workload["spec"]["template"]["spec"]
    node = _container(pod, "containers", "calico-node")
    _check_version(node["image"], str(settings.version))
    vxlan = settings.backend == "vxlan"
    modes = calico_families.pool_modes(settings, 4)
    wanted = {
        "CALICO_IPV4POOL_CIDR": first_of_family(config.cluster.pod_cidrs, 4),
        "CALICO_IPV4POOL_VXLAN": modes["vxlanMode"],
        "CALICO_IPV4POOL_IPIP": modes["ipipMode"],
        "IP_AUTODETECTION_METHOD": settings.ip_autodetection,
    }
    _set_env(node, wanted)
    families = config.cluster.families
    if families != (4,):
        _set_families(node, shared, config)
    _set_bird_probes(node, families if not vxlan and not _routes_nothing(node) else ())
    _set_folders(pod, config.paths)
    if cni_plugins:
        install = _container(pod, "initContainers", "install-cni")
        _set_env(install, {"SKIP_CNI_BINARIES": ",".join(sorted(cni_plugins))})


def _set_families(node: Object, shared: Object, config: Config) -> None:
    """Set what pods with IPv6, beside IPv4 or alone, need of calico-node and its CNI plugin."""
    _set_env(node, calico_families.environment(config))
    left_out = calico_families.without(config)
    node["env"] = [each for each in node["env"] if each["name"] not in left_out]
    made = calico_families.cni_config(str(shared.get(_CNI, "")), config.cluster.families)
    if made is None:
        raise ManifestError(
            f"Calico's manifest has no {_CNI} with calico-ipam: families can't be set there"
        )
    shared[_CNI] = made


def _set_folders(pod: Object, paths: PathSettings) -> None:
    """Have Calico install itself where runtime and kubelet search for it."""
    for volume, setting in (("cni-bin-dir", "cni_bin"), ("cni-net-dir", "cni_conf")):
        folder = getattr(paths, setting)
        if folder == getattr(USUAL_PATHS, setting):
            continue
        found = [each["hostPath"] for each in pod["volumes"] if each["name"] == volume]
        if not found:
            raise ManifestError(
                f"Calico's manifest has no volume {volume}: paths.{setting} has no effect there"
            )
        found[0].update(path=folder, type="DirectoryOrCreate")
    if paths.cni_conf != USUAL_PATHS.cni_conf:
        # Its configuration names its kubeconfig by this, as the host has it.
        _set_env(_container(pod, "initContainers", "install-cni"), {"CNI_NET_DIR": paths.cni_conf})


def _set_controllers(documents: list[Object], config: Config) -> None:
    """Set what concerns kube-controllers, of which there must not be two."""
    spec = _only(documents, "Deployment", CONTROLLERS)["spec"]
    spec["replicas"] = 1
    pod = spec["template"]["spec"]
    pod["hostNetwork"] = config.calico.controllers_host_network
    if any(node.kubelet.cloud_provider for node in config.nodes):
        # Else a first deployment would wait for them until something initializes its nodes.
        pod["tolerations"] = [*(pod.get("tolerations") or ()), _UNINITIALIZED]


def _set_etcd(documents: list[Object], config: Config, etcd: EtcdTls) -> None:
    """
    Set where etcd is, and put what it takes to be let in into the Secret.

    Calico's programs read both when they start only, so their pods carry a digest of it: a
    renewed certificate rolls them, one node after another.
    """
    assert config.calico.etcd
    files = {"etcd-ca": etcd.ca, "etcd-cert": etcd.cert, "etcd-key": etcd.key}
    secret = _only(documents, "Secret", ETCD_SECRET)
    secret["data"] = {name: base64.b64encode(pem).decode() for name, pem in files.items()}
    settings = _only(documents, "ConfigMap", "calico-config")
    settings["data"] |= {
        "etcd_endpoints": ",".join(config.calico.etcd.endpoints),
        **{name.replace("-", "_"): f"{_ETCD_MOUNT}/{name}" for name in files},
    }
    digest = hashlib.sha256(dump_all([secret, settings]).encode()).hexdigest()
    for kind, name in (("DaemonSet", DAEMONSET), ("Deployment", CONTROLLERS)):
        _annotate(_only(documents, kind, name), _ETCD_DIGEST, digest)


def _annotate(workload: Object, name: str, value: str) -> None:
    """Mark a workload's pods, so that they are rolled where the mark changes."""
    metadata = workload["spec"]["template"].setdefault("metadata", {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), name: value}


def etcd_key(documents: Collection[Object]) -> bytes:
    """Return the private key among these objects, which must be kept out of all output."""
    secrets = [item for item in documents if item["kind"] == "Secret"]
    return b"".join(base64.b64decode(item["data"]["etcd-key"]) for item in secrets)


def images(objects: Collection[Object]) -> list[str]:
    """Return the images that these objects' pods run."""
    return [container["image"] for container in _containers(objects)]


def release(workload: Object) -> Release | None:
    """Return the release of a workload's first container; None: its tag names none."""
    tag = ImageReference.parse(workload["spec"]["template"]["spec"]["containers"][0]["image"]).tag
    try:
        return Release.parse(tag)
    except ValueError:
        return None


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


def _containers(objects: Collection[Object]) -> Iterator[Object]:
    """Yield the containers of all workloads among these objects: Typha's as well as Calico's."""
    for item in objects:
        pod = ((item.get("spec") or {}).get("template") or {}).get("spec") or {}
        yield from pod.get("initContainers") or ()
        yield from pod.get("containers") or ()


def _check_version(image: str, version: str) -> None:
    tag = ImageReference.parse(image).tag or image
    if tag.removeprefix("v") != version:
        raise ManifestError(f"Calico's manifest is of {tag}, the configuration says {version}")


def _set_env(container: Object, values: dict[str, str]) -> None:
    kept = [e for e in container.get("env") or () if e["name"] not in values]
    container["env"] = [*kept, *({"name": k, "value": v} for k, v in values.items())]


def _routes_nothing(node: Object) -> bool:
    """Return whether calico-node runs no BIRD whatever is configured (calico-policy-only.yaml)."""
    backend = {"name": "CALICO_NETWORKING_BACKEND", "value": "none"}
    return backend in (node.get("env") or ())


def _set_bird_probes(container: Object, families: Collection[Family]) -> None:
    """
    Ask BIRD whether it lives with BGP; without there is none, and it would never answer.

    There is one for each family, `bird` and `bird6`.

    The question is written as the manifest writes Felix's: `-felix-live` up to 3.32, `--felix-live`
    since. A flag in another release's form would fail every probe.
    """
    for probe, state in (("livenessProbe", "live"), ("readinessProbe", "ready")):
        command = ((container.get(probe) or {}).get("exec") or {}).get("command") or []
        of_felix = [word for word in command if word.lstrip("-") == f"felix-{state}"]
        if not of_felix:
            raise ManifestError(
                f"Calico's manifest has no {probe} that asks Felix (felix-{state}): its form is"
                " not known"
            )
        kept = [word for word in command if not _BIRD_FLAG.match(word)]
        programs = [name for one, name in ((4, "bird"), (6, "bird6")) if one in families]
        asked = [of_felix[0].replace("felix", name) for name in programs]
        container[probe]["exec"]["command"] = [*(w for w in kept if w not in asked), *asked]


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
    return EtcdTls(*(files[f"calico.etcd.{name}"] for name in ETCD_FILES))
