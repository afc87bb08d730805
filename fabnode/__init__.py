"""
Turns hosts reachable over SSH into Kubernetes worker nodes.

Public are the names in `__all__`, explained in docs/library.md, and the collections of tasks
`fabnode.tasks.ns` and `fabnode.host_tasks.ns`; all else may change with any release.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .config.cluster import Cluster as Cluster
    from .config.cluster import Node as Node
    from .journal.events import Event as Event
    from .journal.summary import NodeResult as NodeResult
    from .library.results import DeployResult as DeployResult
    from .library.results import Drift as Drift
    from .library.results import PlannedChange as PlannedChange
    from .library.results import PlannedNode as PlannedNode
    from .library.results import PlannedObject as PlannedObject
    from .library.results import PlanResult as PlanResult
    from .library.results import VerifyResult as VerifyResult
    from .library.runs import deploy_nodes as deploy_nodes
    from .library.runs import load_config as load_config
    from .library.runs import plan as plan
    from .library.runs import verify as verify
    from .node.resources import Absent as Absent
    from .node.resources import Binary as Binary
    from .node.resources import Directory as Directory
    from .node.resources import File as File
    from .node.resources import Module as Module
    from .node.resources import Sysctl as Sysctl
    from .node.resources import Unit as Unit
    from .ssh.errors import HostError as HostError
    from .ssh.secret_prompts import SecretRequest as SecretRequest
    from .steps.finding import Finding as Finding
    from .steps.inputs import Inputs as Inputs
    from .steps.step import Step as Step
    from .steps.verify import Check as Check
    from .util.errors import ClusterError as ClusterError
    from .util.errors import FabnodeError as FabnodeError
    from .util.errors import InputError as InputError
    from .util.problems import ConfigError as ConfigError
    from .util.problems import Problem as Problem

__version__ = "0.1.0"

# Where each public name is defined. Imported when it is first used: commands that need none of
# them, and the modules of this package, do not wait for all of it.
_HOMES = {
    "Absent": "node.resources",
    "Binary": "node.resources",
    "Check": "steps.verify",
    "Cluster": "config.cluster",
    "ClusterError": "util.errors",
    "ConfigError": "util.problems",
    "DeployResult": "library.results",
    "Directory": "node.resources",
    "Event": "journal.events",
    "FabnodeError": "util.errors",
    "File": "node.resources",
    "Finding": "steps.finding",
    "HostError": "ssh.errors",
    "InputError": "util.errors",
    "Inputs": "steps.inputs",
    "Module": "node.resources",
    "Node": "config.cluster",
    "NodeResult": "journal.summary",
    "Drift": "library.results",
    "PlanResult": "library.results",
    "PlannedChange": "library.results",
    "PlannedNode": "library.results",
    "PlannedObject": "library.results",
    "Problem": "util.problems",
    "SecretRequest": "ssh.secret_prompts",
    "Step": "steps.step",
    "Sysctl": "node.resources",
    "Unit": "node.resources",
    "VerifyResult": "library.results",
    "deploy_nodes": "library.runs",
    "load_config": "library.runs",
    "plan": "library.runs",
    "verify": "library.runs",
}
__all__ = ["__version__", *_HOMES]


if not TYPE_CHECKING:  # with it any name at all would be known to type checkers

    def __getattr__(name: str) -> object:
        if home := _HOMES.get(name):
            return getattr(import_module(f".{home}", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
