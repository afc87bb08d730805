"""Signing requests on the lab, by a hostile holder of n1's token and certificate."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from fabnode.kube.client import Api
from fabnode.kube.csr import REQUESTS
from fabnode.kube.csr_approver import Approver
from fabnode.kube.kubeconfig import load
from fabnode.pki.csr_policy import SERVING, Candidate
from tests import attacks, forgery

from .harness import NODES, eventually
from .requester import SERVER_USAGES, Request, requester, serving, verdicts

if TYPE_CHECKING:
    from .harness import Lab, Running
    from .requester import Requester

pytestmark = pytest.mark.attack

FLOOD = 300
APISERVER_CLIENT = "kubernetes.io/kube-apiserver-client"


@pytest.fixture
def rogue(cluster: Lab) -> Iterator[Requester]:
    with requester(cluster) as made:
        yield made


def rogues(lab: Lab, theirs: bytes) -> dict[str, Request]:
    """
    Return requests that must not be approved.

    :param theirs: the request of another node, as it stands in the API for all to read.
    """
    own = serving(lab)
    many = tuple(f"n{i}" for i in range(4000))
    subjects = {
        "another node": Request(name="system:node:n2"),
        "a node of nobody's": Request(name="system:node:n4"),
        "upper case": Request(name="system:node:N1"),
        "a Cyrillic letter": Request(name="system:node:\u04301"),
        "a letter of full width": Request(name="system:node:ｎ1"),
        "an invisible character": Request(name="system:node:n1\u200b"),
        "a blank at the end": Request(name="system:node:n1 "),
        "a line end": Request(name="system:node:n1\n"),
        "a null": Request(name="system:node:n1\0"),
        "a path": Request(name="system:node:n1/../n2"),
        "escape codes": Request(name="system:node:\x1b]0;owned\x07n1"),
        "text that turns round": Request(name="system:node:\u202e1n"),
        "no prefix": Request(name="n1"),
        "an administrator": Request(name="kubernetes-admin", organizations=("system:masters",)),
        "an administrator's name": Request(name="kubernetes-admin"),
        "two organizations": Request(organizations=("system:nodes", "system:masters")),
        "an organization twice": Request(organizations=("system:nodes", "system:nodes")),
        "another organization": Request(organizations=("system:bootstrappers",)),
        "a very long name": Request(name="system:node:" + "n1" * 3000),
        "another node, by certificate": replace(own, name="system:node:n2"),
    }
    return {
        **{title: replace(r, printed="its subject is") for title, r in subjects.items()},
        "a name for a client": Request("its names are", names=("n1",)),
        "a foreign name": replace(own, printed="its names", names=(*own.names, "kubernetes")),
        "a foreign address": replace(own, printed="its names", names=(*own.names, "192.0.2.1")),
        "the apiserver's name": replace(
            own, printed="its names", names=("kubernetes.default.svc",)
        ),
        "a wildcard": replace(own, printed="its names", names=("*", own.names[1])),
        "thousands of names": replace(own, printed="longer than a kubelet", names=many),
        "another's name": replace(own, printed="its names", names=("n2",)),
        "usages of a server": Request("its usages", usages=SERVER_USAGES),
        "both usages": Request("its usages", usages=(*SERVER_USAGES, "client auth")),
        "the usages of a CA": Request("its usages", usages=("cert sign", "crl sign")),
        "a client by the serving signer": Request("its usages", signer=SERVING, by="node"),
        "a serving certificate by token": replace(own, printed="its requester", by="token"),
        "a client certificate for all": Request("its signer", signer=APISERVER_CLIENT),
        "a signer of old": Request("its signer", signer="kubernetes.io/legacy-unknown"),
        "a signer of nobody's": Request("its signer", signer="example.com/mine"),
        "a copy of another's, by token": Request(
            "its usages are", pem=theirs, usages=SERVER_USAGES
        ),
        "a copy of another's": replace(own, printed="its subject is", pem=theirs),
        "broken DER": Request("not a readable", pem=forgery.armoured(b"0\x82\xff\xff")),
        "no DER": Request("not exactly one PEM", pem=b"-----BEGIN CERTIFICATE REQUEST-----"),
        "a certificate for a request": Request(
            "not exactly one PEM", pem=(lab.layout.pki / "ca.pem").read_bytes()
        ),
        **{
            f"{title}, in a client's": Request("not exactly one PEM", pem=pem)
            for title, pem in forgery.two_faced("n1", "n2", ()).items()
            if "block" in title
        },
        **{
            title: replace(
                own, printed="request for extensions|readable|not exactly one PEM", pem=pem
            )
            for title, pem in forgery.two_faced("n1", "n2", own.names).items()
        },
    }


def test_only_what_is_ones_own_is_certified(cluster: Lab, rogue: Requester) -> None:
    """Each is judged with its reason in the journal; the screen stays readable."""
    theirs = next(
        base64.b64decode(item["spec"]["request"])
        for item in cluster.objects("csr")
        if item["spec"]["username"] == "system:node:n2" and item["spec"]["signerName"] == SERVING
    )
    tries = rogues(cluster, theirs)
    made = {title: rogue.make(request) for title, request in tries.items()}
    attacks.tried(len(tries))
    attacks.judged(len(tries))
    run = cluster.begin("approve-csr")
    done = run.wait().expect(0)
    reported = verdicts(run.events())
    for title, name in made.items():
        if name:  # the API refuses some by itself
            printed = reported[name]
            assert "pending" in printed, title
            assert any(reason in printed for reason in tries[title].printed.split("|")), (
                title,
                printed,
            )
            assert len(printed) < 700, title
    states = rogue.states()
    attacks.wrong([title for title, name in made.items() if name and states[name] != "Pending"])
    assert done.text.replace("\n", "").isprintable(), "no escape code gets to the terminal"
    assert len(done.text.splitlines()) < 80
    assert "more requests pending; the run's journal names each and why" in " ".join(
        done.text.split()
    )


def test_token_is_good_for_one_certificate(cluster: Lab, rogue: Requester) -> None:
    good = rogue.make(Request())
    run = cluster.begin("approve-csr", "--dry-run")
    run.wait().expect(0)
    assert f"would approve client request {good}" in run.printed()
    assert good
    assert rogue.states() == {good: "Pending"}
    assert f"approved client request {good}" in cluster.inv("approve-csr").text
    again = rogue.make(Request())
    assert "was approved before" in cluster.inv("approve-csr").text
    assert again
    assert rogue.states()[again] == "Pending"
    attacks.tried()
    attacks.judged(2)


def test_nodes_own_renewals_need_nobody(cluster: Lab, rogue: Requester) -> None:
    """Its client certificate by the right that nodes have; another's not even then."""
    renewed = rogue.make(Request(by="node"))
    other = rogue.make(Request(name="system:node:n2", by="node"))
    assert renewed
    eventually(lambda: rogue.get(renewed)["status"].get("certificate"), 120)
    assert other is None or rogue.states()[other] == "Pending"  # newer APIs refuse it themselves
    attacks.tried()


