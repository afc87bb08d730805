"""A unit that dies while something is awaited of it is reported with its own last lines."""

from __future__ import annotations

import shlex
import subprocess
from typing import Any

import pytest

from fabnode.remote.unit_monitor import UnitMonitor
from fabnode.ssh.errors import ApplyError
from fabnode.ssh.exec import Result

UNIT = "kubelet.service"
JOURNAL = b"""I1123 19:48:34.618763    6375 server.go:1502] "Starting"
E1123 19:48:34.623550    6375 run.go:72] "command failed" err="no such flag"
kubelet.service: Main process exited, code=exited, status=1/FAILURE
Failed to start kubelet.service - Kubernetes kubelet.
kubelet.service: Scheduled restart job, restart counter is at 2.
Stopped Kubernetes kubelet.
Started kubelet.service - Kubernetes kubelet.
"""


class Host:
    """A host whose unit is seen like this, reading by reading."""

    name = "n1"

    def __init__(self, *states: tuple[str, int]) -> None:
        self.answers = [
            f"ActiveState={a}\nSubState=auto-restart\nNRestarts={n}\n" for a, n in states
        ]

    def root(self, script: str) -> Result:
        answer = JOURNAL if "journalctl" in script else self.answers.pop(0).encode()
        return Result(0, answer, b"")


@pytest.mark.parametrize(
    "states",
    [
        [("active", 0), ("active", 0)],
        [("activating", 0), ("active", 1), ("active", 1)],
        [("active", 7), ("active", 7)],  # what was before is forgiven
    ],
)
def test_a_unit_that_stays_up_is_let_be(states: list[tuple[str, int]]) -> None:
    host: Any = Host(*states)
    monitor = UnitMonitor(host, UNIT)
    for _ in states:
        monitor()


def test_of_several_units_the_one_that_dies_is_named() -> None:
    states = [
        "ActiveState=active\nSubState=running\nNRestarts=0\n\n"
        f"ActiveState=activating\nSubState=auto-restart\nNRestarts={n}\n"
        for n in (75, 77)
    ]
    commands: list[str] = []

    class Two(Host):
        def root(self, script: str) -> Result:
            commands.append(script)
            answer = JOURNAL if "journalctl" in script else states.pop(0).encode()
            return Result(0, answer, b"")

    host: Any = Two()
    monitor = UnitMonitor(host, UNIT, ["kube-proxy.service"])
    monitor()
    with pytest.raises(ApplyError, match=r"kube-proxy\.service does not stay up") as caught:
        monitor()
    assert caught.value.unit == "kube-proxy.service"
    assert len(commands) == 3  # one for each check, and one for its journal


@pytest.mark.parametrize(
    "states",
    [
        [("activating", 0), ("activating", 1), ("activating", 2)],
        [("active", 3), ("active", 5)],
        [("failed", 0)],
        [("active", 0), ("inactive", 0)],
    ],
)
def test_a_unit_that_does_not_stay_up_is_an_error(states: list[tuple[str, int]]) -> None:
    host: Any = Host(*states)
    monitor = UnitMonitor(host, UNIT)
    for _ in states[:-1]:
        monitor()
    with pytest.raises(ApplyError) as caught:
        monitor()
    active, restarts = states[-1]
    assert caught.value.message == (
        f"kubelet.service does not stay up: it is {active} (auto-restart), started again"
        f' {restarts} times; its last line: "command failed" err="no such flag"'
    )
    assert caught.value.advice == "fab -H n1 logs --unit kubelet"
    assert "Main process exited" in caught.value.detail


def test_a_panic_is_quoted_instead_of_the_last_line_of_its_stack() -> None:
    stack = ["", "goroutine 1 [running]:", *["main.main()", "\t/src/kubelet.go:37 +0x2a"] * 40]
    journal = "\n".join(["panic: unrecognized feature gate: NoSuch", *stack])

    class Panicked(Host):
        def root(self, script: str) -> Result:
            if "journalctl" not in script:
                return super().root(script)
            command = f"journalctl() {{ printf %s {shlex.quote(journal)}; }}\n{script}"
            return Result(0, subprocess.run(["sh", "-c", command], capture_output=True).stdout, b"")

    host: Any = Panicked(("failed", 0))
    with pytest.raises(ApplyError, match="; it ended with: panic: unrecognized feature"):
        UnitMonitor(host, UNIT)()
