"""Paths as people write them, with their home directories or one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from fabnode.util.errors import InputError
from fabnode.util.typed_paths import typed_path


def test_a_home_directory_is_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert typed_path("~/ca.pem") == Path("/home/me/ca.pem")
    assert typed_path("a/~b") == Path("a/~b")


@pytest.mark.parametrize(
    ("text", "option", "sentence"),
    [
        ("~nobody-here/k", "--key", "--key ~nobody-here/k: no user of this machine has that home"),
        ("~nobody-here/k", "", "~nobody-here/k: no user of this machine has that home directory"),
        ("a\0b", "", r"'a\x00b': no path has such characters"),
        ("a\ud800b", "", r"'a\ud800b': no path has such characters"),
    ],
)
def test_what_is_no_path_is_refused(text: str, option: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        typed_path(text, option)
    assert caught.value.message.startswith(sentence)
    assert caught.value.advice
