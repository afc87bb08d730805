"""
Names of the public interface, each with the module that defines it.

They are imported when they are first used: commands that need none of them, and the modules of this
package, do not wait for all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.configuration import Config as Config
    from ..config.configuration import Node as Node
    from ..config.secret_prompts import SecretRequest as SecretRequest
    from ..journal.events import Event as Event
    from ..journal.summary import NodeResult as NodeResult
    from ..node.resources import Absent as Absent
    from ..node.resources import Binary as Binary
    from ..node.resources import Directory as Directory
    from ..node.resources import File as File
    from ..node.resources import Module as Module
    from ..node.resources import Sysctl as Sysctl
    from ..node.resources import Unit as Unit
    from ..steps.checks.check import Check as Check
    from ..steps.finding import Finding as Finding
    from ..steps.inputs import Inputs as Inputs
    from ..steps.step import Step as Step
    from ..util.errors import ClusterError as ClusterError
    from ..util.errors import FabnodeError as FabnodeError
    from ..util.errors import HostError as HostError
    from ..util.errors import InputError as InputError
    from ..util.problems import ConfigError as ConfigError
    from ..util.problems import Problem as Problem
    from .results import DeployResult as DeployResult
    from .results import Drift as Drift
    from .results import PlannedChange as PlannedChange
    from .results import PlannedNode as PlannedNode
    from .results import PlannedObject as PlannedObject
    from .results import PlanResult as PlanResult
    from .results import VerifyResult as VerifyResult
    from .runs import deploy_nodes as deploy_nodes
    from .runs import load_config as load_config
    from .runs import plan as plan
    from .runs import verify as verify

HOMES = {
    "Absent": "node.resources",
    "Binary": "node.resources",
    "Check": "steps.checks.check",
    "Config": "config.configuration",
    "ClusterError": "util.errors",
    "ConfigError": "util.problems",
    "DeployResult": "library.results",
    "Directory": "node.resources",
    "Drift": "library.results",
    "Event": "journal.events",
    "FabnodeError": "util.errors",
    "File": "node.resources",
    "Finding": "steps.finding",
    "HostError": "util.errors",
    "InputError": "util.errors",
    "Inputs": "steps.inputs",
    "Module": "node.resources",
    "Node": "config.configuration",
    "NodeResult": "journal.summary",
    "PlanResult": "library.results",
    "PlannedChange": "library.results",
    "PlannedNode": "library.results",
    "PlannedObject": "library.results",
    "Problem": "util.problems",
    "SecretRequest": "config.secret_prompts",
    "Step": "steps.step",
    "Sysctl": "node.resources",
    "Unit": "node.resources",
    "VerifyResult": "library.results",
    "deploy_nodes": "library.runs",
    "load_config": "library.runs",
    "plan": "library.runs",
    "verify": "library.runs",
}


def public(name: str) -> object:
    """
    Return what a public name means.

    :raises AttributeError: it is none.
    """
    if home := HOMES.get(name):
        return getattr(import_module(f"fabnode.{home}"), name)
    raise AttributeError(f"module 'fabnode' has no attribute {name!r}")
