"""YAML that nodes read: a string stays one for Kubernetes' reader, too."""

from __future__ import annotations

from typing import Any

import pytest

from fabnode.util.yaml_io import dump, dump_all, parse

# What sigs.k8s.io/yaml 1.6.0 reads as a number or a boolean where it stands without quotes; see
# findings/pyyaml-strings-for-kubernetes.sh.
OTHERS = ["12e4", "5e-3", "1E5", "+1e2", "-1e2", ".5e3", "1.e5", "1.0e5", "1_0e3", "0o17", "0O17"]
OTHERS += ["08", "-09", "y", "Y", "n", "N"]


@pytest.mark.parametrize("text", [*OTHERS, "on", "0x1f", "077", "1_000", "1.30", "~", "1:30", ""])
def test_what_looks_like_something_else_is_quoted(text: str) -> None:
    assert dump({"a": text}) == f"a: '{text}'\n"
    assert dump_all([{text: 1}]) == f"'{text}': 1\n"
    assert parse(dump({text: [text]})) == {text: [text]}


@pytest.mark.parametrize(
    "text", ["10.68.0.2", "1.37.2", "1Gi", "n1", "yes1", "/etc", "e3", "1e", "12e4x", "0o8", "5m0s"]
)
def test_what_is_a_string_to_everybody_stays_plain(text: str) -> None:
    assert dump({"a": text}) == f"a: {text}\n"


@pytest.mark.parametrize("value", [0, 1, 10250, -1, 0.5, 1e20, True, False, None, [1.0], {"a": 5}])
def test_what_is_no_string_is_not_quoted(value: Any) -> None:
    text = dump({"a": value})
    assert "'" not in text
    assert parse(text) == {"a": value}
