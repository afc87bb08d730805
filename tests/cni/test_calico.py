"""Calico: the official manifest with this cluster's values, and nothing applied that is not it."""

from __future__ import annotations

import base64
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fabnode.cni import calico_health, calico_manifest, calico_pools
from fabnode.cni.registry import network
from fabnode.releases.version import Release
from fabnode.util.merging import merge_deep
from tests.support import make_config

if TYPE_CHECKING:
    from fabnode.config.configuration import Config

MARK = "fabnode.io/etcd-digest"
CLOUD = "node.cloudprovider.kubernetes.io"


def manifest(tag: str = "v3.28.5") -> list[dict[str, Any]]:
    """Return the parts of calico.yaml that are changed, as the official one has them."""
    probe = {"exec": {"command": ["/bin/calico-node", "-felix-live", "-bird-live"]}}
    node = {
        "name": "calico-node",
        "image": f"docker.io/calico/node:{tag}",
        "env": [
            {"name": "CALICO_IPV4POOL_IPIP", "value": "Always"},
            {"name": "CALICO_IPV4POOL_VXLAN", "value": "Never"},
            {"name": "IP", "value": "autodetect"},
        ],
        "livenessProbe": probe,
        "readinessProbe": {
            "exec": {"command": ["/bin/calico-node", "-felix-ready", "-bird-ready"]}
        },
    }
    install = {"name": "install-cni", "image": f"docker.io/calico/cni:{tag}", "env": []}
    controllers = {"name": "calico-kube-controllers", "image": f"docker.io/calico/kc:{tag}"}

    def workload(kind: str, name: str, pod: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": kind,
            "metadata": {"name": name},
            "spec": {"replicas": 3, "template": {"spec": pod}},
        }

    return [
        {
            "kind": "ConfigMap",
            "metadata": {"name": "calico-config"},
            "data": {"calico_backend": "bird", "veth_mtu": "0"},
        },
        workload(
            "DaemonSet",
            "calico-node",
            {
                "initContainers": [install],
                "containers": [node],
                "volumes": [
                    {"name": "lib-modules", "hostPath": {"path": "/lib/modules"}},
                    {"name": "cni-bin-dir", "hostPath": {"path": "/opt/cni/bin"}},
                    {"name": "cni-net-dir", "hostPath": {"path": "/etc/cni/net.d"}},
                ],
            },
        ),
        workload("Deployment", "calico-kube-controllers", {"containers": [controllers]}),
    ]


def rendered(found: list[dict[str, Any]] | None = None, **settings: Any) -> list[dict[str, Any]]:
    config = make_config(calico=settings)
    text = yaml.safe_dump_all(found or manifest()).encode()
    return list(calico_manifest.objects(text, config, ["portmap", "loopback"]))


def test_calico_installs_itself_where_the_runtime_searches() -> None:
    config = make_config(paths={"cni_bin": "/data/cni/bin", "cni_conf": "/data/cni/net.d"})
    text = yaml.safe_dump_all(manifest()).encode()
    objects = calico_manifest.objects(text, config, ["portmap"])
    (pod,) = (o["spec"]["template"]["spec"] for o in objects if o["kind"] == "DaemonSet")
    volumes = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"]}
    assert volumes == {
        "lib-modules": "/lib/modules",
        "cni-bin-dir": "/data/cni/bin",
        "cni-net-dir": "/data/cni/net.d",
    }
    # Its configuration on the host names its kubeconfig by this.
    assert {"name": "CNI_NET_DIR", "value": "/data/cni/net.d"} in pod["initContainers"][0]["env"]


def test_a_manifest_without_the_volumes_is_not_applied_as_if_it_had_them() -> None:
    documents = manifest()
    documents[1]["spec"]["template"]["spec"]["volumes"].pop()
    config = make_config(paths={"cni_conf": "/data/cni/net.d"})
    text = yaml.safe_dump_all(documents).encode()
    with pytest.raises(calico_manifest.ManifestError, match=r"no volume cni-net-dir: paths.cni_c"):
        calico_manifest.objects(text, config, [])


ETCD = {
    "datastore": "etcd",
    "etcd": {
        "endpoints": ["https://192.0.2.1:2379", "https://192.0.2.2:2379"],
        "ca": "etcd-ca.pem",
        "cert": "calico.pem",
        "key": "calico-key.pem",
    },
}
TLS = calico_manifest.EtcdTls(b"the ca", b"the cert", b"the key")


