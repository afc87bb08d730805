"""Certificates of several apiservers: each is shown, and each has to be by the new CA."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from fabnode.deploy import certificate_inventory, control_plane_cas
from fabnode.deploy.control_plane_cas import TrustedAuthorities
from tests.support import authority, make_config, pem, serving_certificate

URLS = [f"https://192.0.2.{n}:6443" for n in (1, 2, 3)]
CONFIG = make_config(cluster={"apiserver": URLS})
CA = pem(authority()[0])


@pytest.fixture
def one_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def presented(host: str, _: int) -> str:
        if host == "192.0.2.2":
            raise OSError("connection refused")
        return serving_certificate("n1", "n1", host)

    for module in (certificate_inventory, control_plane_cas):
        monkeypatch.setattr(module, "presented", presented)


@pytest.mark.usefixtures("one_away")
def test_each_apiserver_has_its_row() -> None:
    rows = certificate_inventory.cluster_certificates(CONFIG, datetime.now(UTC))
    faults = [row.faults for row in rows if row.name == "apiserver"]
    assert len(faults) == 3
    assert faults[1] == ("192.0.2.2:6443 can't be reached: connection refused",)


@pytest.mark.usefixtures("one_away")
def test_a_ca_goes_only_once_every_apiserver_is_known_to_do_without() -> None:
    api = cast("Any", None)
    fault = TrustedAuthorities(CONFIG, api).server_fault(CA)
    assert fault == "192.0.2.2:6443 can't be reached: connection refused"
    others = make_config(cluster={"apiserver": [URLS[0], URLS[2]]})
    assert TrustedAuthorities(others, api).server_fault(CA) is None
