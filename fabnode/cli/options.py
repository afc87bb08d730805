"""Options that tasks share: their wording, and what a command line asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# The options that many tasks share, with one wording.
HELP = {
    "config": "Configuration file (default: $FABNODE_CONFIG, else config/cluster.yml).",
    "limit": "Only these nodes: names, addresses, groups or globs, with commas between.",
    "json": "Print JSON for programs; progress goes to stderr.",
    "max-parallel": "Nodes worked on at once (default: deploy.max_parallel).",
    "batch": "Nodes per batch; the next starts when all of one are through.",
    "bundle": "Take everything that nodes get from this file of `inv bundle`.",
    "bundle-sha256": "Refuse the bundle unless it has this sha256, as `inv bundle` printed it.",
    "force": "Pods, NAMESPACE/POD with commas between: these go though nothing replaces them, or"
    " their emptyDirs are lost.",
    "past-budget": "Pods, likewise: these are deleted, whatever their disruption budgets say.",
    "delete-emptydir-data": "Pods go although what is in their emptyDirs is lost (default:"
    " maintenance.delete_emptydir_data).",
    "deep": "Hash every managed file again, not only those that seem changed.",
}


@dataclass(frozen=True, slots=True)
class Options:
    """
    What was asked for on the command line; 0 and empty mean: as configured.

    :param kubeconfig: stands in for the configuration's; hosts are not asked anything then.
    :param endless: it goes on until it is stopped, so that what it keeps must not grow.
    :param in_use: it is about nodes in use: as many at once as `maintenance` says.
    :param api_only: it works by the API, so that no secret of a host is asked for.
    :param bundle: file that stands in for all that the configuration names of artifacts.
    :param bundle_sha256: what its digest has to be; None: whatever it is.
    :param only: names of the node steps to carry out, with what they require; None: all of them.
    :param joins: hosts may join, so that a token they share is needed.
    :param recorded: it changes or proves something, so that its journal is kept for the report.
    :param installs: it compares or installs artifacts, so that they must be on this machine.
    """

    config: str = ""
    limit: str = ""
    json: bool = False
    max_parallel: int = 0
    batch: int = 0
    deep: bool = False
    only: Sequence[str] | None = None
    joins: bool = False
    recorded: bool = False
    installs: bool = True
    bundle_sha256: str | None = None
    bundle: str = ""
    kubeconfig: str = ""
    endless: bool = False
    in_use: bool = False
    api_only: bool = False
