"""What steps want: joining only those who have not, renewing what is due, stopping nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from fabnode.config.configuration import Config
from fabnode.config.loader import load
from fabnode.deploy.probe_scope import watchlist
from fabnode.node import layout
from fabnode.node.artifacts import Artifact, ImageArchive
from fabnode.node.facts import UNKNOWN, Facts, PathFact, UnitFact
from fabnode.node.plan import compare
from fabnode.node.resources import (
    Absent,
    Binary,
    ClientCertificate,
    ExistingSecret,
    File,
    Image,
    Module,
    RemovedUnit,
    Retired,
    Sysctl,
    Unit,
    UnpinnedImage,
)
from fabnode.pki.certificates import CertificateFile
from fabnode.pki.renewal import CLIENT, KINDS, PROXY, SERVING, Renewal
from fabnode.releases import compatibility
from fabnode.releases.matrix import matrix
from fabnode.remote.probe import script
from fabnode.steps import bootstrap_kubeconfig, images, kubelet, prepare, proxy, proxy_cert, runtime
from fabnode.steps.checks import node_services
from fabnode.steps.inputs import Inputs, Issued
from fabnode.steps.order import NODE_STEPS
from fabnode.steps.step import Step
from tests.support import (
    DOCUMENT,
    authority,
    certificate,
    make_config,
    pem,
    serving_certificate,
    write_cluster,
)

from .support import artifacts, make_inputs

CERTIFICATE = layout.kubelet_client_certificate("/var/lib/kubelet")


def joined_facts(common_name: str = "system:node:n1") -> Facts:
    return Facts(
        known=True,
        paths={layout.KUBELET_KUBECONFIG: PathFact("file")},
        certificates={CERTIFICATE: CertificateFile.of(certificate(common_name))},
        authorities={layout.KUBELET_KUBECONFIG: layout.CA},
        servers={layout.KUBELET_KUBECONFIG: DOCUMENT["cluster"]["apiserver"]},
    )


def test_a_node_that_has_not_joined_gets_a_bootstrap_kubeconfig() -> None:
    inputs = make_inputs(issued=Issued(bootstrap_kubeconfig=b"token"))
    assert not inputs.joined
    found = [r for r in bootstrap_kubeconfig.desired(inputs) if isinstance(r, File)]
    (file,) = found
    assert (file.path, file.mode) == (layout.BOOTSTRAP_KUBECONFIG, 0o600)
    assert file.secret
    assert file.ephemeral


def live(facts: Facts, config: Config | None = None) -> Inputs:
    """Return inputs at the real now, from which on the certificates of these tests are valid."""
    return replace(make_inputs(config, facts), now=datetime.now(UTC))


def test_a_joined_node_has_none_left() -> None:
    inputs = live(joined_facts())
    assert inputs.joined
    assert bootstrap_kubeconfig.desired(inputs) == (Absent(layout.BOOTSTRAP_KUBECONFIG),)
    (wanted,) = [r for r in kubelet.desired(inputs) if isinstance(r, ClientCertificate)]
    assert wanted.missing == ""


def rotation(inputs: Inputs) -> bool:
    """Return what the kubelet's configuration says of rotation."""
    (file,) = [
        r
        for r in kubelet.desired(inputs)
        if isinstance(r, File) and r.path == layout.KUBELET_CONFIG
    ]
    found = yaml.safe_load(file.content or b"")["rotateCertificates"]
    assert isinstance(found, bool)
    return found


def test_with_a_shared_token_rotation_begins_once_a_node_has_joined() -> None:
    """Until then its key waits on disk, where it can be compared; and the plan says so."""
    token = {"mode": "token-file", "token": {"env": "TOKEN"}}
    config = make_config(bootstrap=token)
    joined, bare = live(joined_facts()), make_inputs()
    assert rotation(bare)
    assert rotation(joined)
    assert not rotation(replace(bare, config=config))
    assert rotation(replace(joined, config=config))
    (wanted,) = [
        r for r in kubelet.desired(replace(bare, config=config)) if isinstance(r, ClientCertificate)
    ]
    assert "before approval the key that waits on this one is compared" in wanted.missing


def test_who_joins_begins_without_an_older_key_or_certificate() -> None:
    """The kubelet would take up either, and the wait for its certificate would end at once."""
    older = {
        Absent(CERTIFICATE, remade_by=kubelet.UNIT),
        Absent("/var/lib/kubelet/pki/kubelet-client.key.tmp"),
    }
    assert older <= set(kubelet.desired(make_inputs()))
    assert not older & set(kubelet.desired(live(joined_facts())))


