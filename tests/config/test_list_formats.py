"""Tables and documents are read as those mean them who write them, each value with its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fabnode.config import csv_reader, listing
from fabnode.config.json_reader import JsonReader
from fabnode.util.problems import ConfigError

_LIMITS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def cells(text: str) -> list[dict[str, str]]:
    return [row.cells for row in csv_reader.parse(text, "l.csv").rows]


@pytest.mark.parametrize(
    "text",
    [
        "name,address\nn1,192.0.2.1\n",
        "name;address\nn1;192.0.2.1",
        "name\taddress\r\nn1\t192.0.2.1\r\n",
        "name,address\rn1,192.0.2.1\r",
        " name , address \n n1 , 192.0.2.1 \n",
        '"name","address"\n"n1","192.0.2.1"\n',
        'name, "address"\nn1, "192.0.2.1"\n',
        "\n# hosts, of rack 7\n\nname,address\n  # the first\nn1,192.0.2.1\n\n , \n",
        "sep=;\nname;address\nn1;192.0.2.1\n",
        "sep=|\nname|address\nn1|192.0.2.1\n",
        "name,address,\nn1,192.0.2.1,,,\n",
        '"name;x,y;z",address\nn1,192.0.2.1\n'.replace("name;x,y;z", "name"),
    ],
)
def test_a_table_is_read_however_it_was_written(text: str) -> None:
    assert cells(text) == [{"name": "n1", "address": "192.0.2.1"}]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('a,b\n"x,y","say ""no"""\n', [{"a": "x,y", "b": 'say "no"'}]),
        ('a,b\n"x\n# y\n\nz",1\n', [{"a": "x\n# y\n\nz", "b": "1"}]),
        ('"a;1;2;3",b\nx,y\n', [{"a;1;2;3": "x", "b": "y"}]),
        ("a\nx\ny\n", [{"a": "x"}, {"a": "y"}]),
        ("a,b,c\nx\n", [{"a": "x"}]),
        ("a,b\nx\u2028y,\x0cz\n", [{"a": "x\u2028y", "b": "z"}]),
    ],
)
def test_cells_are_what_stands_in_them(text: str, found: list[dict[str, str]]) -> None:
    assert cells(text) == found


def test_rows_know_the_line_where_they_begin() -> None:
    table = csv_reader.parse('#\na,b\n\n"x\ny",1\n# c\nz,2\r\n"q\r\nr",3\n', "l.csv")
    assert (table.line, [row.line for row in table.rows]) == (2, [4, 7, 8])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "l.csv: is empty; its first row names its columns: name,address"),
        ("# a\n", "l.csv: is empty; its first row"),
        ("a,b,a\n", "l.csv:1: a: two columns have this name; rename one of them"),
        ("a,b\n1,2,3\n", "l.csv:2: has 3 cells, but the header 2; put a cell that has the separ"),
        ("a,,b\n1,2,3\n", "l.csv:2: has a cell below a column without a name; name the column"),
        ('a,b\n1,2\n"x,y\n', "l.csv:3: is not valid CSV: unexpected end of data"),
        ('a,b\n"x"y,1\n', "l.csv:2: is not valid CSV: ',' expected after '\"'"),
        ("a,b\n" + "x" * 200_000, "l.csv:2: is not valid CSV: field larger than field limit"),
    ],
)
def test_what_is_no_table_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        csv_reader.parse(text, "l.csv")
    assert str(refused.value).startswith(message)


def test_json_has_a_line_for_each_value() -> None:
    text = '\n{"a": [1,\n  {"b": null,\n   "c": "x"}],\n "d": {}}\n'
    reader = JsonReader(text, "l.json")
    assert reader.document() == json.loads(text)
    assert reader.lines == {
        (): 2,
        ("a",): 2,
        ("a", 0): 2,
        ("a", 1): 3,
        ("a", 1, "b"): 3,
        ("a", 1, "c"): 4,
        ("d",): 5,
    }
    assert reader.texts == {("a", 0): "1", ("a", 1, "b"): "null"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1 2]", "l.json:1: is not valid JSON: a comma or ] is missing"),
        ("[1,\n]", "l.json:2: is not valid JSON: Expecting value"),
        ('{"a": 1,\n}', "l.json:2: is not valid JSON: a key in double quotes is missing"),
        ("{'a': 1}", "l.json:1: is not valid JSON: a key in double quotes is missing"),
        ('{"a" 1}', "l.json:1: is not valid JSON: a colon is missing after a key"),
        ('["a\nb"]', "l.json:1: is not valid JSON: Invalid control character at"),
        ("[]\n[]", "l.json:2: is not valid JSON: it goes on after its end"),
        ('{"a": 1,\n"a": 2}', "l.json:2: has 'a' twice: first in line 1"),
        ("[NaN]", "l.json:1: is not valid JSON"),
        ("[-Infinity]", "l.json:1: is not valid JSON"),
        ('["\\ud800"]', "l.json:1: holds characters that are not Unicode text"),
        ("9" * 5000, "l.json:1: is not valid JSON"),
        ("[" * 100_000, "l.json:1: is nested deeper than 50 levels"),
        ("[" + "0," * 200_000 + "0]", "l.json: holds more than 200000 values"),
    ],
)
def test_what_is_no_json_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        JsonReader(text, "l.json").document()
    assert str(refused.value).startswith(message)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@_LIMITS
@given(_JSON, st.sampled_from([None, 1]), st.booleans())
def test_json_is_read_as_python_reads_it(
    value: object, indent: int | None, ensure_ascii: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)
    assert JsonReader(text, "l.json").document() == json.loads(text)


@pytest.mark.parametrize("kind", ["csv", "json", "text"])
def test_a_byte_order_mark_is_no_part_of_the_first_word(kind: Any) -> None:
    content = {"csv": "name\nn1\n", "json": '[{"name": "n1"}]', "text": "n1\n"}[kind]
    found = listing.parse(f"\ufeff{content}".encode(), "l", kind)
    assert found.value == (["n1"] if kind == "text" else [{"name": "n1"}])


@pytest.mark.parametrize("kind", ["csv", "json", "text"])
def test_text_in_another_encoding_is_refused_with_its_line(kind: Any) -> None:
    with pytest.raises(ConfigError, match=r"l:2: is no text in UTF-8"):
        listing.parse("name\nMüller\n".encode("latin-1"), "l", kind)


@_LIMITS
@given(st.binary(max_size=200), st.sampled_from(["csv", "json", "yaml", "text"]))
def test_no_bytes_do_more_than_be_refused(content: bytes, kind: Any) -> None:
    reported = ""
    try:
        listing.parse(content, "l", kind)
    except ConfigError as error:
        reported = str(error)
    assert all(line.isprintable() for line in reported.split("\n"))
