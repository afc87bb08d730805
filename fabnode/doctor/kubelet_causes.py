"""Why a kubelet does not run, or does not reach the API: by its log and by its files."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from re import escape, fullmatch
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ..node import layout
from ..node.conventions import KUBELET_HEALTH_PORT, KUBELET_PORT, KUBELET_SERVICE
from ..pki.certificates import BadCertificateError, ProblemKind, problem, read
from ..util import program
from . import service_causes
from .cause import Approve, Cause, Deploy, Fix, UnitAct
from .host_causes import REPORTING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .evidence import Evidence, Request
    from .service_log import Service

# What kubelets end with, of the releases 1.37.2 and 1.29.15 (cmd/kubelet/app, pkg/kubelet).
_FLAG: Final = (
    r"unknown (shorthand )?flag: ?'?(?P<flag>[^'\"\\ ]+)|invalid argument .* for .*flag.*"
)
_FIELD: Final = (
    r"failed to (load|validate) kubelet config.*|(error|failed) (unmarshal|decod).*Kubelet.*"
)
_NAMED: Final = (
    r"KubeletConfiguration\.(?P<struct>[\w.\[\]]+) of type"
    r"|unknown field \\*\"(?P<unknown>[^\"\\]+)"
    r"|invalid configuration: (?P<invalid>[\w.]+)"
    r"|unrecognized feature gate: (?P<gate>\w+)"
    r"|cannot unmarshal .* field (KubeletConfiguration\.)?(?P<path>[\w.]+)"
)
_SWAP: Final = r"running with swap on is not supported.*"
_CGROUP_V1: Final = r"configured to not run on a host using cgroup v1.*"
_DRIVER: Final = (
    r"misconfiguration: kubelet cgroup driver.*|kubelet cgroup driver: .* is different from.*"
    r"|expected cgroupsPath to be of format .*"
)
_STATE: Final = (
    r"could not restore state from checkpoint: (?P<why>.*?)"
    r"(, please drain this node and delete .*? file \\*\"(?P<path>[^\"\\]+)|$)"
)
_TAKEN: Final = r"listen (tcp|udp)4?6? \S*:(?P<port>\d+): bind: address already in use"
# What calls of the API end with (net/url.Error); the kubelet's server complains of others'
# certificates without it.
_CALL: Final = r"\b(Get|Post|Put|Patch|Delete) \\*\"https://[^\"\\]+\\*\": (.*: )??(?P<quoted>"
_PROXY: Final = _CALL + r"proxyconnect tcp.*)"
_NAME: Final = (
    r"dial tcp: lookup (?P<name>[^\s:]+).*(no such host|server misbehaving|i/o timeout).*"
)
_DIAL: Final = (
    r"dial tcp \S+: (i/o timeout|connect: connection (refused|timed out)|connect: no route to host"
    r"|connect: network is unreachable)|net/http: TLS handshake timeout|context deadline exceeded"
    r" \(Client.Timeout exceeded while awaiting headers\)"
)
_UNTRUSTED: Final = (
    r"(tls: failed to verify certificate: )?x509: certificate signed by unknown authority.*"
)
_UNTIMELY: Final = _CALL + r"x509: certificate has expired or is not yet valid.*)"
_EXPIRED: Final = r"part of the existing bootstrap client certificate in .* is expired.*"
_NO_BOOTSTRAP: Final = r"unable to load bootstrap kubeconfig: stat (?P<path>[^:]+): no such file.*"
# Not what network plugins report, which come with a token of their own.
_UNAUTHORIZED: Final = (
    r"^(?!.*(plugin type=|ClusterInformation|sandbox)).*?(?P<quoted>Unauthorized\b.*"
    r"|the server has asked for the client to provide credentials.*"
    r"|You must be logged in to the server.*)"
)
_OF_ANOTHER: Final = (
    r"node \\*\"(?P<it>[^\"\\]+)\\*\" is not allowed to modify node.*"
    r"|is not allowed to modify node.*|can only access node lease with the same name.*"
)
_WEBHOOK: Final = (
    r"failed calling webhook \\*\"(?P<failed>[\w.-]+).*"
    r"|admission webhook \\*\"(?P<denies>[\w.-]+)\\*\" denied.*"
)
_FORBIDDEN: Final = r"(nodes|leases)[a-z0-9.]* (\\*\"[^\"]*\" )?is forbidden: .*"

_RECENT: Final = 600.0  # seconds for which a denied request explains the pending one after it


def kubelet(evidence: Evidence, unit: Service) -> Iterator[Cause]:
    """Yield what is wrong with a kubelet, its settings and its credentials."""
    yield from service_causes.service(evidence, unit, "kubelet")
    yield from _refuses_to_run(evidence, unit)
    yield from _silent(evidence, unit)
    yield from _credentials(evidence, unit)
    yield from _way(evidence, unit)


def _deploy(evidence: Evidence) -> Fix:
    return Fix(program.task(f"deploy-nodes --limit {evidence.wanted.name}"), (Deploy(),))


def _refuses_to_run(evidence: Evidence, unit: Service) -> Iterator[Cause]:
    """Yield what it ends with, where it does not stay up."""
    name = evidence.wanted.name
    if not unit.down and not unit.crashes:
        return
    for text, fix in evidence.host.overrides:
        yield Cause("overridden", text, "read from the unit's drop-ins", Fix(fix))
    if found := unit.last_match(_FLAG):
        flag = f": {found['flag']}" if found["flag"] else ""
        text = f"it does not know one of its flags{flag}"
        yield Cause("kubelet-flag", text, unit.quote(_FLAG), _deploy(evidence))
    if quoted := unit.quote(_FIELD):
        field = _field(unit)
        text = f"it can't use {layout.KUBELET_CONFIG}" + (f": its field {field}" if field else "")
        yield Cause("kubelet-field", text, quoted, _deploy(evidence))
    if quoted := unit.quote(_SWAP):
        yield Cause(
            "swap-on",
            "swap is on, and the kubelet is not to run with it",
            quoted,
            Fix(
                f"`swapoff -a` on {name}, and take swap out of /etc/fstab; or set"
                f" kubelet.fail_swap_on: false, then"
                f" {program.task(f'deploy-nodes --limit {name}')}"
            ),
        )
    if quoted := unit.quote(_CGROUP_V1):
        yield Cause(
            "cgroup-v1",
            "the host has cgroup v1, and this kubelet is not to run with that",
            quoted,
            _deploy(evidence),
        )
    if quoted := unit.quote(_DRIVER):
        yield Cause(
            "cgroup-driver",
            "kubelet and runtime use different cgroup drivers",
            quoted,
            _deploy(evidence),
        )
    if found := unit.last_match(_STATE):
        path = _state_file(evidence.wanted.kubelet_root, found["path"] or "")
        # That drains the node although its kubelet ends no pods: the file tells which of them has
        # which CPUs, and under them no other may take its place.
        command = shlex.quote(f"mv {path} {path}.kept && systemctl restart {KUBELET_SERVICE}")
        aside = program.task(f"maintain --limit {name} --command {command}")
        yield Cause(
            "state-file",
            f"it can't read its state file {path}: of another release or policy, or damaged",
            unit.quote(_STATE),
            Fix(f"`{aside}`, which drains it first"),
        )
    if found := unit.last_match(_TAKEN):
        yield _taken(evidence, int(found["port"]), unit.quote(_TAKEN))
    elif other := _other_listener(evidence):
        yield _taken(evidence, other, "ss -ltnp")


def _state_file(root: str, named: str) -> str:
    """Return the file that is meant: its name comes from a journal, and goes into a command."""
    known = fullmatch(rf"{escape(root)}/[a-z]+(_[a-z]+)*_state", named)
    return named if known else f"{root}/cpu_manager_state"


def _field(unit: Service) -> str:
    found = unit.last_match(_NAMED)
    return next((value for value in found.groupdict().values() if value), "") if found else ""


def _other_listener(evidence: Evidence) -> int:
    """Return a port of the kubelet's on which another program listens; 0: none."""
    mine = {KUBELET_PORT, KUBELET_HEALTH_PORT}
    others = (
        each.port
        for each in evidence.host.symptoms.listening
        if each.port in mine and each.program not in {"", "kubelet"}
    )
    return next(others, 0)


