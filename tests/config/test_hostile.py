"""Whatever a file holds, loading gives a Config or a ConfigError that can be printed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fabnode.config.loader import load
from fabnode.config.schema import schema
from fabnode.util.problems import ConfigError
from tests.support import DOCUMENT, write_cluster

_LIMITS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_KEYS = sorted(
    {
        key
        for definition in [schema(), *schema()["$defs"].values()]
        for key in definition.get("properties", {})
    }
    - {"command"}  # of a list of nodes: it would be run
)

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.binary(max_size=20)
    | st.sampled_from(["~", "~x/y", "https://[", "1.2.3", "10.0.0.0/8", "a:b", "=", "\x00", "/"])
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=25,
)


def survives(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = write_cluster(Path(directory))
        path.write_bytes(content)
        error = refusal(path)
        if error is None:
            return
        assert error.problems
        for line, problem in zip(str(error).split("\n"), error.problems, strict=True):
            assert line == str(problem)
            assert line.isprintable()
            assert problem.file == str(path)


def refusal(path: Path) -> ConfigError | None:
    try:
        load(path, artifacts=True)
    except ConfigError as error:
        return error
    return None


@_LIMITS
@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbfa: 1")
@example(b"\xff\xfea\x00:\x00 \x001\x00")
@example(b'a: "\\ud800"')
@example(b'"\\ud800": 1')
@example(b"%YAML 9.9\n---\na: 1")
@example(b"'[key]': 1")
@example(b"groups: {'[key]': {'[key]': 1}}")
@example(b"a: 1:1:1:1:1:1:1:1:1:1:1:1:1:1:1.5")
@example(b"a: " + b"9" * 5000)
@example(b"a: 0x" + b"f" * 5000)
@example(b"a: " + b"1:1" * 1000)
def test_no_bytes_do_more_than_be_refused(content: bytes) -> None:
    survives(content)


@_LIMITS
@given(st.text(alphabet="{}[]:,-&*!|>?'\"%@#<~ \nab01.", max_size=60))
def test_no_yaml_does_more_than_be_refused(text: str) -> None:
    survives(text.encode())


@_LIMITS
@given(_VALUES)
def test_no_values_do_more_than_be_refused(value: object) -> None:
    survives(yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass"))


@_LIMITS
@given(
    parts=st.dictionaries(st.sampled_from(_KEYS), _VALUES, min_size=1, max_size=3),
    in_a_node=st.booleans(),
)
def test_a_good_file_with_bad_parts_is_refused_in_words(
    parts: dict[str, Any],
    in_a_node: bool,
) -> None:
    document = {**DOCUMENT, **({} if in_a_node else parts)}
    if in_a_node:
        document["nodes"] = [{**DOCUMENT["nodes"][0], **parts}, *DOCUMENT["nodes"][1:]]
    survives(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


@_LIMITS
@given(st.text(min_size=12, max_size=40, alphabet="qwxyz0123456789"))
def test_a_secret_written_where_none_belongs_is_not_repeated(secret: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = write_cluster(Path(directory), ssh={"password": secret, "sudo_password": [secret]})
        error = refusal(path)
        assert error is not None
        assert secret not in str(error)
