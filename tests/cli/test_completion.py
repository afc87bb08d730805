"""Words complete in a shell, and what only shows help runs nothing that a configuration names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import write_cluster

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent

# What bash does for a Tab after the words: the function that `complete` was given for the program
# gets the program, the word and the one before it.
TAB = """
eval "$("$1" --print-completion-script bash)" || exit
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
found=$(complete -p "$1" | sed 's/.* -F \\([^ ]*\\).*/\\1/')
"$found" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
echo "${COMPREPLY[@]}"
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a folder with the programs, `fabnode` as it is where it is installed."""
    for name in ("inv", "invoke", "fab"):
        (tmp_path / name).symlink_to(PROGRAMS / name)
    fabnode = tmp_path / "fabnode"
    fabnode.write_text(f'#!/bin/sh\nexec {sys.executable} -m fabnode "$@"\n')
    fabnode.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("inv dep", "deploy-nodes"),
        ("inv config.s", "config.schema config.show"),
        ("inv deploy-nodes --l", "--limit"),
        ("inv deploy-nodes --limit n", ""),  # bash's own then completes names of files
        ("fab -H n1 sta", "status"),
        ("fab -H n1 drain --dr", "--dry-run"),
        ("fabnode dep", "deploy-nodes"),
    ],
)
def test_words_complete_in_bash(programs: Path, line: str, completed: str) -> None:
    done = subprocess.run(
        ["bash", "-c", TAB, "bash", *line.split()],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.strip(), done.stderr) == (completed, "")


@pytest.mark.parametrize("program", ["inv", "fab", "fabnode"])
def test_the_script_is_for_the_program_that_printed_it(programs: Path, program: str) -> None:
    done = subprocess.run(
        [programs / program, "--print-completion-script", "bash"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (words,) = re.findall(r"^complete -F \w+ -o default (.+)$", done.stdout, re.MULTILINE)
    assert program in words.split()


@pytest.mark.parametrize(
    ("words", "runs"),
    [
        ("--list", False),
        ("--help deploy-nodes", False),
        ("--complete -- inv deploy-nodes --l", False),
        ("explain nodes.from", False),
        ("config.check", True),
    ],
)
def test_only_what_needs_the_nodes_runs_a_command_that_lists_them(
    tmp_path: Path, words: str, runs: bool
) -> None:
    ran = tmp_path / "ran"
    command = ["sh", "-c", f"touch {ran}; echo '[\"n1 192.0.2.1\"]'"]
    path = write_cluster(tmp_path, nodes=[{"from": {"command": command}}])
    subprocess.run(
        [PROGRAMS / "inv", *words.split()],
        cwd=ROOT,
        env={**os.environ, "FABNODE_CONFIG": str(path)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert ran.exists() == runs
