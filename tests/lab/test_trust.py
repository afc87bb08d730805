"""Host keys: unknown and changed ones are refused, with the way to trust them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from .harness import NODES

if TYPE_CHECKING:
    from pathlib import Path

    from .harness import Lab

pytestmark = [pytest.mark.long, pytest.mark.attack]


def fingerprint(lab: Lab, node: str) -> str:
    key = lab.layout.folder / f"ssh/host-{node}.pub"
    done = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


def known(lab: Lab, name: str, text: str = "") -> tuple[Path, Path]:
    """Return a known_hosts file and a configuration that uses it."""
    file = lab.scratch / name
    file.write_text(text)
    return file, lab.config(ssh={"known_hosts": [str(file)]})


def test_unknown_hosts_are_refused_with_the_way_to_trust_them(cluster: Lab) -> None:
    _, config = known(cluster, "nobody")
    done = cluster.deploy(code=1, config=config)
    cluster.as_configured = True  # nothing was touched
    for node in NODES:
        row = done.rows[node]
        assert row["result"] == "failed"
        assert "host key" in row["cause"]
        assert fingerprint(cluster, node) in row["cause"]
        assert f"inv hosts.trust --limit {node}" in row["advice"]


def test_trust_records_a_key_that_matches(cluster: Lab) -> None:
    file, config = known(cluster, "first")
    print_ = fingerprint(cluster, "n1")
    cluster.inv("hosts.trust", "--limit", "n1", code=2, config=config)  # nobody to ask
    other = fingerprint(cluster, "n2")
    printed = cluster.inv(
        "hosts.trust", "--limit", "n1", "--fingerprint", other, code=1, config=config
    )
    assert print_ in printed.text
    assert file.read_text() == ""
    printed = cluster.inv("hosts.trust", "--limit", "n1", "--fingerprint", print_, config=config)
    assert print_ in printed.out
    assert str(cluster.layout.host("n1").address) in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    cluster.inv("plan", "--limit", "n1", "--exit-code", config=config)
    cluster.inv("plan", "--limit", "n2", code=1, config=config)


def test_no_host_is_known_by_the_key_of_another(cluster: Lab) -> None:
    """Root of n2 has n2's key: whose it is says the name before the fingerprint."""
    file, config = known(cluster, "others")
    keys = {node: fingerprint(cluster, node) for node in NODES}
    both = [word for node in NODES for word in ("--fingerprint", keys[node])]
    cluster.inv("hosts.trust", *both, code=2, config=config)  # whose?
    swapped = f"n1={keys['n2']}"
    cluster.inv("hosts.trust", "--limit", "n1", "--fingerprint", swapped, code=1, config=config)
    assert file.read_text() == ""
    named = [word for node in NODES for word in ("--fingerprint", f"{node}={keys[node]}")]
    cluster.inv("hosts.trust", *named, config=config)
    assert len(file.read_text().splitlines()) == len(NODES)
    cluster.inv("hosts.trust", "--limit", "n1", "--fingerprint", swapped, code=1, config=config)


def test_changed_key_is_refused_for_that_host_alone(cluster: Lab) -> None:
    """n2 answers with a key that is recorded for n3: someone may be intercepting the connection."""
    lines = dict(
        zip(NODES, cluster.layout.known_hosts.read_text().splitlines()[: len(NODES)], strict=True)
    )
    swapped = f"{lines['n2'].split()[0]} {' '.join(lines['n3'].split()[1:])}"
    text = "\n".join([lines["n1"], swapped, lines["n3"], ""])
    file, config = known(cluster, "swapped", text)
    done = cluster.deploy(code=1, config=config)
    cluster.as_configured = True
    assert done.results == {"n1": "unchanged", "n2": "failed", "n3": "unchanged"}
    assert fingerprint(cluster, "n2") in done.rows["n2"]["cause"]
    assert "ssh-keygen -R" in done.rows["n2"]["advice"]
    print_ = fingerprint(cluster, "n2")
    cluster.inv("hosts.trust", "--limit", "n2", "--fingerprint", print_, code=1, config=config)
    assert file.read_text() == text, "a changed key is not replaced just like that"