def _taken(evidence: Evidence, port: int, seen: str) -> Cause:
    programs = {each.port: each.program for each in evidence.host.symptoms.listening}
    by = programs.get(port, "")
    who = f" by {by}" if by and by != "kubelet" else " by another program"
    return Cause(
        "port-taken",
        f"its port {port} is taken{who}",
        seen,
        Fix(
            f"stop that program (`ss -ltnp 'sport = :{port}'` on {evidence.wanted.name} names it);"
            " the kubelet then comes up by itself"
        ),
    )


def _silent(evidence: Evidence, unit: Service) -> Iterator[Cause]:
    health = evidence.host.health
    if health and unit.settled and not unit.crashes:
        restart = program.host_task(evidence.wanted.name, "restart --unit kubelet")
        # A pod may answer in its place (hostPort); the API learns of the kubelet alone.
        reports = evidence.node.ready == "True" and evidence.node.heartbeat_age <= REPORTING
        yield Cause(
            "kubelet-silent",
            f"{unit.name} runs, but is unhealthy",
            f"its health endpoint: {health}" + (", while it still reports" if reports else ""),
            Fix(restart, () if reports else (UnitAct("restart", unit.name),)),
        )


def _credentials(evidence: Evidence, unit: Service) -> Iterator[Cause]:
    """Yield what is wrong with the certificate by which it comes to the API."""
    facts, wanted = evidence.host.facts, evidence.wanted
    ca = facts.path(layout.CA)
    other_ca = ca.kind == "file" and ca.content is not None and ca.content != wanted.ca_pem
    if other_ca or (ca.kind == "absent" and unit.fact.load == "loaded"):
        yield Cause(
            "ca-differs",
            f"{layout.CA} holds another CA than the configuration"
            if other_ca
            else f"{layout.CA} is not there",
            unit.since_report.quote(_UNTRUSTED) or "compared with cluster.ca",
            _deploy(evidence),
        )
    held = facts.certificate(layout.kubelet_client_certificate(wanted.kubelet_root))
    kubeconfig = facts.path(layout.KUBELET_KUBECONFIG).kind == "file"
    if not held.pem or not kubeconfig:
        yield from _not_joined(evidence, unit)
        return
    now = datetime.fromtimestamp(evidence.now, UTC)
    if fault := problem(held, wanted.ca_pem, now):
        when = fault.kind in {ProblemKind.EXPIRED, ProblemKind.NOT_YET_VALID}
        quoted = unit.quote(_EXPIRED) or unit.since_report.quote(_UNAUTHORIZED)
        yield Cause(
            "client-unusable",
            f"its client certificate is unusable: {fault}",
            quoted or ("its certificate's dates" if when else "compared with cluster.ca"),
            _join_again(evidence) if fault.kind is ProblemKind.FOREIGN_CA else _deploy(evidence),
        )
        return
    try:
        name = read(held).common_name
    except BadCertificateError:
        name = ""
    if name and name != f"system:node:{wanted.name}":
        yield Cause(
            "client-of-another",
            f"its client certificate is {name}'s, not system:node:{wanted.name}'s",
            unit.since_report.quote(_OF_ANOTHER) or "read from its certificate",
            _join_again(evidence),
        )
    elif quoted := unit.since_report.quote(_UNAUTHORIZED):
        yield Cause(
            "client-unusable",
            "the apiserver does not accept its client certificate, which is of the configured CA",
            quoted,
            Fix(
                "compare the apiserver's --client-ca-file with cluster.ca;"
                f" {program.task('rotate-certs --ca')} takes nodes to another CA"
            ),
        )


