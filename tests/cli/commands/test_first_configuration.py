"""`inv config.init` writes a configuration that loads, replaces nothing, and says what it found."""

from __future__ import annotations

import io
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fabnode.cli.commands import first_configuration
from fabnode.cli.commands.first_configuration import Login
from fabnode.config.loader import load
from fabnode.deploy import discovery
from fabnode.kube.client import ApiAwayError
from fabnode.util.errors import InputError
from fabnode.util.problems import ConfigError
from tests.deploy.test_discovery import DUAL, WHOLE, Api
from tests.deploy.test_found_artifacts import image
from tests.kube.test_kubeconfig import CA, encoded, kubeconfig

Init = Callable[..., Path]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Return what runs the command in an empty site, and returns the file that it is to write."""
    monkeypatch.setattr(discovery, "Api", lambda *_, **__: Api(WHOLE))
    kubeconfig(tmp_path, {"token": "t0p-secret"}, **{"certificate-authority-data": encoded(CA)})
    (tmp_path / "admin.kubeconfig").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))  # where nobody's host keys are
    for name in ("KUBECONFIG", "FABNODE_CONFIG", "SSH_AUTH_SOCK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(**options: Any) -> Path:
        given: dict[str, Any] = {
            "kubeconfig": "admin.kubeconfig",
            "context": "",
            "hosts": "n1 192.0.2.11",
            "hosts_file": "",
            "login": Login(),
            "no_ssh": False,
            "artifacts": "",
            "out": "",
            "dry_run": False,
        }
        first_configuration.init(**{**given, **options})
        return tmp_path / (options.get("out") or "config/cluster.yml")

    return run


def test_what_it_writes_is_valid_and_has_no_secret(
    init: Init, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = init()
    config = load(written)
    assert [node.name for node in config.nodes] == ["n1"]
    assert config.ca_pem == CA
    assert config.cluster.kubeconfig == tmp_path / "admin.kubeconfig"
    shown = capsys.readouterr().out
    assert "service_cidr   10.68.0.0/16\n" in shown
    assert "nodes          1 host named, 1 there already\n" in shown
    assert shown.endswith(
        "wrote config/cluster.yml\nnext: `inv config.check`, `inv hosts.trust` where ssh does not"
        " know the hosts, then `inv plan`\n"
    )
    everything = shown + "".join(path.read_text() for path in (tmp_path / "config").iterdir())
    assert "t0p-secret" not in everything
    assert sorted(path.name for path in (tmp_path / "config").iterdir()) == [
        "cluster-ca.pem",
        "cluster.yml",
    ]


def test_a_file_of_another_name_is_named_in_the_next_command(
    init: Init, capsys: pytest.CaptureFixture[str]
) -> None:
    init(out="my site.yml")
    shown = capsys.readouterr().out.splitlines()[-1]
    for name in ("config.check", "hosts.trust", "plan"):
        assert f"`inv {name} --config 'my site.yml'`" in shown


def test_nothing_is_replaced(init: Init, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    there = tmp_path / "config/cluster.yml"
    there.symlink_to("nowhere")
    with pytest.raises(InputError, match=r"config/cluster\.yml exists already, and is left") as no:
        init()
    assert no.value.exit_code == 2
    there.unlink()
    (tmp_path / "config/cluster-ca.pem").write_text("another")
    with pytest.raises(InputError, match=r"config/cluster-ca\.pem exists already, with another"):
        init()
    assert (tmp_path / "config/cluster-ca.pem").read_text() == "another"
    assert len(list((tmp_path / "config").iterdir())) == 1
    (tmp_path / "config/cluster-ca.pem").write_bytes(CA)
    assert load(init())


def test_one_that_comes_meanwhile_is_not_replaced_either(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object, **__: object) -> Api:
        (tmp_path / "x.yml").write_text("theirs")
        return Api(WHOLE)

    monkeypatch.setattr(discovery, "Api", slow)
    with pytest.raises(InputError, match=r"x\.yml exists already"):
        init(out="x.yml")
    assert (tmp_path / "x.yml").read_text() == "theirs"


def test_a_folder_that_is_not_there_is_a_sentence(init: Init) -> None:
    with pytest.raises(InputError, match=r"--out no/such/x\.yml: No such file or directory"):
        init(out="no/such/x.yml")


def test_a_dry_run_prints_the_file_and_writes_none(
    init: Init, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init(dry_run=True)
    printed = capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["admin.kubeconfig"]
    written = init()
    assert printed == written.read_text()
    init(dry_run=True)  # also where a file is there already


def test_a_cluster_that_does_not_answer_leaves_no_file(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise ApiAwayError("no answer")

    monkeypatch.setattr(discovery, "Api", away)
    with pytest.raises(ApiAwayError):
        init()
    assert [path.name for path in tmp_path.iterdir()] == ["admin.kubeconfig"]


def test_what_is_missing_is_printed_and_then_named_by_the_loader(
    init: Init, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {**WHOLE, "/api/v1/namespaces/kube-system/services/kube-dns": 403}
    monkeypatch.setattr(discovery, "Api", lambda *_, **__: Api(answers))
    written = init(hosts="")
    assert "dns_address    not known: this account may not read" in capsys.readouterr().out
    with pytest.raises(ConfigError) as caught:
        load(written)
    assert [problem.key for problem in caught.value.problems] == ["cluster.dns_address", "nodes"]


@pytest.mark.parametrize("name", ["hosts", "-"])
def test_hosts_come_from_options_and_files(
    name: str, init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"cp-1 192.0.2.12\n192.0.2.13\n"
    (tmp_path / "hosts").write_bytes(content)
    given = SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", given)
    nodes = load(init(hosts_file=name)).nodes
    assert [node.name for node in nodes] == ["n1", "cp-1", "192.0.2.13"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "name;address;ip\ncp-1;192.0.2.12;\nn2;192.0.2.13;198.51.100.2/24\n"),
        ("l.json", '{"cp-1": "192.0.2.12", "n2": {"address": "192.0.2.13", "ip": "198.51.100.2"}}'),
        ("l.YAML", "- cp-1 192.0.2.12\n- {name: n2, address: 192.0.2.13, ip: 198.51.100.2}\n"),
    ],
)
def test_tables_and_documents_are_lists_of_hosts_as_well(
    name: str, content: str, init: Init, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    nodes = load(init(hosts="", hosts_file=name)).nodes
    assert [(node.name, node.address, node.ip) for node in nodes] == [
        ("cp-1", "192.0.2.12", "192.0.2.12"),
        ("n2", "192.0.2.13", "198.51.100.2"),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("host,address\n", r"l\.csv:1: has more than names and addresses: host; keep name, addre"),
        (
            "name,address\nn1,x y\n",
            r"l\.csv:2: 'x y': must be an IPv4 or IPv6 address, or a host name",
        ),
        ("name,address\nn1,\n", r"l\.csv:2: has no address"),
        ("name,address\nn1,192.0.2.1,3\n", r"l\.csv:2: has 3 cells, but the header 2"),
    ],
)
def test_a_table_that_is_no_list_of_hosts_is_refused_in_its_line(
    content: str, sentence: str, init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "discover", None)
    (tmp_path / "l.csv").write_text(content)
    with pytest.raises(ConfigError, match=sentence):
        init(hosts_file="l.csv")


def test_how_ssh_logs_in(init: Init, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----")
    (tmp_path / "id").chmod(0o600)
    ssh = load(init(login=Login("ops", "id", str(tmp_path / "id")))).ssh
    assert (ssh.user, ssh.keys, ssh.known_hosts) == ("ops", *((tmp_path / "id",),) * 2)
    (new,) = load(init(login=Login(known_hosts="keys"), out="new.yml")).ssh.known_hosts
    assert new == tmp_path / "keys"  # where `hosts.trust` will record them
    for login, sentence in (
        (Login("a b"), "--user 'a b' is no name of a user"),
        (Login(key="nowhere"), "--key nowhere: there is no such file"),
        (Login(known_hosts="no/such"), "--known-hosts no/such: there is no such file"),
    ):
        with pytest.raises(InputError, match=sentence):
            init(login=login, out="other.yml")


NOBODYS = "~nobody-here/f"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"login": Login(key=NOBODYS)}, "--key"),
        ({"login": Login(known_hosts=NOBODYS)}, "--known-hosts"),
        ({"login": Login(known_hosts=NOBODYS), "no_ssh": True}, "--known-hosts"),
        ({"artifacts": NOBODYS}, "--artifacts"),
        ({"hosts": "", "hosts_file": NOBODYS}, "--hosts-file"),
        ({"kubeconfig": NOBODYS}, "--kubeconfig"),
    ],
)
def test_a_home_directory_that_nobody_has_is_a_sentence(
    init: Init, tmp_path: Path, options: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=f"^{named} {NOBODYS}: no user of this machine has that"):
        init(**options)
    assert not (tmp_path / "config").exists()


def test_artifacts_beside_the_file_are_taken_and_those_of_the_option_instead(
    init: Init, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = tmp_path / "config/artifacts"
    beside.mkdir(parents=True)
    (beside / "notes").write_text("nothing for us")
    load(init(out="config/a.yml"))
    image(beside / "images/busybox.tar", "docker.io/library/busybox:1.35.0")
    config = load(init(out="config/b.yml"))
    assert config.artifacts.images == (beside / "images/busybox.tar",)
    assert config.verify.image == "docker.io/library/busybox:1.35.0"
    assert "artifacts      config/artifacts: 1 archive of images\n" in capsys.readouterr().out
    image(tmp_path / "site/images/busybox.tar", "docker.io/library/busybox:1.37.0")
    config = load(init(artifacts="site", out="config/c.yml"))
    assert config.artifacts.images == (tmp_path / "site/images/busybox.tar",)
    for name, sentence in (("nowhere", "no such folder"), ("admin.kubeconfig", "no such folder")):
        with pytest.raises(InputError, match=f"--artifacts {name}: there is {sentence}"):
            init(artifacts=name, out="config/d.yml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="--artifacts empty: it has neither bin/kubelet nor cni"):
        init(artifacts="empty", out="config/d.yml")


def test_a_host_that_is_a_node_already_is_a_warning(
    init: Init, capsys: pytest.CaptureFixture[str]
) -> None:
    init(hosts="cp-1 192.0.2.12")
    assert "warning: the cluster has a node named cp-1 already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a b c\n", "hosts:1: 'a b c' is more than a name"),
        (b"n1 192.0.2.99\n", "two hosts have n1: n1 and n1"),
        (b"\xff\n", "--hosts-file hosts: it is no text in UTF-8"),
        (b"#" * (2**20 + 1), "is larger than 1 MiB"),
    ],
)
def test_bad_lists_are_refused_before_the_cluster_is_asked(
    content: bytes, sentence: str, init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "discover", None)
    (tmp_path / "hosts").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        init(hosts_file="hosts")
    with pytest.raises(InputError, match="--hosts-file nowhere: No such file"):
        init(hosts_file="nowhere")


@pytest.mark.parametrize(
    ("addresses", "ip", "why"),
    [
        (["192.0.2.50", "192.0.2.50"], "192.0.2.50", ""),
        (["192.0.2.50", "192.0.2.51"], None, "has 2 addresses"),
        (["127.0.1.1"], None, "is this machine itself"),
        ([], None, "this machine knows no IPv4 address of web-1"),
    ],
)
def test_addresses_of_names_are_looked_up_here(
    addresses: list[str], ip: str | None, why: str, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(*_: object) -> list[Any]:
        if not addresses:
            raise socket.gaierror
        return [(0, 0, 0, "", (address, 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", known)
    text = init(hosts="web-1").read_text()
    assert (f"{{name: web-1, address: web-1, ip: {ip}}}" in text) == bool(ip)
    assert why in text


@pytest.mark.parametrize(
    ("addresses", "ip", "why"),
    [
        (["192.0.2.50", "2001:db8::50"], ("192.0.2.50", "2001:db8::50"), ""),
        (["fe80::1", "fe80::1%eth0", "192.0.2.5", "2001:db8::5"], ("192.0.2.5", "2001:db8::5"), ""),
        (["192.0.2.50"], None, "this machine knows no IPv6 address of web-1. Write both, as 192.0"),
        (["192.0.2.50", "2001:db8::5", "2001:db8::6"], None, "web-1 has 2 addresses. Write both"),
        (["127.0.1.1", "::1"], None, "web-1 is this machine itself, by 127.0.1.1."),
    ],
)  # fmt: skip
def test_names_are_looked_up_in_each_family_that_services_have(
    addresses: list[str],
    ip: tuple[str, ...] | None,
    why: str,
    init: Init,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "Api", lambda *_, **__: Api({**WHOLE, **DUAL}))
    entries = [(0, 0, 0, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: entries)
    written = init(hosts="web-1")
    if ip:
        assert load(written).nodes[0].ips == ip
    assert why in re.sub(r"\n *#", "", written.read_text())


def test_hosts_may_be_given_with_an_address_of_each_family(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "Api", lambda *_, **__: Api({**WHOLE, **DUAL}))
    (tmp_path / "l.csv").write_text('name,address,ip\nn2,192.0.2.12,"192.0.2.12,2001:db8::12"\n')
    nodes = load(init(hosts="n1 2001:db8::11 192.0.2.11", hosts_file="l.csv")).nodes
    assert [(node.address, node.ips) for node in nodes] == [
        ("2001:db8::11", ("2001:db8::11", "192.0.2.11")),
        ("192.0.2.12", ("192.0.2.12", "2001:db8::12")),
    ]


def test_the_kubeconfig_is_the_one_that_kubectl_takes(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"/\.kube/config: No such file") as caught:
        init(kubeconfig="")
    assert "--kubeconfig" in caught.value.advice
    monkeypatch.setenv("KUBECONFIG", "a:b")
    with pytest.raises(InputError, match="KUBECONFIG names several files"):
        init(kubeconfig="")
    monkeypatch.setenv("KUBECONFIG", f":{tmp_path / 'admin.kubeconfig'}")
    assert load(init(kubeconfig=""))
