"""
What reads the words of a host, a kubelet or a requester takes any bytes without surprise.

Hypothesis makes the bytes, and mutations of good answers, which get further in.
"""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from hypothesis import given as _given
from hypothesis import settings
from hypothesis import strategies as st

from fabnode.audit.credentials import public_der
from fabnode.audit.judge import judge as judge_host
from fabnode.journal.redact import Redactor
from fabnode.kube import client, csr
from fabnode.kube import watch as kube_watch
from fabnode.kube.node_status import not_ready
from fabnode.node.examination import Asked, Evidence, SecretFile
from fabnode.node.plan import Change, Plan
from fabnode.node.resources import Directory
from fabnode.pki.certificates import (
    BadCertificateError,
    ProblemKind,
    belongs,
    openssh_public_bytes,
    problems,
    read,
)
from fabnode.pki.csr_policy import CLIENT, SERVING, Candidate, Token, judge
from fabnode.pki.inventory import row
from fabnode.remote import key_pairs
from fabnode.remote.apply_protocol import Exchange
from fabnode.remote.limits import MalformedError
from fabnode.remote.probe_output import parse as parse_facts
from fabnode.remote.unit_monitor import UnitMonitor
from fabnode.ssh import port_checks
from fabnode.ssh.errors import HostMisbehavedError
from fabnode.ssh.exec import Result
from fabnode.steps.checks.probe_answers import probe_results
from fabnode.util.errors import HostError
from fabnode.util.wait import Wait
from tests import attacks, forgery
from tests.support import authority, pem

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.attack