def flood(rogue: Requester, count: int) -> int:
    """Ask for hundreds of things at once; return how many of them the API let through."""
    kinds = [
        Request(name="system:node:n2"),
        Request(organizations=("system:masters",)),
        Request(signer=APISERVER_CLIENT),
        Request(name="system:node:n3", signer=SERVING, usages=SERVER_USAGES, by="node"),
    ]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(rogue.make, (kinds[i % len(kinds)] for i in range(count))))
    attacks.tried(count)
    attacks.judged(count)
    return sum(name is not None for name in made)


@contextmanager
def watching(cluster: Lab) -> Iterator[Running]:
    """Run `inv approve-csr --watch` for a while."""
    run = cluster.begin("approve-csr", "--watch")
    try:
        assert run.until(lambda events: any(e["step"] == "run" for e in events))
        yield run
        assert run.process.poll() is None, run.printed()
    finally:
        run.kill(signal.SIGINT)
    run.wait().expect(130)


def test_flood_holds_up_neither_the_approver_nor_a_deployment(
    cluster: Lab, rogue: Requester
) -> None:
    """A node's own request comes through in the midst of it, and what is printed stays readable."""
    with watching(cluster) as run:
        made = flood(rogue, FLOOD)
        assert made > FLOOD / 2
        good = rogue.make(serving(cluster))
        assert good
        eventually(lambda: rogue.get(good)["status"].get("certificate"), 60)
        eventually(lambda: len(verdicts(run.events())) > made or None)
    assert len(run.printed().splitlines()) < 80, run.printed()
    states = rogue.states()
    assert len(states) == made + 1
    attacks.wrong([name for name, state in states.items() if state != "Pending" and name != good])

    cluster.disturb("n2", "rm /etc/kubernetes/pki/kube-proxy.pem")
    done = cluster.deploy()
    assert done.results == {"n1": "unchanged", "n2": "changed", "n3": "unchanged"}
    assert done.seconds < 120
    assert len(done.err.splitlines()) < 80, done.err
    attacks.judged(FLOOD)
    attacks.wrong([n for n, s in rogue.states().items() if s != "Pending" and n != good])


