"""A machine that cannot carry a lab is told why, in one sentence."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from lab import support


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend a machine that can, whatever this one is."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(support, "_capabilities", lambda: (1 << 41) - 1)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(support, "_why_no_overlay", lambda _: None)


def test_an_able_machine_gets_no_message(tmp_path: Path) -> None:
    assert support.why_not(tmp_path) is None


def test_no_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in str(support.why_not(tmp_path))


def test_root_of_a_container_without_capabilities(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(support, "_capabilities", lambda: 0xA80425FB)  # docker's default
    assert "CAP_NET_ADMIN" in str(support.why_not(tmp_path))


@pytest.mark.parametrize("missing", ["systemd-nspawn", "mmdebstrap", "ip"])
def test_a_missing_program_comes_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == missing else name)
    reason = str(support.why_not(tmp_path))
    assert missing in reason
    assert "bootstrap.sh" in reason


def test_another_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert support.why_not(tmp_path) == "a lab needs Linux"