def given(
    *what: st.SearchStrategy[Any], **named: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Try what hypothesis makes; how long one try takes says nothing on a busy machine."""
    unhurried = settings(deadline=None)
    return lambda test: unhurried(_given(*what, **named)(test))


NOW = datetime(2026, 11, 25, tzinfo=UTC)
PLAN = Plan("n1", tuple(Change(Directory(f"/etc/{i}"), "create", "why") for i in range(3)))
GOOD = pem(authority()[0])
PAIRS = b"path 600 /a\npem x\nkey y\n"


def mutated(good: bytes) -> st.SearchStrategy[bytes]:
    """Return what a few bytes taken out, changed or put in make of something good."""
    edit = st.tuples(st.integers(0, len(good)), st.integers(0, 9), st.binary(max_size=9))

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = good
        for at, gone, new in edits:
            data = data[:at] + new + data[at + gone :]
        return data

    return st.lists(edit, min_size=1, max_size=4).map(apply)


def armoured(der: bytes) -> bytes:
    body = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"


def der_of(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.splitlines()[1:-1]))


# --- hosts ----------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "start",
        "done",
        "fail",
        "key",
        "log",
        "busy",
        "end",
        "beat",
        "started",
        "1764500000",
        "0",
        "1",
        "2",
        "3",
        "-1",
        "9" * 5000,
    ]
)
LINES = st.lists(st.lists(WORDS | st.text(max_size=4), max_size=4).map("\t".join), max_size=12)


@given(LINES, st.integers(-1, 3), st.binary(max_size=200))
def test_what_a_host_says_while_it_works(lines: list[str], code: int, printed: bytes) -> None:
    """Each action begins and ends once, in its turn; anything else is reported in a sentence."""
    attacks.tried()
    events: list[Any] = []
    exchange = Exchange("n1", PLAN, events.append)
    with suppress(HostMisbehavedError):
        for line in lines:
            exchange.line(line.encode("utf-8", "surrogatepass"))
    failure = exchange.failure(Result(code, b"", printed))
    assert failure is None or len(failure.message) <= 601
    assert len([event for event in events if event.state != "key"]) <= 2 * (len(PLAN.changes) + 1)


def test_a_host_can_not_flood_the_journal_with_one_action() -> None:
    exchange = Exchange("n1", PLAN, lambda _: None)
    exchange.line(b"start\t0")
    for again in (b"start\t0", b"start\t1", b"done\t1\t3", b"fail\t2", b"done\t0\t" + b"9" * 10):
        with pytest.raises(HostMisbehavedError, match="instead of running the script"):
            exchange.line(again)


def test_a_host_says_of_few_units_when_they_started() -> None:
    exchange = Exchange("n1", PLAN, lambda _: None)
    with pytest.raises(HostMisbehavedError):
        exchange.line(b"started\tkubelet.service\t1764500000")  # in no action
    exchange.line(b"start\t0")
    for bad in (b"a b\t1764500000", b"a\t-5", b"a\t" + b"9" * 11, b"a" * 101 + b"\t1764500000"):
        with pytest.raises(HostMisbehavedError):
            exchange.line(b"started\t" + bad)
    for number in range(20):
        exchange.line(b"started\t%d\t1764500000" % number)
    with pytest.raises(HostMisbehavedError):
        exchange.line(b"started\t20\t1764500000")


@given(st.binary(max_size=300) | mutated(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nok"))
def test_what_answers_on_a_hosts_port(answer: bytes) -> None:
    attacks.tried()
    found = port_checks._parsed(answer)
    assert 0 <= found.status <= 999


def test_a_status_of_ten_thousand_digits() -> None:
    """Python refuses to make a number of it, with an error that nobody expected."""
    assert port_checks._parsed(b"HTTP/1.0 " + b"2" * 10_000 + b" OK\r\n\r\n").status == 0


@given(st.text(max_size=200) | mutated(PAIRS).map(lambda data: data.decode("latin")))
def test_pairs_on_a_host(output: str) -> None:
    attacks.tried()
    try:
        found = key_pairs.parse(output, ["/a"])
    except (ValueError, KeyError):
        return
    assert set(found) <= {"/a"}


@given(st.binary(max_size=200) | mutated(b"ActiveState=active\nSubState=running\nNRestarts=7\n"))
def test_what_systemd_is_assumed_to_print(shown: bytes) -> None:
    attacks.tried()
    host: Any = SimpleNamespace(name="n1", root=lambda _: Result(0, shown, b""))
    monitor = UnitMonitor(host, "kubelet.service")
    for _ in range(2):
        with suppress(HostError):
            monitor()


FACTS = (
    b"clock\t1700000000\nos\tdebian\t12\nkernel\t6.1\nhostname\tn1\ncgroup\t2\n"
    b"path\t81a4\t0\t0\t3\t/a\ntext\t3\t/a\n"
    b'listener\tLISTEN 0 4096 *:10250 *:* users:(("a",pid=1\n'
    b"address\t2: stor0@if3    inet 172.20.5.1/24 brd 172.20.5.255 scope global stor0\n"
    b"route\teth1\t000814AC\t010200C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    b"no_resolv\t/run/x\nproxy\tHTTPS_PROXY\thttp://me:pw@192.0.2.1:3128\nlacks\ttar\n"
    b"controllers\tcpu memory\nreadonly\t/usr\nnft_rule\ttable inet fw {\n"
    b"unit\tkubelet.service\tNRestarts=0\nspace\t1 4096 7 9 xfs\t/etc\nend\tn\n"
)


@given(mutated(FACTS))
def test_facts_of_a_host_hold_nothing_that_steers_a_terminal(output: bytes) -> None:
    attacks.tried()
    try:
        facts = parse_facts(output, nonce="n", sent=0, received=0)
    except MalformedError:
        return
    for reported in (facts.os_id, facts.os_version, facts.kernel, facts.hostname, *facts.space):
        assert reported.isprintable()
    assert all(listener.process.isprintable() for listener in facts.listeners)
    shown = [*facts.proxies.values(), *facts.readonly, *facts.lacking, *facts.controllers]
    shown += [facts.resolv_link, *(each.interface for each in facts.networks)]
    assert all(text.replace("\t", " ").isprintable() for text in shown)


def test_escape_codes_in_facts() -> None:
    evil = FACTS.replace(b"debian", b"\x1b]0;owned\x07\x9b31mdeb\xe2\x80\xaeian")
    facts = parse_facts(evil, nonce="n", sent=0, received=0)
    assert facts.os_id.isprintable()


# --- certificates ---------------------------------------------------------------------------------


@given(st.binary(max_size=200) | mutated(GOOD) | mutated(der_of(GOOD)).map(armoured))
def test_certificates_that_a_host_shows(data: bytes) -> None:
    attacks.tried()
    try:
        read(data)
    except BadCertificateError:
        assert [p.kind for p in problems(data, GOOD, NOW)] == [ProblemKind.UNREADABLE]
        assert not belongs(data, forgery.request("system:node:n1"))
    found = row("n1", "x", "/x", data.decode("latin"), ca_pem=GOOD, now=NOW, public_key="rubbish")
    assert found.faults


# Keys as a host may tell them: of every kind that the library makes, in forms that it may not read,
# and with bytes changed. It raises what it likes for them, and nothing of that gets out.


def _ssh(*parts: bytes) -> str:
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"{parts[0].decode()} {base64.b64encode(blob).decode()}"


def _made() -> dict[str, Any]:
    return {
        "rsa": rsa.generate_private_key(65537, 1024),
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p521": ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "ed448": ed448.Ed448PrivateKey.generate(),
        "x25519": x25519.X25519PrivateKey.generate(),
    }


PRIVATE = _made()
PUBLIC = {name: key.public_key() for name, key in PRIVATE.items()}
SPKI = {
    name: key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for name, key in PUBLIC.items()
}
_POINT = PUBLIC["p256"].public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
)
ODD_KEYS = (
    _ssh(b"ecdsa-sha2-nistp256", b"nistp256", _POINT),  # NotImplementedError in cryptography
    _ssh(b"ecdsa-sha2-nistp256", b"nistp384", _POINT),
    _ssh(b"ecdsa-sha2-nistp256", b"nistp256", b""),
    _ssh(b"ssh-rsa", b"\x81", b"\x81"),  # negative numbers
    _ssh(b"ssh-rsa", b"", b""),
    _ssh(b"ssh-dss", b"\1", b"\1", b"\1", b"\1"),
    _ssh(b"ssh-ed25519", b"\0"),
    _ssh(b"ssh-unheard-of", b"\0"),
    _ssh(b"ssh-ed25519-cert-v01@openssh.com", b"\0" * 32),
    "ssh-ed25519",
    "ssh-ed25519 \ud800",
)
SECURITY_KEY = _ssh(b"sk-ssh-ed25519@openssh.com", b"\0" * 32, b"ssh:")  # of a token, and a key


@given(
    st.sampled_from([*ODD_KEYS, SECURITY_KEY])
    | st.sampled_from(sorted(SPKI))
    .flatmap(lambda name: mutated(SPKI[name]))
    .map(lambda der: "spki " + base64.b64encode(der).decode())
    | st.sampled_from(sorted(set(PUBLIC) - {"ed448", "x25519"}))
    .map(
        lambda name: PUBLIC[name].public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
    )
    .flatmap(lambda line: mutated(base64.b64decode(line.split()[1])).map(lambda b: (line, b)))
    .map(
        lambda reported: (
            f"{reported[0].split()[0].decode()} {base64.b64encode(reported[1]).decode()}"
        )
    )
)
def test_keys_that_a_host_reports(key: str) -> None:
    attacks.tried()
    assert isinstance(openssh_public_bytes(key), bytes)
    found = public_der(key)
    assert found is None or found


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_are_none(key: str) -> None:
    attacks.tried()
    assert openssh_public_bytes(key) == b""
    assert public_der(key) is None


SHA256, UNHEARD_OF = "1.2.840.10045.4.3.2", "1.3.6.1.4.1.99999.1"


def _certificate(spki: bytes, serial: bytes, *extensions: bytes, algorithm: str = SHA256) -> bytes:
    """Return a certificate, PEM, by hand; its signature is nobody's."""
    name = forgery.subject("system:node:n1")
    signed_with = forgery.der(0x30, forgery.oid(algorithm))
    times = forgery.der(
        0x30, forgery.der(0x17, b"261101000000Z"), forgery.der(0x17, b"271101000000Z")
    )
    body = forgery.der(
        0x30,
        forgery.der(0xA0, forgery.der(2, b"\2")),
        forgery.der(2, serial),
        signed_with,
        name,
        times,
        name,
        spki,
        *([forgery.der(0xA3, forgery.der(0x30, *extensions))] if extensions else []),
    )
    return armoured(forgery.der(0x30, body, signed_with, forgery.der(3, b"\0\1")))


def _extension(kind: str, value: bytes) -> bytes:
    return forgery.der(0x30, forgery.oid(kind), forgery.der(4, value))


CONSTRAINTS = _extension("2.5.29.19", forgery.der(0x30, forgery.der(1, b"\xff")))


@given(
    spki=st.sampled_from(sorted(SPKI)).flatmap(
        lambda name: st.just(SPKI[name]) | mutated(SPKI[name])
    )
    | st.just(SPKI["p256"].replace(b"\x03\x42\0\x04", b"\x03\x42\0\x02"))
    | st.just(forgery.der(0x30, forgery.der(0x30, forgery.oid(UNHEARD_OF)), forgery.der(3, b"\0"))),
    serial=st.sampled_from([b"\1", b"\xff", b"\0", b"\x80" + b"\0" * 30, b""]),
    extensions=st.lists(
        st.sampled_from(
            [
                CONSTRAINTS,
                CONSTRAINTS,
                _extension("2.5.29.19", b"\xff"),
                _extension("2.5.29.17", forgery.der(0x30, forgery.der(0x82, b"\xff"))),
                _extension(UNHEARD_OF, b""),
            ]
        ),
        max_size=3,
    ),
    algorithm=st.sampled_from([SHA256, UNHEARD_OF]),
)
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_certificates_made_by_hand(
    spki: bytes, serial: bytes, extensions: list[bytes], algorithm: str
) -> None:
    """Whatever the library raises for one, it is readable or it is not; it is never good."""
    attacks.tried()
    data = _certificate(spki, serial, *extensions, algorithm=algorithm)
    with suppress(BadCertificateError):
        read(data)
    assert problems(data, GOOD, NOW)
    found = SecretFile("/k", 0o600, 0, True, True, certificates=(data.decode(),), keys=("",))
    judge_host(Evidence(files={"/k": found}), Asked(401, 0), node="n1", ca_pem=GOOD, now=NOW)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_extensions_that_come_twice_are_no_surprise() -> None:
    data = _certificate(SPKI["p256"], b"\1", CONSTRAINTS, CONSTRAINTS)
    assert not read(data).authority
    assert read(_certificate(SPKI["p256"], b"\1", CONSTRAINTS)).authority


# --- kubelets and requesters, by way of the API ---------------------------------------------------


@given(st.text(max_size=300))
def test_what_a_nodes_kubelet_hands_out_as_a_pods_log(log: str) -> None:
    attacks.tried()
    checks = probe_results("n1", log, ["n1", "n2"])
    assert len(checks) == 3
    assert all(len(check.detail) < 250 for check in checks)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.text(max_size=99), st.sampled_from(["True", "False", "Unknown"]))