def etcd_manifest() -> list[dict[str, Any]]:
    """Return the same of calico-etcd.yaml, with what belongs to calico-node alone."""
    secret = {"kind": "Secret", "metadata": {"name": "calico-etcd-secrets"}, "data": None}
    account = {"kind": "ServiceAccount", "metadata": {"name": "calico-node"}}
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "calico-kube-controllers"},
    }
    return [secret, account, budget, *manifest()]


def with_etcd(config: Config | None = None, tls: calico_manifest.EtcdTls = TLS) -> dict[str, Any]:
    """Return the objects for etcd by their kinds."""
    text = yaml.safe_dump_all(etcd_manifest()).encode()
    made = calico_manifest.objects(text, config or make_config(calico=ETCD), [], tls)
    return {item["kind"]: item for item in made}


def env(container: dict[str, Any]) -> dict[str, str]:
    names = [entry["name"] for entry in container["env"]]
    assert len(names) == len(set(names)), "a name given twice"
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_vxlan_sets_pool_and_backend_and_drops_bird() -> None:
    config, daemonset, controllers = rendered(backend="vxlan", encapsulation="CrossSubnet")
    node = daemonset["spec"]["template"]["spec"]["containers"][0]
    assert config["data"]["calico_backend"] == "vxlan"
    assert env(node) == {
        "IP": "autodetect",
        "CALICO_IPV4POOL_CIDR": "172.20.0.0/16",
        "CALICO_IPV4POOL_VXLAN": "CrossSubnet",
        "CALICO_IPV4POOL_IPIP": "Never",
        "IP_AUTODETECTION_METHOD": "kubernetes-internal-ip",
    }
    assert node["livenessProbe"]["exec"]["command"] == ["/bin/calico-node", "-felix-live"]
    assert node["readinessProbe"]["exec"]["command"] == ["/bin/calico-node", "-felix-ready"]
    assert controllers["spec"]["replicas"] == 1
    assert controllers["spec"]["template"]["spec"]["hostNetwork"] is True


def test_a_configured_mtu_rolls_the_pods_that_read_it_when_they_start() -> None:
    for mtu, value, marks in ((None, "0", {}), (1370, "1370", {"fabnode.io/mtu": "1370"})):
        config, daemonset, _ = rendered(mtu=mtu)
        assert config["data"]["veth_mtu"] == value
        metadata = daemonset["spec"]["template"].get("metadata", {})
        assert metadata.get("annotations", {}) == marks


def test_controllers_run_before_a_cloud_has_initialized_the_first_nodes() -> None:
    text = yaml.safe_dump_all(manifest()).encode()
    for provider, keys in ((None, []), ("external", [f"{CLOUD}/uninitialized"])):
        config = make_config(kubelet={"cloud_provider": provider})
        made = calico_manifest.objects(text, config, ["portmap"])
        pod = made[2]["spec"]["template"]["spec"]
        assert [each["key"] for each in pod.get("tolerations", ())] == keys


def test_a_manifest_that_knows_no_mtu_is_refused() -> None:
    older = manifest()
    del older[0]["data"]["veth_mtu"]
    assert rendered(older)
    with pytest.raises(calico_manifest.ManifestError, match="has no veth_mtu"):
        rendered(older, mtu=1370)


def test_bird_keeps_its_probes_and_sets_ipip() -> None:
    config, daemonset, _ = rendered(backend="bird", encapsulation="Always")
    node = daemonset["spec"]["template"]["spec"]["containers"][0]
    assert config["data"]["calico_backend"] == "bird"
    assert env(node)["CALICO_IPV4POOL_IPIP"] == "Always"
    assert env(node)["CALICO_IPV4POOL_VXLAN"] == "Never"
    assert "-bird-live" in node["livenessProbe"]["exec"]["command"]