@pytest.mark.parametrize(
    "facts",
    [
        Facts(known=True),
        joined_facts("system:node:n2"),
        Facts(
            known=True,
            certificates={CERTIFICATE: CertificateFile.of(certificate("system:node:n1"))},
        ),
        Facts(
            known=True,
            paths={layout.KUBELET_KUBECONFIG: PathFact("file")},
            certificates={CERTIFICATE: CertificateFile.of("rubbish")},
        ),
    ],
    ids=["nothing there", "another node's", "no kubeconfig", "unreadable"],
)
def test_what_is_not_a_join_does_not_count_as_one(facts: Facts) -> None:
    assert not live(facts).joined


def test_an_expired_certificate_means_joining_again() -> None:
    inputs = live(joined_facts())
    assert not replace(inputs, now=inputs.now + timedelta(days=366)).joined


SERVED = layout.kubelet_serving_certificate("/var/lib/kubelet")
NEW_CA = authority("new-ca")


def held_facts() -> Facts:
    """Return the facts of a node that holds all three certificates."""
    facts = joined_facts()
    paths = dict.fromkeys((CERTIFICATE, SERVED), PathFact("symlink", 0o777))
    proxy_pem = PathFact("file", 0o600, sha256="0" * 64)
    return replace(
        facts,
        paths={**facts.paths, **paths, layout.PROXY_PEM: proxy_pem},
        certificates={
            **facts.certificates,
            SERVED: CertificateFile.of(serving_certificate()),
            layout.PROXY_PEM: CertificateFile.of(certificate("system:kube-proxy", "k8s")),
        },
    )


def remade(inputs: Inputs) -> list[str]:
    return [r.path for r in kubelet.desired(inputs) if isinstance(r, Absent) and r.remade_by]


def test_what_is_kept_is_left_where_it_is() -> None:
    inputs = live(held_facts())
    assert inputs.joined
    assert remade(inputs) == []
    assert proxy_cert.due(inputs) is None


@pytest.mark.parametrize(
    ("kinds", "paths"),
    [
        ((CLIENT,), [CERTIFICATE]),
        ((SERVING,), [SERVED]),
        ((PROXY,), []),
        (KINDS, [CERTIFICATE, SERVED]),
    ],
)
def test_a_renewal_takes_the_old_pair_away_and_nothing_else(
    kinds: tuple[str, ...], paths: list[str]
) -> None:
    inputs = replace(live(held_facts()), renewal=Renewal(kinds))
    assert remade(inputs) == paths
    assert inputs.joined == (CLIENT not in kinds)
    assert (proxy_cert.due(inputs) is not None) == (PROXY in kinds)
    plan = compare(kubelet.desired(inputs), held_facts())
    for unit in (c for c in plan if c.name == kubelet.UNIT):
        assert unit.action == "start"  # facts know of no unit; what matters is the order
        assert all(plan.index(unit) > plan.index(c) for c in plan if c.action == "remove")
    joins = [c for c in plan if c.action == "join"]
    assert len(joins) == (CLIENT in kinds)
    assert all("is to be renewed" in c.why for c in joins)


def test_the_kubelet_is_restarted_for_a_pair_that_was_taken_away() -> None:
    running = UnitFact("loaded", "active", "running", "enabled")
    facts = replace(held_facts(), units={kubelet.UNIT: running})
    inputs = replace(live(facts), renewal=Renewal((SERVING,)))
    (unit,) = [c for c in compare(kubelet.desired(inputs), facts) if c.name == kubelet.UNIT]
    assert unit.action == "restart"
    assert SERVED in unit.why


def test_a_kubeconfig_with_another_ca_inside_means_asking_again() -> None:
    """The kubelet wrote the CA of its bootstrap kubeconfig into it, and never looks again."""
    inputs = live(held_facts())
    kept = {layout.KUBELET_KUBECONFIG: inputs.config.ca_pem.decode()}
    assert live(replace(held_facts(), authorities=kept)).joined
    for other in (pem(NEW_CA[0]).decode(), "", "/somewhere/else.pem"):
        found = live(replace(held_facts(), authorities={layout.KUBELET_KUBECONFIG: other}))
        assert "holds another CA" in (found.unjoined or "")


def with_bundle(tmp_path: Path) -> Inputs:
    """Return inputs of a node whose cluster changes its CA: new and old in the configuration."""
    path = write_cluster(tmp_path)
    (tmp_path / "ca.pem").write_bytes(pem(NEW_CA[0]) + pem(authority()[0]))
    return live(held_facts(), load(path))


