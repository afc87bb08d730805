"""Any other inventory of Ansible's: its hosts, and how they are reached."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...util.problems import ConfigError, Problem
from ..starter import Network
from . import connection
from .facts import Facts
from .kubespray import RULES
from .survey import Survey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .inventory import Inventory

TOOL = "Ansible"
# What groups of workers and control planes are usually called.
_WORKERS = re.compile(r"(.*[_-])?(workers?|agents?|minions?)([_-]?nodes?)?(_group)?", re.IGNORECASE)
_NODES = re.compile(r"(kube|k8s|k3s|kubernetes|cluster)?[_-]?nodes?", re.IGNORECASE)
_CONTROL = re.compile(
    r"(.*[_-])?(masters?|control[_-]?planes?|controllers?|servers?|managers?|cp)([_-]?nodes?)?",
    re.IGNORECASE,
)
_OPEN = ("version", "apiserver", "service_cidr", "pod_cidr", "dns_address")
_NOT_SAID = "an inventory without kubespray's or kubeasz's variables does not say"
REASONS = (*connection.REASONS, (r".*", "a variable of the site's own playbooks"))


def facts(inventory: Inventory, groups: Sequence[str]) -> Facts:
    """
    Return what an inventory says of hosts.

    :param groups: those of the workers; empty: by what they are usually called.
    :raises ConfigError: there is no such group.
    """
    names = list(groups) or _called(_WORKERS, inventory) or _called(_NODES, inventory)
    _check(names, inventory)
    control = inventory.members(*_called(_CONTROL, inventory))
    workers = inventory.members(*names)
    survey = Survey(inventory, list(workers), names)
    survey.apply({name: RULES[name] for name in ("node_labels", "node_taints")})
    for key in _OPEN:
        survey.ledger.leave_open(f"cluster.{key}", _NOT_SAID)
    machines = connection.machines(survey, workers, control)
    survey.finish(REASONS)
    return survey.facts(
        TOOL,
        machines,
        network=Network(unseen="an inventory does not say."),
        ca="a host of the control plane",
        kubeconfig="a host of the control plane",
    )


def _called(pattern: re.Pattern[str], inventory: Inventory) -> list[str]:
    return [name for name in inventory.groups if pattern.fullmatch(name)]


def _check(names: Sequence[str], inventory: Inventory) -> None:
    known = sorted(name for name in inventory.groups if name not in {"all", "ungrouped"})
    listed = ", ".join(known[:20]) or "none"
    file = inventory.files[0] if inventory.files else ""
    problems = [
        Problem(file, None, "", f"has no group {name}", f"its groups: {listed}")
        for name in names
        if name not in inventory.groups
    ]
    if not names:
        hint = f"name the group of the workers with --group; its groups: {listed}"
        problems.append(Problem(file, None, "", "has no group that is called like workers", hint))
    if problems:
        raise ConfigError(problems)