def test_bird_is_asked_for_even_where_the_manifest_is_that_for_vxlan() -> None:
    found = rendered(backend="vxlan")
    text = yaml.safe_dump_all(found).encode()
    bird = make_config(calico={"backend": "bird", "encapsulation": "Never"})
    node = calico_manifest.objects(text, bird, [])[1]["spec"]["template"]["spec"]["containers"][0]
    assert node["livenessProbe"]["exec"]["command"][-1] == "-bird-live"
    assert node["readinessProbe"]["exec"]["command"][-1] == "-bird-ready"
    assert env(node)["CALICO_IPV4POOL_IPIP"] == env(node)["CALICO_IPV4POOL_VXLAN"] == "Never"


def test_etcd_gets_its_endpoints_and_files_by_a_secret() -> None:
    made = with_etcd()
    data = {key: base64.b64decode(value) for key, value in made["Secret"]["data"].items()}
    assert data == {"etcd-ca": b"the ca", "etcd-cert": b"the cert", "etcd-key": b"the key"}
    assert made["ConfigMap"]["data"] == {
        "calico_backend": "vxlan",
        "veth_mtu": "0",
        "etcd_endpoints": "https://192.0.2.1:2379,https://192.0.2.2:2379",
        "etcd_ca": "/calico-secrets/etcd-ca",
        "etcd_cert": "/calico-secrets/etcd-cert",
        "etcd_key": "/calico-secrets/etcd-key",
    }
    assert "the key" not in repr(TLS)


def test_a_renewed_etcd_certificate_rolls_the_pods_that_read_it() -> None:
    def digests(tls: calico_manifest.EtcdTls) -> set[str]:
        made = with_etcd(tls=tls)
        workloads = [made["DaemonSet"], made["Deployment"]]
        return {w["spec"]["template"]["metadata"]["annotations"][MARK] for w in workloads}

    assert len(digests(TLS)) == 1
    assert digests(TLS) == digests(TLS)
    assert digests(TLS) != digests(calico_manifest.EtcdTls(TLS.ca, b"newer", b"newer"))


