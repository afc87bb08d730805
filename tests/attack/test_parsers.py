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
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabfile.host import forward, pairs
from fabfile.host.errors import HostError, HostMisbehaved
from fabfile.host.limits import Malformed
from fabfile.host.parse import parse as parse_facts
from fabfile.host.plan import Change, Plan
from fabfile.host.session import Result
from fabfile.host.talk import Talk
from fabfile.host.units import Steadiness
from fabfile.kube import api, signing
from fabfile.kube import watch as kube_watch
from fabfile.kube.nodes import not_ready
from fabfile.model.resources import Directory
from fabfile.run.redact import Redactor
from fabfile.steps.verify import probe_results
from fabfile.trust.certificates import (
    BadCertificateError,
    ProblemKind,
    belongs,
    problems,
    read,
)
from fabfile.trust.inventory import row
from fabfile.trust.verdict import CLIENT, SERVING, Candidate, Token, judge
from tests import attacks, forgery
from tests.support import authority, pem

pytestmark = pytest.mark.attack

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
def test_what_a_host_says_while_it_works(lines: list[str], code: int, said: bytes) -> None:
    """Each action begins and ends once, in its turn; anything else is told in a sentence."""
    attacks.tried()
    heard: list[Any] = []
    talk = Talk("n1", PLAN, heard.append)
    with suppress(HostMisbehaved):
        for line in lines:
            talk.line(line.encode("utf-8", "surrogatepass"))
    failure = talk.failure(Result(code, b"", said))
    assert failure is None or len(failure.cause) <= 601
    assert len([event for event in heard if event.state != "key"]) <= 2 * (len(PLAN.changes) + 1)


def test_a_host_can_not_flood_the_journal_with_one_action() -> None:
    talk = Talk("n1", PLAN, lambda _: None)
    talk.line(b"start\t0")
    for again in (b"start\t0", b"start\t1", b"done\t1\t3", b"fail\t2", b"done\t0\t" + b"9" * 10):
        with pytest.raises(HostMisbehaved, match="instead of working"):
            talk.line(again)


@given(st.binary(max_size=300) | mutated(b"HTTP/1.0 200 OK\r\nA: b\r\n\r\nok"))
def test_what_answers_on_a_hosts_port(answer: bytes) -> None:
    attacks.tried()
    found = forward._parsed(answer)
    assert 0 <= found.status <= 999


def test_a_status_of_ten_thousand_digits() -> None:
    """Python refuses to make a number of it, with an error that nobody expected."""
    assert forward._parsed(b"HTTP/1.0 " + b"2" * 10_000 + b" OK\r\n\r\n").status == 0


@given(st.text(max_size=200) | mutated(PAIRS).map(lambda data: data.decode("latin")))
def test_pairs_on_a_host(output: str) -> None:
    attacks.tried()
    try:
        found = pairs.parse(output, ["/a"])
    except (ValueError, KeyError):
        return
    assert set(found) <= {"/a"}


@given(st.binary(max_size=200) | mutated(b"ActiveState=active\nSubState=running\nNRestarts=7\n"))
def test_what_systemd_is_said_to_say(shown: bytes) -> None:
    attacks.tried()
    host: Any = SimpleNamespace(name="n1", root=lambda _: Result(0, shown, b""))
    look = Steadiness(host, "kubelet.service")
    for _ in range(2):
        with suppress(HostError):
            look()


FACTS = (
    b"clock\t1700000000\nos\tdebian\t12\nkernel\t6.1\nhostname\tn1\ncgroup\t2\n"
    b"path\t81a4\t0\t0\t3\t/a\ntext\t3\t/a\n"
    b'listener\tLISTEN 0 4096 *:10250 *:* users:(("a",pid=1\n'
    b"unit\tkubelet.service\tNRestarts=0\nfree\t1 4096\t/etc\nend\tn\n"
)


@given(mutated(FACTS))
def test_facts_of_a_host_hold_nothing_that_steers_a_terminal(output: bytes) -> None:
    attacks.tried()
    try:
        facts = parse_facts(output, nonce="n", sent=0, received=0)
    except Malformed:
        return
    for told in (facts.os_id, facts.os_version, facts.kernel, facts.hostname, *facts.free):
        assert told.isprintable()
    assert all(listener.process.isprintable() for listener in facts.listeners)


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
    request = signing.parse(json.loads(json.dumps(item)))
    attacks.judged()
    verdict = judge(request, (Candidate("n1", "192.0.2.11"),), TOKENS)
    assert len(verdict.reason) < 700
    if verdict.approve:
        assert data.strip() == forgery.armoured(REQUEST).strip()


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_lines_of_a_watch_however_they_are_cut(chunks: list[bytes]) -> None:
    attacks.tried()
    answer: Any = SimpleNamespace(stream=lambda *_, **__: iter(chunks))
    assert list(api._lines(answer)) == b"".join(chunks).split(b"\n")[:-1]


@given(JSON)
def test_events_of_a_watch(event: Any) -> None:
    """What is no event ends the watch with an error that its waiters get; it does not hang."""
    attacks.tried()

    class Broken:
        def get(self, *_: Any) -> dict[str, Any]:
            return {"items": [], "metadata": {"resourceVersion": "1"}}

        def stream(self, *_: Any, **__: Any) -> Any:
            watch.stop()
            yield event

    broken: Any = Broken()
    watch = kube_watch.Watch(broken, "/x")
    watch._run()


@given(st.text(), st.text(min_size=4))
def test_no_secret_and_no_escape_passes_the_journal(text: str, secret: str) -> None:
    attacks.tried()
    redactor = Redactor([secret])
    shown = redactor.text(text + secret + text)
    assert "\x1b" not in shown
