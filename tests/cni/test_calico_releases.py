"""
What fabnode makes of the manifests of Calico's releases, from 3.28 to 3.33, in each form.

The manifests here are small ones of the same shapes: what runs, from which images, how it is probed
and set, and which API groups are defined.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fabnode.cni import calico_manifest
from fabnode.cni.registry import network
from fabnode.kube import rbac_rules
from fabnode.releases.version import Release
from tests.support import make_config

if TYPE_CHECKING:
    from fabnode.config.configuration import Config

RELEASES = ("3.28.5", "3.29.7", "3.30.7", "3.31.7", "3.32.1", "3.33.0")
FORMS = ("calico", "calico-vxlan", "calico-etcd", "calico-typha", "calico-policy-only")
ETCD = {
    "endpoints": ["https://192.0.2.1:2379"],
    "ca": "etcd-ca.pem",
    "cert": "calico.pem",
    "key": "calico-key.pem",
}
TLS = calico_manifest.EtcdTls(b"the ca", b"the cert", b"the key")


def minor(release: str) -> int:
    return int(release.split(".")[1])


def image(release: str, part: str) -> str:
    """Return the image of a part: on quay.io since 3.31, of one program but node's since 3.33."""
    host = "quay.io" if minor(release) >= 31 else "docker.io"
    name = "calico" if minor(release) >= 33 and part != "node" else part
    return f"{host}/calico/{name}:v{release}"


def health(release: str, *questions: str) -> dict[str, Any]:
    """Return a probe: calico-node's own flags, or since 3.33 those of the program of all parts."""
    merged = minor(release) >= 33
    program = ["calico", "component", "node", "health"] if merged else ["/bin/calico-node"]
    dash = "--" if merged else "-"
    return {"exec": {"command": [*program, *(f"{dash}{each}" for each in questions)]}}


def definition(group: str, plural: str, kind: str) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "names": {"kind": kind, "plural": plural}},
    }


def definitions(release: str, form: str) -> list[dict[str, Any]]:
    if form == "calico-etcd":
        return []
    group = "projectcalico.org" if form == "calico-v3-crds" else "crd.projectcalico.org"
    found = [definition(group, "ippools", "IPPool")]
    policies = "policy.networking.k8s.io"
    if minor(release) >= 29:
        found.append(definition(group, "tiers", "Tier"))
        admin = ("adminnetworkpolicies", "AdminNetworkPolicy")
        newer = ("clusternetworkpolicies", "ClusterNetworkPolicy")
        found.append(definition(policies, *(newer if minor(release) >= 32 else admin)))
    return found


def workload(kind: str, name: str, pod: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"template": {"spec": pod}},
    }


def typha(release: str) -> list[dict[str, Any]]:
    metadata = {"name": "calico-typha", "namespace": "kube-system"}
    container = {"name": "calico-typha", "image": image(release, "typha")}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": []}},
        workload("Deployment", "calico-typha", {"containers": [container]}),
    ]


def node(release: str, form: str) -> dict[str, Any]:
    routes = form != "calico-policy-only"
    bird = routes and form != "calico-vxlan"
    shared = {"valueFrom": {"configMapKeyRef": {"key": "calico_backend"}}}
    env: list[dict[str, Any]] = [
        {"name": "CALICO_NETWORKING_BACKEND", **(shared if routes else {"value": "none"})}
    ]
    if routes:
        vxlan = "Never" if bird else "CrossSubnet"
        env.append({"name": "CALICO_IPV4POOL_VXLAN", "value": vxlan})
        env.append({"name": "CALICO_IPV4POOL_IPIP", "value": "Always" if bird else "Never"})
    return {
        "name": "calico-node",
        "image": image(release, "node"),
        "env": env,
        "livenessProbe": health(release, "felix-live", *(["bird-live"] if bird else [])),
        "readinessProbe": health(release, "felix-ready", *(["bird-ready"] if bird else [])),
    }


def manifest(release: str, form: str) -> list[dict[str, Any]]:
    """Return what a release's manifest of this form has, as far as fabnode goes by it."""
    mount = "ebpf-bootstrap" if minor(release) >= 31 else "mount-bpffs"
    first = [] if form in ("calico-etcd", "calico-policy-only") else ["upgrade-ipam"]
    starting = [
        *({"name": name, "image": image(release, "cni")} for name in (*first, "install-cni")),
        {"name": mount, "image": image(release, "node")},
    ]
    backend = "vxlan" if form == "calico-vxlan" else "bird"
    data = {"veth_mtu": "0"} | ({} if form == "calico-policy-only" else {"calico_backend": backend})
    shared = {"name": "calico-config", "namespace": "kube-system"}
    controllers = {
        "name": "calico-kube-controllers",
        "image": image(release, "kube-controllers"),
    }
    secret = {"name": "calico-etcd-secrets", "namespace": "kube-system"}
    return [
        *definitions(release, form),
        *(
            [{"apiVersion": "v1", "kind": "Secret", "metadata": secret}]
            if form == "calico-etcd"
            else []
        ),
        *(typha(release) if form in ("calico-typha", "calico-policy-only") else []),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": shared, "data": data},
        workload(
            "DaemonSet",
            "calico-node",
            {"initContainers": starting, "containers": [node(release, form)]},
        ),
        workload("Deployment", "calico-kube-controllers", {"containers": [controllers]}),
    ]


