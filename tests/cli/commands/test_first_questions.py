"""`inv config.init` asks at a terminal for what nothing else tells, and nowhere else."""

from __future__ import annotations

import builtins
import io
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fabnode.config.loader import load
from fabnode.deploy import discovery, host_identities
from fabnode.deploy.host_identities import Identities
from fabnode.remote.host_identity import HostIdentity
from fabnode.util.problems import ConfigError
from tests.deploy.test_discovery import DNS, DUAL, KUBERNETES, POOLS, RANGES, VERSION, WHOLE, Api
from tests.kube.test_kubeconfig import CA

from .test_first_configuration import Init  # a fixture
from .test_first_configuration import init as init

Answer = Callable[..., list[str]]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Return what puts somebody at the terminal, with these answers, and returns the questions."""

    def make(*given: str | None, stdin: bool = True, stdout: bool = True) -> list[str]:
        asked: list[str] = []
        left = list(given)

        def input_(question: str) -> str:
            asked.append(question)
            assert left, f"nobody expected: {question}"
            if (words := left.pop(0)) is None:
                raise EOFError
            return words

        monkeypatch.setattr(builtins, "input", input_)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: stdin, raising=False)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: stdout, raising=False)
        return asked

    return make


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what changes what the cluster reports."""

    def make(**changes: Any) -> None:
        monkeypatch.setattr(discovery, "Api", lambda *_, **__: Api({**WHOLE, **changes}))

    return make


