"""Calico: the official manifest of the pinned version, with the configuration's values put in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from ..model.yamltext import parse_all

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..model.config import Cluster

NAME = "calico"
HELP = "Apply Calico and wait for it."

NAMESPACE = "kube-system"
DAEMONSET = "calico-node"
CONTROLLERS = "calico-kube-controllers"

Object = dict[str, Any]


class ManifestError(ValueError):
    """The manifest is not one of Calico's, or not of the version that is configured."""

    advice = "correct calico.manifest, or calico.version"


def objects(manifest: bytes, cluster: Cluster, cni_plugins: Collection[str]) -> tuple[Object, ...]:
    """
    Return the manifest's objects as this cluster needs them.

    :param cni_plugins: plugins that the runtime step installs, which Calico is to leave alone.

    Raises ManifestError where a part that has to be set is not in the manifest: better than
    applying something that only looks configured.
    """
    try:
        documents: list[Object] = parse_all(manifest)
    except yaml.YAMLError as error:
        raise ManifestError(f"Calico's manifest is no YAML: {error}") from error
    if not all(isinstance(document, dict) for document in documents):
        raise ManifestError(
            "Calico's manifest holds no Kubernetes objects: is it the official one?"
        )
    settings = cluster.calico
    daemonset = _only(documents, "DaemonSet", DAEMONSET)
    controllers = _only(documents, "Deployment", CONTROLLERS)
    _only(documents, "ConfigMap", "calico-config")["data"]["calico_backend"] = settings.backend
    pod = daemonset["spec"]["template"]["spec"]
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
    if vxlan:
        _drop_bird_probes(node)
    if cni_plugins:
        install = _container(pod, "initContainers", "install-cni")
        _set_env(install, {"SKIP_CNI_BINARIES": ",".join(sorted(cni_plugins))})
    controllers["spec"]["replicas"] = 1
    controllers["spec"]["template"]["spec"]["hostNetwork"] = settings.controllers_host_network
    if settings.registry:
        for container in _containers(daemonset, controllers):
            container["image"] = with_registry(container["image"], settings.registry)
    return tuple(documents)


def with_registry(image: str, registry: str) -> str:
    """Return an image reference with its registry replaced (`docker.io/calico/node:v3` → …)."""
    first, _, rest = image.partition("/")
    has_registry = rest and ("." in first or ":" in first or first == "localhost")
    return f"{registry.rstrip('/')}/{rest if has_registry else image}"


def not_ready(
    pods: Collection[Object], controllers: Object | None, nodes: Collection[str]
) -> str | None:
    """
    Say what of Calico is not there yet on these nodes, or None when all is.

    Pods are looked at one by one, not the DaemonSet's own count: that one also counts nodes which
    are down or are no part of the run.

    :param pods: calico-node's. :param controllers: the Deployment, None where there is none.
    """
    ready = {
        pod["spec"].get("nodeName")
        for pod in pods
        for condition in (pod.get("status") or {}).get("conditions") or ()
        if condition["type"] == "Ready" and condition["status"] == "True"
    }
    if missing := sorted(set(nodes) - ready):
        return f"{DAEMONSET} is not ready on {', '.join(missing)}"
    if ((controllers or {}).get("status") or {}).get("readyReplicas", 0) < 1:
        return f"{CONTROLLERS} is not ready"
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


def _containers(*workloads: Object) -> Iterator[Object]:
    for workload in workloads:
        pod = workload["spec"]["template"]["spec"]
        yield from pod.get("initContainers") or ()
        yield from pod["containers"]


def _check_version(image: str, version: str) -> None:
    tag = image.rpartition(":")[2]
    if tag.removeprefix("v") != version:
        raise ManifestError(f"Calico's manifest is of {tag}, the configuration says {version}")


def _set_env(container: Object, values: dict[str, str]) -> None:
    kept = [e for e in container.get("env") or () if e["name"] not in values]
    container["env"] = [*kept, *({"name": k, "value": v} for k, v in values.items())]


def _drop_bird_probes(container: Object) -> None:
    """Without BGP there is no BIRD: its probes would never succeed."""
    for probe in ("livenessProbe", "readinessProbe"):
        command = container[probe]["exec"]["command"]
        container[probe]["exec"]["command"] = [c for c in command if not c.startswith("-bird")]