def test_with_old_and_new_ca_all_certificates_of_the_old_one_hold(tmp_path: Path) -> None:
    inputs = with_bundle(tmp_path)
    assert inputs.joined
    assert remade(inputs) == []
    assert proxy_cert.due(inputs) is None
    files = {r.path: r.content for r in kubelet.desired(inputs) if isinstance(r, File)}
    assert files[layout.CA] == inputs.config.ca_pem
    assert bootstrap_kubeconfig.content(inputs, "a.b").count(layout.CA.encode()) == 1
    shown = [r for r in proxy.desired(inputs) if getattr(r, "path", "") == layout.PROXY_KUBECONFIG]
    (config,) = [yaml.safe_load(r.content or b"") for r in shown if isinstance(r, File)]
    embedded = config["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(embedded) == inputs.config.ca_pem


def test_towards_a_new_ca_its_own_certificates_stay(tmp_path: Path) -> None:
    inputs = with_bundle(tmp_path)
    towards = replace(inputs, renewal=Renewal(KINDS, authority=pem(NEW_CA[0])))
    assert remade(towards) == [CERTIFICATE, SERVED]
    assert "test-ca" in (proxy_cert.due(towards) or "")
    new = {
        CERTIFICATE: certificate("system:node:n1", by=NEW_CA),
        SERVED: serving_certificate(by=NEW_CA),
        layout.PROXY_PEM: certificate("system:kube-proxy", "k8s", by=NEW_CA),
    }
    held = {path: CertificateFile.of(text) for path, text in new.items()}
    through = replace(towards, facts=replace(towards.facts, certificates=held))
    assert through.joined
    assert remade(through) == []
    assert proxy_cert.due(through) is None


@pytest.mark.parametrize("kind", [CLIENT, SERVING])
def test_a_pair_that_others_could_write_is_replaced(kind: str) -> None:
    """Whoever could write it may have read it, and keeps it open: its mode mends nothing."""
    path = layout.certificates("/var/lib/kubelet", proxy=False)[kind]
    inputs = live(held_facts())
    assert remade(inputs) == []
    found = replace(inputs, facts=replace(inputs.facts, loose=frozenset({path})))
    assert path in remade(found)
    assert found.joined == (kind == SERVING)


@pytest.mark.parametrize(
    ("mode", "uid", "written"), [(0o600, 0, False), (0o620, 0, True), (0o600, 7, True)]
)
def test_a_kubeconfig_that_others_could_write_is_written_anew(
    mode: int, uid: int, written: bool
) -> None:
    """The kubelet, which made it, would leave it as it is."""
    facts = joined_facts()
    paths = {layout.KUBELET_KUBECONFIG: PathFact("file", mode, uid)}
    inputs = live(replace(facts, paths=paths))
    assert inputs.joined
    found = [
        r
        for r in kubelet.desired(inputs)
        if isinstance(r, File) and r.path == layout.KUBELET_KUBECONFIG
    ]
    assert bool(found) is written
    for file in found:
        assert DOCUMENT["cluster"]["apiserver"] in (file.content or b"").decode()
        assert file.why == "others than root could write it"


def proxy_facts(common_name: str, organization: str, days: int, mode: int = 0o600) -> Facts:
    return Facts(
        known=True,
        paths={layout.PROXY_PEM: PathFact("file", mode, sha256="0" * 64)},
        certificates={
            layout.PROXY_PEM: CertificateFile.of(certificate(common_name, organization, days))
        },
    )


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (Facts(known=True), "it has none"),
        (proxy_facts("system:kube-proxy", "k8s", 29), "it ends in 29 days"),
        (proxy_facts("system:kube-proxy", "other", 365), "its subject is"),
        (proxy_facts("somebody", "k8s", 365), "its subject is"),
        (proxy_facts("system:kube-proxy:n1", "k8s", 31), None),
        (proxy_facts("system:kube-proxy:n1", "k8s", 29), "it ends in 29 days"),
        (proxy_facts("system:kube-proxy:n2", "k8s", 365), "its subject is"),
        (proxy_facts("system:kube-proxy", "k8s", 31), None),
        (proxy_facts("system:kube-proxy", "k8s", 31, mode=0o620), "others than root could write"),
    ],
)
def test_kube_proxys_certificate_is_renewed_when_due(facts: Facts, reason: str | None) -> None:
    inputs = live(facts)
    due = proxy_cert.due(inputs)
    if reason is None:
        assert due is None
        assert ExistingSecret(layout.PROXY_PEM, 0o600) in proxy_cert.desired(inputs)
    else:
        assert due is not None
        assert due.startswith(reason)
        (file,) = [r for r in proxy_cert.desired(inputs) if isinstance(r, File)]
        assert file.secret
        assert file.mode == 0o600