def test_what_is_not_known_is_asked_with_its_reason_and_written(
    init: Init, answer: Answer, cluster: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster(**{DNS: 403, VERSION: {}})
    asked = answer("1.36.3", "10.68.0.2")
    written = init()
    assert asked == [
        "  cluster.version, such as 1.36.3 (Enter leaves it open): ",
        "  cluster.dns_address, such as 10.68.0.2 (Enter leaves it open): ",
    ]
    shown = capsys.readouterr().out
    assert "cluster.version is not known: the apiserver's /version names no release" in shown
    assert "cluster.dns_address is not known: this account may not read the Service" in shown
    config = load(written)
    assert (str(config.cluster.version), config.cluster.dns_address) == ("1.36.3", "10.68.0.2")
    assert "  # Answered at the terminal.\n  dns_address: 10.68.0.2\n" in written.read_text()


def test_a_bad_answer_is_asked_again_with_one_sentence(
    init: Init, answer: Answer, cluster: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster(**{DNS: 403})
    asked = answer("kube-dns", "10.1.1.1", " 10.68.0.2 ")
    config = load(init())
    assert len(asked) == 3
    refused = [line for line in capsys.readouterr().out.splitlines() if "is not taken" in line]
    assert refused == [
        "  kube-dns is not taken: it must be an IPv4 or IPv6 address",
        "  10.1.1.1 is not taken: 10.1.1.1 is outside service_cidr 10.68.0.0/16",
    ]
    assert config.cluster.dns_address == "10.68.0.2"


def test_an_empty_answer_leaves_the_marked_line(
    init: Init, answer: Answer, cluster: Callable[..., None]
) -> None:
    cluster(**{DNS: 403})
    answer("")
    text = init().read_text()
    assert "  # dns_address:\n" in text
    assert "# dns_address is not known: this account may not read" in text


def test_the_end_of_input_leaves_all_the_rest_open(
    init: Init, answer: Answer, cluster: Callable[..., None]
) -> None:
    cluster(**{DNS: 403, VERSION: {}, POOLS: 403})
    asked = answer(None)
    written = init(hosts="n1 n1.invalid")
    assert len(asked) == 1
    with pytest.raises(ConfigError) as caught:
        load(written)
    assert {problem.key for problem in caught.value.problems} >= {
        "cluster.version",
        "cluster.pod_cidr",
        "cluster.dns_address",
    }


def test_an_interrupt_writes_nothing(
    init: Init,
    answer: Answer,
    cluster: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(_: str) -> str:
        raise KeyboardInterrupt

    cluster(**{DNS: 403})
    answer()
    monkeypatch.setattr(builtins, "input", interrupted)
    with pytest.raises(KeyboardInterrupt):
        init()
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize(
    ("stdin", "stdout", "options"),
    [
        (False, True, {}),
        (True, False, {}),
        (False, False, {}),
        (True, True, {"hosts_file": "-"}),
    ],
)
def test_nobody_is_asked_where_there_is_no_terminal(
    stdin: bool,
    stdout: bool,
    options: dict[str, str],
    init: Init,
    answer: Answer,
    cluster: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster(**{DNS: 403})
    asked = answer(stdin=stdin, stdout=stdout)
    if options:
        given = SimpleNamespace(buffer=io.BytesIO(b"n2 192.0.2.12\n"), isatty=lambda: True)
        monkeypatch.setattr(sys, "stdin", given)
    assert "  # dns_address:\n" in init(**options).read_text()
    assert asked == []


def test_nothing_is_asked_where_all_is_known(init: Init, answer: Answer) -> None:
    asked = answer()
    assert load(init())
    assert asked == []


def test_hosts_are_asked_where_none_were_named(
    init: Init, answer: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = answer("a b c", "n1 192.0.2.11, n1 192.0.2.12", "n1 192.0.2.11, n2 192.0.2.12")
    nodes = load(init(hosts="")).nodes
    assert [(node.name, node.address) for node in nodes] == [
        ("n1", "192.0.2.11"),
        ("n2", "192.0.2.12"),
    ]
    assert asked[0] == "  hosts: NAME ADDRESS, with commas between (Enter leaves it open): "
    shown = capsys.readouterr().out
    assert "  a b c is not taken: 'a b c' is more than a name and an address; one host" in shown
    assert "is not taken: two hosts have n1: n1 and n1\n" in shown
    answer("")
    assert "# nodes:\n" in init(hosts="", out="open.yml").read_text()


def test_an_address_that_a_host_lacks_is_asked(
    init: Init, answer: Answer, cluster: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster(**DUAL)
    asked = answer("2001:db8::11", "192.0.2.11, 2001:db8::11", "")
    text = init(hosts="n1 192.0.2.11,n2 192.0.2.12").read_text()
    assert '{name: n1, address: 192.0.2.11, ip: "192.0.2.11,2001:db8::11"}' in text
    assert text.count("    # ip:\n") == 1
    assert asked[0] == ("  ip of n1, such as 192.168.1.42,fd00:1::42 (Enter leaves it open): ")
    shown = capsys.readouterr().out
    assert "ip of n1 is not known: Services have IPv4 and IPv6, and no IPv6 address" in shown
    assert "2001:db8::11 is not taken: Services have IPv4 and IPv6, and no IPv4 address" in shown


def test_a_ca_is_a_file_beside_the_configuration(
    init: Init, answer: Answer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "admin.kubeconfig"
    text = path.read_text()
    path.write_text(re.sub(r".*certificate-authority-data.*\n", "", text))
    assert path.read_text() != text
    (tmp_path / "config").mkdir()
    (tmp_path / "config/ca.pem").write_bytes(CA)
    (tmp_path / "config/key.pem").write_bytes(CA + b"-----BEGIN PRIVATE KEY-----\n")
    asked = answer("nowhere.pem", "key.pem", "~nobody-here/ca.pem", "ca\0.pem", "ca.pem")
    config = load(init())
    assert config.ca_pem == CA
    assert "cluster.ca, such as ca.pem in config (Enter" in asked[0]
    shown = capsys.readouterr().out
    assert "  nowhere.pem is not taken: config/nowhere.pem " in shown
    assert "  key.pem is not taken: config/key.pem holds a private key" in shown
    assert "is not taken: ~nobody-here/ca.pem: no user of this machine has that home" in shown
    assert r"is not taken: 'ca\x00.pem': no path has such characters" in shown


def test_an_answer_that_contradicts_a_guess_has_that_asked_in_turn(
    init: Init, answer: Answer, cluster: Callable[..., None]
) -> None:
    """The Service `kubernetes` begins at 10.68.0.0, and DNS is far from it."""
    cluster(**{DNS: 403, RANGES: 404, KUBERNETES: {"spec": {"clusterIP": "10.68.16.1"}}})
    asked = answer("10.68.0.2", "10.68.0.0/16")
    config = load(init())
    assert [question.split(",")[0].strip() for question in asked] == [
        "cluster.dns_address",
        "cluster.service_cidr",
    ]
    assert (config.cluster.service_cidr, config.cluster.dns_address) == (
        "10.68.0.0/16",
        "10.68.0.2",
    )


def test_several_apiservers_may_be_answered(init: Init, answer: Answer, tmp_path: Path) -> None:
    path = tmp_path / "admin.kubeconfig"
    path.write_text(re.sub(r"https://[^\s,}\"]+", "https://127.0.0.1:6443", path.read_text()))
    answer(
        "https://192.0.2.1:6443,https://192.0.2.2", "https://192.0.2.1:6443,https://192.0.2.2:6443"
    )
    config = load(init())
    assert config.cluster.apiservers == ("https://192.0.2.1:6443", "https://192.0.2.2:6443")


@pytest.mark.parametrize("odd", ["a\0b", "~nobody-here/x", "\udcff", "a" * 9999, "\x1b[2J"])
def test_no_answer_ends_in_a_traceback(
    odd: str,
    init: Init,
    answer: Answer,
    cluster: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "admin.kubeconfig"
    text = re.sub(r".*certificate-authority-data.*\n", "", path.read_text())
    path.write_text(re.sub(r"https://[^\s,}\"]+", "https://127.0.0.1:6443", text))
    cluster(**{DNS: 403, VERSION: {}, POOLS: 403, RANGES: 404, KUBERNETES: 403})
    keys = 6  # version, apiserver, ca, service_cidr, pod_cidr, dns_address
    asked = answer(odd, "", *[odd, ""] * keys)
    init(hosts="")
    assert len(asked) == 2 * keys + 2
    assert capsys.readouterr().out.count("is not taken") == keys + 1


# --- what hosts report ----------------------------------------------------------------------------


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return what has hosts report these, by address, and returns who was asked."""

    def make(
        known: dict[str, HostIdentity], why: str = "ssh does not know the host key"
    ) -> list[str]:
        asked: list[str] = []

        def identities(hosts: Sequence[Any], _: object) -> Identities:
            asked.extend(host.name for host in hosts)
            found = {h.name: known[h.address] for h in hosts if h.address in known}
            return Identities(found, {h.name: why for h in hosts if h.name not in found})

        monkeypatch.setattr(host_identities, "identities", identities)
        return asked

    return make


ONE = HostIdentity("aarch64", "web-1", (("eth0", "192.0.2.11"), ("eth0", "2001:db8::11")))


def test_what_hosts_report_is_written(
    init: Init, reports: Callable[..., list[str]], cluster: Callable[..., None]
) -> None:
    cluster(**DUAL)
    reports({"192.0.2.11": ONE})
    written = init(hosts="192.0.2.11")
    (node,) = load(written).nodes
    assert (node.name, node.ips) == ("web-1", ("192.0.2.11", "2001:db8::11"))
    assert "  # Of the hosts: arm64: web-1.\n  architectures: [arm64]\n" in written.read_text()


def test_hosts_that_report_nothing_are_named_by_their_reasons(
    init: Init, reports: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    reports({"192.0.2.11": ONE})
    hosts = ",".join(f"n{n} 192.0.2.1{n}" for n in range(1, 9))
    assert len(load(init(hosts=hosts)).nodes) == 8
    shown = capsys.readouterr()
    line = "not asked over SSH: n2, n3, n4, n5, n6 and 2 more: ssh does not know the host key\n"
    assert line in shown.out
    init(hosts=hosts, dry_run=True)
    shown = capsys.readouterr()
    assert line not in shown.out
    assert line in shown.err


def test_no_host_is_asked_where_that_is_not_wanted(
    init: Init, reports: Callable[..., list[str]]
) -> None:
    asked = reports({"192.0.2.11": ONE})
    assert load(init(no_ssh=True)).nodes[0].name == "n1"
    assert asked == []


def test_where_nodes_are_named_by_addresses_another_is_as_well(
    init: Init, reports: Callable[..., list[str]], cluster: Callable[..., None]
) -> None:
    """As kubeasz does."""
    cluster(**{"/api/v1/nodes": {"items": [{"metadata": {"name": "192.0.2.9"}}]}})
    reports({"192.0.2.11": ONE})
    assert load(init(hosts="192.0.2.11")).nodes[0].name == "192.0.2.11"


def test_a_network_for_pods_is_chosen_away_from_those_of_hosts(
    init: Init, reports: Callable[..., list[str]], cluster: Callable[..., None]
) -> None:
    cluster(**{POOLS: 404})
    reports({"192.0.2.11": HostIdentity("x86_64", "n1", (("eth1", "10.244.7.7"),))})
    assert load(init()).cluster.pod_cidr == "10.200.0.0/16"
