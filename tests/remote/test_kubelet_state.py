"""What systemd says of a kubelet: which ones work on no pod."""

from __future__ import annotations

import pytest

from fabnode.remote.kubelet_state import parse
from fabnode.ssh.errors import HostMisbehavedError
from tests.deploy.nodes_in_use import DEAD, LOOPS, kubelet

AGAIN = "its kubelet ends again and again"
STATES = {
    "it runs": (kubelet(), ""),
    "it was started just now": (kubelet(up=1), ""),
    "it ended once": (kubelet("activating", "auto-restart", restarts=1), ""),
    "it ended often, long ago": (kubelet(restarts=9, up=600), ""),
    "failed": (DEAD, "its kubelet does not run (failed)"),
    "stopped": (kubelet("inactive", "dead"), "its kubelet does not run (inactive)"),
    "between two starts": (LOOPS, AGAIN),
    "in the moment of a start": (kubelet(restarts=7, up=1), AGAIN),
    "a systemd that counts nothing": (b"ActiveState=activating\nSubState=auto-restart\n", AGAIN),
    "that, and it runs": (b"ActiveState=active\nSubState=running\nUptime=5\n", ""),
}


@pytest.mark.parametrize(("shown", "fault"), STATES.values(), ids=STATES)
def test_a_kubelet_that_works_on_no_pod(shown: bytes, fault: str) -> None:
    assert parse("n1", shown).fault == fault


@pytest.mark.parametrize("shown", [b"", b"sh: systemctl: not found\n", b"ActiveState=\nSubState=x"])
def test_what_says_nothing_of_it_is_not_believed(shown: bytes) -> None:
    with pytest.raises(HostMisbehavedError, match=r"it says nothing of kubelet\.service"):
        parse("n1", shown)
