"""Links between pages lead somewhere, and both READMEs name the same commands."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from .library.error_tree import SHOWN, tree
from .library.examples import LIBRARY
from .options_table import PAGE, tables
from .options_table import SHOWN as SHOWN_OPTIONS

ROOT = Path(__file__).parents[1]
TRACKED = subprocess.run(
    ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split()
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAMED_TEST = re.compile(r"(?<![\w./-])tests/[\w/-]+(?:\.\w+)*")
COMMAND = re.compile(r"^(make|inv|cp|python3) [^\n#]*?(?=\s*(?:#|$))", re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """Return the fragments that the headings of a page answer to, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def commands(path: Path) -> list[str]:
    """Return the commands in a page's shell blocks, in their order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    return [match[0].rstrip() for block in blocks for match in COMMAND.finditer(block)]


@pytest.mark.parametrize("name", TRACKED)
def test_relative_links_lead_to_files_and_headings(name: str) -> None:
    page = ROOT / name
    for target in LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name}: {target}"
        assert not fragment or fragment in anchors(linked), f"{name}: {target}"


@pytest.mark.parametrize("name", TRACKED)
def test_tests_that_a_page_names_are_there(name: str) -> None:
    for path in NAMED_TEST.findall((ROOT / name).read_text()):
        assert (ROOT / path).exists(), f"{name}: {path}"


def test_both_readmes_name_the_same_commands() -> None:
    english = commands(ROOT / "README.md")
    assert len(english) > 7
    assert commands(ROOT / "README.zh.md") == english


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    """After a class was added: `python -m tests.library.error_tree`."""
    assert SHOWN.findall(LIBRARY.read_text()) == [tree()]


def test_every_option_of_every_command_is_documented() -> None:
    """After an option was added or changed: `python -m tests.options_table`."""
    assert SHOWN_OPTIONS.findall(PAGE.read_text()) == [tables()]
