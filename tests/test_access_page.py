"""docs/access.md lists the options and fields that the code has in its own lists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fabnode.kube import kubeconfig
from fabnode.ssh import client_config

PAGE = (Path(__file__).parents[1] / "docs" / "access.md").read_text()


def rows(title: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    part = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def options(verdict: str) -> set[str]:
    return {
        name.strip().lower()
        for names, reported in rows("SSH")
        if reported.startswith(verdict)
        for name in names.split(",")
    }


def test_ssh_options_are_those_of_the_code() -> None:
    assert options("honoured") == set(client_config.HONOURED)
    assert options("refused") == set(client_config.REFUSED)
    assert options("no effect") == {"all others"}
    named = re.findall(r"\b(StrictHostKeyChecking|ForwardAgent|Ciphers|ConnectTimeout)\b", PAGE)
    assert {name.lower() for name in named} <= set(client_config.IDLE)


@pytest.mark.parametrize("section", kubeconfig.HONOURED)
def test_kubeconfig_fields_are_those_of_the_code(section: str) -> None:
    (cells,) = (
        [set(re.findall(r"`([^`]+)`", c)) for c in row[1:]]
        for row in rows("kubeconfig")
        if row[0] == section
    )
    assert cells == [
        set(kubeconfig.HONOURED[section]),
        set(kubeconfig.REFUSED[section]),
        set(kubeconfig.IDLE[section]),
    ]
