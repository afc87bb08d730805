"""
What a host says costs no more than in proportion to its length: nothing of it is quadratic.

Each case is timed at a size and at four times that: linear work takes four times as long, quadratic
work sixteen times. The line is drawn at ten, and the least of several tries counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from fabnode.audit.judge import judge
from fabnode.audit.repair import repairs
from fabnode.audit.settings import Settings
from fabnode.journal import grouping
from fabnode.journal.events import Event
from fabnode.journal.redact import Redactor
from fabnode.node.examination import Asked, Evidence, Program, Text
from fabnode.node.plan import text_diff
from fabnode.remote.audit_output import parse
from fabnode.remote.limits import EXAMINE_LIMITS, MalformedError
from fabnode.remote.probe_output import parse as parse_facts
from tests.audit.support import issued, secret, sound, text, with_files
from tests.support import authority, pem

# What is measured of the lines would be part of what they cost.
pytestmark = [pytest.mark.attack, pytest.mark.no_cover]

NOW = datetime.now(UTC)
UNIT = "/etc/systemd/system/x.service"


def judged(evidence: Evidence) -> object:
    found = judge(evidence, Asked(401, 0), node="n1", ca_pem=pem(authority()[0]), now=NOW)
    return repairs(evidence, found)


def unit(content: str) -> Evidence:
    return sound(texts={UNIT: text(content)})


def configured(content: str) -> Callable[[], object]:
    evidence = Evidence(
        programs={"kubelet": Program(("kubelet", "--config=/c"))},
        texts={"/c": Text(0o644, "", content.encode())},
    )
    return lambda: Settings(evidence, "kubelet").get("x", ("x",), default=1)


def rules(count: int) -> Callable[[], object]:
    several = tuple(f"-A INPUT -s 10.0.0.{n} -j ACCEPT" for n in range(count))
    return lambda: judged(sound(rules={"filter": several * 2, "nat": several * 2}))


def unit_lines(line: str) -> Callable[[int], Callable[[], object]]:
    def made(count: int) -> Callable[[], object]:
        evidence = unit("[Service]\n" + "".join(line.replace("N", str(n)) for n in range(count)))
        return lambda: judged(evidence)

    return made


def one_line(before: str, again: str, after: str = "") -> Callable[[int], Callable[[], object]]:
    """Return a unit file of lines just as long as the judge reads, one as long as asked."""

    def made(count: int) -> Callable[[], object]:
        line = before + again * (count // len(again)) + after
        evidence = unit("[Service]\n" + f"{line}\n" * 20)
        return lambda: judged(evidence)

    return made


def keys_of_one(count: int) -> Callable[[], object]:
    """Make many certificates for one key, and the key in many files."""
    certificate, key = issued("x")
    files = [
        secret(f"/k{n}", keys=(key,), certificates=(certificate + "\n" * n,)) for n in range(count)
    ]
    evidence = with_files(*files)
    return lambda: judged(evidence)


def tokens(count: int) -> Callable[[], object]:
    """Make many bootstrap tokens and many certificates of the node's own."""
    certificate, _ = issued("system:node:n1", "system:nodes")
    files = [
        secret(
            f"/bootstrap{n}",
            tokens=("static",),
            kubeconfig=True,
            certificates=(certificate + "\n" * n,),
        )
        for n in range(count)
    ]
    evidence = with_files(*files)
    return lambda: judged(evidence)


def failures(count: int) -> Callable[[], object]:
    events = [
        Event(at=0.0, node=f"n{n}", step="x", state="warning", text="alike", data={})
        for n in range(count)
    ]
    return lambda: grouping.warnings(events)


def facts(line: str) -> Callable[[int], Callable[[], object]]:
    def made(count: int) -> Callable[[], object]:
        body = "".join(line.replace("N", str(n)) for n in range(count))
        output = f"clock\t1\nkernel\t6\npath\t81a4\t0\t0\t3\t/a\n{body}end\tn\n".encode()
        return lambda: parse_facts(output, nonce="n", sent=0, received=0)

    return made


CASES: dict[str, tuple[Callable[[int], Callable[[], Any]], int]] = {
    "rules": (rules, 2000),
    "lines that flush": (unit_lines("ExecStartPre=iptables -F -A \n"), 2000),
    "lines that add": (unit_lines("ExecStartPre=/sbin/iptables -t nat -A N -j X\n"), 500),
    "iptables in a line": (one_line("ExecStartPre=", "iptables "), 490),
    "blanks before an addition": (one_line("ExecStartPre=iptables", " ", "-A INPUT"), 490),
    "blanks in an addition": (one_line("ExecStartPre=iptables -A", " ", "!"), 490),
    "blanks after an addition": (one_line("ExecStartPre=iptables -A X", " ", "!"), 490),
    "-w again and again": (one_line("ExecStartPre=iptables", " -w", " -A !"), 490),
    "keys of one certificate": (keys_of_one, 40),
    "tokens": (tokens, 40),
    "a YAML mapping": (lambda n: configured("".join(f"k{i}: 1\n" for i in range(n))), 1500),
    "a YAML sequence": (lambda n: configured("a: [" + "a," * n + "]"), 4000),
    "digits in YAML": (lambda n: configured("a: 1" + ":1" * n), 5000),
    "a diff of blank lines": (
        lambda n: lambda: text_diff("/x", b"\n" * n, b"a\n" + b"\n" * 200),
        30_000,
    ),
    "a diff of lines that come twice": (
        lambda n: (
            lambda: text_diff(
                "/x",
                "".join(f"{i % (n // 50)}\n" for i in range(n)).encode(),
                "".join(f"{i % (n // 50)}\n" for i in reversed(range(n))).encode(),
            )
        ),
        10_000,
    ),
    "nodes that warn alike": (failures, 1500),
    "half tokens": (lambda n: lambda: Redactor().text("eyJ-" * n), 4000),
    "half keys": (
        lambda n: lambda: Redactor().text("-----BEGIN PRIVATE KEY-----" * n),
        4000,
    ),
    "escapes": (lambda n: lambda: Redactor().text("\x1b]" * n), 8000),
    "facts of texts": (facts("text\t1\t/a\n"), 2000),
    "facts of certificates": (facts("certificate\t-----BEGIN CERTIFICATE-----\t/a\n"), 2000),
    "facts of paths": (facts("path\t81a4\t0\t0\t3\t/N\n"), 2000),
}


def seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


@pytest.mark.parametrize("what", CASES)
def test_work_grows_as_the_answer_does(what: str) -> None:
    make, size = CASES[what]
    small, large = make(size), make(4 * size)
    small()  # what is compiled and cached once
    # Very small times say nothing: what costs less than 10 ms at four times the size is cheap.
    for _ in range(4):
        once, four = min(seconds(small) for _ in range(3)), seconds(large)
        if four < max(10 * once, 0.01):
            return
    pytest.fail(f"{size}: {once:.4f} s; {4 * size}: {four:.4f} s")


BOMB = "a: &a [x, x]\n" + "".join(
    f"b{n}: &b{n} {{<<: [{', '.join([f'*b{n - 1}' if n else '*m'] * 9)}]}}\n" for n in range(6)
)


@pytest.mark.parametrize(
    "content",
    [
        "x: &a 1\n",
        "a: 1\nx: *a\n",
        "x: {<<: {a: 1}}\n",
        "x: {!!merge y: {a: 1}}\n",
        "x: " + "[" * 200 + "]" * 200,
        "x: 1" + "0" * 5000,
        "x: !!int '1" + ":1" * 5000 + "'",
        "m: &m {a: 1}\n" + BOMB,
    ],
)
def test_yaml_that_makes_much_of_little_is_not_read(content: str) -> None:
    begun = time.process_time()
    assert configured(content)() == replace(
        configured("a: [")(),
        shown="/c could not be read",  # type: ignore[type-var]
    )
    assert time.process_time() - begun < 1


FILE = "file\t600\t0\t1\t1\tpem\t{}"
PROGRAM = "program\tkubelet\thost"
OVER = {
    "files": ([], FILE.format("/root/k{n}"), EXAMINE_LIMITS.files),
    "swaps": ([], "swap\t/dev/{n}", EXAMINE_LIMITS.swaps),
    "texts": ([], f"text\t644\t1\t{'0' * 64}\t-\t/t{{n}}", EXAMINE_LIMITS.texts),
    "arguments": ([PROGRAM], "arg\tkubelet\t{n}", EXAMINE_LIMITS.args),
    "rules": (["rules\tnat"], "rule\tnat\t{n}", EXAMINE_LIMITS.rules),
    "tokens": ([FILE.format("/root/k")], "token\tjwt\t/root/k", EXAMINE_LIMITS.tokens),
    "keys": ([FILE.format("/root/k")], "key\t\t/root/k", 2 * EXAMINE_LIMITS.keys),
    "pem": ([FILE.format("/root/k")], "pem\tx", EXAMINE_LIMITS.blocks * EXAMINE_LIMITS.block_lines),
    "data": ([FILE.format("/root/k")], "certificate_data\teA==\t/root/k", EXAMINE_LIMITS.keys),
    "used": ([], "used\tx\t/root/k", EXAMINE_LIMITS.uses),
    "quarantined": (
        [],
        "quarantined\t/var/lib/fabnode/quarantine/q{n}",
        EXAMINE_LIMITS.quarantined,
    ),
    "unseen": ([], "unseen\t{n}", EXAMINE_LIMITS.unseen),
    "units": ([], "unit\tu{n}.service\tActiveState=active", EXAMINE_LIMITS.units),
    "settings": ([], "unit\tu.service\tk{n}=v", EXAMINE_LIMITS.settings),
    "managed": ([], "managed\tu{n}", EXAMINE_LIMITS.units),
    "unguarded": ([], "unguarded\tsystemd\t/{n}", EXAMINE_LIMITS.executables),
    "swayed": ([], "swayed\tsystemd\t/{n}", EXAMINE_LIMITS.executables),
}


@pytest.mark.parametrize("what", OVER)
def test_what_the_script_would_not_print_is_refused(what: str) -> None:
    """Each count that it promises holds for the parser too: that many, and not one more."""
    before, line, most = OVER[what]
    lines = [*before, *(line.format(n=n) for n in range(most)), "end\tn", ""]
    parse("\n".join(lines).encode(), nonce="n")
    lines[-2:-2] = [line.format(n=most)]
    with pytest.raises(MalformedError):
        parse("\n".join(lines).encode(), nonce="n")


@pytest.mark.parametrize(
    "lines",
    [
        ["rules\tnat", "rule\tnat\t" + "x" * (EXAMINE_LIMITS.rule_length + 1)],
        [PROGRAM, "arg\tkubelet\t" + "x" * (EXAMINE_LIMITS.arg_length + 1)],
        ["unit\tx\t" + "x" * (EXAMINE_LIMITS.unit_length + 1)],
        [FILE.format("/root/k"), "pem\t" + "x" * (EXAMINE_LIMITS.block_length + 1)],
        ["text\t644\t1\t" + "0" * 64 + "\t" + "A" * 120_000 + "\t/t"],
    ],
)
def test_lines_that_the_script_would_not_print_are_refused(lines: list[str]) -> None:
    with pytest.raises(MalformedError):
        parse("\n".join([*lines, "end\tn", ""]).encode(), nonce="n")
