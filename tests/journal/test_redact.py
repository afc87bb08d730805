"""No secret and no control character gets through."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fabnode.journal.redact import REDACTED, Redactor, clean

PEM = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIGl\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("dirty", "tidy"),
    [
        ("plain – ü 漢字", "plain – ü 漢字"),
        ("two\r\nlines\n", "two\nlines\n"),
        ("tab\there", "tab    here"),
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("over\rwritten\x08\x00\x7f", "overwritten"),
        ("a\u202eb\u2066c\u200bd", "abcd"),
        ("a\u2028b", "a b"),
        ("half \ud800", "half \N{REPLACEMENT CHARACTER}"),
        ("cut \x1b[", "cut "),
    ],
)
def test_clean(dirty: str, tidy: str) -> None:
    """Escape sequences, controls and invisible characters go; text in any script stays."""
    assert clean(dirty) == tidy


@given(st.text())
def test_cleaned_text_cannot_drive_a_terminal(text: str) -> None:
    """Whatever comes in: no escape, no C0 or C1 control but the line end, and it is encodable."""
    cleaned = clean(text)
    assert not [c for c in cleaned if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)]
    cleaned.encode()


@pytest.mark.parametrize(
    "secret",
    ["abcdef.0123456789abcdef", PEM, PEM[:40], "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrIn0.c2lnbmF0dXJl"],
)
def test_what_looks_like_a_secret_is_blotted_out(secret: str) -> None:
    """Tokens and private keys need not be made known, cut off at the end or not."""
    text = Redactor().text(f"wrote token: {secret}")
    assert text == f"wrote token: {REDACTED}"


@pytest.mark.parametrize(
    "text",
    [
        "config.yaml changed",
        "docker.io/library/busybox:1.37.0",
        "sha256:0123456789abcdef0123456789abcdef",
        "node-1.example.org joined",
        "-----BEGIN CERTIFICATE-----",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Ordinary text is left as it is."""
    assert Redactor().text(text) == text


def test_known_values_go_wherever_they_stand() -> None:
    """A password is found in text, in base64, in nested data, in keys, between escapes."""
    redactor = Redactor(["hunter2hunter2"])
    redactor.add(b"hunter")
    assert redactor.text("pw=hunter2hunter2!") == f"pw={REDACTED}!"
    assert redactor.text("pw=hun\x1b[0mter!") == f"pw={REDACTED}!"
    encoded = base64.b64encode(b"hunter2hunter2").decode()
    assert encoded not in redactor.text(f"data: {encoded}")
    data = {"hunter": ["x", {"y": ("hunter",)}], "n": 1, "none": None, "path": PEM}
    assert redactor.data(data) == {
        REDACTED: ["x", {"y": [REDACTED]}],
        "n": 1,
        "none": None,
        "path": REDACTED,
    }


@pytest.mark.parametrize("value", ["", "a", b"abc", "\n\n\n\n\n"])
def test_values_too_short_to_be_secret_are_ignored(value: str | bytes) -> None:
    """An empty or tiny value would blot out everything."""
    assert Redactor([value.decode() if isinstance(value, bytes) else value]).text("abc") == "abc"