@pytest.mark.parametrize(
    ("found", "settings", "message"),
    [
        (manifest(), ETCD, "is for the datastore kubernetes, the configuration says etcd"),
        (etcd_manifest(), {}, "is for the datastore etcd, the configuration says kubernetes"),
    ],
)
def test_a_manifest_for_the_other_datastore_is_refused(
    found: list[dict[str, Any]], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(calico_manifest.ManifestError, match=message):
        rendered(found, **settings)


@pytest.mark.parametrize(("version", "api"), [((1, 20, 2), "v1beta1"), ((1, 21, 0), "v1")])
def test_old_kubernetes_gets_the_disruption_budget_it_knows(
    version: tuple[int, int, int], api: str
) -> None:
    config = make_config(calico=ETCD)
    settings = config.cluster.model_copy(update={"version": Release(*version)})
    made = with_etcd(replace(config, cluster=settings))
    assert made["PodDisruptionBudget"]["apiVersion"] == f"policy/{api}"


def test_the_controllers_alone_come_without_anything_of_calico_node() -> None:
    made = with_etcd(make_config(calico={**ETCD, "components": "controllers"}))
    assert set(made) == {"Secret", "PodDisruptionBudget", "ConfigMap", "Deployment"}
    spec = made["Deployment"]["spec"]
    assert spec["replicas"] == 1
    assert spec["template"]["spec"]["hostNetwork"] is True


def test_calico_leaves_the_runtimes_plugins_alone() -> None:
    _, daemonset, _ = rendered()
    install = daemonset["spec"]["template"]["spec"]["initContainers"][0]
    assert env(install) == {"SKIP_CNI_BINARIES": "loopback,portmap"}


def test_every_image_is_taken_from_the_configured_registry() -> None:
    _, daemonset, controllers = rendered(registry="registry.example.org/mirror")
    pods = [w["spec"]["template"]["spec"] for w in (daemonset, controllers)]
    images = [c["image"] for p in pods for c in [*p.get("initContainers", []), *p["containers"]]]
    assert images == [
        f"registry.example.org/mirror/calico/{name}:v3.28.5" for name in ("cni", "node", "kc")
    ]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (manifest("v3.27.0"), "is of v3.27.0, the configuration says 3.28.5"),
        (manifest()[1:], "no ConfigMap calico-config"),
        (manifest()[:2], "no Deployment calico-kube-controllers"),
        ([{"kind": "Pod", "metadata": {"name": "x"}}], "is it the official one?"),
        ([{"kind": "ConfigMap"}], "holds no Kubernetes objects"),
    ],
)
def test_what_is_not_the_manifest_is_refused(found: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(calico_manifest.ManifestError, match=message):
        rendered(found)


DAEMONSET = {"metadata": {"annotations": {"deprecated.daemonset.template.generation": "2"}}}
UP = {
    "metadata": {"generation": 3},
    "status": {"observedGeneration": 3, "updatedReplicas": 1, "readyReplicas": 1},
}
UNSEEN = {**UP, "metadata": {"generation": 4}}


def pod(node: str, ready: str, template: str = "2") -> dict[str, Any]:
    return {
        "metadata": {"labels": {"pod-template-generation": template, "k8s-app": "calico-node"}},
        "spec": {"nodeName": node},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


LEAVING = {"metadata": {"deletionTimestamp": "2026-11-28T21:01:22Z"}}
BOTH = [pod("n1", "True"), pod("n2", "True")]


def controllers_on(*nodes: str, **metadata: str) -> list[dict[str, Any]]:
    labels = {"labels": {"k8s-app": "calico-kube-controllers"}}
    return [
        {"metadata": {**labels, **metadata}, "spec": {"nodeName": node} if node else {}}
        for node in nodes
    ]


@pytest.mark.parametrize(
    ("pods", "elsewhere"),
    [
        (controllers_on("n9"), "calico-kube-controllers is not ready: its pod is on n9"),
        (controllers_on("n8", "n9"), "its pod is on n8, n9"),
        (controllers_on("n2"), None),
        (controllers_on("n9", ""), None),  # one is about to be placed, here maybe
        (controllers_on("n9", deletionTimestamp="2026-11-28T10:58:23Z"), None),
        ([], None),
    ],
)
def test_controllers_on_another_node_are_not_waited_for(
    pods: list[dict[str, Any]], elsewhere: str | None
) -> None:
    """Replacing a node that died is what one adds a node for."""
    found = calico_health.elsewhere([*BOTH, *pods], {}, ["n1", "n2"])
    missing = calico_health.not_ready(DAEMONSET, [*BOTH, *pods], {}, ["n1", "n2"])
    assert (found or "").find(elsewhere or "") >= 0
    assert (found is None) == (elsewhere is None)
    assert missing == (None if elsewhere else "calico-kube-controllers is not ready")
    assert calico_health.elsewhere([*BOTH, *pods], UP, ["n1", "n2"]) is None


def test_what_is_older_than_its_node_object_starts_again() -> None:
    """calico-node writes its host's address to the Node when it starts, and only then."""
    node = {"metadata": {"name": "n1", "creationTimestamp": "2026-11-28T21:01:20Z"}}

    def made(name: str, on: str, at: str, **metadata: str) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "creationTimestamp": at, **metadata},
            "spec": {"nodeName": on},
        }

    pods = [
        made("old", "n1", "2026-11-28T20:01:20Z"),
        made("new", "n1", "2026-11-28T21:01:21Z"),
        made("going", "n1", "2026-11-28T20:01:20Z", deletionTimestamp="2026-11-28T21:01:22Z"),
        made("other", "n2", "2026-11-28T20:01:20Z"),
    ]
    assert calico_health.older_pods(pods, node) == ["old"]


def pool(name: str = "default-ipv4-ippool", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"cidr": "172.20.0.0/16", **spec}}


MODES = {"vxlanMode": "CrossSubnet", "ipipMode": "Never"}


