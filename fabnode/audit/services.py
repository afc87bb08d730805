"""Findings about kubelet, kube-proxy, docker and their units."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..node import advice
from ..node.conventions import DOCKER_SOCKET, KUBELET_READ_ONLY_PORT
from ..node.examination import Provenance
from . import answerer, obeyed
from .anchors import OTHERS_WRITE
from .finding import Finding, Line, Repair, RestartUnit, Setting
from .settings import Effective, Settings, not_settable, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..node.examination import Asked, Evidence
    from .anchors import Anchors
    from .finding import Severity

KUBELET, PROXY, DOCKER = answerer.KUBELET, "kube-proxy", "dockerd"

ANONYMOUS = ("anonymous-auth", ("authentication", "anonymous", "enabled"))
WEBHOOK = ("authentication-token-webhook", ("authentication", "webhook", "enabled"))
AUTHORIZATION = ("authorization-mode", ("authorization", "mode"))
CLIENT_CA = ("client-ca-file", ("authentication", "x509", "clientCAFile"))
# Other files and folders that the kubelet uses → what a writer gains.
GONE_BY: dict[tuple[str] | tuple[str, tuple[str, ...]], str] = {
    answerer.TLS_CERTIFICATE: "with it one answers as this kubelet",
    ("tls-private-key-file", ("tlsPrivateKeyFile",)): "with it one answers as this kubelet",
    ("pod-manifest-path", ("staticPodPath",)): "who puts a pod there is root on this host",
    ("config-dir",): "its files are settings of the kubelet's",
    ("volume-plugin-dir", ("volumePluginDir",)): "the kubelet runs what is there as root",
    ("image-credential-provider-bin-dir",): "the kubelet runs what is there as root",
    ("image-credential-provider-config",): "it says what the kubelet runs as root",
}
PROXY_KUBECONFIG = ("kubeconfig", ("clientConnection", "kubeconfig"))
READ_ONLY = ("read-only-port", ("readOnlyPort",))
SWAP = ("fail-swap-on", ("failSwapOn",))
MASQUERADE = ("masquerade-all", ("iptables", "masqueradeAll"))
MODE = ("proxy-mode", ("mode",))

# Flag, and key of daemon.json → where docker looks if neither is given (moby
# `cmd/dockerd/options.go`).
DOCKER_TLS = {
    "tlscacert": "/root/.docker/ca.pem",
    "tlscert": "/root/.docker/cert.pem",
    "tlskey": "/root/.docker/key.pem",
}

_OK, _UNAUTHORIZED, _FORBIDDEN = 200, 401, 403
_SETTLED = 15.0  # seconds after which kube-proxy has written its rules
_LOOPING = 5  # restarts of a unit that has not been up for two minutes
_YOUNG = 120.0
_LONGEST = 2000  # letters of a line that people write

_RUNS_AT_START = re.compile(r"^\s*Exec(StartPre|StartPost|Start)\s*=")
# Of what follows the first `iptables` in a line: to search after each would take quadratic time.
_FLUSHES = re.compile(r"\s(-F|--flush|-X|--delete-chain)(\s|;|&|'|\"|$)")
_ADDS = re.compile(r"\s(-A|-I|--append|--insert)\s")
_CHECKS = re.compile(r"\s(-C|--check)\s")
_IPTABLES = re.compile(r"iptables\b")
_MOST_SHOWN = 5  # values of a list
_MOST_LINES = 100  # that are rewritten in one file
# An addition that can be made to check first: a plain command of harmless words. Of a line without
# blanks at its end; what is possessive here (`++`) keeps a long row of blanks from being tried
# again from each of them.
_PLAIN_ADD = re.compile(
    r"(?P<key>\s*+ExecStartP(?:re|ost)\s*+=)(?P<command>(?:/[\w./-]*/)?iptables)"
    r"(?P<before>(?:\s++-w(?:\s++\d++)?|\s++-t\s++\w++)*)\s++-A\s++(?P<rule>[\w./:,= -]++)",
    re.ASCII,
)


def findings(evidence: Evidence, asked: Asked, anchors: Anchors) -> Iterator[Finding]:
    """Return what is wrong with the programs and their units."""
    yield from _kubelet(evidence, asked, anchors)
    yield from _proxy(evidence, anchors)
    yield from _docker(evidence, anchors)
    yield from _units(evidence)
    yield from _unguarded(evidence)
    yield from _unit_files(evidence)


# --- the kubelet ---------------------------------------------------------------------------------


def _kubelet(evidence: Evidence, asked: Asked, anchors: Anchors) -> Iterator[Finding]:
    settings = Settings(evidence, KUBELET)
    if not settings.known:
        return
    ca = settings.get(*CLIENT_CA, default="")
    ca_path = settings.file(*CLIENT_CA)
    verdict = anchors.authority(ca_path) if ca_path else None
    # Whom a kubelet lets in, its clientCAFile decides: what is stricter after that helps nobody.
    unsound = not_settable(evidence, settings) or obeyed.refusal(ca_path, verdict)
    ca_file = anchors.ca_file()
    # Flags alone and a file have different defaults, for old clusters' sake.
    legacy = not settings.has_file
    anonymous = settings.get(*ANONYMOUS, default=legacy)
    mode = settings.get(*AUTHORIZATION, default="AlwaysAllow" if legacy else "Webhook")
    read_only = settings.get(*READ_ONLY, default=KUBELET_READ_ONLY_PORT if legacy else 0)
    yield from _anonymous(settings, asked, anonymous, ca_file, unsound)
    if mode.value == "AlwaysAllow":
        yield Finding(
            "always-allow",
            "critical" if anonymous.on else "high",
            "kubelet",
            "the kubelet allows every authenticated client everything, exec into pods as well",
            mode.shown,
            "authorization.mode: Webhook; the apiserver's kubelet client needs"
            " system:kubelet-api-admin",
            () if unsound else _guarded(settings, ca_file, ("Webhook", *AUTHORIZATION)),
            unsound,
        )
    if verdict:
        yield from obeyed.client_ca(evidence, settings, ca_path, ca.shown, verdict)
    for name in ("kubeconfig", "bootstrap-kubeconfig"):
        yield from obeyed.kubeconfig(evidence, settings, settings.file(name), anchors)
    for setting, gain in GONE_BY.items():
        yield from obeyed.writable(evidence, settings, anchors, [settings.file(*setting)], gain)
    yield from _read_only(evidence, settings, asked, read_only)
    yield from answerer.findings(asked)
    yield from _swap(evidence, settings)
    if not settings.readable:
        yield _unreadable(settings)


def _anonymous(
    settings: Settings, asked: Asked, found: Effective, ca_file: str, unsound: str
) -> Iterator[Finding]:
    answered = asked.pods in {_OK, _FORBIDDEN}
    if not found.on and not answered:
        return
    answer = {
        None: "who it answers could not be checked",
        0: "no answer on port 10250",
        _OK: "asked without credentials, :10250/pods answers 200 and lists all pods",
        _FORBIDDEN: "asked without credentials, :10250/pods treats it as system:anonymous (403)",
        _UNAUTHORIZED: "asked without credentials, :10250/pods refuses (401)",
    }.get(asked.pods, f"asked without credentials, :10250/pods answers {asked.pods}")
    repairs: tuple[Repair, ...] = ()
    if not unsound:
        # Where the settings are right, it was started before they were.
        repairs = (
            _guarded(settings, ca_file, (False, *ANONYMOUS))
            if found.on
            else (RestartUnit("kubelet.service"),)
        )
    yield Finding(
        "anonymous-kubelet",
        "critical" if asked.pods == _OK else "high",
        "kubelet",
        "the kubelet answers requests without credentials",
        f"{found.shown}; {answer}",
        "authentication.anonymous.enabled: false, and a clientCAFile",
        repairs,
        unsound,
    )


def _read_only(
    evidence: Evidence, settings: Settings, asked: Asked, found: Effective
) -> Iterator[Finding]:
    answers = asked.read_only == _OK
    configured = found.source != "unknown" and str(found.value) not in {"0", "None"}
    if not answers and not configured:
        return
    reason = not_settable(evidence, settings)
    answer = {None: "could not be asked", _OK: "answers 200"}.get(
        asked.read_only, "does not answer"
    )
    repair: tuple[Repair, ...] = (
        (Setting(KUBELET, *READ_ONLY, 0),) if configured else (RestartUnit("kubelet.service"),)
    )
    yield Finding(
        "read-only-port",
        "medium",
        "kubelet",
        "the kubelet shows anyone its pods, environments included, on a port without TLS",
        f"{found.shown}; :10255/pods {answer}",
        "readOnlyPort: 0",
        () if reason else repair,
        reason,
    )


def _swap(evidence: Evidence, settings: Settings) -> Iterator[Finding]:
    found = settings.get(*SWAP, default=True)
    if not evidence.swaps or found.source == "unknown" or found.on:
        return
    yield Finding(
        "hidden-swap",
        "medium",
        "kubelet",
        "the host swaps, and the kubelet is configured to ignore it: memory limits mean little",
        f"{found.shown}; swap on {', '.join(evidence.swaps[:3])}",
        "swapoff when memory allows, remove it from /etc/fstab, then failSwapOn: true",
        by_hand="to swap everything in at once may end pods",
    )


def _guarded(
    settings: Settings, ca_file: str, wanted: tuple[Any, str, tuple[str, ...]]
) -> tuple[Repair, ...]:
    """Return a stricter setting, and with it what lets the apiserver in by its certificate."""
    value, flag, keys = wanted
    repairs: list[Repair] = [Setting(KUBELET, flag, keys, value)]
    if not settings.get(*CLIENT_CA, default="").value:
        repairs.insert(0, Setting(KUBELET, *CLIENT_CA, ca_file))
    if not settings.get(*WEBHOOK, default=settings.has_file).on:
        repairs.append(Setting(KUBELET, *WEBHOOK, True))
    return tuple(repairs)


def _unreadable(settings: Settings) -> Finding:
    if settings.hidden_by_others:
        return Finding(
            "unseen",
            "medium",
            settings.path,
            f"{settings.program}'s configuration was not judged: others than root may write it, and"
            " with it decide who may do what on this node",
            "owner, mode, and those of the folders above",
            advice.replaced(settings.path),
            by_hand="only a person can judge what others wrote",
            provenance=Provenance.OTHERS_MAY_WRITE,
        )
    return Finding(
        "unseen",
        # It decides who may exec into every pod, which apiserver is obeyed, who is root by docker.
        "medium",
        settings.path,
        f"{settings.program}'s configuration was not judged: it may hold secrets, has drop-ins"
        " (--config-dir), or is no YAML",
        "left on the host",
        "examine it there",
    )


# --- kube-proxy, docker --------------------------------------------------------------------------


def _proxy(evidence: Evidence, anchors: Anchors) -> Iterator[Finding]:
    settings = Settings(evidence, PROXY)
    if not settings.known:
        return
    yield from obeyed.kubeconfig(evidence, settings, settings.file(*PROXY_KUBECONFIG), anchors)
    reason = not_settable(evidence, settings)
    masquerade = settings.get(*MASQUERADE, default=False)
    if masquerade.on:
        yield Finding(
            "masquerade-all",
            "medium",
            "kube-proxy",
            "every packet to a Service gets the node's address: NetworkPolicy sees no real source",
            masquerade.shown,
            "iptables.masqueradeAll: false, and clusterCIDR",
            () if reason else (Setting(PROXY, *MASQUERADE, False),),
            reason,
        )
    if not settings.readable:
        yield _unreadable(settings)
    mode = settings.get(*MODE, default="iptables")
    unit = evidence.units.get("kube-proxy.service")
    up = evidence.programs[PROXY].running and (
        unit is not None and unit.active == "active" and evidence.uptime - unit.since > _SETTLED
    )
    # It may have been set to nothing, which means the same.
    iptables = mode.source != "unknown" and (mode.value or "iptables") in {"iptables", "ipvs"}
    if up and iptables and "nat" in evidence.rules and evidence.proxied is False:
        yield Finding(
            "flushed-rules",
            "high",
            "iptables nat",
            "kube-proxy runs, and its rules are gone: Services don't work on this node",
            "no chain KUBE-SERVICES in the nat table, or nothing jumps to it",
            "systemctl restart kube-proxy; find out who flushes",
            (RestartUnit("kube-proxy.service"),),
        )


def _docker(evidence: Evidence, anchors: Anchors) -> Iterator[Finding]:
    settings = Settings(evidence, DOCKER)
    if not settings.known:
        return
    # Of docker a deployment writes its daemon.json alone, not the flags and socket of its unit.
    restarts = "a restart of docker may restart pods"
    by_hand = not_settable(evidence, settings) or restarts
    if settings.hidden_by_others:
        yield Finding(
            "others-may-write",
            "high",
            settings.path,
            f"docker uses it, and {OTHERS_WRITE}: its next start does as root what they wish",
            "owner, mode, and those of the folders and links on its way",
            advice.replaced(settings.path),
            by_hand=not_settable(evidence, settings, settings.path)
            or "only a person can judge what others wrote",
            provenance=Provenance.OTHERS_MAY_WRITE,
        )
    elif not settings.readable:
        yield _unreadable(settings)
    insecure = [r for r in _docker_list(settings, "insecure-registries", "insecure-registry") if r]
    if insecure:
        yield Finding(
            "insecure-registry",
            "info",
            "dockerd",
            "images come from these registries without proof of who sends them",
            ", ".join(insecure[:_MOST_SHOWN]),
            "give the registry a certificate, and its CA to docker: /etc/docker/certs.d",
            by_hand=restarts if values(settings.args, "insecure-registry") else by_hand,
        )
    hosts = _docker_list(settings, "hosts", "host", "H")
    of_unit = values(settings.args, "host", "H")
    if any(host.startswith("fd://") for host in hosts):
        of_unit += _socket_addresses(evidence)
        hosts += _socket_addresses(evidence)
    open_on = [host for host in hosts if _beyond_host(host)]
    if not open_on:
        return
    # To say false is to ask for TLS that lets everybody in.
    verify = settings.get("tlsverify", ("tlsverify",), default=False)
    if verify.on:
        named = [settings.file(name, (name,), default=path) for name, path in DOCKER_TLS.items()]
        what = "who has a certificate by it is root on this host"
        yield from obeyed.writable(evidence, settings, anchors, named, what)
        return
    yield Finding(
        "docker-tcp",
        "critical",
        "dockerd",
        "docker accepts commands from anyone over the network: that is root on this host",
        f"{' '.join(open_on[:_MOST_SHOWN])}; {verify.shown}",
        "remove that address from its unit, socket or daemon.json; it needs a restart of docker",
        by_hand=restarts if any(map(_beyond_host, of_unit)) else by_hand,
    )


def _docker_list(settings: Settings, key: str, *flags: str) -> list[str]:
    """Return a list that docker is given by flags or in daemon.json; by both, it does not start."""
    given = (settings.document or {}).get(key)
    listed = [value for value in given if isinstance(value, str)] if isinstance(given, list) else []
    return [*values(settings.args, *flags), *listed]


def _socket_addresses(evidence: Evidence) -> list[str]:
    """Return the addresses of TCP on which systemd listens for docker (systemd.socket(5))."""
    unit = evidence.units.get(DOCKER_SOCKET)
    found: list[str] = []
    for path in unit.files if unit else ():
        text = evidence.texts.get(path)
        content = text.content if text and text.content else b""
        for line in content.decode("utf-8", "replace").split("\n"):
            key, equals, value = line.strip().partition("=")
            if not equals or key.strip() != "ListenStream":
                continue
            address = value.strip()
            if not address:
                found.clear()
            elif address.isdecimal():
                found.append(f"tcp://0.0.0.0:{address}")
            elif address[0] not in "/@":
                found.append(f"tcp://{address}")
    return found


def _beyond_host(address: str) -> bool:
    """
    Return whether docker listens to more than this host there.

    An address without a scheme is one of TCP, one without a host is localhost (moby
    `opts/hosts.go`).
    """
    scheme, separator, rest = address.strip().partition("://")
    if not separator:
        scheme, rest = "tcp", scheme
    place = rest.partition("/")[0]
    host = (place[1:].partition("]") if place.startswith("[") else place.partition(":"))[0]
    own = host in {"", "localhost", "::1"} or host.startswith("127.")
    return scheme == "tcp" and not own


# --- units ---------------------------------------------------------------------------------------


def _units(evidence: Evidence) -> Iterator[Finding]:
    for name, unit in evidence.units.items():
        waiting = unit.sub == "auto-restart" and unit.restarts >= 2
        young = unit.active in {"active", "activating"} and evidence.uptime - unit.since < _YOUNG
        if waiting or (young and unit.restarts >= _LOOPING):
            yield Finding(
                "restart-loop",
                "high",
                name,
                "it crashes repeatedly",
                f"systemd restarted it {unit.restarts} times; it is {unit.active} ({unit.sub})",
                f"journalctl -u {name} -n 50",
                by_hand="its journal has the reason",
            )


def _unguarded(evidence: Evidence) -> Iterator[Finding]:
    """Report programs that root runs, and what decides which, where others may change them."""
    for unit, paths in evidence.unguarded.items():
        text = (
            f"{unit} runs it as root, and {OTHERS_WRITE}: at its next start it does what they wish"
        )
        for path in paths:
            yield _others(unit, path, "critical", text)
    for unit, paths in evidence.swayed.items():
        text = f"it decides what {unit} runs as root, and {OTHERS_WRITE}"
        for path in paths:
            yield _others(unit, path, "high", text)


def _others(unit: str, path: str, severity: Severity, text: str) -> Finding:
    return Finding(
        "others-may-write",
        severity,
        path,
        text,
        "owner, mode, and those of the folders and links on its way",
        advice.regained(path),
        by_hand=f"only a person can judge what others wrote; until then {unit} is not"
        " restarted from here",
        provenance=Provenance.OTHERS_MAY_WRITE,
    )


def _unit_files(evidence: Evidence) -> Iterator[Finding]:
    """Judge what units do to the packet filter when they start."""
    for path, text in evidence.texts.items():
        if text.content is None or "/systemd/" not in path:
            continue
        lines = [
            line
            for line in text.content.decode("utf-8", "replace").split("\n")
            if len(line) < _LONGEST and _RUNS_AT_START.match(line)
        ]
        flushing = [line for line in lines if _FLUSHES.search(_arguments(line))]
        if flushing:
            yield Finding(
                "flush-at-start",
                "high",
                path,
                "its start flushes iptables: Services and NetworkPolicy are gone until they are"
                " written again, rules of other programs for good",
                flushing[0].strip(),
                "remove that line",
                by_hand="only its author knows its purpose",
            )
        known = set(flushing)
        adding = [
            line
            for line in lines
            if _ADDS.search(_arguments(line)) and not _CHECKS.search(line) and line not in known
        ]
        if adding:
            plain = {line: _PLAIN_ADD.fullmatch(line.rstrip()) for line in adding}
            reason = ""
            if len(plain) > _MOST_LINES:
                reason = f"more than {_MOST_LINES} lines would change"
            elif not all(plain.values()):
                reason = "one of the commands is not a plain `iptables -A …`"
            elif not text.controlled:
                reason = "it is a symlink, or others than root can change it"
            yield Finding(
                "rules-at-start",
                "low",
                path,
                "each start adds its iptables rules again",
                f"{len(adding)} lines, the first: {adding[0].strip()}",
                "check first: iptables -C … || iptables -A …",
                ()
                if reason
                else tuple(Line(path, line, _looking_first(m)) for line, m in plain.items() if m),
                reason,
            )


def _arguments(line: str) -> str:
    """Return what follows the first `iptables` in a line."""
    found = _IPTABLES.search(line)
    return line[found.end() :] if found else ""


def _looking_first(found: re.Match[str]) -> str:
    """Return the line with a check before the addition."""
    before = found["before"].strip()
    command = f"{found['command']} -w" + (f" {before}" if before and before != "-w" else "")
    command = re.sub(r"-w -w", "-w", command)
    rule = " ".join(found["rule"].split())
    return f"{found['key']}/bin/sh -c '{command} -C {rule} 2>/dev/null || {command} -A {rule}'"
