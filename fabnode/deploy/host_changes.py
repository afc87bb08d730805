"""Changes of a host that need no artifacts: repairs, and what a reset removes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..remote.apply import apply
from ..remote.payload_cache import Packer
from .step_events import StepLog

if TYPE_CHECKING:
    from ..config.configuration import Config
    from ..journal.journal import Journal
    from ..node.plan import Plan
    from ..remote.apply import Applied
    from ..ssh.host import Host


def carry_out(
    config: Config, journal: Journal, host: Host, plan: Plan, step: str, text: str = ""
) -> Applied:
    """
    Carry out a plan, and return how that went; its changes are events of this one step.

    :param text: what it comes to, for people; empty: how many changes there were.

    :raises ApplyError: a change failed; those before it are made.
    :raises HostError: the connection or the host failed.
    """
    step_of = {change.resource: step for change in plan.changes}
    with StepLog(journal, host.name, step_of, plan.changes, text) as steps:
        packer = Packer(config.source.parent)  # nothing of these plans is packed
        done = apply(host, plan, packer, steps.event, zstd=False, state=config.paths.state)
        steps.sent = done.sent
    return done