@pytest.mark.parametrize(
    ("facts", "own"),
    [
        (proxy_facts("system:kube-proxy:n1", "k8s", 365), True),
        (proxy_facts("system:kube-proxy:n1", "k8s", 29), False),  # another is issued
        (proxy_facts("system:kube-proxy:n2", "k8s", 365), False),
        (proxy_facts("system:kube-proxy", "k8s", 365), False),
        (Facts(known=True), False),
    ],
)
def test_which_certificate_needs_rights_of_its_own_name(facts: Facts, own: bool) -> None:
    assert proxy_cert.in_own_name(live(facts)) is own


def test_steps_can_be_asked_about_a_host_nobody_has_seen() -> None:
    """That is how the watchlist comes about: every step answers without facts."""
    inputs = make_inputs(facts=UNKNOWN)
    assert [step.name for step in NODE_STEPS if not step.resources(inputs)] == ["images"]


def test_what_joining_needs_is_loaded_first_and_the_rest_later() -> None:
    """No pod starts without the sandbox image, and Calico's cni is the first of all pods."""

    def archive(name: str) -> ImageArchive:
        return ImageArchive(
            (name,), Artifact(Path("/a.tar"), hashlib.sha256(name.encode()).hexdigest())
        )

    names = ["docker.io/library/busybox:1", "docker.io/calico/node:v3", "docker.io/calico/cni:v3"]
    have = artifacts(make_config())
    given = (*(archive(name) for name in names), *have.images)
    inputs = replace(make_inputs(), artifacts=replace(have, images=given))

    def loaded(step: Step) -> list[str]:
        return [r.names[0] for r in step.resources(inputs) if isinstance(r, Image)]

    pause = "registry.k8s.io/pause:3.10.1"
    assert loaded(runtime.STEP) == [pause, "docker.io/calico/cni:v3"]
    assert loaded(images.STEP) == ["docker.io/calico/node:v3", "docker.io/library/busybox:1"]


@pytest.mark.parametrize("name", ["12", "on", "null", "1e3", "0x1f"])
def test_a_node_name_stays_a_name_in_yaml(name: str) -> None:
    """YAML would read such names as numbers, booleans or nothing."""
    config = make_config(nodes=[{"name": name, "address": "192.0.2.11"}])
    (file,) = [
        r
        for r in proxy.desired(make_inputs(config))
        if isinstance(r, File) and r.path == layout.PROXY_CONFIG
    ]
    assert yaml.safe_load(file.content or b"")["hostnameOverride"] == name


def with_docker(version: str, **settings: object) -> Inputs:
    settings = {"name": "docker", **settings}
    config = make_config(cluster={"version": version}, calico={"enabled": False}, runtime=settings)
    return make_inputs(config, Facts(known=True, cgroup=1))


def test_docker_is_the_hosts_own_but_for_its_configuration() -> None:
    wanted = runtime.desired(with_docker("1.20.2", daemon={"log-opts": {"max-file": "9"}}))
    assert [unit.name for unit in wanted if isinstance(unit, Unit)] == ["docker.service"]
    assert not [r for r in wanted if isinstance(r, Binary) and r.path.startswith("/usr/local/bin")]
    (file,) = (r for r in wanted if isinstance(r, File))
    assert file.path == "/etc/docker/daemon.json"
    settings = json.loads(file.content or b"")
    assert settings["exec-opts"] == ["native.cgroupdriver=cgroupfs"]  # as the kubelet's
    assert settings["live-restore"] is True
    assert settings["log-opts"] == {"max-file": "9", "max-size": "10m"}


def test_what_older_archives_brought_is_unpinned_and_nothing_of_others() -> None:
    brought = ("docker.io/calico/node:v3.28.4", "registry.k8s.io/pause:3.10.1", "q.io/loose:1")
    facts = Facts(
        known=True,
        pinned=frozenset((*brought[:2], "q.io/of-somebody-else:1")),
        image_archives=dict.fromkeys(brought, "ab" * 32),
    )
    former = [r for r in images.desired(make_inputs(facts=facts)) if isinstance(r, UnpinnedImage)]
    assert former == [UnpinnedImage("docker.io/calico/node:v3.28.4", "/usr/local/bin/ctr")]


def test_images_are_for_the_store_of_the_nodes_runtime() -> None:
    for inputs in (with_docker("1.20.2"), make_inputs()):
        (image,) = (r for r in runtime.desired(inputs) if isinstance(r, Image))
        assert image.store == inputs.node.runtime.name
        assert (
            watchlist([image], config=make_config(), node=make_config().nodes[0], deep=False).store
            == image.store
        )