def _join_again(evidence: Evidence) -> Fix:
    """
    Return what replaces a certificate of another node or cluster.

    A deployment refuses such a host, which may be in use there (fabnode/steps/takeover.py).
    """
    name = evidence.wanted.name
    path = layout.kubelet_client_certificate(evidence.wanted.kubelet_root)
    return Fix(
        f"where the host is to be {name} of this cluster and nothing else:"
        f" `systemctl stop kubelet && rm {path}` on it, then"
        f" {program.task(f'deploy-nodes --limit {name}')}"
    )


def _not_joined(evidence: Evidence, unit: Service) -> Iterator[Cause]:
    """Yield why it has no certificate to come with."""
    name = evidence.wanted.name
    client = [each for each in evidence.node.requests if each.kind == "client"]
    by_age = sorted(client, key=lambda each: each.age)
    last = by_age[0] if by_age else None
    if last:
        # A kubelet whose request is denied makes another a moment later, which then waits.
        denied = [each for each in by_age if each.state == "Denied" and each.age < _RECENT]
        again = denied and last.state == "Pending"
        yield from _requested(name, denied[0] if again else last)
    bootstrap = evidence.host.facts.path(layout.BOOTSTRAP_KUBECONFIG).kind == "file"
    quoted = unit.since_report.quote(_UNAUTHORIZED)
    if bootstrap and quoted and not (last and last.state == "Pending"):
        yield Cause(
            "token-refused",
            f"the token in {layout.BOOTSTRAP_KUBECONFIG} is not accepted: expired, or revoked",
            quoted,
            _deploy(evidence),
        )
    if unit.fact.load != "not-found":
        seen = unit.quote(_NO_BOOTSTRAP) or unit.quote(_EXPIRED) or "looked for by its path"
        yield Cause(
            "client-lost",
            "it has no client certificate, and can't join without a token"
            if not bootstrap
            else "it has no client certificate yet",
            seen,
            _deploy(evidence),
        )