@pytest.mark.parametrize(
    ("pools", "drift"),
    [
        ([], ""),  # Calico has not made one yet
        ([pool(vxlanMode="CrossSubnet", ipipMode="Never")], ""),
        ([pool(vxlanMode="CrossSubnet")], ""),
        (
            [pool(vxlanMode="Always")],
            "default-ipv4-ippool: vxlanMode is Always, configured is CrossSubnet",
        ),
        (
            [pool(ipipMode="Always")],
            "default-ipv4-ippool: vxlanMode is Never, configured is CrossSubnet; "
            "default-ipv4-ippool: ipipMode is Always, configured is Never",
        ),
        ([pool(vxlanMode="CrossSubnet", disabled=True)], "default-ipv4-ippool is disabled"),
        (
            [pool("a", cidr="10.0.0.0/16")],
            "no pool of 172.20.0.0/16 (cluster.pod_cidr), but a of 10.0.0.0/16",
        ),
        ([pool(vxlanMode="CrossSubnet"), pool("a", cidr="10.0.0.0/16", vxlanMode="Always")], ""),
        ([pool(vxlanMode="CrossSubnet", nodeSelector="all()")], ""),
        (
            [pool(vxlanMode="CrossSubnet", nodeSelector='disk == "ssd"')],
            'default-ipv4-ippool is for nodes with disk == "ssd" alone (nodeSelector)',
        ),
        (
            [pool(vxlanMode="CrossSubnet", nodeSelector="has(a)"), pool("b", cidr="10.0.0.0/16")],
            "",  # the site shares its nodes out among pools
        ),
        (
            [
                pool(vxlanMode="CrossSubnet", nodeSelector="has(a)"),
                pool("b", cidr="10.0.0.0/16", disabled=True),
            ],
            "default-ipv4-ippool is for nodes with has(a) alone (nodeSelector)",
        ),
        ([pool(vxlanMode="CrossSubnet", allowedUses=["Workload", "Tunnel"])], ""),
        (
            [pool(vxlanMode="CrossSubnet", allowedUses=["Tunnel"])],
            "default-ipv4-ippool is not for pods (allowedUses)",
        ),
    ],
)
def test_a_pool_that_is_not_what_the_configuration_says(
    pools: list[dict[str, Any]], drift: str
) -> None:
    assert calico_pools.drift(pools, "172.20.0.0/16", MODES) == drift


@pytest.mark.parametrize(
    ("found", "knows"),
    [
        (None, False),
        ({"data": None}, False),
        ({"data": {"KUBERNETES_SERVICE_PORT": "6443"}}, False),
        ({"data": {"KUBERNETES_SERVICE_HOST": "192.0.2.1"}}, True),
    ],
)
def test_where_the_apiserver_is_calico_node_may_read_in_a_configmap(
    found: dict[str, Any] | None, knows: bool
) -> None:
    class Api:
        def find(self, path: str) -> dict[str, Any] | None:
            assert path == (
                "/api/v1/namespaces/kube-system/configmaps/kubernetes-services-endpoint"
            )
            return found

    api: Any = Api()
    assert network(make_config()).knows_apiserver(api) is knows


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (
            pool("p", vxlanMode="Always"),
            "kubectl patch ippools.crd.projectcalico.org p --type=merge"
            """ -p '{"spec":{"vxlanMode":"CrossSubnet","ipipMode":"Never"}}'""",
        ),
        (pool(disabled=True), '"ipipMode":"Never","disabled":false}'),
        (pool(nodeSelector="disk == 'ssd'"), '"nodeSelector":"all()","allowedUses":["Workload"'),
        (pool(cidr="10.0.0.0/16"), "correct cluster.pod_cidr: pods keep the addresses"),
        (pool(vxlanMode="Always"), "which Calico follows while pods run"),
        (pool(ipipMode="Always"), "while pods of different nodes may be without each other: kube"),
        (pool(), "correct calico.backend and calico.encapsulation; or, while pods of different"),
    ],
)
def test_what_differs_in_a_pool_is_changed_live_or_not_at_all(
    found: dict[str, Any], remedy: str
) -> None:
    assert remedy in calico_pools.remedy([found], "172.20.0.0/16", MODES)


@pytest.mark.parametrize(
    ("found", "calico", "cut_off"),
    [
        (pool(ipipMode="Always"), {}, "default-ipv4-ippool has ipipMode Always: pods of different"),
        (pool(), {"encapsulation": "CrossSubnet"}, "default-ipv4-ippool has no encapsulation"),
        (pool(vxlanMode="CrossSubnet"), {}, ""),  # another mode of the same tunnel
        (pool(ipipMode="Always", disabled=True), {}, ""),
        (pool(ipipMode="Always", cidr="10.0.0.0/16"), {}, ""),  # a site's own
        (pool(vxlanMode="Always"), {"backend": "bird"}, ""),  # Felix has VXLAN's beside BGP's
        (pool(ipipMode="Always"), {"components": "controllers"}, ""),
        (None, {}, ""),
    ],
)
def test_another_backend_than_a_pools_would_cut_pods_off(
    found: dict[str, Any] | None, calico: dict[str, Any], cut_off: str
) -> None:
    api: Any = SimpleNamespace(find=lambda _: {"items": [found]} if found else None)
    diagnosis = network(make_config(calico=calico)).cut_off(api)
    if cut_off:
        assert diagnosis
        assert cut_off in diagnosis.cause
        assert "kubectl patch" in diagnosis.advice
    else:
        assert diagnosis is None