def test_from_1_24_on_cri_dockerd_stands_between() -> None:
    inputs = with_docker("1.24.0")
    wanted = runtime.desired(inputs)
    units = [unit.name for unit in wanted if isinstance(unit, Unit)]
    assert units == ["docker.service", "cri-docker.service"]
    assert node_services.units(inputs.node, inputs.config.cluster) == (
        *units,
        "kubelet.service",
        "kube-proxy.service",
    )
    (unit,) = (r for r in wanted if isinstance(r, File) and r.path == layout.CRI_DOCKERD_UNIT)
    assert f"unix://{layout.CRI_DOCKERD_SOCKET}".encode() in (unit.content or b"")


def texts(inputs: Inputs) -> dict[str, str]:
    """Return the text files of a node by path."""
    wanted = [r for step in NODE_STEPS for r in step.resources(inputs)]
    return {r.path: r.content.decode() for r in wanted if isinstance(r, File) and r.content}


@pytest.mark.parametrize("runtime", ["containerd", "docker"])
def test_the_folder_of_programs_is_the_configuration_s(runtime: str) -> None:
    """Every place that names it follows: binaries, units, configurations, imports, room."""
    config = make_config(paths={"programs": "/opt/bin"}, runtime={"name": runtime})
    inputs = make_inputs(config)
    wanted = [r for step in NODE_STEPS for r in step.resources(inputs)]
    folders = {str(PurePosixPath(r.path).parent) for r in wanted if isinstance(r, Binary)}
    assert folders == {"/opt/bin", "/opt/cni/bin"}
    assert {r.ctr for r in wanted if isinstance(r, Image)} == {"/opt/bin/ctr"}
    assert not [path for path, text in texts(inputs).items() if "/usr/local" in text]
    watch = watchlist(wanted, config=config, node=config.nodes[0], deep=False)
    assert "/opt/bin" in watch.writable
    assert "/opt/bin" in watch.free
    assert watch.ctr == "/opt/bin/ctr"


ELSEWHERE = {
    "programs": "/opt/bin",
    "state": "/data/fabnode",
    "cni_bin": "/data/cni/bin",
    "cni_conf": "/data/cni/net.d",
}


@pytest.mark.parametrize(
    ("version", "runtime"),
    [("1.37.2", "containerd"), ("1.20.2", "docker"), ("1.30.4", "docker")],
    ids=["containerd", "dockershim", "cri-dockerd"],
)
def test_every_folder_of_paths_is_the_configuration_s(version: str, runtime: str) -> None:
    """No text of a node, no path and no probe holds a usual folder."""
    config = make_config(
        cluster={"version": version},
        runtime={"name": runtime},
        calico={"enabled": False},
        paths=ELSEWHERE,
    )
    inputs = make_inputs(config)
    wanted = [r for step in NODE_STEPS for r in step.resources(inputs)]
    watch = watchlist(wanted, config=config, node=config.nodes[0], deep=False)
    # Where systemd's units look for programs, and others have theirs, is no setting of fabnode's.
    watch = replace(watch, local_programs=(), copy_folders=())
    assert (watch.state, watch.cni_conf) == (ELSEWHERE["state"], ELSEWHERE["cni_conf"])
    assert {*ELSEWHERE.values()} - {ELSEWHERE["cni_conf"]} <= {*watch.free}
    everything = f"{wanted} {texts(inputs)} {watch} {script(watch, 'n').decode()}"
    for usual in ("/usr/local/bin", "/var/lib/fabnode", "/opt/cni", "/etc/cni"):
        assert usual not in everything
    for folder in ELSEWHERE.values():
        assert folder in everything


@pytest.mark.parametrize("line", matrix().containerd)
def test_containerd_has_its_cni_folders_by_the_name_that_it_knows(line: str) -> None:
    """`bin_dir` became `bin_dirs` in 2.1, and newer ones pass over the old name (seen on 2.4.2)."""
    minor = next(m for m in range(8, 38) if line in compatibility.containerd_series(m))
    config = make_config(
        cluster={"version": f"1.{minor}.0"},
        runtime={"version": f"{line}.0"},
        calico={"enabled": False},
        paths=ELSEWHERE,
    )
    document = tomllib.loads(texts(make_inputs(config))[layout.CONTAINERD_CONFIG])
    plugin = "io.containerd.cri.v1.runtime" if line > "2" else "io.containerd.grpc.v1.cri"
    folder = {"bin_dirs": ["/data/cni/bin"]} if line > "2.0" else {"bin_dir": "/data/cni/bin"}
    assert document["plugins"][plugin]["cni"] == {**folder, "conf_dir": "/data/cni/net.d"}