def test_what_a_node_says_of_itself(message: str, status: str) -> None:
    attacks.tried()
    ready = {"type": "Ready", "status": status, "message": message}
    not_ready({"metadata": {"name": "n1"}, "status": {"conditions": [ready]}})


REQUEST = der_of(forgery.request("system:node:n1"))
TOKENS = (Token("aaaaaa", "n1", NOW),)


@given(
    data=mutated(REQUEST).map(forgery.armoured) | mutated(forgery.armoured(REQUEST)) | st.binary(),
    username=st.sampled_from(["system:bootstrap:aaaaaa", "system:node:n1"]) | st.text(max_size=30),
    groups=st.lists(st.sampled_from(["system:nodes", "system:masters"]), max_size=2),
    signer=st.sampled_from([CLIENT, SERVING]) | st.text(max_size=40),
    usages=st.lists(st.sampled_from(["digital signature", "client auth", "any"]), max_size=3),
    status=st.none() | st.just({}) | st.just({"conditions": [{"type": "Whatever"}]}),
)
def test_signing_requests_of_anybody(
    data: bytes, username: str, groups: list[str], signer: str, usages: list[str], status: Any
) -> None:
    """Whatever the apiserver lets through is judged; only the very request is approved."""
    attacks.tried()
    item = {
        "metadata": {
            "name": "csr-1",
            "uid": "1",
            "resourceVersion": "1",
            "creationTimestamp": "2026-11-25T00:00:05Z",
        },
        "spec": {
            "request": base64.b64encode(data).decode(),
            "username": username,
            "groups": groups,
            "signerName": signer,
            "usages": usages,
        },
        "status": status,
    }
    request = csr.parse(json.loads(json.dumps(item)))
    attacks.judged()
    verdict = judge(request, (Candidate("n1", "192.0.2.11"),), TOKENS)
    assert len(verdict.reason) < 700
    if verdict.approve:
        assert data.strip() == forgery.armoured(REQUEST).strip()


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_lines_of_a_watch_however_they_are_cut(chunks: list[bytes]) -> None:
    attacks.tried()
    answer: Any = SimpleNamespace(stream=lambda *_, **__: iter(chunks))
    assert list(client._lines(answer)) == b"".join(chunks).split(b"\n")[:-1]


