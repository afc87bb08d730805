"""What kubelet, kube-proxy, docker and units are found to do wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fabnode.audit.finding import Finding, Line, RestartUnit
from fabnode.node.examination import Asked, Evidence, Program, Provenance, UnitSeen

from .support import (
    KUBELET_UNIT,
    KUBELET_YAML,
    PROXY_YAML,
    anchor,
    judged,
    only,
    sound,
    text,
    unit_file,
    with_texts,
)


def kubelet(*flags: str, yaml: str | None = None) -> Evidence:
    """Return a host whose kubelet has these flags, and this configuration or none."""
    words = (
        "/usr/bin/kubelet",
        *flags,
        *([f"--config={KUBELET_YAML}"] if yaml is not None else []),
    )
    it = with_texts({KUBELET_UNIT: unit_file(" ".join(words))})
    texts = {**it.texts, KUBELET_YAML: text(yaml or "")}
    return replace(it, programs={**it.programs, "kubelet": Program(words)}, texts=texts)


def checks(evidence: Evidence, asked: Asked | None = None) -> dict[str, Finding]:
    return {finding.check: finding for finding in judged(evidence, asked)}


def test_with_flags_alone_a_kubelet_is_open_by_default() -> None:
    found = checks(kubelet("--v=2"))
    assert set(found) == {"anonymous-kubelet", "always-allow", "read-only-port"}
    assert "default" in found["anonymous-kubelet"].seen


def test_with_a_file_it_is_not() -> None:
    assert checks(kubelet(yaml="kind: KubeletConfiguration\n")) == {}


@pytest.mark.parametrize(
    ("flags", "yaml", "check"),
    [
        (("--anonymous-auth=true",), "a: 1", "anonymous-kubelet"),
        (("--anonymous-auth",), "a: 1", "anonymous-kubelet"),
        (("--anonymous_auth=T",), "a: 1", "anonymous-kubelet"),
        (("--authorization-mode", "AlwaysAllow"), "a: 1", "always-allow"),
        (("--read-only-port", "10255"), "a: 1", "read-only-port"),
        ((), "authentication: {anonymous: {enabled: true}}", "anonymous-kubelet"),
        ((), "authorization: {mode: AlwaysAllow}", "always-allow"),
        ((), "readOnlyPort: 10255", "read-only-port"),
    ],
)
def test_settings_by_flag_and_by_file(flags: tuple[str, ...], yaml: str, check: str) -> None:
    assert set(checks(kubelet(*flags, yaml=yaml))) == {check}


def test_a_flag_has_the_last_word() -> None:
    it = kubelet("--anonymous-auth=false", yaml="authentication: {anonymous: {enabled: true}}")
    assert checks(it) == {}


def test_what_the_kubelet_answers_counts_more_than_its_settings() -> None:
    found = checks(sound(), Asked(pods=200, read_only=200))
    assert found["anonymous-kubelet"].severity == "critical"
    assert found["anonymous-kubelet"].repairs == (RestartUnit("kubelet.service"),)
    assert found["read-only-port"].repairs == (RestartUnit("kubelet.service"),)
    assert set(checks(sound(), Asked(pods=403, read_only=0))) == {"anonymous-kubelet"}


def test_a_kubelet_that_could_not_be_asked_is_reported() -> None:
    found = only(judged(sound(), Asked()))
    assert (found.check, found.severity) == ("unseen", "info")
    assert "forwarding" in found.text


def test_another_program_on_its_ports_is_reported_and_its_answers_count_for_nothing() -> None:
    found = judged(sound(), Asked(None, None, (10250, 10255)))
    assert [(f.check, f.severity, f.subject, f.repairs) for f in found] == [
        ("foreign-listener", "medium", "port 10250", ()),
        ("foreign-listener", "medium", "port 10255", ()),
    ]


def test_settings_are_judged_whoever_listens() -> None:
    found = checks(kubelet(yaml="readOnlyPort: 10255"), Asked(401, None, (10255,)))
    assert set(found) == {"read-only-port", "foreign-listener"}
    assert "could not be asked" in found["read-only-port"].seen


def test_a_configuration_that_stayed_on_the_host_is_reported() -> None:
    it = with_texts({KUBELET_YAML: replace(text("x"), content=None)})
    found = only(judged(it))
    assert (found.check, found.subject) == ("unseen", KUBELET_YAML)


@pytest.mark.parametrize("yaml", ["[", "- 1", "a: !!python/object:os.x {}", "\x00"])
def test_a_configuration_that_is_no_yaml_is_reported(yaml: str) -> None:
    assert set(checks(with_texts({KUBELET_YAML: text(yaml)}))) == {"unseen"}


def test_what_fabnode_manages_is_deploys_business() -> None:
    it = kubelet(yaml="readOnlyPort: 10255")
    found = only(judged(replace(it, managed=frozenset({"kubelet.service"}))))
    assert found.repairs == ()
    assert "inv deploy-nodes" in found.by_hand


def test_hidden_swap() -> None:
    it = kubelet("--fail-swap-on=false", yaml="a: 1")
    assert checks(it) == {}
    found = only(judged(replace(it, swaps=("/dev/sda2",))))
    assert (found.check, found.by_hand != "") == ("hidden-swap", True)
    assert checks(replace(kubelet(yaml="a: 1"), swaps=("/dev/sda2",))) == {}


def test_masquerade_all() -> None:
    it = with_texts({PROXY_YAML: text("iptables:\n  masqueradeAll: true\n")})
    assert only(judged(it)).check == "masquerade-all"
    words = ("/usr/bin/kube-proxy", "--masquerade-all", "--v=2")
    it = sound(programs={**sound().programs, "kube-proxy": Program(words)})
    assert only(judged(it)).check == "masquerade-all"


def test_flushed_rules() -> None:
    found = only(judged(sound(proxied=False)))
    assert (found.check, found.severity) == ("flushed-rules", "high")
    assert found.repairs == (RestartUnit("kube-proxy.service"),)


def test_a_filter_that_could_not_be_read_accuses_nobody() -> None:
    """As where a user holds the lock of the iptables that kube-proxy uses."""
    assert judged(sound(proxied=None)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"uptime": 110.0},  # it has only just begun
        {"rules": {}},  # the table could not be read
        {"programs": {"kubelet": sound().programs["kubelet"]}},  # there is no kube-proxy
    ],
)
def test_rules_that_need_not_be_there(changes: dict[str, Any]) -> None:
    assert [f for f in judged(sound(proxied=False, **changes)) if f.severity != "info"] == []


def test_nftables_has_rules_of_its_own() -> None:
    assert judged(with_texts({PROXY_YAML: text("mode: nftables\n")}, proxied=False)) == []


DAEMON_JSON = "/etc/docker/daemon.json"


def docker(*flags: str, json: str | None = None, **how: Any) -> Evidence:
    """Return a host whose docker has these flags, and this daemon.json or none."""
    words = ("/usr/bin/dockerd", *flags)
    programs = {**sound().programs, "dockerd": Program(words, cwd="/")}
    texts = {} if json is None else {how.pop("path", DAEMON_JSON): text(json, **how)}
    return with_texts(texts, programs=programs)


OPEN = "tcp://0.0.0.0:2375"


@pytest.mark.parametrize(
    ("flags", "json", "check"),
    [
        (("-H", "unix:///x", "-H", OPEN), None, "docker-tcp"),
        ((f"--host={OPEN}",), None, "docker-tcp"),
        ((f"-H={OPEN}",), None, "docker-tcp"),
        ((f"-H{OPEN}",), None, "docker-tcp"),
        (("-H", "0.0.0.0:2375"), None, "docker-tcp"),
        (("-H", "10.0.0.5"), None, "docker-tcp"),
        (("-H", "tcp://[::]:2375"), None, "docker-tcp"),
        (("-H", "tcp://127.0.0.1:2375"), None, None),
        (("-H", "tcp://[::1]:2375"), None, None),
        (("-H", "tcp://localhost:2375"), None, None),
        (("-H", "tcp://:2375"), None, None),
        (("-H", "fd://", "--containerd=/run/tcp://0.0.0.0:1"), None, None),
        (("-H", OPEN, "--tlsverify"), None, None),
        (("-H", OPEN, "--tlsverify=false"), None, "docker-tcp"),
        ((), f'{{"hosts": ["unix:///x", "{OPEN}"]}}', "docker-tcp"),
        ((), f'{{\n\t"hosts": ["{OPEN}"],\n\t"tls": true}}', "docker-tcp"),
        ((), f'{{"hosts": ["{OPEN}"], "tlsverify": true}}', None),
        ((), f'{{"hosts": ["{OPEN}"], "tlsverify": false}}', "docker-tcp"),
        (("--tlsverify",), f'{{"hosts": ["{OPEN}"]}}', None),
        (("-H", OPEN), '{"tlsverify": true}', None),
        (("-H", OPEN), '{"tlsverify": "yes"}', "docker-tcp"),
        ((), '{"hosts": ["fd://"], "live-restore": true}', None),
        ((), f'{{"hosts": "{OPEN}"}}', None),  # docker refuses to start with that
        ((), '{"insecure-registries": ["10.0.0.9:5000"]}', "insecure-registry"),
        (("--insecure-registry", "10.0.0.9:5000"), "{}", "insecure-registry"),
        ((), '{"insecure-registries": []}', None),
        ((), "{", "unseen"),
        ((), "[]", "unseen"),
        ((), "[" * 60000, "unseen"),
        (("-H", OPEN), "{", "docker-tcp"),
    ],
)
def test_docker_by_its_flags_and_its_daemon_json(
    flags: tuple[str, ...], json: str | None, check: str | None
) -> None:
    found = checks(docker(*flags, json=json))
    assert set(found) - {"unseen"} == ({check} if check else set()) - {"unseen"}
    assert ("unseen" in found) == (json in {"{", "[]", "[" * 60000})
    assert all(not f.repairs for f in found.values())
    if check == "insecure-registry":
        assert found[check].severity == "info"
        assert "10.0.0.9:5000" in found[check].seen


@pytest.mark.parametrize(
    ("lines", "flags", "is_open"),
    [
        (("ListenStream=/run/docker.sock",), (), False),
        (("ListenStream=/run/docker.sock", "ListenStream = 2375"), (), True),
        (("ListenStream=0.0.0.0:2375",), (), True),
        (("ListenStream=[::]:2375",), (), True),
        (("ListenStream=127.0.0.1:2375", "ListenStream=@docker"), (), False),
        (("ListenStream=2375", "ListenStream=", "ListenStream=/x"), (), False),
        (("#ListenStream=2375",), (), False),
        (("ListenStream=2375",), ("--tlsverify",), False),
    ],
)
def test_docker_is_open_where_systemd_listens_for_it(
    lines: tuple[str, ...], flags: tuple[str, ...], is_open: bool
) -> None:
    it = docker("-H", "fd://", *flags)
    path = "/lib/systemd/system/docker.socket"
    socket = UnitSeen("active", "running", 0, 1.0, (path,))
    texts = {**it.texts, path: text("\n".join(["[Socket]", *lines, ""]))}
    it = replace(it, units={**it.units, "docker.socket": socket}, texts=texts)
    assert set(checks(it)) == ({"docker-tcp"} if is_open else set())
    words = ("/usr/bin/dockerd", "-H", "unix:///x", *flags)
    without = replace(it, programs={**it.programs, "dockerd": Program(words)})
    assert checks(without) == {}, "docker does not take the socket"


@pytest.mark.parametrize("flags", [(), ("--config-file", "/opt/d.json"), ("--config-file=d.json",)])
def test_who_may_write_dockers_configuration(flags: tuple[str, ...]) -> None:
    path = {"--config-file": "/opt/d.json", "--config-file=d.json": "/d.json"}.get(
        flags[0] if flags else "", DAEMON_JSON
    )
    it = docker(*flags, json="{}", path=path, controlled=False)
    assert checks(it) == {}
    it = replace(it, texts={**it.texts, path: replace(it.texts[path], content=None)})
    found = only(judged(it))
    assert (found.check, found.severity, found.subject) == ("others-may-write", "high", path)


def test_a_daemon_json_that_fabnode_writes_is_changed_by_a_deployment() -> None:
    it = docker(json=f'{{"hosts": ["{OPEN}"]}}')
    found = only(judged(replace(it, managed=frozenset({"docker.service"}))))
    assert "inv deploy-nodes" in found.by_hand


def test_what_dockers_unit_says_no_deployment_changes() -> None:
    it = docker("-H", OPEN, "--insecure-registry=10.0.0.9:5000", json="{}")
    found = checks(replace(it, managed=frozenset({"docker.service"})))
    for check in ("docker-tcp", "insecure-registry"):
        assert found[check].by_hand == "a restart of docker may restart pods"


@pytest.mark.parametrize(
    ("path", "flag", "deployed"),
    [
        ("/etc/kubernetes/kubelet.kubeconfig", "kubeconfig", True),
        ("/var/lib/kubelet/pki/kubelet-client-current.pem", "tls-private-key-file", True),
        ("/opt/plugins", "volume-plugin-dir", False),
        ("/etc/own.key", "tls-private-key-file", False),
    ],
)
def test_of_what_others_may_write_a_deployment_corrects_what_is_its_own(
    path: str, flag: str, deployed: bool
) -> None:
    it = kubelet(f"--{flag}={path}", yaml="a: 1")
    it = replace(
        it,
        managed=frozenset({"kubelet.service"}),
        anchors={path: anchor(provenance=Provenance.OTHERS_MAY_WRITE)},
    )
    found = only(judged(it))
    assert found.subject == path
    assert ("inv deploy-nodes" in found.by_hand) is deployed


@pytest.mark.parametrize(
    ("cwd", "config", "read"),
    [
        ("/opt/kube", "kubelet.yaml", "/opt/kube/kubelet.yaml"),
        ("/opt/kube", "./etc//kubelet.yaml", "/opt/kube/etc/kubelet.yaml"),
        ("/", "kubelet.yaml", "/kubelet.yaml"),
        ("/opt/kube", "/etc/./kubelet.yaml", "/etc/kubelet.yaml"),
        ("/opt/kube", "//etc/kubelet.yaml", "/etc/kubelet.yaml"),
    ],
)
def test_a_relative_configuration_is_relative_to_the_working_directory(
    cwd: str, config: str, read: str
) -> None:
    words = ("/usr/bin/kubelet", f"--config={config}")
    it = with_texts({read: text("readOnlyPort: 10255\n")})
    it = replace(it, programs={**it.programs, "kubelet": Program(words, cwd=cwd)})
    assert set(checks(it)) == {"read-only-port"}
    unknown = replace(it, programs={**it.programs, "kubelet": Program(words)})
    assert set(checks(unknown)) == ({"read-only-port"} if config.startswith("/") else {"unseen"})


@pytest.mark.parametrize(
    ("unit", "looping"),
    [
        (UnitSeen("activating", "auto-restart", 12, 0.0), True),
        (UnitSeen("active", "running", 30, 990.0), True),
        (UnitSeen("active", "running", 30, 100.0), False),
        (UnitSeen("active", "running", 1, 990.0), False),
        (UnitSeen("failed", "failed", 0, 0.0), False),
    ],
)
def test_restart_loops(unit: UnitSeen, looping: bool) -> None:
    units = {**sound().units, "docker.service": unit}
    found = judged(sound(units=units))
    assert [f.check for f in found] == (["restart-loop"] if looping else [])


CHAPTER = (
    "ExecStartPost=/sbin/iptables -A INPUT -s 10.0.0.0/8 -p tcp --dport 4194 -j ACCEPT",
    "ExecStartPost=/sbin/iptables -A INPUT -p tcp --dport 4194 -j DROP",
)


def test_rules_that_each_start_adds() -> None:
    it = with_texts({"/etc/systemd/system/x.service": unit_file("/bin/x", *CHAPTER)})
    found = only(judged(it))
    assert found.check == "rules-at-start"
    lines = [repair for repair in found.repairs if isinstance(repair, Line)]
    assert len(lines) == len(found.repairs)
    assert [line.old for line in lines] == list(CHAPTER)
    assert lines[1].new == (
        "ExecStartPost=/bin/sh -c '/sbin/iptables -w -C INPUT -p tcp --dport 4194 -j DROP"
        " 2>/dev/null || /sbin/iptables -w -A INPUT -p tcp --dport 4194 -j DROP'"
    )
    mended = unit_file("/bin/x", *(line.new for line in lines))
    assert judged(with_texts({"/etc/systemd/system/x.service": mended})) == []


@pytest.mark.parametrize(
    "line",
    [
        "ExecStartPost=/bin/sh -c 'iptables -A INPUT -j ACCEPT; reboot'",
        'ExecStartPost=/sbin/iptables -A INPUT -m comment --comment "a b" -j ACCEPT',
        "ExecStartPost=/sbin/iptables -I FORWARD -s 0.0.0.0/0 -j ACCEPT",
        "ExecStartPost=/sbin/iptables -A INPUT -j $X",
        "ExecStartPost=-/sbin/iptables -A INPUT -j ACCEPT",
    ],
)
def test_lines_that_are_not_plain_are_left(line: str) -> None:
    found = only(judged(with_texts({"/lib/systemd/system/x.service": unit_file("/bin/x", line)})))
    assert (found.check, found.repairs) == ("rules-at-start", ())


@pytest.mark.parametrize(
    "line",
    [
        "ExecStartPre=/sbin/iptables -F",
        "ExecStartPost=/bin/sh -c 'iptables -F && iptables -X && iptables -t nat -F'",
        "ExecStartPre=-/usr/sbin/iptables -t nat --flush",
    ],
)
def test_units_that_flush(line: str) -> None:
    found = only(judged(with_texts({"/etc/systemd/system/docker.service": unit_file("/x", line)})))
    assert (found.check, found.severity, found.repairs) == ("flush-at-start", "high", ())


def test_comments_and_other_lines_are_no_commands() -> None:
    lines = (
        "#ExecStartPost=/sbin/iptables -F",
        "ExecStopPost=/sbin/iptables -F",
        "ExecStartPost=/sbin/iptables -N X",
    )
    assert judged(with_texts({KUBELET_UNIT: unit_file("/bin/x", *lines)})) == []


def test_a_host_without_a_kubelet_is_reported() -> None:
    assert [f.check for f in judged(sound(programs={}), Asked(pods=0, read_only=0))] == [
        "unseen"
    ] * 2


@pytest.mark.parametrize("path", [KUBELET_YAML, PROXY_YAML, DAEMON_JSON])
def test_a_configuration_that_stays_on_the_host_makes_no_quiet_audit(path: str) -> None:
    """It decides who may exec into every pod, whom kube-proxy obeys, who is root by docker."""
    it = docker() if path == DAEMON_JSON else sound()
    texts = {**it.texts, path: replace(text(""), content=None, sha256="")}
    found = judged(replace(it, texts=texts))
    assert [(f.check, f.severity, f.subject) for f in found] == [("unseen", "medium", path)]