@pytest.mark.parametrize(
    ("proxies", "first"),
    [
        ({}, "localhost"),
        ({"NO_PROXY": "example.org,10.0.0.0/8"}, "example.org,10.0.0.0/8,localhost"),
        ({"no_proxy": "*.example.org"}, "*.example.org,localhost"),
        ({"NO_PROXY": 'a" ExecStart=x,b%n,c.org'}, "c.org,localhost"),
    ],
)
def test_what_speaks_to_the_cluster_goes_without_a_proxy(
    proxies: dict[str, str], first: str
) -> None:
    units = texts(make_inputs(make_config(), Facts(known=True, proxies=proxies)))
    for unit in ("kubelet", "kube-proxy"):
        line = "Environment=HTTP_PROXY= HTTPS_PROXY= http_proxy= https_proxy="
        assert line in units[f"/etc/systemd/system/{unit}.service"].splitlines()
    cluster = "127.0.0.0/8,192.0.2.1,192.0.2.11,10.68.0.0/16,172.20.0.0/16,.svc,.cluster.local"
    line = f'Environment="NO_PROXY={first},{cluster}"'
    assert line in units["/etc/systemd/system/containerd.service"].splitlines()


def test_a_node_without_kube_proxy_has_nothing_of_it_left() -> None:
    inputs = make_inputs(make_config(kube_proxy="none"))
    found = [*proxy_cert.desired(inputs), *proxy.desired(inputs)]
    assert [type(each) for each in found] == [Absent, RemovedUnit, Absent, Absent, Retired]
    paths = [getattr(each, "path", "") for each in found]
    assert paths == [
        layout.PROXY_PEM,
        layout.PROXY_UNIT,
        layout.PROXY_KUBECONFIG,
        layout.PROXY_CONFIG,
        "/usr/local/bin/kube-proxy",
    ]
    watched = watchlist(found, config=inputs.config, node=inputs.node, deep=False)
    assert "kube-proxy.service" in watched.units
    assert set(paths) <= set(watched.opaque)
    assert layout.PROXY_PEM not in watched.certificates
    gone = Facts(known=True, units={"kube-proxy.service": UnitFact()})
    assert compare(tuple(found), gone) == ()
    modules = [each.name for each in prepare.desired(inputs) if isinstance(each, Module)]
    assert "nf_conntrack" not in modules
    assert "nf_conntrack" in {
        each.name for each in prepare.desired(make_inputs()) if isinstance(each, Module)
    }


@pytest.mark.parametrize(
    ("state", "loaded", "config", "wanted"),
    [
        ("missing", True, {}, {"maxPerCore": 0}),
        ("missing", True, {"conntrack": {"min": 1}}, {"maxPerCore": 0, "min": 1}),
        ("missing", True, {"conntrack": {"maxPerCore": 9}}, {"maxPerCore": 9}),
        ("missing", False, {}, None),  # its module is not loaded yet
        ("readonly", True, {}, None),  # the numbers there may be high enough
    ],
)
def test_in_a_container_kube_proxy_leaves_the_limits_of_tracking_alone(
    state: str, loaded: bool, config: dict[str, Any], wanted: dict[str, int] | None
) -> None:
    modules = frozenset({"nf_conntrack"} if loaded else set())
    facts = Facts(known=True, conntrack={"/sys/x": state}, modules=modules)
    inputs = make_inputs(make_config(kube_proxy={"config": config}), facts)
    (file,) = [
        r for r in proxy.desired(inputs) if isinstance(r, File) and r.path == layout.PROXY_CONFIG
    ]
    assert yaml.safe_load(file.content or b"").get("conntrack") == wanted


def test_what_a_node_loses_with_its_kube_proxy_is_planned() -> None:
    inputs = make_inputs(make_config(kube_proxy="none"))
    here = PathFact("file", 0o600)
    paths = (layout.PROXY_PEM, layout.PROXY_UNIT, layout.PROXY_CONFIG, "/usr/local/bin/kube-proxy")
    facts = Facts(
        known=True,
        paths=dict.fromkeys(paths, here),
        units={"kube-proxy.service": UnitFact("loaded", "active", "running", "enabled")},
    )
    wanted = (*proxy_cert.desired(inputs), *proxy.desired(inputs))
    why = "kube_proxy is none"
    assert [(each.action, each.name, each.why) for each in compare(wanted, facts)] == [
        ("remove", layout.PROXY_PEM, why),
        ("remove", "kube-proxy.service", why),
        ("remove", layout.PROXY_CONFIG, why),
        (
            "remove",
            "/usr/local/bin/kube-proxy",
            f"{why}; before, it takes its rules out of the kernel",
        ),
    ]


