"""Which machine a host says that it is, by the script that runs there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fabnode.node.machine_ids import MachineIds
from fabnode.remote import machine
from fabnode.remote.script_assembly import assemble
from fabnode.remote.survey_output import parse
from fabnode.ssh.errors import HostMisbehavedError

from .local import SHELLS

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_script_says_what_the_kubelet_reads(shell: list[str], tmp_path: Path) -> None:
    files = {"/etc/machine-id": "", "/sys/class/dmi/id/product_uuid": "ABC-1\n"}
    text = assemble("machine").decode()
    for number, (path, content) in enumerate(files.items()):
        (tmp_path / str(number)).write_text(content)
        text = text.replace(path, str(tmp_path / str(number)))
    text = text.replace("/var/lib/dbus/machine-id", "/dev/null/none")
    done = subprocess.run([*shell, "-c", text], capture_output=True, check=True, timeout=20)
    assert done.stdout.decode() == f"ids\t\t{BOOT}\tABC-1\n"
    assert done.stderr == b""
    (tmp_path / "0").write_text("m1\n")
    (tmp_path / "1").unlink()
    done = subprocess.run([*shell, "-c", text], capture_output=True, check=True, timeout=20)
    assert done.stdout.decode() == f"ids\tm1\t{BOOT}\tm1\n"


def host(stdout: bytes) -> Any:
    result = SimpleNamespace(stdout=stdout, stderr=b"")
    return SimpleNamespace(name="n1", root=lambda *_, **__: result)


def test_its_answer_is_read() -> None:
    assert machine.read(host(b"ids\tM1\tb1\t\n")) == MachineIds("m1", "b1", "")


@pytest.mark.parametrize("said", [b"", b"welcome\n", b"ids\tm1\n"])
def test_what_says_no_machine_is_not_believed(said: bytes) -> None:
    with pytest.raises(HostMisbehavedError, match="does not say which machine it is"):
        machine.read(host(said))


def test_a_survey_says_it_as_well() -> None:
    assert parse(b"ids\tm1\tb1\tu1\nend\tx\n", nonce="x").ids == MachineIds("m1", "b1", "u1")
