# ruff: noqa: E501 - one line per case reads best
"""Answers at a terminal are judged by the rules of the configuration, in one sentence."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.config.answers import refusal, refusal_of_ip, value_of
from fabnode.config.host_list import Host
from fabnode.config.starter import Fact, Known, Missing

from .test_starter import BOTH, FOUND, SIX

OPEN = Missing("this account may not read it (403).")
GUESSED = Known("10.68.0.0/24", "guessed", doubtful=True)


def lacking(*keys: str, facts: dict[str, Fact] = FOUND) -> dict[str, Fact]:
    return {key: OPEN if key in keys else fact for key, fact in facts.items()}


@pytest.mark.parametrize(
    ("facts", "key", "answer", "reason"),
    [
        (lacking("version"), "version", "1.36.3", ""),
        (lacking("version"), "version", "v1.36.3", ""),
        (lacking("version"), "version", "1.36", "it must be a release such as"),
        (lacking("version"), "version", "1.99.0", "Kubernetes 1.99.0 is not supported by this fabnode"),
        (lacking("version", facts=BOTH), "version", "1.20.1", "IPv4 and IPv6 need Kubernetes 1.21 or newer"),
        (lacking("apiserver"), "apiserver", "https://192.0.2.1:6443", ""),
        (lacking("apiserver"), "apiserver", "https://192.0.2.1:6443, https://192.0.2.2:6443", ""),
        (lacking("apiserver"), "apiserver", "https://[2001:db8::1]:6443", ""),
        (lacking("apiserver"), "apiserver", "192.0.2.1:6443", "it must be an https URL without a path, such as https://10.0.0.1:6443"),
        (lacking("apiserver"), "apiserver", "https://2001:db8::1", "an IPv6 address stands in brackets: https://[2001:db8::1]:6443"),
        (lacking("apiserver"), "apiserver", "https://192.0.2.1:6443,https://192.0.2.2:443", "has port 443, and https://192.0.2.1:6443 has 6443"),
        (lacking("apiserver"), "apiserver", "https://192.0.2.1:6443,http://192.0.2.2", "it must be an https URL without a path"),
        (lacking("apiserver"), "apiserver", "https://10.68.0.1:6443", "10.68.0.1 is inside service_cidr 10.68.0.0/16"),
        (lacking("service_cidr"), "service_cidr", "10.68.0.0/16", ""),
        (lacking("service_cidr"), "service_cidr", "10.68.0.1/16", "did you mean 10.68.0.0/16?"),
        (lacking("service_cidr"), "service_cidr", "services", "it must be a network such as 10.68.0.0/16 or fd00:10:68::/108"),
        (lacking("service_cidr"), "service_cidr", "10.68.0.0/16,fd00:10:68::/108", "is of IPv4, and service_cidr of IPv4 and IPv6"),
        (lacking("service_cidr"), "service_cidr", "172.20.0.0/15", "172.20.0.0/16 overlaps service_cidr 172.20.0.0/15"),
        (lacking("service_cidr", facts=BOTH), "service_cidr", "10.68.0.0/16, fd00:10:68::/108", ""),
        (lacking("service_cidr", facts=BOTH), "service_cidr", "10.68.0.0/16", "is of IPv4 and IPv6, and service_cidr of IPv4"),
        (lacking("pod_cidr"), "pod_cidr", "10.68.128.0/17", "10.68.128.0/17 overlaps service_cidr"),
        (lacking("pod_cidr", facts=SIX), "pod_cidr", "172.20.0.0/16", "is of IPv4, and service_cidr of IPv6"),
        (lacking("dns_address"), "dns_address", "10.68.0.2", ""),
        (lacking("dns_address"), "dns_address", "10.1.1.1", "10.1.1.1 is outside service_cidr 10.68.0.0/16"),
        (lacking("dns_address"), "dns_address", "10.68.0.1", "is the address of the Service 'kubernetes'"),
        (lacking("dns_address"), "dns_address", "kube-dns", "it must be an IPv4 or IPv6 address"),
        (lacking("dns_address", facts=SIX), "dns_address", "10.68.0.2", "is of IPv4, which Services have not"),
        # What was guessed gives way to what somebody knows.
        ({**lacking("dns_address"), "service_cidr": GUESSED}, "dns_address", "10.68.9.2", ""),
        (lacking("service_cidr", "pod_cidr", "dns_address"), "dns_address", "10.1.1.1", ""),
    ],
)  # fmt: skip
def test_an_answer_is_judged_at_once(
    facts: dict[str, Fact], key: str, answer: str, reason: str
) -> None:
    found = refusal(facts, key, value_of(key, answer))
    assert reason in found
    assert bool(reason) == bool(found)
    assert "\n" not in found


def test_commas_separate_apiservers_alone() -> None:
    several: Any = ["https://192.0.2.1", "https://192.0.2.2"]
    assert value_of("apiserver", "https://192.0.2.1, https://192.0.2.2") == several
    assert value_of("apiserver", "https://192.0.2.1") == "https://192.0.2.1"
    assert value_of("pod_cidr", "a,b") == "a,b"


NAMED = Host("n1", "n1.example.org")


@pytest.mark.parametrize(
    ("facts", "host", "answer", "reason"),
    [
        (FOUND, NAMED, "192.0.2.11", ""),
        (FOUND, NAMED, "n1", "it must be an IPv4 or IPv6 address"),
        (FOUND, NAMED, "192.0.2.11/24", "it must be an IPv4 or IPv6 address"),
        (FOUND, NAMED, "10.68.0.9", "10.68.0.9 is inside service_cidr 10.68.0.0/16; the two must not overlap"),
        (FOUND, NAMED, "172.20.0.9", "172.20.0.9 is inside pod_cidr"),
        (FOUND, NAMED, "192.0.2.11,2001:db8::11", "2001:db8::11 is left out of ip, for Services are of IPv4 alone"),
        (FOUND, NAMED, "192.0.2.11,192.0.2.12", "it has two values of IPv4"),
        (BOTH, NAMED, "192.0.2.11, 2001:db8::11", ""),
        (BOTH, NAMED, "2001:db8::11,192.0.2.11", ""),
        (BOTH, Host("n1", "192.0.2.11", seen=("2001:db8::11",)), "192.0.2.11", "Services have IPv4 and IPv6, and no IPv6 address of it is known"),
        (BOTH, NAMED, "192.0.2.11,fe80::11", "fe80::11 is a link-local address, which no kubelet serves on"),
        (SIX, NAMED, "2001:db8::11", ""),
        (SIX, NAMED, "192.0.2.11", "192.0.2.11 is left out of ip, for Services are of IPv6 alone"),
        (SIX, NAMED, "fe80::11%eth0", "it must be an IPv4 or IPv6 address; without an interface"),
        (lacking("dns_address"), NAMED, "192.0.2.11", ""),
        (lacking("service_cidr"), NAMED, "2001:db8::11", ""),
    ],
)  # fmt: skip
def test_an_address_of_a_host_is_judged_at_once(
    facts: dict[str, Fact], host: Host, answer: str, reason: str
) -> None:
    found = refusal_of_ip(facts, host, answer)
    assert reason in found
    assert bool(reason) == bool(found)
