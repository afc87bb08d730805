"""Hosts of nodes in use are rebooted for real: pods move, requests go on, cuts end well."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from lab import processes
from lab.hosts import running

from .harness import NODES, eventually
from .shop import RECORD, SPACE, budget, deployment
from .visitors import Visitors

if TYPE_CHECKING:
    from .harness import Done, Lab
    from .shop import Shop

pytestmark = pytest.mark.life

MARK = "/var/run/reboot-required"


def boot_of(lab: Lab, node: str) -> str:
    return lab.on(node, "cat /proc/sys/kernel/random/boot_id").strip()


def boots(lab: Lab) -> dict[str, str]:
    return {node: boot_of(lab, node) for node in NODES}


def reported_boot(shop: Shop, node: str) -> str:
    return str(shop.node(node)["status"]["nodeInfo"]["bootID"])


def hung_when_it_reboots(lab: Lab, node: str) -> None:
    """Have a host go down for its next reboot, and not come up again."""
    machine = processes.find(lab.layout.record(node))
    assert machine
    processes.send(machine, signal.SIGKILL)  # who would start the container again
    eventually(lambda: not running(lab.layout, node))


def maintained(shop: Shop, *words: str, code: int = 0, **timeouts: int) -> Any:
    config = shop.configured(shop.lab.scratch / "patient.yml", **timeouts) if timeouts else None
    return shop.inv("maintain", "--json", *words, code=code, config=config)


def test_nodes_are_rebooted_one_after_another_and_no_request_is_lost(shop: Shop) -> None:
    visitors = Visitors(shop)
    before = boots(shop.lab)
    plan = shop.inv("maintain", "--limit", "n2,n3", "--dry-run").out
    assert "n2: drain, reboot, verify, uncordon" in plan
    assert f"n2    {SPACE}/front-" in plan
    assert boots(shop.lab) == before
    writes = len(shop.lab.writes())
    done = maintained(shop, "--limit", "n2,n3")
    served, lost = visitors.since_then()
    assert done.results == {"n2": "changed", "n3": "changed"}
    after = boots(shop.lab)
    assert {node for node in NODES if after[node] != before[node]} == {"n2", "n3"}
    assert {node: reported_boot(shop, node) for node in NODES} == after
    assert served > 50
    assert lost == 0, f"{lost} requests of {served + lost} were lost"
    assert shop.cordoned() == set()
    assert RECORD not in shop.node("n2")["metadata"].get("annotations", {})
    patches = [w.rpartition("/")[2] for w in shop.lab.writes(writes) if "/nodes/" in w]
    assert patches == sorted(patches), "n2 took pods again before n3 was cordoned"
    shop.rolled_out("front")
    shop.lab.inv("verify", "--json")


def test_a_command_in_place_of_the_reboot(shop: Shop) -> None:
    shop.make(deployment("web", 4), budget("web", maxUnavailable=1))
    shop.rolled_out("web")
    before = boots(shop.lab)
    both = ("--limit", "n1,n2")
    broken = maintained(shop, *both, "--command", "echo no space >&2; false", code=1)
    assert broken.results == {"n1": "failed", "n2": "skipped"}
    assert "the command ended with status 1: no space" in broken.rows["n1"]["cause"]
    assert shop.cordoned() == {"n1"}
    assert shop.record("n1")["phase"] == "working"
    script = "cut -d . -f 1 /proc/uptime > /run/maintained; id -u >> /run/maintained"
    done = maintained(shop, *both, "--command", script)
    assert done.results == {"n1": "changed", "n2": "changed"}
    first, second = (shop.lab.on(node, "cat /run/maintained").split() for node in ("n1", "n2"))
    assert int(first[0]) < int(second[0])
    assert {first[1], second[1]} == {"0"}
    assert shop.cordoned() == set()
    assert boots(shop.lab) == before
    shop.rolled_out("web")


@pytest.mark.parametrize("reboots", [False, True], ids=["a command", "a reboot"])
def test_a_node_whose_kubelet_is_dead_is_emptied_all_the_same(shop: Shop, reboots: bool) -> None:
    """Its pods end by the runtime, or by the reboot, and are replaced within their budget."""
    shop.make(deployment("web", 4), budget("web", maxUnavailable=1))
    shop.rolled_out("web")
    shop.lab.on("n3", "systemctl stop kubelet.service")
    words = () if reboots else ("--command", "systemctl start kubelet.service")
    done = maintained(shop, "--limit", "n3", *words)
    assert done.results == {"n3": "changed"}
    assert reboots or "its kubelet does not run (inactive)" in done.text
    assert shop.cordoned() == set()
    assert "n3" in shop.lab.ready()
    shop.rolled_out("web")
    pods = shop.lab.objects("pods", "-A", "--field-selector", "spec.nodeName=n3")
    assert [pod for pod in pods if "deletionTimestamp" in pod["metadata"]] == []


def test_only_what_is_due_is_rebooted(shop: Shop) -> None:
    shop.lab.on("n2", f"rm -f {MARK} {MARK}.pkgs")
    before = boots(shop.lab)
    writes = len(shop.lab.writes())
    assert maintained(shop, "--limit", "n2", "--if-due").results == {"n2": "unchanged"}
    assert [write for write in shop.lab.writes(writes) if "/nodes/" in write] == []
    shop.lab.on("n2", f"touch {MARK}; echo linux-image-amd64 > {MARK}.pkgs")
    plan = shop.inv("maintain", "--limit", "n1,n2", "--if-due", "--dry-run").out
    assert "n1: nothing: no reboot is due" in plan
    assert "n2: drain, reboot (/run/reboot-required: linux-image-amd64), verify, uncordon" in plan
    done = maintained(shop, "--limit", "n1,n2", "--if-due")
    assert done.results == {"n1": "unchanged", "n2": "changed"}
    after = boots(shop.lab)
    assert {node for node in NODES if after[node] != before[node]} == {"n2"}
    again = maintained(shop, "--limit", "n1,n2", "--if-due")
    assert again.results == {"n1": "unchanged", "n2": "unchanged"}
    assert boots(shop.lab) == after


def test_a_host_that_does_not_come_back_is_said_and_ends_the_run(shop: Shop) -> None:
    before = boots(shop.lab)
    hung_when_it_reboots(shop.lab, "n2")
    try:
        done = maintained(shop, "--limit", "n2,n3", code=1, reboot=25)
        assert done.results == {"n2": "failed", "n3": "skipped"}
        assert "the host is not back after 25 s" in done.rows["n2"]["cause"]
        assert "its kubelet last reported" in done.rows["n2"]["cause"]
        assert "inv maintain --limit n2 goes on from here" in done.rows["n2"]["advice"]
        assert shop.cordoned() == {"n2"}
        assert shop.record("n2")["phase"] == "rebooting"
        assert "maintain (rebooting) by" in shop.inv("status").out
        assert boot_of(shop.lab, "n3") == before["n3"]
        plan = shop.inv("maintain", "--limit", "n2", "--dry-run").out
        assert "n2: goes on: maintain (rebooting) by" in plan
    finally:
        shop.lab.lab("on", "n2")
    by_hand = boot_of(shop.lab, "n2")
    done = maintained(shop, "--limit", "n2,n3")
    assert done.results == {"n2": "changed", "n3": "changed"}
    after = boots(shop.lab)
    assert after["n2"] == by_hand, "it had its new boot"
    assert after["n3"] != before["n3"]
    assert shop.cordoned() == set()


def test_a_maintenance_that_is_killed_goes_on_and_reboots_once(shop: Shop) -> None:
    """While pods leave, by Ctrl-C while the host is down, and while the node is proved."""
    shop.make(deployment("web", 6), budget("web", maxUnavailable=1))
    shop.rolled_out("web")
    before = boots(shop.lab)
    eventually(lambda: shop.pods("n2", "web"))

    def killed(step: str, text: str = "", by: signal.Signals = signal.SIGKILL) -> Done:
        run = shop.lab.begin("maintain", "--limit", "n2", config=shop.config)
        assert run.begun("n2", step, text), run.printed()
        run.kill(by)
        done = run.wait()
        assert shop.cordoned() == {"n2"}
        return done

    killed("drain", "evicted")
    assert shop.record("n2")["phase"] == "draining"
    assert boots(shop.lab) == before
    ended = killed("reboot", "waiting", signal.SIGINT).expect(130)
    assert "cordoned by fabnode now: n2; inv uncordon --limit n2 takes that back" in ended.text
    assert shop.record("n2")["phase"] == "rebooting"
    eventually(lambda: boot_of(shop.lab, "n2") != before["n2"], 120)
    rebooted = boot_of(shop.lab, "n2")
    killed("verify")
    assert shop.record("n2")["phase"] == "proving"
    done = maintained(shop, "--limit", "n2")
    assert done.results == {"n2": "changed"}
    assert boots(shop.lab) == {**before, "n2": rebooted}
    assert shop.cordoned() == set()
    shop.rolled_out("web")


def test_an_administrators_cordon_stays(shop: Shop) -> None:
    before = boot_of(shop.lab, "n2")
    shop.lab.kubectl("cordon", "n2")
    done = maintained(shop, "--limit", "n2")
    assert done.results == {"n2": "changed"}
    assert boot_of(shop.lab, "n2") != before
    assert shop.cordoned() == {"n2"}
    assert RECORD not in shop.node("n2")["metadata"].get("annotations", {})
    assert "somebody else's, written by kubectl" in shop.inv("status").out
