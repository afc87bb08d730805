"""Runs the site's commands for one node on the deployer, and records which are still due."""

from __future__ import annotations

from pathlib import PurePosixPath
from shlex import quote
from typing import TYPE_CHECKING

from ..node.host_tools import FAULT_QUOTED
from ..util.errors import HostError
from . import hooks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.configuration import Config
    from ..config.sections import HookSettings
    from ..journal.journal import Journal
    from ..ssh.host import Host
    from ..steps.step import Step


class HookRunner:
    """
    Runs the commands of the configuration that go with a node's steps.

    :ivar due: those that this run has to carry out.
    """

    def __init__(self, host: Host, config: Config, journal: Journal) -> None:
        self._host = host
        self._config = config
        self._journal = journal
        self.due: Sequence[HookSettings] = ()

    def run(self, order: str, step: Step) -> None:
        """
        Run the commands that are due on this machine before or after a step.

        :raises HookError: one failed; it stays due, and so do those after it.
        """
        succeeded: list[str] = []
        try:
            for hook in self.due:
                if hooks.point(hook) != (order, step.name):
                    continue
                with self._journal.step(self._host.node.name, step.name, hook.title) as log:
                    if output := hooks.run_here(hook, self._config, self._host.node):
                        log.note(f"{hook.title}: {output.rpartition(chr(10))[2]}", output=output)
                if hooks.stays_due(hook):
                    succeeded.append(hooks.marker(hook, self._config))
        finally:
            if succeeded:
                self._as_root(f"rm -f {' '.join(map(quote, succeeded))}")

    def make_due(self, given: Sequence[HookSettings]) -> None:
        """Record on the node that commands of this machine are due, where no stream does that."""
        due = (hook for hook in given if hooks.stays_due(hook))
        if markers := [hooks.marker(hook, self._config) for hook in due]:
            folder = quote(str(PurePosixPath(markers[0]).parent))
            paths = " ".join(map(quote, markers))
            self._as_root(f"umask 077; mkdir -p {folder} && touch {paths}")

    def _as_root(self, script: str) -> None:
        if (result := self._host.root(script)).code:
            fault = result.stderr.decode(errors="replace").strip()[:400]
            message = f"{script.split()[0]} fails there: {fault}"
            raise HostError(self._host.node.name, message, FAULT_QUOTED)