def _requested(name: str, last: Request) -> Iterator[Cause]:
    if last.state in {"Denied", "Failed"}:
        yield Cause(
            "request-denied",
            f"its signing request {last.name} was {last.state.lower()}",
            f"{last.name}, {last.age:.0f} s old",
            Fix(program.task(f"deploy-nodes --limit {name}"), (Deploy(),)),
        )
    elif last.state == "Approved" and not last.issued:
        yield Cause(
            "request-unsigned",
            f"its signing request {last.name} is approved, but nobody signs it",
            f"approved, {last.age:.0f} s old, without a certificate",
            Fix(
                "see that kube-controller-manager runs, with --cluster-signing-cert-file and"
                " --cluster-signing-key-file"
            ),
        )
    elif last.state == "Pending":
        yield Cause(
            "request-waits",
            f"its signing request {last.name} waits for an approval",
            f"pending for {last.age:.0f} s",
            Fix(program.task(f"deploy-nodes --limit {name}"), (Deploy(),)),
        )


def _way(evidence: Evidence, unit: Service) -> Iterator[Cause]:
    """Yield what is wrong with its way to the API."""
    host, wanted = evidence.host, evidence.wanted
    server = host.facts.servers.get(layout.KUBELET_KUBECONFIG, "")
    if server and server.rstrip("/") != (wanted.server or wanted.apiserver).rstrip("/"):
        yield Cause(
            "server-differs",
            f"its kubeconfig names another apiserver, {server}",
            f"configured is {wanted.server or wanted.apiserver}",
            _deploy(evidence),
        )
    if quoted := unit.since_report.quote(_PROXY):
        yield Cause(
            "proxy-set",
            "it goes to the apiserver through a proxy",
            quoted,
            Fix(
                f"`systemctl cat kubelet` on {wanted.name} shows which drop-in sets HTTPS_PROXY;"
                " take it out, then `systemctl daemon-reload && systemctl restart kubelet`"
            ),
        )
    what = urlsplit(wanted.apiserver).hostname or wanted.apiserver
    named = unit.since_report.last_match(_NAME)
    unresolved = named is not None and named["name"].lower() == what
    if host.symptoms.resolves is False or unresolved:
        yield Cause(
            "name-unresolved",
            f"it can't resolve the apiserver's name, {what}",
            unit.since_report.quote(_NAME) if unresolved else "asked the host's own resolver",
            Fix(f"`getent hosts {what}` on {wanted.name}; fix /etc/resolv.conf or /etc/hosts"),
        )
    dial = unit.since_report.quote(_DIAL) if unit.settled else ""
    if host.api_reached is False or (host.api_fault and host.api_reached is None and dial):
        yield Cause(
            "api-unreached",
            f"the host does not get to {wanted.apiserver}",
            "; ".join(filter(None, (host.api_fault, dial))),
            Fix(
                f"on {wanted.name}: a firewall, a route, or the apiserver's balancer;"
                f" `curl -k {wanted.apiserver.partition(',')[0]}/version` there has to answer"
            ),
        )
    elif host.api_fault and host.api_reached:
        yield Cause(
            "api-unproved",
            f"what answers at {wanted.apiserver} is not the configured cluster's apiserver",
            host.api_fault,
            Fix(
                "compare its certificate with cluster.ca; where the cluster's CA was changed:"
                f" {program.task('rotate-certs --ca')}"
            ),
        )
    elif unit.since_report.last_match(_UNTIMELY):
        yield Cause(
            "clock-wrong",
            "to this host the apiserver's certificate is not valid now: its clock is wrong",
            unit.since_report.quote(_UNTIMELY),
            Fix("compare `date -u` there with another host's, and have its clock kept"),
        )
    if found := unit.since_report.last_match(_WEBHOOK):
        webhook = found["failed"] or found["denies"]
        yield Cause(
            "webhook-refuses",
            f"the admission webhook {webhook} keeps it from writing its Node or Lease",
            unit.since_report.quote(_WEBHOOK),
            Fix(
                f"see to what serves {webhook}, or exclude nodes and leases from it:"
                " `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations`"
            ),
        )
    elif (
        quoted := unit.since_report.quote(_OF_ANOTHER)
        or (unit.settled and unit.since_report.quote(_FORBIDDEN))
        or ""
    ):
        yield Cause(
            "api-refuses",
            "the apiserver refuses what it writes",
            quoted,
            Fix(
                "compare its certificate's name with the configuration's, and the bindings of"
                " system:node (`kubectl auth can-i --as`)"
            ),
        )


def serving(evidence: Evidence, unit: Service) -> Iterator[Cause]:
    """Yield why the apiserver does not get to the kubelet."""
    name = evidence.wanted.name
    wanted = [each for each in evidence.node.requests if each.kind == "serving"]
    last = min(wanted, key=lambda each: each.age, default=None)
    if last and last.state == "Pending":
        yield Cause(
            "serving-waits",
            f"its request for a serving certificate, {last.name}, waits for an approval",
            f"pending for {last.age:.0f} s; `kubectl logs` and `exec` fail there",
            Fix(program.task(f"approve-csr --serving-only --limit {name}"), (Approve(),)),
        )
    # One that has just been started does not listen yet.
    if evidence.node.reaches_kubelet is False and (evidence.host.access or unit.settled):
        yield Cause(
            "kubelet-unreached",
            f"the apiserver does not get to its kubelet on port {KUBELET_PORT}",
            "asked by the apiserver's node proxy; `kubectl logs` and `exec` fail there",
            Fix(
                f"let the control plane pass to {KUBELET_PORT}/tcp of {name}: its firewall, and"
                " those between"
            ),
        )