@pytest.mark.parametrize(
    ("unit", "present", "removed"),
    [
        (UnitFact("loaded", "active", "running", "enabled"), False, True),  # of a package
        (UnitFact("loaded", "inactive", "dead", "enabled"), False, True),
        (UnitFact("loaded", "activating", "auto-restart", "disabled"), False, True),
        (UnitFact("loaded", "failed", "failed", "disabled"), True, True),
        (UnitFact("loaded", "inactive", "dead", "disabled"), False, False),
        (UnitFact("masked", "inactive", "dead", "masked"), False, False),
    ],
)
def test_a_unit_goes_that_runs_would_run_or_has_a_file(
    unit: UnitFact, *, present: bool, removed: bool
) -> None:
    (wanted,) = [
        each
        for each in proxy.desired(make_inputs(make_config(kube_proxy="none")))
        if isinstance(each, RemovedUnit)
    ]
    paths = {layout.PROXY_UNIT: PathFact("file", 0o644)} if present else {}
    facts = Facts(known=True, paths=paths, units={wanted.name: unit})
    assert bool(compare((wanted,), facts)) is removed


@pytest.mark.parametrize("address", ["10.68.0.9", "169.254.20.10"])
def test_pods_ask_the_configured_dns_address_also_that_of_a_cache_on_their_node(
    address: str,
) -> None:
    text = texts(make_inputs(make_config(cluster={"dns_address": address})))
    assert yaml.safe_load(text[layout.KUBELET_CONFIG])["clusterDNS"] == [address]


STARTUP = ["node.cilium.io/agent-not-ready:NoExecute", "a=b:NoSchedule"]


def test_a_node_registers_with_its_startup_taints() -> None:
    text = texts(make_inputs(make_config(kubelet={"startup_taints": STARTUP})))
    assert yaml.safe_load(text[layout.KUBELET_CONFIG])["registerWithTaints"] == [
        {"key": "node.cilium.io/agent-not-ready", "effect": "NoExecute", "value": ""},
        {"key": "a", "effect": "NoSchedule", "value": "b"},
    ]
    assert "registerWithTaints" not in texts(make_inputs(make_config()))[layout.KUBELET_CONFIG]


@pytest.mark.parametrize("version", ["1.22.0", "1.8.0"])
def test_an_old_kubelet_gets_its_startup_taints_by_a_flag(version: str) -> None:
    config = make_config(
        cluster={"version": version},
        calico={"enabled": False},
        runtime={"name": "docker"},
        kubelet={"startup_taints": STARTUP},
    )
    text = texts(make_inputs(config))
    flag = "--register-with-taints=node.cilium.io/agent-not-ready=:NoExecute,a=b:NoSchedule"
    assert flag in text[layout.KUBELET_UNIT]
    assert "registerWithTaints" not in text.get(layout.KUBELET_CONFIG, "")


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        ("1.37.2", {"podPidsLimit", "seccompDefault", "tlsCipherSuites"}),
        ("1.24.0", {"podPidsLimit", "tlsCipherSuites"}),
        ("1.13.0", {"tlsCipherSuites"}),
    ],
)
def test_hardened_is_what_the_release_has_without_gates(version: str, fields: set[str]) -> None:
    def written(**kubelet: Any) -> dict[str, Any]:
        cluster, none = {"version": version}, {"enabled": False}
        config = make_config(cluster=cluster, calico=none, kubelet=kubelet)
        found: dict[str, Any] = yaml.safe_load(texts(make_inputs(config))[layout.KUBELET_CONFIG])
        return found

    plain, hardened = written(), written(hardened=True)
    assert hardened.keys() - plain.keys() == fields
    assert {key: hardened[key] for key in plain} == plain
    own = written(hardened=True, config={"tlsCipherSuites": ["A"]})
    assert own == hardened | {"tlsCipherSuites": ["A"]}


def test_units_and_configurations_are_root_s_alone() -> None:
    inputs = make_inputs()
    wanted = (*kubelet.desired(inputs), *proxy.desired(inputs))
    others = [r.path for r in wanted if isinstance(r, File) and r.mode & 0o077]
    assert others == [layout.CA]


HANDLERS: dict[str, Any] = {
    "nvidia": {
        "type": "io.containerd.runc.v2",
        "options": {"BinaryName": "/usr/bin/nvidia-container-runtime"},
    },
    "kata": {
        "type": "io.containerd.kata.v2",
        "path": "/opt/kata/bin/containerd-shim-kata-v2",
        "pod_annotations": ["io.katacontainers.*", 'a "quoted" one'],
        "privileged_without_host_devices": True,
        "options": {"ConfigPath": "C:\\x <y>", "Debug": False, "Most": 3, "List": ["a", "b"]},
    },
}


