"""Who answers on the kubelet's ports, and what becomes of an answer that may be another's."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from fabnode.audit.answerer import serving
from fabnode.node.examination import Asked, Evidence, Program, Provenance, Serving

from .support import (
    KUBELET_YAML,
    anchor,
    issued,
    judged,
    only,
    sound,
    text,
    with_texts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fabnode.node.examination import Anchor

PKI = "/var/lib/kubelet/pki"
CURRENT, SELF_SIGNED = f"{PKI}/kubelet-server-current.pem", f"{PKI}/kubelet.crt"
FIRST, SECOND = issued("a")[0], issued("b")[0]


def der(certificate: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate)


def host(anchors: Mapping[str, Anchor], *flags: str, yaml: str = "maxPods: 9\n") -> Evidence:
    it = with_texts({KUBELET_YAML: text(yaml)}, anchors=anchors)
    kubelet = Program(("kubelet", f"--config={KUBELET_YAML}", *flags))
    return sound(texts=it.texts, anchors=anchors, programs={"kubelet": kubelet})


def test_a_kubelet_shows_the_certificate_in_its_folder() -> None:
    both = host({CURRENT: anchor(FIRST, SECOND), SELF_SIGNED: anchor(SECOND)})
    assert serving(both) == Serving(frozenset({der(FIRST), der(SECOND)}), complete=True)
    # Of a chain the first: the key of another in it makes nobody this kubelet.
    chain = host({CURRENT: anchor(FIRST, SECOND)})
    assert serving(chain) == Serving(frozenset({der(FIRST)}), complete=True)


def test_or_where_its_settings_say() -> None:
    elsewhere = host({"/k/kubelet.crt": anchor(FIRST), CURRENT: anchor(SECOND)}, "--cert-dir=/k")
    assert serving(elsewhere).known == {der(FIRST)}
    named = host({"/k.pem": anchor(FIRST)}, yaml="tlsCertFile: /k.pem\n")
    assert serving(named) == Serving(frozenset({der(FIRST)}), complete=True)
    flag = host({"/k.pem": anchor(FIRST)}, "--tls-cert-file=/k.pem")
    assert serving(flag).known == {der(FIRST)}


@pytest.mark.parametrize(
    "unknown",
    [
        host({}),
        host({CURRENT: anchor(FIRST, provenance=Provenance.OTHERS_MAY_WRITE)}),
        host({CURRENT: anchor(FIRST)}, yaml="tlsCertFile: /gone.pem\n"),
        host({CURRENT: anchor()}),
        host({CURRENT: anchor(FIRST)}, "--config-dir=/d"),
        Evidence(),
    ],
)
def test_what_others_may_write_and_what_is_not_known_proves_nothing(unknown: Evidence) -> None:
    assert not serving(unknown).complete


def test_another_in_the_kubelets_place_is_a_finding() -> None:
    found = only(judged(sound(), Asked(pods=None, read_only=0, redirected=(10250,))))
    assert (found.check, found.severity, found.subject) == (
        "foreign-listener",
        "medium",
        "port 10250",
    )
    assert "hostPort" in found.text


@pytest.mark.parametrize("port", [10250, 10255])
def test_an_answer_that_nothing_proves_is_no_reason_for_silence(port: int) -> None:
    asked = Asked(pods=401 if port == 10255 else None, read_only=None, unproven=(port,))
    found = only(judged(sound(), asked))
    assert (found.check, found.severity) == ("unseen", "medium")
    assert f":{port}" in found.text
