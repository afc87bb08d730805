"""
The tables of options, as docs/commands.md shows them.

`python -m tests.options_table` draws them there again after an option was added or changed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import fabfile
import tasks
from fabnode.cli.options import HELP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoke.collection import Collection
    from invoke.parser.argument import Argument

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
SHOWN = re.compile(r"(?<=^## Options\n).*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PROGRAMS: dict[str, Collection] = {"inv": tasks.ns, "fab -H HOST": fabfile.ns}


def tables() -> str:
    """Return both tables: options that many commands share, and each command's."""
    shared = [f"| `--{name}` | {_cell(text)} |" for name, text in HELP.items()]
    heads = ["| option of many commands | meaning |", "|---|---|"]
    lines = [*heads, *shared, "", "| command | options |", "|---|---|", *_commands()]
    return "\n" + "\n".join(lines) + "\n"


def _commands() -> Iterator[str]:
    for program, collection in PROGRAMS.items():
        for name in sorted(collection.task_names):
            options = [_option(argument) for argument in collection[name].get_arguments()]
            yield f"| `{program} {name}` | {'; '.join(options) or '–'} |"


def _option(argument: Argument) -> str:
    name = str(argument.name).replace("_", "-")
    meaning = _cell(argument.help or "")
    shown = name.upper() if argument.positional and argument.kind is not list else f"--{name}"
    return f"`{shown}`" if meaning == HELP.get(name) else f"`{shown}`: {meaning.removesuffix('.')}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(SHOWN.sub(lambda _: tables(), PAGE.read_text()))