@pytest.mark.parametrize(
    ("kubernetes", "containerd", "plugin"),
    [
        ("1.37.2", "2.4.2", "io.containerd.cri.v1.runtime"),
        ("1.37.2", "2.2.5", "io.containerd.cri.v1.runtime"),
        ("1.30.4", "1.7.33", "io.containerd.grpc.v1.cri"),
        ("1.20.2", "1.3.10", "io.containerd.grpc.v1.cri"),
    ],
)
@pytest.mark.parametrize("default", ["runc", "nvidia"])
def test_further_runtimes_are_rendered_for_each_containerd(
    kubernetes: str, containerd: str, plugin: str, default: str
) -> None:
    config = make_config(
        cluster={"version": kubernetes},
        calico={"enabled": False},
        runtime={"version": containerd, "handlers": HANDLERS, "default_handler": default},
    )
    for facts, systemd in ((Facts(known=True), True), (Facts(known=True, cgroup=1), False)):
        text = texts(make_inputs(config, facts))[layout.CONTAINERD_CONFIG]
        found = tomllib.loads(text)["plugins"][plugin]["containerd"]
        assert found.get("default_runtime_name", "runc") == default
        made = found["runtimes"]
        assert sorted(made) == ["kata", "nvidia", "runc"]
        assert made["nvidia"] == {
            "runtime_type": "io.containerd.runc.v2",
            "options": {"SystemdCgroup": systemd, **HANDLERS["nvidia"]["options"]},
        }
        assert made["kata"] == {
            "runtime_type": "io.containerd.kata.v2",
            "runtime_path": HANDLERS["kata"]["path"],
            "pod_annotations": HANDLERS["kata"]["pod_annotations"],
            "privileged_without_host_devices": True,
            "options": HANDLERS["kata"]["options"],
        }


def test_a_cloud_provider_is_a_flag_in_every_release() -> None:
    for version in ("1.9.11", "1.20.2", "1.37.2"):
        for settings, flags in (({}, []), ({"cloud_provider": "external"}, ["external"])):
            config = make_config(
                cluster={"version": version},
                kubelet=settings,
                calico={"enabled": False},
                runtime={"name": "docker" if version == "1.9.11" else "containerd"},
            )
            unit = texts(make_inputs(config))[layout.KUBELET_UNIT]
            assert re.findall(r"--cloud-provider=(\S+)", unit) == flags


@pytest.mark.parametrize(
    ("limit", "line"),
    [(None, ""), (4096, "LimitNOFILE=4096"), ("1024:8192", "LimitNOFILE=1024:8192")],
)
def test_open_files_are_systemd_s_default_or_the_configuration_s(
    limit: int | str | None, line: str
) -> None:
    settings = {"limit_nofile": limit} if limit else {}
    unit = texts(make_inputs(make_config(runtime=settings)))[
        "/etc/systemd/system/containerd.service"
    ]
    assert [each for each in unit.splitlines() if "NOFILE" in each] == ([line] if line else [])


def test_a_sites_modules_are_loaded_now_and_at_boot() -> None:
    wanted = prepare.desired(make_inputs(make_config(host={"modules": ["nvme_tcp"]})))
    assert Module("nvme_tcp", "host.modules") in wanted
    conf = next(w for w in wanted if isinstance(w, File) and w.path == layout.MODULES_CONF)
    assert b"nvme_tcp" in (conf.content or b"").split()


def test_a_kubelet_that_sets_nothing_of_the_kernels_finds_it_set() -> None:
    """It ends where one value is another; kubespray's nodes have it so by default."""
    plain = make_inputs(make_config())
    config = make_config(
        kubelet={"config": {"protectKernelDefaults": True}},
        host={"sysctls": {"kernel.panic": 10, "vm.swappiness": 1}},
    )
    wanted, before = (
        {each.key: each.value for each in prepare.desired(inputs) if isinstance(each, Sysctl)}
        for inputs in (make_inputs(config), plain)
    )
    assert {key: value for key, value in wanted.items() if key not in before} == {
        "vm.overcommit_memory": "1",
        "vm.panic_on_oom": "0",
        "kernel.panic": "10",
        "kernel.panic_on_oops": "1",
        "kernel.keys.root_maxkeys": "1000000",
        "kernel.keys.root_maxbytes": "25000000",
        "vm.swappiness": "1",
    }