def test_request_swapped_between_judgement_and_approval_is_refused(
    cluster: Lab, rogue: Requester
) -> None:
    """What was judged is approved, or nothing: another request took its name meanwhile."""
    reported: list[str] = []
    api = Api(load(cluster.scratch / "deployer.kubeconfig"), patience=30)
    approver = Approver(
        api, dry_run=False, on_verdict=lambda _, v: reported.append(v.reason), all_tokens=True
    )
    approver.allow(Candidate("n1", str(cluster.layout.host("n1").address)))
    good = rogue.make(Request())
    assert good
    judged = rogue.get(good)
    rogue.admin.delete(f"{REQUESTS}/{good}")
    evil = Request(name="system:node:n2").document
    evil["metadata"] = {**evil["metadata"], "name": good}
    del evil["metadata"]["generateName"]
    rogue._apis["token"].create(REQUESTS, evil)
    approver.consider(judged)
    assert rogue.states() == {good: "Pending"}
    assert reported == []
    approver.consider(rogue.get(good))
    assert rogue.states() == {good: "Pending"}
    assert "was approved before" in reported[0], "its token may have been used just then"
    attacks.tried()
    attacks.judged(2)


def test_what_nobody_claims_can_be_denied(cluster: Lab, rogue: Requester) -> None:
    """But not what a configured node asks for itself."""
    bad, good = rogue.make(Request(organizations=("system:masters",))), rogue.make(Request())
    assert bad
    assert good
    run = cluster.begin("csr.deny", "--names", f"{bad},{good}")
    done = run.wait().expect(1)
    assert f"denied {bad}, asked for by system:bootstrap:" in done.text
    assert f"{good} is n1's own" in done.text
    assert rogue.states() == {bad: "Denied", good: "Pending"}
    assert set(verdicts(run.events())) == {bad, good}
    cluster.inv("csr.deny", "--names", bad, code=1)  # it is already
    attacks.judged(2)


def moved_on(lab: Lab, node: str, link: str, before: str) -> bool:
    return lab.on(node, f"readlink {link}", code=None) not in {"", before}


def test_serving_certificate_that_rotates_is_approved_while_watching(
    cluster: Lab, rogue: Requester
) -> None:
    """A real one, on a real host; also when the apiserver was restarted meanwhile."""
    current = "/var/lib/kubelet/pki/kubelet-server-current.pem"
    with watching(cluster) as run:
        for node in ("n2", "n3"):
            before = cluster.on(node, f"readlink {current}")
            words = "rm /var/lib/kubelet/pki/kubelet-server-*; systemctl restart kubelet"
            cluster.disturb(node, words)
            eventually(
                partial(moved_on, cluster, node, current, before),
                120,
            )
            if node == "n2":
                cluster.restart_apiserver()
    reported = list(verdicts(run.events()).values())
    for node in ("n2", "n3"):
        assert any(text.startswith("approved serving") and node in text for text in reported), (
            reported
        )
    cluster.as_configured = True
    assert cluster.deploy().results == dict.fromkeys(NODES, "unchanged")