BGP = {"vxlanMode": "Never", "ipipMode": "CrossSubnet"}


@pytest.mark.parametrize(
    ("found", "modes", "follows"),
    [
        (pool(vxlanMode="Always"), MODES, True),
        (pool(vxlanMode="Always", ipipMode="Never"), MODES, True),
        (pool(vxlanMode="CrossSubnet"), MODES, False),  # nothing differs
        (pool(), MODES, False),  # without VXLAN it has no routes of its own: a change of backend
        (pool(ipipMode="Always"), MODES, False),
        (pool(vxlanMode="Always"), BGP, False),
        (pool(ipipMode="Always"), BGP, True),
        (pool(), BGP, True),
        (pool(vxlanMode="Always", cidr="10.0.0.0/16"), MODES, False),  # a site's own
        (pool(vxlanMode="CrossSubnet", disabled=True), MODES, False),
        (pool(vxlanMode="CrossSubnet", nodeSelector="has(a)"), MODES, False),
    ],
)
def test_encapsulation_is_changed_where_pods_keep_their_network(
    found: dict[str, Any], modes: dict[str, str], follows: bool
) -> None:
    objects = calico_pools.followed([found], "172.20.0.0/16", modes)
    assert len(objects) == follows
    for each in objects:
        assert each["metadata"] == {"name": "default-ipv4-ippool"}
        assert each["spec"] == {"cidr": "172.20.0.0/16", **modes}, "and nothing else of it"
        after = calico_pools.changed([found], objects)
        assert calico_pools.drift(after, "172.20.0.0/16", modes) == ""


def test_what_else_differs_in_a_changed_pool_stays_drift() -> None:
    found = pool(vxlanMode="Always", disabled=True)
    objects = calico_pools.followed([found], "172.20.0.0/16", MODES)
    after = calico_pools.changed([found], objects)
    left = calico_pools.drift(after, "172.20.0.0/16", MODES)
    assert left == "default-ipv4-ippool is disabled"


@pytest.mark.parametrize("form", [{"datastore": "etcd"}, {"components": "controllers"}])
def test_a_pool_that_the_api_does_not_have_is_not_asked_for(form: dict[str, str]) -> None:
    config = make_config()
    changed = config.calico.model_copy(update=form)
    cni = network(replace(config, calico=changed))
    api: Any = None
    assert cni.followed(api) == ()
    assert cni.drift(api) is None


@pytest.mark.parametrize(
    ("pods", "controllers", "expected"),
    [
        (BOTH, UP, None),
        ([pod("n1", "True"), pod("n2", "False")], UP, "calico-node is not ready on n2"),
        (
            [pod("n1", "True"), merge_deep(pod("n2", "True"), LEAVING)],
            UP,
            "calico-node is not ready on n2",
        ),
        (
            [pod("n1", "True"), pod("n2", "True", "1")],
            UP,
            "calico-node is still to be replaced on n2",
        ),
        (
            [pod("n1", "False"), pod("n2", "True", "1")],
            UP,
            "calico-node is not ready on n1; calico-node is still to be replaced on n2",
        ),
        ([pod("n1", "True"), pod("n2", "False", "1")], UP, "calico-node is not ready on n2"),
        ([], UP, "calico-node is not ready on n1, n2"),
        (BOTH, {}, "calico-kube-controllers is not ready"),
        (BOTH, None, "calico-kube-controllers is not ready"),
        (BOTH, UNSEEN, "calico-kube-controllers is not ready"),
        ([*BOTH, pod("n9", "False")], UP, None),
    ],
)
def test_ready_means_ready_and_replaced_on_the_nodes_of_the_run(
    pods: list[dict[str, Any]], controllers: dict[str, Any] | None, expected: str | None
) -> None:
    """A node that is down and no part of the run holds nobody up."""
    assert calico_health.not_ready(DAEMONSET, pods, controllers, ("n1", "n2")) == expected


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Running"}, "n2"),
        ({"phase": "Pending"}, "n2 (Pending)"),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    {"name": "a", "state": {"terminated": {"exitCode": 0}}},
                    {"name": "b", "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
                ],
                "containerStatuses": [
                    {"name": "c", "state": {"waiting": {"reason": "PodInitializing"}}}
                ],
            },
            "n2 (Init:CrashLoopBackOff)",
        ),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {"name": "c", "state": {"waiting": {"reason": "ErrImagePull\x1b[2J"}}}
                ],
            },
            "n2 (ErrImagePull [2J)",
        ),
    ],
)
def test_what_a_pod_is_at_stands_beside_its_node(status: dict[str, Any], shown: str) -> None:
    pods = [pod("n1", "True"), {**pod("n2", "False"), "status": status}]
    found = calico_health.not_ready(DAEMONSET, pods, UP, ("n1", "n2"))
    assert found == f"calico-node is not ready on {shown}"


