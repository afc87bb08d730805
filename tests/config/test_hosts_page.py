"""Each example of docs/hosts.md names the hosts that the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from fabnode.cli.commands import configuration
from fabnode.config.list_settings import FORMATS, ListSource
from fabnode.config.schema import NodeList
from tests.support import write_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path("docs/hosts.md")
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A configuration, the files beside it, what its command prints, and which nodes there are."""

    title: str
    config: dict[str, Any]
    files: dict[str, str]
    printed: str
    nodes: str


def examples() -> Iterator[Example]:
    """Yield what ends with a block of nodes; the blocks before it are what they are made of."""
    for section in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE):
        title = section.partition("\n")[0].strip("# ")
        config: dict[str, Any] = {}
        files: dict[str, str] = {}
        printed = ""
        for kind, name, content in _BLOCK.findall(section):
            if name == "printed":
                printed = content
            elif name:
                files[name] = content
            elif kind == "yaml":
                config = yaml.safe_load(content)
            elif kind == "text":
                yield Example(title, config, files, printed, content)
                config, files, printed = {}, {}, ""


EXAMPLES = list(examples())


def test_there_is_an_example_of_each_format_and_of_a_command() -> None:
    sources = [
        ListSource.model_validate(entry["from"])
        for example in EXAMPLES
        for entry in example.config["nodes"]
        if "from" in entry
    ]
    assert {source.format_found() for source in sources} == set(FORMATS.values())
    assert any(source.command for source in sources)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.title for example in EXAMPLES])
def test_an_example_names_the_hosts_that_it_shows(
    example: Example,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, content in example.files.items():
        (tmp_path / name).write_text(content)
    programs = tmp_path / "programs"
    programs.mkdir()
    (tmp_path / "printed").write_text(example.printed)
    for entry in example.config["nodes"]:
        if isinstance(source := entry.get("from"), dict) and "command" in source:
            program = programs / source["command"][0]
            program.write_text(f"#!/bin/sh\nexec cat {shlex.quote(str(tmp_path / 'printed'))}\n")
            program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    configuration.check(str(write_cluster(tmp_path, **example.config)))
    lines = capsys.readouterr().out.splitlines(keepends=True)
    assert "".join(line for line in lines if "@" in line) == example.nodes


def test_the_page_names_each_key_of_from() -> None:
    (table,) = re.findall(r"^## `from`$(.*?)(?=^\*\*)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    source = NodeList.model_fields["source"].annotation
    assert source is ListSource
    keys = [info.alias or name for name, info in ListSource.model_fields.items()]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == keys
