"""What a host says of its boot: read from the program's output, and from this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fabnode.remote.boot_state import BootState, parse
from fabnode.remote.script_assembly import assemble
from fabnode.ssh.errors import HostMisbehavedError

BOOT = "54c74cf9-db36-4a62-99f0-c96875e9f762"
SAID = f"boot {BOOT}\nbooted 1795953112\nrunning 6.1.0-20-amd64\nnow 1795953200\n"


@pytest.mark.parametrize(
    ("rest", "due"),
    [
        ("installed 6.1.0-20-amd64\n", ""),
        ("installed \n", ""),  # no kernel of its own, as in a container
        ("", ""),
        (
            "installed 6.1.0-25-amd64\n",
            "kernel 6.1.0-25-amd64 is installed, 6.1.0-20-amd64 runs",
        ),
        ("installed x y\n", ""),
        (
            "installed \ndue /run/reboot-required: libc6 \ndue needs-restarting -r says so\n",
            "/run/reboot-required: libc6; needs-restarting -r says so",
        ),
    ],
)
def test_what_is_due(rest: str, due: str) -> None:
    found = parse("n1", f"{SAID}{rest}".encode())
    assert (found.boot, found.booted, found.running) == (BOOT, 1795953112.0, "6.1.0-20-amd64")
    assert found.due == due
    assert (found.now, found.machine) == (1795953200.0, "")


@pytest.mark.parametrize(
    "output",
    [
        *(
            "",
            "boot \n",
            SAID.replace(BOOT, "x"),
            SAID.replace("1795953112", "-1"),
            "running 6.1\n",
        ),
        SAID.replace("now 1795953200", "now ?"),
    ],
)
def test_what_names_no_boot_is_not_believed(output: str) -> None:
    with pytest.raises(HostMisbehavedError, match="it names no boot"):
        parse("n1", output.encode())


def test_a_host_that_says_too_much_is_cut() -> None:
    found = parse("n1", (SAID + "due x\x1b[31m\n" + ("due " + "y" * 900 + "\n") * 50).encode())
    assert len(found.marks) == 4
    assert found.due.isprintable()
    assert len(found.due) < 1000


def test_the_program_tells_of_this_machine() -> None:
    done = subprocess.run(["sh", "-s"], input=assemble("boot"), capture_output=True, check=True)
    found = parse("here", done.stdout)
    assert isinstance(found, BootState)
    assert found.boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert found.now >= found.booted
    assert found.machine == Path("/etc/machine-id").read_text().strip()
