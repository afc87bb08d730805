"""An apiserver that is away is waited for; one that is wrong is reported at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from lab import processes

from .harness import NODES
from .test_changes import KUBELET_YAML

if TYPE_CHECKING:
    from .harness import Lab

pytestmark = [pytest.mark.long, pytest.mark.trouble]

AWAY = 20.0  # seconds


def apiserver(lab: Lab) -> int:
    """Return the pid of this lab's apiserver."""
    pid = processes.find(lab.layout.record("kube-apiserver"))
    assert pid
    return pid


def test_apiserver_that_hangs_for_20_s_is_waited_for(cluster: Lab) -> None:
    """It stops to answer when kubelets are being restarted, and Ready has to be waited for."""
    config = cluster.config(kubelet={"max_pods": 94})
    cluster.as_configured = False
    run = cluster.begin("deploy-nodes", "--json", config=config)
    assert run.begun("n1", "kubelet")
    pid = apiserver(cluster)
    processes.send(pid, signal.SIGSTOP)
    try:
        time.sleep(AWAY)  # the outage itself, nothing that is waited for
    finally:
        processes.send(pid, signal.SIGCONT)
    done = run.wait().expect(0)
    assert done.results == dict.fromkeys(NODES, "changed")
    for node in NODES:
        assert "maxPods: 94" in cluster.on(node, f"cat {KUBELET_YAML}")


def test_an_apiserver_that_is_restarted_is_waited_for(cluster: Lab) -> None:
    starts = cluster.starts()
    processes.send(apiserver(cluster), signal.SIGKILL)
    run = cluster.begin("deploy-nodes", "--json")
    assert run.until(lambda events: any("waiting for https" in e.get("text", "") for e in events))
    cluster.lab("up", "--nodes", str(len(NODES)))
    cluster.as_configured = True
    done = run.wait().expect(0)
    assert done.results == dict.fromkeys(NODES, "unchanged")
    assert cluster.restarted(starts) == set()


def test_apiserver_that_stays_away_is_given_up(cluster: Lab) -> None:
    """After `timeouts.api`; nobody listens on the port next to the real one."""
    done = run_with(cluster, elsewhere, timeouts={"api": 2})
    assert "did not answer within 2 s" in done
    assert "next: check that the apiserver runs" in done


def elsewhere(kubeconfig: dict[str, Any], _: Lab) -> None:
    cluster = kubeconfig["clusters"][0]["cluster"]
    cluster["server"] = cluster["server"].replace(":6443", ":6444")


def other_ca(kubeconfig: dict[str, Any], lab: Lab) -> None:
    cluster = kubeconfig["clusters"][0]["cluster"]
    del cluster["certificate-authority-data"]
    cluster["certificate-authority"] = str(lab.layout.pki / "etcd-ca.pem")


def stranger(kubeconfig: dict[str, Any], lab: Lab) -> None:
    pki = lab.layout.pki
    kubeconfig["users"][0]["user"] = {
        "client-certificate": str(pki / "apiserver-etcd-client.pem"),
        "client-key": str(pki / "apiserver-etcd-client-key.pem"),
    }


def wrong_token(kubeconfig: dict[str, Any], _: Lab) -> None:
    kubeconfig["users"][0]["user"] = {"token": "nobody.knows.this"}


def without_rights(kubeconfig: dict[str, Any], lab: Lab) -> None:
    pki = lab.layout.pki
    scheduler = yaml.safe_load((pki / "scheduler.kubeconfig").read_text())
    kubeconfig["users"][0]["user"] = scheduler["users"][0]["user"]


@pytest.mark.parametrize(
    ("spoil", "printed"),
    [
        (other_ca, "can't be verified"),
        (stranger, "does not accept the kubeconfig's credentials"),
        (wrong_token, "does not accept the kubeconfig's credentials"),
        (without_rights, "system:kube-scheduler"),
    ],
)
def test_wrong_apiserver_or_credentials_are_reported_at_once(
    cluster: Lab, spoil: Callable[[dict[str, Any], Lab], None], printed: str
) -> None:
    """An apiserver that is away would be waited for much longer."""
    began = time.monotonic()
    assert printed in run_with(cluster, spoil, timeouts={"api": 300})
    assert time.monotonic() - began < 60
    assert cluster.inv("plan", "--exit-code").code == 0


def run_with(lab: Lab, spoil: Callable[[dict[str, Any], Lab], None], **settings: Any) -> str:
    """Deploy with a spoilt kubeconfig and a changed setting; return what was reported."""
    kubeconfig = yaml.safe_load(lab.layout.kubeconfig.read_text())
    spoil(kubeconfig, lab)
    path = Path(lab.scratch / f"{spoil.__name__}.kubeconfig")
    path.touch(0o600)
    path.write_text(yaml.safe_dump(kubeconfig))
    config = lab.config(cluster={"kubeconfig": str(path)}, kubelet={"max_pods": 93}, **settings)
    starts = lab.starts()
    done = lab.inv("deploy-nodes", code=1, config=config)
    assert lab.restarted(starts) == set(), "nothing was touched"
    return done.text


def test_calico_that_does_not_come_is_reported_beside_the_nodes_results(cluster: Lab) -> None:
    """Its image can't be had: the nodes are fine, the run is not."""
    config = cluster.config(
        {"n1": {"labels": {"seen": "yes"}}},
        calico={"registry": "registry.invalid"},
        timeouts={"calico": 3},
    )
    done = cluster.deploy(code=1, config=config)
    assert done.results == {"n1": "changed", "n2": "unchanged", "n3": "unchanged"}
    assert done.rows["cluster"]["step"] == "calico"
    assert "waited 3 s for Calico" in done.rows["cluster"]["cause"]
    assert done.rows["cluster"]["advice"]
    # n1's label goes again, and that Calico was to be replaced for a moment holds nobody up.
    assert cluster.deploy().results == {"n1": "changed", "n2": "unchanged", "n3": "unchanged"}
