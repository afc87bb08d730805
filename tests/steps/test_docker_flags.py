"""Flags of dockerd's beside what fabnode writes into daemon.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fabnode.node.facts import Facts
from fabnode.steps import runtime
from fabnode.steps.docker_flags import findings
from tests.support import make_config

from .support import assert_finding, make_inputs

if TYPE_CHECKING:
    from fabnode.node.config_files import ConfigFiles
    from fabnode.steps.finding import Finding

UNIT = "/usr/lib/systemd/system/docker.service"
DROP_IN = "/etc/systemd/system/docker.service.d/opts.conf"
DEFAULT = "/etc/default/docker"
DEBIAN = (
    "[Service]",
    "EnvironmentFile=-/etc/default/docker",
    "ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/x.sock $DOCKER_OPTS",
)
MAKERS = ("[Service]", "ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/x.sock")


def found(files: ConfigFiles, daemon: dict[str, Any] | None = None) -> tuple[Finding, ...]:
    docker = {"name": "docker", "daemon": daemon or {}}
    config = make_config(cluster={"version": "1.30.4"}, runtime=docker)
    facts = Facts(known=True, config_files=files)
    return tuple(findings(facts, runtime.desired(make_inputs(config, facts))))


def drop_in(flags: str) -> ConfigFiles:
    return {
        UNIT: MAKERS,
        DROP_IN: ("[Service]", "ExecStart=", f"ExecStart=/usr/bin/dockerd {flags}"),
    }


CASES: list[tuple[ConfigFiles, dict[str, Any], str | None, str]] = [
    (
        {UNIT: DEBIAN, DEFAULT: ('DOCKER_OPTS="--log-driver=journald"',)},
        {},
        "error",
        "/etc/default/docker gives dockerd --log-driver, and fabnode writes log-driver into",
    ),
    (drop_in("--data-root /srv/docker"), {}, "error", f"{DROP_IN} gives dockerd --data-root"),
    (drop_in("-g /srv/docker"), {}, "error", "dockerd -g, and fabnode writes data-root"),
    (drop_in("--exec-opt native.cgroupdriver=cgroupfs"), {}, "error", "writes exec-opts into"),
    (drop_in("--live-restore"), {}, "error", "gives dockerd --live-restore"),
    (drop_in("--log-opt max-size=1m"), {}, "error", "writes log-opts into"),
    ({UNIT: MAKERS}, {"hosts": ["unix:///x"]}, "error", f"{UNIT} gives dockerd -H, and"),
    (
        {UNIT: ("Environment=A=--log-driver=x", "ExecStart=/usr/bin/dockerd ${A}")},
        {},
        "error",
        f"{UNIT} gives dockerd --log-driver",
    ),
    (
        drop_in("--config-file /srv/d.json"),
        {},
        "error",
        f"{DROP_IN} has dockerd read /srv/d.json, and fabnode writes /etc/docker/daemon.json",
    ),
    # Near misses.
    (drop_in("--config-file=/etc/docker/daemon.json"), {}, None, ""),
    ({UNIT: DEBIAN, DEFAULT: ('DOCKER_OPTS="--dns 192.0.2.53"',)}, {}, None, ""),
    ({UNIT: MAKERS, DEFAULT: ('DOCKER_OPTS="--log-driver=journald"',)}, {}, None, ""),  # unread
    ({UNIT: DEBIAN}, {}, None, ""),
    (
        {
            UNIT: ("ExecStart=/usr/bin/dockerd --log-driver=x",),
            DROP_IN: ("ExecStart=", "ExecStart=/usr/bin/dockerd"),
        },
        {},
        None,
        "",
    ),
    ({}, {}, None, ""),
]


@pytest.mark.parametrize(("files", "daemon", "level", "text"), CASES)
def test_each_flag_is_found_with_its_file(
    files: ConfigFiles, daemon: dict[str, Any], level: str | None, text: str
) -> None:
    assert_finding(found(files, daemon), level, text)


def test_a_node_of_containerd_is_not_asked() -> None:
    files = {UNIT: ("ExecStart=/usr/bin/dockerd --log-driver=x",)}
    facts = Facts(known=True, config_files=files)
    assert tuple(findings(facts, runtime.desired(make_inputs(make_config(), facts)))) == ()
