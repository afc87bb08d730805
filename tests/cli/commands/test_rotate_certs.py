"""What is asked for on the command line of `inv rotate-certs`, and what it means."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import pytest
from invoke.exceptions import Exit

from fabnode.cli import app
from fabnode.cli.commands import rotate_certs
from fabnode.cli.commands.rotate_certs import Selection
from fabnode.cli.options import Options
from fabnode.deploy import rotation
from fabnode.deploy.run import Run
from fabnode.journal.journal import Journal
from fabnode.pki.renewal import CLIENT, KINDS, PROXY, SERVING
from fabnode.steps import bootstrap_kubeconfig, kubelet, proxy, proxy_cert
from tests.support import make_config

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_by_default_all_that_is_older_than_an_hour_is_meant() -> None:
    found = Selection().renewal(NOW, 30)
    assert (found.kinds, found.issued_before, found.ends_before) == (KINDS, NOW - HOUR, None)


def test_due_means_near_the_end_however_new() -> None:
    found = Selection(due=True).renewal(NOW, 30)
    assert (found.issued_before, found.ends_before) == (None, NOW + timedelta(days=30))


def test_times_are_read() -> None:
    assert Selection(issued_before="now").renewal(NOW, 30).issued_before is None
    stated = Selection(issued_before="2026-11-25T14:00+02:00").renewal(NOW, 30).issued_before
    assert stated == NOW
    local = Selection(issued_before="2026-11-25T14:00").renewal(NOW, 30).issued_before
    assert local == datetime(2026, 11, 25, 14, 0).astimezone()


def test_kinds_are_taken_in_one_order_and_bring_their_steps() -> None:
    assert Selection("proxy, client").renewal(NOW, 30).kinds == (CLIENT, PROXY)
    assert rotation.steps((SERVING,)) == (bootstrap_kubeconfig.STEP, kubelet.STEP)
    assert rotation.steps((PROXY,)) == (proxy_cert.STEP, proxy.STEP)
    both = (*rotation.steps((SERVING,)), *rotation.steps((PROXY,)))
    assert rotation.steps(KINDS) == both


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection("clients"), "'clients' is not one of client, serving, proxy"),
        (Selection(issued_before="yesterday"), "'yesterday' is not a time such as"),
    ],
)
def test_invalid_options_are_refused(selection: Selection, words: str) -> None:
    with pytest.raises(Exit) as caught:
        selection.renewal(NOW, 30)
    assert words in str(caught.value)
    assert caught.value.code == 2


def test_an_interrupted_change_of_the_ca_shows_what_was_reached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config()
    run = Run(config, config.nodes, Journal(), passwords={}, max_parallel=1)

    def interrupted(_: Run) -> NoReturn:
        run.journal.emit(config.nodes[0].name, "kubelet", "start")
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "run_of", lambda _: nullcontext(run))
    monkeypatch.setattr(rotation, "change_ca", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rotate_certs.change_ca(Options(), dry_run=False)
    first, *others = capsys.readouterr().out.split("\n")[3 : 3 + len(config.nodes)]
    assert first.split()[1:3] == ["unfinished", "kubelet"]
    assert all(line.endswith("not begun") for line in others)
