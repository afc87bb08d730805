"""Other people's files: one value changes, and not a byte besides."""

from __future__ import annotations

import difflib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabnode.audit.edit import CannotEditError, replace_line, set_flag, set_value

if TYPE_CHECKING:
    from collections.abc import Callable

_LIMITS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

CONFIG = """\
# by hand
kind: KubeletConfiguration
authentication:
  anonymous:
    enabled: true   # for monitoring
  webhook: {enabled: false, cacheTTL: 2m}
authorization:
  mode: AlwaysAllow
readOnlyPort: 10255
clusterDNS: ["10.68.0.2"]
"""
ANONYMOUS = ("authentication", "anonymous", "enabled")


def changed(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.split("\n"), after.split("\n"))
    return [line for line in lines if line[0] in "+-"]


def test_a_value_is_replaced_and_its_comment_stays() -> None:
    new = set_value(CONFIG, ANONYMOUS, False)
    assert changed(CONFIG, new) == [
        "-     enabled: true   # for monitoring",
        "+     enabled: false   # for monitoring",
    ]


@pytest.mark.parametrize(
    ("keys", "value", "line"),
    [
        (("readOnlyPort",), 0, "+ readOnlyPort: 0"),
        (("authorization", "mode"), "Webhook", "+   mode: Webhook"),
        (
            ("authentication", "webhook", "enabled"),
            True,
            "+   webhook: {enabled: true, cacheTTL: 2m}",
        ),
        (("authentication", "x509", "clientCAFile"), "/ca", "+   x509: {clientCAFile: /ca}"),
        (("failSwapOn",), True, "+ failSwapOn: true"),
        (
            ("authentication", "webhook", "x"),
            1,
            "+   webhook: {x: 1, enabled: false, cacheTTL: 2m}",
        ),
    ],
)
def test_values_in_place_and_new(keys: tuple[str, ...], value: bool | int | str, line: str) -> None:
    new = set_value(CONFIG, keys, value)
    assert line in changed(CONFIG, new)
    assert len(changed(CONFIG, new)) <= 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "a: 1\n---\na: 2\n",
        "a: [",
        "authentication: &x\n  anonymous: *x\n",
        "authentication:\n  anonymous: {enabled: true}\nauthentication:\n  x509: {}\n",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(CannotEditError):
        set_value(text, ANONYMOUS, False)


@pytest.mark.parametrize(
    "text", ["authentication:\nx: 1\n", "authentication: null\n", "authentication: {}\n", "x: {}\n"]
)
def test_empty_places_are_filled_or_refused(text: str) -> None:
    try:
        new = set_value(text, ANONYMOUS, False)
    except CannotEditError:
        return
    assert yaml.safe_load(new)["authentication"] == {"anonymous": {"enabled": False}}


_KEYS = st.sampled_from(["authentication", "anonymous", "enabled", "a", "b", "x y", "1"])
_DOCUMENTS = st.dictionaries(
    _KEYS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@_LIMITS
@given(_DOCUMENTS, st.booleans() | st.none(), st.lists(_KEYS, min_size=1, max_size=3))
def test_any_document_is_changed_there_alone_or_refused(
    document: dict[str, Any], style: bool | None, keys: list[str]
) -> None:
    text = yaml.safe_dump(document, default_flow_style=style, sort_keys=False)
    try:
        new = yaml.safe_load(set_value(text, tuple(keys), 7))
    except CannotEditError:
        return
    inner = new
    for key in keys[:-1]:
        inner = inner[key]
    assert inner[keys[-1]] == 7
    assert {k: v for k, v in new.items() if k != keys[0]} == {
        k: v for k, v in document.items() if k != keys[0]
    }


@_LIMITS
@given(st.text(max_size=200))
def test_any_text_is_changed_or_refused(text: str) -> None:
    edits: tuple[Callable[[], object], ...] = (
        lambda: set_value(text, ANONYMOUS, False),
        lambda: set_flag(text, "kubelet", "anonymous-auth", False),
        lambda: replace_line(text, "a", "b"),
    )
    for edit in edits:
        with suppress(CannotEditError):
            edit()


UNIT = """\
[Service]
#ExecStart=/usr/bin/kubelet --anonymous-auth=true
ExecStart=/root/local/bin/kubelet \\
  --anonymous-auth=true \\
  --read-only-port 10255 \\
  --fail-swap-on \\
  --v=2
Restart=always
"""


@pytest.mark.parametrize(
    ("flag", "value", "line"),
    [
        ("anonymous-auth", False, "+   --anonymous-auth=false \\"),
        ("read-only-port", 0, "+   --read-only-port=0 \\"),
        ("fail-swap-on", True, "+   --fail-swap-on=true \\"),
        ("v", 3, "+   --v=3"),
        (
            "client-ca-file",
            "/a/ca.pem",
            "+ ExecStart=/root/local/bin/kubelet --client-ca-file=/a/ca.pem \\",
        ),
    ],
)
def test_flags_in_place_and_new(flag: str, value: bool | int | str, line: str) -> None:
    new = set_flag(UNIT, "kubelet", flag, value)
    assert line in changed(UNIT, new)
    assert len([c for c in changed(UNIT, new) if c[0] == "+"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[Service]\nExecStart=/bin/sh -c 'exec kubelet'\n",
        "[Service]\nExecStart=/usr/bin/kubelet\nExecStart=/usr/bin/kubelet --v=1\n",
        "[Service]\nExecStart=\n",
        "[Service]\nExecStart=/usr/bin/kubelet '--anonymous-auth=true'\n",
    ],
)
def test_command_lines_that_are_not_understood_are_refused(text: str) -> None:
    with pytest.raises(CannotEditError):
        set_flag(text, "kubelet", "anonymous-auth", False)


def test_a_value_that_would_need_quotes_is_refused() -> None:
    with pytest.raises(CannotEditError):
        set_flag(UNIT, "kubelet", "client-ca-file", "/a b")


def test_lines() -> None:
    assert replace_line("a\nb\na", "a", "c") == "c\nb\nc"
    with pytest.raises(CannotEditError):
        replace_line("a", "b", "c")
