"""Files that decide whom programs obey: who could have written them, and whose CAs they hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.audit.anchors import Anchors
from fabnode.audit.finding import Setting
from fabnode.node.examination import Anchor, Program, Provenance

from ..support import authority, pem
from .support import (
    CA,
    KUBELET_YAML,
    PROXY_YAML,
    anchor,
    issued,
    judged,
    secret,
    sound,
    text,
    with_files,
    with_texts,
)

if TYPE_CHECKING:
    from fabnode.audit.finding import Finding
    from fabnode.node.examination import Evidence

CLUSTER = pem(authority()[0]).decode()
OTHER = issued("mallory's own", ca=True, own=True)[0]
WRITABLE = Anchor(Provenance.OTHERS_MAY_WRITE)
KUBECONFIG = "/etc/kubernetes/kubelet.kubeconfig"
AJAR = "authentication:\n  x509:\n    clientCAFile: {ca}\nauthorization:\n  mode: AlwaysAllow\n"


def having(anchors: dict[str, Anchor], *flags: str, **changes: Any) -> Evidence:
    """Return a sound host with these anchors, whose kubelet has these flags besides."""
    it = sound(**changes)
    words = (*it.programs["kubelet"].args, *flags)
    programs = {**it.programs, "kubelet": Program(words)}
    return replace(it, programs=programs, anchors={**it.anchors, **anchors})


def named(evidence: Evidence) -> dict[tuple[str, str], Finding]:
    return {finding.key: finding for finding in judged(evidence)}


@pytest.mark.parametrize(
    "change",
    [
        {"controlled": False},
        {"uid": 1000},
        {"mode": 0o664},
        {"blocks": 2},
        {"certificates": (pem(authority()[0]).decode(), issued("x", ca=True)[0]), "blocks": 2},
        {"certificates": (issued("x", ca=True)[0],)},
    ],
)
def test_a_ca_file_is_roots_alone_and_holds_nothing_else(change: dict[str, Any]) -> None:
    it = sound()
    assert Anchors(it, pem(authority()[0])).ca_file() == CA
    other = replace(it, files={CA: replace(it.files[CA], **change)})
    assert Anchors(other, pem(authority()[0])).ca_file() == ""


@pytest.mark.parametrize("by", ["file", "flag"])
@pytest.mark.parametrize(
    ("seen", "check", "severity", "reason"),
    [
        (WRITABLE, "foreign-client-ca", "high", "others than root may write"),
        (anchor(OTHER), "foreign-client-ca", "high", "none of its CAs is the cluster's"),
        (anchor(CLUSTER, blocks=2), "unseen", "medium", "PEM blocks besides certificates"),
        (anchor(), "unseen", "medium", "names no CA"),
        (None, "unseen", "medium", "no such file"),
    ],
)
def test_what_rests_on_an_unsound_client_ca_is_not_hardened(
    by: str, seen: Anchor | None, check: str, severity: str, reason: str
) -> None:
    """Webhook and no anonymous people help nobody where others say who everybody is."""
    path = "/opt/kube/ca.pem"
    anchors = {path: seen} if seen else {}
    flags = (f"--client-ca-file={path}",) if by == "flag" else ()
    it = having(anchors, "--anonymous-auth", *flags)
    used = CA if by == "flag" else path  # a flag has the last word
    it = replace(it, texts={**it.texts, KUBELET_YAML: text(AJAR.format(ca=used))})
    found = {str(f.check): f for f in judged(it) if f.subject in {path, "kubelet"}}
    assert set(found) == {check, "anonymous-kubelet", "always-allow"}
    assert (found[check].severity, found[check].repairs) == (severity, ())
    assert reason in found[check].text
    for repairable in ("anonymous-kubelet", "always-allow"):
        assert found[repairable].repairs == ()
        assert path in found[repairable].by_hand
        assert reason in found[repairable].by_hand


def test_a_client_ca_file_during_an_exchange_of_cas_is_low_and_hinders_no_repair() -> None:
    """Root alone wrote it: two CAs are what an exchange of CAs needs."""
    it = having({CA: anchor(CLUSTER, OTHER)}, "--anonymous-auth")
    found = {f.check: f for f in judged(it)}
    assert set(found) == {"foreign-client-ca", "anonymous-kubelet"}
    assert found["foreign-client-ca"].severity == "low"
    assert "mallory's own" in found["foreign-client-ca"].text
    assert any(isinstance(repair, Setting) for repair in found["anonymous-kubelet"].repairs)


def test_one_of_two_configured_cas_is_sound() -> None:
    both = (CLUSTER + OTHER).encode()
    anchors = Anchors(having({"/new": anchor(OTHER), "/both": anchor(CLUSTER, OTHER)}), both)
    assert {anchors.authority(path).reason for path in (CA, "/new", "/both")} == {""}


NAMES = ("certificate-authority", "insecure-skip-tls-verify", "server")


@pytest.mark.parametrize(
    ("seen", "severity", "reason"),
    [
        (anchor(CLUSTER), "", ""),
        (anchor(names={"certificate-authority": (CA,)}), "", ""),
        (None, "", ""),  # it has not joined
        (WRITABLE, "high", "others than root may write"),
        (anchor(OTHER), "high", "none of its CAs"),
        (anchor(CLUSTER, OTHER), "low", "besides the cluster's CA"),
        (anchor(CLUSTER, names={"certificate-authority": ("/w",)}), "high", "/w: others than root"),
        (anchor(names={"certificate-authority": ("/o",)}), "high", "/o: none of its CAs"),
        (anchor(CLUSTER, names={"insecure-skip-tls-verify": ("true",)}), "high", "insecure-skip"),
        (anchor(CLUSTER, names={"server": ("http",)}), "high", "without TLS"),
        (anchor(), "medium", "names no CA"),
        (anchor(names={"certificate-authority": ("/gone",)}), "medium", "/gone: no such file"),
    ],
)
@pytest.mark.parametrize("program", ["kubelet", "kube-proxy"])
def test_a_kubeconfig_decides_which_apiserver_is_obeyed(
    program: str, seen: Anchor | None, severity: str, reason: str
) -> None:
    anchors = {"/w": WRITABLE, "/o": anchor(OTHER), **({KUBECONFIG: seen} if seen else {})}
    if program == "kubelet":
        it = having(anchors, f"--kubeconfig={KUBECONFIG}")
    else:
        proxy = text(f"clientConnection:\n  kubeconfig: {KUBECONFIG}\n")
        it = having(anchors, texts={**sound().texts, PROXY_YAML: proxy})
    found = judged(it)
    assert [(f.subject, f.severity, f.repairs) for f in found] == (
        [(KUBECONFIG, severity, ())] if severity else []
    )
    assert all(reason in f.text and program in f.text for f in found)


@pytest.mark.parametrize("key", ["client-certificate", "client-key", "tokenFile", "command"])
def test_what_a_kubeconfig_shows_or_runs_is_roots_alone(key: str) -> None:
    kubeconfig = anchor(CLUSTER, names={key: ("/k", "/fine")})
    it = having(
        {KUBECONFIG: kubeconfig, "/k": WRITABLE, "/fine": anchor()}, f"--kubeconfig={KUBECONFIG}"
    )
    assert [(*f.key, f.severity) for f in judged(it)] == [("others-may-write", "/k", "high")]


@pytest.mark.parametrize(
    ("flag", "yaml"),
    [
        ("--tls-cert-file=/x", "tlsCertFile: /x"),
        ("--tls-private-key-file=/x", "tlsPrivateKeyFile: /x"),
        ("--pod-manifest-path=/x", "staticPodPath: /x"),
        ("--volume-plugin-dir=/x", "volumePluginDir: /x"),
    ],
)
def test_other_files_that_a_kubelet_goes_by_are_roots_alone(flag: str, yaml: str) -> None:
    by_file = with_texts({KUBELET_YAML: text(f"kind: KubeletConfiguration\n{yaml}\n")})
    for it in (having({}, flag), by_file):
        assert named(it) == {}
        assert named(replace(it, anchors={**it.anchors, "/x": anchor()})) == {}
        found = named(replace(it, anchors={**it.anchors, "/x": WRITABLE}))
        assert set(found) == {("others-may-write", "/x")}


@pytest.mark.parametrize(
    "flag",
    ["--config-dir", "--image-credential-provider-bin-dir", "--image-credential-provider-config"],
)
def test_nor_may_others_write_what_flags_alone_name(flag: str) -> None:
    it, wrong = having({}, f"{flag}=/x"), ("others-may-write", "/x")
    assert wrong not in named(replace(it, anchors={**it.anchors, "/x": anchor()}))
    assert wrong in named(replace(it, anchors={**it.anchors, "/x": WRITABLE}))


@pytest.mark.parametrize("key", ["tlsCertFile", "tlsPrivateKeyFile", "staticPodPath"])
def test_a_kubelets_configuration_names_files_relative_to_its_own_folder(key: str) -> None:
    beside = f"{KUBELET_YAML.rpartition('/')[0]}/pki/x"
    it = with_texts({KUBELET_YAML: text(f"{key}: pki/x\n")})
    it = replace(it, anchors={**it.anchors, beside: WRITABLE, "/pki/x": anchor()})
    programs = {**it.programs, "kubelet": replace(it.programs["kubelet"], cwd="/")}
    assert set(named(replace(it, programs=programs))) == {("others-may-write", beside)}


def test_a_relative_client_ca_file_is_judged_where_it_is() -> None:
    yaml = text("authentication:\n  x509:\n    clientCAFile: ./ca.pem\nreadOnlyPort: 0\n")
    beside = f"{KUBELET_YAML.rpartition('/')[0]}/ca.pem"
    it = with_texts({KUBELET_YAML: yaml}, anchors={beside: anchor(CLUSTER)})
    assert named(it) == {}
    found = named(replace(it, anchors={beside: anchor(OTHER)}))
    assert set(found) == {("foreign-client-ca", beside)}


@pytest.mark.parametrize("program", ["kubelet", "kube-proxy"])
def test_flags_and_kube_proxys_configuration_go_by_the_working_directory(program: str) -> None:
    anchors = {"/opt/kube/kubeconfig": anchor(OTHER)}
    if program == "kubelet":
        it = having(anchors, "--kubeconfig=kubeconfig")
    else:
        proxy = text("clientConnection:\n  kubeconfig: kubeconfig\n")
        it = having(anchors, texts={**sound().texts, PROXY_YAML: proxy})
    programs = {**it.programs, program: replace(it.programs[program], cwd="/opt/kube")}
    found = named(replace(it, programs=programs))
    assert set(found) == {("foreign-apiserver", "/opt/kube/kubeconfig")}


def test_a_key_that_settings_name_by_a_relative_path_is_in_use() -> None:
    admin, key = issued("admin", "system:masters")
    file = secret("/etc/kubernetes/k.pem", certificates=(admin,), keys=(key,))
    it = with_files(file)
    assert named(it)["admin-credentials", file.path].repairs
    it = replace(it, anchors={**it.anchors, file.path: anchor()})
    found = named(it)["admin-credentials", file.path]
    assert found.repairs == ()
    assert "in use: a program's settings" in found.by_hand


@pytest.mark.parametrize("by", ["flags", "file"])
@pytest.mark.parametrize(
    ("settings", "anchors", "check"),
    [
        ({"tlsverify": True, "tlscacert": "/ca"}, {"/ca": anchor(OTHER)}, None),
        ({"tlsverify": True, "tlscacert": "/ca"}, {"/ca": WRITABLE}, "others-may-write"),
        ({"tlsverify": True, "tlscacert": "ca"}, {"/ca": WRITABLE}, "others-may-write"),
        ({"tlsverify": True}, {"/root/.docker/ca.pem": WRITABLE}, "others-may-write"),
        ({"tlsverify": True}, {"/root/.docker/key.pem": WRITABLE}, "others-may-write"),
        ({"tlsverify": True, "tlskey": "/k"}, {"/k": WRITABLE}, "others-may-write"),
        ({"tlsverify": False, "tlscacert": "/ca"}, {"/ca": anchor(OTHER)}, "docker-tcp"),
        ({"tls": True}, {}, "docker-tcp"),
    ],
)
def test_whom_docker_obeys_over_the_network(
    by: str, settings: dict[str, Any], anchors: dict[str, Anchor], check: str | None
) -> None:
    words = ["/usr/bin/dockerd"]
    texts = {}
    if by == "flags":
        words += ["-H", "tcp://0.0.0.0:2376"]
        words += [f"--{name}={str(value).lower()}" for name, value in settings.items()]
        words = [word.replace("=true", "") for word in words]
    else:
        whole = {"hosts": ["tcp://0.0.0.0:2376"], **settings}
        texts = {"/etc/docker/daemon.json": text(json.dumps(whole, indent="\t"))}
    docker = Program(tuple(words), cwd="/")
    it = having(anchors, programs={**sound().programs, "dockerd": docker})
    it = replace(it, texts={**it.texts, **texts})
    assert [f.check for f in judged(it)] == ([check] if check else [])


def test_what_fabnode_manages_a_deployment_puts_right() -> None:
    it = having({CA: WRITABLE}, managed=frozenset({"kubelet.service"}))
    (found,) = judged(it)
    assert "inv deploy-nodes" in found.by_hand