@pytest.mark.parametrize(
    ("generation", "updated", "expected"),
    [
        (2, 2, None),  # changed and changed back: the old pods are what is wanted
        (2, 1, "calico-node is still to be replaced on n2"),
        (
            3,
            2,
            "calico-node is still to be replaced on n2",
        ),  # the controller has not seen the change yet
    ],
)
def test_pods_that_a_changed_back_template_fits_count(
    generation: int, updated: int, expected: str | None
) -> None:
    status = {
        "observedGeneration": 2,
        "currentNumberScheduled": 2,
        "updatedNumberScheduled": updated,
    }
    daemonset = {
        "metadata": {**DAEMONSET["metadata"], "generation": generation},
        "status": status,
    }
    pods = [pod("n1", "True"), pod("n2", "True", "1")]
    assert calico_health.not_ready(daemonset, pods, UP, ("n1", "n2")) == expected


@pytest.mark.parametrize(
    ("before", "after", "step", "older"),
    [
        ("v3.28.5", "v3.32.1", "Calico 3.28.5 → 3.32.1: ", False),
        ("v3.32.1", "v3.28.5", "Calico 3.32.1 → 3.28.5: ", True),
        ("v3.28.5", "v3.28.5", "", False),
        ("master", "v3.28.5", "", False),  # no release to compare with
    ],
)
def test_a_rollout_names_both_releases(before: str, after: str, step: str, older: bool) -> None:
    live, wanted = (manifest(tag)[1] for tag in (before, after))
    leaving = pod("n4", "True")
    leaving["metadata"] |= LEAVING["metadata"]
    pods = [*BOTH, pod("n3", "False"), leaving]
    found = calico_health.rollout(live, wanted, pods)
    assert found.text == f"{step}calico-node is rolled, one node at a time"
    assert found.nodes == {"n1", "n2"}
    assert found.placed == {"n1", "n2", "n3"}
    assert found.new_images == (before != after)
    assert found.older is older


def test_in_an_upgrade_its_pods_are_replaced_by_hand() -> None:
    wanted = manifest("v3.28.5")
    found = network(make_config()).by_hand(wanted)
    kinds = {item["kind"]: item for item in found}
    assert kinds["DaemonSet"]["spec"]["updateStrategy"] == {"type": "OnDelete"}
    assert [a for a, b in zip(wanted, found, strict=True) if a != b] == [
        item for item in wanted if item["kind"] == "DaemonSet"
    ]


class Pods:
    """An API that has a DaemonSet and its pods."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = list(pods)

    def find(self, path: str) -> dict[str, Any]:
        return DAEMONSET

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return {"items": self.pods}


def test_pods_of_a_template_of_before_are_named_by_node() -> None:
    old, new, leaving = pod("n1", "True", "1"), pod("n2", "True"), pod("n3", "True", "1")
    leaving["metadata"] |= LEAVING["metadata"]
    for each, name in ((old, "old"), (new, "new"), (leaving, "leaving")):
        each["metadata"]["name"] = name
    found = network(make_config()).older_pods(Pods(old, new, leaving), ["n1", "n2", "n3"])
    assert found == {"n1": "/api/v1/namespaces/kube-system/pods/old"}
