"""Inputs for steps without files or hosts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fabnode.artifacts.programs import required
from fabnode.node.artifacts import Artifact, Artifacts, ImageArchive
from fabnode.node.facts import Facts
from fabnode.steps.inputs import Inputs, Issued
from tests.support import make_config

if TYPE_CHECKING:
    from fabnode.config.configuration import Config
    from fabnode.steps.finding import Finding

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def artifacts(config: Config) -> Artifacts:
    """Return artifacts that are only named: those that a cluster needs."""

    def named(name: str) -> Artifact:
        return Artifact(Path("/artifacts") / name, f"{len(name):064x}")

    return Artifacts(
        binaries={name: named(name) for name in required(config)},
        cni_plugins={name: named(name) for name in ("loopback", "portmap")},
        images=(ImageArchive(("registry.k8s.io/pause:3.10.1",), named("pause.tar")),),
    )


def make_inputs(
    config: Config | None = None, facts: Facts | None = None, issued: Issued | None = None
) -> Inputs:
    """Return inputs for the first node of a cluster."""
    config = config or make_config()
    return Inputs(
        config=config,
        node=config.nodes[0],
        facts=facts or Facts(known=True),
        artifacts=artifacts(config),
        issued=issued or Issued(),
        now=NOW,
    )


def assert_finding(seen: tuple[Finding, ...], level: str | None, text: str) -> None:
    """Require exactly one finding of this level with this text and a fix; None: no finding."""
    if level is None:
        assert seen == ()
        return
    (finding,) = seen
    assert finding.level == level
    assert text in finding.text
    assert finding.fix