@cache
def base(datastore: str) -> Config:
    etcd = {"etcd": ETCD} if datastore == "etcd" else {}
    return make_config(calico={"datastore": datastore, **etcd})


def configured(release: str, form: str, backend: str, **settings: Any) -> Config:
    config = base("etcd" if form == "calico-etcd" else "kubernetes")
    chosen = {"version": Release.parse(release), "backend": backend, **settings}
    return replace(config, calico=config.calico.model_copy(update=chosen))


def made(release: str, form: str, backend: str, **settings: Any) -> list[dict[str, Any]]:
    config = configured(release, form, backend, **settings)
    text = yaml.safe_dump_all(manifest(release, form)).encode()
    tls = TLS if form == "calico-etcd" else None
    return list(calico_manifest.objects(text, config, ["portmap"], tls))


def pod(objects: list[dict[str, Any]], name: str = "calico-node") -> dict[str, Any]:
    kinds = ("DaemonSet", "Deployment")
    (found,) = (o for o in objects if o["kind"] in kinds and o["metadata"]["name"] == name)
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


EVERY = [
    pytest.param(r, f, b, id=f"{f}-{r}-{b}")
    for r, f, b in product(RELEASES, FORMS, ("vxlan", "bird"))
]


@pytest.mark.parametrize(("release", "form", "backend"), EVERY)
def test_probes_ask_bird_in_the_form_of_the_release_where_it_runs(
    release: str, form: str, backend: str
) -> None:
    (container,) = pod(made(release, form, backend))["containers"]
    bird = backend == "bird" and form != "calico-policy-only"
    for probe, state in (("livenessProbe", "live"), ("readinessProbe", "ready")):
        questions = [f"felix-{state}", *([f"bird-{state}"] if bird else [])]
        assert container[probe] == health(release, *questions)


@pytest.mark.parametrize(("release", "form", "backend"), EVERY)
def test_backend_and_pool_are_what_the_configuration_says(
    release: str, form: str, backend: str
) -> None:
    objects = made(release, form, backend, encapsulation="CrossSubnet")
    (shared,) = (o for o in objects if o["kind"] == "ConfigMap")
    (container,) = pod(objects)["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert shared["data"]["calico_backend"] == backend
    assert env["CALICO_IPV4POOL_VXLAN"] == ("CrossSubnet" if backend == "vxlan" else "Never")
    assert env["CALICO_IPV4POOL_IPIP"] == ("Never" if backend == "vxlan" else "CrossSubnet")
    (install,) = (c for c in pod(objects)["initContainers"] if c["name"] == "install-cni")
    assert {"name": "SKIP_CNI_BINARIES", "value": "portmap"} in install["env"]


@pytest.mark.parametrize(("release", "form", "backend"), EVERY)
def test_every_image_is_one_of_the_configured_registry(
    release: str, form: str, backend: str
) -> None:
    objects = made(release, form, backend, registry="registry.example.org")
    found = calico_manifest.images(objects)
    given = calico_manifest.images(manifest(release, form))
    assert found == [f"registry.example.org/{name.partition('/')[2]}" for name in given]


@pytest.mark.parametrize(("release", "form", "backend"), EVERY)
def test_images_that_a_node_needs_first_are_those_of_the_first_containers(
    release: str, form: str, backend: str
) -> None:
    cni = network(configured(release, form, backend))
    spec = pod(manifest(release, form))
    early = {c["image"] for c in spec["initContainers"][:-1]}
    assert early
    assert all(any(part in name for part in cni.first_images) for name in early)
    (running,) = spec["containers"]
    assert any(part in running["image"] for part in cni.next_images)


@pytest.mark.parametrize("release", RELEASES)
def test_rights_name_each_object_by_its_resource(release: str) -> None:
    rights = rbac_rules.applying(made(release, "calico-typha", "vxlan"))
    names = {right.resource for right in rights}
    wanted = {"customresourcedefinitions", "configmaps", "services", "daemonsets", "deployments"}
    assert names == wanted


@pytest.mark.parametrize("release", ["3.32.1", "3.33.0"])
def test_native_v3_definitions_are_refused_by_that_name(release: str) -> None:
    message = "is that with native v3 CRDs .* does not support: take calico.yaml"
    with pytest.raises(calico_manifest.ManifestError, match=message):
        made(release, "calico-v3-crds", "vxlan")


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
@pytest.mark.parametrize("backend", ["vxlan", "bird"])
def test_a_probe_of_unknown_form_is_refused(probe: str, backend: str) -> None:
    objects = manifest("3.33.0", "calico")
    for changed in ({"httpGet": {"path": "/x"}}, {"exec": {"command": ["calico", "healthy"]}}):
        pod(objects)["containers"][0][probe] = changed
        text = yaml.safe_dump_all(objects).encode()
        config = configured("3.33.0", "calico", backend)
        with pytest.raises(calico_manifest.ManifestError, match=f"no {probe} that asks Felix"):
            calico_manifest.objects(text, config, [])


def test_another_release_than_the_configured_one_is_refused() -> None:
    for of, wanted in (("3.28.5", "3.32.1"), ("3.33.0", "3.32.1")):
        text = yaml.safe_dump_all(manifest(of, "calico")).encode()
        with pytest.raises(calico_manifest.ManifestError, match=f"is of v{of}, .* says {wanted}"):
            calico_manifest.objects(text, configured(wanted, "calico", "vxlan"), [])