@given(JSON)
def test_events_of_a_watch(event: Any) -> None:
    """What is no event ends the watch with an error that its waiters get; it does not hang."""
    attacks.tried()

    class Broken:
        def get(self, *_: Any, **__: Any) -> dict[str, Any]:
            return {"items": [], "metadata": {"resourceVersion": "1"}}

        def stream(self, *_: Any, **__: Any) -> Any:
            yield event
            asked.append(event)
            watch.stop()

    asked: list[Any] = []
    broken: Any = Broken()
    watch = kube_watch.Watch(broken, "/x")
    watch._run()
    if asked or (isinstance(event, dict) and event.get("type") == "ERROR"):
        return  # it was an event
    with pytest.raises(client.ApiWrongError, match="not an event"):
        watch.until(lambda _: None, Wait("nothing", 0))


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "ADDED", "object": {"metadata": {"name": "a", "resourceVersion": "2"}}}, False),
        ({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "2"}}}, False),
        ({"type": "ADDED", "object": {"metadata": {"resourceVersion": "2"}}}, True),
        ({"type": "ADDED", "object": {"metadata": {"name": "a"}}}, True),
        ({"type": "ADDED", "object": {"metadata": {"name": ["a"], "resourceVersion": "2"}}}, True),
        ({"type": "ADDED"}, True),
        ({"type": ["ADDED"], "object": {}}, True),
        ({}, True),
        (None, True),
        ("x", True),
    ],
)
def test_an_event_or_none(event: Any, error: bool) -> None:
    """The event is read, by the very code that reads those of an apiserver."""
    watch = kube_watch.Watch(SimpleNamespace(), "/x")  # type: ignore[arg-type]
    if not error:
        kind, item, _ = kube_watch._parts(event)
        watch._take(kind, item)
        return
    with pytest.raises(client.ApiWrongError):
        kube_watch._parts(event)


@given(st.text(), st.text(min_size=4))
def test_no_secret_and_no_escape_passes_the_journal(text: str, secret: str) -> None:
    attacks.tried()
    redactor = Redactor([secret])
    shown = redactor.text(text + secret + text)
    assert "\x1b" not in shown
