# ruff: noqa: E501 - one line per case reads best
"""
Bad values of the keys that families, several apiservers, lists and the relay have brought.

Each is one line with file, line and key, what is wrong, and what to write.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from fabnode.config.loader import load
from fabnode.util.merging import merge_deep
from fabnode.util.problems import ConfigError
from tests.support import DUAL, IPV6, write_cluster

if TYPE_CHECKING:
    from pathlib import Path

NETWORK = "must be a network such as 10.68.0.0/16 or fd00:10:68::/108"
URL = "must be an https URL without a path, such as https://10.0.0.1:6443"
HOST = "must be an IPv4 or IPv6 address, or a host name"
PAIR = "give one of IPv4 and one of IPv6, or one alone"
WAYS = "must be first-found, kubernetes-internal-ip, can-reach=…, interface=…, skip-interface=… or cidr=…"


@pytest.mark.parametrize(
    ("section", "key", "value", "sentence"),
    [
        ("cluster", "service_cidr", [], f"must be one value, or two: one of IPv4 and one of IPv6, got a list; {PAIR}"),
        ("cluster", "service_cidr", "10.68.0.0/16,", "has nothing on one side of a comma, got '10.68.0.0/16,'; write one value, or two with a comma between"),
        ("cluster", "service_cidr", ["10.68.0.0/16", 5], "has a value that is no text, got a list; put each in quotes, as in \"5\""),
        ("cluster", "service_cidr", "10.68.0.0/33", f"{NETWORK}, got '10.68.0.0/33'"),
        ("cluster", "pod_cidr", "fd00::1/64", f"{NETWORK}, got 'fd00::1/64'; did you mean fd00::/64?"),
        ("cluster", "dns_address", "fd00::2/108", "must be an IPv4 or IPv6 address, got 'fd00::2/108'; without the length of its network: fd00::2"),
        ("cluster", "dns_address", "[fd00::2]", "must be an IPv4 or IPv6 address, got '[fd00::2]'; without brackets: fd00::2"),
        ("cluster", "dns_address", ["10.68.0.2", "10.68.0.3"], f"has two values of IPv4, got a list; {PAIR}"),
        ("cluster", "apiserver", [], "is empty; at least one entry is needed"),
        ("cluster", "apiserver", "https://2001:db8::1", f"{URL}, got 'https://2001:db8::1'; an IPv6 address stands in brackets: https://[2001:db8::1]:6443"),
        ("cluster", "apiserver", "https://2001:db8::1:6443", f"{URL}, got 'https://2001:db8::1:6443'; an IPv6 address stands in brackets: https://[2001:db8::1]:6443"),
        ("cluster", "apiserver", "2001:db8::1", f"{URL}, got '2001:db8::1'; an IPv6 address stands in brackets: https://[2001:db8::1]:6443"),
        ("cluster", "apiserver", "[2001:db8::1]:6443", f"{URL}, got '[2001:db8::1]:6443'; write https://[2001:db8::1]:6443"),
        ("cluster", "apiserver", "http://192.0.2.1:6443/", f"{URL}, got 'http://192.0.2.1:6443/'; write https://192.0.2.1:6443"),
        ("cluster", "apiserver", "https://192.0.2.1:6443,https://192.0.2.2:6443", f"{URL}, got 'https://192.0.2.1:6443,https://192.0.2.2:6443'; several are a list: [https://…, https://…]"),
        ("cluster", "apiserver", {"a": 1}, "must be text, got a mapping; write one URL, or a list of them"),
        ("ssh", "gateway", "ops@2001:db8::9:22", "must be [user@]host[:port] of a jump host, with an IPv6 address in brackets, got 'ops@2001:db8::9:22'"),
        ("artifacts", "distribution", "torrent", "must be push, relay or pull, got 'torrent'"),
        ("artifacts", "distribution", "pull", "pull needs artifacts.url; set it to the URL of what `inv binaries.publish` made, or use `distribution: push`"),
        ("artifacts", "relay_port", 0, "must be at least 1, got 0"),
        ("artifacts", "uplink_streams", "many", "must be a whole number, got 'many'"),
        ("artifacts", "architectures", [], "is empty; at least one entry is needed"),
        ("calico", "ip6_autodetection", "eth0", f"{WAYS}, got 'eth0'"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named_with_file_line_key_and_advice(
    tmp_path: Path, section: str, key: str, value: object, sentence: str
) -> None:
    changes: dict[str, Any] = {section: {key: value}}
    path = write_cluster(tmp_path, **changes)
    assert problem(path, key) == f"{section}.{key}: {sentence}"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("https://192.0.2.1:6443", ""),
        ("api.example.org", f"{URL}, got 'api.example.org'; write https://api.example.org:6443"),
        ("https://api.example.org:6443", "api.example.org is no address; in a list, write addresses: what nodes reach the API by must not wait for DNS; one URL alone may have a name"),
        ("https://[fe80::1]:6443", "fe80::1 is a link-local address, which means nothing without an interface; write the addresses by which nodes reach the apiservers"),
        ("https://[::1]:6443", "::1 is each node itself; write the addresses by which nodes reach the apiservers"),
        ("https://[2001:db8::2]", "https://[2001:db8::2] has port 443, and https://192.0.2.9:6443 has 6443; the apiservers of one cluster listen on one port"),
        (5, 'must be text, got 5; put it in quotes: "5"'),
    ],
)  # fmt: skip
def test_a_bad_apiserver_of_several_is_named_by_its_place(
    tmp_path: Path, value: object, sentence: str
) -> None:
    path = write_cluster(tmp_path, cluster={"apiserver": ["https://192.0.2.9:6443", value]})
    if not sentence:
        assert len(load(path).cluster.apiservers) == 2
        return
    assert problem(path, str(value)) == f"cluster.apiserver[1]: {sentence}"


@pytest.mark.parametrize(
    ("base", "key", "value", "sentence"),
    [
        (DUAL, "ip", "192.0.2.11,", "has nothing on one side of a comma, got '192.0.2.11,'; write one value, or two with a comma between"),
        (DUAL, "ip", "::ffff:192.0.2.11", "must be an IPv4 or IPv6 address, got '::ffff:192.0.2.11'; write 192.0.2.11"),
        (DUAL, "ip", "192.0.2.11,fe80::1%eth0", "must be an IPv4 or IPv6 address, got '192.0.2.11,fe80::1%eth0'; without an interface"),
        (DUAL, "ip", "192.0.2.11,2001:db8::11/64", "must be an IPv4 or IPv6 address, got '192.0.2.11,2001:db8::11/64'; without the length of its network: 2001:db8::11"),
        (DUAL, "ip", "192.0.2.11", "'n1' has no IPv6 address, which Services have; add it to `ip`, as in `ip: 192.0.2.11,fd00:1::42`"),
        (IPV6, "address", "[2001:db8::11]", "has an address in brackets: [2001:db8::11]; write an IPv6 address without brackets: 2001:db8::11"),
        (IPV6, "address", "2001:db8::11/64", f"{HOST}, got '2001:db8::11/64'; without the length of its network: 2001:db8::11"),
        (IPV6, "address", "2001:db8::11%eth0", f"{HOST}, got '2001:db8::11%eth0'; an interface goes with link-local addresses (fe80::) alone: 2001:db8::11"),
        (IPV6, "address", "root@2001:db8::11", f"{HOST}, got 'root@2001:db8::11'; the user goes into `ssh: {{user: root}}`"),
        (IPV6, "address", "fe80::11", "needs the interface of this machine by which it is reached, got 'fe80::11'; write it after a percent sign: fe80::11%eth0"),
        (IPV6, "address", "ops@192.0.2.11:2222", f"{HOST}, got 'ops@192.0.2.11:2222'; the user goes into `ssh: {{user: ops}}`; the port goes into `ssh: {{port: 2222}}`"),
    ],
)  # fmt: skip
def test_a_bad_address_of_a_node_is_named_with_what_to_write(
    tmp_path: Path, base: dict[str, Any], key: str, value: str, sentence: str
) -> None:
    node = {"name": "n1", "address": "192.0.2.11", key: value}
    changes: Any = merge_deep(base, {"nodes": [node]})
    path = write_cluster(tmp_path, **changes)
    assert problem(path, value) == f"nodes[n1].{key}: {sentence}"


@pytest.mark.parametrize(
    ("value", "key", "sentence"),
    [
        ({}, "nodes[0].from", "needs one of file and command, got a mapping; write it as hosts.csv or {command: [PROGRAM, …]}"),
        ({"command": []}, "nodes[0].from.command", "is empty; at least one entry is needed"),
        ({"command": "terraform output"}, "nodes[0].from.command", "must be a list, got 'terraform output'; write it as a list: [PROGRAM, ARGUMENT]"),
        ({"file": "l.csv", "columns": {}}, "nodes[0].from.columns", "unknown key; it has command, fields, file, format, only, path or timeout"),
        ({"file": "l.csv", "format": "xml"}, "nodes[0].from.format", "must be csv, json, yaml or text, got 'xml'"),
        ({"file": "l.csv", "timeout": 0}, "nodes[0].from.timeout", "must be at least 1, got 0"),
        ({"file": "l.csv", "fields": {"adress": "ip"}}, "nodes[0].from.fields.adress", "is no key of a node; did you mean address?"),
    ],
)  # fmt: skip
def test_a_bad_list_of_nodes_is_named(
    tmp_path: Path, value: object, key: str, sentence: str
) -> None:
    (tmp_path / "l.csv").write_text("name,address\nn1,192.0.2.1\n")
    path = write_cluster(tmp_path, nodes=[{"from": value}])
    assert problem(path) == f"{key}: {sentence}"


def problem(path: Path, near: str = "") -> str:
    """Return the only problem without file and line; these are where `near` stands."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.exit_code == 2
    (text,) = (str(each) for each in caught.value.problems)
    place = re.match(rf"{re.escape(str(path))}:(\d+): ", text)
    assert place, text
    if near:
        assert near in path.read_text().splitlines()[int(place[1]) - 1]
    return text[place.end() :]
