"""Causes common to all services, and those of the runtime."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..node import layout
from ..node.conventions import BALANCER_SERVICE
from ..util import program
from .cause import Cause, Deploy, Fix, UnitAct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .evidence import Evidence
    from .service_log import Service

_NOT_EXECUTED = 203  # systemd.exec(5)


def service(evidence: Evidence, unit: Service, kind: str) -> Iterator[Cause]:
    """Yield why a service does not run. `kind` begins the keys: kubelet, proxy, balancer, …."""
    wanted = evidence.wanted
    deploy = program.task(f"deploy-nodes --limit {wanted.name}")
    restart = program.host_task(wanted.name, f"restart --unit {unit.name.removesuffix('.service')}")
    lost = [path for path in evidence.host.lost if path == _program(evidence, unit)]
    if unit.masked:
        yield Cause(
            f"{kind}-masked",
            f"{unit.name} is masked, so that systemd refuses to start it",
            unit.state,
            Fix(
                f"`systemctl unmask {unit.name}` on {wanted.name}, then {deploy}",
                (UnitAct("unmask", unit.name), Deploy()),
            ),
        )
    elif lost or (unit.seen.status == _NOT_EXECUTED and unit.down):
        path = lost[0] if lost else _program(evidence, unit)
        yield Cause(
            f"{kind}-program" if kind != "proxy" else "program-lost",
            f"{path} is not there, or can't be executed",
            unit.state,
            Fix(deploy, (Deploy(),)),
        )
    elif unit.fact.load == "not-found":
        yield Cause(
            f"{kind}-program" if kind != "proxy" else "program-lost",
            f"there is no {unit.name}",
            unit.state,
            Fix(deploy, (Deploy(),)),
        )
    elif unit.fact.running and unit.seen.process in {"T", "t"} and kind != "proxy":
        yield Cause(
            f"{kind}-frozen",
            f"{unit.name} runs but is stopped: somebody sent it SIGSTOP, or traces it",
            f"its process is in state {unit.seen.process}",
            Fix(restart, (UnitAct("resume", unit.name),)),
        )
    if unit.crashes:
        # What differs from the configuration may be why; a deployment puts it right in any case.
        differs = bool(evidence.host.drift)
        logs = program.host_task(wanted.name, _logs(unit))
        yield Cause(
            f"{kind}-crashes",
            f"{unit.state}{unit.ending}",
            "its journal",
            Fix(deploy, (Deploy(),)) if differs else Fix(f"{logs} shows more"),
        )
    elif unit.down:
        disabled = unit.fact.enabled == "disabled"
        if disabled and kind != "proxy":
            yield Cause(
                f"{kind}-disabled",
                f"{unit.name} is disabled, so it does not start at boot",
                unit.state,
                Fix(
                    f"`systemctl enable --now {unit.name}` on {wanted.name}",
                    (UnitAct("enable", unit.name),),
                ),
            )
        yield Cause(
            f"{kind}-down",
            f"{unit.state}",
            f"it ended by itself: {unit.seen.result}" if _failed(unit) else "somebody stopped it",
            Fix(restart, (UnitAct("enable" if disabled else "restart", unit.name),)),
        )


def _failed(unit: Service) -> bool:
    return unit.seen.result not in {"", "success"}


def _logs(unit: Service) -> str:
    return f"logs --unit {unit.name.removesuffix('.service')}"


# What HAProxy ends with where it can't use its configuration (src/cfgparse.c, src/haproxy.c): the
# line that it can't parse, and after that a summary.
_PARSING = r"\[ALERT\].*?: (?P<quoted>(parsing \[|Proxy ').*)"
_REFUSED = r"\[ALERT\].*?: (?P<quoted>.*(configuration|config file|config ).*)"


def balancer(evidence: Evidence, unit: Service) -> Iterator[Cause]:
    """Yield what is wrong with the node's balancer to several apiservers."""
    deploy = Fix(program.task(f"deploy-nodes --limit {evidence.wanted.name}"), (Deploy(),))
    if unit.down or unit.crashes:
        if quoted := unit.quote(_PARSING) or unit.quote(_REFUSED):
            text = f"{unit.name} can't use its configuration, {layout.BALANCER_CONFIG}"
            yield Cause("balancer-setting", text, quoted, deploy)
    elif evidence.node.ready != "True" or not evidence.node.registered:
        differs = [d for d in evidence.host.drift if d.startswith(f"{layout.BALANCER_CONFIG} ")]
        if differs:
            text = f"{layout.BALANCER_CONFIG}, by which it reaches the apiservers, is another one"
            yield Cause("balancer-setting", text, differs[0], deploy)
    for cause in service(evidence, unit, "balancer"):
        if cause.key == "balancer-program" and unit.fact.load != "not-found":
            # The package is the host's own: no deployment brings it back.
            fix = f"install the package {layout.BALANCER_PROGRAM} on {evidence.wanted.name}"
            yield replace(cause, fix=Fix(fix))
        else:
            yield cause


def _program(evidence: Evidence, unit: Service) -> str:
    if unit.name == BALANCER_SERVICE:
        return layout.BALANCER_PATH
    return f"{evidence.wanted.programs}/{unit.name.removesuffix('.service')}"


# What containerd logs of a configuration that it can't use (cmd/containerd/server/config).
_SETTING = (
    r"failed to load TOML.*|containerd: (failed to load|toml|invalid|expected|unsupported).*"
    r"|toml: .*|invalid plugin config.*|invalid (disabled plugin|version).*"
    r"|expected containerd config version.*|unable to configure the Docker daemon.*"
)


def runtime(evidence: Evidence, unit: Service) -> Iterator[Cause]:
    """Yield what is wrong with the runtime."""
    wanted, seen = evidence.wanted, evidence.host.symptoms
    yield from service(evidence, unit, "runtime")
    restart = program.host_task(wanted.name, f"restart --unit {unit.name.removesuffix('.service')}")
    deploy = program.task(f"deploy-nodes --limit {wanted.name}")
    if unit.down or unit.crashes:
        if quoted := unit.quote(_SETTING):
            yield Cause(
                "runtime-setting",
                f"{unit.name} can't use its configuration",
                quoted,
                Fix(deploy, (Deploy(),)),
            )
        return
    if not seen.socket:
        yield Cause(
            "runtime-socket",
            f"{unit.name} runs, but its socket is gone",
            "looked for by its path",
            Fix(restart, (UnitAct("restart", unit.name),)),
        )
    # Asked twice: a host that is merely busy answers one of the two.
    elif (
        seen.runtime in {"hangs", "refuses"} and evidence.host.facts.images is None and unit.settled
    ):
        how = "does not answer in 5 s" if seen.runtime == "hangs" else "gives no usable answer"
        yield Cause(
            "runtime-silent",
            f"{unit.name} runs and {how}",
            "asked for its version and for its images",
            Fix(restart, (UnitAct("restart", unit.name),)),
        )
