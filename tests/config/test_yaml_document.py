# ruff: noqa: E501 - one line per case reads best
"""YAML as people write it, and as they should not: lines, doubles, aliases, broken files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fabnode.config.yaml_document import Document, parse, read
from fabnode.util.problems import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

ADVICE = (
    "name another with --config or FABNODE_CONFIG, or start from what `inv config.example` prints"
)


def parsed(text: str) -> Document:
    return parse(text.encode(), "c.yml")


def refused(content: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(content, "c.yml")
    return str(caught.value)


def test_every_key_and_item_knows_its_line() -> None:
    document = parsed("a:\n  b: 1\n\n  c:\n    - x\n    - y: 2\n")
    assert document.value == {"a": {"b": 1, "c": ["x", {"y": 2}]}}
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
        ("a", "c", 1): 6,
        ("a", "c", 1, "y"): 6,
    }


def test_what_is_not_in_the_file_gets_the_line_of_what_is_around_it() -> None:
    document = parsed("a: 1\nb:\n  c: {}\n")
    assert document.line(("b", "c", "absent", "x")) == 3
    assert document.line(("absent",)) == 1


def test_list_items_with_a_name_go_by_it() -> None:
    document = parsed("nodes:\n- {name: n1, x: 1}\n- {x: 1}\n- {name: 5}\n")
    assert document.key(("nodes", 0, "x")) == "nodes[n1].x"
    assert document.key(("nodes", 1, "x")) == "nodes[1].x"
    assert document.key(("nodes", 2)) == "nodes[2]"


def test_a_key_that_stands_twice_is_refused_wherever_it_is() -> None:
    document = parsed("a: 1\nnodes:\n- name: n1\n  x: 1\n  x: 2\na: 3\n")
    assert [str(problem) for problem in document.problems] == [
        "c.yml:5: nodes[n1].x: appears twice: first in line 4",
        "c.yml:6: a: appears twice: first in line 1",
    ]


def test_aliases_and_merge_keys_are_followed() -> None:
    document = parsed(
        "base: &base {user: ops, port: 22}\n"
        "other: &other {port: 2222, gateway: g}\n"
        "one: *base\n"
        "two: {<<: *base, port: 23}\n"
        "three:\n  <<: [*base, *other]\n"
    )
    assert document.problems == ()
    assert document.value["one"] == {"user": "ops", "port": 22}
    assert document.value["two"] == {"user": "ops", "port": 23}
    assert document.value["three"] == {"user": "ops", "port": 22, "gateway": "g"}
    assert document.line(("three", "gateway")) == 2


def test_numbers_booleans_and_null_remember_how_they_were_written() -> None:
    document = parsed("a: NO\nb: 0x10\nc: ~\nd: 'NO'\n")
    assert document.value == {"a": False, "b": 16, "c": None, "d": "NO"}
    assert document.texts == {("a",): "NO", ("b",): "0x10", ("c",): "~"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 2020-01-01", 'a: must be text, a number, true or false; put it in quotes: "2020-01-01"'),
        ("a: !!binary aGk=", 'a: must be text, a number, true or false; put it in quotes: "aGk="'),
        ("a: !x y", 'a: must be text, a number, true or false; put it in quotes: "y"'),
        ("a: !!int x", "a: is not a valid int"),
        ("a: !!bool x", "a: is not a valid bool"),
        ("a: .inf", "a: must be a finite number, got '.inf'"),
        ("a: .nan", "a: must be a finite number, got '.nan'"),
        ("a: !!set {x, y}", "a: has the unknown tag tag:yaml.org,2002:set"),
        ("a: !!python/object:os.x {}", "a: has the unknown tag tag:yaml.org,2002:python/object:os.x"),
        ("a: {1: x}", 'a: keys must be text, got 1; put it in quotes: "1"'),
        ("a: {on: x}", 'a: keys must be text, got on; put it in quotes: "on"'),
        ("a: {2020-01-01: x}", 'a: keys must be text, got 2020-01-01; put it in quotes: "2020-01-01"'),
        ("a: {? , b: c}", "a: keys must be text, got nothing"),
        ("a: {~: x}", 'a: keys must be text, got ~; put it in quotes: "~"'),
        ("a: {[x]: y}", "a: keys must be text, got a list"),
        ("a: {? {x: y} : z}", "a: keys must be text, got a mapping"),
        ("a: &a [*a]", "a[0]: is an alias that contains itself"),
        ("a: &a {<<: *a}", "a: << must be an alias of a mapping"),
        ("a: {<<: 1}", "a: << must be an alias of a mapping"),
    ],
)  # fmt: skip
def test_what_settings_are_not_made_of_is_named(text: str, sentence: str) -> None:
    line = 1 + text.count("\n")
    assert [str(problem) for problem in parsed(text).problems] == [f"c.yml:{line}: {sentence}"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a: [1, 2\nb: 3\n", 2),
        (b"a:\n\tb: 1\n", 2),
        (b"a: 1\n b: 2\n", 2),
        (b"a: *nowhere\n", 1),
        (b"a: 'x\n", 2),
        (b"a: 1\n---\nb: 2\n", 2),
    ],
)
def test_broken_yaml_is_reported_with_its_line(content: bytes, line: int) -> None:
    assert refused(content).startswith(f"c.yml:{line}: is not valid YAML: ")


@pytest.mark.parametrize(
    "content", [b"a: \xff\xfe\x00", b"a: \x00", b"\xff\xfe\xfa", b"a: \x1b[31m"]
)
def test_bytes_that_are_not_text_are_reported(content: bytes) -> None:
    messages = refused(content)
    assert "is not valid YAML: " in messages
    assert messages.isprintable()


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n", b"---\n"])
def test_an_empty_file_is_reported(content: bytes) -> None:
    assert refused(content) in {
        f"c.yml: is empty; {ADVICE}",
        "c.yml:1: must be a mapping at its top level, got nothing; name another with --config or FABNODE_CONFIG, or start from what `inv config.example` prints",
    }


@pytest.mark.parametrize(
    ("content", "got"), [(b"- a\n", "a list"), (b"text\n", "'text'"), (b"5", "5")]
)
def test_the_top_is_a_mapping(content: bytes, got: str) -> None:
    messages = refused(content)
    assert (
        messages
        == f"c.yml:1: must be a mapping at its top level, got {got}; name another with --config or FABNODE_CONFIG, or start from what `inv config.example` prints"
    )


def test_nesting_without_end_is_refused_before_it_is_followed() -> None:
    assert refused(b"a: " + b"[" * 100_000) == "c.yml:1: is nested deeper than 50 levels"
    assert refused(b"a: " + b"{x: " * 60 + b"1" + b"}" * 60).endswith("deeper than 50 levels")


def test_aliases_of_aliases_do_not_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    messages = "c.yml: holds more than 200000 values after expansion of its aliases"
    assert refused("\n".join(lines).encode()) == messages


def test_merge_keys_of_merge_keys_do_not_take_for_ever() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 48)]
    messages = "c.yml: holds more than 200000 values after expansion of its aliases"
    assert refused("\n".join(lines).encode()) == messages


def test_a_chain_of_aliases_deeper_than_the_stack_is_refused() -> None:
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 3000))]
    assert refused("\n".join(lines).encode()).endswith("is nested deeper than 50 levels")


def test_a_missing_file_is_reported_with_alternatives(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yml"
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(caught.value) == f"{path}: no such file; {ADVICE}"


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (tmp_path, fifo):
        with pytest.raises(ConfigError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: is not a regular file; {ADVICE}"


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yml"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(ConfigError, match=r"is larger than 4 MiB: not a configuration"):
        read(path)
